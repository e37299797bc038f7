//! Tasks and their stories.

use super::{
    super::names::{COMMENT, COMMENTS, PROJECT, SECTION, TASK, TASKS},
    event::{Event, list_of},
};
use crate::change::Change;

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
    Some(event.told(change, task, "A task"))
}

/// Comments, and what Asana notes of a task by itself: the latter is not told to people, but the task is not as it was.
pub(super) fn story(event: &Event<'_>) -> Option<Change> {
    let story = event.resource(COMMENT)?;
    let task = event.parent_of(TASK);
    let mut change = Change { stale: task.iter().cloned().collect(), ..Change::default() };
    // Of a story that is gone Asana may not say what it was.
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
    let subject = task.filter(|_| gone).unwrap_or(story);
    Some(event.told(change, subject, "A comment"))
}
