//! Asana's events as people read them. They bring ids only: the names are those that are known when the sentence
//! is read.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    interpret::{FIELD, SECTION_PART},
    names::COMPLETED,
};
use crate::provider::sentence::{Details, SentenceParts, Unsettled};

/// A task that came to be no longer before it was put somewhere was made there.
const JUST_MADE: TimeDelta = TimeDelta::seconds(10);

/// An activity in words.
pub(super) fn sentence(parts: &SentenceParts<'_>) -> String {
    let (resource, action) = parts.kind.split_once('.').unwrap_or((parts.kind, ""));
    match resource {
        "task" => task(parts, action),
        "story" => story(parts, action),
        "project" => thing(parts, action, &named(parts, "project")),
        "section" => section(parts, action),
        "workspace" => thing(parts, action, &named(parts, "workspace")),
        "user" => thing(parts, action, &parts.or("user", "somebody")),
        _ => act(parts, if action == "added" { "posted" } else { verb(action) }, "a status update", &on_project(parts)),
    }
}

/// The part that is missing until the task or project was read: the events tell that it was completed or reopened, archived or
/// unarchived, and not which; and that it was put somewhere, and not whether it was made there.
pub(super) fn unsettled(parts: &SentenceParts<'_>) -> Option<Unsettled> {
    let toggled = |of, field, changed_by| Unsettled { part: STATE, of, field, changed_by: Some(changed_by) };
    let open = if parts.has(CHANGED_COMPLETED) {
        toggled("task", COMPLETED, CHANGED_COMPLETED)
    } else if parts.has(CHANGED_ARCHIVED) {
        toggled("project", IS_ARCHIVED, CHANGED_ARCHIVED)
    } else if parts.kind == "task.added" && parts.has("project") {
        Unsettled { part: MADE, of: "task", field: CREATED_AT, changed_by: None }
    } else {
        return None;
    };
    Some(open).filter(|open| !parts.has(open.part))
}

/// The part that was missing, from what was read of the task or project since the event.
pub(super) fn settled(parts: &SentenceParts<'_>) -> Details {
    let found = unsettled(parts).and_then(|open| {
        let told = parts.body(open.of)?.get(open.field)?;
        let word = match (open.field, told.as_bool()) {
            (CREATED_AT, _) => told.as_str().map(|_| if is_just_made(parts) { MADE } else { OLD })?,
            (COMPLETED, Some(is_so)) => {
                if is_so {
                    "completed"
                } else {
                    "reopened"
                }
            }
            (_, Some(is_so)) => {
                if is_so {
                    "archived"
                } else {
                    "unarchived"
                }
            }
            _ => return None,
        };
        Some((open.part.to_owned(), word.into()))
    });
    found.into_iter().collect()
}

/// The part that says into which of its states a thing came.
const STATE: &str = "state";
/// The part that says whether a task was made when it was put somewhere, and its values.
const MADE: &str = "made";
const OLD: &str = "old";
/// The parts of events that change a state.
const CHANGED_COMPLETED: &str = "field:completed";
const CHANGED_ARCHIVED: &str = "field:archived";
/// Keys of bodies.
const IS_ARCHIVED: &str = "isArchived";
const CREATED_AT: &str = "createdAt";

/// `Ada deleted ‘Migrate the help center’`, or `‘Migrate the help center’ was deleted`. For verbs whose participle is their past.
fn act(parts: &SentenceParts<'_>, verb: &str, object: &str, more: &str) -> String {
    parts.by_actor(&format!("{verb} {object}{more}"), &format!("{object} was {verb}{more}"))
}

fn verb(action: &str) -> &str {
    match action {
        "undeleted" => "restored",
        "added" | "removed" | "deleted" => action,
        _ => "changed",
    }
}

fn task(parts: &SentenceParts<'_>, action: &str) -> String {
    let task = parts.quoted("task", "a task");
    match action {
        "added" | "removed" => placed(parts, &task, action),
        "changed" if parts.has(CHANGED_COMPLETED) => act(parts, &parts.or(STATE, "completed or reopened"), &task, ""),
        "changed" if parts.has("assignee") && fields(parts).len() == 1 => {
            act(parts, "assigned", &task, &format!(" to {}", parts.or("assignee", "somebody")))
        }
        _ => thing(parts, action, &task),
    }
}

/// Where a task went, or came from.
fn placed(parts: &SentenceParts<'_>, task: &str, action: &str) -> String {
    let project = parts.or("project", "a project");
    let is_new = parts.has("project") && parts.get(MADE).map_or_else(|| is_just_made(parts), |made| made == MADE);
    match (parts.has("project"), parts.has("left"), parts.has("to"), parts.has("from")) {
        _ if parts.has("parent") => {
            let parent = parts.quoted("parent", "another task");
            let subtask =
                parts.get("task").map_or_else(|| "a subtask".to_owned(), |name| format!("the subtask ‘{name}’"));
            act(parts, "added", &subtask, &format!(" to {parent}"))
        }
        _ if is_new => act(parts, "created", task, &format!(" in {project}")),
        (true, true, ..) => act(parts, "moved", task, &format!(" to {project}")),
        (true, false, ..) => act(parts, "added", task, &format!(" to {project}")),
        (false, true, ..) => act(parts, "removed", task, &format!(" from {}", parts.or("left", "a project"))),
        (_, _, true, _) => act(parts, "moved", task, &format!(" to {}", parts.or("to", "another section"))),
        (_, _, false, true) => act(parts, "moved", task, &format!(" out of {}", parts.or("from", "a section"))),
        _ => act(parts, verb(action), task, ""),
    }
}

fn is_just_made(parts: &SentenceParts<'_>) -> bool {
    let made = parts.body("task").and_then(|task| task.get("createdAt")?.as_str()?.parse::<DateTime<Utc>>().ok());
    made.is_some_and(|made| (parts.occurred_at - made).abs() <= JUST_MADE)
}

fn story(parts: &SentenceParts<'_>, action: &str) -> String {
    let task = parts.quoted("task", "a task");
    match action {
        "added" => parts.by_actor(&format!("commented on {task}"), &format!("a comment was added to {task}")),
        "changed" => act(parts, "edited", &format!("a comment on {task}"), ""),
        _ => act(parts, verb(action), &format!("a comment on {task}"), ""),
    }
}

fn section(parts: &SentenceParts<'_>, action: &str) -> String {
    let more = match (action, parts.has("project")) {
        ("added", true) => format!(" to {}", parts.or("project", "a project")),
        ("removed", true) => format!(" from {}", parts.or("project", "a project")),
        _ => String::new(),
    };
    match action {
        "added" => added_sections(parts, &more),
        "removed" => act(parts, action, &named(parts, SECTION_PART), &more),
        _ => thing(parts, action, &named(parts, SECTION_PART)),
    }
}

/// Sections that were added together are one act.
fn added_sections(parts: &SentenceParts<'_>, more: &str) -> String {
    let mut added = parts.details.keys().filter(|part| part.starts_with(SECTION_PART));
    match (added.next(), added.count()) {
        (Some(one), 0) => {
            let section = parts.get(one).map_or_else(|| "a section".to_owned(), |name| format!("the section ‘{name}’"));
            act(parts, "added", &section, more)
        }
        (_, others) => {
            let sections = format!("{} sections", others + 1);
            parts.by_actor(&format!("added {sections}{more}"), &format!("{sections} were added{more}"))
        }
    }
}

/// `the project ‘Website’`, or `a project`.
fn named(parts: &SentenceParts<'_>, what: &str) -> String {
    parts.get(what).map_or_else(|| format!("a {what}"), |name| format!("the {what} ‘{name}’"))
}

/// An event that happens to things of all kinds alike.
fn thing(parts: &SentenceParts<'_>, action: &str, thing: &str) -> String {
    let fields = fields(parts);
    if action == "changed" && fields == ["archived"] {
        // The event does not tell which of the two.
        return act(parts, &parts.or(STATE, "archived or unarchived"), thing, "");
    }
    if action == "changed" && !fields.is_empty() {
        let fields: Vec<String> = fields.iter().map(|field| format!("the {field}")).collect();
        let object = match fields.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
            _ => fields.concat(),
        };
        let were = if fields.len() > 1 { "were" } else { "was" };
        return parts.by_actor(&format!("changed {object} of {thing}"), &format!("{object} of {thing} {were} changed"));
    }
    act(parts, verb(action), thing, "")
}

/// The fields that changed, in words.
fn fields(parts: &SentenceParts<'_>) -> Vec<String> {
    let fields = parts.details.keys().filter_map(|part| part.strip_prefix(FIELD));
    let mut fields: Vec<String> = fields
        .map(|field| match field {
            "notes" | "html_notes" => "description".to_owned(),
            "due_on" | "due_at" => "due date".to_owned(),
            "start_on" | "start_at" => "start date".to_owned(),
            other => other.replace('_', " "),
        })
        .collect();
    fields.dedup();
    fields
}

fn on_project(parts: &SentenceParts<'_>) -> String {
    format!(" on {}", parts.or("project", "a project"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{sentence, settled, unsettled};
    use crate::provider::sentence::{Details, Names, SentenceParts};

    /// Everybody and everything that the sentences name.
    fn world() -> Names {
        Names::of_bodies(&json!({
            "AsanaUser:12": { "displayName": "Ada Lovelace" },
            "AsanaUser:13": { "displayName": "Bob" },
            "AsanaTask:100": { "title": "Migrate the help center", "createdAt": "2026-03-02T08:00:00Z", "completed": true },
            "AsanaTask:101": { "title": "Write it down", "createdAt": "2026-03-02T08:59:58Z", "completed": false },
            "AsanaProject:5": { "name": "Website" },
            "AsanaProject:6": { "name": "Archive", "isArchived": true, "updatedAt": "2026-03-02T09:00:00Z" },
            "AsanaSection:7": { "name": "To do" },
            "AsanaSection:8": { "name": "Doing" },
            "AsanaWorkspace:9": { "name": "Acme" },
        }))
    }

    /// The parts: nodes are given as references.
    fn details(parts: &Value) -> Details {
        let detail = |value: &str| match value.split_once(':') {
            Some(_) => serde_json::from_value(json!({ "node": value })).unwrap(),
            None => value.into(),
        };
        let parts = parts.as_object().unwrap().iter();
        parts.map(|(name, value)| (name.clone(), detail(value.as_str().unwrap()))).collect()
    }

    fn worded(kind: &str, details: &Details, names: &Names) -> String {
        let occurred_at = "2026-03-02T09:00:00Z".parse().unwrap();
        let mut details = details.clone();
        details.extend(settled(&SentenceParts { gone: false, kind, details: &details.clone(), occurred_at, names }));
        sentence(&SentenceParts { gone: false, kind, details: &details, occurred_at, names })
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn sentences_name_who_and_what() {
        let (old, new) = ("AsanaTask:100", "AsanaTask:101");
        let (website, archive, todo, doing) = ("AsanaProject:5", "AsanaProject:6", "AsanaSection:7", "AsanaSection:8");
        for (kind, parts, expected, unnamed) in [
            (
                "task.added",
                json!({ "task": old, "from": todo, "to": doing }),
                "moved ‘Migrate the help center’ to Doing",
                "moved a task to another section",
            ),
            (
                "task.added",
                json!({ "task": old, "to": doing }),
                "moved ‘Migrate the help center’ to Doing",
                "moved a task to another section",
            ),
            (
                "task.removed",
                json!({ "task": old, "from": todo }),
                "moved ‘Migrate the help center’ out of To do",
                "moved a task out of a section",
            ),
            (
                "task.added",
                json!({ "task": new, "project": website, "to": todo, "field:assignee": "assignee" }),
                "created ‘Write it down’ in Website",
                "added a task to a project",
            ),
            (
                "task.added",
                json!({ "task": old, "project": website, "to": todo }),
                "added ‘Migrate the help center’ to Website",
                "added a task to a project",
            ),
            (
                "task.added",
                json!({ "task": old, "project": archive, "left": website, "from": todo }),
                "moved ‘Migrate the help center’ to Archive",
                "moved a task to a project",
            ),
            (
                "task.removed",
                json!({ "task": old, "left": website, "from": todo }),
                "removed ‘Migrate the help center’ from Website",
                "removed a task from a project",
            ),
            (
                "task.added",
                json!({ "task": new, "parent": old }),
                "added the subtask ‘Write it down’ to ‘Migrate the help center’",
                "added a subtask to another task",
            ),
            (
                "task.changed",
                json!({ "task": old, "field:completed": "completed" }),
                "completed ‘Migrate the help center’",
                "completed or reopened a task",
            ),
            (
                "task.changed",
                json!({ "task": new, "field:completed": "completed" }),
                "reopened ‘Write it down’",
                "completed or reopened a task",
            ),
            (
                "task.changed",
                json!({ "task": old, "field:assignee": "assignee", "assignee": "AsanaUser:13" }),
                "assigned ‘Migrate the help center’ to Bob",
                "assigned a task to somebody",
            ),
            (
                "task.changed",
                json!({ "task": old, "field:due_on": "due_on" }),
                "changed the due date of ‘Migrate the help center’",
                "changed the due date of a task",
            ),
            (
                "task.changed",
                json!({ "task": old, "field:notes": "notes", "field:name": "name", "field:due_on": "due_on" }),
                "changed the due date, the name and the description of ‘Migrate the help center’",
                "changed the due date, the name and the description of a task",
            ),
            ("task.deleted", json!({ "task": old }), "deleted ‘Migrate the help center’", "deleted a task"),
            ("task.undeleted", json!({ "task": old }), "restored ‘Migrate the help center’", "restored a task"),
            ("story.added", json!({ "task": old }), "commented on ‘Migrate the help center’", "commented on a task"),
            (
                "story.deleted",
                json!({ "task": old }),
                "deleted a comment on ‘Migrate the help center’",
                "deleted a comment on a task",
            ),
            (
                "section.added",
                json!({ "section": doing, "project": website }),
                "added the section ‘Doing’ to Website",
                "added a section to a project",
            ),
            (
                "section.added",
                json!({ "section:7": todo, "section:8": doing, "project": website }),
                "added 2 sections to Website",
                "added 2 sections to a project",
            ),
            (
                "project.added",
                json!({ "section:7": todo, "section:8": doing, "project": website }),
                "added the project ‘Website’",
                "added a project",
            ),
            (
                "section.changed",
                json!({ "section": doing, "field:name": "name" }),
                "changed the name of the section ‘Doing’",
                "changed the name of a section",
            ),
            (
                "project.changed",
                json!({ "project": archive, "field:archived": "archived" }),
                "archived the project ‘Archive’",
                "archived or unarchived a project",
            ),
            ("project.deleted", json!({ "project": website }), "deleted the project ‘Website’", "deleted a project"),
            (
                "project_status.added",
                json!({ "project": website }),
                "posted a status update on Website",
                "posted a status update on a project",
            ),
            (
                "workspace.changed",
                json!({ "workspace": "AsanaWorkspace:9" }),
                "changed the workspace ‘Acme’",
                "changed a workspace",
            ),
        ] {
            let mut details = details(&parts);
            details.insert("actor".to_owned(), serde_json::from_value(json!({ "node": "AsanaUser:12" })).unwrap());
            assert_eq!(worded(kind, &details, &world()), format!("Ada Lovelace {expected}"));
            let unknown = worded(kind, &details, &Names::default());
            assert_eq!(unknown, format!("Somebody {unnamed}"));
            assert!(!unknown.contains(|letter: char| ('3'..='9').contains(&letter)), "{unknown}");
            details.remove("actor");
            let passive = worded(kind, &details, &world());
            assert!(passive.contains(" was ") || passive.contains(" were "), "{passive}");
        }
    }

    #[test]
    fn a_verb_is_that_of_the_state_that_was_kept_however_the_thing_is_now() {
        let occurred_at = "2026-03-02T09:00:00Z".parse().unwrap();
        for (kind, parts, kept, expected) in [
            (
                "task.changed",
                json!({ "task": "AsanaTask:1", "field:completed": "completed" }),
                None,
                "‘T’ was completed or reopened",
            ),
            (
                "task.changed",
                json!({ "task": "AsanaTask:1", "field:completed": "completed" }),
                Some("completed"),
                "‘T’ was completed",
            ),
            (
                "task.changed",
                json!({ "task": "AsanaTask:1", "field:completed": "completed" }),
                Some("reopened"),
                "‘T’ was reopened",
            ),
            (
                "task.changed",
                json!({ "task": "AsanaTask:1", "field:completed": "completed" }),
                Some(""),
                "‘T’ was completed or reopened",
            ),
            (
                "project.changed",
                json!({ "project": "AsanaProject:1", "field:archived": "archived" }),
                None,
                "The project ‘P’ was archived or unarchived",
            ),
            (
                "project.changed",
                json!({ "project": "AsanaProject:1", "field:archived": "archived" }),
                Some("unarchived"),
                "The project ‘P’ was unarchived",
            ),
        ] {
            for now in [false, true] {
                let mut details = details(&parts);
                details.extend(kept.map(|kept| ("state".to_owned(), kept.into())));
                let names = Names::of_bodies(&json!({
                    "AsanaTask:1": { "title": "T", "completed": now },
                    "AsanaProject:1": { "name": "P", "isArchived": now },
                }));
                let parts = SentenceParts { gone: false, kind, details: &details, occurred_at, names: &names };
                assert_eq!(sentence(&parts), expected);
                assert_eq!(unsettled(&parts).is_some(), kept.is_none());
            }
        }
    }
}
