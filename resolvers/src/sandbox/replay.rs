//! From a journal entry to the world and back: what of an API call is kept, and how it happens again.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;

use super::{
    ApiRequest, CallOutcome, HandshakeAnswer, Sandbox,
    journal::{Entry, RecordedAnswer, RecordedCall},
};
use crate::error_chain::chain;

/// Stands for the caller's token in what is kept.
const NO_TOKEN: &str = "replayed";

/// The answer that a courier brings back.
type TargetAnswer = Option<(StatusCode, HeaderMap)>;

/// The part of a call that is kept.
pub(super) fn record_call(request: &ApiRequest) -> RecordedCall {
    let mut headers = Vec::new();
    for name in [CONTENT_TYPE, ACCEPT] {
        if let Some(value) = request.headers().get(&name).and_then(|value| value.to_str().ok()) {
            headers.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    if request.headers().contains_key(AUTHORIZATION) {
        headers.push((AUTHORIZATION.as_str().to_owned(), format!("Bearer {NO_TOKEN}")));
    }
    let body = String::from_utf8_lossy(request.body()).into_owned();
    RecordedCall {
        method: request.method().to_string(),
        path: without_token_in_query(request.uri()),
        headers,
        body: without_token(body),
        handshake: None,
    }
}

fn without_token_in_query(uri: &http::Uri) -> String {
    match uri.query() {
        Some(query) => format!("{}?{}", uri.path(), without_token(query.to_owned())),
        None => uri.path().to_owned(),
    }
}

/// Some clients send the token as a field of the form or of the JSON object.
fn without_token(body: String) -> String {
    if let Ok(Value::Object(mut object)) = serde_json::from_str(&body) {
        return match object.get_mut("token") {
            Some(token) => {
                *token = NO_TOKEN.into();
                Value::Object(object).to_string()
            }
            None => body,
        };
    }
    if !body.split('&').any(|pair| pair.starts_with("token=")) {
        return body;
    }
    let replace = |pair: &str| if pair.starts_with("token=") { format!("token={NO_TOKEN}") } else { pair.to_owned() };
    body.split('&').map(replace).collect::<Vec<_>>().join("&")
}

/// The part of a handshake's answer that is kept.
pub(super) fn record_answer(answer: Option<&(StatusCode, HeaderMap)>) -> RecordedAnswer {
    let Some((status, headers)) = answer else { return RecordedAnswer::default() };
    let kept =
        |(name, value): (&HeaderName, &HeaderValue)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()));
    // Only the provider's own headers decide ("X-Hook-Secret"); the rest (dates, cookies) is noise.
    let own = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-"));
    RecordedAnswer { status: Some(status.as_u16()), headers: own.filter_map(kept).collect() }
}

/// Lets everything happen again, in order, without webhooks. An entry that no longer fits is logged and left out.
pub(super) async fn replay(sandbox: &dyn Sandbox, entries: Vec<Entry>) {
    for (index, entry) in entries.into_iter().enumerate() {
        let provider = sandbox.provider();
        match entry {
            Entry::Act { at, action, input } => {
                if let Err(error) = sandbox.act(at, &action, &input) {
                    tracing::warn!(provider, index, action, error = %chain(&error), "a journalled act does not fit any more");
                }
            }
            Entry::Call { at, call } => {
                if let Err(error) = replay_call(sandbox, at, call).await {
                    tracing::warn!(provider, index, error = %chain(&error), "a journalled call does not fit any more");
                }
            }
        }
    }
}

/// Gives a handshake's answer back to the call that caused it.
pub(super) async fn answer_handshake(
    sandbox: &dyn Sandbox,
    now: DateTime<Utc>,
    mut request: ApiRequest,
    answer: HandshakeAnswer,
) -> CallOutcome {
    request.extensions_mut().insert(answer);
    sandbox.call(now, request).await
}

async fn replay_call(sandbox: &dyn Sandbox, at: DateTime<Utc>, call: RecordedCall) -> Result<(), http::Error> {
    let mut request = Request::builder().method(call.method.as_str()).uri(call.path);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Bytes::from(call.body))?;
    let outcome = sandbox.call(at, request.clone()).await;
    if let (Some(sent), Some(answer)) = (outcome.handshake, call.handshake) {
        let answer = HandshakeAnswer { sent, answer: recall_answer(answer)? };
        answer_handshake(sandbox, at, request, answer).await;
    }
    Ok(())
}

fn recall_answer(answer: RecordedAnswer) -> Result<TargetAnswer, http::Error> {
    let Some(status) = answer.status else { return Ok(None) };
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers {
        headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok(Some((StatusCode::from_u16(status)?, headers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_kept() {
        let table = [
            ("/x?a=1", "token=xoxb-1&channel=C1", "token=replayed&channel=C1"),
            ("/x?a=1", r#"{"token":"xoxb-1","channel":"C1"}"#, r#"{"token":"replayed","channel":"C1"}"#),
            ("/x?a=1", "not_token=1", "not_token=1"),
            ("/x?a=1", r#"{"a":1}"#, r#"{"a":1}"#),
        ];
        for (uri, body, expected) in table {
            let request = Request::post(uri).header("Authorization", "Bearer secret").body(Bytes::from(body)).unwrap();
            let record = record_call(&request);
            assert_eq!((record.path.as_str(), record.body.as_str()), (uri, expected));
            assert!(!format!("{record:?}").contains("secret"));
        }
    }
}
