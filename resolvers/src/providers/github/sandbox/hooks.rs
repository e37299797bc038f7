//! Webhooks: the signed requests that GitHub would send to the subscriptions.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    shapes::{repository, shape},
    world::{
        World,
        dice::Dice,
        hook::{Delivery, Hook},
        model::Time,
    },
};
use crate::sandbox::OutgoingWebhook;

/// How many past deliveries of a hook can be listed and sent again.
const KEPT_DELIVERIES: usize = 100;
/// Deliveries are numbered by hook, each within as many: all of them stay in what JavaScript takes for an integer.
const NUMBERS_A_HOOK: u64 = 10_000_000;

/// The value of `X-Hub-Signature-256` for a body.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    match Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        Ok(mut mac) => {
            mac.update(body);
            format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
        }
        // HMAC takes keys of any length.
        Err(_) => String::new(),
    }
}

/// The requests that an event leads to, one for each active hook that wants it; the deliveries are remembered.
pub(crate) fn emit(
    world: &mut World,
    at: Time,
    repo: usize,
    event: &'static str,
    payload: &Value,
) -> Vec<OutgoingWebhook> {
    let wants = |hook: &Hook| {
        hook.active
            && hook.repo.is_none_or(|own| own == repo)
            && hook.events.iter().any(|wanted| wanted == "*" || wanted == event)
    };
    let indexes: Vec<usize> =
        world.hooks.iter().enumerate().filter(|(_, hook)| wants(hook)).map(|(index, _)| index).collect();
    let body = Bytes::from(payload.to_string());
    let action = payload.get("action").and_then(Value::as_str).map(str::to_owned);
    let mut sent = Vec::new();
    for index in indexes {
        let (id, guid) = identify(world, index, &body);
        let delivery =
            Delivery { id, guid, event, action: action.clone(), at, redelivery: false, payload: body.clone() };
        sent.extend(deliver(world, index, delivery));
    }
    sent
}

/// The number and the GUID of a hook's next delivery. They follow from the hook and from what it was sent before, and from no other
/// hook: the same journal gives the same ones, whether hooks that are in no journal were there too or not. The GUID depends on
/// what is delivered too, so that it never comes again for another delivery, not even when a hook was registered anew and its
/// count starts again.
fn identify(world: &mut World, index: usize, payload: &[u8]) -> (u64, String) {
    let seed = world.seed;
    let Some(hook) = world.hooks.get_mut(index) else { return (0, String::new()) };
    hook.delivered += 1;
    let digest = Sha256::digest(payload);
    let digest = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let seed = seed ^ digest ^ hook.id.rotate_left(32) ^ hook.delivered.wrapping_mul(0x2545_f491_4f6c_dd1d);
    (hook.id * NUMBERS_A_HOOK + hook.delivered * 11, Dice::new(seed).guid())
}

/// The number of a new hook. Hooks have numbers of their own: whether there are any does not change the world beside them. Those
/// of repositories are numbered apart from the others, which are set up anew at every start, in between or after them.
pub(crate) fn next_id(world: &World, of_repository: bool) -> u64 {
    let first = if of_repository { 540_000_000 } else { 530_000_000 };
    let alike = world.hooks.iter().filter(|hook| hook.repo.is_some() == of_repository);
    alike.map(|hook| hook.id).max().unwrap_or(first) + 13
}

/// Sends a delivery (for the first time or again) and remembers it.
fn deliver(world: &mut World, index: usize, delivery: Delivery) -> Option<OutgoingWebhook> {
    let target = match world.hooks.get(index)?.repo {
        Some(repo) => ("repository", world.repos.get(repo)?.id),
        None => ("organization", world.actor(world.org).id),
    };
    let hook = world.hooks.get_mut(index)?;
    let request = request(hook, target, &delivery);
    hook.deliveries.insert(0, delivery);
    hook.deliveries.truncate(KEPT_DELIVERIES);
    Some(request)
}

fn request(hook: &Hook, target: (&str, u64), delivery: &Delivery) -> OutgoingWebhook {
    let body = if hook.form {
        let payload = String::from_utf8_lossy(&delivery.payload);
        Bytes::from(form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload).finish())
    } else {
        delivery.payload.clone()
    };
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    add("accept", "*/*");
    add("content-type", if hook.form { "application/x-www-form-urlencoded" } else { "application/json" });
    add("user-agent", "GitHub-Hookshot/44aa24d");
    add("x-github-delivery", &delivery.guid);
    add("x-github-event", delivery.event);
    add("x-github-hook-id", &hook.id.to_string());
    add("x-github-hook-installation-target-id", &target.1.to_string());
    add("x-github-hook-installation-target-type", target.0);
    if let Some(secret) = &hook.secret {
        add("x-hub-signature-256", &signature(secret, &body));
    }
    OutgoingWebhook { url: hook.url.clone(), headers, body, challenge: None }
}

/// The `ping` that a new hook gets, whatever it is subscribed to.
pub(crate) fn ping(world: &mut World, at: Time, index: usize) -> Option<OutgoingWebhook> {
    let hook = world.hooks.get(index)?;
    let mut payload = shape! {
        "zen": "Keep it logically awesome.",
        "hook_id": hook.id,
        "hook": describe(world, hook),
    };
    if let Some(repo) = hook.repo.and_then(|repo| world.repos.get(repo)) {
        super::shapes::extend(&mut payload, shape! { "repository": repository::repository(world, repo) });
    }
    super::shapes::extend(&mut payload, shape! { "sender": super::shapes::actor(world, world.viewer) });
    let payload = Bytes::from(payload.to_string());
    let (id, guid) = identify(world, index, &payload);
    deliver(world, index, Delivery { id, guid, event: "ping", action: None, at, redelivery: false, payload })
}

/// Sends a past delivery again: another number, the same GUID and body.
pub(crate) fn redeliver(world: &mut World, at: Time, index: usize, delivery: u64) -> Option<OutgoingWebhook> {
    let past = world.hooks.get(index)?.deliveries.iter().find(|one| one.id == delivery)?.clone();
    let (id, _) = identify(world, index, &past.payload);
    deliver(world, index, Delivery { id, at, redelivery: true, ..past })
}

/// A hook as the API shows it; its secret stays hidden.
pub(crate) fn describe(world: &World, hook: &Hook) -> Value {
    let (kind, root) = match hook.repo.and_then(|repo| world.repos.get(repo)) {
        Some(repo) => ("Repository", repository::url(world, repo)),
        None => ("Organization", format!("{}/orgs/{}", world.api_root, world.actor(world.org).login)),
    };
    let url = format!("{root}/hooks/{}", hook.id);
    let mut config = shape! {
        "content_type": if hook.form { "form" } else { "json" },
        "insecure_ssl": "0",
        "url": hook.url,
    };
    if hook.secret.is_some() {
        super::shapes::extend(&mut config, shape! { "secret": "********" });
    }
    shape! {
        "type": kind,
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": config,
        "updated_at": hook.updated,
        "created_at": hook.created,
        "url": url,
        "test_url": format!("{url}/test"),
        "ping_url": format!("{url}/pings"),
        "deliveries_url": format!("{url}/deliveries"),
        "last_response": shape! { "code": Value::Null, "status": "unused", "message": Value::Null },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_githubs_documentation() {
        for (secret, body, expected) in [
            (
                "It's a Secret to Everybody",
                "Hello, World!",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            (
                "test-secret",
                "{\"id\":1,\"t\":\"héllo\"}",
                "sha256=1fd06e7adc6ae360c3e4c0c45d8cf81429d6448e50f51f579354df2bc463b84e",
            ),
        ] {
            assert_eq!(signature(secret, body.as_bytes()), expected);
        }
    }
}
