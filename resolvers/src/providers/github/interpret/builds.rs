//! Workflow runs, checks and commit statuses.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use super::{
    super::{
        names::{PULL_REQUEST, PULL_REQUESTS},
        rest,
        values::{list, object, text, time},
    },
    event::{Event, id, once, said, write},
};
use crate::provider::{NodeRef, change::Change};

pub(super) fn workflow_run(event: &Event<'_>) -> Option<Change> {
    let run = event.part("workflow_run")?;
    let mut change = event.change();
    let subject = write(&mut change, rest::workflow_run(run, event.repository())?);
    let number = run.get("run_number").and_then(Value::as_i64);
    let parts = [said("name", run, "name"), said("branch", run, "head_branch"), said("conclusion", run, "conclusion")];
    let parts = parts.into_iter().flatten().chain(number.map(|number| ("number", number.to_string().into())));
    let told = event.told(change, Some(subject), time(run, "updated_at"), parts);
    let attempt = run.get("run_attempt").and_then(Value::as_i64).unwrap_or(1);
    let build = id(run).map(|id| format!("run:{id}:{attempt}"));
    Some(concluding(told, build, text(run, "conclusion")))
}

/// A build is told when it begins, and again with each conclusion that it comes to. That it is still running adds nothing.
fn concluding(told: Change, build: Option<String>, conclusion: Option<&str>) -> Change {
    let Some(build) = build else { return told };
    let concluded = |conclusion: &str| format!("{build}:{conclusion}");
    match conclusion {
        Some(known) if CONCLUSIONS.contains(&known) => once(told, Some(concluded(known)), Vec::new()),
        Some(_) => once(told, Some(concluded(OTHER)), Vec::new()),
        None => {
            let unless = CONCLUSIONS.into_iter().chain([OTHER]).map(concluded).collect();
            once(told, Some(build), unless)
        }
    }
}

/// All that a run, a check, a suite or a commit status can come to today.
const CONCLUSIONS: [&str; 10] = [
    "success",
    "failure",
    "neutral",
    "cancelled",
    "skipped",
    "timed_out",
    "action_required",
    "stale",
    "startup_failure",
    "error",
];

/// The name for any other conclusion.
const OTHER: &str = "other";

/// GitHub's own builds: each of their jobs is a check, and each run a suite.
const ACTIONS: &str = "github-actions";

/// Check runs and check suites: they change the summed-up checks of pull requests, which the payload does not tell.
pub(super) fn check(event: &Event<'_>, part: &str) -> Option<Change> {
    let check = event.part(part)?;
    let mut change = event.change();
    let suite = object(check, "check_suite").unwrap_or(check);
    let pull_requests = list(check, "pull_requests");
    let known: Vec<NodeRef> = pull_requests.iter().flat_map(|item| pull_request_nodes(event, item)).collect();
    if known.is_empty() && may_have_pull_requests(event, text(suite, "head_branch")) {
        change.stale_lists.extend(event.list(PULL_REQUESTS));
    }
    let subject = known.first().cloned().or_else(|| event.repository_node());
    change.stale = known;
    let app = object(check, "app");
    // The run's own events tell of it.
    if app.and_then(|app| text(app, "slug")) == Some(ACTIONS) {
        return Some(change);
    }
    let name = said("name", check, "name").or_else(|| said("name", app?, "name"));
    let parts = [name, said("branch", suite, "head_branch"), said("conclusion", check, "conclusion")];
    let at = ["updated_at", "completed_at", "started_at"].into_iter().find_map(|key| time(check, key));
    let told = event.told(change, subject, at, parts.into_iter().flatten());
    let build = id(check).map(|id| format!("{part}:{id}"));
    match event.action {
        // Somebody asks for it again, or for something that only the check's app knows.
        Some("rerequested" | "requested_action") => Some(told),
        _ => Some(concluding(told, build, text(check, "conclusion"))),
    }
}

/// A commit status names a commit only, and the branches that it is on.
pub(super) fn status(event: &Event<'_>) -> Option<Change> {
    let state = text(event.payload, "state")?;
    let repository = event.repository_node()?;
    let mut change = event.change();
    let mut branches = list(event.payload, "branches").iter().filter_map(|branch| text(branch, "name")).peekable();
    if branches.peek().is_none() || branches.any(|branch| may_have_pull_requests(event, Some(branch))) {
        change.stale_lists.extend(event.list(PULL_REQUESTS));
    }
    let branch = list(event.payload, "branches").first().and_then(|branch| said("branch", branch, "name"));
    let conclusion = Some(state).filter(|state| *state != "pending");
    let parts = [said("name", event.payload, "context"), branch, conclusion.map(|state| ("conclusion", state.into()))];
    let told = event.told(change, Some(repository), time(event.payload, "updated_at"), parts.into_iter().flatten());
    let commit = text(event.payload, "sha").zip(text(event.payload, "context"));
    Some(concluding(told, commit.map(|(sha, context)| format!("status:{sha}:{context}")), conclusion))
}

/// A build on the default branch itself belongs to no pull request.
fn may_have_pull_requests(event: &Event<'_>, branch: Option<&str>) -> bool {
    let default = event.repository().and_then(|repository| text(repository, "default_branch"));
    branch.is_none() || branch != default
}

/// The pull requests of checks come without node ids. GitHub makes those out of numbers, in one of two formats; in repositories
/// with ids of the older format, pull requests may have either.
fn pull_request_nodes(event: &Event<'_>, item: &Value) -> Vec<NodeRef> {
    let node = |id: String| NodeRef::new(PULL_REQUEST, id);
    if let Some(id) = text(item, "node_id") {
        return vec![node(id.to_owned())];
    }
    let base = item.pointer("/base/repo/id").and_then(Value::as_u64);
    let repository = event.repository();
    let repository_id = repository.and_then(|repository| repository.get("id")?.as_u64());
    let (Some(id), Some(repository_id)) = (item.get("id").and_then(Value::as_u64), repository_id) else {
        return Vec::new();
    };
    // Pull requests of forks are listed by the fork's checks too, but live elsewhere.
    if base.is_some_and(|base| base != repository_id) {
        return Vec::new();
    }
    let older = repository.and_then(|repository| text(repository, "node_id")).is_some_and(|id| !id.starts_with("R_"));
    let mut nodes = vec![node(newer_id(repository_id, id))];
    if older {
        nodes.insert(0, node(STANDARD.encode(format!("011:PullRequest{id}"))));
    }
    nodes
}

/// `PR_` and the base64url of a MessagePack array: 0, repository, pull request.
fn newer_id(repository: u64, pull_request: u64) -> String {
    let mut bytes = vec![0x93, 0];
    for number in [repository, pull_request] {
        if let Ok(short) = u32::try_from(number) {
            bytes.push(0xce);
            bytes.extend(short.to_be_bytes());
        } else {
            bytes.push(0xcf);
            bytes.extend(number.to_be_bytes());
        }
    }
    format!("PR_{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::newer_id;

    #[test]
    fn an_id_of_the_newer_format_begins_like_its_repository() {
        // R_kgDOF6lyTA is repository 397,…: the same four bytes follow in the ids of what it owns (CS_kwDOF6lyTM8…).
        assert!(newer_id(0x17a9_724c, 0x3000_0000).starts_with("PR_kwDOF6lyTM4"));
        assert!(newer_id(0x17a9_724c, 0x1_1727_d6d7).starts_with("PR_kwDOF6lyTM8"));
    }
}
