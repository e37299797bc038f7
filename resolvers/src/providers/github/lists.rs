//! GitHub's lists: how they are asked for, which nodes belong to them, and in what order.

use mullion_schema::{
    ports::{Filter, Lookup},
    view::Body,
};
use serde_json::Value;

use super::{
    names::{
        COMMENT, COMMENTS, ISSUE, ISSUES, PULL_REQUEST, PULL_REQUESTS, RELEASE, RELEASES, REPOSITORIES, REPOSITORY,
        SEARCH, WORKFLOW_RUN, WORKFLOW_RUNS,
    },
    values::time,
};
use crate::{
    provider::{ContainerLists, CopiedFields, Count, Keeping, ListRef, ListType, NodeRef, WorkItemLists},
    sort_key::{newest_first, oldest_first},
};

/// Items of a page: the most that GitHub gives.
pub(super) const PAGE: usize = 100;

/// The lists.
pub(super) const LISTS: &[ListType] = &[
    // Which repositories an account may see is GitHub's own decision: a repository that was looked up need not be one of them.
    ListType { parent: None, name: REPOSITORIES, keeping: Keeping::Opaque },
    ListType { parent: None, name: SEARCH, keeping: Keeping::Opaque },
    ListType { parent: Some(REPOSITORY), name: ISSUES, keeping: Keeping::Window },
    ListType { parent: Some(REPOSITORY), name: PULL_REQUESTS, keeping: Keeping::Window },
    ListType { parent: Some(REPOSITORY), name: RELEASES, keeping: Keeping::Window },
    ListType { parent: Some(REPOSITORY), name: WORKFLOW_RUNS, keeping: Keeping::Window },
    ListType { parent: Some(ISSUE), name: COMMENTS, keeping: Keeping::Window },
    ListType { parent: Some(PULL_REQUEST), name: COMMENTS, keeping: Keeping::Window },
];

/// The arguments that [`matches`] knows.
pub(super) const FILTERS: &[&str] = &["states", "labels", "assignee", "branch", "conclusion"];

/// The counts that a repository gives of its lists. REST's `open_issues_count` includes pull requests, so it counts neither list.
pub(super) const COUNTS: &[Count] = &[
    Count { parent: REPOSITORY, key: "openIssueCount", list: ISSUES, filter: ("states", "OPEN") },
    Count { parent: REPOSITORY, key: "openPullRequestCount", list: PULL_REQUESTS, filter: ("states", "OPEN") },
];

/// The items of a repository carry its name and lie below its address, and so do the comments on them.
pub(super) const COPIED: &[CopiedFields] = &[
    CopiedFields {
        source: REPOSITORY,
        keys: &["nameWithOwner", "url"],
        lists: &[ISSUES, PULL_REQUESTS, RELEASES, WORKFLOW_RUNS],
        reference: "repository",
        copy: |repository, _, item| {
            let name = repository.get("nameWithOwner").map(|name| ("repositoryName".to_owned(), name.clone()));
            name.into_iter().chain(address(repository, item)).collect()
        },
    },
    CopiedFields {
        source: ISSUE,
        keys: &["url"],
        lists: &[COMMENTS],
        reference: "subject",
        copy: |issue, _, comment| address(issue, comment).into_iter().collect(),
    },
    CopiedFields {
        source: PULL_REQUEST,
        keys: &["url"],
        lists: &[COMMENTS],
        reference: "subject",
        copy: |pull_request, _, comment| address(pull_request, comment).into_iter().collect(),
    },
];

/// The address of an item below that of what it belongs to.
fn address(source: &Body, item: &Body) -> Option<(String, Value)> {
    let (source, item) = (source.get("url")?.as_str()?, item.get("url")?.as_str()?);
    Some(("url".to_owned(), moved(source, item)?.into()))
}

/// An address with its beginning replaced by another of as many segments; `None`: it has fewer.
fn moved(beginning: &str, address: &str) -> Option<String> {
    let depth = beginning.matches('/').count();
    let mut slashes = 0;
    let end = address.char_indices().find(|(_, letter)| match letter {
        '/' => {
            slashes += 1;
            slashes > depth
        }
        '#' | '?' => slashes == depth,
        _ => false,
    });
    let rest = end.map_or("", |(end, _)| address.get(end..).unwrap_or_default());
    (slashes >= depth).then(|| format!("{beginning}{rest}"))
}

/// The lists that the cross-provider widgets read.
pub(super) const CONTAINERS: &[ContainerLists] = &[ContainerLists {
    container: REPOSITORY,
    all: REPOSITORIES,
    work_items: Some(WorkItemLists {
        list: ISSUES,
        item_type: "ISSUE",
        open: Some(("states", "OPEN")),
        closed: Some(("states", "CLOSED")),
        newest_first: Some("updatedAt"),
        in_several: false,
    }),
    pull_requests: Some((PULL_REQUESTS, "states")),
    builds: Some((WORKFLOW_RUNS, "branch")),
    // A run is cancelled after 35 days, and one that is run again keeps its time of creation for 30 more:
    // https://docs.github.com/actions/reference/limits
    days_of_a_build: 65,
    messages: None,
}];

/// A list in a GraphQL document: its GraphQL type's field, and the type of its items.
pub(super) struct Connection {
    /// The field with its arguments, without those of paging.
    pub(super) field: String,
    pub(super) item: &'static str,
    /// Variables that `field` names: suffix, type, value.
    pub(super) variables: Vec<(&'static str, &'static str, Value)>,
}

/// How a list that hangs on a node is asked for; `None`: not over GraphQL.
pub(super) fn connection(list: &str, filter: &Filter, prefix: &str) -> Option<Connection> {
    let mut variables = Vec::new();
    let mut arguments = Vec::new();
    if let Some(states) = filter.get("states").filter(|states| !states.is_empty()) {
        let known = states.iter().filter(|state| matches!(state.as_str(), "OPEN" | "CLOSED" | "MERGED"));
        let known: Vec<&str> = known.map(String::as_str).collect();
        arguments.push(format!(",states:[{}]", known.join(",")));
    }
    if let Some(labels) = filter.get("labels").filter(|labels| !labels.is_empty()) {
        arguments.push(format!(",labels:${prefix}labels"));
        variables.push(("labels", "[String!]", labels.clone().into()));
    }
    if let Some(assignee) = filter.get("assignee").and_then(|values| values.first()) {
        arguments.push(format!(",filterBy:{{assignee:${prefix}assignee}}"));
        variables.push(("assignee", "String", assignee.clone().into()));
    }
    let arguments = arguments.concat();
    let updated = ",orderBy:{field:UPDATED_AT,direction:DESC}";
    let (field, item) = match list {
        ISSUES => (format!("issues(first:{PAGE}{updated}{arguments}"), ISSUE),
        PULL_REQUESTS => (format!("pullRequests(first:{PAGE}{updated}{arguments}"), PULL_REQUEST),
        RELEASES => (format!("releases(first:{PAGE},orderBy:{{field:CREATED_AT,direction:DESC}}"), RELEASE),
        COMMENTS => (format!("comments(first:{PAGE}"), COMMENT),
        _ => return None,
    };
    Some(Connection { field, item, variables })
}

/// The list in which what is looked up stands too.
pub(super) fn of_lookup(lookup: &Lookup) -> Option<ListRef> {
    let name = match lookup.name {
        "repository" => return Some(ListRef { parent: None, name: REPOSITORIES }),
        "issue" => ISSUES,
        "pullRequest" => PULL_REQUESTS,
        _ => return None,
    };
    let repository = lookup.arguments.get("repository")?;
    let id = repository.strip_prefix(REPOSITORY).and_then(|id| id.strip_prefix(':')).unwrap_or(repository);
    Some(ListRef { parent: Some(NodeRef::new(REPOSITORY, id)), name })
}

/// Whether an item of that list is what is looked up; `None`: its name or number is not known.
pub(super) fn is_named(lookup: &Lookup, body: &Body) -> Option<bool> {
    let argument = |name: &str| lookup.arguments.get(name).map(String::as_str);
    if let (Some(owner), Some(name)) = (argument("owner"), argument("name")) {
        let known = body.get("nameWithOwner")?.as_str()?;
        return Some(known.eq_ignore_ascii_case(&format!("{owner}/{name}")));
    }
    let number: i64 = argument("number")?.parse().ok()?;
    Some(body.get("number")?.as_i64()? == number)
}

/// The windows that a node belongs to, with its sort key.
pub(super) fn memberships(node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
    let value = |key: &str| body.get(key).unwrap_or(&Value::Null).clone();
    let body = Value::Object(Body::from_iter(
        ["repository", "subject", "updatedAt", "createdAt", "inReview"].map(|key| (key.to_owned(), value(key))),
    ));
    let (list, parent, sort) = match node.type_name {
        ISSUE => (ISSUES, "repository", newest_first(time(&body, "updatedAt"))),
        PULL_REQUEST => (PULL_REQUESTS, "repository", newest_first(time(&body, "updatedAt"))),
        RELEASE => (RELEASES, "repository", newest_first(time(&body, "createdAt"))),
        WORKFLOW_RUN => (WORKFLOW_RUNS, "repository", newest_first(time(&body, "createdAt"))),
        // Comments on lines of a diff are no members of the conversation's list.
        COMMENT if body.get("inReview") != Some(&Value::Bool(true)) => {
            (COMMENTS, "subject", oldest_first(time(&body, "createdAt")))
        }
        _ => return Vec::new(),
    };
    let parent = body.get(parent).and_then(Value::as_str).and_then(parse_reference);
    match (parent, sort) {
        (Some(parent), Some(sort)) => vec![(ListRef { parent: Some(parent), name: list }, sort)],
        _ => Vec::new(),
    }
}

fn parse_reference(text: &str) -> Option<NodeRef> {
    let (type_name, id) = text.split_once(':')?;
    let type_name = [REPOSITORY, ISSUE, PULL_REQUEST].into_iter().find(|known| *known == type_name)?;
    Some(NodeRef::new(type_name, id))
}

/// Whether an item of a list's window passes a filter.
pub(super) fn matches(filter: &Filter, body: &Body) -> bool {
    filter.iter().all(|(argument, values)| values.is_empty() || passes(argument, values, body))
}

fn passes(argument: &str, values: &[String], body: &Body) -> bool {
    let is = |key: &str| {
        let text = body.get(key).and_then(Value::as_str);
        text.is_some_and(|text| values.iter().any(|value| value == text))
    };
    match argument {
        "states" => is("issueState") || is("pullRequestState"),
        "branch" => is("branch"),
        "conclusion" => is("conclusion"),
        "labels" => body.get("labels").and_then(Value::as_array).is_some_and(|labels| {
            let names = labels.iter().filter_map(|label| label.get("name")?.as_str());
            names.into_iter().any(|name| values.iter().any(|value| value.eq_ignore_ascii_case(name)))
        }),
        "assignee" => body.get("assigneeLogins").and_then(Value::as_array).is_some_and(|logins| {
            let mut logins = logins.iter().filter_map(Value::as_str);
            logins.any(|login| values.iter().any(|value| value.eq_ignore_ascii_case(login)))
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use mullion_schema::{ports::Lookup, view::Body};
    use serde_json::{Value, json};

    use super::{is_named, matches, memberships, moved, of_lookup};
    use crate::provider::NodeRef;

    fn body(value: Value) -> Body {
        let Value::Object(body) = value else { panic!("no object: {value}") };
        body
    }

    #[test]
    fn issues_sort_newest_first_and_comments_oldest_first() {
        let sort = |type_name, value| {
            memberships(&NodeRef::new(type_name, "x"), &body(value))
                .into_iter()
                .map(|(list, sort)| (format!("{}/{}", list.parent.expect("a parent"), list.name), sort))
                .next()
        };
        let issue =
            |at| sort("GithubIssue", json!({"repository": "GithubRepository:R", "updatedAt": at})).expect("one");
        let (older, newer) = (issue("2026-01-01T00:00:00Z"), issue("2026-01-02T00:00:00Z"));
        assert_eq!(older.0, "GithubRepository:R/issues");
        assert!(newer.1 < older.1);
        let comment =
            |at| sort("GithubComment", json!({"subject": "GithubPullRequest:P", "createdAt": at})).expect("one");
        let (older, newer) = (comment("2026-01-01T00:00:00Z"), comment("2026-01-02T00:00:00Z"));
        assert_eq!(older.0, "GithubPullRequest:P/comments");
        assert!(older.1 < newer.1);
        let review = json!({"subject": "GithubPullRequest:P", "createdAt": "2026-01-01T00:00:00Z", "inReview": true});
        assert_eq!(sort("GithubComment", review), None);
        assert_eq!(sort("GithubIssue", json!({"updatedAt": "2026-01-01T00:00:00Z"})), None);
        assert_eq!(sort("GithubRepository", json!({})), None);
    }

    #[test]
    fn addresses_move_with_what_they_lie_below() {
        let (old, new) = ("https://github.example/acme/web", "https://github.example/other/website");
        for (beginning, address, expected) in [
            (new, format!("{old}/issues/7"), Some(format!("{new}/issues/7"))),
            (new, format!("{old}/actions/runs/7?x=1"), Some(format!("{new}/actions/runs/7?x=1"))),
            (new, old.to_owned(), Some(new.to_owned())),
            (
                &format!("{new}/issues/7"),
                format!("{old}/issues/7#issuecomment-1"),
                Some(format!("{new}/issues/7#issuecomment-1")),
            ),
            (new, "https://github.example".to_owned(), None),
        ] {
            assert_eq!(moved(beginning, &address), expected, "{address}");
        }
    }

    #[test]
    fn a_filter_passes_what_github_would_pass() {
        let issue =
            body(json!({"issueState": "OPEN", "labels": [{"name": "Bug", "color": "f00"}], "assigneeLogins": ["ann"]}));
        for (filter, passes) in [
            (vec![], true),
            (vec![("states", vec!["OPEN"])], true),
            (vec![("states", vec!["CLOSED"])], false),
            (vec![("states", vec!["CLOSED", "OPEN"]), ("assignee", vec!["Ann"])], true),
            (vec![("labels", vec!["docs", "bug"])], true),
            (vec![("labels", vec!["docs"])], false),
            (vec![("assignee", vec!["bob"])], false),
        ] {
            let named = filter.iter().map(|(name, values)| (*name, values.iter().map(|&v| v.to_owned()).collect()));
            assert_eq!(matches(&named.collect(), &issue), passes, "{filter:?}");
        }
    }

    #[test]
    fn a_node_that_is_looked_up_stands_in_a_list_under_the_same_name() {
        let lookup = |name, arguments: &[(&'static str, &str)]| Lookup {
            integration: "i".into(),
            name,
            type_name: "Any",
            arguments: arguments.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        };
        let repository = lookup("repository", &[("owner", "Acme"), ("name", "WEB")]);
        assert_eq!(of_lookup(&repository).expect("a list").name, "repositories");
        assert_eq!(is_named(&repository, &body(json!({"nameWithOwner": "acme/web"}))), Some(true));
        assert_eq!(is_named(&repository, &body(json!({"nameWithOwner": "acme/website"}))), Some(false));
        assert_eq!(is_named(&repository, &body(json!({}))), None);
        for id in ["R", "GithubRepository:R"] {
            let issue = lookup("issue", &[("repository", id), ("number", "12")]);
            let list = of_lookup(&issue).expect("a list");
            assert_eq!((list.parent, list.name), (Some(NodeRef::new("GithubRepository", "R")), "issues"));
            assert_eq!(is_named(&issue, &body(json!({"number": 12}))), Some(true));
            assert_eq!(is_named(&issue, &body(json!({"number": 1}))), Some(false));
        }
        assert_eq!(of_lookup(&lookup("viewer", &[])), None);
    }
}
