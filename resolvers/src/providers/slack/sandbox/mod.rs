//! The sandboxed Slack: a workspace that answers the Web API and tells its events as the Events API does.
//!
//! Every token is that of our bot, who is in every channel. Limits and failures come from faults only.

mod acts;
mod events;
mod gentle;
mod happen;
mod identity;
mod input;
mod methods;
mod model;
mod page;
mod render;
mod request;
mod seed;
mod sockets;
#[cfg(test)]
mod tests;
mod texts;

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use parking_lot::RwLock;
use serde_json::Value;

use self::{
    model::{Subscription, World},
    request::{Answer, Args},
};
use crate::sandbox::{
    ActError, Acted, ApiRequest, ApiResponse, CallOutcome, OutgoingWebhook, Rejection, Sandbox, socket::Opening,
};

/// Slack's stand-in.
#[derive(Debug)]
pub struct SlackSandbox {
    world: RwLock<World>,
    /// Numbers the answers (`x-slack-req-id`).
    answers: AtomicU64,
}

impl SlackSandbox {
    /// A workspace whose messages lie in the 45 days before `base`. `api_root` is where the API is reached from outside
    /// (`http://127.0.0.1:4001/slack/api`): pictures of people are served there.
    pub fn seeded(seed: u64, base: DateTime<Utc>, api_root: String) -> Self {
        Self { world: RwLock::new(seed::seed(seed, base, api_root)), answers: AtomicU64::new(0) }
    }

    /// The id of the workspace.
    pub fn team_id(&self) -> &'static str {
        identity::TEAM_ID
    }

    /// The id of the channel with this name. Seeded channels have the same id in every world.
    pub fn channel_id(&self, name: &str) -> Option<String> {
        self.world.read().channel_by_name(name).map(|channel| channel.id.clone())
    }

    fn next_number(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn answer(&self, now: DateTime<Utc>, request: &ApiRequest) -> (Answer, Vec<OutgoingWebhook>) {
        let args = match Args::of(request) {
            Ok(args) => args,
            Err(fail) => return (Err(fail), Vec::new()),
        };
        if !request::has_token(request, &args) && method_of(request) != "api.test" {
            return (Err("not_authed".into()), Vec::new());
        }
        let method = method_of(request);
        if method == "apps.connections.open" {
            return (self.open_connection(now, request, &args), Vec::new());
        }
        if !methods::writes(method) {
            return (methods::read(&self.world.read(), method, &args), Vec::new());
        }
        let mut world = self.world.write();
        let answer = methods::write(&mut world, now, method, &args);
        (answer, std::mem::take(&mut world.outbox))
    }

    /// `apps.connections.open`: an address for one socket, at the host that the caller knows.
    fn open_connection(&self, now: DateTime<Utc>, request: &ApiRequest, args: &Args) -> Answer {
        if request.method() != http::Method::POST {
            return Err("insecure_request".into());
        }
        if !request::token(request, args).is_some_and(|token| token.starts_with("xapp-")) {
            return Err("not_allowed_token_type".into());
        }
        let world = self.world.read();
        let mut url = url::Url::parse(&world.api_root).map_err(|_| request::Fail::from("internal_error"))?;
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        if let Some((name, port)) = host.and_then(|host| host.rsplit_once(':')) {
            // As the caller's `Host` says: it may come by another way than the stand-in knows of.
            let _ = (url.set_host(Some(name)), url.set_port(port.parse().ok()));
        }
        let _ = url.set_scheme("ws");
        url.set_path(&format!("{}/link/", url.path().trim_end_matches('/')));
        url.query_pairs_mut().append_pair("ticket", &world.sockets.ticket(now)).append_pair("app_id", identity::APP_ID);
        Ok(serde_json::json!({ "url": url.as_str() }))
    }

    /// `/avatars/U0…_48.svg`, which needs no token.
    fn avatar(&self, request: &ApiRequest) -> Option<ApiResponse> {
        let name = request.uri().path().strip_prefix("/avatars/")?.strip_suffix(".svg")?;
        let (id, size) = name.rsplit_once('_')?;
        size.parse::<u16>().ok()?;
        let world = self.world.read();
        let body = render::avatar_svg(world.user(id), size);
        let mut response = Response::new(Bytes::from(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
        Some(response)
    }
}

/// The id of a channel that every seeded workspace has.
pub fn channel_id(name: &str) -> Option<String> {
    let number = (1_u64..).zip(&texts::CHANNELS).find(|(_, plan)| plan.name == name)?.0;
    Some(model::id_of("C0", number))
}

fn method_of(request: &ApiRequest) -> &str {
    request.uri().path().trim_matches('/')
}

#[async_trait]
impl Sandbox for SlackSandbox {
    fn provider(&self) -> &'static str {
        "slack"
    }

    fn mount(&self) -> &'static str {
        "/slack/api"
    }

    async fn call(&self, now: DateTime<Utc>, request: ApiRequest) -> CallOutcome {
        if let Some(response) = self.avatar(&request) {
            return CallOutcome::answer(response);
        }
        let (answer, webhooks) = self.answer(now, &request);
        CallOutcome { response: request::respond(answer, self.next_number()), webhooks, handshake: None }
    }

    fn writes(&self, request: &ApiRequest) -> bool {
        methods::writes(method_of(request))
    }

    fn act(&self, now: DateTime<Utc>, action: &str, input: &Value) -> Result<Acted, ActError> {
        let mut world = self.world.write();
        let result = acts::act(&mut world, now, action, input);
        let webhooks = std::mem::take(&mut world.outbox);
        result.map(|result| Acted { result, webhooks })
    }

    fn acts(&self) -> Vec<(&'static str, Value)> {
        acts::list()
    }

    fn gentle(&self, n: u64) -> (&'static str, Value) {
        gentle::gentle(&self.world.read(), n)
    }

    fn rejection(&self, _now: DateTime<Utc>, _request: &ApiRequest, rejection: Rejection) -> ApiResponse {
        let number = self.next_number();
        match rejection {
            Rejection::RateLimited { retry_after } => request::rate_limited(retry_after, number),
            Rejection::ServerError => request::internal_error(number),
            Rejection::Unauthorized => request::respond(Err("invalid_auth".into()), number),
            Rejection::Forbidden => request::refused(number),
            Rejection::InvalidPageToken => request::respond(Err("invalid_cursor".into()), number),
            Rejection::Error { code } => request::failed(&code, number),
        }
    }

    fn converse(&self, now: DateTime<Utc>, request: &ApiRequest) -> Option<Opening> {
        if method_of(request) != "link" {
            return None;
        }
        let query = request.uri().query().unwrap_or_default();
        let given = |wanted: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        let debugged = given("debug_reconnects").is_some_and(|value| value == "true");
        let sockets = std::sync::Arc::clone(&self.world.read().sockets);
        let opened = sockets.open(now, &given("ticket").unwrap_or_default(), debugged);
        let refused = || Opening::Refused(request::forbidden(self.next_number()));
        Some(opened.map_or_else(refused, Opening::Open))
    }

    fn recorded(&self) -> Value {
        self.world.read().sockets.describe()
    }

    fn add_webhook(&self, url: &str, secret: &str) {
        let subscription = Subscription { url: url.to_owned(), secret: secret.to_owned() };
        let mut world = self.world.write();
        world.subscriptions.retain(|known| known.url != url);
        world.subscriptions.push(subscription);
    }
}
