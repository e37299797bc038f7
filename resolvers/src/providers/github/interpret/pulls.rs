//! Pull requests, their reviews and review comments.

use serde_json::Value;

use super::{
    super::{
        names::PULL_REQUEST,
        rest,
        values::{text, time},
    },
    event::{Event, id, once, person, said, titled, write},
    issues::{opening, parts},
};
use crate::provider::{
    NodeRef,
    change::{Change, NodeWrite},
    sentence::Detail,
};

/// The pull request of any event that carries one, written.
fn brought(event: &Event<'_>, change: &mut Change) -> Option<NodeRef> {
    Some(write(change, rest::pull_request(event.part("pull_request")?, event.repository())?))
}

fn title(event: &Event<'_>) -> Option<(&'static str, Detail)> {
    titled(event.part("pull_request")?, PULL_REQUEST)
}

pub(super) fn pull_request(event: &Event<'_>) -> Option<Change> {
    let pull_request = event.part("pull_request")?;
    let mut change = event.change();
    let brought = rest::pull_request(pull_request, event.repository())?;
    let merged = pull_request.get("merged") == Some(&Value::Bool(true));
    let subject = write(&mut change, brought);
    // New commits have checks and approvals of their own, which the payload does not tell.
    if event.is(&["synchronize", "reopened"]) {
        change.stale.push(subject.clone());
    }
    let mut parts = parts(event, pull_request, PULL_REQUEST);
    let team = || said("reviewer", event.part("requested_team")?, "name");
    let reviewer = event.part("requested_reviewer").and_then(person).map(|person| ("reviewer", person));
    parts.extend(reviewer.or_else(team));
    parts.extend(merged.then(|| ("merged", "yes".into())));
    let told = event.told(change, Some(subject), time(pull_request, "updated_at"), parts);
    Some(match event.action {
        Some("closed") if merged => once(told, merged_key(event, text(pull_request, "merge_commit_sha")), Vec::new()),
        Some("synchronize") => once(told, pushed_to(event, pull_request), Vec::new()),
        _ => opening(event, pull_request, told),
    })
}

/// The key that makes a merge the same, and tells the push to the base branch that comes with it.
pub(super) fn merged_key(event: &Event<'_>, commit: Option<&str>) -> Option<String> {
    Some(format!("merged:{}:{}", id(event.repository()?)?, commit?))
}

/// A push to the branch of a pull request is told of twice: as such, and by the pull request.
fn pushed_to(event: &Event<'_>, pull_request: &Value) -> Option<String> {
    let branch = text(pull_request.get("head")?, "ref")?;
    pushed_key(&format!("refs/heads/{branch}"), text(event.payload, "before"), text(event.payload, "after"))
}

/// The key that makes a push the same.
pub(super) fn pushed_key(name: &str, before: Option<&str>, after: Option<&str>) -> Option<String> {
    Some(format!("pushed:{name}:{}:{}", before?, after?))
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
    let remarks = state == "commented";
    let parts = title(event).into_iter().chain([("state", state.into())]);
    let told = event.told(change, Some(subject), time(review, "submitted_at"), parts);
    let Some(number) = review.get("id").and_then(Value::as_i64).filter(|_| event.is(&["submitted"])) else {
        return Some(told);
    };
    // Remarks alone were told with their first comment, if that came before.
    let unless = if remarks { vec![commented_key(number)] } else { Vec::new() };
    Some(once(told, Some(reviewed_key(number)), unless))
}

fn reviewed_key(review: i64) -> String {
    format!("review:{review}")
}

/// The comments of a review are submitted together.
fn commented_key(review: i64) -> String {
    format!("review:{review}:comment")
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
    let told = event.told(change, Some(subject), time(comment, "updated_at").filter(|_| !deleted), title(event));
    let review = comment.get("pull_request_review_id").and_then(Value::as_i64);
    Some(match review.filter(|_| event.is(&["created"])) {
        Some(review) => once(told, Some(commented_key(review)), vec![reviewed_key(review)]),
        None => told,
    })
}

pub(super) fn thread(event: &Event<'_>) -> Option<Change> {
    let mut change = event.change();
    let subject = brought(event, &mut change)?;
    Some(event.told(change, Some(subject), None, title(event)))
}
