//! GitHub's events as people read them.

use crate::{capitalized::capitalized, provider::sentence::SentenceParts};

/// An activity in words.
pub(super) fn sentence(parts: &SentenceParts<'_>) -> String {
    let (event, action) = parts.kind.split_once('.').unwrap_or((parts.kind, ""));
    match event {
        "issues" => item(parts, action, "an issue"),
        "pull_request" => pull_request(parts, action),
        "issue_comment" => comment(parts, action, "an issue"),
        "pull_request_review_comment" => comment(parts, action, "a pull request"),
        "pull_request_review" => review(parts, action),
        "pull_request_review_thread" => {
            let thread = format!("a conversation about {}", named(parts, "a pull request"));
            act(parts, past(action, "changed"), &thread, "")
        }
        "label" => act(parts, past(action, "changed"), &a_or_the(parts, "label", "label"), &place(parts)),
        "milestone" => act(parts, past(action, "changed"), &a_or_the(parts, "milestone", "milestone"), &place(parts)),
        "workflow_run" => workflow_run(parts),
        "check_run" | "check_suite" | "status" => check(parts, action),
        "push" => push(parts),
        "create" | "delete" => branch(parts, if event == "create" { "created" } else { "deleted" }),
        "release" => release(parts, action),
        "star" | "watch" if action == "deleted" => act(parts, "removed", "a star", &from(parts)),
        "star" | "watch" => act(parts, "starred", &repository(parts), ""),
        "fork" => act(parts, "forked", &repository(parts), ""),
        "public" => act(parts, "published", &repository(parts), ""),
        "repository" if parts.has("old") => {
            // A name that differs in nothing that is shown says nothing.
            let new = parts.get("new").filter(|new| parts.get("old").as_ref() != Some(new));
            let new = new.map(|new| format!(" to {new}")).unwrap_or_default();
            act(parts, "renamed", &parts.or("old", "a repository"), &new)
        }
        "repository" if action == "privatized" => act(parts, "turned", &repository(parts), " private"),
        "repository" => act(parts, repository_verb(action), &repository(parts), ""),
        "team" | "team_add" => team(parts, action),
        "installation" => installation(parts, action),
        "installation_repositories" => granted(parts),
        _ => act(parts, "changed", &repository(parts), ""),
    }
}

/// `Ada merged ‘Fix the login’ in acme/web`, or `‘Fix the login’ was merged in acme/web`. For verbs whose participle is their past.
fn act(parts: &SentenceParts<'_>, verb: &str, object: &str, more: &str) -> String {
    parts.by_actor(&format!("{verb} {object}{more}"), &format!("{object} was {verb}{more}"))
}

/// An action as a verb: nearly all of GitHub's are.
fn past<'a>(action: &'a str, otherwise: &'a str) -> &'a str {
    if action.ends_with("ed") { action } else { otherwise }
}

/// ` in acme/web`
fn place(parts: &SentenceParts<'_>) -> String {
    parts.get("in").map(|place| format!(" in {place}")).unwrap_or_default()
}

/// ` from acme/web`
fn from(parts: &SentenceParts<'_>) -> String {
    format!(" from {}", repository(parts))
}

/// `the label ‘bug’`, or `a label`.
fn a_or_the(parts: &SentenceParts<'_>, what: &str, part: &str) -> String {
    parts.get(part).map_or_else(|| format!("a {what}"), |name| format!("the {what} ‘{name}’"))
}

fn repository(parts: &SentenceParts<'_>) -> String {
    parts.or("in", "a repository")
}

/// `‘Fix the login’ in acme/web`
fn named(parts: &SentenceParts<'_>, otherwise: &str) -> String {
    format!("{}{}", parts.quoted("title", otherwise), place(parts))
}

/// An event that happens to issues and pull requests alike.
fn item(parts: &SentenceParts<'_>, action: &str, otherwise: &str) -> String {
    let item = named(parts, otherwise);
    let label = || a_or_the(parts, "label", "label");
    match action {
        "labeled" => act(parts, "added", &label(), &format!(" to {item}")),
        "unlabeled" => act(parts, "removed", &label(), &format!(" from {item}")),
        "assigned" => act(parts, "assigned", &item, &format!(" to {}", parts.or("assignee", "somebody"))),
        "unassigned" => act(parts, "unassigned", &item, &format!(" from {}", parts.or("assignee", "somebody"))),
        "milestoned" => act(parts, "added", &item, &format!(" to {}", a_or_the(parts, "milestone", "milestone"))),
        "demilestoned" => act(parts, "removed", &item, &format!(" from {}", a_or_the(parts, "milestone", "milestone"))),
        "typed" => act(parts, "changed", &format!("the type of {item}"), ""),
        "untyped" => act(parts, "removed", &format!("the type of {item}"), ""),
        _ => act(parts, past(action, "changed"), &item, ""),
    }
}

fn pull_request(parts: &SentenceParts<'_>, action: &str) -> String {
    let pull_request = named(parts, "a pull request");
    let reviewer = || parts.or("reviewer", "somebody");
    match action {
        "closed" if parts.has("merged") => act(parts, "merged", &pull_request, ""),
        "synchronize" => {
            parts.by_actor(&format!("pushed to {pull_request}"), &format!("new commits were pushed to {pull_request}"))
        }
        "ready_for_review" => act(parts, "marked", &pull_request, " as ready for review"),
        "converted_to_draft" => act(parts, "turned", &pull_request, " into a draft"),
        "review_requested" => {
            act(parts, "requested", &format!("a review of {pull_request}"), &format!(" from {}", reviewer()))
        }
        "review_request_removed" => {
            let request = format!("the request for a review of {pull_request}");
            act(parts, "removed", &request, &format!(" from {}", reviewer()))
        }
        "auto_merge_enabled" => act(parts, "enabled", &format!("auto-merge for {pull_request}"), ""),
        "auto_merge_disabled" => act(parts, "disabled", &format!("auto-merge for {pull_request}"), ""),
        "enqueued" => act(parts, "added", &pull_request, " to the merge queue"),
        "dequeued" => act(parts, "removed", &pull_request, " from the merge queue"),
        _ => item(parts, action, "a pull request"),
    }
}

fn comment(parts: &SentenceParts<'_>, action: &str, otherwise: &str) -> String {
    let item = named(parts, otherwise);
    match action {
        "created" | "" => parts.by_actor(&format!("commented on {item}"), &format!("a comment was added to {item}")),
        _ => act(parts, past(action, "changed"), &format!("a comment on {item}"), ""),
    }
}

fn review(parts: &SentenceParts<'_>, action: &str) -> String {
    let pull_request = named(parts, "a pull request");
    match (action, parts.or("state", "").as_str()) {
        ("submitted", "approved") => act(parts, "approved", &pull_request, ""),
        ("submitted", "changes_requested") => act(parts, "requested", &format!("changes to {pull_request}"), ""),
        ("submitted", _) => act(parts, "reviewed", &pull_request, ""),
        _ => act(parts, past(action, "edited"), &format!("a review of {pull_request}"), ""),
    }
}

fn workflow_run(parts: &SentenceParts<'_>) -> String {
    let number = parts.get("number").map(|number| format!(" #{number}")).unwrap_or_default();
    let build = format!("Build{}{number}", parts.get("name").map(|name| format!(" {name}")).unwrap_or_default());
    format!("{build} {}{}{}", outcome(parts), on(parts), place(parts))
}

fn check(parts: &SentenceParts<'_>, action: &str) -> String {
    let check = parts.get("name").map_or_else(|| "check".to_owned(), |name| format!("check {name}"));
    match action {
        "rerequested" => act(parts, "requested", &format!("the {check}"), &format!(" again{}", place(parts))),
        "requested_action" => act(parts, "requested", "an action", &format!(" of the {check}{}", place(parts))),
        _ => format!("{} {}{}{}", capitalized(&check), outcome(parts), on(parts), place(parts)),
    }
}

/// ` on main`
fn on(parts: &SentenceParts<'_>) -> String {
    parts.get("branch").map(|branch| format!(" on {branch}")).unwrap_or_default()
}

fn outcome(parts: &SentenceParts<'_>) -> String {
    let Some(conclusion) = parts.get("conclusion") else { return "started".to_owned() };
    match conclusion.as_str() {
        "success" => "succeeded",
        "failure" | "startup_failure" | "error" => "failed",
        "cancelled" => "was cancelled",
        "skipped" => "was skipped",
        "timed_out" => "timed out",
        "action_required" => "needs somebody's approval",
        "neutral" => "finished",
        "stale" => "was given up",
        other => return format!("finished as {}", other.replace('_', " ")),
    }
    .to_owned()
}

fn push(parts: &SentenceParts<'_>) -> String {
    let (kind, name) = (parts.or("type", "branch"), parts.or("ref", "a branch"));
    let commits = match parts.or("commits", "0").as_str() {
        "0" => None,
        "1" => Some("1 commit".to_owned()),
        many => Some(format!("{many} commits")),
    };
    if parts.has("deleted") {
        return branch(parts, "deleted");
    }
    match commits {
        Some(commits) if parts.has("created") => pushed(parts, &commits, &format!("the new {kind} {name}")),
        None if parts.has("created") => branch(parts, "created"),
        _ if parts.has("forced") => {
            let name = format!("{name}{}", place(parts));
            parts.by_actor(&format!("force-pushed {name}"), &format!("{name} was force-pushed"))
        }
        Some(commits) => pushed(parts, &commits, &name),
        None => act(parts, "pushed", &name, &place(parts)),
    }
}

fn pushed(parts: &SentenceParts<'_>, commits: &str, to: &str) -> String {
    let were = if commits.starts_with("1 ") { "was" } else { "were" };
    let place = place(parts);
    parts.by_actor(&format!("pushed {commits} to {to}{place}"), &format!("{commits} {were} pushed to {to}{place}"))
}

fn branch(parts: &SentenceParts<'_>, verb: &str) -> String {
    let kind = parts.or("type", "branch");
    let branch = parts.get("ref").map_or_else(|| format!("a {kind}"), |name| format!("the {kind} {name}"));
    act(parts, verb, &branch, &place(parts))
}

fn release(parts: &SentenceParts<'_>, action: &str) -> String {
    let verb = match action {
        "released" | "prereleased" => "published",
        _ => past(action, "changed"),
    };
    act(parts, verb, &a_or_the(parts, "release", "name"), &place(parts))
}

fn repository_verb(action: &str) -> &str {
    match action {
        "publicized" => "published",
        _ => past(action, "changed"),
    }
}

fn team(parts: &SentenceParts<'_>, action: &str) -> String {
    let team = a_or_the(parts, "team", "team");
    match action {
        "added_to_repository" | "" => act(parts, "added", &team, &format!(" to {}", repository(parts))),
        "removed_from_repository" => act(parts, "removed", &team, &from(parts)),
        _ => act(parts, past(action, "changed"), &team, ""),
    }
}

fn installation(parts: &SentenceParts<'_>, action: &str) -> String {
    let account = parts.or("account", "an account");
    match action {
        "created" => act(parts, "installed", "the app", &format!(" for {account}")),
        "deleted" => act(parts, "removed", "the app", &format!(" from {account}")),
        "suspend" => act(parts, "suspended", "the app", &format!(" for {account}")),
        "unsuspend" => act(parts, "resumed", "the app", &format!(" for {account}")),
        _ => act(parts, "changed", "the app's permissions", &format!(" for {account}")),
    }
}

fn granted(parts: &SentenceParts<'_>) -> String {
    let account = parts.or("account", "an account");
    let count = |part: &str| match parts.or(part, "0").as_str() {
        "1" => "1 repository".to_owned(),
        many => format!("{many} repositories"),
    };
    let added = parts.or("added", "0");
    let (did, was) = if added == "0" {
        let repositories = format!("{} of {account} from the app", count("removed"));
        (format!("removed {repositories}"), format!("the app lost {} of {account}", count("removed")))
    } else {
        let repositories = format!("{} of {account} to the app", count("added"));
        (format!("added {repositories}"), format!("the app got {} of {account}", count("added")))
    };
    parts.by_actor(&did, &was)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::sentence;
    use crate::provider::sentence::{Details, Names, SentenceParts};

    fn worded(kind: &str, parts: &Value, names: &Names) -> String {
        let details: Details = serde_json::from_value(parts.clone()).unwrap();
        sentence(&SentenceParts {
            gone: false,
            kind,
            details: &details,
            occurred_at: chrono::DateTime::UNIX_EPOCH,
            names,
        })
    }

    fn with(parts: Value, common: &Value) -> Value {
        let Value::Object(mut all) = parts else { panic!("parts") };
        all.extend(common.as_object().unwrap().clone());
        Value::Object(all)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn sentences_name_who_and_what() {
        let names = Names::of_bodies(&json!({ "GithubUser:U_1": { "name": "Ada Lovelace", "login": "ada" } }));
        let common = json!({ "title": "Fix the login", "in": "acme/web" });
        let by = with(json!({ "actor": { "node": "GithubUser:U_1", "given": "ada" } }), &common);
        for (kind, parts, expected) in [
            ("issues.opened", json!({}), "opened ‘Fix the login’ in acme/web"),
            ("issues.closed", json!({}), "closed ‘Fix the login’ in acme/web"),
            ("issues.labeled", json!({ "label": "bug" }), "added the label ‘bug’ to ‘Fix the login’ in acme/web"),
            ("issues.unlabeled", json!({}), "removed a label from ‘Fix the login’ in acme/web"),
            (
                "issues.assigned",
                json!({ "assignee": { "node": "GithubUser:U_2", "given": "bob" } }),
                "assigned ‘Fix the login’ in acme/web to bob",
            ),
            (
                "issues.milestoned",
                json!({ "milestone": "1.0" }),
                "added ‘Fix the login’ in acme/web to the milestone ‘1.0’",
            ),
            ("issue_comment.created", json!({}), "commented on ‘Fix the login’ in acme/web"),
            ("issue_comment.deleted", json!({}), "deleted a comment on ‘Fix the login’ in acme/web"),
            ("pull_request.closed", json!({}), "closed ‘Fix the login’ in acme/web"),
            ("pull_request.closed", json!({ "merged": "yes" }), "merged ‘Fix the login’ in acme/web"),
            ("pull_request.synchronize", json!({}), "pushed to ‘Fix the login’ in acme/web"),
            ("pull_request.ready_for_review", json!({}), "marked ‘Fix the login’ in acme/web as ready for review"),
            (
                "pull_request.review_requested",
                json!({ "reviewer": "bob" }),
                "requested a review of ‘Fix the login’ in acme/web from bob",
            ),
            ("pull_request_review.submitted", json!({ "state": "approved" }), "approved ‘Fix the login’ in acme/web"),
            (
                "pull_request_review.submitted",
                json!({ "state": "changes_requested" }),
                "requested changes to ‘Fix the login’ in acme/web",
            ),
            (
                "pull_request_review.dismissed",
                json!({ "state": "dismissed" }),
                "dismissed a review of ‘Fix the login’ in acme/web",
            ),
            (
                "pull_request_review_thread.resolved",
                json!({}),
                "resolved a conversation about ‘Fix the login’ in acme/web",
            ),
            ("label.created", json!({ "label": "bug" }), "created the label ‘bug’ in acme/web"),
            ("milestone.closed", json!({ "milestone": "1.0" }), "closed the milestone ‘1.0’ in acme/web"),
            ("push", json!({ "ref": "main", "commits": "3" }), "pushed 3 commits to main in acme/web"),
            (
                "push",
                json!({ "ref": "main", "commits": "1", "created": "yes", "type": "branch" }),
                "pushed 1 commit to the new branch main in acme/web",
            ),
            ("push", json!({ "ref": "v1", "type": "tag", "deleted": "yes" }), "deleted the tag v1 in acme/web"),
            ("push", json!({ "ref": "main", "forced": "yes", "commits": "2" }), "force-pushed main in acme/web"),
            ("create", json!({ "ref": "next", "type": "branch" }), "created the branch next in acme/web"),
            ("release.published", json!({ "name": "v1.0" }), "published the release ‘v1.0’ in acme/web"),
            ("star.created", json!({}), "starred acme/web"),
            ("star.deleted", json!({}), "removed a star from acme/web"),
            ("fork", json!({}), "forked acme/web"),
            ("repository.renamed", json!({}), "renamed acme/web"),
            ("repository.renamed", json!({ "old": "acme/site", "new": "acme/web" }), "renamed acme/site to acme/web"),
            ("repository.privatized", json!({}), "turned acme/web private"),
            ("public", json!({}), "published acme/web"),
            ("team.added_to_repository", json!({ "team": "Core" }), "added the team ‘Core’ to acme/web"),
            ("installation.created", json!({ "account": "acme" }), "installed the app for acme"),
            (
                "installation_repositories.added",
                json!({ "account": "acme", "added": "2" }),
                "added 2 repositories of acme to the app",
            ),
            ("check_run.rerequested", json!({ "name": "lint" }), "requested the check lint again in acme/web"),
        ] {
            let parts = with(parts, &by);
            assert_eq!(worded(kind, &parts, &names), format!("Ada Lovelace {expected}"));
            assert_eq!(worded(kind, &parts, &Names::default()), format!("ada {expected}"), "the login stands in");
            let mut nobody = parts;
            nobody.as_object_mut().unwrap().remove("actor");
            let passive = worded(kind, &nobody, &names);
            assert!(
                passive.contains(" was ") || passive.contains(" were ") || passive.contains("app got"),
                "{passive}"
            );
        }
        for (kind, parts, expected) in [
            (
                "workflow_run.requested",
                json!({ "name": "CI", "number": "42", "branch": "main" }),
                "Build CI #42 started on main in acme/web",
            ),
            (
                "workflow_run.completed",
                json!({ "name": "CI", "number": "42", "branch": "main", "conclusion": "failure" }),
                "Build CI #42 failed on main in acme/web",
            ),
            (
                "workflow_run.completed",
                json!({ "conclusion": "invented_tomorrow" }),
                "Build finished as invented tomorrow in acme/web",
            ),
            (
                "check_run.completed",
                json!({ "name": "lint", "conclusion": "success" }),
                "Check lint succeeded in acme/web",
            ),
            (
                "status",
                json!({ "name": "ci/travis", "conclusion": "error", "branch": "main" }),
                "Check ci/travis failed on main in acme/web",
            ),
        ] {
            assert_eq!(worded(kind, &with(parts, &common), &names), expected);
        }
        let closed = with(json!({}), &common);
        assert_eq!(worded("issues.closed", &closed, &names), "‘Fix the login’ in acme/web was closed");
    }
}
