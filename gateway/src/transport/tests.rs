//! The answers that clients get, over each transport, when the same request may succeed in a moment.

use axum::{body::Body, response::Response};
use futures::{SinkExt, StreamExt};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tower::ServiceExt;

use super::websocket::SUBPROTOCOL;
use crate::{
    config::Config,
    fake::Gateway,
    http::{REQUEST_ID, router},
};

const RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";
const PARTS: &str = "multipart/mixed;subscriptionSpec=1.0, application/json";

async fn gateway() -> Gateway {
    Gateway::start(|_| {}).await
}

async fn send(gateway: &Gateway, request: http::request::Builder, body: impl Into<Body>) -> Response {
    let request = request.header(header::HOST, "localhost").body(body.into()).unwrap();
    router(&gateway.app, true).oneshot(request).await.unwrap()
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
async fn a_database_that_is_away_is_worth_another_try_over_every_transport() {
    let gateway = gateway().await;
    for (key, path, accept, document, status) in [
        ("away", "/graphql", JSON, "{hello}", 503),
        ("away", "/graphql", RESPONSE, "{hello}", 503),
        ("away", "/graphql/stream", "text/event-stream", "subscription {count}", 503),
        ("away", "/graphql", PARTS, "subscription {count}", 503),
        ("good", "/graphql", JSON, "{away}", 503),
        ("good", "/graphql", RESPONSE, "{away}", 503),
        ("good", "/graphql", PARTS, "subscription {away}", 503),
        // Errors of an event stream travel as events.
        ("good", "/graphql/stream", "text/event-stream", "{away}", 200),
        ("good", "/graphql/stream", "text/event-stream", "subscription {away}", 200),
    ] {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, JSON)
            .header(header::ACCEPT, accept)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(REQUEST_ID, "r-1");
        let response = send(&gateway, request, format!(r#"{{"query":"{document}"}}"#)).await;
        let retry_after = response.headers().get(header::RETRY_AFTER).cloned();
        let (answered, body) = read(response).await;
        let told = body.split_once("data: ").map_or(&*body, |(_, event)| event.lines().next().unwrap_or_default());
        assert_eq!((answered.as_u16(), &*code(told)), (status, "SERVICE_UNAVAILABLE"), "{path} {accept} {body}");
        assert_eq!(retry_after.is_some(), status == 503, "{path} {accept}");
        for part in [r#""requestId":"r-1""#, r#""retryAfter":2"#] {
            assert!(told.contains(part), "{path} {accept} {body}");
        }
    }
}

#[tokio::test]
async fn where_all_places_are_taken_the_client_may_come_again() {
    let gateway = Gateway::start(|config: &mut Config| config.live.max_sockets = 0).await;
    for (path, accept) in [("/graphql/stream", "text/event-stream"), ("/graphql", PARTS)] {
        let request = Request::post(path).header(header::CONTENT_TYPE, JSON).header(header::ACCEPT, accept);
        let response = send(&gateway, request, r#"{"query":"subscription {count}"}"#).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "5", "{path}");
        let (status, body) = read(response).await;
        assert_eq!((status.as_u16(), &*code(&body)), (503, "SERVICE_UNAVAILABLE"), "{path}");
        assert!(body.contains(r#""requestId":""#), "{body}");
    }
}

/// Opens a socket with a key, sends `messages`, and gives the first text that is no acknowledgement, or the reason of the close.
async fn say(gateway: &Gateway, key: &str, messages: &[Value]) -> (Option<u16>, String) {
    let mut request = format!("ws://127.0.0.1:{}/graphql", gateway.port).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    socket.send(Message::text(r#"{"type":"connection_init"}"#)).await.unwrap();
    let mut messages = messages.iter();
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) if text.contains("connection_ack") => {
                socket.send(Message::text(messages.next().unwrap().to_string())).await.unwrap();
            }
            Message::Text(text) => return (None, text.to_string()),
            Message::Close(Some(frame)) => return (Some(frame.code.into()), frame.reason.to_string()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_socket_is_told_what_a_request_is_told() {
    let gateway = gateway().await;
    // A code after which clients of the protocol come back.
    let (closed, reason) = say(&gateway, "away", &[]).await;
    assert_eq!(closed, Some(1013));
    assert!(reason.contains("SERVICE_UNAVAILABLE, request 0"), "{reason}");
    for query in ["{away}", "subscription {away}"] {
        let subscribe = serde_json::json!({ "type": "subscribe", "id": "1", "payload": { "query": query } });
        let (_, message) = say(&gateway, "good", &[subscribe]).await;
        let message: Value = serde_json::from_str(&message).unwrap();
        let extensions = &message["payload"][0]["extensions"];
        assert_eq!((&message["type"], &extensions["code"]), (&"error".into(), &"SERVICE_UNAVAILABLE".into()));
        assert!(extensions["requestId"].is_string() && extensions["retryAfter"] == 2, "{message}");
    }
}
