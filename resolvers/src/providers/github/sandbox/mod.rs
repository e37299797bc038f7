//! The sandboxed GitHub: its GraphQL and REST APIs, its webhooks, and a seeded team that works in it.

mod acts;
mod demo;
mod graphql;
mod hooks;
mod ids;
mod limits;
mod refusals;
mod rest;
mod search;
mod shapes;
#[cfg(test)]
mod tests;
mod world;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::{
    limits::{Limits, Quota, Resource},
    rest::{Call, reply::Reply},
    world::{World, hook::Hook},
};
use crate::sandbox::{ActError, Acted, ApiRequest, ApiResponse, CallOutcome, Rejection, Sandbox};

/// GitHub's stand-in.
pub struct GithubSandbox {
    graphql: graphql::Api,
    state: Mutex<State>,
}

impl std::fmt::Debug for GithubSandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GithubSandbox").finish_non_exhaustive()
    }
}

struct State {
    /// Readers take the `Arc` and let go of the lock; a writer copies the world only while somebody reads it.
    world: Arc<World>,
    base: DateTime<Utc>,
    limits: Limits,
    requests: u64,
    documents: BTreeSet<String>,
}

impl GithubSandbox {
    /// The world of a seed at a time; `api_root` is where the API is mounted, without a slash at its end.
    #[expect(clippy::needless_pass_by_value, reason = "the seam's constructors all take the root by value")]
    pub fn seeded(seed: u64, base: DateTime<Utc>, api_root: String) -> Self {
        let base = base.trunc_subsecs(0);
        let world = World::seeded(seed, base, api_root.trim_end_matches('/').to_owned());
        let state =
            State { world: Arc::new(world), base, limits: Limits::default(), requests: 0, documents: BTreeSet::new() };
        Self { graphql: graphql::Api::new(), state: Mutex::new(state) }
    }

    /// Every distinct GraphQL document that was asked for, to be validated against GitHub's own schema.
    pub fn recorded_documents(&self) -> Vec<String> {
        self.state.lock().documents.iter().cloned().collect()
    }

    fn take(&self, now: DateTime<Utc>, resource: Resource, cost: u64) -> Quota {
        self.state.lock().limits.take(now, resource, cost)
    }

    fn call_graphql(&self, now: DateTime<Utc>, request: &ApiRequest) -> ApiResponse {
        let prepared = self.graphql.prepare(request.body(), |document| {
            self.state.lock().documents.insert(document.to_owned());
        });
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(answer) => {
                let unreadable = answer.get("errors").is_none();
                let status = if unreadable { StatusCode::BAD_REQUEST } else { StatusCode::OK };
                return self.respond(&Reply::with(status, answer), &self.take(now, Resource::Graphql, 1));
            }
        };
        let mut quota = self.take(now, Resource::Graphql, prepared.cost);
        quota.nodes = prepared.nodes;
        if quota.exceeded {
            return self.respond(&Reply::ok(refusals::over_limit()), &quota);
        }
        let world = Arc::clone(&self.state.lock().world);
        let answer = self.graphql.answer(&world, &prepared, quota);
        self.respond(&Reply::ok(answer), &quota)
    }

    fn call_rest(&self, now: DateTime<Utc>, request: &ApiRequest) -> CallOutcome {
        let call = match Call::new(now, request) {
            Ok(call) => call,
            Err(reply) => return CallOutcome::answer(self.respond(&reply, &self.take(now, Resource::Core, 1))),
        };
        if call.segments == ["rate_limit"] {
            let quotas = Resource::ALL.map(|resource| self.take(now, resource, 0));
            let [core, ..] = &quotas;
            return CallOutcome::answer(self.respond(&rest::rate_limit(&quotas), core));
        }
        let before = self.take(now, call.resource(), 0);
        if before.remaining == 0 {
            let reply = Reply::problem(StatusCode::FORBIDDEN, "API rate limit exceeded for user ID 1150000037.");
            return CallOutcome::answer(self.respond(&reply, &before));
        }
        let mut webhooks = Vec::new();
        let reads = matches!(call.method, Method::GET | Method::HEAD);
        let reply = if reads {
            let world = Arc::clone(&self.state.lock().world);
            rest::read(&world, &call)
        } else {
            rest::write(Arc::make_mut(&mut self.state.lock().world), &call, &mut webhooks)
        };
        let mut response = self.respond(&reply, &before);
        let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        if reads && reply.status == StatusCode::OK && is_known(known, response.headers()) {
            // A 304 costs nothing.
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
            *response.body_mut() = Bytes::new();
        } else {
            self.take(now, call.resource(), 1).headers(response.headers_mut());
            if call.method == Method::HEAD {
                *response.body_mut() = Bytes::new();
            }
        }
        CallOutcome { response, webhooks, handshake: None }
    }

    fn respond(&self, reply: &Reply, quota: &Quota) -> ApiResponse {
        let number = {
            let mut state = self.state.lock();
            state.requests += 1;
            state.requests
        };
        let mut response = respond(reply, quota);
        if let Ok(id) =
            HeaderValue::from_str(&format!("C0DE:{:05X}:{number:07X}:{number:07X}:65A1B2C3", number % 0xf_ffff))
        {
            response.headers_mut().insert("x-github-request-id", id);
        }
        response
    }
}

#[async_trait]
impl Sandbox for GithubSandbox {
    fn provider(&self) -> &'static str {
        "github"
    }

    fn mount(&self) -> &'static str {
        "/github"
    }

    async fn call(&self, now: DateTime<Utc>, request: ApiRequest) -> CallOutcome {
        let now = now.trunc_subsecs(0);
        let is_graphql = request.uri().path().trim_end_matches('/') == "/graphql";
        if !rest::has_token(request.headers()) {
            let message =
                if is_graphql { "This endpoint requires you to be authenticated." } else { "Requires authentication" };
            let reply = Reply::problem(StatusCode::UNAUTHORIZED, message);
            return CallOutcome::answer(self.respond(&reply, &self.take(now, Resource::Core, 0)));
        }
        if is_graphql && request.method() == Method::POST {
            CallOutcome::answer(self.call_graphql(now, &request))
        } else {
            self.call_rest(now, &request)
        }
    }

    fn act(&self, now: DateTime<Utc>, action: &str, input: &Value) -> Result<Acted, ActError> {
        if !acts::all().iter().any(|(name, _)| *name == action) {
            return Err(ActError::Unknown(action.to_owned()));
        }
        let mut state = self.state.lock();
        // An act that is refused half-way leaves nothing behind.
        let mut world = World::clone(&state.world);
        let acted = acts::act(&mut world, now.trunc_subsecs(0), action, input)?;
        state.world = Arc::new(world);
        Ok(acted)
    }

    fn acts(&self) -> Vec<(&'static str, Value)> {
        acts::all()
    }

    fn gentle(&self, n: u64) -> (&'static str, Value) {
        let world = Arc::clone(&self.state.lock().world);
        acts::gentle(&world, n)
    }

    fn rejection(&self, now: DateTime<Utc>, request: &ApiRequest, rejection: Rejection) -> ApiResponse {
        let now = now.trunc_subsecs(0);
        let is_graphql = request.uri().path().trim_end_matches('/') == "/graphql";
        let mut quota = self.take(now, if is_graphql { Resource::Graphql } else { Resource::Core }, 0);
        let body = if is_graphql { Some(request.body().as_ref()) } else { None };
        if let Rejection::RateLimited { retry_after } = rejection {
            let wait = chrono::Duration::seconds(i64::try_from(retry_after).unwrap_or(60));
            (quota.remaining, quota.used, quota.reset) = (0, quota.limit, now + wait);
            let mut response = self.respond(&refusals::reply(&rejection, body), &quota);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            return response;
        }
        self.respond(&refusals::reply(&rejection, body), &quota)
    }

    fn is_further_page(&self, request: &ApiRequest) -> bool {
        refusals::is_further_page(request)
    }

    fn recorded(&self) -> Value {
        json!(self.recorded_documents())
    }

    fn add_webhook(&self, url: &str, secret: &str) {
        let mut state = self.state.lock();
        let base = state.base;
        let world = Arc::make_mut(&mut state.world);
        world.hooks.retain(|hook| hook.repo.is_some() || hook.url != url);
        let id = hooks::next_id(world, false);
        world.hooks.push(Hook {
            id,
            repo: None,
            url: url.to_owned(),
            secret: Some(secret.to_owned()).filter(|secret| !secret.is_empty()),
            form: false,
            events: vec!["*".to_owned()],
            active: true,
            created: base,
            updated: base,
            delivered: 0,
            deliveries: Vec::new(),
        });
    }
}

fn is_known(if_none_match: Option<&str>, headers: &HeaderMap) -> bool {
    let Some(etag) = headers.get(header::ETAG).and_then(|value| value.to_str().ok()) else { return false };
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    if_none_match.is_some_and(|known| known.trim() == "*" || known.split(',').any(|tag| strong(tag) == strong(etag)))
}

fn respond(reply: &Reply, quota: &Quota) -> ApiResponse {
    let body = if reply.body.is_null() { Bytes::new() } else { Bytes::from(reply.body.to_string()) };
    let mut headers = HeaderMap::new();
    if !body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    if reply.status == StatusCode::OK {
        let tag = format!("W/\"{}\"", hex::encode(Sha256::digest(&body)));
        headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=60, s-maxage=60"));
    }
    headers.extend(reply.link.clone().map(|link| (header::LINK, link)));
    headers.extend(reply.location.clone().map(|location| (header::LOCATION, location)));
    headers.insert("x-github-media-type", HeaderValue::from_static("github.v3; format=json"));
    headers.insert("x-github-api-version-selected", HeaderValue::from_static("2022-11-28"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    quota.headers(&mut headers);
    let mut response = ApiResponse::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = headers;
    response
}
