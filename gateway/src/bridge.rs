//! The transports' seams, answered by the executor and the inbox; and the metrics that those report to.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_graphql::ServerError;
use async_trait::async_trait;
use futures::{Stream, StreamExt, stream::BoxStream};
use mullion_resolvers::{
    execution::{self, Executed, Executor, Observe, Operation},
    listen::Ear,
    live::{End, Frame, Frames, Item, Mark},
    provider::WebhookRequest,
    reconcile::Hears,
    secret::Secret,
    upstream::{CallReport, CircuitState, Observer, QuotaReading},
    webhook::{Inbox, worker::Outcome},
};
use mullion_schema::{
    error::ErrorCode,
    id::{IntegrationId, TenantId},
    ports::{self, ViewerView},
};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    document::OperationKind,
    http::webhooks::{Delivery, WebhookAnswer, Webhooks},
    telemetry::metrics::{IntegrationLabels, Metrics},
    transport::{
        engine::{
            Answer, AuthError, Caller, CallerParts, Engine, LiveFrame, LiveItem, LiveMark, ParsedOperation, Role,
        },
        error::{ErrorEntry, Location, RequestError},
    },
    unbroken::Unbroken,
};

/// How often keys that have open sockets are looked at: how long a revoked key may live on.
const REVOCATION_CHECK: Duration = Duration::from_secs(2);

/// How long, in seconds, until a tenant that has too many operations running may come again.
const RETRY_AFTER: u32 = 2;

/// Executes operations.
pub struct Bridge {
    executor: Arc<Executor>,
    /// In `dev`: the one caller, for whom no key is asked.
    everybody: Option<Arc<ViewerView>>,
    /// By key id: fires when it is revoked. Held weakly through the callers' clones.
    revocations: Mutex<HashMap<(TenantId, String), CancellationToken>>,
}

impl Bridge {
    /// A bridge. With `everybody`, no key is asked for.
    pub fn new(executor: Arc<Executor>, everybody: Option<Arc<ViewerView>>) -> Self {
        Self { executor, everybody, revocations: Mutex::default() }
    }

    /// Looks after the keys in use, so that the sockets of a revoked one are closed wherever it was revoked.
    pub async fn watch_revocations(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(REVOCATION_CHECK) => {}
                () = stop.cancelled() => return,
            }
            let tenants: std::collections::BTreeSet<TenantId> =
                self.revocations.lock().keys().map(|(tenant, _)| tenant.clone()).collect();
            for tenant in tenants {
                let Ok(keys) = self.executor.services().database.api_keys(&tenant).await else { continue };
                let mut revocations = self.revocations.lock();
                for key in keys.into_iter().filter(|key| key.revoked_at.is_some()) {
                    if let Some(token) = revocations.remove(&(tenant.clone(), key.id)) {
                        token.cancel();
                    }
                }
            }
        }
    }

    fn caller(viewer: Arc<ViewerView>, revoked: CancellationToken) -> Caller {
        let role = match viewer.role {
            ports::Role::Viewer => Role::Viewer,
            ports::Role::Editor => Role::Editor,
            ports::Role::Admin => Role::Admin,
        };
        let tenant = viewer.tenant.clone();
        Caller::new(CallerParts { tenant, role, revoked, context: Arc::new(execution::Caller { viewer }) })
    }
}

fn inner(caller: &Caller) -> Option<execution::Caller> {
    caller.context.downcast_ref::<execution::Caller>().cloned()
}

fn operation(parsed: &ParsedOperation) -> Operation {
    Operation {
        text: Arc::clone(&parsed.document.text),
        document: Arc::clone(&parsed.document.parsed),
        name: parsed.operation_name.clone(),
        variables: parsed.variables.clone(),
    }
}

#[async_trait]
impl Engine for Bridge {
    async fn authenticate(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        // In `dev` nobody needs a key; but a key that is presented is checked, and a wrong one is refused as anywhere.
        if let (Some(viewer), None) = (&self.everybody, bearer.filter(|key| !key.is_empty())) {
            return Ok(Self::caller(Arc::clone(viewer), CancellationToken::new()));
        }
        let presented = bearer.filter(|key| !key.is_empty()).ok_or(AuthError::Missing)?;
        let database = &self.executor.services().database;
        let unavailable = |error| {
            tracing::error!(%error, "an API key could not be checked");
            AuthError::Unavailable
        };
        let key = database.authenticate(&Secret::from(presented)).await.map_err(unavailable)?;
        let key = key.ok_or(AuthError::Invalid)?;
        let role: ports::Role = key.role.parse().map_err(|_| AuthError::Invalid)?;
        let tenant = database.tenant(&key.tenant).await.map_err(unavailable)?.ok_or(AuthError::Invalid)?;
        let revoked = self.revocations.lock().entry((key.tenant.clone(), key.id.clone())).or_default().clone();
        let viewer = ViewerView { id: key.id, name: key.name, role, tenant: key.tenant, tenant_name: tenant.name };
        Ok(Self::caller(Arc::new(viewer), revoked))
    }

    async fn execute(&self, caller: &Caller, parsed: ParsedOperation) -> Answer {
        let Some(caller) = inner(caller) else { return Answer::Refused(RequestError::internal(&parsed.request_id)) };
        let operation = operation(&parsed);
        let executed = match parsed.kind {
            OperationKind::Mutation => self.executor.mutation(&caller, operation).await,
            OperationKind::Query | OperationKind::Subscription => self.executor.query(&caller, operation).await,
        };
        match executed {
            Executed::Answer { bytes, internal: false } => Answer::Result(bytes),
            Executed::Answer { bytes, internal: true } => Answer::Result(with_request_id(bytes, &parsed.request_id)),
            Executed::Refused(errors) => Answer::Refused(refused(errors, &parsed.request_id)),
        }
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        parsed: ParsedOperation,
    ) -> Result<BoxStream<'static, LiveItem>, RequestError> {
        let Some(caller) = inner(caller) else { return Err(RequestError::internal(&parsed.request_id)) };
        let id = Arc::clone(&parsed.request_id);
        let frames = self.executor.subscribe(&caller, operation(&parsed), parsed.resume_after.clone()).await;
        let frames = frames.map_err(|errors| refused(errors, &id))?;
        Ok(Told(frames).boxed())
    }

    async fn ready(&self) -> Result<(), &'static str> {
        self.executor.services().database.ping().await.map_err(|error| {
            tracing::warn!(%error, "the database does not answer");
            "the database does not answer"
        })
    }
}

/// What a live operation tells a subscriber, as the transports take it.
struct Told(Frames);

impl Stream for Told {
    type Item = LiveItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LiveItem>> {
        Poll::Ready(loop {
            break match ready!(self.0.poll_next_unpin(cx)) {
                Some(Ok(Item::Frame(Frame { payload, cursor, through }))) => {
                    Some(LiveItem::Frame(LiveFrame { payload, cursor: Some(cursor), through }))
                }
                Some(Ok(Item::Mark(Mark { position, cursor }))) => Some(LiveItem::Mark(LiveMark { position, cursor })),
                Some(Err(End::Completed)) => continue,
                Some(Err(End::CursorExpired)) => {
                    let message = "what happened since `after` is no longer kept: query again, then subscribe anew";
                    let error = RequestError::new(ErrorCode::CursorExpired, message);
                    Some(LiveItem::Frame(LiveFrame::alone(error.to_body())))
                }
                None => None,
            };
        })
    }
}

/// Internal errors carry the id of the request, under which the log tells the cause. Answers hold them rarely: only those are read
/// and written again.
fn with_request_id(answer: bytes::Bytes, request_id: &str) -> bytes::Bytes {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(&answer) else { return answer };
    for error in value.get_mut("errors").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
        if let Some(extensions) = error.get_mut("extensions").and_then(serde_json::Value::as_object_mut)
            && extensions.get("code").is_some_and(|code| code == "INTERNAL_SERVER_ERROR")
        {
            extensions.insert("requestId".into(), request_id.into());
        }
    }
    serde_json::to_vec(&value).map_or(answer, bytes::Bytes::from)
}

/// The executor's refusal with the contract's codes: what has none does not fit the graph.
fn refused(errors: Vec<ServerError>, request_id: &str) -> RequestError {
    let code_of = |error: &ServerError| {
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
        match code.and_then(|code| code.into_json().ok()).as_ref().and_then(serde_json::Value::as_str) {
            Some("BAD_USER_INPUT") => ErrorCode::BadUserInput,
            Some("FORBIDDEN") => ErrorCode::Forbidden,
            Some("NOT_FOUND") => ErrorCode::NotFound,
            Some("RATE_LIMITED") => ErrorCode::RateLimited,
            Some("INTERNAL_SERVER_ERROR") => ErrorCode::InternalServerError,
            _ => ErrorCode::GraphqlValidationFailed,
        }
    };
    let code = errors.first().map_or(ErrorCode::InternalServerError, code_of);
    let entries = errors.into_iter().map(|error| {
        let mut entry = ErrorEntry::new(code_of(&error), error.message);
        entry.locations = error.locations.into_iter().filter(|pos| pos.line > 0).map(Location::from).collect();
        if code == ErrorCode::InternalServerError {
            entry.extensions.insert("requestId".into(), request_id.into());
        }
        entry
    });
    let retry_after = (code == ErrorCode::RateLimited).then_some(RETRY_AFTER);
    RequestError { code, errors: entries.collect(), retry_after }
}

/// Takes deliveries into the inbox.
pub struct Doors {
    inbox: Arc<Inbox>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
}

impl Doors {
    /// The webhook endpoints.
    pub fn new(inbox: Arc<Inbox>, metrics: Arc<Metrics>, tasks: TaskTracker) -> Self {
        Self { inbox, metrics, tasks }
    }

    /// Takes nothing any more; what was taken is written.
    pub fn close(&self) {
        self.inbox.close();
    }
}

#[async_trait]
impl Webhooks for Doors {
    async fn limit(&self, provider: &str, endpoint: &str) -> Option<usize> {
        self.inbox.limit(provider, endpoint).await
    }

    async fn receive(&self, delivery: Delivery) -> WebhookAnswer {
        let request = WebhookRequest { headers: delivery.headers, body: delivery.body, received_at: delivery.now };
        let provider = delivery.provider.clone();
        // A provider that hangs up does not cut off the write that it began.
        let inbox = Arc::clone(&self.inbox);
        let taken = async move { inbox.receive(&delivery.provider, &delivery.endpoint, request).await };
        let told = Unbroken::new(taken, &self.tasks).await;
        self.metrics.delivery(&provider, told.result);
        WebhookAnswer { status: told.status, headers: told.headers, body: told.body }
    }
}

/// Everything that the resolvers report, counted.
pub struct Counters {
    metrics: Arc<Metrics>,
}

impl Counters {
    /// Counters over the metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Observe for Counters {
    fn executed(&self, kind: &'static str) {
        self.metrics.execution(kind);
    }

    fn looked_up(&self, result: &'static str) {
        self.metrics.cache_lookup("response", result);
    }
}

impl Outcome for Counters {
    fn settled(&self, provider: &str, result: &'static str) {
        self.metrics.delivery(provider, result);
    }

    fn flushed(&self, deliveries: usize, took: Duration) {
        self.metrics.inbox_group.observe(u32::try_from(deliveries).map_or(f64::MAX, f64::from));
        self.metrics.inbox_flush.observe(took.as_secs_f64());
    }

    fn held(&self, lanes: usize) {
        self.metrics.inbox_lanes.set(i64::try_from(lanes).unwrap_or(i64::MAX));
    }
}

impl Ear for Counters {
    fn heard(&self, provider: &'static str, result: &'static str) {
        self.metrics.delivery(provider, result);
    }
}

impl Observer for Counters {
    fn call(&self, call: &CallReport<'_>) {
        self.metrics.provider_call(call.provider, call.result, call.took);
    }

    fn quota(&self, provider: &'static str, integration: &IntegrationId, quota: &QuotaReading) {
        if let Some(remaining) = quota.remaining {
            self.metrics.quota_remaining.get_or_create(&labels(provider, quota.bucket, integration)).set(remaining);
        }
    }

    fn circuit(&self, provider: &'static str, integration: &IntegrationId, state: CircuitState) {
        let value = match state {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen => 1,
            CircuitState::Open => 2,
        };
        self.metrics.circuit_state.get_or_create(&labels(provider, "", integration)).set(value);
    }
}

impl Hears for Counters {
    fn round(&self, provider: &str, result: &'static str) {
        self.metrics.reconcile.round(provider, result);
    }

    fn recovered(&self, provider: &str, deliveries: usize) {
        self.metrics.reconcile.recovered(provider, deliveries);
    }

    fn repaired(&self, provider: &str, result: &'static str) {
        self.metrics.reconcile.repaired(provider, result);
    }
}

fn labels(provider: &str, bucket: &str, integration: &IntegrationId) -> IntegrationLabels {
    IntegrationLabels {
        provider: provider.to_owned(),
        integration: integration.as_str().to_owned(),
        bucket: bucket.to_owned(),
    }
}
