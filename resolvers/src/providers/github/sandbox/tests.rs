//! The sandbox as a whole, through the seam that the host uses: calls, acts, webhooks.

use chrono::{DateTime, Duration, Utc};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::sandbox::{OutgoingWebhook, Rejection, Sandbox};

fn base() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

fn sandbox() -> GithubSandbox {
    GithubSandbox::seeded(7, base(), "http://127.0.0.1:4001/github".to_owned())
}

fn send(sandbox: &GithubSandbox, method: Method, path: &str, extra: &[(&str, &str)], body: &Value) -> CallOutcome {
    let mut request = http::Request::builder().method(method).uri(path).header("authorization", "Bearer x");
    for (name, value) in extra {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    futures::executor::block_on(sandbox.call(base() + Duration::seconds(5), request.body(body).unwrap()))
}

fn get(sandbox: &GithubSandbox, path: &str) -> (StatusCode, Value, HeaderMap) {
    let response = send(sandbox, Method::GET, path, &[], &Value::Null).response;
    let body = serde_json::from_slice(response.body()).unwrap_or_default();
    (response.status(), body, response.headers().clone())
}

fn header_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn the_world_has_a_real_teams_size() {
    let sandbox = sandbox();
    let world = Arc::clone(&sandbox.state.lock().world);
    let count = |pulls: bool| -> usize {
        world.repos.iter().map(|repo| repo.items.values().filter(|item| item.pull.is_some() == pulls).count()).sum()
    };
    assert!(world.repos.len() >= 8 && count(false) >= 400 && count(true) >= 150, "{} {}", count(false), count(true));
    let web = &world.repos[0];
    assert!(web.items.values().filter(|item| item.pull.is_some()).count() >= 120);
    assert!(web.items.values().filter(|item| item.pull.is_some() && item.is_open()).count() >= 50);
    for repo in &world.repos {
        assert!(repo.runs.len() >= 12, "{}: {}", repo.name, repo.runs.len());
        assert!(
            repo.items.values().all(|item| item.updated <= base() && item.created <= item.updated),
            "{}",
            repo.name
        );
        assert!(repo.commits.values().all(|commit| commit.at <= base() + Duration::hours(2)), "{}", repo.name);
    }
}

#[test]
fn the_same_seed_and_acts_give_the_same_world() {
    let run = || {
        let sandbox = sandbox();
        sandbox.add_webhook("http://127.0.0.1:9/hook", "s");
        let mut log = Vec::new();
        for n in 0..60 {
            let (action, input) = sandbox.gentle(n);
            let now = base() + Duration::minutes(i64::try_from(n).unwrap());
            let acted =
                sandbox.act(now, action, &input).unwrap_or_else(|error| panic!("{n} {action} {input}: {error}"));
            log.push(format!("{action} {input} {} {:?}", acted.result, acted.webhooks));
        }
        log.push(get(&sandbox, "/repos/acme/web/issues?state=all&per_page=100").1.to_string());
        log
    };
    assert_eq!(run(), run());
}

#[test]
fn hooks_do_not_change_the_world_beside_them() {
    let run = |hooked: bool| {
        let sandbox = sandbox();
        if hooked {
            sandbox.add_webhook("http://127.0.0.1:9/hook", "s");
        }
        (0..20)
            .map(|n| sandbox.gentle(n))
            .map(|(action, input)| sandbox.act(base(), action, &input).unwrap().result)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn every_act_works_with_its_example_and_without_any_input() {
    for (action, example) in sandbox().acts() {
        for input in [example, json!({})] {
            let sandbox = sandbox();
            sandbox.add_webhook("http://127.0.0.1:9/hook", "s");
            let number = input.get("number").is_some();
            let input = if number { existing(&sandbox, action, input) } else { input };
            let acted = sandbox.act(base() + Duration::hours(1), action, &input);
            let acted = acted.unwrap_or_else(|error| panic!("{action} {input}: {error}"));
            assert!(acted.result.get("id").is_some(), "{action}: {}", acted.result);
            let quiet = action.starts_with("edit_") || action.ends_with("_webhook");
            assert!(quiet || !acted.webhooks.is_empty(), "{action} {input}");
            for webhook in &acted.webhooks {
                check_webhook(webhook, "s");
            }
        }
    }
}

/// The example's number, replaced by one that fits in this world.
fn existing(sandbox: &GithubSandbox, action: &str, mut input: Value) -> Value {
    let world = Arc::clone(&sandbox.state.lock().world);
    let pull = !action.ends_with("issue");
    let open = action != "reopen_issue";
    let fits = |item: &&world::model::Item| {
        item.pull.is_some() == pull && item.is_open() == open && item.labels.is_empty() && item.assignees.is_empty()
    };
    input["number"] = json!(world.repos[0].items.values().find(fits).unwrap().number);
    input
}

fn check_webhook(webhook: &OutgoingWebhook, secret: &str) {
    let headers = &webhook.headers;
    assert_eq!(header_of(headers, "x-hub-signature-256"), hooks::signature(secret, &webhook.body));
    assert_eq!(header_of(headers, "x-github-delivery").len(), 36);
    let payload: Value = serde_json::from_slice(&webhook.body).unwrap();
    for key in ["repository", "sender"] {
        assert!(payload[key]["node_id"].is_string(), "{}", header_of(headers, "x-github-event"));
    }
}

#[test]
fn acts_change_what_the_api_shows() {
    let sandbox = sandbox();
    sandbox.add_webhook("http://127.0.0.1:9/hook", "s");
    let opened = sandbox.act(base(), "open_issue", &json!({ "repository": "acme/api", "title": "New" })).unwrap();
    let number = opened.result["number"].as_u64().unwrap();
    let path = format!("/repos/acme/api/issues/{number}");
    assert_eq!(get(&sandbox, &path).1["node_id"], opened.result["node_id"]);
    let closed = sandbox.act(base(), "close_issue", &json!({ "repository": "acme/api", "number": number })).unwrap();
    let payload: Value = serde_json::from_slice(&closed.webhooks[0].body).unwrap();
    assert_eq!((&payload["action"], &payload["issue"]["state"]), (&json!("closed"), &json!("closed")));
    let mut shown = get(&sandbox, &path).1;
    shown.as_object_mut().unwrap().shift_remove("closed_by");
    assert_eq!(payload["issue"], shown);
    let before = get(&sandbox, "/repos/acme/web/actions/runs?per_page=1").1["total_count"].as_u64().unwrap();
    let run =
        sandbox.act(base(), "workflow_run", &json!({ "repository": "acme/web", "conclusion": "failure" })).unwrap();
    assert_eq!(run.webhooks.len(), 3);
    let (_, runs, _) = get(&sandbox, "/repos/acme/web/actions/runs?per_page=1&status=failure");
    assert_eq!(runs["workflow_runs"][0]["id"], run.result["id"]);
    assert_eq!(get(&sandbox, "/repos/acme/web/actions/runs").1["total_count"], before + 1);
    assert!(matches!(sandbox.act(base(), "dance", &json!({})), Err(ActError::Unknown(_))));
    let unknown = sandbox.act(base(), "close_issue", &json!({ "repository": "acme/nope" }));
    assert!(matches!(unknown, Err(ActError::NotFound(_))));
    let wrong = sandbox.act(base(), "close_issue", &json!({ "number": "x" }));
    assert!(matches!(wrong, Err(ActError::BadInput(_))));
}

#[test]
fn a_push_to_a_pull_requests_branch_moves_its_head() {
    let sandbox = sandbox();
    sandbox.add_webhook("http://127.0.0.1:9/hook", "s");
    let opened = sandbox.act(base(), "open_pull_request", &json!({ "title": "Change" })).unwrap();
    let number = &opened.result["number"];
    let pushed = sandbox.act(base(), "push", &json!({ "number": number })).unwrap();
    let events: Vec<&str> = pushed.webhooks.iter().map(|one| header_of(&one.headers, "x-github-event")).collect();
    assert_eq!(events, ["push", "pull_request"]);
    let (_, pull, _) = get(&sandbox, &format!("/repos/acme/web/pulls/{number}"));
    assert_eq!(pull["head"]["sha"], pushed.result["sha"]);
    let merged = sandbox.act(base(), "merge_pull_request", &json!({ "number": number })).unwrap();
    assert_eq!(merged.result["state"], "MERGED");
    assert_eq!(get(&sandbox, &format!("/repos/acme/web/pulls/{number}")).1["merged"], true);
}

#[test]
fn lists_are_paged_with_links_and_unchanged_answers_are_304_for_free() {
    let sandbox = sandbox();
    let (status, page, headers) = get(&sandbox, "/repos/acme/web/pulls?state=all&per_page=50&page=2");
    assert_eq!((status, page.as_array().unwrap().len()), (StatusCode::OK, 50));
    let root = "http://127.0.0.1:4001/github/repos/acme/web/pulls?state=all&per_page=50&page=";
    let expected = [("1", "prev"), ("3", "next"), ("3", "last"), ("1", "first")]
        .map(|(page, relation)| format!("<{root}{page}>; rel=\"{relation}\""))
        .join(", ");
    assert_eq!(header_of(&headers, "link"), expected);
    assert_eq!(header_of(&headers, "x-ratelimit-remaining"), "4999");
    let known = header_of(&headers, "etag");
    let path = "/repos/acme/web/pulls?state=all&per_page=50&page=2";
    let again = send(&sandbox, Method::GET, path, &[("if-none-match", known)], &Value::Null).response;
    assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(header_of(again.headers(), "x-ratelimit-remaining"), "4999");
    assert_eq!(header_of(again.headers(), "etag"), known);
}

#[test]
fn every_read_is_answered() {
    let sandbox = sandbox();
    let (_, pull, _) = get(&sandbox, "/repos/acme/web/pulls?per_page=1");
    let (number, sha) = (pull[0]["number"].to_string(), pull[0]["head"]["sha"].as_str().unwrap().to_owned());
    let release = get(&sandbox, "/repos/acme/web/releases/latest").1;
    let run = get(&sandbox, "/repos/acme/web/actions/runs").1["workflow_runs"][0].clone();
    let comment = get(&sandbox, "/repos/acme/web/issues/comments").1[0]["id"].to_string();
    for path in [
        "/user",
        "/users/benokafor",
        "/orgs/acme",
        "/orgs/acme/repos",
        "/user/repos",
        "/rate_limit",
        "/meta",
        "/repos/acme/web",
        "/search/issues?q=repo:acme/web+is:open+is:pr",
        "/search/repositories?q=org:acme",
        "/repos/acme/web/issues?labels=bug&assignee=*&since=2020-01-01T00:00:00Z&sort=updated&direction=asc",
        &format!("/repos/acme/web/issues/{number}"),
        &format!("/repos/acme/web/issues/{number}/comments"),
        &format!("/repos/acme/web/issues/comments/{comment}"),
        &format!("/repos/acme/web/pulls/{number}"),
        &format!("/repos/acme/web/pulls/{number}/reviews"),
        &format!("/repos/acme/web/pulls/{number}/requested_reviewers"),
        &format!("/repos/acme/web/pulls/{number}/files"),
        &format!("/repos/acme/web/commits/{sha}/check-runs"),
        &format!("/repos/acme/web/commits/{sha}/status"),
        "/repos/acme/web/commits/main",
        "/repos/acme/web/releases",
        &format!("/repos/acme/web/releases/{}", release["id"]),
        &format!("/repos/acme/web/releases/tags/{}", release["tag_name"].as_str().unwrap()),
        &format!("/repos/acme/web/actions/runs/{}", run["id"]),
        &format!("/repos/acme/web/actions/workflows/{}/runs", run["workflow_id"]),
        "/repos/acme/web/labels",
        "/repos/acme/web/labels/good%20first%20issue",
        "/repos/acme/web/milestones",
        "/repos/acme/web/branches",
        "/repos/acme/web/collaborators",
        "/repos/acme/web/contributors",
        "/repos/acme/web/hooks",
    ] {
        let (status, body, headers) = get(&sandbox, path);
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        assert_eq!(header_of(&headers, "content-type"), "application/json; charset=utf-8", "{path}");
        assert!(!header_of(&headers, "x-github-request-id").is_empty(), "{path}");
    }
    assert_eq!(get(&sandbox, "/search/issues?q=x").2["x-ratelimit-limit"], "30");
}

#[test]
fn refusals_have_githubs_form() {
    let sandbox = sandbox();
    for path in ["/repos/acme/nope", "/repos/acme/web/issues/99999", "/nope", "/repos/acme/web/pulls/x"] {
        let (status, body, _) = get(&sandbox, path);
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!((&body["message"], &body["status"]), (&json!("Not Found"), &json!("404")), "{path}");
    }
    let anonymous = http::Request::builder().uri("/user").body(Bytes::new()).unwrap();
    let outcome = futures::executor::block_on(sandbox.call(base(), anonymous));
    assert_eq!(outcome.response.status(), StatusCode::UNAUTHORIZED);
    for (path, rejection, status) in [
        ("/user", Rejection::RateLimited { retry_after: 3 }, 429),
        ("/graphql", Rejection::RateLimited { retry_after: 3 }, 200),
        ("/user", Rejection::ServerError, 500),
        ("/graphql", Rejection::Unauthorized, 401),
        ("/graphql", Rejection::Forbidden, 403),
        ("/user", Rejection::Error { code: "FORBIDDEN".into() }, 403),
        ("/graphql", Rejection::Error { code: "INTERNAL".into() }, 200),
    ] {
        let request = http::Request::builder().uri(path).body(Bytes::new()).unwrap();
        let response = sandbox.rejection(base(), &request, rejection.clone());
        assert_eq!(response.status().as_u16(), status, "{path} {rejection:?}");
        if let Rejection::RateLimited { .. } = rejection {
            assert_eq!(header_of(response.headers(), "retry-after"), "3");
            assert_eq!(header_of(response.headers(), "x-ratelimit-remaining"), "0");
        }
    }
}

#[test]
fn hooks_are_registered_pinged_delivered_and_sent_again_under_the_same_guid() {
    let sandbox = sandbox();
    let config = json!({ "url": "https://example.test/hook", "content_type": "json", "secret": "s3cret" });
    let body = json!({ "name": "web", "active": true, "events": ["issues"], "config": config });
    let created = send(&sandbox, Method::POST, "/repos/acme/web/hooks", &[], &body);
    assert_eq!(created.response.status(), StatusCode::CREATED);
    assert_eq!(header_of(&created.webhooks[0].headers, "x-github-event"), "ping");
    let hook: Value = serde_json::from_slice(created.response.body()).unwrap();
    assert_eq!(hook["config"]["secret"], "********");
    let issue = send(&sandbox, Method::POST, "/repos/acme/web/issues", &[], &json!({ "title": "By API" }));
    assert_eq!((issue.response.status(), issue.webhooks.len()), (StatusCode::CREATED, 1));
    check_webhook(&issue.webhooks[0], "s3cret");
    assert!(sandbox.act(base(), "star", &json!({})).unwrap().webhooks.is_empty(), "not subscribed");
    let path = format!("/repos/acme/web/hooks/{}", hook["id"]);
    let (_, deliveries, _) = get(&sandbox, &format!("{path}/deliveries"));
    let attempts = format!("{path}/deliveries/{}/attempts", deliveries[0]["id"]);
    let again = send(&sandbox, Method::POST, &attempts, &[], &Value::Null);
    assert_eq!(again.response.status(), StatusCode::ACCEPTED);
    assert_eq!(again.webhooks[0].headers["x-github-delivery"], issue.webhooks[0].headers["x-github-delivery"]);
    assert_eq!(again.webhooks[0].body, issue.webhooks[0].body);
    let form = json!({ "config": { "content_type": "form" } });
    assert_eq!(send(&sandbox, Method::PATCH, &path, &[], &form).response.status(), StatusCode::OK);
    let pinged = send(&sandbox, Method::POST, &format!("{path}/pings"), &[], &Value::Null);
    assert!(pinged.webhooks[0].body.starts_with(b"payload=%7B"));
    assert_eq!(send(&sandbox, Method::DELETE, &path, &[], &Value::Null).response.status(), StatusCode::NO_CONTENT);
    assert_eq!(get(&sandbox, &path).0, StatusCode::NOT_FOUND);
}

#[test]
fn a_hooks_deliveries_are_the_same_in_a_replay_whatever_other_hooks_there_are() {
    let told = |beside: bool| {
        let sandbox = sandbox();
        if beside {
            sandbox.add_webhook("https://example.test/own", "s3cret");
        }
        let hook = json!({ "name": "web", "events": ["*"], "config": { "url": "https://example.test/hook" } });
        let created = send(&sandbox, Method::POST, "/repos/acme/web/hooks", &[], &hook);
        let hook: Value = serde_json::from_slice(created.response.body()).unwrap();
        for title in ["One", "Two"] {
            let issue = json!({ "title": title });
            let issue = send(&sandbox, Method::POST, "/repos/acme/web/issues", &[], &issue);
            assert_eq!(issue.webhooks.len(), 1 + usize::from(beside));
        }
        let log = get(&sandbox, &format!("/repos/acme/web/hooks/{}/deliveries", hook["id"])).1;
        let log: Vec<(u64, String)> = log
            .as_array()
            .unwrap()
            .iter()
            .map(|line| (line["id"].as_u64().unwrap(), line["guid"].as_str().unwrap().to_owned()))
            .collect();
        log
    };
    let log = told(true);
    assert_eq!(log, told(false));
    assert!(log.len() == 3 && log.is_sorted_by(|newer, older| newer.0 > older.0 && newer.1 != older.1), "{log:?}");
}

#[test]
fn graphql_is_answered_recorded_and_limited() {
    let sandbox = sandbox();
    let query = json!({ "query": "{ viewer { login } rateLimit { cost remaining } }" });
    let response = send(&sandbox, Method::POST, "/graphql", &[], &query).response;
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        body,
        json!({ "data": { "viewer": { "login": "ada-brandt" }, "rateLimit": { "cost": 1, "remaining": 4999 } } })
    );
    assert_eq!(header_of(response.headers(), "x-ratelimit-resource"), "graphql");
    assert_eq!(sandbox.recorded_documents(), ["{ viewer { login } rateLimit { cost remaining } }"]);
    sandbox.take(base() + Duration::seconds(5), Resource::Graphql, 4999);
    let response = send(&sandbox, Method::POST, "/graphql", &[], &query).response;
    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["errors"][0]["type"], "RATE_LIMITED");
}
