//! GitHub's REST objects, as its webhooks carry them too, as node writes. Absent members are unknown, never empty.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mullion_schema::view::Body;
use serde_json::{Value, json};

use super::{
    names::{COMMENT, COUNTS, ISSUE, PULL_REQUEST, PUSHED, RELEASE, REPOSITORY, TEAM, USER, WORKFLOW_RUN},
    values::{day, labels, list, login, non_empty, object, sorted, stamp, text, time, upper},
};
use crate::provider::{
    NodeRef,
    change::{NodeWrite, Version},
};

/// Copies members under our names, where they are there.
fn copy(body: &mut Body, from: &Value, keys: &[(&str, &str)], read: fn(&Value) -> Value) {
    for (key, member) in keys {
        if let Some(value) = from.get(*member) {
            body.insert((*key).to_owned(), read(value));
        }
    }
}

/// The node that a REST object is.
pub(super) fn node(type_name: &'static str, value: &Value) -> Option<NodeRef> {
    Some(NodeRef::new(type_name, text(value, "node_id")?))
}

fn reference(type_name: &'static str, value: &Value) -> Value {
    node(type_name, value).map_or(Value::Null, |node| node.to_string().into())
}

fn references(type_name: &'static str, values: &[Value]) -> impl Iterator<Item = String> {
    values.iter().filter_map(move |value| Some(node(type_name, value)?.to_string()))
}

fn user_reference(value: &Value) -> Value {
    reference(USER, value)
}

fn updated(value: &Value) -> Version {
    time(value, "updated_at").map(Version::at).unwrap_or_default()
}

/// The version of the fact that a thing is gone: after everything that was known of it at its last change.
pub(super) fn gone(value: &Value, received_at: DateTime<Utc>) -> Version {
    let at = time(value, "updated_at").map_or(received_at, |updated| updated.max(received_at));
    Version::ranked(at, 1)
}

/// A person. REST says no time of change: version 0, so that it never replaces what GraphQL told.
pub(super) fn user(value: &Value) -> Option<NodeWrite> {
    let node = node(USER, value)?;
    let login = login(value)?;
    let mut body = Body::from_iter([("login".to_owned(), login.into())]);
    copy(&mut body, value, &[("avatarUrl", "avatar_url"), ("url", "html_url")], Value::clone);
    copy(&mut body, value, &[("kind", "type")], |kind| match upper(kind) {
        Value::Null => "USER".into(),
        kind => kind,
    });
    Some(NodeWrite::core(node, Version::default(), body))
}

/// Everyone who is mentioned anywhere in a payload, once.
pub(super) fn people(payload: &Value) -> Vec<NodeWrite> {
    fn visit(value: &Value, depth: usize, seen: &mut BTreeSet<NodeRef>, found: &mut Vec<NodeWrite>) {
        match value {
            Value::Array(items) if depth > 0 => items.iter().for_each(|item| visit(item, depth - 1, seen, found)),
            Value::Object(members) if depth > 0 => {
                if members.contains_key("login")
                    && members.get("type").is_some_and(Value::is_string)
                    && let Some(write) = user(value)
                    && seen.insert(write.node.clone())
                {
                    found.push(write);
                }
                members.values().for_each(|member| visit(member, depth - 1, seen, found));
            }
            _ => {}
        }
    }
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    visit(payload, 8, &mut seen, &mut found);
    found
}

/// A repository, without its counts.
pub(super) fn repository(value: &Value) -> Option<NodeWrite> {
    let node = node(REPOSITORY, value)?;
    let mut body = Body::new();
    let plain =
        [("name", "name"), ("nameWithOwner", "full_name"), ("isPrivate", "private"), ("isArchived", "archived")];
    copy(&mut body, value, &plain, Value::clone);
    copy(&mut body, value, &[("url", "html_url"), ("defaultBranch", "default_branch")], Value::clone);
    copy(&mut body, value, &[("description", "description"), ("primaryLanguage", "language")], non_empty);
    copy(&mut body, value, &[("createdAt", "created_at"), ("updatedAt", "updated_at")], stamp);
    if let Some(owner) = object(value, "owner").filter(|owner| owner.get("node_id").is_some()) {
        body.insert("owner".into(), user_reference(owner));
    }
    let write = NodeWrite::core(node, updated(value), body);
    Some(match time(value, "pushed_at") {
        Some(at) => {
            write.with(PUSHED, Version::at(at), Body::from_iter([("pushedAt".into(), stamp(&value["pushed_at"]))]))
        }
        None => write,
    })
}

/// A repository with its counts, as they were at `at`.
pub(super) fn counted_repository(value: &Value, at: DateTime<Utc>) -> Option<NodeWrite> {
    let mut body = Body::new();
    let counts = [("stargazerCount", "stargazers_count"), ("forkCount", "forks_count")];
    copy(&mut body, value, &counts, Value::clone);
    Some(repository(value)?.with(COUNTS, Version::at(at), body))
}

/// The fields that issues and pull requests have in common.
fn work_item(value: &Value, repository: Option<&Value>) -> Body {
    let mut body = Body::new();
    copy(&mut body, value, &[("number", "number"), ("title", "title"), ("url", "html_url")], Value::clone);
    copy(&mut body, value, &[("commentCount", "comments")], Value::clone);
    copy(&mut body, value, &[("bodyText", "body")], |text| text.as_str().unwrap_or_default().into());
    let times = [("createdAt", "created_at"), ("updatedAt", "updated_at"), ("closedAt", "closed_at")];
    copy(&mut body, value, &times, stamp);
    copy(&mut body, value, &[("author", "user")], user_reference);
    if value.get("assignees").is_some() {
        let assignees = list(value, "assignees");
        body.insert("assignees".into(), sorted(references(USER, assignees)));
        let logins = assignees.iter().filter_map(login).map(str::to_lowercase);
        body.insert("assigneeLogins".into(), sorted(logins));
    }
    copy(&mut body, value, &[("labels", "labels")], |all| labels(all.as_array().map_or(&[], Vec::as_slice)));
    copy(&mut body, value, &[("milestone", "milestone")], |milestone| {
        milestone.get("title").map_or(Value::Null, Value::clone)
    });
    copy(&mut body, value, &[("dueOn", "milestone")], |milestone| milestone.get("due_on").map_or(Value::Null, day));
    if let Some(repository) = repository {
        body.insert("repository".into(), reference(REPOSITORY, repository));
        copy(&mut body, repository, &[("repositoryName", "full_name")], Value::clone);
    }
    body
}

/// An issue; a pull request where the issue is one.
pub(super) fn issue(value: &Value, repository: Option<&Value>) -> Option<NodeWrite> {
    if object(value, "pull_request").is_some() {
        return pull_request(value, repository);
    }
    let mut body = work_item(value, repository);
    copy(&mut body, value, &[("issueState", "state"), ("stateReason", "state_reason")], upper);
    // Payloads leave it out where there is none to tell: of an open issue that is known, not missing.
    if body.get("issueState").is_some_and(|state| state == "OPEN") {
        body.entry("stateReason").or_insert(Value::Null);
    }
    Some(NodeWrite::core(node(ISSUE, value)?, updated(value), body))
}

/// A pull request, whole or in the short form of review events and issue comments.
pub(super) fn pull_request(value: &Value, repository: Option<&Value>) -> Option<NodeWrite> {
    let mut body = work_item(value, repository);
    let merged_at = value.get("merged_at").or_else(|| value.pointer("/pull_request/merged_at"));
    let merged = value.get("merged") == Some(&Value::Bool(true)) || merged_at.is_some_and(Value::is_string);
    copy(&mut body, value, &[("pullRequestState", "state")], upper);
    if merged {
        body.insert("pullRequestState".into(), "MERGED".into());
    }
    if let Some(merged_at) = merged_at {
        body.insert("mergedAt".into(), stamp(merged_at));
    }
    let plain = [
        ("isDraft", "draft"),
        ("additions", "additions"),
        ("deletions", "deletions"),
        ("changedFiles", "changed_files"),
    ];
    copy(&mut body, value, &plain, Value::clone);
    for (side, keys) in [("head", &[("headRef", "ref"), ("headSha", "sha")][..]), ("base", &[("baseRef", "ref")])] {
        if let Some(side) = object(value, side) {
            copy(&mut body, side, keys, Value::clone);
        }
    }
    if value.get("requested_reviewers").is_some() {
        let teams = references(TEAM, list(value, "requested_teams"));
        let people = references(USER, list(value, "requested_reviewers"));
        body.insert("requestedReviewers".into(), sorted(people.chain(teams)));
    }
    Some(NodeWrite::core(node(PULL_REQUEST, value)?, updated(value), body))
}

/// A team.
pub(super) fn team(value: &Value) -> Option<NodeWrite> {
    let mut body = Body::new();
    copy(&mut body, value, &[("name", "name"), ("slug", "slug"), ("url", "html_url")], Value::clone);
    copy(&mut body, value, &[("createdAt", "created_at"), ("updatedAt", "updated_at")], stamp);
    Some(NodeWrite::core(node(TEAM, value)?, updated(value), body))
}

/// A comment on an issue or a pull request.
pub(super) fn comment(value: &Value, subject: &NodeRef, edited: bool) -> Option<NodeWrite> {
    let subject = ("subject".to_owned(), subject.to_string().into());
    let mut body = Body::from_iter([subject, ("replyCount".to_owned(), Value::Null)]);
    copy(&mut body, value, &[("text", "body")], |text| text.as_str().unwrap_or_default().into());
    copy(&mut body, value, &[("author", "user")], user_reference);
    copy(&mut body, value, &[("url", "html_url")], Value::clone);
    let times = [("sentAt", "created_at"), ("createdAt", "created_at"), ("updatedAt", "updated_at")];
    copy(&mut body, value, &times, stamp);
    // REST does not say when a comment was edited, only the event says that it was.
    let edited_at = value.get("updated_at").filter(|_| edited).map_or(Value::Null, stamp);
    body.insert("editedAt".into(), edited_at);
    if value.get("pull_request_review_id").is_some() {
        body.insert("inReview".into(), true.into());
    }
    Some(NodeWrite::core(node(COMMENT, value)?, updated(value), body))
}

/// A release.
pub(super) fn release(value: &Value, repository: Option<&Value>) -> Option<NodeWrite> {
    let mut body = Body::new();
    copy(&mut body, value, &[("name", "name")], non_empty);
    let plain = [("tagName", "tag_name"), ("isPrerelease", "prerelease"), ("isDraft", "draft"), ("url", "html_url")];
    copy(&mut body, value, &plain, Value::clone);
    let times = [("publishedAt", "published_at"), ("createdAt", "created_at"), ("updatedAt", "updated_at")];
    copy(&mut body, value, &times, stamp);
    copy(&mut body, value, &[("author", "author")], user_reference);
    if let Some(repository) = repository {
        body.insert("repository".into(), reference(REPOSITORY, repository));
    }
    let changed = ["updated_at", "published_at", "created_at"].into_iter().find_map(|key| time(value, key));
    if let Some(changed) = changed {
        body.entry("updatedAt").or_insert_with(|| json!(changed.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)));
    }
    Some(NodeWrite::core(node(RELEASE, value)?, changed.map(Version::at).unwrap_or_default(), body))
}

/// A workflow run. Several changes of its status may fall into one second: later statuses rank higher.
pub(super) fn workflow_run(value: &Value, repository: Option<&Value>) -> Option<NodeWrite> {
    let mut body = Body::new();
    let plain = [("displayTitle", "display_title"), ("branch", "head_branch"), ("headSha", "head_sha")];
    copy(&mut body, value, &plain, Value::clone);
    let plain = [("runNumber", "run_number"), ("event", "event"), ("url", "html_url"), ("databaseId", "id")];
    copy(&mut body, value, &plain, Value::clone);
    copy(&mut body, value, &[("status", "status"), ("conclusion", "conclusion")], upper);
    let times = [("startedAt", "run_started_at"), ("createdAt", "created_at"), ("updatedAt", "updated_at")];
    copy(&mut body, value, &times, stamp);
    copy(&mut body, value, &[("actor", "actor")], user_reference);
    let name = text(value, "name").or_else(|| text(value, "path")).unwrap_or("workflow");
    body.insert("name".into(), name.into());
    let status = text(value, "status").unwrap_or_default();
    let finished = value.get("updated_at").filter(|_| status == "completed").map_or(Value::Null, stamp);
    body.insert("finishedAt".into(), finished);
    if let Some(repository) = object(value, "repository").or(repository) {
        body.insert("repository".into(), reference(REPOSITORY, repository));
        copy(&mut body, repository, &[("repositoryName", "full_name")], Value::clone);
    }
    let rank = match status {
        "completed" => 3,
        "in_progress" => 2,
        "queued" | "waiting" | "pending" => 1,
        _ => 0,
    };
    let version = Version { rank, ..updated(value) };
    Some(NodeWrite::core(node(WORKFLOW_RUN, value)?, version, body))
}
