//! The forms of bodies and answers, and the requests that pages may send.

use axum::body::Body;
use http::{Request, StatusCode, header};

use super::{JSON, RESPONSE, code, gateway, read, send};
use crate::fake::Gateway;

const EVENTS: &str = "text/event-stream";
const PARTS: &str = "multipart/mixed;subscriptionSpec=1.0";
/// The `Accept` header that urql sends.
const EVERYTHING: &str =
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed";

#[tokio::test]
async fn a_byte_order_mark_is_passed_by_and_a_packed_body_is_refused() {
    let gateway = gateway().await;
    let body = "\u{feff}{\"query\":\"{hello}\"}";
    for path in ["/graphql", "/graphql/stream"] {
        for (encoding, expected) in [("identity", 200), ("gzip", 415), ("br", 415)] {
            let request =
                Request::post(path).header(header::CONTENT_TYPE, JSON).header(header::CONTENT_ENCODING, encoding);
            let (status, answer) = read(send(&gateway, request, body).await).await;
            assert_eq!(status.as_u16(), expected, "{path} {encoding}: {answer}");
        }
    }
}

#[tokio::test]
async fn an_answer_is_what_the_client_accepts_for_this_kind_of_operation() {
    let gateway = gateway().await;
    let (query, subscription, broken) = ("{hello}", "subscription{count}", "{");
    for (accept, document, status, kind) in [
        (JSON, query, 200, JSON),
        (EVERYTHING, query, 200, RESPONSE),
        (EVERYTHING, subscription, 200, EVENTS),
        (EVERYTHING, broken, 400, RESPONSE),
        (EVENTS, query, 200, EVENTS),
        (EVENTS, subscription, 200, EVENTS),
        (EVENTS, broken, 200, EVENTS),
        ("application/json, text/event-stream", query, 200, JSON),
        ("application/json, text/event-stream", subscription, 200, EVENTS),
        ("multipart/mixed;subscriptionSpec=1.0, application/json", query, 200, JSON),
        ("multipart/mixed;subscriptionSpec=1.0, application/json", subscription, 200, "multipart/mixed"),
        ("multipart/mixed, application/json", subscription, 200, "multipart/mixed"),
        (PARTS, subscription, 200, "multipart/mixed"),
        (PARTS, query, 406, "text/plain"),
        ("text/html", query, 406, "text/plain"),
        ("multipart/mixed;deferSpec=20220824, application/json", subscription, 200, JSON),
        ("*/*", subscription, 200, JSON),
    ] {
        let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON).header(header::ACCEPT, accept);
        let body = serde_json::json!({ "query": document }).to_string();
        let response = send(&gateway, request, body).await;
        let found = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert!(found.starts_with(kind), "{accept} {document}: {found}");
        let (found, answer) = read(response).await;
        assert_eq!(found.as_u16(), status, "{accept} {document}: {answer}");
        if status == 406 {
            for way in [JSON, RESPONSE, EVENTS, "multipart/mixed", "WebSocket"] {
                assert!(answer.contains(way), "{answer}");
            }
        }
        if kind == JSON && document == subscription {
            assert!(answer.contains("text/event-stream") && answer.contains("multipart/mixed"), "{answer}");
        }
    }
}

#[tokio::test]
async fn an_event_source_at_the_same_address_resumes_and_runs_no_mutation() {
    let gateway = gateway().await;
    let ask = async |query: &str, last: &str| {
        let request = Request::get(format!("/graphql?query={query}"))
            .header(header::ACCEPT, EVENTS)
            .header("last-event-id", last)
            .header(header::ACCEPT_ENCODING, if last == "2" { "gzip" } else { "identity" });
        send(&gateway, request, Body::empty()).await
    };
    let response = ask("subscription%7Bcount%7D", "2").await;
    assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
    let (_, body) = read(response).await;
    assert!(body.contains("id: 3\n") && !body.contains("id: 2\n") && body.contains("event: complete"), "{body}");
    assert_eq!(ask("mutation%7Bchange%7D", "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    let (status, body) = read(ask("subscription%7Bcount%7D", "\u{e9}").await).await;
    assert_eq!((status, code(&body).as_str()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"));
    let bad = Request::get("/graphql?query=%7Bhello%7D")
        .header(header::ACCEPT, EVENTS)
        .header(header::AUTHORIZATION, "Bearer bad");
    assert_eq!(send(&gateway, bad, Body::empty()).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_event_source_that_was_told_everything_asks_once_more_and_then_never_again() {
    let gateway = gateway().await;
    for address in ["/graphql", "/graphql/stream"] {
        for (query, first) in
            [("subscription%7Bcount%7D", "foreign"), ("subscription%7Bcount%7D", ""), ("%7Bhello%7D", ""), ("%7B", "")]
        {
            let ask = async |last: &str| {
                let request = Request::get(format!("{address}?query={query}"));
                let request = request.header(header::ACCEPT, EVENTS).header("last-event-id", last);
                read(send(&gateway, request, Body::empty()).await).await
            };
            let (status, body) = ask(first).await;
            assert_eq!((status, body.contains("BAD_USER_INPUT")), (StatusCode::OK, first == "foreign"), "{body}");
            let last = body.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap_or_default();
            assert_eq!(ask(last).await, (StatusCode::NO_CONTENT, String::new()), "{address} {query}");
        }
    }
}

#[tokio::test]
async fn other_clients_with_the_cursor_of_another_database_get_400() {
    let gateway = gateway().await;
    for address in ["/graphql", "/graphql/stream"] {
        let request = Request::post(address)
            .header(header::CONTENT_TYPE, JSON)
            .header(header::ACCEPT, EVENTS)
            .header("last-event-id", "foreign");
        let response = send(&gateway, request, r#"{"query":"subscription { count }"}"#).await;
        let (status, body) = read(response).await;
        assert_eq!((status, code(&body).as_str()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"), "{body}");
    }
}

#[tokio::test]
async fn a_body_that_finds_no_room_is_passed_by_to_its_end_before_the_client_is_told() {
    let gateway = Gateway::start(|config| config.server.max_bytes_in_flight = 8).await;
    let (sender, chunks) = futures::channel::mpsc::unbounded::<Result<bytes::Bytes, std::io::Error>>();
    let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON);
    let mut answer = Box::pin(send(&gateway, request, Body::from_stream(chunks)));
    for _ in 0..3 {
        sender.unbounded_send(Ok(bytes::Bytes::from_static(b"0123456789"))).unwrap();
        assert!(futures::poll!(&mut answer).is_pending(), "it is still sending");
    }
    drop(sender);
    let response = answer.await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!response.headers().contains_key(header::CONNECTION), "all of it was read");
}

async fn preflight(gateway: &Gateway, headers: &str) -> bool {
    let request = Request::options("/graphql")
        .header(header::ORIGIN, "http://localhost:5173")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, headers);
    let response = send(gateway, request, Body::empty()).await;
    let allowed = response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().to_ascii_lowercase();
    let allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
    headers.split(',').all(|name| allowed.contains(&name))
}

#[tokio::test]
async fn pages_may_send_the_headers_of_their_tools_and_those_that_are_configured() {
    let default = gateway().await;
    let configured = Gateway::start(|config| config.server.allowed_headers = vec!["x-mine".to_owned()]).await;
    for (headers, by_default, as_configured) in [
        ("accept,authorization,content-type,last-event-id,x-request-id", true, true),
        ("apollographql-client-name,apollographql-client-version", true, false),
        ("apollo-require-preflight,x-apollo-operation-name", true, false),
        ("traceparent,tracestate,baggage,sentry-trace", true, false),
        ("x-graphql-client-name,x-graphql-client-version,x-requested-with", true, false),
        ("x-mine", false, true),
        ("cookie", false, false),
    ] {
        assert_eq!(preflight(&default, headers).await, by_default, "{headers}");
        assert_eq!(preflight(&configured, headers).await, as_configured, "{headers}");
    }
}
