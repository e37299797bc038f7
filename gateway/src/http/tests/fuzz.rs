//! Requests to `/graphql` as strangers may send them: each is answered, with a status and a code of the contract.

use std::{str::FromStr, time::Duration};

use axum::response::Response;
use futures::StreamExt;
use http::{Request, StatusCode, header};
use mullion_fuzz::{Target, body_of};
use mullion_schema::error::ErrorCode;
use serde_json::Value;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{Body, Gateway, router};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tests/kept");
/// How long an answer that streams is listened to.
const STREAMED: Duration = Duration::from_millis(5);
/// Answers of the stand-in are short, whatever is asked.
const LONGEST_ANSWER: usize = 512 * 1024;
const STATUSES: [u16; 14] = [101, 200, 202, 204, 303, 307, 400, 401, 403, 404, 405, 406, 415, 426];

/// The request that an input stands for; `None`: it is none.
fn request(input: &[u8]) -> Option<Request<Body>> {
    let start = body_of(input);
    let (head, body) = input.split_at(start);
    let mut lines = std::str::from_utf8(head).ok()?.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        request = request.header(name.trim(), value.trim());
    }
    request.header(header::HOST, "localhost").body(Body::from(body.to_vec())).ok()
}

/// The beginning of the answer's body.
async fn beginning(response: Response) -> Vec<u8> {
    let mut body = response.into_body().into_data_stream();
    let mut bytes = Vec::new();
    while bytes.len() <= LONGEST_ANSWER
        && let Ok(Some(Ok(chunk))) = timeout(STREAMED, body.next()).await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

/// Whether each error has a code that says that somebody else than us is at fault.
fn check_errors(answer: &Value) -> Result<(), String> {
    let errors = answer["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if errors.is_empty() && answer.get("data").is_none() {
        return Err(format!("neither data nor errors: {answer}"));
    }
    for error in errors {
        // The stand-in's own executor gives its errors none.
        let Some(code) = error["extensions"].get("code") else { continue };
        match code.as_str().map(ErrorCode::from_str) {
            Some(Ok(ErrorCode::InternalServerError)) | None | Some(Err(_)) => return Err(format!("the error {error}")),
            Some(Ok(_)) => {}
        }
    }
    Ok(())
}

async fn check(gateway: &Gateway, input: &[u8]) -> Result<(), String> {
    let Some(request) = request(input) else { return Ok(()) };
    let response = router(&gateway.app, true).oneshot(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let known = STATUSES.contains(&status.as_u16())
        || matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::URI_TOO_LONG | StatusCode::SERVICE_UNAVAILABLE);
    if !known {
        return Err(format!("the status {status}"));
    }
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let is_json = media.contains("json") && !response.headers().contains_key(header::CONTENT_ENCODING);
    let body = beginning(response).await;
    if body.len() > LONGEST_ANSWER {
        return Err("the answer is long".to_owned());
    }
    if !is_json || body.is_empty() {
        return Ok(());
    }
    let answer = serde_json::from_slice(&body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    check_errors(&answer)
}

/// A request, and a body.
fn seed(head: &str, body: &str) -> Vec<u8> {
    format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n")).into_bytes()
}

fn seeds() -> Vec<Vec<u8>> {
    const JSON: &str = "POST /graphql HTTP/1.1\ncontent-type: application/json\naccept: application/json";
    const TYPED: &str = "POST /graphql HTTP/1.1\ncontent-type: application/json; charset=utf-8\n\
        accept: application/graphql-response+json, application/json;q=0.9\nauthorization: Bearer viewer";
    let hello = r#"{"query":"query Q($n: String) { hello(name: $n) }","variables":{"n":"you"},"operationName":"Q"}"#;
    let count = r#"{"query":"subscription { count }","extensions":{"a":[1,2.5,null]}}"#;
    let with = |header: &str| format!("{JSON}\n{header}");
    vec![
        seed(JSON, hello),
        seed(TYPED, hello),
        seed(TYPED, r#"{"query":"mutation { change } query B { hello } ","operationName":"B"}"#),
        seed(JSON, r#"{"query":"{ hello","variables":null}"#),
        seed(JSON, r#"{"query":"query($cost: Int) { hello }","variables":{"cost":7}}"#),
        seed(JSON, r#"[{"query":"{hello}"},{"query":"{hello}"}]"#),
        seed(
            JSON,
            r#"{"query":"{hello}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38"}}}"#,
        ),
        seed(&with("content-encoding: gzip"), hello),
        seed(&with("accept-encoding: gzip, br;q=0.5\norigin: http://localhost:4000"), hello),
        seed(&JSON.replace("accept: application/json", "accept: text/event-stream\nlast-event-id: 2"), count),
        seed(
            &JSON.replace(
                "accept: application/json",
                "accept: multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0,application/json",
            ),
            count,
        ),
        seed(&with("content-length: 3\ntransfer-encoding: chunked"), hello),
        seed("GET /graphql?query=%7Bhello%7D&variables=%7B%22n%22%3A1%7D&operationName= HTTP/1.1\naccept: */*", ""),
        seed("GET /graphql/stream?query=subscription%7Bcount%7D HTTP/1.1\naccept: text/event-stream", ""),
        seed(
            "GET /graphql HTTP/1.1\nconnection: upgrade\nupgrade: websocket\nsec-websocket-version: 13\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\nsec-websocket-protocol: graphql-transport-ws",
            "",
        ),
        seed("OPTIONS /graphql HTTP/1.1\norigin: http://localhost:4000\naccess-control-request-method: POST", ""),
        seed("POST /webhooks/github/e HTTP/1.1\ncontent-type: application/json", "{}"),
    ]
}

#[test]
fn any_request_is_answered_with_a_code_of_the_contract() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gateway = runtime.block_on(Gateway::start(|config| config.limits.max_cost = 1_000));
    Target::new("requests", KEPT, seeds()).run(|input| {
        let checked = runtime.block_on(async { timeout(Duration::from_secs(20), check(&gateway, input)).await });
        checked.unwrap_or_else(|_| Err("there is no answer".to_owned()))
    });
}
