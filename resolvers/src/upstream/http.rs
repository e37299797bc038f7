//! The transport of one integration: every call passes its guard, limiter, quota, breaker, retries and ETags.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};
use mullion_schema::id::IntegrationId;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use tracing::Instrument as _;
use url::Url;

use super::{
    board::{Notices, QuotaBoard, UsageLog},
    breaker::{Breaker, CircuitState},
    clients::{Clients, told},
    connection::{QuotaReading, Transport, UpstreamRequest, UpstreamResponse},
    error::{UpstreamError, UpstreamErrorKind},
    etags::{EtagStore, Kept},
    guard::{AddressGuard, refused, same_origin},
    health::{CallReport, Health, HealthReading, Observer, Turn},
    refusal::Refusals,
    retry::{Jitter, LONGEST_ASKED, MAX_RETRIES, backoff, is_transient, retry_after},
};
use crate::{
    clock::Clock,
    secret::Secret,
    trace_context::{TRACEPARENT, TraceContext},
};

/// Opens the integration's token for one call.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// The token in clear; it lives until the request is sent.
    async fn token(&self) -> Result<Secret, UpstreamError>;
}

/// Limits of one integration's calls.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls at a time.
    pub concurrency: usize,
    /// Time for one call with its retries, and before that as much for its turn.
    pub timeout: Duration,
    /// Larger answers are refused.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 8, timeout: Duration::from_secs(10), body_bytes: 32 << 20 }
    }
}

/// The parts that all transports share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) guard: AddressGuard,
    pub(super) clients: Clients,
    pub(super) etags: EtagStore,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) jitter: Jitter,
    pub(super) limits: Limits,
    pub(super) board: Option<Arc<dyn QuotaBoard>>,
    pub(super) usage: Option<Arc<dyn UsageLog>>,
}

/// Sends the requests of one integration.
pub struct HttpTransport {
    shared: Arc<Shared>,
    provider: &'static str,
    integration: IntegrationId,
    base_url: Url,
    tokens: Arc<dyn TokenSource>,
    turns: Semaphore,
    breaker: Breaker,
    health: Health,
    refusals: Refusals,
    notices: Notices,
}

impl HttpTransport {
    pub(super) fn new(
        shared: Arc<Shared>,
        provider: &'static str,
        integration: IntegrationId,
        base_url: Url,
        tokens: Arc<dyn TokenSource>,
    ) -> Self {
        let turns = Semaphore::new(shared.limits.concurrency);
        let breaker = Breaker::new(Arc::clone(&shared.clock), shared.jitter.clone());
        let notices = Notices::new(shared.board.clone());
        let (health, refusals) = (Health::default(), Refusals::default());
        Self { shared, provider, integration, base_url, tokens, turns, breaker, health, refusals, notices }
    }

    /// How the calls went lately.
    pub fn health(&self) -> HealthReading {
        self.health.reading()
    }

    /// The circuit's state.
    pub fn circuit(&self) -> CircuitState {
        self.breaker.state()
    }

    /// Refuses what the provider would refuse too: it has said that the quota is used up, and until when.
    async fn affords(&self, request: &UpstreamRequest) -> Result<(), UpstreamError> {
        if let Some(told) = self.notices.news(&self.integration, request.bucket).await {
            self.health.learn(self.within_reason(told));
        }
        let now = self.shared.clock.now();
        let Some(until) = self.health.spent_until(request.bucket, now) else { return Ok(()) };
        let wait = (until - now).to_std().unwrap_or_default();
        Err(UpstreamError::new(UpstreamErrorKind::RateLimited, "the quota is used up").retry_after(wait))
    }

    /// Refuses what the provider would refuse too: it did not accept the token a moment ago.
    async fn may_use_token(&self) -> Result<(), UpstreamError> {
        if !self.refusals.any() {
            return Ok(());
        }
        let token = self.tokens.token().await?;
        if self.refusals.allow(&token, self.shared.clock.now()) {
            return Ok(());
        }
        Err(UpstreamError::new(UpstreamErrorKind::AuthExpired, "the credential was not accepted a moment ago"))
    }

    /// A quota is full again within the longest time that a provider may ask for.
    fn within_reason(&self, mut quota: QuotaReading) -> QuotaReading {
        let latest = self.shared.clock.now() + LONGEST_ASKED;
        quota.resets_at = quota.resets_at.map(|at| at.min(latest));
        quota
    }

    /// One attempt, accounted for.
    async fn attempt(
        &self,
        request: &UpstreamRequest,
        kept: Option<&Kept>,
        deadline: Instant,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let permit = self.breaker.permit()?;
        let started = Instant::now();
        let span = tracing::error_span!(
            "provider_call",
            provider = self.provider,
            integration = %self.integration,
            call = request.operation,
            result = tracing::field::Empty,
        );
        let outcome = match timeout_at(deadline, self.exchange(request, kept).instrument(span.clone())).await {
            Ok(outcome) => outcome,
            Err(_) => Err(UpstreamError::new(UpstreamErrorKind::Timeout, "the provider did not answer in time")),
        };
        match &outcome {
            Ok(response) if response.status.is_server_error() => permit.failed(),
            // A failure inside a good status does not count: the provider is there, and it is often one heavy query that fails.
            Ok(_) => permit.succeeded(),
            Err(error) if error.kind.is_retryable() => permit.failed(),
            Err(_) => drop(permit),
        }
        span.record("result", self.report((request, kept.is_some()), &outcome, started.elapsed()));
        self.count(request, &outcome);
        outcome
    }

    /// Counts what a call used. One that never reached the provider used nothing, nor one that it turned away, nor one whose answer
    /// had not changed (<https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>).
    fn count(&self, request: &UpstreamRequest, outcome: &Result<UpstreamResponse, UpstreamError>) {
        let used = match outcome {
            Ok(response) => !matches!(response.status, StatusCode::NOT_MODIFIED | StatusCode::TOO_MANY_REQUESTS),
            Err(error) => error.kind == UpstreamErrorKind::Timeout,
        };
        if used {
            self.used(request.bucket, request.units);
        }
    }

    /// Tells of an attempt; what came of it in one word.
    fn report(
        &self,
        (request, revalidates): (&UpstreamRequest, bool),
        outcome: &Result<UpstreamResponse, UpstreamError>,
        took: Duration,
    ) -> &'static str {
        let failure = failure(request, revalidates, outcome);
        let result = match (&failure, outcome) {
            (Some(failure), _) => failure.kind.into(),
            (None, Ok(response)) if response.status == StatusCode::NOT_MODIFIED => "not_modified",
            (None, Ok(response)) if response.status.is_client_error() => "refused",
            (None, _) => "ok",
        };
        let turn = self.health.record(self.shared.clock.now(), took, failure.as_ref());
        self.log(turn, failure.as_ref());
        let (provider, integration, operation) = (self.provider, &self.integration, request.operation);
        self.shared.observer.call(&CallReport { provider, integration, operation, result, took });
        self.shared.observer.circuit(provider, integration, self.breaker.state());
        result
    }

    /// Logs how the calls go, where that has changed.
    fn log(&self, turn: Option<Turn>, failure: Option<&UpstreamError>) {
        let (provider, integration) = (self.provider, self.integration.as_str());
        match (turn, failure) {
            (Some(Turn::Failing), Some(failure)) => {
                let kind: &str = failure.kind.into();
                tracing::warn!(provider, integration, kind, cause = %failure.message, "calls to a provider fail");
            }
            (Some(Turn::Recovered), _) => tracing::info!(provider, integration, "calls to a provider succeed again"),
            _ => {}
        }
    }

    /// One request on the wire.
    async fn exchange(
        &self,
        request: &UpstreamRequest,
        kept: Option<&Kept>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let class = self.shared.guard.check(&request.url)?;
        let mut outgoing = self
            .shared
            .clients
            .of(class)?
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        if let Some((content_type, body)) = &request.body {
            outgoing = outgoing.header(header::CONTENT_TYPE, *content_type).body(body.clone());
        }
        if let Some(kept) = kept {
            outgoing = outgoing.header(header::IF_NONE_MATCH, kept.etag.clone());
        }
        if let Some(trace) = TraceContext::current() {
            outgoing = outgoing.header(TRACEPARENT, trace.to_string());
        }
        let token = self.tokens.token().await?;
        let outgoing = outgoing.header(header::AUTHORIZATION, bearer(&token)?);
        let mut response = outgoing.send().await.map_err(told)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = self.read(response).await?;
        let response = UpstreamResponse { status, headers, body };
        self.note_token(request, &response, &token);
        Ok(response)
    }

    /// Remembers whether the provider accepted the token, where its answer says so.
    fn note_token(&self, request: &UpstreamRequest, response: &UpstreamResponse, token: &Secret) {
        let failure = if response.status.is_success() { (request.failure_in)(response) } else { None };
        let is_refused = response.status == StatusCode::UNAUTHORIZED || failure == Some(UpstreamErrorKind::AuthExpired);
        let is_accepted =
            failure.is_none() && (response.status.is_success() || response.status == StatusCode::NOT_MODIFIED);
        if is_refused || is_accepted {
            self.refusals.note(token, is_refused, self.shared.clock.now());
        }
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Bytes, UpstreamError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > self.shared.limits.body_bytes {
                return Err(UpstreamError::new(UpstreamErrorKind::Rejected, "the provider's answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// A call with its retries. Its failure is logged with the request that it failed for, however many failed before.
    async fn call(&self, request: &UpstreamRequest, kept: Option<&Kept>) -> Result<UpstreamResponse, UpstreamError> {
        let outcome = self.with_retries(request, kept).await;
        if let Some(failure) = failure(request, kept.is_some(), &outcome) {
            let (provider, integration) = (self.provider, self.integration.as_str());
            let (kind, call) = (<&str>::from(failure.kind), request.operation);
            tracing::warn!(provider, integration, kind, call, error = %failure.message, "a call to a provider failed");
        }
        outcome
    }

    async fn with_retries(
        &self,
        request: &UpstreamRequest,
        kept: Option<&Kept>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let timeout = self.shared.limits.timeout;
        let mut deadline = None;
        let mut retries = 0;
        loop {
            let turn = timeout_at(Instant::now() + timeout, self.turns.acquire()).await;
            let Ok(Ok(turn)) = turn else {
                return Err(UpstreamError::new(UpstreamErrorKind::Timeout, "too many calls wait for this provider"));
            };
            // Those before us in the queue may have used it up.
            self.affords(request).await?;
            self.may_use_token().await?;
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + timeout);
            let outcome = self.attempt(request, kept, deadline).await;
            drop(turn);
            let asked = match wants_retry(request, &outcome, self.shared.clock.as_ref()) {
                Again::Not => return settled(outcome),
                Again::Soon => None,
                Again::After(asked) => Some(asked),
            };
            let wait = backoff(retries, asked, &self.shared.jitter).filter(|_| request.repeatable);
            match wait {
                Some(wait) if retries < MAX_RETRIES && Instant::now() + wait < deadline => sleep(wait).await,
                _ => return settled(outcome),
            }
            retries += 1;
        }
    }
}

/// The failure of an attempt. `None`: it went well, or there is no such thing, which says nothing about the provider's health.
fn failure(
    request: &UpstreamRequest,
    revalidates: bool,
    outcome: &Result<UpstreamResponse, UpstreamError>,
) -> Option<UpstreamError> {
    let response = match outcome {
        Ok(response) => response,
        Err(error) => return Some(error.clone()),
    };
    let kind = match response.status {
        StatusCode::TOO_MANY_REQUESTS => UpstreamErrorKind::RateLimited,
        StatusCode::UNAUTHORIZED => UpstreamErrorKind::AuthExpired,
        status if status.is_server_error() => UpstreamErrorKind::Down,
        StatusCode::NOT_MODIFIED if revalidates => return None,
        _ => (request.failure_in)(response)?,
    };
    Some(UpstreamError::new(kind, described(kind, response.status)))
}

/// A failed answer in words.
fn described(kind: UpstreamErrorKind, status: StatusCode) -> String {
    match kind {
        UpstreamErrorKind::RateLimited => "the quota is used up".to_owned(),
        UpstreamErrorKind::AuthExpired => "the credential is not accepted".to_owned(),
        UpstreamErrorKind::Forbidden => "the provider does not let the token read what was asked for".to_owned(),
        _ if status.is_success() => "the provider answered with an error, or not as its API promises".to_owned(),
        _ => format!("the provider answered {status}"),
    }
}

/// Whether the outcome may be better next time, and what wait the provider asked for.
fn wants_retry(
    request: &UpstreamRequest,
    outcome: &Result<UpstreamResponse, UpstreamError>,
    clock: &dyn Clock,
) -> Again {
    match outcome {
        Ok(response)
            if response.status.is_success()
                && (request.failure_in)(response).is_some_and(UpstreamErrorKind::is_retryable) =>
        {
            Again::Soon
        }
        Ok(response) if is_transient(response.status) => match retry_after(&response.headers, clock.now()) {
            Some(asked) => Again::After(asked),
            None => Again::Soon,
        },
        Err(error) if error.kind == UpstreamErrorKind::Down => Again::Soon,
        _ => Again::Not,
    }
}

/// When the next attempt may follow a failed one.
enum Again {
    Not,
    Soon,
    After(Duration),
}

/// A server error is a failure; every other status is an answer.
fn settled(outcome: Result<UpstreamResponse, UpstreamError>) -> Result<UpstreamResponse, UpstreamError> {
    match outcome {
        Ok(response) if response.status.is_server_error() => {
            let message = format!("the provider answered {}", response.status.as_u16());
            Err(UpstreamError::new(UpstreamErrorKind::Down, message))
        }
        outcome => outcome,
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, UpstreamError> {
    let text = [b"Bearer ", token.expose()].concat();
    let mut value = HeaderValue::from_bytes(&text)
        .map_err(|_| UpstreamError::new(UpstreamErrorKind::AuthExpired, "the stored token is no token"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        if !same_origin(&self.base_url, &request.url) {
            return Err(refused("the link leads away from the integration's host"));
        }
        let revalidates = request.revalidate && request.method == Method::GET;
        if !revalidates {
            return self.call(&request, None).await;
        }
        let key = EtagStore::key(&self.integration, &request);
        let kept = self.shared.etags.get(&key);
        let response = self.call(&request, kept.as_deref()).await?;
        match kept {
            Some(kept) if response.status == StatusCode::NOT_MODIFIED => Ok(kept.renewed(&response.headers)),
            _ => {
                // A broken answer must not come back with the next 304.
                if (request.failure_in)(&response).is_none() {
                    self.shared.etags.keep(key, &response);
                }
                Ok(response)
            }
        }
    }

    fn used(&self, bucket: &'static str, units: i64) {
        if let Some(usage) = &self.shared.usage {
            usage.used(&self.integration, bucket, units);
        }
    }

    fn failed(&self, failure: &UpstreamError) {
        let turn = self.health.withdraw(self.shared.clock.now(), failure);
        self.log(turn, Some(failure));
    }

    fn quota(&self, quota: QuotaReading) {
        let quota = self.within_reason(quota);
        self.shared.observer.quota(self.provider, &self.integration, &quota);
        self.notices.tell(&self.integration, &quota);
        self.health.quota(quota);
    }
}
