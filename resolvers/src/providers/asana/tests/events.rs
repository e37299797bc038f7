//! The table of events, and whatever else may come.

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::world::{base, delivered};
use crate::{
    provider::{
        ListRef, NodeRef, Provider as _, StoredDelivery,
        change::{Change, Interpretation},
        sentence::{Names, SentenceParts},
    },
    providers::asana::Asana,
};

const TABLE: &str = include_str!("../fixtures/interpretations.json");

/// The expected result of an event.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Expected {
    ignored: Option<String>,
    kind: Option<String>,
    subject: Option<String>,
    actor: Option<String>,
    summary: Option<String>,
    containers: Vec<String>,
    stale: Vec<String>,
    stale_lists: Vec<String>,
    deleted: Vec<String>,
    written: Vec<String>,
}

fn interpret(document: Bytes) -> Interpretation {
    let delivery = StoredDelivery { event: "x".into(), headers: HeaderMap::new(), document, received_at: base() };
    Asana.interpret(&delivery)
}

fn text(node: &NodeRef) -> String {
    node.to_string()
}

fn list_text(list: &ListRef) -> String {
    format!("{}/{}", list.parent.as_ref().map_or_else(|| "account".to_owned(), text), list.name)
}

fn told(change: &Change) -> Expected {
    let activity = change.activity.as_ref();
    let (deleted, written): (Vec<_>, Vec<_>) = change.writes.iter().partition(|write| write.deleted.is_some());
    Expected {
        ignored: None,
        kind: activity.map(|activity| activity.kind.clone()),
        subject: activity.and_then(|activity| activity.subject.as_ref()).map(text),
        actor: activity.and_then(|activity| activity.actor.as_ref()).map(text),
        summary: activity.map(|activity| SentenceParts::worded(&Asana, activity, &Names::default())),
        containers: activity.into_iter().flat_map(|activity| &activity.containers).map(text).collect(),
        stale: change.stale.iter().map(text).collect(),
        stale_lists: change.stale_lists.iter().map(list_text).collect(),
        deleted: deleted.into_iter().map(|write| text(&write.node)).collect(),
        written: written.into_iter().map(|write| text(&write.node)).collect(),
    }
}

#[test]
fn every_example_means_what_the_table_says() {
    let table: Vec<Value> = serde_json::from_str(TABLE).expect("a table");
    for row in table {
        let expected: Expected = serde_json::from_value(row.clone()).expect("a row");
        let found = match interpret(delivered(&row["event"])) {
            Interpretation::Ignored(reason) => Expected { ignored: Some(reason.into()), ..Expected::default() },
            Interpretation::Changes(changes) => {
                assert_eq!(changes.len(), 1, "{}", row["name"]);
                if let Some(at) = row["occurredAt"].as_str() {
                    let activity = changes[0].activity.as_ref().expect("an activity");
                    assert_eq!(activity.occurred_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true), at);
                }
                told(&changes[0])
            }
        };
        assert_eq!(found, expected, "{}", row["name"]);
    }
}

#[test]
fn a_delivery_of_many_events_is_as_many_changes() {
    let table: Vec<Value> = serde_json::from_str(TABLE).expect("a table");
    let used = table.iter().filter(|row| row.get("ignored").is_none()).count();
    let events: Vec<&Value> = table.iter().map(|row| &row["event"]).collect();
    let Interpretation::Changes(changes) = interpret(json!({ "events": events }).to_string().into()) else {
        panic!("all was ignored");
    };
    assert_eq!(changes.len(), used);
    assert_eq!(interpret(Bytes::from_static(b"{\"events\":[]}")), Interpretation::Ignored("heartbeat"));
}

#[test]
fn garbage_is_ignored() {
    for document in ["", "{", "[]", "{}", "null", "{\"events\":{}}", "{\"events\":[null,7,\"x\",[],{}]}", "\u{0}"] {
        assert!(matches!(interpret(Bytes::from(document)), Interpretation::Ignored(_)), "{document}");
    }
    // Every member of every example, replaced by something odd, or gone.
    let table: Vec<Value> = serde_json::from_str(TABLE).expect("a table");
    let odd = [
        json!(null),
        json!(7),
        json!([]),
        json!({}),
        json!(""),
        json!("../../x"),
        json!({"gid": [], "resource_type": 1}),
    ];
    for row in &table {
        let event = row["event"].as_object().expect("an event");
        for (name, inner) in event {
            for odd in &odd {
                let mut broken = event.clone();
                broken.insert(name.clone(), odd.clone());
                interpret(delivered(&Value::Object(broken)));
                for deep in inner.as_object().into_iter().flat_map(serde_json::Map::keys) {
                    let mut broken = Value::Object(event.clone());
                    broken[name][deep] = odd.clone();
                    interpret(delivered(&broken));
                }
            }
            let mut lacking = event.clone();
            lacking.remove(name);
            interpret(delivered(&Value::Object(lacking)));
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_document_is_an_error(document: Vec<u8>) {
        interpret(Bytes::from(document));
    }
}
