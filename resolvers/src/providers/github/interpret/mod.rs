//! The meaning of GitHub's events. Pure and total: every payload is interpreted or knowingly ignored, none is an error.

mod builds;
mod event;
mod installations;
mod issues;
mod pulls;
mod repositories;

use event::Event;

use crate::{
    json::read_members,
    provider::{
        StoredDelivery,
        change::{Change, Interpretation},
    },
};

/// Interprets a delivery.
pub(super) fn interpret(delivery: &StoredDelivery) -> Interpretation {
    let header = delivery.headers.get(super::webhook::EVENT).and_then(|name| name.to_str().ok());
    let name = header.unwrap_or_else(|| delivery.event.split('.').next().unwrap_or_default());
    if let Some(reason) = unused(name) {
        return Interpretation::Ignored(reason);
    }
    let Some(payload) = read_members(&delivery.document, is_wanted) else {
        return Interpretation::Ignored("the document is not JSON");
    };
    match changes(&Event::new(name, &payload, delivery.received_at)) {
        Some(change) => Interpretation::Changes(vec![change]),
        None => Interpretation::Ignored("the payload lacks what the event is about"),
    }
}

/// Most of a payload are addresses of GitHub's API, a hundred for each repository, and settings that nobody asks for.
fn is_wanted(name: &str) -> bool {
    if name.ends_with("_url") {
        return matches!(name, "html_url" | "avatar_url");
    }
    !name.starts_with("has_") && !UNUSED.contains(&name)
}

/// Members that are large or frequent, and that nothing here reads, wherever they stand.
const UNUSED: [&str; 24] = [
    "_links",
    "active_lock_reason",
    "allow_forking",
    "author_association",
    "custom_properties",
    "disabled",
    "enterprise",
    "events",
    "forks",
    "gravatar_id",
    "homepage",
    "is_template",
    "license",
    "open_issues",
    "open_issues_count",
    "performed_via_github_app",
    "permissions",
    "reactions",
    "site_admin",
    "topics",
    "visibility",
    "watchers",
    "watchers_count",
    "web_commit_signoff_required",
];

fn changes(event: &Event<'_>) -> Option<Change> {
    match event.name {
        "issues" => issues::issue(event),
        "issue_comment" => issues::comment(event),
        "label" => issues::label(event),
        "milestone" => issues::milestone(event),
        "pull_request" => pulls::pull_request(event),
        "pull_request_review" => pulls::review(event),
        "pull_request_review_comment" => pulls::review_comment(event),
        "pull_request_review_thread" => pulls::thread(event),
        "workflow_run" => builds::workflow_run(event),
        "check_run" => builds::check(event, "check_run"),
        "check_suite" => builds::check(event, "check_suite"),
        "status" => builds::status(event),
        "push" => repositories::push(event),
        "create" | "delete" => repositories::git_ref(event),
        "release" => repositories::release(event),
        "repository" | "public" => repositories::repository(event),
        "star" | "watch" | "fork" => repositories::counted(event),
        "team" | "team_add" => repositories::team(event),
        "installation" => installations::installation(event),
        "installation_repositories" => installations::repositories(event),
        _ => None,
    }
}

/// Why an event is not used.
fn unused(event: &str) -> Option<&'static str> {
    Some(match event {
        "issues"
        | "issue_comment"
        | "label"
        | "milestone"
        | "pull_request"
        | "pull_request_review"
        | "pull_request_review_comment"
        | "pull_request_review_thread"
        | "workflow_run"
        | "check_run"
        | "check_suite"
        | "status"
        | "push"
        | "create"
        | "delete"
        | "release"
        | "repository"
        | "public"
        | "star"
        | "watch"
        | "fork"
        | "team"
        | "team_add"
        | "installation"
        | "installation_repositories" => return None,
        "ping" => "GitHub's greeting after a webhook was created",
        "meta" => "tells that the webhook itself was deleted",
        "workflow_job" => "jobs are not shown; their run has its own events",
        "workflow_dispatch" | "repository_dispatch" => "a trigger; the run that it starts has its own events",
        "discussion" | "discussion_comment" => "discussions are not in the graph",
        "commit_comment" => "comments on commits are not in the graph",
        "gollum" => "wikis are not in the graph",
        "deployment" | "deployment_review" | "deployment_status" | "page_build" => "deployments are not in the graph",
        "project" | "project_card" | "project_column" | "projects_v2_item" => "project boards are not in the graph",
        "code_scanning_alert" | "dependabot_alert" | "repository_vulnerability_alert" | "security_advisory" => {
            "security alerts are not in the graph"
        }
        "member" | "membership" | "organization" | "org_block" => "memberships are not in the graph",
        "branch_protection_rule" | "deploy_key" | "merge_group" | "repository_import" => {
            "repository settings are not in the graph"
        }
        "package" => "packages are not in the graph",
        "marketplace_purchase" | "sponsorship" => "payments are not in the graph",
        "github_app_authorization" => "authorizations are seen when the token is used",
        _ => "not an event that Mullion knows",
    })
}
