//! A project's log of events, read through a transport that answers from a list: pages, tokens that expired, failures half-way.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::world::base;
use crate::{
    clock::FixedClock,
    provider::{
        NodeRef, Provider as _,
        recovery::{CaughtUp, Since, fake::KnownIds},
    },
    providers::asana::Asana,
    upstream::{
        Connection, QuotaReading, Transport, UpstreamError, UpstreamErrorKind, UpstreamRequest, UpstreamResponse,
    },
};

/// Gives these answers, one after another, and notes the tokens that it was asked with.
struct Scripted {
    answers: Mutex<Vec<(u16, String)>>,
    tokens: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let token = request.url.query_pairs().find(|(name, _)| name == "sync").map(|(_, value)| value.into_owned());
        self.tokens.lock().push(token.unwrap_or_default());
        let (status, body) = self.answers.lock().remove(0);
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("30"))]);
        Ok(UpstreamResponse {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: Bytes::from(body),
        })
    }

    fn quota(&self, _: QuotaReading) {}
}

/// An event that names this task.
fn event(task: u32) -> Value {
    json!({
        "action": "changed", "type": "task", "created_at": "2026-03-02T08:00:00Z",
        "resource": { "gid": task.to_string(), "resource_type": "task" }, "user": null,
    })
}

fn page(events: &[Value], sync: &str, more: bool) -> (u16, String) {
    (200, json!({ "data": events, "sync": sync, "has_more": more }).to_string())
}

/// The result of a look with this mark, and the tokens that were asked with.
fn look(
    (mark, calls): (Option<&Value>, usize),
    answers: Vec<(u16, String)>,
    known: &[&str],
) -> (Result<CaughtUp, UpstreamError>, Vec<String>) {
    let transport = Arc::new(Scripted { answers: Mutex::new(answers), tokens: Mutex::default() });
    let api = Connection {
        tenant: "t1".into(),
        integration: "i1".into(),
        base_url: "https://app.asana.com/api/1.0".parse().expect("a URL"),
        scopes: Arc::from([]),
        facts: Arc::default(),
        clock: Arc::new(FixedClock::at(base())),
        transport: Arc::clone(&transport) as Arc<dyn Transport>,
    };
    let container = NodeRef::new("AsanaProject", "1200");
    let since = Since { container: &container, webhook: None, mark, from: None, calls };
    let caught = block_on(Asana.catch_up(&api, since, &KnownIds::of(known)));
    let tokens = std::mem::take(&mut *transport.tokens.lock());
    (caught, tokens)
}

fn tasks(caught: &CaughtUp) -> Vec<String> {
    let of = |document: &[u8]| serde_json::from_slice::<Value>(document).expect("JSON")["events"].take();
    let events = caught
        .deliveries
        .iter()
        .flat_map(|delivery| of(&delivery.verified.document).as_array().cloned().expect("events"));
    events.map(|event| event["resource"]["gid"].as_str().unwrap_or("odd").to_owned()).collect()
}

fn mark(sync: &str) -> Value {
    json!({ "sync": sync })
}

#[test]
fn all_pages_are_read_and_what_was_told_is_left_out() {
    let answers = vec![page(&[event(1), event(2)], "s2", true), page(&[event(3)], "s3", true), page(&[], "s4", false)];
    let known = crate::providers::asana::interpret::key_of(&event(2));
    let (caught, tokens) = look((Some(&mark("s1")), 20), answers, &[&known]);
    let caught = caught.expect("an answer");
    assert_eq!((tasks(&caught), caught.complete, caught.calls), (vec!["1".to_owned(), "3".to_owned()], true, 3));
    assert_eq!((caught.mark, tokens), (Some(mark("s4")), ["s1", "s2", "s3"].map(str::to_owned).to_vec()));
}

#[test]
fn events_that_no_webhook_brings_are_not_missing() {
    let story = |subtype: &str| {
        json!({
            "action": "added", "type": "story", "created_at": "2026-03-02T08:00:00Z", "user": null,
            "resource": { "gid": "7", "resource_type": "story", "resource_subtype": subtype },
            "parent": { "gid": "1", "resource_type": "task" },
        })
    };
    let attachment = json!({
        "action": "added", "type": "attachment", "created_at": "2026-03-02T08:00:00Z", "user": null,
        "resource": { "gid": "8", "resource_type": "attachment" },
    });
    let noted = [story("section_changed"), story("marked_complete"), attachment];
    let caught = look((Some(&mark("s1")), 20), vec![page(&noted, "s2", false)], &[]).0.expect("an answer");
    assert_eq!((tasks(&caught), caught.complete, caught.mark), (vec![], true, Some(mark("s2"))));
    // A comment is brought by a webhook, so one that did not come is missing.
    let comment = [story("section_changed"), story("comment_added")];
    let caught = look((Some(&mark("s1")), 20), vec![page(&comment, "s2", false)], &[]).0.expect("an answer");
    assert_eq!(tasks(&caught), ["7"]);
}

#[test]
fn a_look_makes_no_more_calls_than_it_may_and_the_next_goes_on_there() {
    let answers = (2..9).map(|number| page(&[event(number)], &format!("s{number}"), true)).collect();
    let (caught, _) = look((Some(&mark("s1")), 3), answers, &[]);
    let caught = caught.expect("an answer");
    assert_eq!((tasks(&caught).len(), caught.complete, caught.calls, caught.mark), (3, false, 3, Some(mark("s4"))));
}

#[test]
fn a_token_that_expired_or_was_never_given_is_one_from_which_on_it_is_told() {
    let refused = || {
        vec![(412, json!({ "errors": [{ "message": "Sync token invalid or too old" }], "sync": "new" }).to_string())]
    };
    for before in [None, Some(mark("old"))] {
        let (caught, _) = look((before.as_ref(), 20), refused(), &[]);
        let caught = caught.expect("an answer");
        assert_eq!((tasks(&caught), caught.complete, caught.mark), (vec![], false, Some(mark("new"))), "{before:?}");
    }
    // Also half-way: what was found before it counts.
    let answers = [vec![page(&[event(1)], "s2", true)], refused()].concat();
    let caught = look((Some(&mark("s1")), 20), answers, &[]).0.expect("an answer");
    assert_eq!((tasks(&caught), caught.complete, caught.mark), (vec!["1".to_owned()], false, Some(mark("new"))));
}

#[test]
fn quota_that_runs_out_half_way_leaves_what_was_found_and_before_that_it_is_told() {
    let limited = (429, json!({ "errors": [{ "message": "slow down" }] }).to_string());
    let answers = vec![page(&[event(1)], "s2", true), limited.clone()];
    let caught = look((Some(&mark("s1")), 20), answers, &[]).0.expect("an answer");
    assert_eq!((tasks(&caught), caught.complete, caught.mark), (vec!["1".to_owned()], false, Some(mark("s2"))));
    let error = look((Some(&mark("s1")), 20), vec![limited], &[]).0.expect_err("nothing was found");
    assert_eq!(error.kind, UpstreamErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(30)));
}

#[test]
fn what_is_no_event_does_not_stop_it_and_what_is_no_log_is_an_error() {
    let odd = [json!(null), json!(7), json!({}), json!({ "resource": [] }), event(1)];
    let caught = look((Some(&mark("s1")), 20), vec![page(&odd, "s2", false)], &[]).0.expect("an answer");
    assert!(tasks(&caught).contains(&"1".to_owned()));
    assert!(caught.complete);
    for body in ["", "no JSON", "[]", "{}", "{\"data\": [], \"sync\": 5}"] {
        let error = look((Some(&mark("s1")), 20), vec![(200, body.to_owned())], &[]).0.expect_err(body);
        assert_eq!(error.kind, UpstreamErrorKind::Down, "{body}");
    }
    for mark in [json!(null), json!({ "sync": 7 }), json!("nonsense")] {
        let (caught, tokens) = look((Some(&mark), 20), vec![(412, json!({ "sync": "new" }).to_string())], &[]);
        assert_eq!((caught.expect("an answer").mark, tokens), (Some(self::mark("new")), vec![String::new()]), "{mark}");
    }
}
