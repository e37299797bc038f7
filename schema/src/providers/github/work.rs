//! Issues and pull requests.

use async_graphql::{Name, Value};

use super::{GithubComment, GithubRepository, GithubReviewer, GithubUser};
use crate::{
    enums::WorkItemState,
    interfaces::{WorkItemWords, node, provider_node, pull_request, work_item},
    table::{Derive, Field, Row, table},
    view::NodeView,
};

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
