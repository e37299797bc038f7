//! Verifies Slack's webhook requests over their raw bytes: pure, before anything else looks at them.
//!
//! <https://docs.slack.dev/authentication/verifying-requests-from-slack>

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};

use super::values::{object, text};
use crate::{
    form::is_form,
    json::read_object,
    provider::{EndpointSecrets, Reception, Refusal, VerifiedDelivery, WebhookRequest},
    secret::Secret,
    signature::{self, single},
};

const SIGNATURE: &str = "x-slack-signature";
const TIMESTAMP: &str = "x-slack-request-timestamp";
/// Older requests may be replays; younger ones come from no honest clock.
const WINDOW_SECONDS: u64 = 300;
/// The event name of a slash command: its form names none.
pub(super) const SLASH_COMMAND: &str = "slash_command";

/// The verdict on a request. A retry of Slack is as good as a first attempt: it can be the only copy.
pub(super) fn receive(request: &WebhookRequest, endpoint: &EndpointSecrets) -> Reception {
    verified(request, endpoint).unwrap_or_else(Reception::Refused)
}

fn verified(request: &WebhookRequest, endpoint: &EndpointSecrets) -> Result<Reception, Refusal> {
    let form = is_form(&request.headers)?;
    let timestamp = only(&request.headers, TIMESTAMP).ok_or(Refusal::BadTimestamp)?;
    let seconds: i64 = digits(timestamp).and_then(|digits| digits.parse().ok()).ok_or(Refusal::BadTimestamp)?;
    if !is_signed(request, timestamp, &endpoint.secrets) {
        return Err(Refusal::BadSignature);
    }
    if request.received_at.timestamp().abs_diff(seconds) > WINDOW_SECONDS {
        return Err(Refusal::BadTimestamp);
    }
    let document = if form { document_of_form(&request.body)? } else { request.body.clone() };
    let envelope = read_object(&document).ok_or(Refusal::NotJson)?;
    if text(&envelope, "type") == Some("url_verification")
        && let Some(challenge) = text(&envelope, "challenge")
    {
        return Ok(answer(challenge));
    }
    Ok(Reception::Delivery(delivery(&envelope, document)))
}

/// A document that is certainly Slack's, as a delivery.
pub(super) fn delivery(envelope: &Value, document: Bytes) -> VerifiedDelivery {
    let delivery_id = text(envelope, "event_id").filter(|id| id.len() <= 100).map(str::to_owned);
    VerifiedDelivery { delivery_id, event: event_name(envelope), subject: channel(envelope), document }
}

/// The challenge, as Slack wants it back.
fn answer(challenge: &str) -> Reception {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    Reception::Answer { status: StatusCode::OK, headers, body: json!({ "challenge": challenge }).to_string().into() }
}

/// A header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    single(headers, name)?.to_str().ok()
}

fn digits(text: &str) -> Option<&str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(text)
}

/// Whether one of the secrets signed `v0:{timestamp}:{body}`.
fn is_signed(request: &WebhookRequest, timestamp: &str, secrets: &[Secret]) -> bool {
    let hex = only(&request.headers, SIGNATURE).and_then(|text| text.strip_prefix("v0="));
    let parts = [b"v0:", timestamp.as_bytes(), b":", &request.body];
    hex.is_some_and(|hex| signature::is_signed(hex, &parts, secrets))
}

/// The document in a form's `payload` (interactivity), or a slash command's fields as one.
fn document_of_form(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        if name == "payload" {
            return Ok(Bytes::from(value.into_owned()));
        }
        // The deprecated verification token and the means to answer in somebody's name are not stored.
        if !matches!(name.as_ref(), "token" | "response_url" | "trigger_id") {
            fields.insert(name.into_owned(), Value::String(value.into_owned()));
        }
    }
    if !fields.contains_key("command") {
        return Err(Refusal::NotJson);
    }
    fields.insert("type".to_owned(), SLASH_COMMAND.into());
    Ok(Bytes::from(Value::Object(fields).to_string()))
}

/// `message.message_changed`, `reaction_added`; outside of `event_callback` the type of the document itself.
pub(super) fn event_name(envelope: &Value) -> String {
    let short = |text: &&str| text.len() <= 100;
    let named = |value: &Value| text(value, "type").filter(short).map(str::to_owned);
    match object(envelope, "event") {
        Some(event) => match (named(event), text(event, "subtype").filter(short)) {
            (Some(name), Some(subtype)) => format!("{name}.{subtype}"),
            (Some(name), None) => name,
            (None, _) => "unknown".to_owned(),
        },
        None => named(envelope).unwrap_or_else(|| "unknown".to_owned()),
    }
}

/// The channel that a document is about.
pub(super) fn channel(envelope: &Value) -> Option<String> {
    let event = object(envelope, "event").unwrap_or(envelope);
    let item = object(event, "item");
    let places = [Some(event), item, object(event, "channel")];
    let named = ["channel", "channel", "id"];
    let found = places.into_iter().zip(named).find_map(|(place, name)| text(place?, name));
    found.or_else(|| text(envelope, "channel_id")).map(str::to_owned)
}

#[cfg(test)]
mod tests;
