//! Tasks and their stories.

use super::{
    super::names::{COMMENT, COMMENTS, COMPLETED, PROJECT, PROJECTS, SECTION, TASK, TASKS},
    event::{EDITED, Event, act, list_of, part},
};
use crate::provider::{
    ListRef, NodeRef,
    change::{Act, Change, Recount},
    sentence::Detail,
};

pub(super) fn task(event: &Event<'_>) -> Option<Change> {
    let task = event.resource(TASK)?;
    let mut change = Change { stale: vec![task.clone()], ..Change::default() };
    match event.action {
        "deleted" => change.writes.push(event.gone(&task)),
        "undeleted" => change.writes.push(event.back(&task)),
        _ => {}
    }
    // Where it stands now is not told, only what it was added to or removed from.
    if let Some(parent) = event.parent() {
        match parent.type_name {
            PROJECT => {
                // It has another number of tasks now.
                change.stale.push(parent.clone());
                change.stale_lists.push(list_of(parent, TASKS));
            }
            SECTION => change.stale_lists.push(list_of(parent, TASKS)),
            TASK => change.stale.push(parent),
            _ => {}
        }
    }
    if event.field() == Some(COMPLETED) {
        // Its project has another number of open tasks now, and the event does not name the project.
        let among = ListRef { parent: None, name: PROJECTS };
        change.recounts.push(Recount { item: task.clone(), key: "projects", among });
    }
    let (mut parts, act) = match event.parent() {
        Some(parent) => placed(event, &parent),
        None => event.edited(),
    };
    parts.push(part("task", &task));
    Some(event.told(change, task, parts, act))
}

/// Where a task was put or taken from. Asana tells of each place in an event of its own: a task that is made is put into a project and
/// into a section, one that is moved is taken from one section and put into another; what is made may be edited at once.
fn placed(event: &Event<'_>, parent: &NodeRef) -> (Vec<(String, Detail)>, Act) {
    let (came, went) = (event.is(&["added"]), event.is(&["removed"]));
    match parent.type_name {
        PROJECT if came => (vec![part("project", parent)], act(&[PLACED, EDITED])),
        PROJECT if went => (vec![part("left", parent)], act(&[PLACED])),
        SECTION if came => (vec![part("to", parent)], act(&[PLACED])),
        SECTION if went => (vec![part("from", parent)], Act { partial: true, ..act(&[PLACED]) }),
        TASK if came => (vec![part("parent", parent)], act(&[PLACED, EDITED])),
        TASK if went => (vec![part("from", parent)], act(&[PLACED])),
        _ => event.edited(),
    }
}

/// The act of putting a task somewhere.
const PLACED: &str = "placed";

/// Comments, and what Asana notes of a task by itself: the latter is not told to people, but the task is not as it was.
pub(super) fn story(event: &Event<'_>) -> Option<Change> {
    let story = event.resource(COMMENT)?;
    let task = event.parent_of(TASK);
    let mut change = Change { stale: task.iter().cloned().collect(), ..Change::default() };
    // Asana may not say the kind of a story that is gone.
    let gone = event.is(&["deleted", "removed"]);
    let is_comment = event.subtype().map_or(gone, |subtype| subtype == "comment_added");
    if !is_comment {
        return task.map(|_| change);
    }
    change.stale_lists.extend(task.clone().map(|task| list_of(task, COMMENTS)));
    if gone {
        change.writes.push(event.gone(&story));
    } else {
        change.stale.push(story.clone());
    }
    let parts = task.iter().map(|task| part("task", task)).collect();
    let subject = task.filter(|_| gone).unwrap_or(story);
    Some(event.told(change, subject, parts, Act::default()))
}
