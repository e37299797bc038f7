//! The routes, over a stand-in for what executes: statuses, media types, limits, bad input.

mod formats;
mod fuzz;
mod health;
mod persisted;
mod roles;

use std::time::Duration;

use axum::{body::Body, response::Response};
use futures::{FutureExt as _, StreamExt, stream};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{REQUEST_ID, router};
use crate::{config::Config, fake::Gateway};

const RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

async fn gateway() -> Gateway {
    Gateway::start(|_| {}).await
}

async fn send(gateway: &Gateway, request: http::request::Builder, body: impl Into<Body>) -> Response {
    let request = request.header(header::HOST, "localhost").body(body.into()).unwrap();
    router(&gateway.app, true).oneshot(request).await.unwrap()
}

async fn post(gateway: &Gateway, accept: &str, body: impl Into<Body>) -> (StatusCode, String) {
    let request =
        Request::post("/graphql").header(header::CONTENT_TYPE, JSON).header(header::ACCEPT, accept.to_owned());
    read(send(gateway, request, body).await).await
}

async fn get(gateway: &Gateway, path: &str) -> (StatusCode, String) {
    read(send(gateway, Request::get(path), Body::empty()).await).await
}

async fn read(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

fn code(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    value["errors"][0]["extensions"]["code"].as_str().unwrap_or("-").to_owned()
}

#[tokio::test]
async fn a_query_is_answered_in_the_type_that_was_asked_for() {
    let gateway = gateway().await;
    let body = r#"{"query":"query($n: String) {hello(name: $n)}","variables":{"n":"you"}}"#;
    for (accept, expected) in [(JSON, JSON), (RESPONSE, RESPONSE), ("*/*", JSON)] {
        let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON).header(header::ACCEPT, accept);
        let response = send(&gateway, request, body).await;
        let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(content_type, format!("{expected}; charset=utf-8"));
        assert_eq!(read(response).await, (StatusCode::OK, r#"{"data":{"hello":"hello you"}}"#.to_owned()));
    }
    assert_eq!(post(&gateway, "text/csv", body).await.0, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn bad_requests_get_their_documented_errors() {
    let gateway = gateway().await;
    let big = format!(r#"{{"query":"{{hello}}","extensions":{{"x":"{}"}}}}"#, "x".repeat(1_000_000));
    let deep = format!(r#"{{"query":"{}"}}"#, "{a".repeat(5_000));
    let variables = format!(r#"{{"query":"{{hello}}","variables":{{"x":{}}}}}"#, "[".repeat(5_000));
    let rows = [
        ("", 400, 400, "BAD_USER_INPUT"),
        ("{", 400, 400, "BAD_USER_INPUT"),
        ("\u{0}", 400, 400, "BAD_USER_INPUT"),
        ("[]", 400, 400, "BAD_USER_INPUT"),
        ("null", 400, 400, "BAD_USER_INPUT"),
        ("{}", 400, 400, "BAD_USER_INPUT"),
        (r#"{"query":1}"#, 400, 400, "BAD_USER_INPUT"),
        (r#"{"query":"{hello}","variables":[]}"#, 400, 400, "BAD_USER_INPUT"),
        (&variables, 400, 400, "BAD_USER_INPUT"),
        (r#"{"query":"{"}"#, 200, 400, "GRAPHQL_PARSE_FAILED"),
        (r#"{"query":"{unknown}"}"#, 200, 400, "GRAPHQL_VALIDATION_FAILED"),
        (r#"{"query":"{things(first: \"x\") {name}}"}"#, 200, 400, "GRAPHQL_VALIDATION_FAILED"),
        (r#"{"query":"{hello}","operationName":"A"}"#, 200, 400, "BAD_USER_INPUT"),
        (r#"{"query":"subscription {count}"}"#, 200, 400, "BAD_USER_INPUT"),
        (r#"{"extensions":{"persistedQuery":null}}"#, 400, 400, "BAD_USER_INPUT"),
        (r#"{"extensions":{"persistedQuery":{}}}"#, 200, 400, "BAD_USER_INPUT"),
        (&deep, 200, 400, "OPERATION_TOO_COMPLEX"),
        (&big, 413, 413, "OPERATION_TOO_COMPLEX"),
    ];
    for (body, json, response, expected) in rows {
        let shown: String = body.chars().take(60).collect();
        let (status, answer) = post(&gateway, JSON, body.to_owned()).await;
        assert_eq!((status.as_u16(), code(&answer).as_str()), (json, expected), "{shown}: {answer}");
        let (status, answer) = post(&gateway, RESPONSE, body.to_owned()).await;
        assert_eq!((status.as_u16(), code(&answer).as_str()), (response, expected), "{shown}: {answer}");
        assert!(!answer.contains("\"data\""), "{answer}");
    }
    assert_eq!(post(&gateway, JSON, r#"{"query":"{hello}"}"#).await.0, StatusCode::OK);
}

#[tokio::test]
async fn only_json_in_utf8_is_taken() {
    let gateway = gateway().await;
    for (content_type, expected) in [
        (Some("application/json"), 200),
        (Some("application/json; charset=UTF-8"), 200),
        (Some("application/json; charset=utf8"), 200),
        (Some("application/json; charset=\"Us-Ascii\""), 200),
        (Some("application/json; charset=latin1"), 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (None, 415),
    ] {
        let mut request = Request::post("/graphql");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let response = send(&gateway, request, r#"{"query":"{hello}"}"#).await;
        assert_eq!(response.status().as_u16(), expected, "{content_type:?}");
    }
}

#[tokio::test]
async fn get_runs_queries_only() {
    let gateway = gateway().await;
    assert_eq!(get(&gateway, "/graphql?query=%7Bhello%7D").await.0, StatusCode::OK);
    assert_eq!(get(&gateway, "/graphql").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&gateway, "/graphql?query=%7Bhello%7D&variables=x").await.0, StatusCode::BAD_REQUEST);
    let response = send(&gateway, Request::get("/graphql?query=mutation%7Bchange%7D"), Body::empty()).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "POST");
    let cross = Request::get("/graphql?query=%7Bhello%7D").header("sec-fetch-site", "cross-site");
    assert_eq!(send(&gateway, cross, Body::empty()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn keys_are_checked_whatever_their_scheme() {
    let gateway = Gateway::asking_for_keys().await;
    for (authorization, expected) in [("Bearer good", 200), ("bearer good", 200), ("Bearer bad", 401), ("Basic x", 401)]
    {
        let request = Request::get("/graphql?query=%7Bhello%7D").header(header::AUTHORIZATION, authorization);
        let response = send(&gateway, request, Body::empty()).await;
        assert_eq!(response.status().as_u16(), expected, "{authorization}");
        if expected == 401 {
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
            assert_eq!(code(&read(response).await.1), "UNAUTHENTICATED");
        }
    }
}

#[tokio::test]
async fn a_slow_operation_is_cut_off() {
    let gateway = Gateway::start(|config| config.server.request_timeout_seconds = 1).await;
    let (status, body) = post(&gateway, JSON, r#"{"query":"{slow}"}"#).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{body}");
    assert_eq!(code(&body), "REQUEST_TIMEOUT");
    assert!(body.contains(r#""requestId":""#), "{body}");
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let gateway = gateway().await;
    for (given, kept) in [("abc-1", true), ("a b", false), ("", false)] {
        let request = Request::get("/nowhere").header(REQUEST_ID, given);
        let response = send(&gateway, request, Body::empty()).await;
        let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        assert_eq!(id == given, kept, "{id}");
        assert!(!id.is_empty());
    }
}

#[tokio::test]
async fn large_answers_are_compressed() {
    let gateway = gateway().await;
    let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON).header(header::ACCEPT_ENCODING, "gzip");
    let response = send(&gateway, request, r#"{"query":"{things(first: 100) {name}}"}"#).await;
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
}

#[tokio::test]
async fn pages_of_other_origins_get_no_cors_headers() {
    let gateway = gateway().await;
    for (origin, expected) in [("http://localhost:5173", true), ("https://evil.example", false)] {
        let request = Request::options("/graphql")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
        let response = send(&gateway, request, Body::empty()).await;
        assert_eq!(response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), expected, "{origin}");
    }
    let request = Request::post("/graphql").header(header::ORIGIN, "https://evil.example");
    let response = send(&gateway, request, "{}").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let request = Request::get("/graphql/stream?query=%7Bhello%7D").header(header::ORIGIN, "https://evil.example");
    assert_eq!(send(&gateway, request, Body::empty()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_stream_answers_with_events() {
    let gateway = gateway().await;
    for (query, last, expected) in [
        ("subscription%7Bcount%7D", None, vec!["id: 1", "id: 2", "id: 3", "event: complete"]),
        ("subscription%7Bcount%7D", Some("2"), vec!["id: 3", "event: complete"]),
        ("%7Bhello%7D", None, vec![r#"data: {"data":{"hello":"hello "}}"#, "event: complete"]),
        ("%7B", None, vec!["GRAPHQL_PARSE_FAILED", "event: complete"]),
        ("subscription%7Bx%7D", None, vec!["GRAPHQL_VALIDATION_FAILED", "event: complete"]),
    ] {
        let mut request =
            Request::get(format!("/graphql/stream?query={query}")).header(header::ACCEPT_ENCODING, "gzip");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = send(&gateway, request, Body::empty()).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream; charset=utf-8");
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
        let (_, body) = read(response).await;
        let mut rest = body.as_str();
        for part in expected {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{part} is not in {body}")).1;
        }
        assert_eq!(rest.trim_end(), "\ndata:", "{body}");
    }
    assert_eq!(get(&gateway, "/graphql/stream?query=mutation%7Bchange%7D").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&gateway, "/graphql/stream").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_quiet_stream_carries_the_cursor_and_ends_at_shutdown() {
    let gateway = Gateway::start(|config| config.live.event_stream_keep_alive_seconds = 1).await;
    let until = async |query: &str, expected: &str| {
        let request = Request::get(format!("/graphql/stream?query={query}"));
        let mut body = send(&gateway, request, Body::empty()).await.into_body();
        let mut text = String::new();
        while !text.ends_with(expected) {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&frame).unwrap());
        }
        (body, text)
    };
    drop(until("subscription%7Bquiet_7%7D", ":\n\n:\nid: 7\n\n").await);
    let (mut body, text) = until("subscription%7Bforever%7D", "data: {\"data\":{\"count\":0}}\n\n:\nid: 0\n\n").await;
    gateway.app.shutdown.cancel();
    let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(last.starts_with(b"retry: ") && last.ends_with(b"\n\n"), "{last:?}");
    assert!(body.frame().await.is_none());
    assert!(!text.contains("complete"), "{text}");
}

#[tokio::test]
async fn an_interrupted_stream_says_so_and_asks_to_come_again_behind_the_last_event() {
    let gateway = gateway().await;
    let (_, body) = get(&gateway, "/graphql/stream?query=subscription%7Binterrupted%7D").await;
    let (before, said) = body.split_once("data: {\"errors\"").unwrap();
    assert!(before.ends_with("id: 1\nevent: next\ndata: {\"data\":{\"count\":1}}\n\nevent: next\n"), "{body}");
    assert!(said.contains("SERVICE_UNAVAILABLE") && said.contains("retryAfterMs"), "{body}");
    assert!(said.contains("\n\nretry: ") && !body.contains("complete"), "an EventSource would not come again: {body}");
}

#[tokio::test]
async fn an_interrupted_subscription_in_parts_ends_with_why_and_when_to_come_again() {
    let gateway = gateway().await;
    let body = r#"{"query":"subscription { interrupted }"}"#;
    let (_, body) = post(&gateway, "multipart/mixed;subscriptionSpec=1.0, application/json", body).await;
    let (_, last) = body.split_once(r#"{"payload":null,"errors":[{"#).unwrap_or_else(|| panic!("{body}"));
    assert!(last.contains("SERVICE_UNAVAILABLE") && last.contains("retryAfterMs"), "{body}");
    assert!(last.ends_with("\r\n--graphql--\r\n"), "{body}");
}

#[tokio::test]
async fn a_last_event_id_that_is_no_text_is_refused_and_does_not_begin_now() {
    let gateway = gateway().await;
    for (id, expected) in [(&b"1"[..], 200), (b"", 200), (b"\xc3\xa9", 400), (b"\xff", 400)] {
        let request = Request::get("/graphql/stream?query=subscription%7Bcount%7D").header("last-event-id", id);
        let (status, body) = read(send(&gateway, request, Body::empty()).await).await;
        assert_eq!(status.as_u16(), expected, "{id:?}");
        assert_eq!(code(&body) == "BAD_USER_INPUT", expected == 400, "{body}");
    }
}

/// A body of which nothing may be read.
fn unread() -> Body {
    let chunks = futures::stream::once(async { panic!("was read") });
    Body::from_stream(chunks.map(Ok::<bytes::Bytes, std::io::Error>))
}

#[tokio::test]
async fn no_body_is_read_before_its_sender_is_known() {
    let gateway = gateway().await;
    for path in ["/graphql", "/graphql/stream"] {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, JSON)
            .header(header::TRANSFER_ENCODING, "chunked")
            .header(header::AUTHORIZATION, "Bearer bad");
        let response = send(&gateway, request, unread()).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(response.headers()[header::CONNECTION], "close", "{path}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_where_the_body_was_read_and_closed_where_it_was_not() {
    let gateway = gateway().await;
    for (accept, body, expected, closed) in [
        (JSON, r#"{"query":"{hello}"}"#, 200, false),
        (JSON, "no JSON", 400, false),
        ("text/csv", r#"{"query":"{hello}"}"#, 406, true),
    ] {
        let request = Request::post("/graphql")
            .header(header::CONTENT_TYPE, JSON)
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::ACCEPT, accept);
        let response = send(&gateway, request, body).await;
        assert_eq!(response.status().as_u16(), expected, "{accept} {body}");
        assert_eq!(response.headers().contains_key(header::CONNECTION), closed, "{accept} {body}");
    }
}

#[tokio::test]
async fn bodies_that_arrive_share_a_budget_and_give_it_back() {
    let body = r#"{"query":"{hello}"}"#;
    let gateway = Gateway::start(|config: &mut Config| config.server.max_bytes_in_flight = body.len() + 8).await;
    // Half of one stays in flight; what it only announces takes nothing.
    let (sender, half) = futures::channel::mpsc::unbounded::<Result<bytes::Bytes, std::io::Error>>();
    sender.unbounded_send(Ok(bytes::Bytes::from_static(br#"{"query":"#))).unwrap();
    let ask = |body: Body| {
        let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON).header(header::CONTENT_LENGTH, 19);
        send(&gateway, request, body)
    };
    let mut slow = Box::pin(ask(Body::from_stream(half)));
    assert!(futures::poll!(&mut slow).is_pending());
    for path in ["/graphql", "/graphql/stream"] {
        let request = Request::post(path).header(header::CONTENT_TYPE, JSON);
        let response = send(&gateway, request, body).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        let body = read(response).await.1;
        assert_eq!(code(&body), "SERVICE_UNAVAILABLE");
        assert!(body.contains(r#""requestId":""#), "{body}");
    }
    sender.unbounded_send(Ok(bytes::Bytes::from_static(br#""{hello}"}"#))).unwrap();
    drop(sender);
    assert_eq!(slow.await.status(), StatusCode::OK);
    assert_eq!(ask(Body::from(body)).await.status(), StatusCode::OK);
}

/// A body of which so many bytes come, and never the end.
fn endless(bytes: usize) -> Body {
    let some = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; bytes]))]);
    Body::from_stream(some.chain(stream::pending()))
}

#[tokio::test]
async fn bodies_without_an_end_take_no_room_from_other_tenants_and_endpoints() {
    let gateway = Gateway::start(|config: &mut Config| {
        config.server.max_body_bytes = 1_000;
        config.server.max_bytes_in_flight = 8_000;
        config.webhooks.max_bytes_in_flight = 80;
    });
    let gateway = gateway.await;
    let graphql = |key: &str| {
        let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON);
        request.header(header::AUTHORIZATION, format!("Bearer {key}"))
    };
    let mut endless: Vec<_> = (0..50)
        .flat_map(|_| [(graphql("evil"), 900), (Request::post("/webhooks/github/e"), 9)])
        .map(|(request, bytes)| send(&gateway, request, endless(bytes)).boxed_local())
        .collect();
    for body in &mut endless {
        assert!(futures::poll!(body).is_pending());
    }
    let query = format!("{:900}", r#"{"query":"{hello}"}"#);
    assert_eq!(send(&gateway, graphql("other"), query).await.status(), StatusCode::OK);
    assert_eq!(send(&gateway, Request::post("/webhooks/github/f"), "123456789").await.status(), StatusCode::ACCEPTED);
    // As many of those without an end as found room are in memory, and no more than their share.
    let own = send(&gateway, Request::post("/webhooks/github/e"), "123456789").await;
    assert_eq!(own.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_large_body_that_makes_no_progress_is_given_up() {
    let gateway = Gateway::start(|config: &mut Config| config.server.request_timeout_seconds = 3_600).await;
    let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON);
    let answer = timeout(Duration::from_secs(20), send(&gateway, request, endless(100_000))).await;
    assert_eq!(answer.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn webhooks_are_taken_within_their_limits() {
    let gateway = Gateway::start(|config: &mut Config| config.webhooks.max_bytes_in_flight = 8).await;
    for (path, body, expected) in [
        ("/webhooks/github/e", "12345", 202),
        ("/webhooks/github/e", "", 202),
        ("/webhooks/github/e", "123456789", 503),
        ("/webhooks/github/e", "12345678901", 413),
        ("/webhooks/github/other", "12345678901", 404),
        ("/webhooks/slack/e", "1", 404),
        ("/webhooks/github", "1", 404),
    ] {
        let response = send(&gateway, Request::post(path), body).await;
        assert_eq!(response.status().as_u16(), expected, "{path} {body}");
        assert_eq!(response.headers().contains_key(header::RETRY_AFTER), expected == 503);
    }
    // The budget was given back each time.
    assert_eq!(read(send(&gateway, Request::post("/webhooks/github/e"), "12345678").await).await.1, "12345678");
    for (name, value, expected) in [
        (header::CONTENT_TYPE, "application/json; charset=utf-16", 415),
        (header::CONTENT_TYPE, "text/plain; charset=UTF-8", 202),
        (header::CONTENT_TYPE, "application/json; charset=utf8", 202),
        (header::CONTENT_ENCODING, "gzip", 415),
        (header::CONTENT_ENCODING, "identity", 202),
    ] {
        let request = Request::post("/webhooks/github/e").header(name, value);
        assert_eq!(send(&gateway, request, "1").await.status().as_u16(), expected, "{value}");
    }
    let tunnel = Request::post("/webhooks/github/e").header(header::ORIGIN, "https://evil.example");
    assert_eq!(send(&gateway, tunnel, "1").await.status(), StatusCode::ACCEPTED);
    let wrong = send(&gateway, Request::get("/webhooks/github/e"), "").await;
    assert_eq!(
        (wrong.status(), &wrong.headers()[header::ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn what_surrounds_other_routes_surrounds_webhooks() {
    let gateway = gateway().await;
    for (host, path, expected) in [
        ("localhost", "/webhooks/github/e", 202),
        ("tunnel.example", "/webhooks/github/e", 202),
        ("evil.example", "/webhooks/github/e", 403),
        ("localhost", "/webhooks/github/other", 404),
        ("localhost", "/webhooks/github/%ff", 400),
        ("localhost", "/webhooks/github", 404),
        ("evil.example", "/nowhere", 403),
    ] {
        let request = Request::post(path)
            .header(header::HOST, host)
            .header(header::CONTENT_LENGTH, 1)
            .header(super::REQUEST_ID, "mine")
            .body(Body::from("1"));
        let response = router(&gateway.app, true).oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{host} {path}");
        assert_eq!(response.headers()[super::REQUEST_ID], "mine", "{host} {path}");
        // The unread body of a refused request would be taken for the next request.
        assert_eq!(response.headers().contains_key(header::CONNECTION), expected != 202, "{host} {path}");
    }
    let text = gateway.app.metrics.encode();
    let counted = r#"mullion_request_seconds_count{route="/webhooks/{provider}/{endpoint}",status="202"} 2"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn a_webhook_body_that_does_not_arrive_is_given_up() {
    let gateway = Gateway::start(|config| config.webhooks.read_timeout_seconds = 1).await;
    let body = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let response = send(&gateway, Request::post("/webhooks/github/e"), body).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_stream_whose_key_is_revoked_says_so_and_ends() {
    let gateway = gateway().await;
    let path = "/graphql/stream?query=subscription%7Bforever%7D";
    let request = Request::get(path).header(header::AUTHORIZATION, "Bearer good");
    let response = send(&gateway, request, Body::empty()).await;
    gateway.stand_in.revoked.cancel();
    let (_, body) = timeout(Duration::from_secs(10), read(response)).await.unwrap();
    let said = body.rsplit("event: next\ndata: ").next().and_then(|rest| rest.lines().next()).unwrap_or_default();
    assert_eq!(code(said), "UNAUTHENTICATED", "{body}");
    assert!(said.contains("revoked") && body.ends_with("event: complete\ndata: \n\n"), "{body}");
}

#[tokio::test]
async fn a_panic_is_an_internal_error_with_the_request_id() {
    let gateway = gateway().await;
    let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON).header(REQUEST_ID, "abc");
    let response = send(&gateway, request, r#"{"query":"{panics}"}"#).await;
    assert_eq!(response.headers()[REQUEST_ID], "abc");
    let (status, body) = read(response).await;
    assert_eq!((status, code(&body).as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR"));
    assert!(body.contains(r#""requestId":"abc""#), "{body}");
}
