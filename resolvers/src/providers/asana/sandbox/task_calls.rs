//! The calls about tasks: lists with their filters, making, changing and deleting, comments, places.

use chrono::{DateTime, NaiveDate};
use serde_json::Value;

use super::answer::{ApiError, Reply};
use super::edit::NewTask;
use super::records::{CustomValue, Due, Gid, Kind, Membership};
use super::session::Session;

type Answer = Result<Reply, ApiError>;

/// A list of tasks, filtered by `completed_since` and `modified_since`.
pub(super) fn list(session: &Session<'_>, mut tasks: Vec<Gid>) -> Answer {
    let completed_since = session.moment("completed_since")?;
    let modified_since = session.moment("modified_since")?;
    tasks.retain(|gid| {
        session.world.tasks.get(gid).is_some_and(|task| {
            !task.deleted
                && completed_since.is_none_or(|since| task.completed.is_none_or(|(at, _)| at >= since))
                && modified_since.is_none_or(|since| task.modified_at >= since)
        })
    });
    session.list(Kind::Task, &tasks)
}

/// `GET /tasks`: of one project, section or tag, or of one assignee in a workspace.
pub(super) fn list_by_parameters(session: &Session<'_>) -> Answer {
    let project = session.parameter(Kind::Project, "project")?;
    let section = session.parameter(Kind::Section, "section")?;
    let tag = session.parameter(Kind::Tag, "tag")?;
    let assignee = session.parameter(Kind::User, "assignee")?;
    let workspace = session.parameter(Kind::Workspace, "workspace")?;
    let world = &*session.world;
    let tasks = match (project, section, tag, assignee, workspace) {
        (Some(project), None, None, None, None) => world.tasks_of_project(project),
        (project, Some(section), None, None, None) => {
            let mut tasks = world.tasks_of_section(section);
            if world.sections.get(&section).is_some_and(|of| project.is_some_and(|project| project != of.project)) {
                tasks.clear();
            }
            tasks
        }
        (None, None, Some(tag), None, _) => of_tag(session, tag),
        (None, None, None, Some(user), Some(space)) => {
            let own = world.tasks.iter().filter(|(_, task)| task.assignee == Some(user) && task.workspace == space);
            own.map(|(gid, _)| *gid).collect()
        }
        _ => {
            let message =
                "You should specify exactly one of project, tag, section, user task list, or assignee + workspace";
            return Err(ApiError::bad(message));
        }
    };
    list(session, tasks)
}

/// `GET /tags/{gid}/tasks`.
pub(super) fn list_of_tag(session: &Session<'_>, gid: &str) -> Answer {
    list(session, of_tag(session, session.find(Kind::Tag, "tag", gid)?))
}

fn of_tag(session: &Session<'_>, tag: Gid) -> Vec<Gid> {
    session.world.tasks.iter().filter(|(_, task)| task.tags.contains(&tag)).map(|(gid, _)| *gid).collect()
}

/// `POST /tasks`, `POST /tasks/{gid}/subtasks`.
pub(super) fn create(session: &mut Session<'_>, parent: Option<&str>) -> Answer {
    let parent = match parent {
        Some(gid) => Some(session.find(Kind::Task, "task", gid)?),
        None => session.input(Kind::Task, "parent")?,
    };
    let projects = session.inputs(Kind::Project, "projects")?;
    let mut places = Vec::new();
    for project in projects {
        places.push(place(session, project, None)?);
    }
    places.extend(given_places(session)?);
    let workspace = session.input(Kind::Workspace, "workspace")?;
    let workspace = workspace
        .or_else(|| places.first().and_then(|place| session.world.projects.get(&place.project)).map(|of| of.workspace))
        .or_else(|| parent.and_then(|parent| session.world.tasks.get(&parent)).map(|of| of.workspace))
        .ok_or_else(|| ApiError::bad("You should specify one of workspace, parent, projects"))?;
    let new = NewTask {
        workspace,
        name: session.call.text("name").unwrap_or_default(),
        notes: session.call.text("notes").unwrap_or_default(),
        assignee: session.input(Kind::User, "assignee")?,
        due: due(session)?.flatten(),
        start_on: day(session, "start_on")?.flatten(),
        parent,
        places,
        tags: session.inputs(Kind::Tag, "tags")?,
    };
    let completed = flag(session, "completed")?;
    let custom = custom_values(session)?;
    let gid = session.edit(|edit| {
        let gid = edit.create_task(new);
        for (field, value) in custom {
            edit.set_custom(gid, field, value);
        }
        if completed == Some(true) {
            edit.set_completed(gid, true);
        }
        gid
    });
    Ok(Reply::created(session.record(Kind::Task, gid)))
}

/// `memberships: [{project, section}]` of a new task.
fn given_places(session: &Session<'_>) -> Result<Vec<Membership>, ApiError> {
    let Some(Value::Array(all)) = session.call.data.get("memberships") else { return Ok(Vec::new()) };
    let gid = |of: &Value, name: &str| of.get(name).and_then(super::request::text);
    let mut places = Vec::new();
    for of in all {
        let project = gid(of, "project").ok_or_else(|| ApiError::missing("memberships.project"))?;
        let project = session.find(Kind::Project, "project", &project)?;
        let section = gid(of, "section").map(|gid| session.find(Kind::Section, "section", &gid)).transpose()?;
        places.push(place(session, project, section)?);
    }
    Ok(places)
}

/// A place in a project: in that section of it, or in its first.
fn place(session: &Session<'_>, project: Gid, section: Option<Gid>) -> Result<Membership, ApiError> {
    let sections = session.world.projects.get(&project).map(|project| project.sections.as_slice()).unwrap_or_default();
    let section = section.or_else(|| sections.first().copied());
    let section = section.filter(|section| sections.contains(section));
    section
        .map(|section| Membership { project, section })
        .ok_or_else(|| ApiError::bad("section: Must be a section of the project"))
}

/// `PUT /tasks/{gid}`: changes what is named and differs.
pub(super) fn update(session: &mut Session<'_>, gid: &str) -> Answer {
    let gid = session.find(Kind::Task, "task", gid)?;
    let name = session.call.text("name");
    let notes = session.call.text("notes");
    let completed = flag(session, "completed")?;
    let assignee = match session.call.data.get("assignee") {
        Some(Value::Null) => Some(None),
        _ => session.input(Kind::User, "assignee")?.map(Some),
    };
    let (due, start_on) = (due(session)?, day(session, "start_on")?);
    let custom = custom_values(session)?;
    let Some(old) = session.world.tasks.get(&gid).cloned() else { return Err(ApiError::no_route()) };
    session.edit(|edit| {
        if let Some(name) = name.filter(|name| *name != old.name) {
            edit.rename_task(gid, &name);
        }
        if let Some(notes) = notes.filter(|notes| *notes != old.notes) {
            edit.set_notes(gid, &notes);
        }
        if let Some(assignee) = assignee.filter(|assignee| *assignee != old.assignee) {
            edit.assign(gid, assignee);
        }
        if let Some(due) = due.filter(|due| *due != old.due) {
            edit.set_due(gid, due);
        }
        if let Some(start_on) = start_on.filter(|start_on| *start_on != old.start_on) {
            edit.set_start(gid, start_on);
        }
        for (field, value) in custom {
            edit.set_custom(gid, field, value);
        }
        if let Some(completed) = completed {
            edit.set_completed(gid, completed);
        }
    });
    session.one(Kind::Task, Ok(gid))
}

/// `DELETE /tasks/{gid}`: into the trash.
pub(super) fn delete(session: &mut Session<'_>, gid: &str) -> Answer {
    let gid = session.find(Kind::Task, "task", gid)?;
    session.edit(|edit| edit.set_deleted(gid, true));
    Ok(Reply::empty())
}

/// `POST /tasks/{gid}/stories`.
pub(super) fn comment(session: &mut Session<'_>, gid: &str) -> Answer {
    let gid = session.find(Kind::Task, "task", gid)?;
    let text = session.call.text("text").or_else(|| session.call.text("html_text"));
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| ApiError::missing("text"))?;
    let story = session.edit(|edit| edit.comment(gid, &text));
    Ok(Reply::created(session.record(Kind::Story, story)))
}

/// `POST /tasks/{gid}/addProject`.
pub(super) fn add_project(session: &mut Session<'_>, gid: &str) -> Answer {
    let gid = session.find(Kind::Task, "task", gid)?;
    let project = session.input(Kind::Project, "project")?.ok_or_else(|| ApiError::missing("project"))?;
    let section = session.input(Kind::Section, "section")?;
    let place = place(session, project, section)?;
    session.edit(|edit| edit.place(gid, place));
    Ok(Reply::empty())
}

/// `POST /sections/{gid}/addTask`.
pub(super) fn add_to_section(session: &mut Session<'_>, gid: &str) -> Answer {
    let section = session.find(Kind::Section, "section", gid)?;
    let task = session.input(Kind::Task, "task")?.ok_or_else(|| ApiError::missing("task"))?;
    let project = session.world.sections.get(&section).map(|section| section.project);
    let place = place(session, project.unwrap_or_default(), Some(section))?;
    session.edit(|edit| edit.place(task, place));
    Ok(Reply::empty())
}

fn flag(session: &Session<'_>, name: &str) -> Result<Option<bool>, ApiError> {
    match session.call.text(name).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(ApiError::bad(format!("{name}: Not a boolean"))),
    }
}

/// `Some(None)` removes the day.
#[expect(clippy::option_option, reason = "a call leaves it as it is, removes it or sets it")]
fn day(session: &Session<'_>, name: &str) -> Result<Option<Option<NaiveDate>>, ApiError> {
    match session.call.data.get(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(value) => match value.as_str().and_then(|text| text.parse().ok()) {
            Some(day) => Ok(Some(Some(day))),
            None => Err(ApiError::bad(format!("{name}: Invalid date"))),
        },
    }
}

/// A task is due on a day or at a moment, never both.
#[expect(clippy::option_option, reason = "a call leaves it as it is, removes it or sets it")]
fn due(session: &Session<'_>) -> Result<Option<Option<Due>>, ApiError> {
    let on = day(session, "due_on")?;
    let at = match session.call.data.get("due_at") {
        None => None,
        Some(Value::Null) => Some(None),
        Some(value) => {
            let at = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            Some(Some(at.ok_or_else(|| ApiError::bad("due_at: Invalid date"))?.to_utc()))
        }
    };
    match (on, at) {
        (Some(Some(_)), Some(Some(_))) => Err(ApiError::bad("You may only provide one of due_on or due_at!")),
        (_, Some(Some(at))) => Ok(Some(Some(Due::At(at)))),
        (Some(Some(day)), _) => Ok(Some(Some(Due::On(day)))),
        (None, None) => Ok(None),
        _ => Ok(Some(None)),
    }
}

/// `custom_fields: {gid: value}`; null removes the value.
fn custom_values(session: &Session<'_>) -> Result<Vec<(Gid, Option<CustomValue>)>, ApiError> {
    let Some(Value::Object(given)) = session.call.data.get("custom_fields") else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    for (gid, value) in given {
        let field = session.find(Kind::CustomField, "custom_fields", gid)?;
        let Some(of) = session.world.custom_fields.get(&field) else { continue };
        let read = match (of.subtype, value) {
            (_, Value::Null) => None,
            ("enum", value) => {
                let chosen = super::request::text(value).and_then(|gid| gid.parse().ok());
                let chosen = chosen.filter(|gid| of.options.iter().any(|option| option.gid == *gid));
                Some(CustomValue::Option(chosen.ok_or_else(|| ApiError::unknown("enum_value", &value.to_string()))?))
            }
            ("number", value) => {
                let number = value.as_f64().ok_or_else(|| ApiError::bad("custom_fields: Not a number"))?;
                Some(CustomValue::Number(number))
            }
            (_, value) => super::request::text(value).map(CustomValue::Text),
        };
        values.push((field, read));
    }
    Ok(values)
}
