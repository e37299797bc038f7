//! Every event that GitHub publishes an example of is interpreted as the committed table says, or knowingly ignored.
//!
//! The examples come from the npm package `@octokit/webhooks-examples`, which is not part of this project.

use std::collections::BTreeSet;

use chrono::DateTime;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::{
    provider::{
        NodeRef, Provider as _, StoredDelivery,
        change::{Change, Interpretation, Version},
        sentence::{Names, SentenceParts},
    },
    providers::github::{Github, names},
};

const TABLE: &str = include_str!("../fixtures/interpretations.json");
const TABLE_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/providers/github/fixtures/interpretations.json");

#[expect(clippy::disallowed_methods, reason = "the test harness says where the examples lie")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All examples: event and payload.
fn examples() -> Vec<(String, Value)> {
    let folder = setting("MULLION_WEBHOOK_EXAMPLES").expect(
        "set MULLION_WEBHOOK_EXAMPLES to the folder of the npm package @octokit/webhooks-examples \
         (npm install @octokit/webhooks-examples; …/node_modules/@octokit/webhooks-examples); ./tests/run does so",
    );
    let path = format!("{folder}/api.github.com/index.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let events: Vec<Value> = serde_json::from_str(&text).expect("the package's index");
    let examples = events.iter().flat_map(|event| {
        let name = event["name"].as_str().expect("a name");
        event["examples"].as_array().expect("examples").iter().map(move |payload| (name.to_owned(), payload.clone()))
    });
    examples.collect()
}

fn interpret(event: &str, payload: &Value) -> Interpretation {
    let headers = HeaderMap::from_iter([(
        "x-github-event".parse().expect("a name"),
        HeaderValue::from_str(event).expect("text"),
    )]);
    let delivery = StoredDelivery {
        event: event.to_owned(),
        headers,
        document: payload.to_string().into(),
        received_at: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
    };
    Github::default().interpret(&delivery)
}

/// The references that a change touches, as tags have them behind tenant and integration.
fn tags(change: &Change) -> BTreeSet<String> {
    let written = change.writes.iter().map(|write| write.node.to_string());
    let stale = change.stale.iter().map(NodeRef::to_string);
    let lists = change.stale_lists.iter().map(|list| match &list.parent {
        Some(parent) => format!("{parent}/{}", list.name),
        None => list.name.to_owned(),
    });
    let moved = change.writes.iter().flat_map(|write| {
        let body = write.aspects.iter().flat_map(|aspect| aspect.fields.clone()).collect();
        Github::default().memberships(&write.node, &body)
    });
    let moved = moved.filter_map(|(list, _)| Some(format!("{}/{}", list.parent?, list.name)));
    written.chain(stale).chain(lists).chain(moved).collect()
}

fn row(index: usize, event: &str, payload: &Value) -> Value {
    let mut row = json!({ "event": event, "action": payload.get("action"), "example": index });
    match interpret(event, payload) {
        Interpretation::Ignored(reason) => row["ignored"] = reason.into(),
        Interpretation::Changes(changes) => {
            let [change] = changes.as_slice() else { panic!("{event}: one change") };
            if let Some(activity) = &change.activity {
                row["kind"] = activity.kind.clone().into();
                row["subject"] = activity.subject.as_ref().map(NodeRef::to_string).into();
                row["summary"] = SentenceParts::worded(&Github::default(), activity, &Names::default()).into();
            }
            row["tags"] = tags(change).into_iter().collect();
        }
    }
    row
}

#[test]
fn every_published_example_is_interpreted_as_the_table_says() {
    let rows: Vec<Value> = examples().iter().enumerate().map(|(n, (event, payload))| row(n, event, payload)).collect();
    if setting("MULLION_WRITE_INTERPRETATIONS").is_some() {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        std::fs::write(TABLE_PATH, format!("[\n{}\n]\n", lines.join(",\n"))).expect("the table is written");
        return;
    }
    let expected: Vec<Value> = serde_json::from_str(TABLE).expect("the table");
    assert_eq!(rows.len(), expected.len(), "write it anew with MULLION_WRITE_INTERPRETATIONS=1");
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
}

#[test]
fn the_events_of_widgets_make_changes_and_bring_their_subject() {
    let brings_subject = ["issues", "pull_request", "workflow_run", "release", "push", "star", "repository", "label"];
    for (event, payload) in examples() {
        let used = brings_subject.contains(&event.as_str());
        let Interpretation::Changes(changes) = interpret(&event, &payload) else {
            assert!(!used, "{event} is not used");
            continue;
        };
        for change in changes.iter().filter(|_| used) {
            let subject = change.activity.as_ref().and_then(|activity| activity.subject.clone()).expect("a subject");
            assert!(change.writes.iter().any(|write| write.node == subject), "{event} brings {subject}");
        }
        for write in changes.iter().flat_map(|change| &change.writes) {
            for aspect in write.aspects.iter().filter(|aspect| aspect.name == "core") {
                let whole = matches!(write.node.type_name, names::ISSUE | names::PULL_REQUEST | names::WORKFLOW_RUN);
                assert!(!whole || aspect.version > Version::default(), "{event}: {} has a version", write.node);
            }
        }
    }
}

#[test]
fn no_cut_of_a_payload_is_an_error() {
    let strip = |payload: &Value, key: &str| {
        let mut payload = payload.clone();
        payload.as_object_mut().map(|members| members.remove(key));
        payload
    };
    for (event, payload) in examples() {
        let keys: Vec<String> =
            payload.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default();
        for key in keys {
            interpret(&event, &strip(&payload, &key));
            let mut odd = payload.clone();
            odd[&key] = json!([7]);
            interpret(&event, &odd);
        }
        interpret("unheard_of", &payload);
    }
    for odd in [json!(null), json!([]), json!({}), json!({"issue": {"node_id": 7}}), json!({"action": {}})] {
        assert!(matches!(interpret("issues", &odd), Interpretation::Ignored(_)), "{odd}");
    }
}
