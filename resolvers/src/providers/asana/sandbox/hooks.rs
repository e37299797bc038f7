//! Webhooks: the subscriptions, which events each wants, and the signed requests to their targets.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::Sha256;

use super::event_log::Event;
use super::events;
use super::records::{Filter, Gid, Hook, Kind};
use super::world::World;
use crate::sandbox::OutgoingWebhook;

/// The header of the handshake and of the target's echo.
pub(super) const SECRET_HEADER: HeaderName = HeaderName::from_static("x-hook-secret");
const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-hook-signature");

impl Filter {
    fn passes(&self, world: &World, event: &Event) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let subtype = events::subtype(world, event.resource).unwrap_or_default();
        fits(&self.resource_type, event.resource.kind.name())
            && fits(&self.resource_subtype, &subtype)
            && fits(&self.action, event.action)
            && (self.fields.is_empty()
                || event.change.is_some_and(|change| self.fields.iter().any(|field| field == change.field)))
    }
}

impl Hook {
    fn wants(&self, world: &World, event: &Event) -> bool {
        let inside = match self.resource {
            None => true,
            // On high-level resources Asana sends what concerns projects and the like, not each task.
            Some(of) if matches!(of.kind, Kind::Workspace | Kind::Team) => {
                event.scopes.contains(&of.gid)
                    && !matches!(event.resource.kind, Kind::Task | Kind::Story | Kind::Section)
            }
            Some(of) => event.scopes.contains(&of.gid),
        };
        self.active
            && inside
            && (self.filters.is_empty() || self.filters.iter().any(|filter| filter.passes(world, event)))
    }
}

/// The requests that tell the subscriptions what happened.
pub(super) fn deliveries(world: &mut World, now: DateTime<Utc>, events: &[Event]) -> Vec<OutgoingWebhook> {
    let mut sent = Vec::new();
    let mut reached: Vec<Gid> = Vec::new();
    for (gid, hook) in &world.hooks {
        let wanted: Vec<Value> =
            events.iter().filter(|event| hook.wants(world, event)).map(|event| events::wire(world, event)).collect();
        if !wanted.is_empty() {
            reached.push(*gid);
            sent.push(signed(hook, &json!({ "events": wanted })));
        }
    }
    mark(world, now, &reached);
    sent
}

/// The empty deliveries by which Asana checks now and then that the targets are there.
pub(super) fn heartbeats(world: &mut World, now: DateTime<Utc>) -> Vec<OutgoingWebhook> {
    let sent = world.hooks.values().filter(|hook| hook.active).map(heartbeat).collect();
    let all: Vec<Gid> = world.hooks.iter().filter(|(_, hook)| hook.active).map(|(gid, _)| *gid).collect();
    mark(world, now, &all);
    sent
}

/// One such delivery.
pub(super) fn heartbeat(hook: &Hook) -> OutgoingWebhook {
    signed(hook, &json!({ "events": [] }))
}

/// The request of a handshake: the secret, and nothing to say yet.
pub(super) fn handshake(target: &str, secret: &str) -> OutgoingWebhook {
    request(target, SECRET_HEADER, secret, Bytes::from_static(b"{}"))
}

fn mark(world: &mut World, now: DateTime<Utc>, reached: &[Gid]) {
    for gid in reached {
        if let Some(hook) = world.hooks.get_mut(gid) {
            hook.last_success_at = Some(now);
        }
    }
}

fn signed(hook: &Hook, body: &Value) -> OutgoingWebhook {
    let body = Bytes::from(body.to_string());
    request(&hook.target, SIGNATURE_HEADER, &signature(&hook.secret, &body), body)
}

fn request(target: &str, name: HeaderName, value: &str, body: Bytes) -> OutgoingWebhook {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
    OutgoingWebhook { url: target.to_owned(), headers, body, challenge: None }
}

/// `X-Hook-Signature`: HMAC-SHA256 of the body, keyed by the secret as text, in hexadecimal without a prefix.
pub(super) fn signature(secret: &str, body: &[u8]) -> String {
    // A key of any length is accepted, so that the error cannot happen.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mac| hex::encode(mac.chain_update(body).finalize().into_bytes()))
        .unwrap_or_default()
}

/// The secret of the `number`th handshake in a world: 64 hexadecimal digits, as Asana's.
pub(super) fn secret(seed: u64, number: u64) -> String {
    signature(&format!("asana sandbox {seed}"), &number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_the_bare_hex_of_the_published_vector() {
        let body = "{\"id\":1,\"t\":\"h\u{e9}llo\"}".as_bytes();
        assert_eq!(body.len(), 21);
        assert_eq!(signature("test-secret", body), "1fd06e7adc6ae360c3e4c0c45d8cf81429d6448e50f51f579354df2bc463b84e");
    }
}
