//! The transports' seams, answered by the executor and the inbox; and the metrics that those report to.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_graphql::{
    ServerError, Variables,
    parser::types::{ExecutableDocument, OperationDefinition},
};
use async_trait::async_trait;
use futures::{Stream, StreamExt, stream::BoxStream};
use mullion_resolvers::{
    budget::Budget,
    credentials::{Credential, Credentials},
    error_chain::chain,
    execution::{self, Executed, Executor, Observe, Operation},
    inbox::{Inbox, worker::Outcome},
    listen::Ear,
    live::{End, Frame, Frames, Item, Watermark},
    provider::WebhookRequest,
    reconcile::Hears,
    secret::Secret,
    store::persisted_query::PersistedLimits,
    upstream::{CallReport, CircuitState, Observer, QuotaReading},
};
use mullion_schema::{
    cost::Cost,
    error::{ErrorCode, RETRY_AFTER},
    id::IntegrationId,
    ports::{self, UnknownWords, ViewerView},
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    config,
    document::OperationKind,
    http::{
        DATABASE_PATIENCE,
        webhooks::{Delivery, WebhookAnswer, Webhooks},
    },
    telemetry::{
        live::Limit,
        metrics::{IntegrationLabels, Metrics},
    },
    transport::{
        engine::{
            Answer, AuthError, Caller, CallerParts, Engine, LiveFrame, LiveItem, LiveMark, ParsedOperation, Role,
        },
        error::{ErrorEntry, Location, RequestError},
        persisted::DocumentHash,
    },
    unbroken::Unbroken,
};

/// Executes operations.
pub struct Bridge {
    executor: Arc<Executor>,
    /// In `dev`: the one caller, for whom no key is asked.
    everybody: Option<Arc<ViewerView>>,
    /// How many persisted queries each tenant may have.
    persisted: PersistedLimits,
    credentials: Credentials,
}

/// The state that a caller carries for the executor.
struct Inner {
    caller: execution::Caller,
    /// Held as long as the caller is let in, so that it is told when the key is revoked. In `dev` there may be none.
    _credential: Option<Arc<Credential>>,
}

impl Bridge {
    /// A bridge. With `everybody`, no key is asked for.
    pub fn new(executor: Arc<Executor>, everybody: Option<Arc<ViewerView>>, config: &config::Persisted) -> Self {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let persisted = PersistedLimits { documents: number(config.max_documents), bytes: number(config.max_bytes) };
        let credentials = Credentials::new(executor.services());
        Self { executor, everybody, persisted, credentials }
    }

    /// Looks after the keys in use, so that the sockets of a revoked one are closed wherever it was revoked.
    pub async fn watch_revocations(&self, stop: CancellationToken) {
        self.credentials.watch(stop).await;
    }

    fn caller(viewer: Arc<ViewerView>, credential: Option<Arc<Credential>>) -> Caller {
        let role = match viewer.role {
            ports::Role::Viewer => Role::Viewer,
            ports::Role::Editor => Role::Editor,
            ports::Role::Admin => Role::Admin,
        };
        let tenant = viewer.tenant.clone();
        let revoked = credential.as_ref().map_or_else(CancellationToken::new, |known| known.revoked.clone());
        let context = Arc::new(Inner { caller: execution::Caller { viewer }, _credential: credential });
        Caller::new(CallerParts { tenant, role, revoked, context })
    }
}

fn inner(caller: &Caller) -> Option<execution::Caller> {
    caller.context.downcast_ref::<Inner>().map(|inner| inner.caller.clone())
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
            return Ok(Self::caller(Arc::clone(viewer), None));
        }
        let presented = bearer.filter(|key| !key.is_empty()).ok_or(AuthError::Missing)?;
        let credential = self.credentials.authenticate(&Secret::from(presented)).await.map_err(|error| {
            tracing::error!(error = %chain(&error), "an API key could not be checked");
            AuthError::Unavailable
        })?;
        let credential = credential.ok_or(AuthError::Invalid)?;
        Ok(Self::caller(Arc::clone(&credential.viewer), Some(credential)))
    }

    fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), RequestError> {
        self.executor.validate(document).map_err(|errors| refused(errors, ""))
    }

    fn cost(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: Option<&Variables>,
    ) -> Cost {
        self.executor.cost(document, operation, variables)
    }

    fn check_time(&self, caller: &Caller) -> Result<(), RequestError> {
        let checked = self.executor.check_time(&caller.tenant);
        checked.map_err(|error| refused(vec![error.without_location()], ""))
    }

    fn charge(&self, caller: &Caller, used: Duration) {
        self.executor.charge(&caller.tenant, used);
    }

    async fn persisted(&self, caller: &Caller, hash: &DocumentHash) -> Result<Option<Arc<str>>, RequestError> {
        let services = Arc::clone(self.executor.services());
        let (tenant, hash) = (caller.tenant.clone(), hash.to_string());
        let asked = timeout(DATABASE_PATIENCE, services.database.persisted_query(&tenant, &hash)).await;
        let found = match asked {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(no_persisted(&error)),
            Err(late) => return Err(no_persisted(&late)),
        };
        let Some(found) = found else { return Ok(None) };
        if found.is_due {
            let tasks = services.tasks.clone();
            let note = async move {
                if let Err(error) = services.database.note_persisted_query(&tenant, &hash).await {
                    // It is noted with the next use, and else registered anew when it was forgotten.
                    tracing::warn!(
                        error = %chain(&error),
                        "the use of a persisted query was not noted"
                    );
                }
            };
            tasks.spawn(note.in_current_span());
        }
        Ok(Some(found.text.into()))
    }

    async fn persist(&self, caller: &Caller, hash: &DocumentHash, text: &str) -> bool {
        let hash = hash.to_string();
        let database = &self.executor.services().database;
        let stored = timeout(DATABASE_PATIENCE, database.persist_query(&caller.tenant, &hash, text, self.persisted));
        let problem: Box<dyn std::error::Error + Send + Sync> = match stored.await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.into(),
            Err(late) => late.into(),
        };
        tracing::warn!(error = %chain(&*problem), "a persisted query was not stored");
        false
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
        if let Some(fault) = self.executor.services().database.fault() {
            return Err(fault.reason());
        }
        self.executor.services().database.ping().await.map_err(|error| {
            tracing::warn!(error = %chain(&error), "the database does not answer");
            "the database does not answer"
        })
    }
}

/// The store could not be asked. Not that there is no such document: the client would send it, and fail for want of the database.
fn no_persisted(error: &(dyn std::error::Error + 'static)) -> RequestError {
    tracing::error!(error, "a persisted query could not be looked up");
    RequestError::unavailable("the persisted query could not be looked up: try again later", RETRY_AFTER)
}

/// What a live operation tells a subscriber, as the transports take it.
struct Told(Frames);

impl Stream for Told {
    type Item = LiveItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LiveItem>> {
        Poll::Ready(loop {
            break match ready!(self.0.poll_next_unpin(cx)) {
                Some(Ok(Item::Frame(Frame { payload, cursor, watermark }))) => {
                    Some(LiveItem::Frame(LiveFrame { payload, cursor: Some(cursor), through: watermark }))
                }
                Some(Ok(Item::Watermark(Watermark { position, cursor }))) => {
                    Some(LiveItem::Mark(LiveMark { position, cursor }))
                }
                Some(Err(End::Completed)) => continue,
                Some(Err(End::CursorExpired)) => {
                    let message = "what happened since `after` is no longer kept: query again, then subscribe anew";
                    let error = RequestError::new(ErrorCode::CursorExpired, message);
                    Some(LiveItem::Frame(LiveFrame::alone(error.to_body())))
                }
                Some(Err(End::Unavailable)) => {
                    let message = "the database does not answer: subscribe again with your last cursor as `after`";
                    Some(LiveItem::Interrupted(RequestError::new(ErrorCode::ServiceUnavailable, message)))
                }
                None => None,
            };
        })
    }
}

/// Errors that are not the client's fault carry the id of the request, under which the log tells the cause. Answers hold them rarely:
/// only those are read and written again.
fn with_request_id(answer: bytes::Bytes, request_id: &str) -> bytes::Bytes {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(&answer) else { return answer };
    for error in value.get_mut("errors").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
        if let Some(extensions) = error.get_mut("extensions").and_then(serde_json::Value::as_object_mut)
            && extensions.get("code").and_then(serde_json::Value::as_str).is_some_and(needs_request_id)
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
        let code = code.and_then(|code| code.into_json().ok());
        let known = code.as_ref().and_then(serde_json::Value::as_str).and_then(|code| code.parse().ok());
        // The library's validation gives none.
        known.unwrap_or(ErrorCode::GraphqlValidationFailed)
    };
    let code = errors.first().map_or(ErrorCode::InternalServerError, code_of);
    let retry_after = errors.first().and_then(retry_after).unwrap_or(RETRY_AFTER);
    let entries = errors.into_iter().map(|error| {
        let mut entry = ErrorEntry::new(code_of(&error), error.message);
        entry.locations = error.locations.into_iter().filter(|pos| pos.line > 0).map(Location::from).collect();
        entry
    });
    let refused = RequestError { code, errors: entries.collect(), retry_after: None };
    match code {
        ErrorCode::RateLimited => refused.worth_another_try(retry_after),
        ErrorCode::ServiceUnavailable => refused.worth_another_try(retry_after).of_request(request_id),
        _ => refused.of_request(request_id),
    }
}

/// Seconds after which the same request may succeed, as the error tells them.
fn retry_after(error: &ServerError) -> Option<u32> {
    let told = error.extensions.as_ref()?.get("retryAfter")?.clone().into_json().ok()?;
    u32::try_from(told.as_u64()?).ok()
}

/// Whether the log may tell more of an error with this code.
fn needs_request_id(code: &str) -> bool {
    matches!(code.parse(), Ok(ErrorCode::InternalServerError | ErrorCode::ServiceUnavailable))
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
        let told = Unbroken::new(taken.in_current_span(), &self.tasks).await;
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

    fn over_budget(&self, budget: Budget) {
        self.metrics.live.hit(Limit::Budget(budget));
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
            self.metrics.quota.told(&labels(provider, quota.bucket, integration), remaining, quota.resets_at);
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

impl UnknownWords for Counters {
    fn shown(&self, type_name: &'static str, field: &'static str) {
        self.metrics.unknown_word(type_name, field);
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

#[cfg(test)]
mod tests {
    use async_graphql::ServerError;
    use mullion_schema::error::{ErrorCode, PortError, RETRY_AFTER};

    use super::{refused, with_request_id};

    fn error(port: Option<PortError>) -> ServerError {
        match port {
            Some(port) => port.without_location(),
            None => ServerError::new("it does not fit", None),
        }
    }

    #[test]
    fn a_refusal_has_the_code_of_its_first_error_and_what_belongs_to_it() {
        let limited = PortError::new(ErrorCode::RateLimited, "too many");
        let over_budget = PortError { retry_after: Some(40), ..limited.clone() };
        for (port, code, retry_after, has_id) in [
            (None, ErrorCode::GraphqlValidationFailed, None, false),
            (Some(PortError::bad_input("first: too many")), ErrorCode::BadUserInput, None, false),
            (Some(limited), ErrorCode::RateLimited, Some(RETRY_AFTER), false),
            (Some(over_budget), ErrorCode::RateLimited, Some(40), false),
            (Some(PortError::internal()), ErrorCode::InternalServerError, None, true),
            (Some(PortError::unavailable()), ErrorCode::ServiceUnavailable, Some(RETRY_AFTER), true),
        ] {
            let refused = refused(vec![error(port)], "r-1");
            assert_eq!((refused.code, refused.retry_after), (code, retry_after));
            assert_eq!(refused.errors[0].extensions.contains_key("requestId"), has_id, "{code}");
            let told = refused.errors[0].extensions.contains_key("retryAfter");
            assert_eq!(told, retry_after.is_some(), "{code}");
        }
    }

    #[test]
    fn an_answer_in_part_carries_the_request_id_where_the_log_tells_more() {
        for (code, expected) in [("NOT_FOUND", false), ("INTERNAL_SERVER_ERROR", true), ("SERVICE_UNAVAILABLE", true)] {
            let answer = format!(r#"{{"data":{{}},"errors":[{{"message":"x","extensions":{{"code":"{code}"}}}}]}}"#);
            let told = with_request_id(answer.into(), "r-1");
            assert_eq!(std::str::from_utf8(&told).unwrap().contains(r#""requestId":"r-1""#), expected, "{code}");
        }
    }
}
