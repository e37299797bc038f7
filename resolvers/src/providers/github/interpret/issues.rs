//! Issues, their comments, labels and milestones.

use super::{
    super::{
        names::{ISSUES, PULL_REQUEST, PULL_REQUESTS},
        rest,
        values::{object, text, time},
    },
    event::{Event, shortened, titled, write},
};
use crate::change::{Change, NodeWrite};

pub(super) fn issue(event: &Event<'_>) -> Option<Change> {
    let issue = event.part("issue")?;
    let brought = rest::issue(issue, event.repository())?;
    let mut change = event.change();
    let mut at = time(issue, "updated_at");
    let subject = if event.is(&["deleted", "transferred"]) {
        at = None;
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
    let verb = match event.action {
        Some("labeled" | "unlabeled") => {
            let label = event.part("label").and_then(|label| text(label, "name")).unwrap_or("a label");
            format!("{} with “{label}”", event.verb())
        }
        _ => event.verb(),
    };
    let summary = format!("{} {verb} {}", event.who(), titled(event.repository_name(), issue));
    Some(event.told(change, Some(subject), summary, at))
}

pub(super) fn comment(event: &Event<'_>) -> Option<Change> {
    let (issue, comment) = (event.part("issue")?, event.part("comment")?);
    let brought = rest::issue(issue, event.repository())?;
    let mut change = event.change();
    let on = if brought.node.type_name == PULL_REQUEST { "pull request" } else { "issue" };
    let item = write(&mut change, brought);
    let brought = rest::comment(comment, &item, event.is(&["edited"]))?;
    let (subject, did) = if event.is(&["deleted"]) {
        let gone = NodeWrite::tombstone(brought.node, rest::gone(comment, event.received_at));
        change.writes.push(gone);
        (item, "deleted a comment on")
    } else {
        let did = if event.is(&["edited"]) { "edited a comment on" } else { "commented on" };
        (write(&mut change, brought), did)
    };
    let at = time(comment, "updated_at").filter(|_| !event.is(&["deleted"]));
    let summary = format!("{} {did} {on} {}", event.who(), titled(event.repository_name(), issue));
    Some(event.told(change, Some(subject), summary, at))
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
    let name = shortened(text(label, "name").unwrap_or("unnamed"));
    let summary = format!("{} {} the label “{name}” in {}", event.who(), event.verb(), event.repository_name());
    Some(event.told(change, Some(repository), summary, None))
}

pub(super) fn milestone(event: &Event<'_>) -> Option<Change> {
    let milestone = event.part("milestone")?;
    let repository = event.repository_node()?;
    let mut change = event.change();
    if event.is(&["edited", "deleted"]) {
        change.stale_lists.extend(event.list(ISSUES));
        change.stale_lists.extend(event.list(PULL_REQUESTS));
    }
    let title = shortened(text(milestone, "title").unwrap_or("untitled"));
    let summary = format!("{} {} the milestone “{title}” in {}", event.who(), event.verb(), event.repository_name());
    Some(event.told(change, Some(repository), summary, time(milestone, "updated_at")))
}
