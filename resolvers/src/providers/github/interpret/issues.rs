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
        // Of an issue that nobody had heard of, the store could not tell which list it leaves.
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
    let summary = format!("{} {}", event.who(), did(event, &titled(event.repository_name(), issue)));
    Some(event.told(change, Some(subject), &summary, at))
}

/// What was done to an issue or a pull request, in words.
pub(super) fn did(event: &Event<'_>, item: &str) -> String {
    let named = |part: &str, key: &str| event.part(part).and_then(|part| text(part, key)).map(shortened);
    let label = || named("label", "name").unwrap_or_else(|| "a label".to_owned());
    let assignee = || named("assignee", "login").unwrap_or_else(|| "someone".to_owned());
    let milestone = || named("milestone", "title").unwrap_or_else(|| "a milestone".to_owned());
    match event.action {
        Some("labeled") => format!("labeled {item} with “{}”", label()),
        Some("unlabeled") => format!("took the label “{}” off {item}", label()),
        Some("assigned") => format!("assigned {item} to {}", assignee()),
        Some("unassigned") => format!("took {item} off {}", assignee()),
        Some("milestoned") => format!("put {item} into “{}”", milestone()),
        Some("demilestoned") => format!("took {item} out of “{}”", milestone()),
        _ => format!("{} {item}", event.verb()),
    }
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
    Some(event.told(change, Some(subject), &summary, at))
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
    Some(event.told(change, Some(repository), &summary, None))
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
    Some(event.told(change, Some(repository), &summary, time(milestone, "updated_at")))
}
