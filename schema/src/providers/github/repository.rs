//! Repositories with their releases, workflow runs, issues and pull requests. They refer to one another, and so stand together.

use std::collections::BTreeMap;

use async_graphql::{Name, Value};

use super::{GithubComment, GithubIssueState, GithubReviewer, GithubUser};
use crate::{
    enums::{BuildConclusion, PullRequestState, WorkItemState},
    interfaces::{WorkItemWords, build, container, node, provider_node, pull_request, work_item},
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

fn find_issue(view: &NodeView, arguments: &Arguments) -> Found {
    by_number("issue", "GithubIssue", view, arguments)
}

fn find_pull_request(view: &NodeView, arguments: &Arguments) -> Found {
    by_number("pullRequest", "GithubPullRequest", view, arguments)
}

const TITLE: Derive = Derive::new(|view| view.text("title").map(Value::from), &["title"]);
const KEY: Derive = Derive::new(
    |view| Some(Value::from(format!("{}#{}", view.text("repositoryName")?, view.int("number")?))),
    &["repositoryName", "number"],
);

/// The state of an issue over all providers.
pub(super) fn issue_state(view: &NodeView) -> Option<WorkItemState> {
    Some(match (view.text("issueState")?.as_str(), view.text("stateReason").as_deref()) {
        ("CLOSED", Some("NOT_PLANNED" | "DUPLICATE")) => WorkItemState::Canceled,
        ("CLOSED", _) => WorkItemState::Done,
        _ => WorkItemState::Todo,
    })
}

/// The state of a pull request over all providers.
pub(super) fn pull_request_state(view: &NodeView) -> Option<WorkItemState> {
    Some(match (view.text("pullRequestState")?.as_str(), view.flag("isDraft")) {
        ("MERGED", _) => WorkItemState::Done,
        ("CLOSED", _) => WorkItemState::Canceled,
        (_, Some(true)) => WorkItemState::InProgress,
        _ => WorkItemState::Todo,
    })
}

fn word(state: WorkItemState) -> Value {
    Value::Enum(Name::new(<&'static str>::from(state)))
}

fn lower(view: &NodeView, key: &str) -> Option<Value> {
    view.text(key).map(|state| Value::from(state.to_lowercase()))
}

fn is_none_of(view: &NodeView, key: &str, words: &[&str]) -> bool {
    view.get(key).and_then(serde_json::Value::as_str).is_some_and(|word| !words.contains(&word))
}

const ISSUE_WORDS: WorkItemWords = WorkItemWords::new(
    KEY,
    Derive::new(|view| issue_state(view).map(word), &["issueState", "stateReason"]),
    Derive::new(|view| lower(view, "issueState"), &["issueState"]),
)
.unknown_if(|view| is_none_of(view, "issueState", &["OPEN", "CLOSED"]));
const PULL_REQUEST_WORDS: WorkItemWords = WorkItemWords::new(
    KEY,
    Derive::new(|view| pull_request_state(view).map(word), &["pullRequestState", "isDraft"]),
    Derive::new(|view| lower(view, "pullRequestState"), &["pullRequestState"]),
)
.unknown_if(|view| is_none_of(view, "pullRequestState", &["OPEN", "CLOSED", "MERGED"]));

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
                Field::find::<Row<GithubIssue>>("issue", "One issue by its number.", find_issue).args(NUMBER),
                Field::list::<Row<GithubIssue>>("issues", "Its issues, last updated first.").args(ISSUES),
                Field::find::<Row<GithubPullRequest>>("pullRequest", "One pull request by its number.", find_pull_request)
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

    /// An issue.
    GithubIssue = GITHUB_ISSUE {
        provider: "github",
        doc: "An issue of a repository on GitHub.",
        interfaces: &["Node", "ProviderNode", "WorkItem"],
        always: &["number", "title", "issueState", "stateReason", "labels", "repositoryName", "updatedAt"],
        fields: &[
            &node(),
            &provider_node(TITLE),
            &work_item(ISSUE_WORDS),
            &[
                Field::int("number", "Its number in the repository.").required(),
                Field::node::<Row<GithubUser>>("author", "Who opened it."),
                Field::text("milestone", "The title of its milestone."),
                Field::node::<Row<GithubRepository>>("repository", "The repository it belongs to."),
                Field::list::<Row<GithubComment>>("comments", "Its comments, oldest first."),
            ],
        ],
    }

    /// A pull request.
    GithubPullRequest = GITHUB_PULL_REQUEST {
        provider: "github",
        doc: "A pull request of a repository on GitHub.",
        interfaces: &["Node", "ProviderNode", "WorkItem", "PullRequest"],
        always: &[
            "number", "title", "pullRequestState", "isDraft", "headRef", "baseRef", "headSha", "labels",
            "repositoryName", "updatedAt",
        ],
        fields: &[
            &node(),
            &provider_node(TITLE),
            &work_item(PULL_REQUEST_WORDS),
            &pull_request("repository"),
            &[
                Field::node::<Row<GithubRepository>>("repository", "The repository it belongs to."),
                Field::nodes::<GithubReviewer>("requestedReviewers", "Who was asked to review and has not yet.", 10),
            ],
        ],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{issue_state, pull_request_state};
    use crate::{enums::WorkItemState, view::tests::view};

    #[test]
    fn states_are_mapped_to_common_words() {
        for (state, reason, expected) in [
            ("OPEN", json!(null), WorkItemState::Todo),
            ("OPEN", json!("REOPENED"), WorkItemState::Todo),
            ("CLOSED", json!("COMPLETED"), WorkItemState::Done),
            ("CLOSED", json!(null), WorkItemState::Done),
            ("CLOSED", json!("NOT_PLANNED"), WorkItemState::Canceled),
            ("CLOSED", json!("DUPLICATE"), WorkItemState::Canceled),
        ] {
            let issue = view("GithubIssue", json!({"issueState": state, "stateReason": reason}));
            assert_eq!(issue_state(&issue), Some(expected), "{state} {reason}");
        }
        for (state, draft, expected) in [
            ("OPEN", false, WorkItemState::Todo),
            ("OPEN", true, WorkItemState::InProgress),
            ("MERGED", false, WorkItemState::Done),
            ("CLOSED", true, WorkItemState::Canceled),
        ] {
            let change = view("GithubPullRequest", json!({"pullRequestState": state, "isDraft": draft}));
            assert_eq!(pull_request_state(&change), Some(expected), "{state} {draft}");
        }
    }
}
