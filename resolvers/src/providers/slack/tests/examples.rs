//! Every event that Slack documents is interpreted as the committed table says, or knowingly ignored.
//!
//! The examples are our own, in the shape that Slack documents. After a change, `MULLION_WRITE_INTERPRETATIONS=1` writes what they
//! come to anew; the difference is then for people to read.

use std::collections::BTreeSet;

use chrono::DateTime;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{
    provider::{
        ListRef, NodeRef, Provider as _, StoredDelivery,
        change::{Change, Interpretation, Version},
        sentence::{Names, SentenceParts},
    },
    providers::slack::{Slack, names},
};

const TABLE: &str = include_str!("../fixtures/interpretations.json");
const TABLE_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/providers/slack/fixtures/interpretations.json");
const TEAM: &str = "T024BE7LD";

#[expect(clippy::disallowed_methods, reason = "the test harness says whether the table is to be written")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn table() -> Vec<Value> {
    serde_json::from_str(TABLE).expect("the table")
}

/// The document of a row: whole, or an event in the usual envelope.
fn document(row: &Value) -> Value {
    if let Some(document) = row.get("document") {
        return document.clone();
    }
    json!({
        "token": "XXYYZZ",
        "team_id": TEAM,
        "api_app_id": "AXXXXXXXXX",
        "event": row["event"],
        "type": "event_callback",
        "authorizations": [{ "team_id": TEAM, "user_id": "U0LAN0Z89", "is_bot": true }],
        "event_id": "EvXXXXXXXX",
        "event_time": 1_700_000_200,
    })
}

fn interpret(document: &Value) -> Interpretation {
    let delivery = StoredDelivery {
        event: "message".to_owned(),
        headers: HeaderMap::new(),
        document: document.to_string().into(),
        received_at: DateTime::from_timestamp(1_700_000_201, 0).expect("a time"),
    };
    Slack::default().interpret(&delivery)
}

fn list_text(list: &ListRef) -> String {
    match &list.parent {
        Some(parent) => format!("{parent}/{}", list.name),
        None => list.name.to_owned(),
    }
}

/// The references that a change touches, as tags have them behind tenant and integration.
fn tags(change: &Change) -> BTreeSet<String> {
    let written = change.writes.iter().map(|write| write.node.to_string());
    let stale = change.stale.iter().map(NodeRef::to_string);
    let lists = change.stale_lists.iter().map(list_text);
    let moved = change.writes.iter().flat_map(|write| {
        let body = write.aspects.iter().flat_map(|aspect| aspect.fields.clone()).collect();
        Slack::default().memberships(&write.node, &body)
    });
    let moved = moved.map(|(list, _)| list_text(&list));
    written.chain(stale).chain(lists).chain(moved).collect()
}

/// A row as it should be.
fn interpreted(row: &Value) -> Value {
    let mut told = json!({});
    match interpret(&document(row)) {
        Interpretation::Ignored(reason) => told["ignored"] = reason.into(),
        Interpretation::Changes(changes) => {
            let [change] = changes.as_slice() else { panic!("{row}: one change") };
            told["tags"] = tags(change).into_iter().collect();
            if let Some(activity) = &change.activity {
                told["kind"] = activity.kind.clone().into();
                told["summary"] = SentenceParts::worded(&Slack::default(), activity, &Names::default()).into();
                told["actor"] = activity.actor.as_ref().map(NodeRef::to_string).into();
                told["subject"] = activity.subject.as_ref().map(NodeRef::to_string).into();
                told["containers"] = activity.containers.iter().map(NodeRef::to_string).collect();
            }
        }
    }
    for name in ["event", "document"] {
        if let Some(example) = row.get(name) {
            told[name] = example.clone();
        }
    }
    told
}

#[test]
fn every_example_is_interpreted_as_the_table_says() {
    let expected = table();
    let rows: Vec<Value> = expected.iter().map(interpreted).collect();
    if setting("MULLION_WRITE_INTERPRETATIONS").is_some() {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        std::fs::write(TABLE_PATH, format!("[\n{}\n]\n", lines.join(",\n"))).expect("the table is written");
        return;
    }
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
}

#[test]
fn a_new_message_comes_whole() {
    let row = &table()[0];
    let Interpretation::Changes(changes) = interpret(&document(row)) else { panic!("a change") };
    let write = &changes[0].writes[0];
    let body: serde_json::Map<String, Value> = write.aspects.iter().flat_map(|aspect| aspect.fields.clone()).collect();
    let expected = json!({
        "text": "Ship it <@U024BE7LH>\nsoon",
        "author": "SlackUser:U0G9QF9C6",
        "ts": "1700000000.000100",
        "threadTs": null,
        "channel": "SlackChannel:C0G9QF9GZ",
        "subtype": null,
        "replyCount": 0,
        "reactions": [],
        "editedAt": null,
        "sentAt": "2023-11-14T22:13:20.000100Z",
        "createdAt": "2023-11-14T22:13:20.000100Z",
        "updatedAt": "2023-11-14T22:13:20.000100Z",
        "url": "https://slack.com/app_redirect?team=T024BE7LD&channel=C0G9QF9GZ&message_ts=1700000000.000100",
    });
    assert_eq!(Value::Object(body), expected);
    for aspect in &write.aspects {
        let version = if aspect.name == names::LINK { 0 } else { 1_700_000_000_000_100 };
        assert_eq!(aspect.version, Version { at: version, rank: 0 }, "{}", aspect.name);
    }
    assert!(changes[0].stale.is_empty() && changes[0].stale_lists.is_empty());
}

#[test]
fn the_app_is_known_by_its_installation() {
    let mut shared = document(&table()[0]);
    shared["team_id"] = "T0OTHER".into();
    let Interpretation::Changes(changes) = interpret(&shared) else { panic!("a change") };
    assert_eq!(changes[0].writes[0].node.native_id.as_ref(), "T024BE7LD:C0G9QF9GZ:1700000000.000100");
}

/// Every value in a document, by its path.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, member) in members {
        let path = format!("{at}/{name}");
        paths(member, &path, found);
        found.push(path);
    }
}

#[test]
fn no_cut_of_a_payload_is_an_error() {
    for row in table() {
        let whole = document(&row);
        let mut found = Vec::new();
        paths(&whole, "", &mut found);
        for path in found {
            for odd in [json!(null), json!([7]), json!({}), json!("<"), json!(-1), json!("1.2"), json!(u64::MAX)] {
                let mut cut = whole.clone();
                *cut.pointer_mut(&path).expect("it is there") = odd;
                interpret(&cut);
            }
        }
    }
    for odd in
        [json!(null), json!([]), json!({}), json!("x"), json!({ "event": [] }), json!({ "event": { "type": {} } })]
    {
        assert!(matches!(interpret(&odd), Interpretation::Ignored(_)), "{odd}");
    }
    let delivery = StoredDelivery {
        event: String::new(),
        headers: HeaderMap::new(),
        document: bytes::Bytes::from_static(b"\xff{"),
        received_at: DateTime::UNIX_EPOCH,
    };
    assert_eq!(Slack::default().interpret(&delivery), Interpretation::Ignored("the document is not JSON"));
}
