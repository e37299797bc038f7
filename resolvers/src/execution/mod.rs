//! Executes operations: queries and mutations once each, subscriptions as live operations.

mod answer;
mod digest;
mod operation;
mod parts;
mod response_cache;
mod run;
mod sharing;
mod turns;
mod waiting;
mod weight;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_graphql::{
    Request, Response, ServerError, Variables,
    parser::types::{ExecutableDocument, OperationDefinition},
};
use bytes::Bytes;
use futures::FutureExt as _;
use mullion_schema::{
    answer_size::AnswerSize,
    build::{Graph, LiveGraph},
    coerce::Inputs,
    cost::{Cost, Costs},
    error::{self, ErrorCode, PortError},
    id::{EventCursor, TenantId},
    ports::{Live, LivePlan},
    validate::Validator,
};
use tracing::Instrument as _;

use self::{
    answer::answer,
    operation::span_of,
    response_cache::{Begun, Lead, ResponseCache},
    run::LiveRun,
    turns::LiveTurns,
    waiting::giving_turn_back,
};
pub use self::{
    operation::{Caller, Operation},
    parts::Parts,
    turns::LiveLimits,
};
use crate::{
    budget::{Admission, Budget, ExecutionBudgets, Executions, Metered, SharedAnswer, TurnLimits, Turns},
    cache::single_flight::{Abandoned, Part},
    error_chain::chain,
    live::{Frames, Subscribe},
    reading::Scope,
    tag::Tag,
};

/// The kind of executions that only read.
const QUERY: &str = "query";

/// For each execution that has its turn, so many are admitted beside it at most: those that wait for their turn, and those that gave
/// it back because they wait for a provider. More could not be served before they give up.
const QUEUE: usize = 64;

/// The outcome of a query or a mutation.
#[derive(Debug, Clone)]
pub enum Executed {
    /// It ran: a serialized response with `data`.
    Answer {
        /// The response.
        bytes: Bytes,
        /// Whether the log tells more of one of its errors: the id of the request belongs to it.
        internal: bool,
    },
    /// It did not run: it does not fit the graph, or its variables do not fit it.
    Refused(Vec<ServerError>),
}

/// Hears of executions, for metrics.
pub trait Observe: Send + Sync {
    /// A `query`, a `mutation` or a `live` run was executed; an answer that was in memory or is shared is no execution.
    fn executed(&self, kind: &'static str);

    /// An answer was looked up in the response cache: `hit` or `miss`.
    fn looked_up(&self, result: &'static str);

    /// A tenant was refused because it has used a budget up.
    fn over_budget(&self, budget: Budget) {
        let _ = budget;
    }
}

/// The limits of executions.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// About how many bytes of memory answers may take.
    pub response_bytes: u64,
    /// How large one answer may be.
    pub answer_bytes: usize,
    /// How many queries and mutations of one tenant run at a time.
    pub executions: usize,
    /// How many live runs.
    pub live: LiveLimits,
    /// How long one waits for its turn: less than anybody waits for its answer, so that it can be told.
    pub patience: Duration,
    /// The amounts that each tenant may hold and use.
    pub budgets: ExecutionBudgets,
}

/// Executes operations.
pub struct Executor {
    parts: Parts,
    graph: Graph,
    live: LiveGraph,
    validator: Validator,
    costs: Costs,
    inputs: Inputs,
    responses: ResponseCache,
    answer_bytes: usize,
    turns: Turns,
    live_turns: LiveTurns,
    budgets: Arc<Executions>,
    observe: Arc<dyn Observe>,
    /// How many there were, which numbers them in the log.
    executions: AtomicU64,
}

struct Ran {
    /// An answer's bytes are in `shared`.
    answer: Executed,
    shared: SharedAnswer,
    tags: Vec<Tag>,
    noted: i64,
    reusable: bool,
    /// The number of the execution, as the log has it.
    number: u64,
}

impl Ran {
    fn refused(error: PortError) -> Self {
        let answer = Executed::Refused(vec![error.without_location()]);
        Self { answer, shared: SharedAnswer::default(), tags: Vec::new(), noted: 0, reusable: false, number: 0 }
    }
}

impl Executor {
    /// An executor.
    pub fn new(parts: Parts, limits: Limits, observe: Arc<dyn Observe>) -> Arc<Self> {
        Arc::new(Self {
            parts,
            graph: mullion_schema::build::build(),
            live: mullion_schema::build::build_live(),
            validator: Validator::default(),
            costs: Costs::default(),
            inputs: Inputs::default(),
            responses: ResponseCache::new(limits.response_bytes),
            answer_bytes: limits.answer_bytes,
            turns: Turns::new(TurnLimits {
                tenant: limits.executions,
                all: None,
                admitted: limits.executions.saturating_mul(QUEUE + 1),
                patience: Some(limits.patience),
            }),
            live_turns: LiveTurns::new(limits.live),
            budgets: Arc::new(Executions::new(limits.budgets)),
            observe,
            executions: AtomicU64::new(1),
        })
    }

    /// Whether a document is valid. Once for each document: executions do not ask again.
    pub fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), Vec<ServerError>> {
        self.validator.check(document)
    }

    /// The cost of an operation of a valid document with these variables; without them, with the most expensive ones there can be.
    pub fn cost(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: Option<&Variables>,
    ) -> Cost {
        self.costs.measure(document, operation, variables)
    }

    /// The budgets, and how much of them the tenants have used: also for work that is done before an execution.
    pub fn budgets(&self) -> &Arc<Executions> {
        &self.budgets
    }

    /// Executes a query: from the response cache where it is current, once for all who ask the same at the same time.
    pub async fn query(self: &Arc<Self>, caller: &Caller, operation: Operation) -> Executed {
        let key: Arc<str> = format!("{}\n{}", caller.permission_set(&operation.document), operation.key()).into();
        let tenant = caller.tenant();
        let epochs = self.parts.engine.epochs();
        if let Some(answer) = self.responses.get(tenant, &key, epochs) {
            self.observe.looked_up("hit");
            let bytes = answer.to_send_anyway(tenant, self.budgets.bytes());
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
        let epochs = self.parts.engine.epochs();
        if let Err(exceeded) = self.budgets.check(tenant) {
            return self.refuse(exceeded);
        }
        let operation = match self.checked(operation) {
            Ok(operation) => operation,
            Err(errors) => return Executed::Refused(errors),
        };
        // Begins the tenant's epochs: without a head, nothing could be told to be the same.
        if let Err(error) = self.parts.engine.head(tenant).await {
            return Executed::Refused(vec![error.without_location()]);
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
                self.sent(tenant, &ran)
            }
            // Its task was ended: the process stops. (A run that is given up has nobody who follows.)
            Err(Abandoned) => Executed::Refused(vec![PortError::internal().without_location()]),
        }
    }

    fn refuse(&self, exceeded: (Budget, PortError)) -> Executed {
        Executed::Refused(vec![self.over(exceeded).without_location()])
    }

    /// Notes that a tenant is over a budget.
    fn over(&self, (budget, error): (Budget, PortError)) -> PortError {
        self.observe.over_budget(budget);
        error
    }

    /// The outcome of a query, for one of its callers: its bytes count as the tenant's until they are sent.
    fn sent(&self, tenant: &TenantId, ran: &Ran) -> Executed {
        let Executed::Answer { internal, .. } = ran.answer else { return ran.answer.clone() };
        match ran.shared.to_send(tenant, self.budgets.bytes()) {
            Some(bytes) => Executed::Answer { bytes, internal },
            None => self.refuse((Budget::HeldBytes, Budget::HeldBytes.exceeded(Duration::ZERO))),
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
        if let Some(shared) = self.responses.get(caller.tenant(), &key, self.parts.engine.epochs()) {
            let answer = Executed::Answer { bytes: Bytes::new(), internal: false };
            return lead.finish(Arc::new(Ran { answer, shared, tags: Vec::new(), noted: 0, reusable: false, number }));
        }
        let (executor, caller) = (Arc::clone(self), caller.clone());
        let lead = async move {
            let admission = executor.turns.take(caller.tenant()).await;
            // Nobody waits any longer: an execution that has not begun is not begun.
            let waited = admission.as_ref().is_some_and(|admission| admission.waited);
            let Some(lead) = (if waited { lead.if_followed() } else { Some(lead) }) else { return };
            let run = async {
                begun.begin(caller.tenant(), executor.parts.engine.epochs());
                executor.run(&caller, operation.request(), (QUERY, admission)).await
            };
            let ran = AssertUnwindSafe(executor.metered(&caller, run)).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!("an execution panicked");
                Ran::refused(PortError::internal())
            });
            let ran = Ran { number, ..ran };
            // Before those who wait are told: nobody comes in between and executes it again.
            executor.responses.keep(key, &ran);
            lead.finish(Arc::new(ran));
        };
        self.parts.tasks.spawn(lead.in_current_span());
    }

    /// Executes a mutation. It is finished even when the caller goes away.
    pub async fn mutation(self: &Arc<Self>, caller: &Caller, operation: Operation) -> Executed {
        // Before it is begun: what a mutation has done is told, whatever it takes.
        if let Err(exceeded) = self.budgets.check(caller.tenant()) {
            return self.refuse(exceeded);
        }
        let operation = match self.checked(operation) {
            Ok(operation) => operation,
            Err(errors) => return Executed::Refused(errors),
        };
        let (executor, caller) = (Arc::clone(self), caller.clone());
        let span = span_of(&caller, &operation, self.executions.fetch_add(1, Ordering::Relaxed));
        let run = async move {
            let admission = executor.turns.take(caller.tenant()).await;
            let run = executor.run(&caller, operation.request(), ("mutation", admission));
            let ran = executor.metered(&caller, run).await;
            match ran.answer {
                Executed::Answer { internal, .. } => {
                    let bytes = ran.shared.to_send_anyway(caller.tenant(), executor.budgets.bytes());
                    Executed::Answer { bytes, internal }
                }
                refused @ Executed::Refused(_) => refused,
            }
        };
        self.parts.tasks.spawn(run.instrument(span)).await.unwrap_or_else(|error| {
            tracing::error!(error = %chain(&error), "a mutation broke off");
            Executed::Refused(vec![PortError::internal().without_location()])
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
        let held = self.budgets.check_bytes(caller.tenant());
        held.map_err(|exceeded| vec![self.over(exceeded).without_location()])?;
        let operation = self.checked(operation)?;
        let document = mullion_schema::build::live_document(ExecutableDocument::clone(&operation.document));
        let operation = Operation { document: Arc::new(document), ..operation };
        let plan = mullion_schema::build::plan(&self.live, operation.request()).await?;
        let scope = Arc::new(Scope::new(caller.tenant().clone(), self.parts.clock.now(), None));
        let ports = self.parts.rooms.ports(&caller.viewer, &scope);
        plan.check(&ports).await.map_err(|error| vec![error.without_location()])?;
        let given = resume_after.map(EventCursor::from).or_else(|| after_of(&plan).cloned());
        let after = match given {
            None => None,
            Some(cursor) => {
                let position = self.parts.rooms.activities.cursors.decode(caller.tenant(), &cursor);
                let wrong = || {
                    PortError::bad_input(
                        "after: not a cursor of your event stream, or of another database: query `eventCursor`, and subscribe with that",
                    )
                };
                Some(position.ok_or_else(|| vec![wrong().without_location()])?)
            }
        };
        let refused = |budget: Budget| vec![self.over((budget, budget.exceeded(Duration::ZERO))).without_location()];
        let run = LiveRun::new(Arc::clone(self), caller.clone(), operation, &plan).map_err(refused)?;
        self.parts.hub.subscribe(Subscribe { run: Arc::new(run), plan, after }).map_err(refused)
    }

    /// The operation with its variables as they are after coercion.
    fn checked(&self, operation: Operation) -> Result<Operation, Vec<ServerError>> {
        let variables = self.inputs.variables(&operation.document, operation.name.as_deref(), &operation.variables)?;
        Ok(Operation { variables, ..operation })
    }

    /// Executes, and counts the processor time that it takes.
    async fn metered(&self, caller: &Caller, run: impl Future<Output = Ran> + Send) -> Ran {
        Metered::new(run.boxed(), Arc::clone(&self.budgets), caller.tenant().clone()).await
    }

    /// Executes an operation that was admitted. It has its turn until it is done or waits for a provider: one that does not answer holds
    /// up no operation that needs nothing of it.
    async fn run(
        &self,
        caller: &Caller,
        request: Request,
        (kind, admission): (&'static str, Option<Admission>),
    ) -> Ran {
        let Some(Admission { turn, place: _place, .. }) = admission else {
            let message = "too many operations run at the same time: try again later";
            return Ran::refused(PortError::new(ErrorCode::RateLimited, message));
        };
        self.observe.executed(kind);
        let parts = &self.parts;
        // Batches of fetches wait for it, not for what a mutation has to do at providers.
        let arriving = (kind == QUERY).then(|| parts.engine.arriving(caller.tenant()));
        let scope = Scope::new(caller.tenant().clone(), parts.clock.now(), None);
        // After a mutation, above all one that refreshes, people want to see what is, and not what was.
        let scope = Arc::new(if kind == QUERY { scope } else { scope.waiting() });
        // Before anything is read: what changes meanwhile makes the answer one that is not kept.
        let noted = match parts.engine.head(caller.tenant()).await {
            Ok(noted) => noted,
            Err(error) => return Ran::refused(error),
        };
        scope.note_head(noted);
        scope.hold_turn(turn);
        let size = AnswerSize::new(self.answer_bytes);
        let request = request.data(parts.rooms.ports(&caller.viewer, &scope)).data(size.clone());
        let execution = size.bound(self.graph.execute(request));
        let mut response = match arriving {
            Some(arriving) => arriving.run(&scope, execution).await,
            None => giving_turn_back(&scope, execution).await,
        };
        scope.give_turn_back();
        give_codes(&mut response);
        // More than is read is a fact like others: it holds until something changes.
        let reusable = response.errors.iter().all(error::is_incomplete) && !scope.is_stale();
        let (answer, too_large) = answer(response, self.answer_bytes);
        let (answer, shared) = match answer {
            Executed::Answer { bytes, internal } => {
                (Executed::Answer { bytes: Bytes::new(), internal }, SharedAnswer::new(bytes))
            }
            refused @ Executed::Refused(_) => (refused, SharedAnswer::default()),
        };
        Ran { answer, shared, tags: scope.tags(), noted, reusable: reusable && !too_large, number: 0 }
    }

    /// Executes a live document for one event, when it is the tenant's turn. It has the turn until it is done or waits for a provider:
    /// one that does not answer holds up nobody who needs nothing of it.
    async fn run_live(&self, caller: &Caller, request: Request, live: Live, scope: &Arc<Scope>) -> Response {
        scope.hold_turn(self.live_turns.take(caller.tenant()).await);
        self.observe.executed("live");
        let arriving = self.parts.engine.arriving(caller.tenant());
        let ports = self.parts.rooms.ports(&caller.viewer, scope);
        let size = AnswerSize::new(self.answer_bytes);
        let execution = size.clone().bound(self.live.execute(request.data(live).data(ports).data(size)));
        let mut response = arriving.run(scope, execution).await;
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

/// Every error has a code; what the executor says beyond what clients can act on goes to the log.
fn give_codes(response: &mut Response) {
    for message in error::give_codes(&mut response.errors) {
        tracing::error!(message, "an error without a code");
    }
}

#[cfg(test)]
mod tests {
    mod budgets;
    mod failing;
    mod failures;
    mod large;
    mod once;
    mod queries;
    mod stage;
    mod waiting;
    mod woken;
}
