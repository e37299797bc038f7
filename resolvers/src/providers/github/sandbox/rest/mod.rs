//! GitHub's REST API of the sandbox: routes by the path's segments; the groups of routes have their files.

mod actions;
mod hooks;
mod issues;
mod people;
pub(crate) mod reply;
mod repository;
mod writes;

use http::{HeaderMap, Method};
use serde_json::Value;

use self::reply::Reply;
use super::{
    limits::{Quota, Resource},
    shapes::shape,
    world::{World, model::Time},
};
use crate::sandbox::OutgoingWebhook;

pub(crate) const DOCS: &str = "https://docs.github.com/rest";

/// A call, taken apart.
pub(crate) struct Call {
    pub(crate) now: Time,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Percent-decoded.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Call {
    #[expect(clippy::result_large_err, reason = "the reply is sent as it is, once for each malformed call")]
    pub(crate) fn new(now: Time, request: &crate::sandbox::ApiRequest) -> Result<Self, Reply> {
        let path = request.uri().path().to_owned();
        // As a form's value, a plus sign is a space; in a path it is itself.
        let decode = |segment: &str| {
            let escaped = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
            form_urlencoded::parse(escaped.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
        };
        let segments = path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
        let query = form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().collect();
        let body = if request.body().is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(request.body())
                .map_err(|_| Reply::problem(http::StatusCode::BAD_REQUEST, "Problems parsing JSON"))?
        };
        Ok(Self { now, method: request.method().clone(), path, segments, query, body })
    }

    /// A parameter of the query; empty counts as absent.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn resource(&self) -> Resource {
        if self.segments.first().is_some_and(|first| first == "search") { Resource::Search } else { Resource::Core }
    }
}

/// Answers a reading call.
pub(crate) fn read(world: &World, call: &Call) -> Reply {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [] => Reply::ok(shape! { "current_user_url": format!("{}/user", world.api_root) }),
        ["zen"] => Reply::ok(Value::from("Keep it logically awesome.")),
        ["meta"] => Reply::ok(shape! { "verifiable_password_authentication": false, "hooks": ["192.30.252.0/22"] }),
        ["search", what] => people::search(world, call, what),
        ["user" | "users" | "orgs", ..] => people::read(world, call, &segments),
        ["repos", owner, name, rest @ ..] => match world.repo_named(owner, name) {
            Some(at) => repository::read(world, call, at, rest),
            None => moved(world, call, (owner, name), rest),
        },
        ["repositories", id, rest @ ..] => match world.repos.iter().position(|repo| repo.id.to_string() == *id) {
            Some(at) => repository::read(world, call, at, rest),
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}

/// The answer to an old name of a repository.
fn moved(world: &World, call: &Call, (owner, name): (&str, &str), rest: &[&str]) -> Reply {
    let Some(repo) = world.repo_formerly_named(owner, name).and_then(|at| world.repos.get(at)) else {
        return Reply::not_found();
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(&call.query);
    let path = std::iter::once(repo.id.to_string()).chain(rest.iter().map(|part| (*part).to_owned()));
    let path = path.collect::<Vec<_>>().join("/");
    Reply::moved(&format!("{}/repositories/{path}?{}", world.api_root, query.finish()))
}

/// Answers a writing call.
pub(crate) fn write(world: &mut World, call: &Call, webhooks: &mut Vec<OutgoingWebhook>) -> Reply {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["repos", owner, name, rest @ ..] => match world.repo_named(owner, name) {
            Some(at) => writes::write(world, call, (at, rest), webhooks),
            None => moved(world, call, (owner, name), rest),
        },
        ["repositories", id, rest @ ..] => match world.repos.iter().position(|repo| repo.id.to_string() == *id) {
            Some(at) => writes::write(world, call, (at, rest), webhooks),
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}

/// `GET /rate_limit`, which costs nothing.
pub(crate) fn rate_limit(quotas: &[Quota]) -> Reply {
    let one = |quota: &Quota| {
        shape! {
            "limit": quota.limit, "used": quota.used, "remaining": quota.remaining, "reset": quota.reset.timestamp(),
            "resource": quota.resource.name(),
        }
    };
    let resources: serde_json::Map<String, Value> =
        quotas.iter().map(|quota| (quota.resource.name().to_owned(), one(quota))).collect();
    let core = quotas.iter().find(|quota| quota.resource == Resource::Core).map(one);
    Reply::ok(shape! { "resources": resources, "rate": core })
}

/// Whether the caller shows a token: any that is not empty.
pub(crate) fn has_token(headers: &HeaderMap) -> bool {
    let value = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split_once(' ').is_some_and(|(_, token)| !token.trim().is_empty())
}
