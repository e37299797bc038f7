//! The sandbox: stand-ins for the providers' APIs, faithful enough for their own official clients.
//!
//! A provider implements [`Sandbox`] in its own folder (`providers/<name>/sandbox/`); what all of them share
//! (control API, statistics, faults, journal, sending of webhooks) is here. Nothing here opens a port: the gateway does.

mod control;
pub mod delivery;
pub mod faults;
pub(crate) mod fields;
mod gentle;
pub mod host;
pub mod journal;
mod port;
mod refusal;
mod replay;
pub mod socket;
pub mod stats;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A request to a sandboxed API. Its path is relative to the provider's mount ("/repos/acme/web/issues").
pub type ApiRequest = http::Request<Bytes>;
/// The answer, byte for byte as the provider would give it (status, headers, body).
pub type ApiResponse = http::Response<Bytes>;

/// One provider's stand-in: a deterministic seeded world, its API, and what may happen in it.
///
/// All state changes go through [`Sandbox::act`] or through writing API calls. The host keeps a journal of acts and replays it
/// over the seed after a restart, so `act` must be a pure function of (state, `now`, `action`, `input`): ids come from counters.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// "github": the path segment of its control API (`/_sandbox/github/…`) and its key in the statistics.
    fn provider(&self) -> &'static str;

    /// Where its API is mounted on the sandbox port: "/github", "/slack/api", "/asana/api/1.0".
    fn mount(&self) -> &'static str;

    /// Answers one API call. Webhooks that the call causes (registrations, handshakes) are in the outcome.
    async fn call(&self, now: DateTime<Utc>, request: ApiRequest) -> CallOutcome;

    /// Whether this call may change the world: such calls run one at a time and are journalled (without their token) when they
    /// are answered with 2xx. Override it where reads travel by POST too (GraphQL queries, RPC).
    fn writes(&self, request: &ApiRequest) -> bool {
        !matches!(*request.method(), http::Method::GET | http::Method::HEAD | http::Method::OPTIONS)
    }

    /// Acts in the world: `POST /_sandbox/{provider}/{action}` with a JSON object. `now` becomes the thing's time.
    fn act(&self, now: DateTime<Utc>, action: &str, input: &Value) -> Result<Acted, ActError>;

    /// The names of the acts with an example input of each, for the control API's listing (`GET /_sandbox`).
    fn acts(&self) -> Vec<(&'static str, Value)>;

    /// The `n`th act of the gentle traffic: deterministic in `n`, valid in the current world.
    fn gentle(&self, n: u64) -> (&'static str, Value);

    /// How the provider says "too many requests" or "internal error" on this path, headers included.
    fn rejection(&self, now: DateTime<Utc>, request: &ApiRequest, rejection: Rejection) -> ApiResponse;

    /// Whether a call asks for a page behind the first.
    fn is_further_page(&self, request: &ApiRequest) -> bool {
        let query = request.uri().query().unwrap_or_default();
        query.split('&').any(|pair| ["cursor=", "offset=", "page="].iter().any(|name| pair.starts_with(name)))
    }

    /// Adds a webhook subscription to everything in the world (dev mode and tests; as if set up in the provider's web pages).
    /// It is not journalled and comes after the replay, so it must not use up an id that an act would get.
    fn add_webhook(&self, url: &str, secret: &str);

    /// Opens a socket at this path; `None`: there are none there.
    fn converse(&self, _now: DateTime<Utc>, _request: &ApiRequest) -> Option<socket::Opening> {
        None
    }

    /// Its notes of the calls, for tests to check (`GET /_sandbox/{provider}/recorded`): GitHub's distinct GraphQL documents, Slack's open
    /// sockets.
    fn recorded(&self) -> Value {
        Value::Null
    }
}

/// The outcome of one API call.
#[derive(Debug)]
pub struct CallOutcome {
    /// The answer to the caller.
    pub response: ApiResponse,
    /// Webhooks to send after the answer.
    pub webhooks: Vec<OutgoingWebhook>,
    /// Sent before the answer is given, while the call is still open (Asana's `X-Hook-Secret` handshake). The call is retried
    /// through [`Sandbox::call`] with the request extension [`HandshakeAnswer`] once the target has answered.
    pub handshake: Option<OutgoingWebhook>,
}

/// The target's answer to a handshake, given back to [`Sandbox::call`] as an extension of the same request.
#[derive(Debug, Clone)]
pub struct HandshakeAnswer {
    /// The handshake that was sent.
    pub sent: OutgoingWebhook,
    /// Status and headers of the target's answer; `None` when it could not be reached.
    pub answer: Option<(http::StatusCode, http::HeaderMap)>,
}

/// A webhook request, signed and ready to send by POST.
#[derive(Debug, Clone)]
pub struct OutgoingWebhook {
    /// The target.
    pub url: String,
    /// All headers but Host and Content-Length.
    pub headers: http::HeaderMap,
    /// The body, as signed.
    pub body: Bytes,
    /// The text that the answer has to repeat, where the webhook is a challenge.
    pub challenge: Option<String>,
}

/// The outcome of an act.
#[derive(Debug)]
pub struct Acted {
    /// Described to the caller: at least the ids of what changed.
    pub result: Value,
    /// The webhooks that the provider would send, one for each subscription that wants it, in order.
    pub webhooks: Vec<OutgoingWebhook>,
}

/// Why an act was refused.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// No such act; the message lists the acts.
    #[error("there is no act `{0}`")]
    Unknown(String),
    /// The input does not fit; the message names the field.
    #[error("{0}")]
    BadInput(String),
    /// The thing that the input names is not in the world.
    #[error("{0} is not in the sandbox's world")]
    NotFound(String),
}

/// A refusal that a fault asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Over the rate limit; `retry_after` in seconds.
    RateLimited {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// The provider's internal error.
    ServerError,
    /// The token is not (or no longer) accepted.
    Unauthorized,
    /// The token is accepted, but not for this.
    Forbidden,
    /// The token of a further page is not accepted.
    InvalidPageToken,
    /// An error of the provider's own.
    Error {
        /// As the provider names it: see [`faults::FaultKind::Error`].
        code: String,
    },
}

impl CallOutcome {
    /// An answer without consequences.
    pub fn answer(response: ApiResponse) -> Self {
        Self { response, webhooks: Vec::new(), handshake: None }
    }
}
