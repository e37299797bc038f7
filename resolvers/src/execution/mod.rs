//! Executes operations: queries and mutations once each, subscriptions as live operations.

mod digest;
mod response_cache;
mod run;
mod sharing;
mod turns;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_graphql::{Pos, Request, Response, ServerError, Value, Variables, parser::types::ExecutableDocument};
use bytes::Bytes;
use futures::FutureExt as _;
use mullion_schema::{
    build::{Graph, LiveGraph},
    coerce::Inputs,
    error::{self, ErrorCode, PortError},
    id::{EventCursor, TenantId},
    ports::{Live, LivePlan, ViewerView},
    validate::Validator,
};

use tracing::{Instrument as _, Span};

pub use self::turns::LiveLimits;
use self::{
    response_cache::{Begun, Lead, ResponseCache},
    run::LiveRun,
    turns::{LiveTurns, Turns},
};
use crate::{
    answers::Services,
    cache::single_flight::{Abandoned, Part},
    engine::Scope,
    error_chain::chain,
    live::{Frames, Subscribe},
    tag::Tag,
};

/// The kind of executions that only read.
const QUERY: &str = "query";

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As the graph shows it.
    pub viewer: Arc<ViewerView>,
}

impl Caller {
    /// What two callers must have in common to share an answer to this document.
    fn permission_set(&self, document: &ExecutableDocument) -> String {
        let credential = if sharing::is_personal(document) { self.viewer.id.as_str() } else { "" };
        format!("{}\n{}\n{credential}", self.viewer.tenant, self.viewer.role)
    }

    fn tenant(&self) -> &TenantId {
        &self.viewer.tenant
    }
}

/// An operation of a document that is within the limits of documents and that [`Executor::validate`] has accepted.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The document's text.
    pub text: Arc<str>,
    /// The same, parsed.
    pub document: Arc<ExecutableDocument>,
    /// Which of its operations; `None`: it has one only.
    pub name: Option<String>,
    /// The variables, not checked yet.
    pub variables: Variables,
}

impl Operation {
    fn request(&self) -> Request {
        let mut request = Request::new(&*self.text).variables(self.variables.clone());
        if let Some(name) = &self.name {
            request = request.operation_name(name.clone());
        }
        request.set_parsed_query(ExecutableDocument::clone(&self.document));
        request
    }

    /// Document, operation name and variables, in full: equal keys are equal operations.
    fn key(&self) -> String {
        let variables = serde_json::to_string(&self.variables).unwrap_or_default();
        format!("{}\n{variables}\n{}", self.name.as_deref().unwrap_or_default(), self.text)
    }
}

/// What came of a query or a mutation.
#[derive(Debug, Clone)]
pub enum Executed {
    /// It ran: a serialized response with `data`.
    Answer {
        /// The response.
        bytes: Bytes,
        /// Whether one of its errors is internal, or worth another try: the id of the request belongs to it.
        internal: bool,
    },
    /// It did not run: it does not fit the graph, or its variables do not fit it.
    Refused(Vec<ServerError>),
}

impl Executed {
    /// Whether the log may tell more about it.
    fn has_failed(&self) -> bool {
        match self {
            Self::Answer { internal, .. } => *internal,
            Self::Refused(errors) => errors.iter().any(is_internal),
        }
    }
}

/// The span of an execution in the log, inside that of its request.
fn span_of(caller: &Caller, operation: &Operation, number: u64) -> Span {
    let name = operation.name.as_deref();
    tracing::info_span!("execution", tenant = %caller.tenant(), operation = name, execution = number)
}

/// Hears of executions, for metrics.
pub trait Observe: Send + Sync {
    /// A `query`, a `mutation` or a `live` run was executed; an answer that was in memory or is shared is no execution.
    fn executed(&self, kind: &'static str);

    /// An answer was looked up in the response cache: `hit` or `miss`.
    fn looked_up(&self, result: &'static str);
}

/// What executions may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What answers may take in memory, about.
    pub response_bytes: u64,
    /// How many queries and mutations of one tenant run at a time.
    pub executions: usize,
    /// How many live runs.
    pub live: LiveLimits,
    /// How long one waits for its turn: less than anybody waits for its answer, so that it can be told.
    pub patience: Duration,
}

/// Executes operations over the services.
pub struct Executor {
    services: Arc<Services>,
    graph: Graph,
    live: LiveGraph,
    validator: Validator,
    inputs: Inputs,
    responses: ResponseCache,
    turns: Turns,
    live_turns: LiveTurns,
    observe: Arc<dyn Observe>,
    /// How many there were, which numbers them in the log.
    executions: AtomicU64,
}

struct Ran {
    answer: Executed,
    tags: Vec<Tag>,
    noted: i64,
    reusable: bool,
    /// The number of the execution, as the log has it.
    number: u64,
}

impl Ran {
    fn refused(error: PortError) -> Self {
        let answer = Executed::Refused(vec![server_error(error)]);
        Self { answer, tags: Vec::new(), noted: 0, reusable: false, number: 0 }
    }
}

impl Executor {
    /// An executor.
    pub fn new(services: Arc<Services>, limits: Limits, observe: Arc<dyn Observe>) -> Arc<Self> {
        Arc::new(Self {
            services,
            graph: mullion_schema::build::build(),
            live: mullion_schema::build::build_live(),
            validator: Validator::default(),
            inputs: Inputs::default(),
            responses: ResponseCache::new(limits.response_bytes),
            turns: Turns::new(limits.executions, limits.patience),
            live_turns: LiveTurns::new(limits.live),
            observe,
            executions: AtomicU64::new(1),
        })
    }

    /// The services.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Whether a document is valid. Once for each document: executions do not ask again.
    pub fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), Vec<ServerError>> {
        self.validator.check(document)
    }

    /// Executes a query: from the response cache where it is current, once for all who ask the same at the same time.
    pub async fn query(self: &Arc<Self>, caller: &Caller, operation: Operation) -> Executed {
        let key: Arc<str> = format!("{}\n{}", caller.permission_set(&operation.document), operation.key()).into();
        let tenant = caller.tenant();
        let epochs = self.services.engine.epochs();
        if let Some(bytes) = self.responses.get(tenant, &key, epochs) {
            self.observe.looked_up("hit");
            return Executed::Answer { bytes, internal: false };
        }
        self.observe.looked_up("miss");
        let number = self.executions.fetch_add(1, Ordering::Relaxed);
        let span = span_of(caller, &operation, number);
        self.run_query(caller, operation, (key, number)).instrument(span).await
    }

    /// Executes a query that is not in the response cache.
    async fn run_query(
        self: &Arc<Self>,
        caller: &Caller,
        operation: Operation,
        (key, number): (Arc<str>, u64),
    ) -> Executed {
        let tenant = caller.tenant();
        let epochs = self.services.engine.epochs();
        let operation = match self.checked(operation) {
            Ok(operation) => operation,
            Err(errors) => return Executed::Refused(errors),
        };
        // Begins the tenant's epochs: without a head, nothing could be told to be the same.
        if let Err(error) = self.services.engine.head(tenant).await {
            return Executed::Refused(vec![server_error(error)]);
        }
        let begun = Begun::default();
        let running = match self.responses.enter(tenant, (Arc::clone(&key), begun.clone()), epochs) {
            Part::Follow(running) => running,
            Part::Lead(lead) => {
                let running = lead.follow();
                self.lead(caller, operation, (key, begun, lead, number));
                running
            }
        };
        match running.value().await {
            Ok(ran) => {
                if ran.number != number && ran.answer.has_failed() {
                    tracing::error!(
                        sharedExecution = ran.number,
                        "the answer is that of another request, whose log has the cause"
                    );
                }
                ran.answer.clone()
            }
            // Its task was ended: the process stops.
            Err(Abandoned) => Executed::Refused(vec![server_error(PortError::internal())]),
        }
    }

    /// Executes a query for all who ask the same, in a task: whoever goes away leaves it to finish, for the cache and for those who
    /// share it.
    fn lead(
        self: &Arc<Self>,
        caller: &Caller,
        operation: Operation,
        (key, begun, lead, number): (Arc<str>, Begun, Lead, u64),
    ) {
        // One that was under way a moment ago may have ended between the look into the cache and here.
        if let Some(bytes) = self.responses.get(caller.tenant(), &key, self.services.engine.epochs()) {
            let answer = Executed::Answer { bytes, internal: false };
            return lead.finish(Arc::new(Ran { answer, tags: Vec::new(), noted: 0, reusable: false, number }));
        }
        let (executor, caller) = (Arc::clone(self), caller.clone());
        let lead = async move {
            let run = async {
                begun.begin(caller.tenant(), executor.services.engine.epochs());
                executor.run(&caller, operation.request(), QUERY).await
            };
            let ran = AssertUnwindSafe(executor.in_turn(&caller, run)).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!("an execution panicked");
                Ran::refused(PortError::internal())
            });
            let ran = Ran { number, ..ran };
            // Before those who wait are told: nobody comes in between and executes it again.
            executor.responses.keep(key, &ran);
            lead.finish(Arc::new(ran));
        };
        self.services.tasks.spawn(lead.in_current_span());
    }

    /// Executes a mutation. It is finished even when the caller goes away.
    pub async fn mutation(self: &Arc<Self>, caller: &Caller, operation: Operation) -> Executed {
        let operation = match self.checked(operation) {
            Ok(operation) => operation,
            Err(errors) => return Executed::Refused(errors),
        };
        let (executor, caller) = (Arc::clone(self), caller.clone());
        let span = span_of(&caller, &operation, self.executions.fetch_add(1, Ordering::Relaxed));
        let run = async move {
            let run = executor.run(&caller, operation.request(), "mutation");
            executor.in_turn(&caller, run).await.answer
        };
        self.services.tasks.spawn(run.instrument(span)).await.unwrap_or_else(|error| {
            tracing::error!(error = %chain(&error), "a mutation broke off");
            Executed::Refused(vec![server_error(PortError::internal())])
        })
    }

    /// Starts a subscription. `resume_after` overrides the document's `after`.
    pub async fn subscribe(
        self: &Arc<Self>,
        caller: &Caller,
        operation: Operation,
        resume_after: Option<String>,
    ) -> Result<Frames, Vec<ServerError>> {
        let span = span_of(caller, &operation, self.executions.fetch_add(1, Ordering::Relaxed));
        self.begin_subscription(caller, operation, resume_after).instrument(span).await
    }

    async fn begin_subscription(
        self: &Arc<Self>,
        caller: &Caller,
        operation: Operation,
        resume_after: Option<String>,
    ) -> Result<Frames, Vec<ServerError>> {
        let operation = self.checked(operation)?;
        let document = mullion_schema::build::live_document(ExecutableDocument::clone(&operation.document));
        let operation = Operation { document: Arc::new(document), ..operation };
        let plan = mullion_schema::build::plan(&self.live, operation.request()).await?;
        let scope = Arc::new(Scope::new(caller.tenant().clone(), self.services.clock.now(), None));
        let ports = self.services.ports(&caller.viewer, &scope);
        plan.check(&ports).await.map_err(|error| vec![server_error(error)])?;
        let given = resume_after.map(EventCursor::from).or_else(|| after_of(&plan).cloned());
        let after = match given {
            None => None,
            Some(cursor) => {
                let position = self.services.cursors.decode(caller.tenant(), &cursor);
                let wrong = || {
                    PortError::bad_input(
                        "after: not a cursor of your event stream, or of another database: query `eventCursor`, and subscribe with that",
                    )
                };
                Some(position.ok_or_else(|| vec![server_error(wrong())])?)
            }
        };
        let run = Arc::new(LiveRun::new(Arc::clone(self), caller.clone(), operation, &plan));
        Ok(self.services.hub.subscribe(Subscribe { run, plan, after }))
    }

    /// The operation with its variables as they are after coercion.
    fn checked(&self, operation: Operation) -> Result<Operation, Vec<ServerError>> {
        let variables = self.inputs.variables(&operation.document, operation.name.as_deref(), &operation.variables)?;
        Ok(Operation { variables, ..operation })
    }

    /// Executes when it is the tenant's turn.
    async fn in_turn(&self, caller: &Caller, run: impl Future<Output = Ran>) -> Ran {
        let Some(_turn) = self.turns.take(caller.tenant()).await else {
            let message = "too many operations run at the same time: try again later";
            return Ran::refused(PortError::new(ErrorCode::RateLimited, message));
        };
        run.await
    }

    async fn run(&self, caller: &Caller, request: Request, kind: &'static str) -> Ran {
        self.observe.executed(kind);
        let services = &self.services;
        // Batches of fetches wait for it, not for what a mutation has to do at providers.
        let arriving = (kind == QUERY).then(|| services.engine.arriving(caller.tenant()));
        let scope = Scope::new(caller.tenant().clone(), services.clock.now(), None);
        // After a mutation, above all one that refreshes, people want to see what is, and not what was.
        let scope = Arc::new(if kind == QUERY { scope } else { scope.waiting() });
        // Before anything is read: what changes meanwhile makes the answer one that is not kept.
        let noted = match services.engine.head(caller.tenant()).await {
            Ok(noted) => noted,
            Err(error) => return Ran::refused(error),
        };
        scope.note_head(noted);
        let execution = self.graph.execute(request.data(services.ports(&caller.viewer, &scope)));
        let mut response = match arriving {
            Some(arriving) => arriving.run(&scope, execution).await,
            None => execution.await,
        };
        give_codes(&mut response);
        let reusable = response.errors.is_empty() && !scope.is_stale();
        Ran { answer: answer(&response), tags: scope.tags(), noted, reusable, number: 0 }
    }

    /// Executes a live document for one event, when it is the tenant's turn. It has the turn until it is done or waits for a provider:
    /// one that does not answer holds up nobody who needs nothing of it.
    async fn run_live(&self, caller: &Caller, request: Request, live: Live, scope: &Arc<Scope>) -> Response {
        scope.hold_turn(self.live_turns.take(caller.tenant()).await);
        self.observe.executed("live");
        let arriving = self.services.engine.arriving(caller.tenant());
        let ports = self.services.ports(&caller.viewer, scope);
        let mut response = arriving.run(scope, self.live.execute(request.data(live).data(ports))).await;
        scope.give_turn_back();
        give_codes(&mut response);
        response
    }
}

fn after_of(plan: &LivePlan) -> Option<&EventCursor> {
    match plan {
        LivePlan::Widget { after, .. }
        | LivePlan::Dashboard { after, .. }
        | LivePlan::Activity { after, .. }
        | LivePlan::Nodes { after, .. } => after.as_ref(),
    }
}

fn server_error(error: PortError) -> ServerError {
    async_graphql::Error::from(error).into_server_error(Pos::default())
}

/// Every error has a code; what the executor says beyond what clients can act on goes to the log.
fn give_codes(response: &mut Response) {
    for message in error::give_codes(&mut response.errors) {
        tracing::error!(message, "an error without a code");
    }
}

/// A response without data whose errors have no path never got to a field: it was refused.
fn answer(response: &Response) -> Executed {
    let refused = matches!(response.data, Value::Null)
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty());
    if refused {
        return Executed::Refused(response.errors.clone());
    }
    match serde_json::to_vec(response) {
        Ok(bytes) => Executed::Answer { bytes: bytes.into(), internal: response.errors.iter().any(is_internal) },
        Err(error) => Executed::Answer { bytes: unserializable(&error), internal: true },
    }
}

fn is_internal(error: &ServerError) -> bool {
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
    let Some(Value::String(code)) = code else { return false };
    matches!(code.parse(), Ok(ErrorCode::InternalServerError | ErrorCode::ServiceUnavailable))
}

/// A response as bytes.
fn serialized(response: &Response) -> Bytes {
    serde_json::to_vec(response).map_or_else(|error| unserializable(&error), Bytes::from)
}

fn unserializable(error: &serde_json::Error) -> Bytes {
    tracing::error!(error = %chain(&error), "a response could not be serialized");
    Bytes::from_static(
        br#"{"data":null,"errors":[{"message":"internal error","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#,
    )
}

#[cfg(test)]
mod tests {
    mod failing;
    mod failures;
    mod once;
    mod queries;
    mod stage;
    mod woken;

    use async_graphql::{PathSegment, Response, ServerError, Value, value};

    use super::{Executed, answer};

    fn response(data: Value, codes: &[&str]) -> Response {
        let mut response = Response::new(data);
        response.errors.extend(codes.iter().map(|code| {
            let mut error = ServerError::new("it failed", None);
            error.path = vec![PathSegment::Field("widget".into())];
            error.extensions.get_or_insert_default().set("code", *code);
            error
        }));
        response
    }

    #[test]
    fn an_answer_says_whether_one_of_its_errors_is_internal() {
        let mentioned = value!({ "title": "INTERNAL_SERVER_ERROR" });
        for (data, codes, expected) in [
            (value!({ "widget": null }), &[][..], false),
            (mentioned.clone(), &[], false),
            (mentioned, &["NOT_FOUND"], false),
            (value!({ "widget": null }), &["NOT_FOUND", "INTERNAL_SERVER_ERROR"], true),
            (value!({ "widget": null }), &["SERVICE_UNAVAILABLE"], true),
        ] {
            let Executed::Answer { internal, .. } = answer(&response(data, codes)) else { panic!("refused") };
            assert_eq!(internal, expected, "{codes:?}");
        }
    }
}
