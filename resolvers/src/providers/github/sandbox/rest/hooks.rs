//! Webhooks of a repository over the REST API: what is registered, what was delivered, and the registering itself.

use serde_json::Value;

use super::{Call, reply::Reply};
use crate::{
    providers::github::sandbox::{
        hooks,
        shapes::shape,
        world::{
            World,
            hook::{Delivery, Hook},
        },
    },
    sandbox::OutgoingWebhook,
};

pub(super) fn read(world: &World, call: &Call, at: usize, rest: &[&str]) -> Reply {
    let mut own = world.hooks.iter().filter(|hook| hook.repo == Some(at));
    let [id, rest @ ..] = rest else {
        return Reply::list(world, call, own.collect(), |hook| hooks::describe(world, hook));
    };
    let Some(hook) = own.find(|hook| hook.id.to_string() == *id) else { return Reply::not_found() };
    match rest {
        [] => Reply::ok(hooks::describe(world, hook)),
        ["config"] => Reply::maybe(hooks::describe(world, hook).get("config").cloned()),
        ["deliveries"] => deliveries(world, call, hook),
        ["deliveries", id] => {
            let found = hook.deliveries.iter().find(|one| one.id.to_string() == *id);
            Reply::maybe(found.map(|one| delivery(hook, one, true)))
        }
        _ => Reply::not_found(),
    }
}

/// The log, newest first. Unlike lists, it has no numbered pages: `cursor` says after which line to go on.
fn deliveries(world: &World, call: &Call, hook: &Hook) -> Reply {
    let size =
        call.param("per_page").and_then(|size| size.parse().ok()).filter(|size| *size > 0).unwrap_or(30).min(100);
    let after = call.param("cursor").and_then(|cursor| cursor.strip_prefix("v1_")?.parse::<u64>().ok());
    let mut rest = hook.deliveries.iter().filter(|one| after.is_none_or(|after| one.id < after)).peekable();
    let page: Vec<&Delivery> = rest.by_ref().take(size).collect();
    let last = page.last().map(|one| one.id).filter(|_| rest.peek().is_some());
    let link = last.and_then(|last| {
        let next = format!("<{}{}?per_page={size}&cursor=v1_{last}>; rel=\"next\"", world.api_root, call.path);
        http::HeaderValue::from_str(&next).ok()
    });
    let body = page.into_iter().map(|one| delivery(hook, one, false)).collect();
    Reply { link, ..Reply::ok(body) }
}

fn delivery(hook: &Hook, delivery: &Delivery, whole: bool) -> Value {
    let mut object = shape! {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": delivery.at,
        "redelivery": delivery.redelivery,
        "duration": 0.12,
        "status": "OK",
        "status_code": 200,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": Value::Null,
        "repository_id": Value::Null,
        "throttled_at": Value::Null,
    };
    if whole {
        let payload: Value = serde_json::from_slice(&delivery.payload).unwrap_or_default();
        super::super::shapes::extend(
            &mut object,
            shape! {
                "url": hook.url,
                "request": shape! { "headers": shape! {}, "payload": payload },
                "response": shape! { "headers": shape! {}, "payload": "" },
            },
        );
    }
    object
}

/// POST, PATCH and DELETE below `/hooks`.
pub(super) fn write(
    world: &mut World,
    call: &Call,
    (at, rest): (usize, &[&str]),
    webhooks: &mut Vec<OutgoingWebhook>,
) -> Reply {
    let [id, rest @ ..] = rest else { return create(world, call, at, webhooks) };
    let is_it = |hook: &Hook| hook.repo == Some(at) && hook.id.to_string() == *id;
    let Some(index) = world.hooks.iter().position(is_it) else { return Reply::not_found() };
    match (call.method.as_str(), rest) {
        ("DELETE", []) => {
            world.hooks.remove(index);
            Reply::nothing()
        }
        ("PATCH", [] | ["config"]) => {
            if let Some(hook) = world.hooks.get_mut(index) {
                configure(hook, call, rest.is_empty());
            }
            Reply::maybe(world.hooks.get(index).map(|hook| hooks::describe(world, hook)))
        }
        ("POST", ["pings"]) => {
            webhooks.extend(hooks::ping(world, call.now, index));
            Reply::nothing()
        }
        ("POST", ["deliveries", delivery, "attempts"]) => {
            let sent = delivery.parse().ok().and_then(|id| hooks::redeliver(world, call.now, index, id));
            match sent {
                Some(sent) => {
                    webhooks.push(sent);
                    Reply::with(http::StatusCode::ACCEPTED, shape! {})
                }
                None => Reply::not_found(),
            }
        }
        _ => Reply::not_found(),
    }
}

fn create(world: &mut World, call: &Call, at: usize, webhooks: &mut Vec<OutgoingWebhook>) -> Reply {
    let Some(url) = call.body.pointer("/config/url").and_then(Value::as_str) else {
        return Reply::invalid("Hook", "config", "missing_field");
    };
    let url = url.to_owned();
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Reply::invalid("Hook", "url", "invalid");
    }
    if world.hooks.iter().any(|hook| hook.repo == Some(at) && hook.url == url) {
        return Reply::invalid("Hook", "url", "custom");
    }
    let id = hooks::next_id(world, true);
    let mut hook = Hook {
        id,
        repo: Some(at),
        url,
        secret: None,
        form: true,
        events: vec!["push".to_owned()],
        active: true,
        created: call.now,
        updated: call.now,
        delivered: 0,
        deliveries: Vec::new(),
    };
    configure(&mut hook, call, true);
    world.hooks.push(hook);
    let index = world.hooks.len() - 1;
    webhooks.extend(hooks::ping(world, call.now, index));
    world.hooks.get(index).map_or_else(Reply::not_found, |hook| Reply::created(hooks::describe(world, hook)))
}

/// Takes over what the body names.
fn configure(hook: &mut Hook, call: &Call, whole: bool) {
    hook.updated = call.now;
    let config = if whole { call.body.get("config") } else { Some(&call.body) };
    let text = |name: &str| config.and_then(|config| config.get(name)).and_then(Value::as_str).map(str::to_owned);
    if let Some(url) = text("url") {
        hook.url = url;
    }
    if let Some(kind) = text("content_type") {
        hook.form = kind != "json";
    }
    if let Some(secret) = text("secret") {
        hook.secret = Some(secret).filter(|secret| !secret.is_empty());
    }
    let names = |name: &str| -> Option<Vec<String>> {
        let all = call.body.get(name)?.as_array()?;
        Some(all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    if let Some(active) = call.body.get("active").and_then(Value::as_bool) {
        hook.active = active;
    }
    hook.events = names("events").unwrap_or_else(|| hook.events.clone());
    hook.events.extend(names("add_events").unwrap_or_default());
    let gone = names("remove_events").unwrap_or_default();
    hook.events.retain(|event| !gone.contains(event));
}
