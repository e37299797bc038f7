//! GitHub in the graph: repositories, issues, pull requests, people, releases and workflow runs.

mod enums;
mod people;
mod repository;
mod root;
mod talk;

pub use enums::{GithubIssueState, GithubSearchType, GithubUserKind};
pub use people::{GITHUB_TEAM, GITHUB_USER, GithubReviewer, GithubTeam, GithubUser};
pub use repository::{
    GITHUB_ISSUE, GITHUB_PULL_REQUEST, GITHUB_RELEASE, GITHUB_REPOSITORY, GITHUB_WORKFLOW_RUN, GithubIssue,
    GithubPullRequest, GithubRelease, GithubRepository, GithubWorkflowRun,
};
pub use root::{GITHUB, Github, GithubSearchHit};
pub use talk::{GITHUB_COMMENT, GithubComment};

use super::ProviderGraph;
use crate::table::NodeType;

/// The node types.
pub static TYPES: &[&NodeType] = &[
    &GITHUB_REPOSITORY,
    &GITHUB_ISSUE,
    &GITHUB_PULL_REQUEST,
    &GITHUB_USER,
    &GITHUB_TEAM,
    &GITHUB_COMMENT,
    &GITHUB_RELEASE,
    &GITHUB_WORKFLOW_RUN,
];

/// GitHub's part of the graph.
pub static PROVIDER: ProviderGraph = ProviderGraph {
    key: "github",
    doc: "GitHub, through one of your integrations. Null until an admin has connected one with `connectIntegration`.",
    root: &GITHUB,
    types: TYPES,
};
