//! Signatures, timestamps, forms and the handshake, with vectors that were made elsewhere.

use bytes::Bytes;
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use super::receive;
use crate::provider::{EndpointSecrets, Reception, Refusal, VerifiedDelivery, WebhookRequest};

const NOW: i64 = 1_700_000_000;
const FORM: &str = "application/x-www-form-urlencoded";

struct Case<'a> {
    now: i64,
    body: &'a [u8],
    secrets: &'a [&'a str],
    headers: Vec<(&'a str, String)>,
}

fn case<'a>(body: &'a [u8], secrets: &'a [&'a str], signature: String) -> Case<'a> {
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-slack-request-timestamp", NOW.to_string()),
        ("x-slack-signature", signature),
    ];
    Case { now: NOW, body, secrets, headers }
}

impl<'a> Case<'a> {
    fn with(mut self, name: &'a str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    fn receive(&self) -> Reception {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let received_at = DateTime::from_timestamp(self.now, 0).expect("a time");
        let secrets = self.secrets.iter().map(|secret| (*secret).into()).collect();
        let request = WebhookRequest { headers, body: Bytes::copy_from_slice(self.body), received_at };
        receive(&request, &EndpointSecrets { secrets, handshake_pending: false })
    }

    fn delivery(&self) -> Result<VerifiedDelivery, Refusal> {
        match self.receive() {
            Reception::Delivery(delivery) => Ok(delivery),
            Reception::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }
}

fn sign(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

#[test]
fn published_signatures_are_accepted_and_nothing_near_them() {
    let body = r#"{"id":1,"t":"héllo"}"#.as_bytes();
    let signature = "v0=4b20157dd51fa41a6d016e5fc316a565c3be1c0b1d43442ef088a49f0d8bd048";
    let signed = |secrets| case(body, secrets, signature.to_owned());
    assert!(signed(&["test-secret"]).delivery().is_ok());
    assert!(signed(&["new", "test-secret"]).delivery().is_ok(), "the second secret of a rotation");
    let refused = |case: Case<'_>| case.delivery().expect_err("refused");
    for secrets in [&["test-secre"][..], &[], &[""], &["test-secret "]] {
        assert_eq!(refused(signed(secrets)), Refusal::BadSignature, "{secrets:?}");
    }
    let right = || signed(&["test-secret"]);
    assert_eq!(refused(right().without("x-slack-signature")), Refusal::BadSignature);
    for wrong in ["", "v0=", "v0=zz", &signature["v0=".len()..], &signature[..60], &signature.replace("v0=", "v1=")] {
        assert_eq!(refused(right().with("x-slack-signature", wrong)), Refusal::BadSignature, "{wrong}");
    }
    let mut twice = right();
    twice.headers.push(("x-slack-signature", signature.to_owned()));
    assert_eq!(refused(twice), Refusal::BadSignature);
    assert_eq!(refused(right().with("x-slack-request-timestamp", "1700000001")), Refusal::BadSignature);
    let mut other = right();
    other.body = br#"{"id":2}"#;
    assert_eq!(refused(other), Refusal::BadSignature);
}

#[test]
fn a_documented_slash_command_is_verified_and_keeps_no_secrets() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503".to_owned();
    let mut command = case(body.as_bytes(), &["8f742231b10e8888abcd99yyyzzz85a5"], signature)
        .with("content-type", FORM)
        .with("x-slack-request-timestamp", "1531420618");
    command.now = 1_531_420_618;
    let delivery = command.delivery().expect("a delivery");
    assert_eq!((delivery.event.as_str(), delivery.delivery_id), ("slash_command", None));
    let document: Value = serde_json::from_slice(&delivery.document).expect("JSON");
    assert_eq!(document["command"], "/webhook-collect");
    assert_eq!(document.get("token").or(document.get("response_url")).or(document.get("trigger_id")), None);
}

#[test]
fn timestamps_are_checked_both_ways() {
    let body = b"{}";
    for (shift, accepted) in [(0, true), (300, true), (-300, true), (301, false), (-301, false), (86_400, false)] {
        let timestamp = NOW + shift;
        let signature = sign("s", timestamp, body);
        let case = case(body, &["s"], signature).with("x-slack-request-timestamp", &timestamp.to_string());
        let refused = (!accepted).then_some(Refusal::BadTimestamp);
        assert_eq!(case.delivery().err(), refused, "{shift}");
    }
    let signed = || case(body, &["s"], sign("s", NOW, body));
    assert_eq!(signed().without("x-slack-request-timestamp").delivery(), Err(Refusal::BadTimestamp));
    for odd in ["", "-1", "+1700000000", "1700000000.0", "now", "99999999999999999999"] {
        assert_eq!(signed().with("x-slack-request-timestamp", odd).delivery(), Err(Refusal::BadTimestamp), "{odd}");
    }
}

#[test]
fn bodies_that_are_no_document_are_refused() {
    for body in [&b""[..], b"[]", b"1", b"{", b"{}{}", b"{\"a\":\"\xff\"}", b"null"] {
        assert_eq!(case(body, &["s"], sign("s", NOW, body)).delivery(), Err(Refusal::NotJson), "{body:?}");
    }
    for body in [&b""[..], b"a=1", b"payload=", b"payload=%5B%5D", b"payload=x"] {
        let form = case(body, &["s"], sign("s", NOW, body)).with("content-type", FORM);
        assert_eq!(form.delivery(), Err(Refusal::NotJson), "{body:?}");
    }
    let signed = || case(b"{}", &["s"], sign("s", NOW, b"{}"));
    assert_eq!(signed().with("content-type", "text/plain").delivery(), Err(Refusal::UnsupportedType));
    assert_eq!(signed().without("content-type").delivery(), Err(Refusal::UnsupportedType));
    assert!(signed().with("content-type", "Application/JSON; charset=utf-8").delivery().is_ok());
}

#[test]
fn deliveries_are_named_by_event_and_id() {
    let named = |body: Value| {
        let body = body.to_string();
        let delivery = case(body.as_bytes(), &["s"], sign("s", NOW, body.as_bytes()))
            .with("x-slack-retry-num", "2")
            .with("x-slack-retry-reason", "http_timeout")
            .delivery()
            .expect("a delivery");
        assert_eq!(&delivery.document[..], body.as_bytes());
        (delivery.event, delivery.delivery_id)
    };
    let event = |event: Value| named(json!({ "type": "event_callback", "event_id": "Ev1", "event": event }));
    let id = || Some("Ev1".to_owned());
    assert_eq!(event(json!({ "type": "message" })), ("message".into(), id()));
    let changed = json!({ "type": "message", "subtype": "message_changed" });
    assert_eq!(event(changed), ("message.message_changed".into(), id()));
    assert_eq!(event(json!({ "type": 7 })), ("unknown".into(), id()));
    assert_eq!(named(json!({ "type": "app_rate_limited" })), ("app_rate_limited".into(), None));
    assert_eq!(named(json!({})), ("unknown".into(), None));
    let body = b"payload=%7B%22type%22%3A%22block_actions%22%7D";
    let form = case(body, &["s"], sign("s", NOW, body)).with("content-type", FORM).delivery().expect("a delivery");
    assert_eq!((form.event.as_str(), &form.document[..]), ("block_actions", &br#"{"type":"block_actions"}"#[..]));
}

#[test]
fn the_challenge_is_answered_only_to_slack() {
    let body = br#"{"token":"t","challenge":"3eZb\"rw","type":"url_verification"}"#;
    let signed = || case(body, &["s"], sign("s", NOW, body));
    let Reception::Answer { status, headers, body: answer } = signed().receive() else { panic!("an answer") };
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &HeaderValue::from_static("application/json")));
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(answer, json!({ "challenge": "3eZb\"rw" }));
    let unsigned = signed().with("x-slack-signature", &sign("other", NOW, body));
    assert!(matches!(unsigned.receive(), Reception::Refused(Refusal::BadSignature)));
}

#[test]
fn what_is_about_a_channel_stays_in_order_with_it() {
    for (document, expected) in [
        (json!({ "event": { "type": "message", "channel": "C1" } }), Some("C1")),
        (json!({ "event": { "type": "reaction_added", "item": { "channel": "C2" } } }), Some("C2")),
        (json!({ "event": { "type": "channel_rename", "channel": { "id": "C3" } } }), Some("C3")),
        (json!({ "type": "block_actions", "channel": { "id": "C4" } }), Some("C4")),
        (json!({ "type": "slash_command", "channel_id": "C5" }), Some("C5")),
        (json!({ "event": { "type": "team_join" } }), None),
    ] {
        assert_eq!(super::channel(&document).as_deref(), expected, "{document}");
    }
}
