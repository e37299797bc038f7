//! A channel's history, read through a transport that answers from a table: pages, threads, quota that runs out half-way.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures::executor::block_on;
use serde_json::{Value, json};

use super::fake::{Fake, base};
use crate::{
    provider::{
        NodeRef, Provider as _,
        recovery::{CaughtUp, Since, fake::KnownIds},
    },
    providers::slack::Slack,
    upstream::{Connection, UpstreamError, UpstreamErrorKind, UpstreamRequest},
};

/// The stamp of so many seconds ago.
fn ago(seconds: i64) -> String {
    format!("{}.000100", base().timestamp() - seconds)
}

fn said(seconds: i64) -> Value {
    json!({ "type": "message", "user": "U1", "ts": ago(seconds), "text": format!("{seconds} s ago") })
}

fn parameter(request: &UpstreamRequest, name: &str) -> Option<String> {
    request.url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// A channel with these messages, newest first, in pages of two. From this call on, the quota is used up.
fn channel(messages: Vec<Value>, limited_from: usize) -> Connection {
    let calls = AtomicUsize::new(0);
    let answer = move |request: &UpstreamRequest| {
        if calls.fetch_add(1, SeqCst) >= limited_from {
            return Some((429, Some(60), json!({ "ok": false, "error": "ratelimited" })));
        }
        let before = parameter(request, "latest");
        let is_before = |message: &&Value| before.as_deref().is_none_or(|before| message["ts"].as_str() < Some(before));
        Some((
            200,
            None,
            match request.operation {
                "conversations.info" => json!({ "ok": true, "channel": { "id": "C1", "name": "general" } }),
                "conversations.replies" => {
                    let root = parameter(request, "ts").expect("a thread");
                    let number = parameter(request, "cursor").map_or(1, |cursor| cursor.parse().expect("a number"));
                    let reply = json!({ "type": "message", "user": "U1", "thread_ts": root, "ts": ago(50 - number), "text": format!("reply {number}") });
                    let next = if number < 3 { (number + 1).to_string() } else { String::new() };
                    json!({ "ok": true, "messages": [reply], "has_more": number < 3, "response_metadata": { "next_cursor": next } })
                }
                _ => {
                    let from = parameter(request, "cursor").map_or(0, |cursor| cursor.parse().expect("a number"));
                    let all: Vec<&Value> = messages.iter().filter(is_before).collect();
                    let next = if all.len() > from + 2 { (from + 2).to_string() } else { String::new() };
                    let page: Vec<&Value> = all.into_iter().skip(from).take(2).collect();
                    json!({ "ok": true, "messages": page, "has_more": !next.is_empty(), "response_metadata": { "next_cursor": next } })
                }
            },
        ))
    };
    Fake::answering(answer).1
}

fn look(api: &Connection, mark: Option<&Value>, calls: usize, known: &[&str]) -> Result<CaughtUp, UpstreamError> {
    let container = NodeRef::new("SlackChannel", "C1");
    let since = Since { container: &container, webhook: None, mark, from: None, calls };
    block_on(Slack::default().catch_up(api, since, &KnownIds::of(known)))
}

fn texts(caught: &CaughtUp) -> Vec<String> {
    let text = |document: &[u8]| {
        let envelope: Value = serde_json::from_slice(document).expect("JSON");
        envelope["event"]["text"].as_str().expect("a text").to_owned()
    };
    caught.deliveries.iter().map(|delivery| text(&delivery.verified.document)).collect()
}

fn mark(seconds: i64) -> Value {
    json!({ "ts": ago(seconds) })
}

#[test]
fn the_first_look_takes_a_mark_and_the_next_brings_what_came_since_over_all_pages() {
    let api = channel(vec![said(10), said(20), said(30), said(40), said(50)], usize::MAX);
    let first = look(&api, None, 20, &[]).expect("a mark");
    assert_eq!((texts(&first), first.mark, first.complete), (vec![], Some(mark(10)), false));
    let known = format!("said:C1:{}", ago(20));
    let caught = look(&api, Some(&mark(50)), 20, &[&known]).expect("an answer");
    assert_eq!(texts(&caught), ["40 s ago", "30 s ago", "10 s ago"], "oldest first, without what is known");
    assert_eq!((caught.mark, caught.complete, caught.calls, caught.fetched.len()), (Some(mark(10)), true, 4, 1));
}

#[test]
fn a_history_that_takes_more_calls_than_a_look_has_is_read_to_its_end_by_several() {
    for (limited_from, calls) in [(usize::MAX, 3), (3, 20)] {
        let messages: Vec<Value> = (1..=15).map(|number| said(number * 10)).collect();
        let (mut kept, mut found, mut looks) = (Some(mark(140)), vec![], 0);
        loop {
            // The quota lasts for so many calls of each look.
            let api = channel(messages.clone(), limited_from);
            let caught = look(&api, kept.as_ref(), calls, &[]).expect("an answer");
            found.extend(texts(&caught));
            kept = caught.mark.clone();
            looks += 1;
            if caught.complete {
                break;
            }
            assert!(looks < 30, "it gets nowhere: {kept:?}");
        }
        assert_eq!(kept, Some(mark(10)));
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 13, "{found:?}");
    }
}

#[test]
fn quota_that_is_used_up_before_anything_was_found_is_told() {
    for limited_from in [0, 1] {
        let error = look(&channel(vec![said(10)], limited_from), Some(&mark(50)), 20, &[]).expect_err("no quota");
        assert_eq!(error.kind, UpstreamErrorKind::RateLimited);
    }
}

#[test]
fn all_replies_of_a_thread_are_told_and_one_that_takes_too_many_calls_does_not_stop_the_rest() {
    let thread = json!({ "type": "message", "user": "U1", "ts": ago(100), "thread_ts": ago(100), "latest_reply": ago(47), "text": "root" });
    let caught =
        look(&channel(vec![said(60), thread.clone()], usize::MAX), Some(&mark(70)), 20, &[]).expect("an answer");
    assert_eq!(texts(&caught), ["60 s ago", "reply 1", "reply 2", "reply 3"]);
    assert!(caught.complete);
    let api = channel(vec![thread], usize::MAX);
    let caught = look(&api, Some(&mark(70)), 3, &[]).expect("an answer");
    assert_eq!((texts(&caught), caught.complete), (vec!["reply 1".to_owned()], false));
}

#[test]
fn what_is_not_as_it_should_be_does_not_stop_it() {
    let odd = [
        json!(null),
        json!({}),
        json!({ "ts": 5 }),
        json!({ "ts": "soon" }),
        json!({ "type": "message", "ts": "99999999999.000000", "text": "of the future" }),
    ];
    let messages = odd.into_iter().chain([said(10), said(60)]).collect();
    let caught = look(&channel(messages, usize::MAX), Some(&mark(50)), 20, &[]).expect("an answer");
    assert!(texts(&caught).contains(&"10 s ago".to_owned()));
    assert_eq!(caught.mark, Some(mark(10)), "the far future is not believed");
    for mark in [json!(null), json!({ "ts": 7 }), json!("nonsense")] {
        let caught = look(&channel(vec![said(10)], usize::MAX), Some(&mark), 20, &[]).expect("a mark");
        assert_eq!(caught.mark, Some(self::mark(10)), "{mark}");
    }
}
