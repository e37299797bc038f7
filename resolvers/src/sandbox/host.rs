//! The sandbox port: finds the provider a request is for, and does for all providers what is the same for all of them
//! (statistics, faults, order, journal, webhooks). `port` tells its requests from those of the control API.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ActError, Acted, ApiRequest, ApiResponse, HandshakeAnswer, Sandbox,
    delivery::{Courier, DeliveryLog, DeliveryQueue, Sender, Sent},
    faults::{Called, Effect, Faults},
    journal::{Entry, Journal, OpenedJournal},
    refusal::Refusal,
    replay::{answer_handshake, record_answer, record_call, replay},
    socket::Opening,
    stats::Stats,
};
use crate::{clock::Clock, error_chain::chain};

/// A webhook that an API call causes leaves this much later, so that the caller has the answer first.
const AFTER_THE_ANSWER: Duration = Duration::from_millis(20);

/// The parts that a host is built from.
pub struct HostOptions {
    /// Tells the sandboxes the time.
    pub clock: Arc<dyn Clock>,
    /// Carries their webhooks.
    pub courier: Arc<dyn Courier>,
    /// The opened journals of the providers whose worlds shall survive a restart. The others live in memory.
    pub journals: Vec<OpenedJournal>,
    /// Knows the tasks that send webhooks.
    pub tracker: TaskTracker,
    /// Ends them.
    pub token: CancellationToken,
}

/// All sandboxes behind one port.
pub struct SandboxHost {
    pub(super) providers: Vec<Hosted>,
    pub(super) faults: Arc<Faults>,
    pub(super) deliveries: Arc<DeliveryLog>,
    clock: Arc<dyn Clock>,
    courier: Arc<dyn Courier>,
    token: CancellationToken,
}

/// One provider's sandbox and what the host keeps for it.
pub(super) struct Hosted {
    pub(super) sandbox: Arc<dyn Sandbox>,
    pub(super) stats: Stats,
    /// Held from a change of the world until its entry is written and its webhooks are queued: all three in the same order.
    pub(super) journal: Mutex<Journal>,
    queue: DeliveryQueue,
}

impl SandboxHost {
    /// Replays the journals (without webhooks) and starts the delivery of webhooks. Needs a running tokio runtime.
    pub async fn new(sandboxes: Vec<Arc<dyn Sandbox>>, mut options: HostOptions) -> Self {
        let deliveries = Arc::new(DeliveryLog::default());
        let faults = Arc::new(Faults::default());
        let sender = Sender {
            courier: options.courier.clone(),
            clock: options.clock.clone(),
            log: deliveries.clone(),
            faults: faults.clone(),
        };
        let mut providers = Vec::new();
        for sandbox in sandboxes {
            let provider = sandbox.provider();
            let journal = match options.journals.iter().position(|opened| opened.provider == provider) {
                Some(index) => {
                    let opened = options.journals.swap_remove(index);
                    replay(sandbox.as_ref(), opened.entries).await;
                    opened.journal
                }
                None => Journal::default(),
            };
            let queue = DeliveryQueue::start(provider, sender.clone(), &options.tracker, options.token.clone());
            providers.push(Hosted { sandbox, stats: Stats::default(), journal: Mutex::new(journal), queue });
        }
        let HostOptions { clock, courier, token, .. } = options;
        Self { providers, faults, deliveries, clock, courier, token }
    }

    /// Opens a socket where a provider has them.
    pub fn converse(&self, request: Request<Bytes>) -> Opening {
        let nothing = || Opening::Refused(Refusal::not_found("no sockets are opened here").into_response());
        let Some((hosted, relative)) = self.mounted(request.uri().path()) else { return nothing() };
        let request = match relative_request(request, &relative) {
            Ok(request) => request,
            Err(error) => return Opening::Refused(Refusal::bad_input(error.to_string()).into_response()),
        };
        let (method, path, now) = (request.method(), request.uri().path(), self.clock.now());
        hosted.stats.count(method, path);
        if let Some(rejection) = self.strike(hosted, &request).rejection {
            return Opening::Refused(hosted.sandbox.rejection(now, &request, rejection));
        }
        hosted.sandbox.converse(now, &request).unwrap_or_else(nothing)
    }

    /// The time, as the stand-ins know it.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Waits until the stand-ins are to end.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// The provider with the longest mount that `path` is under, and the path under it.
    pub(super) fn mounted(&self, path: &str) -> Option<(&Hosted, String)> {
        let under = |hosted: &Hosted| match path.strip_prefix(hosted.sandbox.mount())? {
            "" => Some("/".to_owned()),
            rest => rest.starts_with('/').then(|| rest.to_owned()),
        };
        self.providers
            .iter()
            .filter_map(|hosted| Some((hosted, under(hosted)?)))
            .max_by_key(|(hosted, _)| hosted.sandbox.mount().len())
    }

    pub(super) async fn call(&self, hosted: &Hosted, request: ApiRequest) -> ApiResponse {
        let (method, path) = (request.method(), request.uri().path());
        hosted.stats.count(method, path);
        let effect = self.strike(hosted, &request);
        if let Some(mut release) = effect.release {
            let _ = self.token.run_until_cancelled(release.changed()).await;
        }
        if !effect.delay.is_zero() {
            let _ = self.token.run_until_cancelled(tokio::time::sleep(effect.delay)).await;
        }
        if effect.timed_out {
            return Refusal::new(StatusCode::GATEWAY_TIMEOUT, "TIMEOUT", "the provider did not answer").into_response();
        }
        if effect.bad_gateway {
            return bad_gateway();
        }
        let now = self.clock.now();
        if let Some(rejection) = effect.rejection {
            return hosted.sandbox.rejection(now, &request, rejection);
        }
        let mut response = self.answer(hosted, now, request).await;
        if effect.malformed {
            let half = response.body().len() / 2;
            response.body_mut().truncate(half);
            response.headers_mut().remove(http::header::CONTENT_LENGTH);
        }
        response
    }

    fn strike(&self, hosted: &Hosted, request: &ApiRequest) -> Effect {
        self.faults.strike(&Called {
            provider: hosted.sandbox.provider(),
            method: request.method(),
            path: request.uri().path(),
            body: request.body(),
            is_further_page: &|| hosted.sandbox.is_further_page(request),
        })
    }

    async fn answer(&self, hosted: &Hosted, now: DateTime<Utc>, request: ApiRequest) -> ApiResponse {
        if !hosted.sandbox.writes(&request) {
            let outcome = hosted.sandbox.call(now, request).await;
            hosted.queue.push(outcome.webhooks, AFTER_THE_ANSWER);
            return outcome.response;
        }
        self.write(hosted, request).await
    }

    /// A call that may change the world: one at a time, its handshake included, so that a replay meets the same order.
    async fn write(&self, hosted: &Hosted, request: ApiRequest) -> ApiResponse {
        let mut journal = hosted.journal.lock().await;
        let now = self.clock.now();
        let mut record = record_call(&request);
        let mut outcome = hosted.sandbox.call(now, request.clone()).await;
        if let Some(sent) = outcome.handshake.take() {
            let answer = self.courier.post(sent.clone()).await.map(|(status, headers, _)| (status, headers));
            record.handshake = Some(record_answer(answer.as_ref()));
            outcome = answer_handshake(hosted.sandbox.as_ref(), now, request, HandshakeAnswer { sent, answer }).await;
        }
        // A refused call is kept too when there was a handshake: it may have used up an id.
        if outcome.response.status().is_success() || record.handshake.is_some() {
            hosted.keep(&mut journal, &Entry::Call { at: now, call: record });
        }
        hosted.queue.push(outcome.webhooks, AFTER_THE_ANSWER);
        outcome.response
    }

    pub(super) fn provider(&self, name: &str) -> Option<&Hosted> {
        self.providers.iter().find(|hosted| hosted.sandbox.provider() == name)
    }

    /// Acts in a provider's world, keeps it, and queues its webhooks.
    pub(super) async fn act(
        &self,
        hosted: &Hosted,
        action: &str,
        input: Value,
    ) -> Result<(Value, Vec<Sent>), ActError> {
        let mut journal = hosted.journal.lock().await;
        self.act_in_turn(hosted, &mut journal, action, input)
    }

    /// The next act of the gentle traffic; `skipped` counts those that did not fit, so that none is tried forever.
    pub(super) async fn act_gently(&self, hosted: &Hosted, skipped: &mut u64) {
        let mut journal = hosted.journal.lock().await;
        let (action, input) = hosted.sandbox.gentle(journal.len() + *skipped);
        if let Err(error) = self.act_in_turn(hosted, &mut journal, action, input) {
            *skipped += 1;
            tracing::debug!(provider = hosted.sandbox.provider(), action, error = %chain(&error), "gentle act skipped");
        }
    }

    fn act_in_turn(
        &self,
        hosted: &Hosted,
        journal: &mut Journal,
        action: &str,
        input: Value,
    ) -> Result<(Value, Vec<Sent>), ActError> {
        let at = self.clock.now();
        let Acted { result, webhooks } = hosted.sandbox.act(at, action, &input)?;
        hosted.keep(journal, &Entry::Act { at, action: action.to_owned(), input });
        Ok((result, hosted.queue.push(webhooks, Duration::ZERO)))
    }
}

impl Hosted {
    /// The world has changed already, so a full disk is told and not obeyed.
    fn keep(&self, journal: &mut Journal, entry: &Entry) {
        if let Err(error) = journal.append(entry) {
            tracing::error!(provider = self.sandbox.provider(), error = %chain(&error), "sandbox journal not written");
        }
    }
}

/// The answer of a proxy that does not reach the provider behind it.
fn bad_gateway() -> ApiResponse {
    let page = "<!DOCTYPE html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>";
    let mut response = Response::new(Bytes::from_static(page.as_bytes()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let html = http::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, html);
    response
}

/// The request with the path that it has below the provider's mount.
pub(super) fn relative_request(request: Request<Bytes>, relative: &str) -> Result<ApiRequest, http::uri::InvalidUri> {
    let (mut parts, body) = request.into_parts();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    parts.uri = format!("{relative}{query}").parse()?;
    Ok(Request::from_parts(parts, body))
}
