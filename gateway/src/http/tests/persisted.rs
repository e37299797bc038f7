//! Automatic persisted queries, as clients ask for them: over POST, GET and event streams. (WebSocket: see its own tests.)

use std::sync::atomic::Ordering;

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::{JSON, RESPONSE, gateway, read, send};
use crate::{fake::Gateway, operation::persisted::DocumentHash};

const NOT_FOUND: &str =
    r#"{"errors":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}"#;
const NOT_SUPPORTED: &str =
    r#"{"errors":[{"message":"PersistedQueryNotSupported","extensions":{"code":"PERSISTED_QUERY_NOT_SUPPORTED"}}]}"#;
const HELLO: &str = r#"{"data":{"hello":"hello "}}"#;

fn extensions(text: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": DocumentHash::of(text).to_string() } })
}

async fn ask(gateway: &Gateway, body: &Value) -> (StatusCode, String) {
    let request = Request::post("/graphql").header(header::CONTENT_TYPE, JSON).header(header::ACCEPT, RESPONSE);
    read(send(gateway, request, body.to_string()).await).await
}

async fn by_hash(gateway: &Gateway, text: &str) -> (StatusCode, String) {
    ask(gateway, &json!({ "operationName": null, "variables": {}, "extensions": extensions(text) })).await
}

async fn with_text(gateway: &Gateway, text: &str, hashed: &str) -> (StatusCode, String) {
    ask(gateway, &json!({ "query": text, "extensions": extensions(hashed) })).await
}

#[tokio::test]
async fn a_document_that_came_with_its_hash_is_found_by_it() {
    let gateway = gateway().await;
    let ok = |body: &str| (StatusCode::OK, body.to_owned());
    assert_eq!(by_hash(&gateway, "{hello}").await, ok(NOT_FOUND));
    assert_eq!(with_text(&gateway, "{hello}", "{hello}").await, ok(HELLO));
    let lookups = gateway.stand_in.looked_up.load(Ordering::Relaxed);
    assert_eq!(by_hash(&gateway, "{hello}").await, ok(HELLO));
    let escaped = extensions("{hello}").to_string().replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    for path in ["/graphql", "/graphql/stream"] {
        let request = Request::get(format!("{path}?extensions={escaped}"));
        let (status, body) = read(send(&gateway, request, Body::empty()).await).await;
        assert!(status == StatusCode::OK && body.contains(HELLO), "{path}: {body}");
    }
    assert_eq!(gateway.stand_in.looked_up.load(Ordering::Relaxed), lookups, "it is in memory");
}

#[tokio::test]
async fn a_document_of_another_replica_is_found_in_the_store_once() {
    let gateway = gateway().await;
    gateway.stand_in.persisted.lock().insert(DocumentHash::of("{hello}"), "{hello}".into());
    for _ in 0..3 {
        assert_eq!(by_hash(&gateway, "{hello}").await.1, HELLO);
    }
    assert_eq!(gateway.stand_in.looked_up.load(Ordering::Relaxed), 1);
    // Somebody wrote another text there.
    gateway.stand_in.persisted.lock().insert(DocumentHash::of("{pause}"), "{hello}".into());
    assert_eq!(by_hash(&gateway, "{pause}").await.1, NOT_FOUND);
}

#[tokio::test]
async fn only_what_is_a_document_and_has_this_hash_is_registered() {
    let gateway = gateway().await;
    for (text, hashed, expected) in [
        ("{hello}", "{pause}", "BAD_USER_INPUT"),
        ("{hello", "{hello", "GRAPHQL_PARSE_FAILED"),
        ("{invalid}", "{invalid}", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let (_, body) = with_text(&gateway, text, hashed).await;
        assert!(body.contains(expected), "{text}: {body}");
        assert_eq!(by_hash(&gateway, hashed).await.1, NOT_FOUND, "{text}");
    }
    let token = "mutation {change(token: \"secret\")}";
    with_text(&gateway, token, token).await;
    assert_eq!(by_hash(&gateway, token).await.1, NOT_FOUND, "a string of a mutation may be a token");
    with_text(&gateway, "mutation {change}", "mutation {change}").await;
    assert_eq!(by_hash(&gateway, "mutation {change}").await.1, r#"{"data":{"change":true}}"#);
    assert_eq!(gateway.stand_in.persisted.lock().len(), 1);
}

#[tokio::test]
async fn an_extension_that_is_none_is_refused_by_name() {
    let gateway = gateway().await;
    for (persisted, expected) in [
        (json!({}), "version"),
        (json!({ "version": 2, "sha256Hash": "a" }), "version"),
        (json!({ "version": 1 }), "sha256Hash"),
        (json!({ "version": 1, "sha256Hash": "a" }), "sha256Hash"),
        (json!({ "version": 1, "sha256Hash": "\u{e9}".repeat(32) }), "sha256Hash"),
        (json!("a"), "version"),
    ] {
        let (status, body) = ask(&gateway, &json!({ "extensions": { "persistedQuery": persisted } })).await;
        assert!(status == StatusCode::BAD_REQUEST && body.contains(expected), "{persisted}: {body}");
    }
}

#[tokio::test]
async fn where_it_is_off_clients_are_told_so_and_documents_run() {
    let gateway = Gateway::start(|config| config.persisted.enabled = false).await;
    assert_eq!(by_hash(&gateway, "{hello}").await, (StatusCode::OK, NOT_SUPPORTED.to_owned()));
    assert_eq!(with_text(&gateway, "{hello}", "{hello}").await.1, HELLO);
    assert_eq!(by_hash(&gateway, "{hello}").await.1, NOT_SUPPORTED);
    assert!(gateway.stand_in.persisted.lock().is_empty());
}
