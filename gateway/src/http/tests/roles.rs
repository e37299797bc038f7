//! The parts of the graph's description that a role may read, and GETs that pages of other sites could send.

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::json;

use super::{code, read, send};
use crate::{config::server::Audience, fake::Gateway};

async fn ask(gateway: &Gateway, role: &str, query: &str) -> (StatusCode, String) {
    let request = Request::post("/graphql")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {role}"));
    read(send(gateway, request, json!({ "query": query }).to_string()).await).await
}

#[tokio::test]
async fn the_graph_s_description_is_open_from_the_least_role_on() {
    let rows = [
        (Audience::Viewer, [true, true, true]),
        (Audience::Editor, [false, true, true]),
        (Audience::Admin, [false, false, true]),
        (Audience::Nobody, [false, false, false]),
    ];
    for (audience, expected) in rows {
        let gateway = Gateway::start(|config| config.server.introspection = audience).await;
        for (role, open) in ["viewer", "editor", "admin"].into_iter().zip(expected) {
            for query in [
                "{__schema {queryType {name}}}",
                "{hello ... {a: __type(name: \"Query\") {name}}}",
                "{...F} fragment F on Query {__schema {queryType {name}}}",
            ] {
                let (_, answer) = ask(&gateway, role, query).await;
                assert_eq!(code(&answer) == "-", open, "{audience:?} {role} {query}: {answer}");
                assert!(open || code(&answer) == "FORBIDDEN", "{answer}");
            }
            let (_, answer) = ask(&gateway, role, "{invalid}").await;
            assert_eq!(code(&answer), "GRAPHQL_VALIDATION_FAILED");
            assert_eq!(answer.contains("Did you mean"), open, "{audience:?} {role}: {answer}");
            assert_eq!(ask(&gateway, role, "{__typename hello}").await.0, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn a_get_shows_that_no_page_of_another_site_sent_it() {
    let (strict, open) = (Gateway::start(|config| config.server.allow_get = false).await, Gateway::start(|_| {}).await);
    for (name, value, passes) in [
        ("accept", "application/json", false),
        ("content-type", "text/plain", false),
        ("content-type", "application/x-www-form-urlencoded", false),
        ("content-type", "application/jsonp", false),
        ("content-type", "application/json", true),
        ("content-type", "Application/JSON; charset=utf-8", true),
        ("apollo-require-preflight", "true", true),
        ("graphql-require-preflight", "1", true),
        ("x-requested-with", "XMLHttpRequest", true),
    ] {
        let request = || Request::get("/graphql?query=%7Bhello%7D").header(name, value);
        let (status, answer) = read(send(&strict, request(), Body::empty()).await).await;
        let expected = if passes { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        assert_eq!(status, expected, "{name}: {value}: {answer}");
        assert!(passes || answer.contains("apollo-require-preflight"), "{answer}");
        assert_eq!(send(&open, request(), Body::empty()).await.status(), StatusCode::OK);
    }
    let stream = Request::get("/graphql/stream?query=subscription%7Bcount%7D");
    assert_eq!(send(&strict, stream, Body::empty()).await.status(), StatusCode::OK, "EventSource sends no headers");
}
