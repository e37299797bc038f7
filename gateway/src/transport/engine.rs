//! The seam to what executes operations. The transports know nothing else of it, and are tested over a stand-in.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_graphql::{
    Variables,
    parser::types::{ExecutableDocument, OperationDefinition},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mullion_schema::{
    cost::Cost,
    id::{EventCursor, TenantId},
};
use tokio_util::sync::CancellationToken;

use super::{error::RequestError, persisted::DocumentHash};
use crate::document::{Document, OperationKind};

/// What a caller may do, the least first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumString, clap::ValueEnum,
)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, and changes dashboards.
    Editor,
    /// Everything, integrations too.
    Admin,
}

/// Who asks, as the credential says. Cheap to clone.
#[derive(Clone)]
pub struct Caller(Arc<CallerParts>);

/// What a [`Caller`] is made of.
pub struct CallerParts {
    /// Owns everything that the caller sees.
    pub tenant: TenantId,
    /// What the caller may do.
    pub role: Role,
    /// Fires when the credential is revoked: sockets close with 4403, streams end.
    pub revoked: CancellationToken,
    /// Whatever the engine wants to find again: the permission set.
    pub context: Arc<dyn Any + Send + Sync>,
}

impl Caller {
    /// A caller, as the engine authenticated it.
    pub fn new(parts: CallerParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Caller {
    type Target = CallerParts;

    fn deref(&self) -> &CallerParts {
        &self.0
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("tenant", &self.tenant).field("role", &self.role).finish_non_exhaustive()
    }
}

/// An operation of a valid document within its limits: parsed and selected.
#[derive(Debug, Clone)]
pub struct ParsedOperation {
    /// The text, its hash and its parsed form; shared by all requests that send the same text.
    pub document: Arc<Document>,
    /// The operation's name, as the request gave it; `None` when the document holds one operation only.
    pub operation_name: Option<String>,
    /// Query, mutation or subscription.
    pub kind: OperationKind,
    /// The request's variables, not yet checked against the graph.
    pub variables: Variables,
    /// The request's extensions, a JSON object or nothing.
    pub extensions: serde_json::Map<String, serde_json::Value>,
    /// Of the request; belongs into the extensions of internal errors.
    pub request_id: Arc<str>,
    /// `Last-Event-ID` of an event stream: overrides the subscription's `after`.
    pub resume_after: Option<String>,
}

impl ParsedOperation {
    /// The operation as async-graphql takes it; put loaders and recorders into its data.
    pub fn to_request(&self) -> async_graphql::Request {
        let mut request = async_graphql::Request::new(&*self.document.text).variables(self.variables.clone());
        if let Some(name) = &self.operation_name {
            request = request.operation_name(name.clone());
        }
        request.set_parsed_query(ExecutableDocument::clone(&self.document.parsed));
        request
    }
}

/// What an operation came to.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It was executed: a serialized GraphQL response with `data`, which may be null.
    Result(Bytes),
    /// It was not: validation, variables, permissions.
    Refused(RequestError),
}

/// One answer of a subscription.
#[derive(Debug, Clone)]
pub struct LiveFrame {
    /// A serialized GraphQL response, shared by all sockets that wait for it.
    pub payload: Bytes,
    /// The stream's position after it, where it has one.
    pub cursor: Option<EventCursor>,
    /// That position, where everything up to it was told with this frame.
    pub through: Option<i64>,
}

impl LiveFrame {
    /// An answer that is no part of the stream: an error, the result of a query.
    pub fn alone(payload: Bytes) -> Self {
        Self { payload, cursor: None, through: None }
    }
}

/// A position up to which a subscription told everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveMark {
    /// The position.
    pub position: i64,
    /// The same as clients may hold it.
    pub cursor: EventCursor,
}

/// What a subscription gives.
#[derive(Debug, Clone)]
pub enum LiveItem {
    /// An answer, to be sent.
    Frame(LiveFrame),
    /// What keep-alives may tell, once everything before it was sent.
    Mark(LiveMark),
    /// The last one: the subscription cannot go on here for now. The client is told why, and to come again with its cursor.
    Interrupted(RequestError),
}

/// Why nobody was let in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// No credential, where one is needed.
    #[error("an API key is needed: send `Authorization: Bearer KEY` (WebSocket: `authorization` in `connection_init`)")]
    Missing,
    /// A credential that is unknown or revoked.
    #[error("the API key is not valid")]
    Invalid,
    /// The credential could not be checked; the cause was logged.
    #[error("the API key could not be checked: try again in a few seconds")]
    Unavailable,
}

/// Executes operations.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Who holds this credential. `bearer` is the key alone, without the scheme.
    async fn authenticate(&self, bearer: Option<&str>) -> Result<Caller, AuthError>;

    /// Whether a document is valid in the graph; asked once for each document.
    fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), RequestError>;

    /// The cost of an operation of a valid document with these variables; without them, with the most expensive ones there can be.
    fn cost(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: Option<&Variables>,
    ) -> Cost;

    /// Whether the caller's tenant has processor time left to have a document read; otherwise the refusal, which tells when to come again.
    fn check_time(&self, caller: &Caller) -> Result<(), RequestError>;

    /// So much processor time was used for the caller's tenant.
    fn charge(&self, caller: &Caller, used: Duration);

    /// The document that this tenant registered under a hash; `None` when there is none.
    async fn persisted(&self, caller: &Caller, hash: &DocumentHash) -> Result<Option<Arc<str>>, RequestError>;

    /// Registers a document, whose hash was compared, for all replicas. Whether it was stored: when not, the cause was logged.
    async fn persist(&self, caller: &Caller, hash: &DocumentHash, text: &str) -> bool;

    /// Executes a query or a mutation. May be dropped at the request's timeout: what must finish is spawned.
    async fn execute(&self, caller: &Caller, operation: ParsedOperation) -> Answer;

    /// Starts a subscription; dropping the stream ends it.
    async fn subscribe(
        &self,
        caller: &Caller,
        operation: ParsedOperation,
    ) -> Result<BoxStream<'static, LiveItem>, RequestError>;

    /// Whether what every operation needs is there; otherwise what is not. May hang.
    async fn ready(&self) -> Result<(), &'static str>;
}
