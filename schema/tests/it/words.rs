//! Words of providers that this version does not know, and nodes that lack what their type promises: neither takes a list away.

use std::sync::Arc;

use async_graphql::Value as Word;
use mullion_schema::{
    id::NodeKey,
    ports::{Role, UnknownWords},
    providers::node_types,
    view::{FreshnessSource, FreshnessView, NodeView},
};
use serde_json::{Value, json};

use crate::fake::{Fake, error, run_as, time};

const NEW: &str = "A_WORD_OF_NEXT_YEAR";

fn run_of(number: i64, status: &str) -> Value {
    json!({
        "name": "CI", "displayTitle": format!("Run {number}"), "status": status, "headSha": "a", "runNumber": number,
        "event": "push", "updatedAt": "2026-11-22T10:00:00Z",
    })
}

impl UnknownWords for Fake {
    fn shown(&self, type_name: &'static str, field: &'static str) {
        self.asked.lock().expect("no panic").push(format!("unknown word at {type_name}.{field}"));
    }
}

/// Three runs: one as ever, one with a new status, and one without its commit.
fn builds() -> Fake {
    let mut fake = Fake::new();
    let mut broken = run_of(3, "COMPLETED");
    broken["headSha"] = Value::Null;
    for (id, run) in [("1", run_of(1, "COMPLETED")), ("2", run_of(2, NEW)), ("3", broken)] {
        fake.nodes.insert(format!("GithubWorkflowRun:{id}"), run);
    }
    let runs = vec!["GithubWorkflowRun:1", "GithubWorkflowRun:2", "GithubWorkflowRun:3"];
    fake.lists.insert("builds", runs.clone());
    fake.lists.insert("workflowRuns", runs);
    fake
}

#[test]
fn every_word_that_a_provider_invents_is_shown_as_a_documented_value() {
    let mut seen = 0;
    for table in node_types() {
        let mut body: serde_json::Map<String, Value> =
            table.keys().into_iter().map(|key| (key.to_owned(), NEW.into())).collect();
        body.insert("completed".into(), false.into());
        let view = NodeView {
            key: NodeKey::new(&"gh".into(), table.name, "1"),
            body: Arc::new(body),
            freshness: FreshnessView { fetched_at: time(), source: FreshnessSource::Cache, stale_because: None },
            failure: None,
        };
        for field in table.words() {
            let shown = table.read(&view, field);
            let documented = matches!(&shown, Some(Word::Enum(name)) if name == "UNKNOWN" || name == "TODO");
            assert!(documented, "{}.{field}: {shown:?}", table.name);
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn a_new_word_leaves_the_list_whole_and_is_counted() {
    let fake = Arc::new(builds());
    let document =
        "{ github { repository(owner: \"acme\", name: \"web\") { workflowRuns { nodes { title status } } } } }";
    let response = run_as(&fake, Role::Viewer, document, json!({}));
    let data = response.data.into_json().expect("JSON");
    let nodes = &data["github"]["repository"]["workflowRuns"]["nodes"];
    assert_eq!(*nodes, json!([{ "title": "Run 1", "status": "COMPLETED" }, { "title": "Run 2", "status": "UNKNOWN" }]));
    let [error] = response.errors.as_slice() else { panic!("{:?}", response.errors) };
    assert!(error.message.contains("headSha of a GithubWorkflowRun"), "{}", error.message);
    assert_eq!(error.path.len(), 3, "{error:?}");
    let words: Vec<String> = fake.asked().into_iter().filter(|asked| asked.starts_with("unknown word")).collect();
    assert_eq!(words, ["unknown word at GithubWorkflowRun.status"]);
}

#[test]
fn a_widget_says_that_items_are_left_out() {
    let fake = Arc::new(builds());
    let document = "{ dashboard(slug: \"team\") { widgets { state problems { code } ... on BuildsWidget {
        builds { nodes { status } } } } } }";
    let response = run_as(&fake, Role::Viewer, document, json!({}));
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let data = response.data.into_json().expect("JSON");
    assert_eq!(
        data["dashboard"]["widgets"][1],
        json!({
            "state": "STALE", "problems": [{ "code": "PROVIDER_ERROR" }],
            "builds": { "nodes": [{ "status": "COMPLETED" }, { "status": "UNKNOWN" }] },
        })
    );
}

#[test]
fn an_unknown_word_cannot_be_asked_for() {
    let fake = Arc::new(builds());
    for field in ["workflowRuns(conclusion: UNKNOWN)", "pullRequests(states: [OPEN, UNKNOWN])"] {
        let document =
            format!("{{ github {{ repository(owner: \"acme\", name: \"web\") {{ {field} {{ totalCount }} }} }} }}");
        let (code, message) = error(&fake, Role::Viewer, &document, json!({}));
        assert_eq!(code, "BAD_USER_INPUT", "{field}: {message}");
    }
    assert!(!fake.asked().iter().any(|asked| asked.contains("UNKNOWN")), "{:?}", fake.asked());
}
