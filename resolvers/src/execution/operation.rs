//! An operation that is to be executed, and its caller.

use std::sync::Arc;

use async_graphql::{
    Request, Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationType},
};
use mullion_schema::{id::TenantId, ports::ViewerView};
use tracing::Span;

use super::sharing;
use crate::credentials::Credential;

/// The caller of an operation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The caller as the graph shows it.
    pub viewer: Arc<ViewerView>,
    /// Held as long as the caller is served, so that it is told when the key is revoked. In `dev` there may be none.
    credential: Option<Arc<Credential>>,
}

impl Caller {
    /// The holder of a key.
    pub fn with_key(credential: Arc<Credential>) -> Self {
        Self { viewer: Arc::clone(&credential.viewer), credential: Some(credential) }
    }

    /// A caller of whom no key was asked.
    pub fn without_key(viewer: Arc<ViewerView>) -> Self {
        Self { viewer, credential: None }
    }

    /// Ends when the key is revoked: sockets are closed then, and streams end. Without a key it never does.
    pub async fn revoked(&self) {
        match &self.credential {
            Some(credential) => credential.revoked.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// The owner of everything that the caller sees.
    pub fn tenant(&self) -> &TenantId {
        &self.viewer.tenant
    }

    /// The caller's permissions as a key: callers with equal keys may share an answer to this document.
    pub(super) fn permission_set(&self, document: &ExecutableDocument) -> String {
        let credential = if sharing::is_personal(document) { self.viewer.id.as_str() } else { "" };
        format!("{}\n{}\n{credential}", self.viewer.tenant, self.viewer.role)
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
    /// Whether it reads, changes or watches.
    pub fn kind(&self) -> OperationType {
        let operation = match (&self.document.operations, self.name.as_deref()) {
            (DocumentOperations::Single(operation), _) => Some(operation),
            (DocumentOperations::Multiple(named), Some(name)) => named.get(name),
            (DocumentOperations::Multiple(named), None) => named.values().next(),
        };
        operation.map_or(OperationType::Query, |operation| operation.node.ty)
    }

    pub(super) fn request(&self) -> Request {
        let mut request = Request::new(&*self.text).variables(self.variables.clone());
        if let Some(name) = &self.name {
            request = request.operation_name(name.clone());
        }
        request.set_parsed_query(ExecutableDocument::clone(&self.document));
        request
    }

    /// Its name in the log: the one in its document, which the request need not repeat where there is one operation only.
    pub(super) fn label(&self) -> Option<&str> {
        let only = match &self.document.operations {
            DocumentOperations::Multiple(named) if named.len() == 1 => named.keys().next().map(|name| &**name),
            _ => None,
        };
        self.name.as_deref().or(only)
    }

    /// Document, operation name and variables, in full: equal keys are equal operations.
    pub(super) fn key(&self) -> String {
        let variables = serde_json::to_string(&self.variables).unwrap_or_default();
        format!("{}\n{variables}\n{}", self.name.as_deref().unwrap_or_default(), self.text)
    }
}

/// The span of an execution in the log, inside that of its request.
pub(super) fn span_of(caller: &Caller, operation: &Operation, number: u64) -> Span {
    let (tenant, label) = (caller.tenant(), operation.label());
    tracing::error_span!("execution", %tenant, operation = label, execution = number)
}
