//! Answers that are not what GitHub's API promises: none of them passes for absence, or for a list that is whole.

use serde_json::{Value, json};

use super::{
    fake::Fake,
    reads::{fetch, lookup, node, page},
};
use crate::{provider::FetchWant, upstream::UpstreamErrorKind};

#[tokio::test]
async fn a_page_that_is_not_whole_is_no_page() {
    let issue = json!({"__typename": "Issue", "id": "I_1", "title": "t", "updatedAt": "2026-01-01T00:00:00Z", "repository": {"id": "R_1"}});
    let without = |key: &str| {
        let mut issue = issue.clone();
        issue[key] = Value::Null;
        issue
    };
    let paged = |nodes: Value, next: Value, has_next: bool| {
        let info = json!({ "hasNextPage": has_next, "endCursor": next });
        json!([{ "__typename": "Repository", "id": "R_1", "list": { "totalCount": 2, "pageInfo": info, "nodes": nodes } }])
    };
    let of = |type_name: &str, id: &str| {
        let mut list = paged(json!([]), Value::Null, false);
        (list[0]["__typename"], list[0]["id"]) = (type_name.into(), id.into());
        list
    };
    let last = |nodes: Value| paged(nodes, Value::Null, false);
    let error = |kind: &str| json!([{ "type": kind, "path": ["a0", 0, "list", "nodes", 1], "message": "no" }]);
    let at_owner = |kind: &str| json!([{ "type": kind, "path": ["a0", 0], "message": "no" }]);
    let none = || json!([]);
    for (answer, errors, expected) in [
        (last(json!([issue, null])), error("INTERNAL"), Err(UpstreamErrorKind::Down)),
        (last(json!([issue, null])), error("FORBIDDEN"), Ok((1, Some(UpstreamErrorKind::Forbidden)))),
        (last(json!([issue, null])), none(), Err(UpstreamErrorKind::Down)),
        (last(json!([issue, 7])), none(), Err(UpstreamErrorKind::Down)),
        (last(json!([issue, without("id")])), none(), Err(UpstreamErrorKind::Down)),
        (last(json!([issue, without("__typename")])), none(), Err(UpstreamErrorKind::Down)),
        (last(json!([issue, without("updatedAt")])), none(), Err(UpstreamErrorKind::Down)),
        (last(json!([issue, without("repository")])), none(), Err(UpstreamErrorKind::Down)),
        (last(json!([issue, { "__typename": "Discussion", "id": "D_1" }])), none(), Ok((1, None))),
        (paged(json!([issue]), Value::Null, true), none(), Err(UpstreamErrorKind::Down)),
        (paged(json!([issue]), "same".into(), true), none(), Err(UpstreamErrorKind::Down)),
        (last(json!(null)), none(), Err(UpstreamErrorKind::Down)),
        (of("Organization", "O_1"), none(), Err(UpstreamErrorKind::Down)),
        (of("Repository", "R_2"), none(), Err(UpstreamErrorKind::Down)),
        (json!([{ "__typename": "Repository", "id": "R_1", "list": null }]), none(), Err(UpstreamErrorKind::Down)),
        (json!([null]), none(), Err(UpstreamErrorKind::Down)),
        (json!([null]), at_owner("NOT_FOUND"), Err(UpstreamErrorKind::NotFound)),
        (
            json!([{ "__typename": "Repository", "id": "R_1", "list": null }]),
            json!([{ "type": "FORBIDDEN", "path": ["a0", 0, "list"], "message": "no" }]),
            Err(UpstreamErrorKind::Forbidden),
        ),
    ] {
        // A further page is asked for alone.
        let further = answer[0]["list"]["pageInfo"]["endCursor"] == "same";
        let answer_of_call = if further { answer[0].clone() } else { answer.clone() };
        let (_, connection) = Fake::saying(json!({ "data": { "a0": answer_of_call }, "errors": errors }));
        let mut page = page(Some(("GithubRepository", "R_1")), "issues", &[]);
        page.cursor = further.then(|| "same".to_owned());
        let fetched = fetch(&connection, vec![FetchWant::Page(page)]).await.remove(0);
        let outcome = fetched.map_err(|error| error.kind).and_then(|fetched| match fetched.failure {
            Some(error) => {
                assert!(fetched.pages.is_empty() && !fetched.writes.is_empty());
                Err(error.kind)
            }
            None => Ok((fetched.pages[0].items.len(), fetched.refused.map(|error| error.kind))),
        });
        assert_eq!(outcome, expected, "{answer} {errors}");
    }
}

#[tokio::test]
async fn only_github_s_own_word_means_that_there_is_no_such_thing() {
    let issue = |type_name: &str, id: &str| json!({ "__typename": type_name, "id": id, "title": "t", "updatedAt": "2026-01-01T00:00:00Z" });
    let not_found = json!([{ "type": "NOT_FOUND", "path": ["a0", 0], "message": "no" }]);
    let elsewhere = json!([{ "type": "NOT_FOUND", "path": ["a0", 1], "message": "no" }]);
    let deeper = json!([{ "type": "NOT_FOUND", "path": ["a0", 0, "milestone"], "message": "no" }]);
    let by_id = || node("GithubIssue", "I_1", &["title"]);
    let by_name = || lookup("repository", "GithubRepository", &[("owner", "acme"), ("name", "web")], vec![]);
    let by_login = || lookup("user", "GithubUser", &[("login", "ann")], vec![]);
    for (want, part, errors, expected) in [
        (by_id(), json!([null]), not_found.clone(), Ok(false)),
        (by_id(), json!([null]), json!([]), Err(UpstreamErrorKind::Down)),
        (by_id(), json!([null]), elsewhere, Err(UpstreamErrorKind::Down)),
        (by_id(), json!([null]), deeper, Err(UpstreamErrorKind::Down)),
        (by_id(), json!([]), json!([]), Err(UpstreamErrorKind::Down)),
        (by_id(), json!(null), json!([]), Err(UpstreamErrorKind::Down)),
        (by_id(), json!({}), json!([]), Err(UpstreamErrorKind::Down)),
        (by_id(), json!([{}]), json!([]), Err(UpstreamErrorKind::Down)),
        (by_id(), json!([issue("PullRequest", "I_1")]), json!([]), Err(UpstreamErrorKind::Down)),
        (by_id(), json!([issue("Issue", "I_2")]), json!([]), Err(UpstreamErrorKind::Down)),
        (by_id(), json!([issue("Issue", "I_1")]), json!([]), Ok(true)),
        // The older format of ids may be answered with the newer one.
        (node("GithubIssue", "MDU6SXNzdWUx", &["title"]), json!([issue("Issue", "I_1")]), json!([]), Ok(true)),
        (by_name(), json!(null), json!([]), Err(UpstreamErrorKind::Down)),
        (by_name(), json!({}), json!([]), Err(UpstreamErrorKind::Down)),
        (by_name(), json!(null), json!([{ "type": "NOT_FOUND", "path": ["a0"], "message": "no" }]), Ok(false)),
        // For a login that nobody has, GitHub says nothing but null.
        (by_login(), json!(null), json!([]), Ok(false)),
    ] {
        let (_, connection) = Fake::saying(json!({ "data": { "a0": part }, "errors": errors }));
        let outcome = fetch(&connection, vec![want]).await.remove(0);
        let outcome = outcome.map(|fetched| fetched.found.is_some()).map_err(|error| error.kind);
        assert_eq!(outcome, expected, "{part} {errors}");
    }
}

#[tokio::test]
async fn a_status_of_the_whole_call_is_no_absence_and_a_limit_is_noted() {
    let reset = ("x-ratelimit-reset", "1700000030");
    for (status, headers, kind, noted) in [
        (404, vec![], UpstreamErrorKind::Down, None),
        (410, vec![], UpstreamErrorKind::Down, None),
        (451, vec![], UpstreamErrorKind::Forbidden, None),
        (403, vec![("x-ratelimit-remaining", "0"), reset], UpstreamErrorKind::RateLimited, Some(30)),
        (403, vec![("x-ratelimit-remaining", "4000"), ("retry-after", "9")], UpstreamErrorKind::RateLimited, Some(9)),
        (429, vec![("retry-after", "9")], UpstreamErrorKind::RateLimited, Some(9)),
        (429, vec![], UpstreamErrorKind::RateLimited, Some(60)),
    ] {
        let told = headers.clone();
        let (fake, connection) = Fake::answering(move |_, _| (status, told.clone(), json!({ "message": "No" })));
        let outcome = fetch(&connection, vec![node("GithubIssue", "I_1", &["title"])]).await.remove(0);
        assert_eq!(outcome.map_err(|error| error.kind), Err(kind), "{status} {headers:?}");
        let quotas = fake.quotas.lock();
        let spent =
            quotas.last().map(|quota| (quota.remaining, quota.resets_at.map(|at| at.timestamp() - 1_700_000_000)));
        assert_eq!(spent, noted.map(|wait| (Some(0), Some(wait))), "{status} {headers:?}");
    }
}

#[tokio::test]
async fn a_total_that_cannot_be_right_is_none() {
    let issue =
        json!({"__typename": "Issue", "id": "I_1", "updatedAt": "2026-01-01T00:00:00Z", "repository": {"id": "R_1"}});
    for (told, expected) in
        [(json!(7), Some(7)), (json!(1), Some(1)), (json!(0), None), (json!(-5), None), (json!("7"), None)]
    {
        let list =
            json!({ "totalCount": told, "pageInfo": { "hasNextPage": false, "endCursor": null }, "nodes": [issue] });
        let (_, connection) =
            Fake::saying(json!({ "data": { "a0": [{ "__typename": "Repository", "id": "R_1", "list": list }] } }));
        let want = FetchWant::Page(page(Some(("GithubRepository", "R_1")), "issues", &[]));
        let fetched = fetch(&connection, vec![want]).await.remove(0).expect("a page");
        assert_eq!(fetched.pages[0].total, expected, "{told}");
    }
}

#[tokio::test]
async fn a_page_of_runs_that_lacks_what_places_them_is_broken() {
    let run = json!({"id": 9, "node_id": "WFR_9", "updated_at": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z",
        "repository": {"node_id": "R1", "full_name": "acme/r1"}});
    for (lacks, is_good) in [("name", true), ("node_id", false), ("created_at", false), ("repository", false)] {
        let mut run = run.clone();
        run.as_object_mut().expect("an object").remove(lacks);
        let (_, connection) = Fake::answering(move |request, _| match request.url.path() {
            "/graphql" => (
                200,
                vec![],
                json!({ "data": { "a0": [{ "__typename": "Repository", "id": "R1", "nameWithOwner": "acme/r1" }] } }),
            ),
            _ => (200, vec![], json!({ "total_count": 1, "workflow_runs": [run] })),
        });
        let want = FetchWant::Page(page(Some(("GithubRepository", "R1")), "workflowRuns", &[]));
        let outcome = fetch(&connection, vec![want]).await.remove(0).map(drop).map_err(|error| error.kind);
        assert_eq!(outcome, if is_good { Ok(()) } else { Err(UpstreamErrorKind::Down) }, "{lacks}");
    }
}

#[tokio::test]
async fn a_field_that_is_not_what_the_schema_says_is_unknown_and_told() {
    for (key, field, told, is_good) in [
        ("openIssueCount", "openIssues", json!({ "totalCount": 7 }), true),
        ("openIssueCount", "openIssues", json!(null), false),
        ("openIssueCount", "openIssues", json!({}), false),
        ("openIssueCount", "openIssues", json!({ "totalCount": -5 }), false),
        ("openIssueCount", "openIssues", json!({ "totalCount": "7" }), false),
    ] {
        let mut repository =
            json!({ "__typename": "Repository", "id": "R_1", "name": "web", "updatedAt": "2026-01-01T00:00:00Z" });
        repository[field] = told.clone();
        let (_, connection) = Fake::saying(json!({ "data": { "a0": [repository] } }));
        let want = node("GithubRepository", "R_1", &["name", key]);
        let fetched = fetch(&connection, vec![want]).await.remove(0).expect("the rest");
        let failure = fetched.failure.as_ref().map(|error| error.kind);
        assert_eq!(failure, (!is_good).then_some(UpstreamErrorKind::Down), "{told}");
        let mut aspects = fetched.writes[0].aspects.iter();
        assert_eq!(aspects.any(|aspect| aspect.fields.contains_key(key)), is_good, "{told}");
    }
    for (told, is_good) in [(json!({ "nodes": [] }), true), (json!(null), false), (json!({ "nodes": null }), false)] {
        let issue =
            json!({ "__typename": "Issue", "id": "I_1", "assignedActors": told, "updatedAt": "2026-01-01T00:00:00Z" });
        let (_, connection) = Fake::saying(json!({ "data": { "a0": [issue] } }));
        let want = node("GithubIssue", "I_1", &["assignees"]);
        let fetched = fetch(&connection, vec![want]).await.remove(0).expect("the rest");
        assert_eq!(fetched.failure.is_none(), is_good, "{told}");
        assert_eq!(fetched.writes[0].aspects[0].fields.contains_key("assignees"), is_good, "{told}");
    }
}

#[tokio::test]
async fn a_selection_that_github_refuses_takes_nothing_else_with_it() {
    let (fake, connection) = Fake::answering(|_, body| {
        let asked: Vec<&str> = body["variables"]
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(_, ids)| ids.as_array().into_iter().flatten().filter_map(Value::as_str))
            .collect();
        let document = body["query"].as_str().unwrap_or_default();
        if document.contains("openIssues") {
            let refused = json!({ "message": "Field 'openIssues' doesn't exist on type 'Repository'", "extensions": { "code": "undefinedField" } });
            return (200, vec![], json!({ "errors": [refused] }));
        }
        let issue =
            |id: &&str| json!({ "__typename": "Issue", "id": id, "title": "t", "updatedAt": "2026-01-01T00:00:00Z" });
        (200, vec![], json!({ "data": { "a0": asked.iter().map(issue).collect::<Vec<_>>(), "rateLimit": null } }))
    });
    let wants = vec![node("GithubRepository", "R_1", &["openIssueCount"]), node("GithubIssue", "I_1", &["title"])];
    let outcomes = fetch(&connection, wants).await;
    assert_eq!(outcomes[0].as_ref().map(|_| ()).map_err(|error| error.kind), Err(UpstreamErrorKind::Rejected));
    assert!(outcomes[1].as_ref().is_ok_and(|fetched| fetched.found.is_some() || !fetched.writes.is_empty()));
    assert_eq!(fake.documents().len(), 3, "the whole, and each half");
}
