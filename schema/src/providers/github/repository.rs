//! Repositories, their releases and workflow runs.

use std::collections::BTreeMap;

use async_graphql::Value;

use super::{GithubIssue, GithubIssueState, GithubPullRequest, GithubUser};
use crate::{
    enums::{BuildConclusion, PullRequestState},
    interfaces::{build, container, node, provider_node},
    table::{AFTER, Arg, Arguments, Derive, FIRST, Field, Found, Row, table},
    view::NodeView,
};

const NAME_WITH_OWNER: Derive = Derive::new(|view| view.text("nameWithOwner").map(Value::from), &["nameWithOwner"]);
const RELEASE_TITLE: Derive = Derive::new(
    |view| view.text("name").filter(|name| !name.is_empty()).or_else(|| view.text("tagName")).map(Value::from),
    &["name", "tagName"],
);
const RUN_TITLE: Derive = Derive::new(
    |view| view.text("displayTitle").or_else(|| view.text("name")).map(Value::from),
    &["displayTitle", "name"],
);

const NUMBER: &[Arg] = &[Arg::lookup::<i32>("number", "The number in the repository.")];
const ISSUES: &[Arg] = &[
    FIRST,
    AFTER,
    Arg::filter::<Option<Vec<GithubIssueState>>>("states", "Only issues in one of these states; left out: all."),
    Arg::filter::<Option<Vec<String>>>("labels", "Only issues with one of these labels."),
    Arg::filter::<Option<String>>("assignee", "Only issues assigned to the user with this login."),
];
const PULL_REQUESTS: &[Arg] = &[
    FIRST,
    AFTER,
    Arg::filter::<Option<Vec<PullRequestState>>>("states", "Only pull requests in one of these states; left out: all."),
];
const WORKFLOW_RUNS: &[Arg] = &[
    FIRST,
    AFTER,
    Arg::filter::<Option<String>>("branch", "Only runs on this branch."),
    Arg::filter::<Option<BuildConclusion>>("conclusion", "Only runs that ended like this."),
];

fn by_number(name: &'static str, type_name: &'static str, view: &NodeView, arguments: &Arguments) -> Found {
    let number = arguments.text("number").unwrap_or_default();
    let repository = view.key.native_id.as_ref().to_owned();
    Found::Lookup(name, type_name, BTreeMap::from([("repository", repository), ("number", number)]))
}

fn issue(view: &NodeView, arguments: &Arguments) -> Found {
    by_number("issue", "GithubIssue", view, arguments)
}

fn pull_request(view: &NodeView, arguments: &Arguments) -> Found {
    by_number("pullRequest", "GithubPullRequest", view, arguments)
}

table! {
    /// A repository.
    GithubRepository = GITHUB_REPOSITORY {
        provider: "github",
        doc: "A repository on GitHub.",
        interfaces: &["Node", "ProviderNode", "Container"],
        always: &["name", "nameWithOwner", "isPrivate", "isArchived", "updatedAt"],
        fields: &[
            &node(),
            &provider_node(NAME_WITH_OWNER),
            &container(),
            &[
                Field::text("nameWithOwner", "Owner and name: acme/web.").required(),
                Field::flag("isPrivate", "Whether only invited people see it.").required(),
                Field::flag("isArchived", "Whether it is archived and read-only.").required(),
                Field::node::<Row<GithubUser>>("owner", "Who owns it."),
                Field::text("defaultBranch", "The branch that work is merged into."),
                Field::text("primaryLanguage", "The language most of it is written in."),
                Field::int("stargazerCount", "How many starred it."),
                Field::int("forkCount", "How many forks it has."),
                Field::int("openIssueCount", "How many issues are open."),
                Field::int("openPullRequestCount", "How many pull requests are open."),
                Field::time("pushedAt", "When something was last pushed."),
                Field::find::<Row<GithubIssue>>("issue", "One issue by its number.", issue).args(NUMBER),
                Field::list::<Row<GithubIssue>>("issues", "Its issues, last updated first.").args(ISSUES),
                Field::find::<Row<GithubPullRequest>>("pullRequest", "One pull request by its number.", pull_request)
                    .args(NUMBER),
                Field::list::<Row<GithubPullRequest>>("pullRequests", "Its pull requests, last updated first.")
                    .args(PULL_REQUESTS),
                Field::list::<Row<GithubRelease>>("releases", "Its releases, newest first."),
                Field::node::<Row<GithubRelease>>("latestRelease", "Its latest release."),
                Field::list::<Row<GithubWorkflowRun>>("workflowRuns", "Its workflow runs, newest first.")
                    .args(WORKFLOW_RUNS),
            ],
        ],
    }

    /// A release of a repository.
    GithubRelease = GITHUB_RELEASE {
        provider: "github",
        doc: "A release of a repository on GitHub.",
        interfaces: &["Node", "ProviderNode"],
        always: &["name", "tagName", "isPrerelease", "isDraft"],
        fields: &[
            &node(),
            &provider_node(RELEASE_TITLE),
            &[
                Field::text("tagName", "The tag it was made from.").required(),
                Field::flag("isPrerelease", "Whether it is a preview of a release.").required(),
                Field::flag("isDraft", "Whether it is not published yet.").required(),
                Field::time("publishedAt", "When it was published."),
                Field::node::<Row<GithubUser>>("author", "Who made it."),
            ],
        ],
    }

    /// A workflow run of a repository.
    GithubWorkflowRun = GITHUB_WORKFLOW_RUN {
        provider: "github",
        doc: "A run of a workflow of GitHub Actions.",
        interfaces: &["Node", "ProviderNode", "Build"],
        always: &["name", "displayTitle", "status", "headSha", "runNumber", "event", "updatedAt"],
        fields: &[
            &node(),
            &provider_node(RUN_TITLE),
            &build("repository"),
            &[
                Field::int("runNumber", "Its number among the runs of its workflow.").required(),
                Field::text("event", "The event that started it: push, pull_request.").required(),
                Field::node::<Row<GithubRepository>>("repository", "The repository it belongs to."),
            ],
        ],
    }
}
