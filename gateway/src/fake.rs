//! A stand-in for the engine, for tests of the transports: a schema of three fields, and streams that tests turn.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::{
    EmptySubscription, Object, Schema, SimpleObject, Value, Variables,
    parser::types::{ExecutableDocument, OperationDefinition},
};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream, stream::BoxStream};
use http::StatusCode;
use mullion_resolvers::{
    clock::FixedClock,
    supervisor::{RestartRules, Supervisor},
};
use mullion_schema::{cost::Cost, error::ErrorCode, id::TenantId};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    http::{
        App, Parts,
        guard::Guard,
        router,
        webhooks::{Delivery, WebhookAnswer, Webhooks},
    },
    readiness::{Checks, tasks_run},
    telemetry::tasks::TaskMetrics,
    transport::{
        engine::{
            Answer, AuthError, Caller, CallerParts, Engine, LiveFrame, LiveItem, LiveMark, ParsedOperation, Role,
        },
        error::{ErrorEntry, Location, RequestError},
        persisted::DocumentHash,
    },
};

struct Query;

#[derive(SimpleObject)]
struct Thing {
    name: String,
}

#[Object]
impl Query {
    async fn hello(&self, name: Option<String>) -> String {
        format!("hello {}", name.unwrap_or_default())
    }

    async fn pause(&self) -> bool {
        tokio::time::sleep(Duration::from_millis(500)).await;
        true
    }

    async fn slow(&self) -> bool {
        tokio::time::sleep(Duration::from_hours(1)).await;
        true
    }

    async fn things(&self, first: i32) -> Vec<Thing> {
        (0..first).map(|number| Thing { name: number.to_string() }).collect()
    }
}

struct Mutation;

#[Object]
impl Mutation {
    async fn change(&self) -> bool {
        true
    }
}

fn away(operation: &ParsedOperation) -> RequestError {
    RequestError::unavailable("the database does not answer", 2).of_request(&operation.request_id)
}

/// Answers for anybody but the key "bad"; a key that is the name of a role has this role. The key "away" and documents that contain "away" meet a database that is away; the key
/// "revoked" fires `revoked` of its caller.
pub(crate) struct FakeEngine {
    schema: Schema<Query, Mutation, EmptySubscription>,
    pub(crate) revoked: CancellationToken,
    pub(crate) health: AtomicU8,
    pub(crate) persisted: Mutex<HashMap<DocumentHash, Arc<str>>>,
    /// How often a persisted query was asked for.
    pub(crate) looked_up: AtomicUsize,
    /// How often a cost was asked for.
    pub(crate) measured: AtomicUsize,
    /// How often a document was validated.
    pub(crate) validated: AtomicUsize,
    /// How often time was charged.
    pub(crate) charged: AtomicUsize,
    /// Whether all time is used.
    pub(crate) out_of_time: AtomicBool,
}

pub(crate) const WELL: u8 = 0;
pub(crate) const BROKEN: u8 = 1;
pub(crate) const HANGING: u8 = 2;

impl Default for FakeEngine {
    fn default() -> Self {
        let schema = Schema::build(Query, Mutation, EmptySubscription).finish();
        Self {
            schema,
            revoked: CancellationToken::new(),
            health: AtomicU8::new(WELL),
            persisted: Mutex::default(),
            looked_up: AtomicUsize::new(0),
            measured: AtomicUsize::new(0),
            validated: AtomicUsize::new(0),
            charged: AtomicUsize::new(0),
            out_of_time: AtomicBool::new(false),
        }
    }
}

/// Somebody who may do everything.
pub(crate) fn admin() -> Caller {
    caller(Role::Admin, CancellationToken::new())
}

fn caller(role: Role, revoked: CancellationToken) -> Caller {
    Caller::new(CallerParts { tenant: TenantId::from("t"), role, revoked, context: Arc::new(()) })
}

#[async_trait]
impl Engine for FakeEngine {
    async fn authenticate(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        match bearer {
            Some("" | "bad") => Err(AuthError::Invalid),
            Some("away") => Err(AuthError::Unavailable),
            _ => {
                let role = bearer.and_then(|key| key.parse().ok()).unwrap_or(Role::Admin);
                Ok(caller(role, self.revoked.clone()))
            }
        }
    }

    /// Everything is valid but a field `invalid`: the stand-in's own schema validates what it executes.
    fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), RequestError> {
        self.validated.fetch_add(1, Ordering::Relaxed);
        let is_invalid = format!("{document:?}").contains("\"invalid\"");
        let message = "there is no such field. Did you mean \"hello\"?";
        let error = || RequestError::new(ErrorCode::GraphqlValidationFailed, message);
        if is_invalid { Err(error()) } else { Ok(()) }
    }

    /// As the variable `cost` says; without variables, 1,000,000 where a document has it.
    fn cost(
        &self,
        _document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: Option<&Variables>,
    ) -> Cost {
        self.measured.fetch_add(1, Ordering::Relaxed);
        let varies = operation.variable_definitions.iter().any(|each| each.node.name.node == "cost");
        let given = match variables.and_then(|variables| variables.get("cost")) {
            Some(Value::Number(cost)) => cost.as_u64().unwrap_or(1),
            _ if varies => 1_000_000,
            _ => 1,
        };
        Cost { total: given, varies }
    }

    fn check_time(&self, _caller: &Caller) -> Result<(), RequestError> {
        let is_over = self.out_of_time.load(Ordering::Relaxed);
        if is_over { Err(RequestError::new(ErrorCode::RateLimited, "it is used").worth_another_try(9)) } else { Ok(()) }
    }

    fn charge(&self, _caller: &Caller, _used: Duration) {
        self.charged.fetch_add(1, Ordering::Relaxed);
    }

    async fn persisted(&self, _caller: &Caller, hash: &DocumentHash) -> Result<Option<Arc<str>>, RequestError> {
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        Ok(self.persisted.lock().get(hash).cloned())
    }

    async fn persist(&self, _caller: &Caller, hash: &DocumentHash, text: &str) -> bool {
        self.persisted.lock().insert(*hash, text.into());
        true
    }

    async fn execute(&self, _caller: &Caller, operation: ParsedOperation) -> Answer {
        assert!(!operation.document.text.contains("panics"), "on purpose");
        if operation.document.text.contains("away") {
            return Answer::Refused(away(&operation));
        }
        let response = self.schema.execute(operation.to_request()).await;
        let refused = response.errors.iter().any(|error| error.path.is_empty());
        if !refused {
            return Answer::Result(Bytes::from(serde_json::to_vec(&response).unwrap()));
        }
        let code = ErrorCode::GraphqlValidationFailed;
        let errors = response.errors.into_iter().map(|error| {
            let mut entry = ErrorEntry::new(code, error.message);
            entry.locations = error.locations.into_iter().map(Location::from).collect();
            entry
        });
        Answer::Refused(RequestError { code, errors: errors.collect(), retry_after: None })
    }

    /// `count`: 1 to 3, then the end. `forever`: one frame, then silence. `quiet_NUMBER`: a mark, then silence. `flood`: large ones
    /// without an end, each with a mark. `interrupted`: one frame, then that it cannot go on. Anything else is refused, and so is the cursor `foreign`.
    async fn subscribe(
        &self,
        _caller: &Caller,
        operation: ParsedOperation,
    ) -> Result<BoxStream<'static, LiveItem>, RequestError> {
        if operation.resume_after.as_deref() == Some("foreign") {
            return Err(RequestError::bad_input("after: not a cursor of your event stream"));
        }
        let from = operation.resume_after.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let frame = |number: i32| {
            LiveItem::Frame(LiveFrame {
                payload: Bytes::from(format!(r#"{{"data":{{"count":{number}}}}}"#)),
                cursor: Some(number.to_string().into()),
                through: Some(number.into()),
            })
        };
        let mark = |position: i64| LiveItem::Mark(LiveMark { position, cursor: position.to_string().into() });
        if operation.document.text.contains("count") {
            return Ok(stream::iter(from + 1..=3).map(frame).boxed());
        }
        if operation.document.text.contains("away") {
            return Err(away(&operation));
        }
        assert!(!operation.document.text.contains("panicsAtOnce"), "on purpose");
        if operation.document.text.contains("panics") {
            return Ok(stream::iter([0])
                .map(move |number| if number == 0 { panic!("on purpose") } else { frame(0) })
                .boxed());
        }
        if operation.document.text.contains("flood") {
            let payload = Bytes::from(format!(r#"{{"data":{{"flood":"{}"}}}}"#, "x".repeat(16_000)));
            let frame = LiveItem::Frame(LiveFrame::alone(payload));
            return Ok(stream::iter(1..).flat_map(move |at| stream::iter([frame.clone(), mark(at)])).boxed());
        }
        if operation.document.text.contains("interrupted") {
            let error = RequestError::new(ErrorCode::ServiceUnavailable, "subscribe again");
            return Ok(stream::iter([frame(1), LiveItem::Interrupted(error)]).boxed());
        }
        if let Some((_, number)) = operation.document.text.split_once("quiet_") {
            let position = number.trim_end_matches('}').parse().unwrap();
            return Ok(stream::iter([mark(position)]).chain(stream::pending()).boxed());
        }
        if operation.document.text.contains("forever") {
            return Ok(stream::iter([0]).map(frame).chain(stream::pending()).boxed());
        }
        Err(RequestError::new(ErrorCode::GraphqlValidationFailed, "there is no such field"))
    }

    async fn ready(&self) -> Result<(), &'static str> {
        match self.health.load(Ordering::Acquire) {
            WELL => Ok(()),
            BROKEN => Err("the database does not answer"),
            _ => std::future::pending().await,
        }
    }
}

/// One endpoint, `/webhooks/github/e`, of at most 10 bytes.
struct FakeWebhooks;

#[async_trait]
impl Webhooks for FakeWebhooks {
    async fn limit(&self, provider: &str, endpoint: &str) -> Option<usize> {
        (provider == "github" && endpoint == "e").then_some(10)
    }

    async fn receive(&self, delivery: Delivery) -> WebhookAnswer {
        let mut answer = WebhookAnswer::status(StatusCode::ACCEPTED);
        answer.body = delivery.body;
        answer
    }
}

/// A gateway on a port of its own.
pub(crate) struct Gateway {
    pub(crate) app: Arc<App>,
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) supervisor: Supervisor,
    pub(crate) port: u16,
}

impl Gateway {
    /// Starts one, with settings changed by `change`.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.server.allow_get = true;
        change(&mut config);
        let engine = Arc::new(FakeEngine::default());
        let engine_of_the_app: Arc<dyn Engine> = Arc::<FakeEngine>::clone(&engine);
        let rules = RestartRules { first_wait: Duration::from_millis(1), ..RestartRules::default() };
        let supervisor = Supervisor::new(Arc::new(TaskMetrics::default())).with_rules(rules);
        let parts = Parts {
            engine: engine_of_the_app,
            webhooks: Arc::new(FakeWebhooks),
            clock: Arc::new(FixedClock::at(DateTime::<Utc>::UNIX_EPOCH)),
            metrics: Arc::default(),
            checks: Arc::new(Checks::new(vec![tasks_run(supervisor.clone())], TaskMetrics::default())),
            supervisor: supervisor.clone(),
            guard: Guard::loopback(Some("https://tunnel.example"), &[]),
            console: None,
        };
        let app = App::new(&config, parts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = router(&app, true);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        app.readiness.set(true);
        Self { app, engine, supervisor, port }
    }
}
