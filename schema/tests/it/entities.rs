//! Requests of a federation's router: each representation is answered in its place, whatever the others are.

use std::sync::Arc;

use mullion_schema::ports::Role;
use serde_json::{Value, json};

use crate::fake::{Fake, node_id, own_id, run_as};

const DOCUMENT: &str = "query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on GithubIssue { title }
    ... on GithubRepository { owner { login } } ... on Dashboard { slug } ... on Widget { title } } }";

#[test]
fn each_representation_is_answered_in_its_place() {
    let fake = Arc::new(Fake::new().failing("AsanaTask").failing("GithubUser:U1"));
    let wrong = Some("BAD_USER_INPUT");
    let issue = node_id("GithubIssue:I1");
    let table = [
        (
            json!({"__typename": "GithubIssue", "id": issue}),
            json!({"__typename": "GithubIssue", "title": "Broken"}),
            None,
        ),
        (json!({"__typename": "Nothing", "id": issue}), Value::Null, wrong),
        (json!({"__typename": "WorkItem", "id": issue}), Value::Null, wrong),
        (json!({"__typename": "Viewer", "id": issue}), Value::Null, wrong),
        (json!({"__typename": 5, "id": issue}), Value::Null, wrong),
        (json!({"id": issue}), Value::Null, wrong),
        (json!({"__typename": "GithubIssue"}), Value::Null, wrong),
        (json!({"__typename": "GithubIssue", "id": null}), Value::Null, wrong),
        (json!({"__typename": "GithubIssue", "id": "nonsense"}), Value::Null, wrong),
        (json!({"__typename": "GithubIssue", "id": {"a": 1}}), Value::Null, wrong),
        (json!({"__typename": "GithubUser", "id": issue}), Value::Null, wrong),
        (json!("GithubIssue"), Value::Null, wrong),
        (json!([]), Value::Null, wrong),
        (json!({"__typename": "GithubIssue", "id": node_id("GithubIssue:unknown")}), Value::Null, None),
        (json!({"__typename": "Dashboard", "id": own_id("Dashboard", "unknown")}), Value::Null, None),
        (json!({"__typename": "AsanaTask", "id": node_id("AsanaTask:T1")}), Value::Null, Some("PROVIDER_UNAVAILABLE")),
        (
            json!({"__typename": "Dashboard", "id": own_id("Dashboard", "d1")}),
            json!({"__typename": "Dashboard", "slug": "team"}),
            None,
        ),
        (
            json!({"__typename": "WorkItemsWidget", "id": own_id("Widget", "0")}),
            json!({"__typename": "WorkItemsWidget", "title": "Widget 0"}),
            None,
        ),
        (
            json!({"__typename": "GithubIssue", "id": issue}),
            json!({"__typename": "GithubIssue", "title": "Broken"}),
            None,
        ),
    ];
    let representations: Vec<&Value> = table.iter().map(|(representation, ..)| representation).collect();
    let response = run_as(&fake, Role::Viewer, DOCUMENT, json!({"r": representations}));
    let data = serde_json::to_value(&response.data).expect("JSON");
    let errors = serde_json::to_value(&response.errors).expect("JSON");
    for (index, (representation, expected, code)) in table.iter().enumerate() {
        assert_eq!(data["_entities"][index], *expected, "{representation}");
        let mut own =
            errors.as_array().expect("a list").iter().filter(|error| error["path"] == json!(["_entities", index]));
        assert_eq!(
            own.next().map(|error| error["extensions"]["code"].as_str().expect("a code")),
            *code,
            "{representation}: {errors}"
        );
        assert!(own.next().is_none());
    }
}

#[test]
fn an_error_below_an_entity_has_the_entity_s_index_in_its_path() {
    let fake = Arc::new(Fake::new().failing("GithubUser:U1"));
    let repository = json!({"__typename": "GithubRepository", "id": node_id("GithubRepository:R1")});
    let response = run_as(&fake, Role::Viewer, DOCUMENT, json!({"r": [{}, repository]}));
    let errors = serde_json::to_value(&response.errors).expect("JSON");
    assert_eq!(errors[1]["path"], json!(["_entities", 1, "owner"]), "{errors}");
}

#[test]
fn more_than_a_hundred_representations_are_refused() {
    let fake = Arc::new(Fake::new());
    let many = |count| json!({"r": vec![json!({"__typename": "GithubIssue", "id": node_id("GithubIssue:I1")}); count]});
    assert!(run_as(&fake, Role::Viewer, DOCUMENT, many(100)).errors.is_empty());
    let (code, message) = crate::fake::error(&fake, Role::Viewer, DOCUMENT, many(101));
    assert_eq!((code.as_str(), message.as_str()), ("BAD_USER_INPUT", "representations: must have at most 100 values"));
}
