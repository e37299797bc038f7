//! Answers that are not what Slack's API promises: none of them passes for absence, or for a list that is whole.

use std::collections::BTreeSet;

use mullion_schema::ports::Filter;
use serde_json::{Value, json};

use super::fake::Fake;
use crate::{
    provider::{FetchWant, Fetched, ListRef, NodeRef, PageWant, Provider as _},
    providers::slack::{Slack, names},
    upstream::{UpstreamError, UpstreamErrorKind as Kind},
};

fn page(parent: Option<NodeRef>, name: &'static str, cursor: Option<&str>) -> FetchWant {
    let cursor = cursor.map(str::to_owned);
    FetchWant::Page(PageWant { list: ListRef { parent, name }, filter: Filter::new(), cursor })
}

/// The result of a want where every call of a method is answered so.
async fn fetched(want: FetchWant, method: &'static str, body: Value) -> Result<Fetched, UpstreamError> {
    let (_, api) = Fake::answering(move |request| (request.operation == method).then(|| (200, None, body.clone())));
    Slack::default().fetch(&api, vec![want]).await.remove(0)
}

#[tokio::test]
async fn a_page_of_messages_that_is_not_whole_is_no_page() {
    let said = json!({ "type": "message", "user": "U1", "ts": "1700000000.000100", "text": "x" });
    let nameless = json!({ "type": "message", "user": "U1", "text": "x" });
    let odd = json!({ "type": "message", "user": "U1", "ts": "soon", "text": "x" });
    let next = |cursor: Value| json!({ "next_cursor": cursor });
    for (body, expected) in [
        (json!({ "messages": [said], "has_more": false }), Ok(1)),
        (json!({ "messages": [said], "has_more": true, "response_metadata": next(json!("c2")) }), Ok(1)),
        (json!({ "messages": [said], "response_metadata": next(json!("")) }), Ok(1)),
        (json!({ "messages": [said] }), Err(Kind::Down)),
        (json!({ "messages": [said], "has_more": true }), Err(Kind::Down)),
        (json!({ "messages": [said], "has_more": true, "response_metadata": next(json!("c1")) }), Err(Kind::Down)),
        (json!({ "messages": [said], "has_more": false, "response_metadata": next(json!(7)) }), Err(Kind::Down)),
        (json!({ "messages": [said], "has_more": false, "response_metadata": "x" }), Err(Kind::Down)),
        (json!({ "messages": [said, nameless], "has_more": false }), Err(Kind::Down)),
        (json!({ "messages": [said, odd], "has_more": false }), Err(Kind::Down)),
        (json!({ "messages": [said, null], "has_more": false }), Err(Kind::Down)),
        (json!({ "has_more": false }), Err(Kind::Down)),
    ] {
        let mut body = body;
        body["ok"] = true.into();
        let channel = NodeRef::new(names::CHANNEL, "C1");
        let outcome =
            fetched(page(Some(channel), names::MESSAGES, Some("c1")), "conversations.history", body.clone()).await;
        let count = outcome.map(|fetched| fetched.pages[0].items.len()).map_err(|error| error.kind);
        assert_eq!(count, expected, "{body}");
    }
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_no_list() {
    let channel = json!({ "id": "C1", "name": "general", "num_members": 3 });
    let direct = json!({ "id": "D1", "is_im": true });
    let same = json!({ "next_cursor": "same" });
    for (channels, metadata, expected) in [
        (json!([channel]), json!({}), Ok(1)),
        (json!([channel, direct]), json!({}), Ok(1)),
        (json!([channel, { "id": "C2" }]), json!({}), Err(Kind::Down)),
        (json!([channel, { "name": "random" }]), json!({}), Err(Kind::Down)),
        (json!([channel, { "id": "C2", "name": "random", "num_members": null }]), json!({}), Err(Kind::Down)),
        (json!([channel, { "id": "C2", "name": "random", "num_members": -5 }]), json!({}), Err(Kind::Down)),
        (json!([channel, null]), json!({}), Err(Kind::Down)),
        (json!([channel]), same, Err(Kind::Down)),
    ] {
        let body = json!({ "ok": true, "channels": channels, "response_metadata": metadata });
        let outcome = fetched(page(None, names::CHANNELS, None), "conversations.list", body.clone()).await;
        let count = outcome.map(|fetched| fetched.pages[0].items.len()).map_err(|error| error.kind);
        assert_eq!(count, expected, "{body}");
    }
}

#[tokio::test]
async fn an_answer_without_what_was_asked_for_is_no_absence() {
    for (type_name, id, method, body, expected) in [
        (names::CHANNEL, "C9", "conversations.info", json!({ "ok": true }), Err(Kind::Down)),
        (names::CHANNEL, "C9", "conversations.info", json!({ "ok": true, "channel": {} }), Err(Kind::Down)),
        (
            names::CHANNEL,
            "C9",
            "conversations.info",
            json!({ "ok": true, "channel": { "id": "C8", "name": "other" } }),
            Err(Kind::Down),
        ),
        (
            names::CHANNEL,
            "C9",
            "conversations.info",
            json!({ "ok": true, "channel": { "id": "C9", "is_im": true } }),
            Ok(false),
        ),
        (names::CHANNEL, "C9", "conversations.info", json!({ "ok": false, "error": "channel_not_found" }), Ok(false)),
        (names::USER, "U9", "users.info", json!({ "ok": true, "user": null }), Err(Kind::Down)),
        (names::WORKSPACE, "T0ACME0001", "team.info", json!({ "ok": true }), Err(Kind::Down)),
    ] {
        let want = FetchWant::Node { node: NodeRef::new(type_name, id), asks: BTreeSet::new() };
        let outcome = fetched(want, method, body.clone()).await;
        let found = outcome.map(|fetched| fetched.found.is_some()).map_err(|error| error.kind);
        assert_eq!(found, expected, "{body}");
    }
}
