//! Pull requests, their reviews and review comments.

use serde_json::Value;

use super::{
    super::{
        rest,
        values::{text, time},
    },
    event::{Event, titled, write},
    issues::did,
};
use crate::change::{Change, NodeRef, NodeWrite};

/// The pull request of any event that carries one, written.
fn brought(event: &Event<'_>, change: &mut Change) -> Option<NodeRef> {
    Some(write(change, rest::pull_request(event.part("pull_request")?, event.repository())?))
}

fn title(event: &Event<'_>) -> String {
    titled(event.repository_name(), event.part("pull_request").unwrap_or(&Value::Null))
}

pub(super) fn pull_request(event: &Event<'_>) -> Option<Change> {
    let pull_request = event.part("pull_request")?;
    let mut change = event.change();
    let mut brought = rest::pull_request(pull_request, event.repository())?;
    let merged = pull_request.get("merged") == Some(&Value::Bool(true));
    if event.is(&["opened"]) {
        brought = rest::unreviewed(brought);
    }
    let subject = write(&mut change, brought);
    // New commits have checks and approvals of their own, which the payload does not tell.
    if event.is(&["synchronize", "reopened"]) {
        change.stale.push(subject.clone());
    }
    let title = title(event);
    let did = match event.action {
        Some("closed") if merged => format!("merged {title}"),
        Some("synchronize") => format!("pushed to {title}"),
        Some("ready_for_review") => format!("marked {title} as ready for review"),
        Some("converted_to_draft") => format!("made {title} a draft"),
        Some("review_requested") => format!("requested a review of {title}"),
        Some("review_request_removed") => format!("withdrew a request for review of {title}"),
        _ => did(event, &title),
    };
    let summary = format!("{} {did}", event.who());
    Some(event.told(change, Some(subject), &summary, time(pull_request, "updated_at")))
}

pub(super) fn review(event: &Event<'_>) -> Option<Change> {
    let review = event.part("review")?;
    let mut change = event.change();
    let subject = brought(event, &mut change)?;
    let state = text(review, "state").unwrap_or_default().to_ascii_lowercase();
    // Whether one approval is enough is decided by the branch's rules. Mere remarks decide nothing.
    if state != "commented" || !event.is(&["submitted", "edited"]) {
        change.stale.push(subject.clone());
    }
    let did = match (event.action, state.as_str()) {
        (Some("submitted"), "approved") => "approved",
        (Some("submitted"), "changes_requested") => "requested changes in",
        (Some("submitted"), _) => "reviewed",
        (Some("dismissed"), _) => "dismissed a review of",
        _ => "edited a review of",
    };
    let summary = format!("{} {did} {}", event.who(), title(event));
    Some(event.told(change, Some(subject), &summary, time(review, "submitted_at")))
}

pub(super) fn review_comment(event: &Event<'_>) -> Option<Change> {
    let comment = event.part("comment")?;
    let mut change = event.change();
    let pull_request = brought(event, &mut change)?;
    let brought = rest::comment(comment, &pull_request, event.is(&["edited"]))?;
    let deleted = event.is(&["deleted"]);
    let subject = if deleted {
        change.writes.push(NodeWrite::tombstone(brought.node, rest::gone(comment, event.received_at)));
        pull_request
    } else {
        write(&mut change, brought)
    };
    let did = match event.action {
        Some("deleted") => "deleted a comment on the changes of",
        Some("edited") => "edited a comment on the changes of",
        _ => "commented on the changes of",
    };
    let summary = format!("{} {did} {}", event.who(), title(event));
    Some(event.told(change, Some(subject), &summary, time(comment, "updated_at").filter(|_| !deleted)))
}

pub(super) fn thread(event: &Event<'_>) -> Option<Change> {
    let mut change = event.change();
    let subject = brought(event, &mut change)?;
    let summary = format!("{} {} a thread of {}", event.who(), event.verb(), title(event));
    Some(event.told(change, Some(subject), &summary, None))
}
