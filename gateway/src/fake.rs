//! A stand-in for what executes and for the store, for tests of the transports: a schema of a few fields, and streams that tests turn.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::{
    EmptySubscription, Object, Request, Schema, ServerError, SimpleObject, Value, Variables,
    parser::types::{ExecutableDocument, OperationDefinition},
};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use mullion_resolvers::{
    budget::{ExecutionBudgets, Executions},
    clock::FixedClock,
    credentials::Credential,
    execution::{Caller, Executed, Operation},
    inbox::WebhookAnswer,
    live::{End, Frame, Frames, Item, Watermark},
    provider::WebhookRequest,
    secret::Secret,
    store::{
        StoreError,
        persisted_query::{PersistedLimits, PersistedQuery},
    },
    supervisor::{RestartRules, Supervisor},
};
use mullion_schema::{
    cost::Cost,
    error::PortError,
    id::TenantId,
    ports::{Role, ViewerView},
};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    http::{App, Parts, guard::Guard, router, webhooks::ReceiveDeliveries},
    operation::{
        self, Pipeline,
        authenticate::{Authenticator, Keys},
        document::Rules,
        persisted::{DocumentHash, DocumentStore},
        run::Execute,
        subscribe::Follow,
    },
    readiness::{Check, Checks, tasks_run},
    telemetry::tasks::TaskMetrics,
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

fn away() -> Vec<ServerError> {
    vec![PortError::unavailable().without_location()]
}

/// Answers for anybody but the key "bad"; a key that is the name of a role has this role, and "other" is of another tenant. The key "away" and documents that contain
/// "away" meet a database that is away; `revoked` revokes all keys.
pub(crate) struct StandIn {
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
}

pub(crate) const WELL: u8 = 0;
pub(crate) const BROKEN: u8 = 1;
pub(crate) const HANGING: u8 = 2;

impl Default for StandIn {
    fn default() -> Self {
        Self {
            schema: Schema::build(Query, Mutation, EmptySubscription).finish(),
            revoked: CancellationToken::new(),
            health: AtomicU8::new(WELL),
            persisted: Mutex::default(),
            looked_up: AtomicUsize::new(0),
            measured: AtomicUsize::new(0),
            validated: AtomicUsize::new(0),
        }
    }
}

fn viewer(role: Role) -> Arc<ViewerView> {
    let (name, tenant_name) = (role.to_string(), "T".to_owned());
    Arc::new(ViewerView { id: name.clone(), name, role, tenant: "t".into(), tenant_name })
}

/// Somebody who may do everything.
pub(crate) fn admin() -> Caller {
    Caller::without_key(viewer(Role::Admin))
}

#[async_trait]
impl Keys for StandIn {
    async fn credential(&self, key: &Secret) -> Result<Option<Arc<Credential>>, StoreError> {
        match key.expose_text() {
            Some("bad") => Ok(None),
            Some("away") => Err(StoreError::Unread { what: "a key", is_outage: true }),
            key => {
                let role = key.and_then(|key| key.parse().ok()).unwrap_or(Role::Admin);
                let mut viewer = viewer(role);
                if key == Some("other") {
                    Arc::make_mut(&mut viewer).tenant = "other".into();
                }
                Ok(Some(Arc::new(Credential::unstored(viewer, self.revoked.clone()))))
            }
        }
    }
}

impl Rules for StandIn {
    /// Everything is valid but a field `invalid`: the stand-in's own schema validates what it executes.
    fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), Vec<ServerError>> {
        self.validated.fetch_add(1, Ordering::Relaxed);
        let is_invalid = format!("{document:?}").contains("\"invalid\"");
        let error = || ServerError::new("there is no such field. Did you mean \"hello\"?", None);
        if is_invalid { Err(vec![error()]) } else { Ok(()) }
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
}

#[async_trait]
impl DocumentStore for StandIn {
    async fn find(&self, _tenant: &TenantId, hash: &DocumentHash) -> Result<Option<PersistedQuery>, StoreError> {
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        let text = self.persisted.lock().get(hash).map(ToString::to_string);
        Ok(text.map(|text| PersistedQuery { text, is_due: false }))
    }

    async fn note_use(&self, _tenant: &TenantId, _hash: &DocumentHash) -> Result<(), StoreError> {
        Ok(())
    }

    async fn register(
        &self,
        _tenant: &TenantId,
        hash: &DocumentHash,
        text: &str,
        _limits: PersistedLimits,
    ) -> Result<(), StoreError> {
        self.persisted.lock().insert(*hash, text.into());
        Ok(())
    }
}

#[async_trait]
impl Execute for StandIn {
    async fn execute(&self, _caller: &Caller, operation: Operation) -> Executed {
        assert!(!operation.text.contains("panics"), "on purpose");
        if operation.text.contains("away") {
            return Executed::Refused(away());
        }
        let mut request = Request::new(&*operation.text).variables(operation.variables);
        request.operation_name = operation.name;
        let response = self.schema.execute(request).await;
        if response.errors.iter().any(|error| error.path.is_empty()) {
            return Executed::Refused(response.errors);
        }
        Executed::Answer { bytes: serde_json::to_vec(&response).unwrap().into(), internal: false }
    }
}

#[async_trait]
impl Follow for StandIn {
    /// `count`: 1 to 3, then the end. `forever`: one frame, then silence. `quiet_NUMBER`: a mark, then silence. `flood`: large ones
    /// without an end, each with a mark. `interrupted`: one frame, then that it cannot go on. Anything else is refused, and so is the
    /// cursor `foreign`.
    async fn follow(
        &self,
        _caller: &Caller,
        operation: Operation,
        resume_after: Option<String>,
    ) -> Result<Frames, Vec<ServerError>> {
        if resume_after.as_deref() == Some("foreign") {
            return Err(vec![PortError::bad_input("after: not a cursor of your event stream").without_location()]);
        }
        let from = resume_after.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let frame = |number: i32| {
            let payload = Bytes::from(format!(r#"{{"data":{{"count":{number}}}}}"#));
            Ok(Item::Frame(Frame { payload, cursor: number.to_string().into(), watermark: Some(number.into()) }))
        };
        let watermark =
            |position: i64| Ok(Item::Watermark(Watermark { position, cursor: position.to_string().into() }));
        let text = &*operation.text;
        if text.contains("count") {
            return Ok(stream::iter(from + 1..=3).map(frame).boxed());
        }
        if text.contains("away") {
            return Err(away());
        }
        assert!(!text.contains("panicsAtOnce"), "on purpose");
        if text.contains("panics") {
            return Ok(stream::iter([0])
                .map(move |number| if number == 0 { panic!("on purpose") } else { frame(0) })
                .boxed());
        }
        if text.contains("flood") {
            let payload = Bytes::from(format!(r#"{{"data":{{"flood":"{}"}}}}"#, "x".repeat(16_000)));
            let frame = Item::Frame(Frame { payload, cursor: "0".into(), watermark: None });
            return Ok(stream::iter(1..).flat_map(move |at| stream::iter([Ok(frame.clone()), watermark(at)])).boxed());
        }
        if text.contains("interrupted") {
            return Ok(stream::iter([frame(1), Err(End::Unavailable)]).boxed());
        }
        if let Some((_, number)) = text.split_once("quiet_") {
            let position = number.trim_end_matches('}').parse().unwrap();
            return Ok(stream::iter([watermark(position)]).chain(stream::pending()).boxed());
        }
        if text.contains("forever") {
            return Ok(stream::iter([0]).map(frame).chain(stream::pending()).boxed());
        }
        Err(vec![ServerError::new("there is no such field", None)])
    }
}

/// Two endpoints, `/webhooks/github/e` and `/webhooks/github/f`, of at most 10 bytes.
#[async_trait]
impl ReceiveDeliveries for StandIn {
    async fn limit(&self, provider: &str, endpoint: &str) -> Option<usize> {
        (provider == "github" && matches!(endpoint, "e" | "f")).then_some(10)
    }

    async fn receive(&self, _provider: &str, _endpoint: &str, request: WebhookRequest) -> WebhookAnswer {
        WebhookAnswer {
            status: StatusCode::ACCEPTED,
            headers: HeaderMap::new(),
            body: request.body,
            result: "accepted",
        }
    }
}

/// A database of the stand-in's health.
fn database(stand_in: Arc<StandIn>) -> Check {
    Check::new("database", move || {
        let health = stand_in.health.load(Ordering::Acquire);
        async move {
            match health {
                WELL => Ok(()),
                BROKEN => Err("the database does not answer".to_owned()),
                _ => std::future::pending().await,
            }
        }
    })
}

/// A gateway on a port of its own.
pub(crate) struct Gateway {
    pub(crate) app: Arc<App>,
    pub(crate) stand_in: Arc<StandIn>,
    pub(crate) supervisor: Supervisor,
    pub(crate) port: u16,
}

impl Gateway {
    /// Starts one that serves whoever brings no key, with settings changed by `change`.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_for(Some(viewer(Role::Admin)), change).await
    }

    /// Starts one that asks for a key.
    pub(crate) async fn asking_for_keys() -> Self {
        Self::start_for(None, |_| {}).await
    }

    async fn start_for(everybody: Option<Arc<ViewerView>>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.server.allow_get = true;
        change(&mut config);
        let stand_in = Arc::<StandIn>::default();
        let rules = RestartRules { first_wait: Duration::from_millis(1), ..RestartRules::default() };
        let supervisor = Supervisor::new(Arc::new(TaskMetrics::default())).with_rules(rules);
        let clock = Arc::new(FixedClock::at(DateTime::<Utc>::UNIX_EPOCH));
        let parts = operation::Parts {
            rules: Arc::clone(&stand_in) as _,
            execute: Arc::clone(&stand_in) as _,
            follow: Arc::clone(&stand_in) as _,
            authenticator: Authenticator::new(Arc::clone(&stand_in) as _, everybody),
            store: Arc::clone(&stand_in) as _,
            budgets: Arc::new(Executions::new(ExecutionBudgets::UNLIMITED)),
            clock: Arc::clone(&clock) as _,
            metrics: Arc::default(),
            tasks: TaskTracker::new(),
        };
        let parts = Parts {
            metrics: Arc::clone(&parts.metrics),
            pipeline: Arc::new(Pipeline::new(&config, parts)),
            webhooks: Arc::clone(&stand_in) as _,
            clock,
            checks: Arc::new(Checks::new(vec![tasks_run(supervisor.clone())], TaskMetrics::default())),
            database: database(Arc::clone(&stand_in)),
            tasks: TaskTracker::new(),
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
        Self { app, stand_in, supervisor, port }
    }
}
