//! From a request to its answer, whatever brought the request: authenticate, find the document and check it, select the operation,
//! then execute or follow it. HTTP and the other transports stand above it and know nothing of what executes.
//!
//! [`Execute`] and [`Follow`] are the two things that a graph does with an operation that was checked, and [`Rules`] is what it says
//! of documents. Authentication, persisted documents and the tenants' processor time do not depend on the graph.

pub mod authenticate;
pub mod document;
pub mod errors;
pub mod limits;
pub mod params;
pub mod persisted;
pub mod request_id;
pub mod run;
pub mod subscribe;

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use mullion_resolvers::{
    budget::Executions,
    clock::Clock,
    execution::{Caller, Operation},
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::{
    authenticate::{AuthError, Authenticator},
    document::{Document, Documents, Rules, Surroundings},
    errors::RequestError,
    limits::ProcessorTime,
    params::{Params, without_document},
    persisted::{DocumentHash, DocumentStore, PersistedQueries},
    run::Execute,
    subscribe::Follow,
};
use crate::{
    config::{Config, Limits, server::Audience},
    telemetry::metrics::Metrics,
};

/// How long the database may take for what every request asks of it, its key or its endpoint: Slack gives up after 3 s.
pub(crate) const DATABASE_PATIENCE: Duration = Duration::from_millis(2500);

/// The parts that requests go through.
pub struct Parts {
    /// Says which documents are valid, and what they cost.
    pub rules: Arc<dyn Rules>,
    /// Executes queries and mutations.
    pub execute: Arc<dyn Execute>,
    /// Follows subscriptions.
    pub follow: Arc<dyn Follow>,
    /// Finds the caller of a request.
    pub authenticator: Authenticator,
    /// Has the persisted documents.
    pub store: Arc<dyn DocumentStore>,
    /// The budgets, and how much of them the tenants have used.
    pub budgets: Arc<Executions>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// The tasks that the end of the process waits for.
    pub tasks: TaskTracker,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The request's id.
    pub request_id: Arc<str>,
    /// `Last-Event-ID` of an event stream: overrides the subscription's `after`.
    pub resume_after: Option<String>,
}

/// A request that may be run: its operation was checked and selected.
#[derive(Debug, Clone)]
pub struct Request {
    /// The operation.
    pub operation: Operation,
    /// The request's origin; its id belongs into the extensions of internal errors.
    pub origin: Origin,
}

/// The way from a request to its answer.
pub struct Pipeline {
    authenticator: Authenticator,
    documents: Documents,
    persisted: PersistedQueries,
    execute: Arc<dyn Execute>,
    follow: Arc<dyn Follow>,
    introspection: Audience,
    /// How long a query or a mutation may take.
    patience: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Pipeline {
    /// Puts the parts together.
    pub fn new(config: &Config, parts: Parts) -> Self {
        let Parts { rules, execute, follow, authenticator, store, budgets, clock, metrics, tasks } = parts;
        let time = ProcessorTime::new(budgets, Arc::clone(&metrics));
        let surroundings = Surroundings { rules, time, metrics: Arc::clone(&metrics), tasks: tasks.clone() };
        Self {
            authenticator,
            documents: Documents::new(config.limits.clone(), config.cache.document_bytes, surroundings),
            persisted: PersistedQueries::new(&config.persisted, store, tasks),
            execute,
            follow,
            introspection: config.server.introspection,
            patience: Duration::from_secs(config.server.request_timeout_seconds),
            clock,
            metrics,
        }
    }

    /// Measures documents by these limits from now on.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.documents.set_limits(limits);
    }

    /// A new id for a request.
    pub(crate) fn new_id(&self) -> Arc<str> {
        request_id::new(&*self.clock)
    }

    /// The caller of a request, by its key alone, without the scheme.
    pub(crate) async fn authenticate(&self, key: Option<&str>) -> Result<Caller, AuthError> {
        let checked = timeout(DATABASE_PATIENCE, self.authenticator.authenticate(key)).await;
        checked.unwrap_or(Err(AuthError::Unavailable))
    }

    /// The caller of a request over HTTP.
    pub(crate) async fn authenticate_request(&self, headers: &HeaderMap, id: &str) -> Result<Caller, RequestError> {
        let checked = self.authenticate(authenticate::key_of(headers)).await;
        checked.map_err(|error| RequestError::from(error).of_request(id))
    }

    /// Finds the document by its hash where one is given, checks its limits and selects the operation.
    pub(crate) async fn find(&self, params: Params, caller: &Caller, origin: Origin) -> Result<Request, RequestError> {
        let hash = params.extensions.as_ref().map_or(Ok(None), DocumentHash::given)?;
        let query = params.query.as_deref();
        let document = match (hash, query.filter(|query| !query.is_empty())) {
            (None, _) => self.documents.parse(caller, query.ok_or_else(without_document)?).await,
            (Some(hash), Some(query)) => self.persisted.register(&self.documents, caller, hash, query).await,
            (Some(hash), None) => self.documents.parse(caller, &self.persisted.find(caller, hash).await?).await,
        };
        self.select(params, caller, document, origin)
    }

    /// The document that a request gives, where it is there without waiting: short, or known.
    pub(crate) fn document_at_once(
        &self,
        params: &Params,
        caller: &Caller,
    ) -> Option<Result<Arc<Document>, RequestError>> {
        let query = params.query.as_deref().filter(|_| !params.names_persisted())?;
        self.documents.parse_at_once(caller, query)
    }

    /// Selects the operation of a document.
    pub(crate) fn select(
        &self,
        params: Params,
        caller: &Caller,
        document: Result<Arc<Document>, RequestError>,
        origin: Origin,
    ) -> Result<Request, RequestError> {
        let role = caller.viewer.role;
        let document = document.map_err(|error| self.introspection.tell(role, error))?;
        self.introspection.check(role, &document)?;
        let name = params.operation_name.filter(|name| !name.is_empty());
        let operation = self.documents.select(caller, &document, name, params.variables)?;
        Ok(Request { operation, origin })
    }
}
