//! One integration's way to its provider, as a provider's client sees it: no token, no sockets, only requests.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode};
use mullion_schema::id::{IntegrationId, TenantId};
use url::Url;

use super::error::{UpstreamError, UpstreamErrorKind};
use crate::clock::Clock;

/// The connection that a provider's client calls through. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    /// The tenant.
    pub tenant: TenantId,
    /// The integration.
    pub integration: IntegrationId,
    /// The API's root: `https://api.github.com`, the sandbox's, a GitHub Enterprise Server's.
    pub base_url: Url,
    /// Granted scopes, where known.
    pub scopes: Arc<[String]>,
    /// The facts that `Provider::identify` learnt of the account.
    pub facts: Arc<serde_json::Map<String, serde_json::Value>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Sends requests with the integration's token: limiter, breaker, retries, ETags, guards.
    pub transport: Arc<dyn Transport>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("integration", &self.integration).finish_non_exhaustive()
    }
}

/// A request to the provider.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// The method.
    pub method: Method,
    /// Absolute, below the integration's base URL (or at its own host, for links that the provider gave).
    pub url: Url,
    /// A body and its content type.
    pub body: Option<(&'static str, Bytes)>,
    /// Headers beyond those of every call (`Authorization: Bearer`, `User-Agent`, `Accept-Encoding`).
    pub headers: HeaderMap,
    /// Whether it may be sent again after a failure: reads, GraphQL queries.
    pub repeatable: bool,
    /// Whether the answer's ETag is kept and revalidated; the transport answers from its copy on 304.
    pub revalidate: bool,
    /// For metrics: `graphql`, `core`, `conversations.history`. A fixed small set.
    pub operation: &'static str,
    /// The quota that it draws on, as [`QuotaReading::bucket`] names it; mostly the same.
    pub bucket: &'static str,
    /// How much of that quota it uses, as far as is known before it is answered.
    pub units: i64,
    /// Says how an answer failed.
    pub failure_in: FailureIn,
}

/// Says how an answer failed; `None`: it did not, or it says that there is no such thing, which is an answer. Server errors, 401 and
/// 429 are failures whatever it says. Some APIs report their failures under 200: without this, calls that failed would count as good
/// ones and would not be repeated.
pub type FailureIn = fn(&UpstreamResponse) -> Option<UpstreamErrorKind>;

impl UpstreamRequest {
    /// A repeatable GET.
    pub fn get(url: Url, operation: &'static str) -> Self {
        Self {
            method: Method::GET,
            url,
            body: None,
            headers: HeaderMap::new(),
            repeatable: true,
            revalidate: false,
            operation,
            bucket: operation,
            units: 1,
            failure_in: by_status,
        }
    }

    /// A POST of JSON.
    pub fn post_json(url: Url, body: Bytes, operation: &'static str) -> Self {
        Self {
            method: Method::POST,
            body: Some(("application/json", body)),
            repeatable: false,
            ..Self::get(url, operation)
        }
    }

    /// May be sent again after a failure.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Uses so much of its quota.
    #[must_use]
    pub fn using(mut self, units: i64) -> Self {
        self.units = units;
        self
    }

    /// Looks for failures in answers by other means than their status.
    #[must_use]
    pub fn failing_by(mut self, failure_in: FailureIn) -> Self {
        self.failure_in = failure_in;
        self
    }

    /// Draws on another quota than its operation's.
    #[must_use]
    pub fn drawing_on(mut self, bucket: &'static str) -> Self {
        self.bucket = bucket;
        self
    }

    /// Revalidate by ETag.
    #[must_use]
    pub fn revalidate(mut self) -> Self {
        self.revalidate = true;
        self
    }
}

/// The provider's answer, read whole (capped).
#[derive(Debug, Clone)]
pub struct UpstreamResponse {
    /// The status. 304s were turned into the stored 200.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The [`FailureIn`] of requests that name no other.
pub fn by_status(response: &UpstreamResponse) -> Option<UpstreamErrorKind> {
    match response.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => None,
        StatusCode::UNAUTHORIZED => Some(UpstreamErrorKind::AuthExpired),
        StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => Some(UpstreamErrorKind::Forbidden),
        StatusCode::REQUEST_TIMEOUT => Some(UpstreamErrorKind::Timeout),
        StatusCode::TOO_MANY_REQUESTS => Some(UpstreamErrorKind::RateLimited),
        status if status.is_success() => None,
        status if status.is_client_error() => Some(UpstreamErrorKind::Rejected),
        _ => Some(UpstreamErrorKind::Down),
    }
}

/// Whether a successful answer of an API that answers in JSON is something else: the page of a proxy, or an answer that was cut off.
/// A glance at both ends must do.
pub fn not_json(response: &UpstreamResponse) -> Option<UpstreamErrorKind> {
    if !response.status.is_success() {
        return by_status(response);
    }
    let body = response.body.trim_ascii();
    let whole =
        matches!((body.first(), body.last()), (None, None) | (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')));
    (!whole).then_some(UpstreamErrorKind::Down)
}

/// How requests reach a provider.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request. Network failures, timeouts, 5xx after retries and an open circuit are errors; every other status is an
    /// answer, which the provider's client maps.
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError>;

    /// Counts what a call used of a quota beyond [`UpstreamRequest::units`], as its answer told.
    fn used(&self, _bucket: &'static str, _units: i64) {}

    /// Counts the last answer as a failed one: its reader found that it does not answer what was asked, which its status and its form
    /// did not show.
    fn failed(&self, _failure: &UpstreamError) {}

    /// Records what the provider said of a quota. While it is used up, requests that draw on it are refused here.
    fn quota(&self, quota: QuotaReading);
}

/// A quota as the provider told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaReading {
    /// `graphql`, `core`, `conversations.history`.
    pub bucket: &'static str,
    /// Its size.
    pub limit: Option<i64>,
    /// How much is left.
    pub remaining: Option<i64>,
    /// When it is full again.
    pub resets_at: Option<DateTime<Utc>>,
}

impl QuotaReading {
    /// The rest of the quota, if it is known at this time. Once the quota is full again, it is not known.
    pub fn left(&self, now: DateTime<Utc>) -> Option<i64> {
        self.remaining.filter(|_| self.resets_at.is_none_or(|resets_at| resets_at > now))
    }
}

impl Connection {
    /// Sends a request; see [`Transport::send`].
    pub async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        self.transport.send(request).await
    }
}
