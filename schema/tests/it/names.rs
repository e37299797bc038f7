//! Ids and cursors as clients may send them.

use std::sync::Arc;

use mullion_schema::ports::Role;
use serde_json::json;

use crate::fake::{Fake, error, node_id, own_id, run, run_as};

#[test]
fn node_is_null_for_unknown_foreign_and_malformed_ids_and_ids_of_other_types() {
    let fake = Arc::new(Fake::new());
    for (id, typename) in [
        (node_id("GithubIssue:I1"), json!("GithubIssue")),
        (node_id("GithubIssue:nope"), json!(null)),
        (node_id("GitlabIssue:1"), json!(null)),
        (own_id("Dashboard", "d1"), json!("Dashboard")),
        (own_id("Dashboard", "nope"), json!(null)),
        (own_id("Widget", "1"), json!("BuildsWidget")),
        (own_id("Widget", "7"), json!(null)),
        (own_id("Integration", "gh"), json!("Integration")),
        (own_id("Activity", "a1"), json!("Activity")),
        (own_id("Provider", "github"), json!(null)),
        (own_id("Teapot", "1"), json!(null)),
        (String::new(), json!(null)),
        ("abc".to_owned(), json!(null)),
        ("12".to_owned(), json!(null)),
        ("bad id".to_owned(), json!(null)),
        ("A".repeat(3000), json!(null)),
    ] {
        let response =
            run_as(&fake, Role::Viewer, "query($id: ID!) { node(id: $id) { __typename id } }", json!({"id": id}));
        assert!(response.errors.is_empty(), "{:?}", response.errors);
        let node = response.data.into_json().expect("JSON")["node"].clone();
        assert_eq!(node["__typename"], typename, "{id}");
        if !node.is_null() {
            assert_eq!(node["id"], id);
        }
    }
    // A field that takes the id of one type says what is wrong with a text that is none.
    for id in ["", "x", "12", "bad id", &"A".repeat(3000)] {
        let document = "query($id: ID!) { dashboard(id: $id) { id } }";
        let (code, message) = error(&fake, Role::Viewer, document, json!({"id": id}));
        assert_eq!((code.as_str(), message.as_str()), ("BAD_USER_INPUT", "id: not an id of this graph"));
    }
}

#[test]
fn nodes_is_null_where_node_is() {
    let fake = Arc::new(Fake::new());
    let ids = [node_id("GithubIssue:nope"), own_id("Dashboard", "d1"), "abc".to_owned(), own_id("Provider", "github")];
    let response =
        run_as(&fake, Role::Viewer, "query($ids: [ID!]!) { nodes(ids: $ids) { __typename } }", json!({"ids": ids}));
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let expected = json!({ "nodes": [null, { "__typename": "Dashboard" }, null, null] });
    assert_eq!(response.data.into_json().expect("JSON"), expected);
}

#[test]
fn introspection_and_the_schema_language_say_what_the_graph_is() {
    let fake = Arc::new(Fake::new());
    let sdl = mullion_schema::build::sdl();
    let written = sdl.rsplit("\"\"\"\n").nth(1).expect("a description before `schema`").trim().to_owned();
    assert!(written.contains("one live graph"), "{written}");
    async_graphql::parser::parse_schema(crate::contract::undescribed(&sdl)).expect("the SDL parses");
    for (document, expected) in [
        ("{ __schema { description } }", json!({ "__schema": { "description": written } })),
        (
            "{ a: __schema { b: description queryType { description: name } } }",
            json!({ "a": { "b": written, "queryType": { "description": "Query" } } }),
        ),
        (
            "{ ...A } fragment A on Query { __schema { ... { description } } }",
            json!({ "__schema": { "description": written } }),
        ),
        (
            "{ __schema { description @skip(if: true) queryType { name } } }",
            json!({ "__schema": { "queryType": { "name": "Query" } } }),
        ),
        ("{ __type(name: \"ID\") { name } }", json!({ "__type": { "name": "ID" } })),
    ] {
        let response = run_as(&fake, Role::Viewer, document, json!({}));
        assert!(response.errors.is_empty(), "{:?}", response.errors);
        assert_eq!(response.data.into_json().expect("JSON"), expected, "{document}");
    }
    let circle = "{ ...A } fragment A on Query { __schema { description } ...A }";
    assert!(!run_as(&fake, Role::Viewer, circle, json!({})).errors.is_empty());
}

#[test]
fn pages_are_checked_everywhere() {
    let fake = Arc::new(Fake::new());
    for field in [
        "dashboards(ARGS) { totalCount }",
        "integrations(ARGS) { totalCount }",
        "workItems(ARGS) { totalCount }",
        "activity(ARGS) { totalCount }",
        "github { repositories(ARGS) { totalCount } }",
        "dashboard(slug: \"team\") { widgets { ... on WorkItemsWidget { items(ARGS) { totalCount } } } }",
    ] {
        for (arguments, named) in [("first: 0", "first: "), ("first: 101", "first: "), ("after: \"?\"", "after: ")] {
            let document = format!("{{ {} }}", field.replace("ARGS", arguments));
            let (code, message) = error(&fake, Role::Viewer, &document, json!({}));
            assert_eq!(code, "BAD_USER_INPUT", "{document}");
            assert!(message.starts_with(named), "{document}: {message}");
        }
    }
}

#[test]
fn a_cursor_goes_on_in_its_own_list_and_in_no_other() {
    let mut fake = Fake::new();
    let mut other = fake.nodes["GithubRepository:R1"].clone();
    other["name"] = json!("other");
    fake.nodes.insert("GithubRepository:R2".to_owned(), other);
    let fake = Arc::new(fake);
    let below = |repository: &str, list: &str| {
        let id = node_id(&format!("GithubRepository:{repository}"));
        format!("{{ node(id: \"{id}\") {{ ... on GithubRepository {{ {list} {{ pageInfo {{ endCursor }} }} }} }} }}")
    };
    let lists = [
        "{ workItems(ARGS) { pageInfo { endCursor } } }".to_owned(),
        "{ workItems(ARGS, orderBy: {field: CREATED_AT, direction: ASC}) { pageInfo { endCursor } } }".to_owned(),
        "{ workItems(ARGS, filter: {states: [DONE]}) { pageInfo { endCursor } } }".to_owned(),
        "{ dashboard(slug: \"team\") { widgets { ... on WorkItemsWidget { items(ARGS) { pageInfo { endCursor } } } } } }"
            .to_owned(),
        below("R1", "issues(ARGS)"),
        below("R1", "issues(ARGS, states: [OPEN])"),
        below("R2", "issues(ARGS)"),
    ];
    for (index, list) in lists.iter().enumerate() {
        let answer = run(&fake, &list.replace("ARGS", "first: 5"));
        let cursor = answer.split("\"endCursor\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a cursor");
        for (other, document) in lists.iter().enumerate() {
            let document = document.replace("ARGS", &format!("first: 5, after: \"{cursor}\""));
            if other == index {
                assert!(run(&fake, &document).contains("endCursor"), "{document}");
            } else {
                let (code, message) = error(&fake, Role::Viewer, &document, json!({}));
                assert_eq!(code, "BAD_USER_INPUT", "{document}");
                assert!(message.starts_with("after: "), "{message}");
            }
        }
    }
}

#[test]
fn only_addresses_of_the_web_leave_as_such() {
    for (given, shown) in [
        (json!("https://github.com/acme/web/issues/12"), true),
        (json!("http://localhost:4001/x"), true),
        (json!("javascript:alert(1)"), false),
        (json!("data:text/html,x"), false),
        (json!("//evil.example"), false),
        (json!("x"), false),
        (json!(""), false),
        (json!(null), false),
    ] {
        let mut fake = Fake::new();
        fake.nodes.get_mut("GithubIssue:I1").expect("an issue")["url"] = given.clone();
        let document = format!("{{ node(id: \"{}\") {{ ... on GithubIssue {{ url }} }} }}", node_id("GithubIssue:I1"));
        let expected = if shown { given } else { json!(null) };
        assert_eq!(run(&Arc::new(fake), &document), json!({"node": {"url": expected}}).to_string());
    }
}

#[test]
fn exactly_one_of_two_names_is_taken() {
    let fake = Arc::new(Fake { integrations: vec![("sl", "slack")], ..Fake::new() });
    for document in [
        "{ dashboard { id } }",
        "{ dashboard(id: \"x\", slug: \"team\") { id } }",
        "{ slack { channel { name } } }",
        "{ slack { channel(slackId: \"C1\", name: \"general\") { name } } }",
    ] {
        let (code, message) = error(&fake, Role::Viewer, document, json!({}));
        assert_eq!(code, "BAD_USER_INPUT", "{document}");
        assert!(message.ends_with("give exactly one of the two"), "{message}");
    }
}
