//! The acts that may happen in the world at the push of a button (`POST /_sandbox/asana/{act}`): each reads its input, with
//! defaults where nothing is said, and makes the change that a person at Asana would have made.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::edit::{Edit, NewTask};
use super::gentle;
use super::hooks;
use super::input::Input;
use super::records::{Gid, Membership};
use super::world::{Origin, World};
use crate::sandbox::{ActError, Acted, fields};

/// The names of the acts, with an example input of each.
pub(super) fn examples(world: &World) -> Vec<(&'static str, Value)> {
    let project = world.projects.keys().next().copied().unwrap_or_default();
    let sections = world.projects.get(&project).map(|project| project.sections.as_slice()).unwrap_or_default();
    let section = sections.first().copied().unwrap_or_default().to_string();
    let task = gentle::open_tasks(world).first().copied().unwrap_or_default().to_string();
    let person = world.users.keys().nth(1).copied().unwrap_or_default().to_string();
    let project = project.to_string();
    vec![
        (
            "create_task",
            json!({ "project": project, "name": "Call the printer", "section": "To do", "assignee": person }),
        ),
        ("complete_task", json!({ "task": task })),
        ("reopen_task", json!({ "task": task })),
        ("rename_task", json!({ "task": task, "name": "Call the printer again" })),
        ("move_task", json!({ "task": task, "section": "Doing" })),
        ("assign_task", json!({ "task": task, "assignee": person })),
        ("set_due", json!({ "task": task, "due_on": "2030-01-31" })),
        ("comment_task", json!({ "task": task, "text": "Done by tomorrow." })),
        ("delete_task", json!({ "task": task })),
        ("undelete_task", json!({ "task": task })),
        ("create_project", json!({ "name": "Trade fair" })),
        ("rename_project", json!({ "project": project, "name": "Website relaunch, second try" })),
        ("archive_project", json!({ "project": project, "archived": true })),
        ("create_section", json!({ "project": project, "name": "Blocked" })),
        ("rename_section", json!({ "section": section, "name": "Inbox" })),
        ("heartbeat", json!({})),
        ("disable_webhook", json!({ "project": project })),
        ("delete_webhook", json!({ "project": project })),
    ]
}

/// Acts.
pub(super) fn act(world: &mut World, now: DateTime<Utc>, action: &str, input: &Value) -> Result<Acted, ActError> {
    if action == "heartbeat" {
        return Ok(Acted { result: json!({}), webhooks: hooks::heartbeats(world, now) });
    }
    if matches!(action, "disable_webhook" | "delete_webhook") {
        return lose_webhooks(world, input, action == "delete_webhook");
    }
    let by = Input::new(world, input).person("by")?.unwrap_or(world.me);
    let result = match action {
        "create_project" | "rename_project" | "archive_project" | "create_section" | "rename_section" => {
            act_on_project(Edit::new(world, now, by, Origin::Act), action, input)?
        }
        _ => act_on_task(Edit::new(world, now, by, Origin::Act), action, input)?,
    };
    Ok(result)
}

/// Asana gives up the webhooks of a project, or deletes them, as it does after a day without success.
fn lose_webhooks(world: &mut World, input: &Value, delete: bool) -> Result<Acted, ActError> {
    let project = Input::new(world, input).project()?;
    let mut lost = Vec::new();
    for (gid, hook) in &mut world.hooks {
        if hook.resource.is_some_and(|of| of.gid == project) {
            hook.active = false;
            lost.push(*gid);
        }
    }
    if delete {
        world.hooks.retain(|gid, _| !lost.contains(gid));
    }
    let lost: Vec<String> = lost.iter().map(Gid::to_string).collect();
    Ok(Acted { result: json!({ "webhooks": lost }), webhooks: Vec::new() })
}

fn done(edit: Edit<'_>, result: Value) -> Acted {
    Acted { result, webhooks: edit.finish() }
}

fn act_on_project(mut edit: Edit<'_>, action: &str, input: &Value) -> Result<Acted, ActError> {
    let read = Input::new(edit.world, input);
    let id = |gid: Gid| json!({ "project": gid.to_string() });
    match action {
        "create_project" => {
            let workspace = read.workspace()?;
            let team = edit.world.teams.iter().find(|(_, team)| team.workspace == workspace).map(|(gid, _)| *gid);
            let name = read.text("name").unwrap_or("New project").to_owned();
            let gid = edit.create_project(&name, workspace, team);
            Ok(done(edit, id(gid)))
        }
        "rename_project" => {
            let (gid, name) = (read.project()?, read.needed("name")?.to_owned());
            edit.rename_project(gid, &name);
            Ok(done(edit, id(gid)))
        }
        "archive_project" => {
            let (gid, archived) = (read.project()?, read.flag("archived")?.unwrap_or(true));
            edit.set_archived(gid, archived);
            Ok(done(edit, id(gid)))
        }
        "create_section" => {
            let (project, name) = (read.project()?, read.text("name").unwrap_or("New section").to_owned());
            let gid = edit.create_section(project, &name);
            Ok(done(edit, json!({ "section": gid.to_string(), "project": project.to_string() })))
        }
        _ => {
            let project = if read.text("project").is_some() { Some(read.project()?) } else { None };
            let gid = read.section(project)?.ok_or_else(|| ActError::BadInput("section: is missing".to_owned()))?;
            let name = read.needed("name")?.to_owned();
            edit.rename_section(gid, &name);
            Ok(done(edit, json!({ "section": gid.to_string() })))
        }
    }
}

fn act_on_task(mut edit: Edit<'_>, action: &str, input: &Value) -> Result<Acted, ActError> {
    let read = Input::new(edit.world, input);
    if action == "create_task" {
        let new = new_task(&read)?;
        let gid = edit.create_task(new);
        return Ok(done(edit, json!({ "task": gid.to_string() })));
    }
    if !examples(edit.world).iter().any(|(name, _)| *name == action) {
        return Err(ActError::Unknown(action.to_owned()));
    }
    let gid = read.task(action == "undelete_task")?;
    let mut result = json!({ "task": gid.to_string() });
    match action {
        "complete_task" => edit.set_completed(gid, true),
        "reopen_task" => edit.set_completed(gid, false),
        "rename_task" => {
            let name = read.needed("name")?.to_owned();
            edit.rename_task(gid, &name);
        }
        "move_task" => {
            let place = new_place(&read, gid)?;
            edit.place(gid, place);
        }
        "assign_task" => {
            let user = if input.get("assignee").is_some_and(Value::is_null) {
                None
            } else {
                read.person("assignee")?.or(Some(edit.by))
            };
            edit.assign(gid, user);
        }
        "set_due" => {
            let due = read.due(edit.now)?;
            edit.set_due(gid, due);
        }
        "comment_task" => {
            let text = read.text("text").unwrap_or("Looks good to me.").to_owned();
            fields::set(&mut result, "story", edit.comment(gid, &text).to_string());
        }
        "delete_task" => edit.set_deleted(gid, true),
        _ => edit.set_deleted(gid, false),
    }
    Ok(done(edit, result))
}

fn new_task(read: &Input<'_>) -> Result<NewTask, ActError> {
    let parent = if read.text("parent").is_some() { Some(read.task_named("parent", false)?) } else { None };
    let project = match parent {
        Some(_) if read.text("project").is_none() => None,
        _ => Some(read.project()?),
    };
    let mut places = Vec::new();
    if let Some(project) = project {
        let sections = read.world.projects.get(&project).map(|project| project.sections.as_slice()).unwrap_or_default();
        let section = read.section(Some(project))?.or_else(|| sections.first().copied());
        places.extend(section.map(|section| Membership { project, section }));
    }
    let above = parent.and_then(|parent| read.world.tasks.get(&parent)).map(|parent| parent.workspace);
    let workspace = project.and_then(|project| read.world.projects.get(&project)).map(|project| project.workspace);
    Ok(NewTask {
        workspace: workspace.or(above).unwrap_or_default(),
        name: read.text("name").unwrap_or("New task").to_owned(),
        notes: read.text("notes").unwrap_or_default().to_owned(),
        assignee: read.person("assignee")?,
        due: read.given_due()?,
        parent,
        places,
        ..NewTask::default()
    })
}

/// Where a task moves: the named section of its project (or of the named one), else the next section.
fn new_place(read: &Input<'_>, task: Gid) -> Result<Membership, ActError> {
    let places = read.world.tasks.get(&task).map(|task| task.memberships.as_slice()).unwrap_or_default();
    let given = if read.text("project").is_some() { Some(read.project()?) } else { None };
    let at = places.iter().find(|place| given.is_none_or(|project| project == place.project));
    let project = given.or_else(|| at.map(|place| place.project));
    let named = read.section(project)?;
    let project = named.and_then(|gid| read.world.sections.get(&gid)).map(|section| section.project).or(project);
    let project = project.ok_or_else(|| ActError::BadInput("project: the task is in none, name one".to_owned()))?;
    let sections = read.world.projects.get(&project).map(|project| project.sections.as_slice()).unwrap_or_default();
    let here = at.and_then(|place| sections.iter().position(|section| *section == place.section));
    let next = || sections.get((here.map_or(0, |at| at + 1)) % sections.len().max(1)).copied();
    let section = named.or_else(next).ok_or_else(|| ActError::BadInput("section: the project has none".to_owned()))?;
    Ok(Membership { project, section })
}
