//! Reads: how many calls, with which documents, and what is made of answers that lack parts.

use std::collections::{BTreeMap, BTreeSet};

use mullion_schema::ports::{Filter, Lookup};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::fake::Fake;
use crate::{
    provider::{FetchWant, Fetched, ListRef, NodeRef, PageWant, Provider as _},
    providers::github::{Github, client},
    upstream::{UpstreamError, UpstreamErrorKind},
};

pub(super) fn node(type_name: &'static str, id: &str, asks: &[&'static str]) -> FetchWant {
    FetchWant::Node { node: NodeRef::new(type_name, id), asks: asks.iter().copied().collect() }
}

pub(super) fn page(
    parent: Option<(&'static str, &str)>,
    name: &'static str,
    filter: &[(&'static str, &str)],
) -> PageWant {
    let filter: Filter = filter.iter().map(|(name, value)| (*name, vec![(*value).to_owned()])).collect();
    PageWant { list: ListRef { parent: parent.map(|(kind, id)| NodeRef::new(kind, id)), name }, filter, cursor: None }
}

pub(super) fn lookup(
    name: &'static str,
    type_name: &'static str,
    arguments: &[(&'static str, &str)],
    lists: Vec<(&'static str, Filter)>,
) -> FetchWant {
    let arguments: BTreeMap<_, _> = arguments.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let lookup = Lookup { integration: "i1".into(), name, type_name, arguments };
    FetchWant::Lookup { lookup, asks: ["name", "nameWithOwner", "isPrivate", "number", "title"].into(), lists }
}

/// One of everything: the document that this makes is checked against GitHub's published schema.
pub(super) fn everything() -> Vec<FetchWant> {
    let repository = Some(("GithubRepository", "R_1"));
    let every = |type_name: &'static str, id: &str| {
        let asks: Vec<&'static str> = super::super::keys::keys(type_name).map(|key| key.name).collect();
        node(type_name, id, &asks)
    };
    let mut further = page(repository, "issues", &[("states", "OPEN"), ("assignee", "ann"), ("labels", "bug")]);
    further.cursor = Some("cursor".into());
    vec![
        every("GithubRepository", "R_1"),
        every("GithubIssue", "I_1"),
        every("GithubPullRequest", "PR_1"),
        every("GithubUser", "U_1"),
        every("GithubTeam", "T_1"),
        every("GithubComment", "IC_1"),
        every("GithubComment", "PRRC_1"),
        every("GithubRelease", "RE_1"),
        node("GithubWorkflowRun", "WFR_1", &["status"]),
        node("GithubIssue", "I_2", &["title"]),
        FetchWant::Page(page(repository, "issues", &[("states", "OPEN")])),
        FetchWant::Page(page(repository, "pullRequests", &[("states", "MERGED")])),
        FetchWant::Page(page(repository, "releases", &[])),
        FetchWant::Page(page(repository, "workflowRuns", &[("branch", "main"), ("conclusion", "FAILURE")])),
        FetchWant::Page(page(Some(("GithubIssue", "I_1")), "comments", &[])),
        FetchWant::Page(page(Some(("GithubPullRequest", "PR_1")), "comments", &[])),
        FetchWant::Page(further),
        FetchWant::Page(page(None, "repositories", &[])),
        FetchWant::Page(page(None, "search", &[("query", "is:open"), ("type", "ISSUE")])),
        FetchWant::Page(page(None, "search", &[("query", "is:open"), ("type", "PULL_REQUEST")])),
        FetchWant::Page(page(None, "search", &[("query", "web"), ("type", "REPOSITORY")])),
        lookup("viewer", "GithubUser", &[], vec![]),
        lookup("user", "GithubUser", &[("login", "ann")], vec![]),
        lookup("issue", "GithubIssue", &[("repository", "R_1"), ("number", "7")], vec![("comments", Filter::new())]),
        lookup("pullRequest", "GithubPullRequest", &[("repository", "R_1"), ("number", "8")], vec![]),
        lookup(
            "repository",
            "GithubRepository",
            &[("owner", "acme"), ("name", "web")],
            vec![("issues", Filter::from([("states", vec!["OPEN".into()])])), ("pullRequests", Filter::new())],
        ),
    ]
}

pub(super) async fn fetch(
    connection: &crate::upstream::Connection,
    wants: Vec<FetchWant>,
) -> Vec<Result<Fetched, UpstreamError>> {
    Github::default().fetch(connection, wants).await
}

#[tokio::test]
async fn one_of_everything_is_one_call() {
    let (fake, connection) = Fake::saying(json!({"data": {"rateLimit": null}}));
    let wants = everything();
    let expected = wants.len();
    assert_eq!(fetch(&connection, wants).await.len(), expected);
    assert_eq!(fake.lines(), ["POST /graphql"]);
    let document = fake.documents().concat().replace(" a", "\na").replace("{__typename", "\n  {__typename");
    insta::assert_snapshot!(document);
}

#[tokio::test]
async fn addresses_are_asked_for_only_with_the_scope() {
    for (scopes, asked) in
        [(vec![], false), (vec!["repo"], false), (vec!["read:user"], true), (vec!["user:email"], true)]
    {
        let (fake, mut connection) = Fake::saying(json!({"data": {"a0": [
            {"__typename": "User", "id": "U_1", "login": "ann", "email": "ann@acme.example", "updatedAt": "2026-01-01T00:00:00Z"},
        ]}}));
        connection.scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let fetched = fetch(&connection, vec![node("GithubUser", "U_1", &["login", "email"])]).await;
        assert_eq!(fake.documents().concat().contains("email"), asked, "{scopes:?}");
        let email = fetched[0].as_ref().expect("fetched").writes[0].aspects[0].fields["email"].clone();
        assert_eq!(email, if asked { json!("ann@acme.example") } else { Value::Null }, "{scopes:?}");
    }
}

#[tokio::test]
async fn three_hundred_nodes_are_one_call_with_three_fields() {
    let (fake, connection) = Fake::answering(|_, body| {
        let nodes = |alias: &str| -> Value {
            let ids = body["variables"][format!("{alias}ids")].as_array().cloned().unwrap_or_default();
            ids.iter()
                .map(|id| json!({"__typename": "Issue", "id": id, "title": id, "updatedAt": "2026-01-01T00:00:00Z"}))
                .collect()
        };
        (200, vec![], json!({"data": {"a0": nodes("a0"), "a1": nodes("a1"), "a2": nodes("a2")}}))
    });
    let wants = (0..300).map(|n| node("GithubIssue", &format!("I_{n}"), &["title"])).collect();
    let fetched = fetch(&connection, wants).await;
    assert_eq!(fake.lines().len(), 1);
    for (n, outcome) in fetched.iter().enumerate() {
        let fetched = outcome.as_ref().expect("fetched");
        assert_eq!(fetched.found, Some(NodeRef::new("GithubIssue", format!("I_{n}"))));
        assert_eq!(fetched.writes[0].aspects[0].fields["title"], format!("I_{n}"));
    }
}

#[tokio::test]
async fn a_repository_by_name_with_its_pull_requests_is_one_call() {
    let author = json!({"__typename": "User", "id": "U_1", "login": "ann", "updatedAt": "2026-01-01T00:00:00Z"});
    let (fake, connection) = Fake::saying(json!({"data": {
        "a0": {"__typename": "Repository", "id": "R_1", "name": "web", "nameWithOwner": "acme/web", "list0": {
            "totalCount": 120, "pageInfo": {"endCursor": "next", "hasNextPage": true},
            "nodes": [{"__typename": "PullRequest", "id": "PR_1", "author": author, "updatedAt": "2026-01-01T00:00:00Z",
                "repository": {"id": "R_1"},
                "statusCheckRollup": {"state": "FAILURE"}, "reviewRequests": {"nodes": [{"requestedReviewer": author}]}}],
        }},
        "rateLimit": {"cost": 1, "limit": 5000, "remaining": 4990, "resetAt": "2026-01-01T00:00:00Z"},
    }}));
    let lists = vec![("pullRequests", Filter::new())];
    let want = lookup("repository", "GithubRepository", &[("owner", "acme"), ("name", "web")], lists);
    let fetched = fetch(&connection, vec![want]).await.remove(0).expect("fetched");
    assert_eq!(fake.lines(), ["POST /graphql"]);
    assert_eq!(fetched.found, Some(NodeRef::new("GithubRepository", "R_1")));
    let page = &fetched.pages[0];
    assert_eq!((page.items.len(), page.next.as_deref(), page.total), (1, Some("next"), Some(120)));
    assert_eq!(page.want.list.name, "pullRequests");
    let written: Vec<String> = fetched.writes.iter().map(|write| write.node.to_string()).collect();
    assert_eq!(written, ["GithubUser:U_1", "GithubPullRequest:PR_1", "GithubRepository:R_1"]);
    assert_eq!(fake.quotas.lock()[0].remaining, Some(4990));
}

#[tokio::test]
async fn parts_that_fail_leave_the_others_alone() {
    let issue = json!({"__typename": "Issue", "id": "I_1", "title": "t", "milestone": null, "updatedAt": "2026-01-01T00:00:00Z"});
    let (_, connection) = Fake::saying(json!({
        "data": {"a0": null, "a1": null, "a2": [issue, null, null]},
        "errors": [
            {"type": "NOT_FOUND", "path": ["a0"], "message": "no"},
            {"message": "Something went wrong", "path": ["a1"]},
            {"type": "NOT_FOUND", "path": ["a2", 1], "message": "no"},
            {"type": "FORBIDDEN", "path": ["a2", 2], "message": "SAML"},
            {"type": "FORBIDDEN", "path": ["a2", 0, "milestone"], "message": "no"},
        ],
    }));
    let by_name = |name| lookup("repository", "GithubRepository", &[("owner", "acme"), ("name", name)], vec![]);
    let mut wants: Vec<FetchWant> =
        ["I_1", "I_2", "I_3"].map(|id| node("GithubIssue", id, &["title", "milestone"])).into();
    wants.extend([by_name("gone"), by_name("broken")]);
    // Look-ups come before nodes in the call.
    let fetched = fetch(&connection, wants).await;
    let found = |outcome: &Result<Fetched, UpstreamError>| {
        outcome.as_ref().map(|it| it.found.is_some()).map_err(|error| error.kind)
    };
    let outcomes: Vec<_> = fetched.iter().map(found).collect();
    assert_eq!(
        outcomes,
        [Ok(true), Ok(false), Err(UpstreamErrorKind::Forbidden), Ok(false), Err(UpstreamErrorKind::Down)]
    );
    let fields = &fetched[0].as_ref().expect("fetched").writes[0].aspects[0].fields;
    assert!(fields.contains_key("title") && !fields.contains_key("milestone"), "what failed is unknown, not empty");
    let refused = fetched[0].as_ref().expect("fetched").refused.as_ref().map(|error| error.kind);
    assert_eq!(refused, Some(UpstreamErrorKind::Forbidden));
}

#[tokio::test]
async fn a_connection_that_lacks_its_items_is_not_empty() {
    for connection in [json!({ "nodes": null }), json!({})] {
        let issue = json!({"__typename": "Issue", "id": "I_1", "title": "t", "labels": connection, "updatedAt": "2026-01-01T00:00:00Z"});
        let (_, connection) = Fake::saying(json!({ "data": { "a0": [issue] } }));
        let fetched = fetch(&connection, vec![node("GithubIssue", "I_1", &["title", "labels"])]).await.remove(0);
        let fields = &fetched.expect("fetched").writes[0].aspects[0].fields;
        assert!(fields.contains_key("title") && !fields.contains_key("labels"), "{fields:?}");
    }
}

#[tokio::test]
async fn a_failure_inside_a_part_is_told_and_the_rest_of_it_is_kept() {
    let pull_request = json!({"__typename": "PullRequest", "id": "PR_1", "title": "t", "statusCheckRollup": null, "updatedAt": "2026-01-01T00:00:00Z"});
    let (_, connection) = Fake::saying(json!({
        "data": {"a0": [pull_request]},
        "errors": [{"type": "INTERNAL", "path": ["a0", 0, "statusCheckRollup", "state"], "message": "Something went wrong"},
            {"type": "INTERNAL", "path": ["a0", 0, "statusCheckRollup"], "message": "Something went wrong"}],
    }));
    let fetched = fetch(&connection, vec![node("GithubPullRequest", "PR_1", &["title", "checks"])]).await.remove(0);
    let fetched = fetched.expect("fetched");
    assert!(fetched.found.is_some());
    assert_eq!(fetched.failure.map(|error| error.kind), Some(UpstreamErrorKind::Down));
    let known: Vec<&String> = fetched.writes[0].aspects.iter().flat_map(|aspect| aspect.fields.keys()).collect();
    assert_eq!(known, ["title", "updatedAt"], "the checks are unknown, not none");
}

#[tokio::test]
async fn a_part_that_the_answer_lacks_is_not_absent() {
    let (_, connection) = Fake::saying(json!({ "data": { "rateLimit": null } }));
    let error = fetch(&connection, vec![node("GithubIssue", "I_1", &["title"])]).await.remove(0).expect_err("lost");
    assert_eq!(error.kind, UpstreamErrorKind::Down);
}

#[tokio::test]
async fn the_limit_is_an_error_although_the_status_is_200() {
    let body = json!({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]});
    let (fake, connection) = Fake::answering(move |_, _| {
        let headers =
            vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000030"), ("x-ratelimit-limit", "5000")];
        (200, headers, body.clone())
    });
    let error = fetch(&connection, vec![node("GithubIssue", "I_1", &["title"])]).await.remove(0).expect_err("limited");
    assert_eq!(error.kind, UpstreamErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(30)));
    assert_eq!(fake.quotas.lock()[0].remaining, Some(0));
}

#[tokio::test]
async fn builds_of_two_repositories_are_one_shared_graphql_call_and_one_rest_call_each() {
    let (fake, connection) = Fake::answering(|request, body| {
        if request.url.path() == "/graphql" {
            let ids = body["variables"]["a0ids"].as_array().cloned().unwrap_or_default();
            let named = |id: &Value| json!({"__typename": "Repository", "id": id, "nameWithOwner": format!("acme/{}", id.as_str().expect("text").to_lowercase())});
            return (200, vec![], json!({"data": {"a0": ids.iter().map(named).collect::<Value>()}}));
        }
        let run = json!({"id": 9, "node_id": "WFR_9", "name": "CI", "status": "completed", "conclusion": "success",
            "updated_at": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z", "repository": {"node_id": "R1", "full_name": "acme/r1"}});
        let headers = vec![("link", "<https://api.github.com/x?page=2>; rel=\"next\""), ("x-ratelimit-remaining", "7")];
        (200, headers, json!({"total_count": 101, "workflow_runs": [run]}))
    });
    let github = Github::default();
    let wants = || -> Vec<FetchWant> {
        ["R1", "R2"]
            .map(|id| FetchWant::Page(page(Some(("GithubRepository", id)), "workflowRuns", &[("branch", "main")])))
            .into()
    };
    let fetched = github.fetch(&connection, wants()).await;
    let mut lines = fake.lines();
    lines.sort();
    assert_eq!(
        lines,
        [
            "GET /repos/acme/r1/actions/runs?per_page=100&branch=main",
            "GET /repos/acme/r2/actions/runs?per_page=100&branch=main",
            "POST /graphql",
        ]
    );
    let page = &fetched[0].as_ref().expect("fetched").pages[0];
    assert_eq!(
        (page.items[0].to_string().as_str(), page.next.as_deref(), page.total),
        ("GithubWorkflowRun:WFR_9", Some("2"), Some(101))
    );
    github.fetch(&connection, wants()).await;
    assert_eq!(fake.lines().len(), 5, "the names are remembered");
}

/// Where a page says that the next one is.
const LINKS: [&str; 9] = [
    "<https://api.github.com/x?page=2>; rel=\"next\"",
    "<https://api.github.com/x?page=3>; rel=\"next\"",
    "<https://api.github.com/x?page=4>; rel=\"next\"",
    "<https://api.github.com/x?page=5>; rel=\"next\"",
    "<https://api.github.com/x?page=6>; rel=\"next\"",
    "<https://api.github.com/x?page=7>; rel=\"next\"",
    "<https://api.github.com/x?page=8>; rel=\"next\"",
    "<https://api.github.com/x?page=9>; rel=\"next\"",
    "",
];

/// Runs 900 to 1 of a repository, a hundred to a page; the one with the number 7 is gone.
fn repository_with_runs(
    request: &crate::upstream::UpstreamRequest,
    body: &Value,
) -> (u16, Vec<(&'static str, &'static str)>, Value) {
    let path = request.url.path();
    let run =
        |number: i64| json!({ "id": number, "node_id": format!("WFR_{number}"), "name": "CI", "status": "completed" });
    if path == "/graphql" {
        let of = |id: &Value| {
            let number: i64 = id.as_str().and_then(|id| id.strip_prefix("WFR_")?.parse().ok()).expect("a run");
            json!({ "__typename": "WorkflowRun", "id": id, "databaseId": number, "checkSuite": { "repository": { "nameWithOwner": "acme/r1" } } })
        };
        let ids = body["variables"]["a0ids"].as_array().cloned().unwrap_or_default();
        return (200, vec![], json!({ "data": { "a0": ids.iter().map(of).collect::<Value>() } }));
    }
    let (_, last) = path.rsplit_once('/').expect("a path");
    if let Ok(number) = last.parse::<i64>() {
        return if number == 7 { (404, vec![], json!({ "message": "Not Found" })) } else { (200, vec![], run(number)) };
    }
    let page = request
        .url
        .query_pairs()
        .find(|(name, _)| name == "page")
        .map_or(1, |(_, page)| page.parse().expect("a number"));
    let runs: Vec<Value> = (1..=900).rev().skip((page - 1) * 100).take(100).map(run).collect();
    (200, vec![("link", LINKS[page - 1])], json!({ "total_count": 900, "workflow_runs": runs }))
}

#[tokio::test]
async fn runs_are_read_by_pages_while_these_bring_several_and_then_one_by_one() {
    let newest: Vec<i64> = (851..=900).collect();
    for (numbers, pages, singles) in [
        (newest.clone(), 1, 0),
        ([newest.clone(), vec![5, 6, 7]].concat(), 2, 3),
        ((781..=830).collect(), 2, 0),
        (vec![900, 5], 0, 2),
        (vec![900, 5, 7], 1, 2),
        (vec![900, 850, 5, 6, 7], 1, 3),
    ] {
        let (fake, connection) = Fake::answering(repository_with_runs);
        let wants = numbers.iter().map(|number| node("GithubWorkflowRun", &format!("WFR_{number}"), &["name"]));
        let fetched = Github::default().fetch(&connection, wants.collect()).await;
        let found = |number: &i64| (*number != 7).then(|| format!("GithubWorkflowRun:WFR_{number}"));
        let names =
            fetched.iter().map(|fetched| fetched.as_ref().expect("fetched").found.as_ref().map(ToString::to_string));
        assert_eq!(names.collect::<Vec<_>>(), numbers.iter().map(found).collect::<Vec<_>>());
        let lines = fake.lines();
        let listed = lines.iter().filter(|line| line.contains("per_page")).count();
        assert_eq!((listed, lines.len() - 1 - listed), (pages, singles), "{numbers:?}");
    }
}

#[tokio::test]
async fn quota_that_is_used_up_for_a_list_of_runs_is_told_of_each_and_no_more_is_asked() {
    let (fake, connection) = Fake::answering(|request, body| match request.url.path() {
        "/graphql" => repository_with_runs(request, body),
        _ => (429, vec![("retry-after", "9")], json!({})),
    });
    let wants = (1..=50).map(|number| node("GithubWorkflowRun", &format!("WFR_{number}"), &["name"]));
    for outcome in Github::default().fetch(&connection, wants.collect()).await {
        assert_eq!(outcome.expect_err("limited").kind, UpstreamErrorKind::RateLimited);
    }
    assert_eq!(fake.lines().len(), 2);
}

#[tokio::test]
async fn a_renamed_repository_is_followed_to_its_new_address_and_a_token_goes_to_no_other_host() {
    let moved = "https://api.github.com/repositories/7/actions/runs?per_page=100";
    for (location, calls) in [(moved, 2), ("https://evil.example/repositories/7/actions/runs", 1), ("http://[", 1)] {
        let (fake, connection) = Fake::answering(move |request, _| match request.url.path() {
            "/repos/acme/web/actions/runs" => {
                (301, vec![("location", location)], json!({ "message": "Moved Permanently" }))
            }
            _ => (200, Vec::new(), json!({ "total_count": 0, "workflow_runs": [] })),
        });
        let request = client::get(&connection, &["repos", "acme", "web", "actions", "runs"], &[]).expect("a request");
        let answer = client::rest(&connection, request).await;
        assert_eq!((answer.is_ok(), fake.lines().len()), (calls == 2, calls), "{location}");
    }
    let (fake, connection) = Fake::answering(move |_, _| (307, vec![("location", "/repos/acme/web")], json!({})));
    let request = client::get(&connection, &["repos", "acme", "web"], &[]).expect("a request");
    assert!(client::rest(&connection, request).await.is_err());
    assert_eq!(fake.lines().len(), 4, "a circle ends");
}

#[tokio::test]
async fn an_enterprise_server_is_asked_for_assigned_people_only() {
    for (base, bots) in [("https://api.github.com/", true), ("https://ghe.example/api/v3/", false)] {
        let (fake, mut connection) = Fake::saying(json!({ "data": { "a0": [null] } }));
        connection.base_url = base.parse().expect("a URL");
        fetch(
            &connection,
            vec![FetchWant::Node { node: NodeRef::new("GithubIssue", "I1"), asks: ["assignees"].into() }],
        )
        .await;
        let documents = fake.documents();
        assert_eq!(documents[0].contains("...on Bot{"), bots, "{documents:?}");
        assert_eq!(documents[0].contains("assignedActors:assignees("), !bots, "{documents:?}");
    }
}

#[tokio::test]
async fn many_pages_of_lists_share_a_call_by_shape() {
    let (fake, connection) = Fake::saying(json!({"data": {}}));
    let pages = |name, filter: &[(&'static str, &str)]| -> Vec<FetchWant> {
        (0..4).map(|n| FetchWant::Page(page(Some(("GithubRepository", &format!("R{n}"))), name, filter))).collect()
    };
    let mut wants = pages("pullRequests", &[("states", "OPEN")]);
    wants.extend(pages("issues", &[("states", "OPEN")]));
    fetch(&connection, wants).await;
    assert_eq!(fake.lines().len(), 1);
    assert_eq!(fake.documents()[0].matches("nodes(ids:").count(), 2);
}

#[test]
fn every_key_that_the_graph_asks_for_can_be_asked_of_github() {
    for kind in mullion_schema::providers::github::TYPES {
        // Runs are read whole, over REST; `sandboxed` looks at them.
        if kind.name == "GithubWorkflowRun" {
            continue;
        }
        let known: Vec<&str> = super::super::keys::keys(kind.name).map(|key| key.name).collect();
        for key in kind.keys() {
            assert!(known.contains(&key), "{}: {key}", kind.name);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the test harness says where the documents go")]
fn documents_file() -> Option<String> {
    std::env::var("MULLION_GITHUB_DOCUMENTS").ok()
}

/// Writes the documents of a thousand random wants to the file that `MULLION_GITHUB_DOCUMENTS` names, as a JSON array, so that the
/// harness can validate them against GitHub's published schema.
#[tokio::test]
async fn a_thousand_random_selections_are_a_call_each() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let mut documents = BTreeSet::new();
    for round in 0..1000 {
        let (fake, mut connection) = Fake::saying(json!({"data": {"rateLimit": null}}));
        if round % 4 == 0 {
            connection.scopes = ["user:email".to_owned()].into();
        }
        let mut wants = everything();
        wants.retain(|_| rng.random_bool(0.2));
        for want in &mut wants {
            if let FetchWant::Node { asks, .. } | FetchWant::Lookup { asks, .. } = want {
                asks.retain(|_| rng.random_bool(0.5));
            }
        }
        let expected = usize::from(!wants.iter().all(is_rest_only));
        fetch(&connection, wants).await;
        let graphql = fake.documents();
        assert!(graphql.len() <= 1 && graphql.len() >= expected, "{graphql:?}");
        documents.extend(graphql);
    }
    assert!(documents.len() > 900, "{}", documents.len());
    if let Some(path) = documents_file() {
        let documents: Vec<String> = documents.into_iter().collect();
        std::fs::write(&path, json!(documents).to_string()).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

fn is_rest_only(want: &FetchWant) -> bool {
    matches!(want, FetchWant::Node { node, .. } if node.type_name == "GithubWorkflowRun")
}
