//! Issues, their comments, labels and milestones.

use serde_json::Value;

use super::{
    super::{
        names::{ISSUE, ISSUES, PULL_REQUESTS},
        rest,
        values::{object, time},
    },
    event::{Event, id, once, person, said, titled, write},
};
use crate::provider::{
    change::{Change, NodeWrite},
    sentence::Detail,
};

pub(super) fn issue(event: &Event<'_>) -> Option<Change> {
    let issue = event.part("issue")?;
    let brought = rest::issue(issue, event.repository())?;
    let mut change = event.change();
    let mut at = time(issue, "updated_at");
    let subject = if event.is(&["deleted", "transferred"]) {
        at = None;
        // The store could not tell which list an issue leaves that nobody had heard of.
        change.stale_lists.extend(event.list(ISSUES));
        change.stale.extend(event.repository_node());
        write(&mut change, NodeWrite::tombstone(brought.node, rest::gone(issue, event.received_at)))
    } else {
        write(&mut change, brought)
    };
    // An issue that moves lives on in another repository under another id.
    if let Some(moved) = event.part("changes").and_then(|changes| object(changes, "new_issue")) {
        let home = event.part("changes").and_then(|changes| object(changes, "new_repository"));
        change.writes.extend(home.and_then(rest::repository));
        change.writes.extend(rest::issue(moved, home));
    }
    let told = event.told(change, Some(subject), at, parts(event, issue, ISSUE));
    Some(opening(event, issue, told))
}

/// The parts that sentences about an issue or a pull request name.
pub(super) fn parts(event: &Event<'_>, item: &Value, type_name: &'static str) -> Vec<(&'static str, Detail)> {
    let named = |part: &'static str, key: &str| said(part, event.part(part)?, key);
    let assignee = event.part("assignee").and_then(person).map(|person| ("assignee", person));
    [titled(item, type_name), named("label", "name"), named("milestone", "title"), assignee]
        .into_iter()
        .flatten()
        .collect()
}

/// Labels, people and milestones that an issue or a pull request is given as it is opened add nothing to its opening.
pub(super) fn opening(event: &Event<'_>, item: &Value, told: Change) -> Change {
    let Some(opened) = id(item).map(|id| format!("opened:{id}")) else { return told };
    if event.is(&["opened"]) {
        return once(told, Some(opened), Vec::new());
    }
    if !event.is(&["labeled", "assigned", "milestoned", "review_requested"]) || !event.is_opening(item) {
        return told;
    }
    let given = ["label", "assignee", "milestone", "requested_reviewer", "requested_team"];
    let given = given.into_iter().find_map(|part| event.part(part).and_then(id));
    let key = given.zip(event.action).map(|(given, action)| format!("{opened}:{action}:{given}"));
    once(told, key, vec![opened])
}

pub(super) fn comment(event: &Event<'_>) -> Option<Change> {
    let (issue, comment) = (event.part("issue")?, event.part("comment")?);
    let brought = rest::issue(issue, event.repository())?;
    let mut change = event.change();
    let item = write(&mut change, brought);
    // Pull requests are issues, too, and have comments in common with them.
    let item_type = item.type_name;
    let brought = rest::comment(comment, &item, event.is(&["edited"]))?;
    let subject = if event.is(&["deleted"]) {
        let gone = NodeWrite::tombstone(brought.node, rest::gone(comment, event.received_at));
        change.writes.push(gone);
        item
    } else {
        write(&mut change, brought)
    };
    let at = time(comment, "updated_at").filter(|_| !event.is(&["deleted"]));
    Some(event.told(change, Some(subject), at, titled(issue, item_type)))
}

/// Labels are part of the items that carry them, and the payload does not say which those are.
pub(super) fn label(event: &Event<'_>) -> Option<Change> {
    let label = event.part("label")?;
    let repository = event.repository_node()?;
    let mut change = event.change();
    if event.is(&["edited", "deleted"]) {
        change.stale_lists.extend(event.list(ISSUES));
        change.stale_lists.extend(event.list(PULL_REQUESTS));
    }
    Some(event.told(change, Some(repository), None, said("label", label, "name")))
}

pub(super) fn milestone(event: &Event<'_>) -> Option<Change> {
    let milestone = event.part("milestone")?;
    let repository = event.repository_node()?;
    let mut change = event.change();
    if event.is(&["edited", "deleted"]) {
        change.stale_lists.extend(event.list(ISSUES));
        change.stale_lists.extend(event.list(PULL_REQUESTS));
    }
    let at = time(milestone, "updated_at");
    Some(event.told(change, Some(repository), at, said("milestone", milestone, "title")))
}
