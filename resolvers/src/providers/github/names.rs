//! The names of GitHub's types, lists and aspects as the engine and the graph know them: written once.

pub(super) const REPOSITORY: &str = "GithubRepository";
pub(super) const ISSUE: &str = "GithubIssue";
pub(super) const PULL_REQUEST: &str = "GithubPullRequest";
pub(super) const USER: &str = "GithubUser";
pub(super) const TEAM: &str = "GithubTeam";
pub(super) const COMMENT: &str = "GithubComment";
pub(super) const RELEASE: &str = "GithubRelease";
pub(super) const WORKFLOW_RUN: &str = "GithubWorkflowRun";

pub(super) const REPOSITORIES: &str = "repositories";
pub(super) const SEARCH: &str = "search";
pub(super) const ISSUES: &str = "issues";
pub(super) const PULL_REQUESTS: &str = "pullRequests";
pub(super) const RELEASES: &str = "releases";
pub(super) const WORKFLOW_RUNS: &str = "workflowRuns";
pub(super) const COMMENTS: &str = "comments";

/// The aspect that the thing's own `updatedAt` versions.
pub(super) const CORE: &str = "core";
/// A pull request's `checks`: its `updatedAt` does not move with them.
pub(super) const CHECKS: &str = "checks";
/// A pull request's `reviewDecision`.
pub(super) const REVIEW: &str = "review";
/// A repository's stars and forks.
pub(super) const COUNTS: &str = "counts";
/// A repository's numbers of open issues and pull requests.
pub(super) const OPEN: &str = "open";
/// A repository's `pushedAt`.
pub(super) const PUSHED: &str = "pushed";
/// A repository's latest release.
pub(super) const LATEST: &str = "latest";

/// Our type of one of GitHub's GraphQL types.
pub(super) fn of_typename(typename: &str) -> Option<&'static str> {
    Some(match typename {
        "Repository" => REPOSITORY,
        "Issue" => ISSUE,
        "PullRequest" => PULL_REQUEST,
        "User" | "Organization" | "Bot" | "Mannequin" | "EnterpriseUserAccount" => USER,
        "Team" => TEAM,
        "IssueComment" | "PullRequestReviewComment" => COMMENT,
        "Release" => RELEASE,
        _ => return None,
    })
}
