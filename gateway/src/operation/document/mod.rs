//! Documents before the executor sees them: counted by a lexer of our own, parsed once, measured, validated, cached.
//!
//! The executor's parser recurses on nesting and its checks expand fragments without memory, so what would hurt it
//! is refused here. Measured before validation:
//! - tokens, nesting of brackets of any kind (values too) and aliases, before anything is parsed;
//! - names: one is in the path of each error below it;
//! - fields after all fragments are expanded, for each operation of the document, used or not;
//! - what all operations and fragments of the document come to together, expanded: validation walks them all;
//! - depth: levels of fields; introspection (`__schema`, `__type`) counts as one level, and may nest its lists twice.
//!
//! A document within its limits is validated against the graph (`docs/adr/0028-validated-once.md`); no execution
//! does so again. Then the graph tells what it costs (`docs/adr/0030-cost-by-the-schema.md`): once, with the most expensive variables
//! there can be; with each request only where these would be over the limit.
//!
//! The time that all this takes is charged to the tenant. Long documents are read on threads of their own, a few at a time.

mod conditions;
mod escape;
pub mod introspection;
mod lexer;
mod measure;
mod reader;
mod turns;

use std::{sync::Arc, time::Instant};

use async_graphql::{
    Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
};
use mullion_schema::error::{ErrorCode, RETRY_AFTER};
use tokio_util::task::TaskTracker;

use self::{
    reader::{Reader, hash},
    turns::Turns,
};
use crate::{
    config::Limits,
    telemetry::metrics::Metrics,
    transport::{
        engine::{Caller, Engine},
        error::RequestError,
    },
};

/// The longest text that is read where it is asked for, by a thread that serves sockets: it takes a few milliseconds at most, whatever
/// it says. A longer one waits for its turn, and another thread reads it.
const SHORT: usize = 1_024;

/// A valid document that passed all limits which do not depend on variables.
#[derive(Debug)]
pub struct Document {
    /// As it was sent.
    pub text: Arc<str>,
    /// Of the text, for caches further in.
    pub hash: [u8; 32],
    /// For the executor.
    pub parsed: Arc<ExecutableDocument>,
    /// Whether its text may be written to the database: not that of a mutation with strings in it, one of which may be a token.
    pub may_be_stored: bool,
    /// Whether an operation may be over the limit of the cost with some variables, so that each request is measured.
    may_cost_too_much: bool,
    /// Whether an operation asks for the graph's description.
    introspects: bool,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Reads.
    Query,
    /// Changes.
    Mutation,
    /// Watches.
    Subscription,
}

/// Parses and checks documents, each text once while it is remembered.
pub struct Documents {
    reader: Arc<Reader>,
    turns: Turns,
    tasks: TaskTracker,
}

impl Documents {
    /// Remembers valid documents of at most `cache_bytes`. Long ones are read in `tasks`.
    pub fn new(
        (limits, cache_bytes): (Limits, u64),
        metrics: Arc<Metrics>,
        engine: Arc<dyn Engine>,
        tasks: TaskTracker,
    ) -> Self {
        Self { reader: Arc::new(Reader::new(limits, cache_bytes, metrics, engine)), turns: Turns::default(), tasks }
    }

    /// Measures by these limits from now on, documents that passed the old ones too.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.reader.set_limits(limits);
    }

    /// The parsed document, for a caller whose time it takes.
    pub async fn parse(&self, caller: &Caller, text: &str) -> Result<Arc<Document>, RequestError> {
        match self.parse_at_once(caller, text) {
            Some(parsed) => parsed,
            None => Box::pin(self.parse_in_turn(caller, text)).await,
        }
    }

    /// The same without waiting; `None`: it takes so long that it has to wait for its turn.
    pub fn parse_at_once(&self, caller: &Caller, text: &str) -> Option<Result<Arc<Document>, RequestError>> {
        if let Some(document) = self.reader.valid(text) {
            return Some(Ok(document));
        }
        let hash = hash(text);
        if let Some(refused) = self.reader.refused(&hash) {
            return Some(Err(refused));
        }
        (text.len() <= SHORT).then(|| self.reader.read(caller, text, hash))
    }

    async fn parse_in_turn(&self, caller: &Caller, text: &str) -> Result<Arc<Document>, RequestError> {
        let Some(turn) = self.turns.take(&caller.tenant).await else {
            let message = "too many documents of your tenant wait to be read: try again in a few seconds";
            return Err(RequestError::new(ErrorCode::RateLimited, message).worth_another_try(RETRY_AFTER));
        };
        // Another request may have brought it meanwhile.
        if let Some(document) = self.reader.valid(text) {
            return Ok(document);
        }
        let (reader, caller, text) = (Arc::clone(&self.reader), caller.clone(), Arc::<str>::from(text));
        let span = tracing::Span::current();
        let read = self.tasks.spawn_blocking(move || {
            // Until it is read, also where the client has gone.
            let _turn = turn;
            span.in_scope(|| reader.read(&caller, &text, hash(&text)))
        });
        read.await.unwrap_or_else(|error| {
            tracing::error!(%error, "reading a document broke off");
            Err(RequestError::new(ErrorCode::InternalServerError, "internal error"))
        })
    }

    /// Selects the operation, drops the variables that it does not declare, and checks what depends on the others.
    pub fn select(
        &self,
        caller: &Caller,
        document: &Document,
        (name, variables): (Option<&str>, &mut Variables),
    ) -> Result<OperationKind, RequestError> {
        let operation = find(&document.parsed.operations, name)?;
        keep_declared(operation, variables);
        if document.may_cost_too_much {
            let (engine, begun) = (self.reader.engine(), Instant::now());
            let cost = engine.cost(&document.parsed, operation, Some(variables));
            self.reader.check_cost(cost.total).inspect_err(|_| engine.charge(caller, begun.elapsed()))?;
        }
        Ok(match operation.ty {
            OperationType::Query => OperationKind::Query,
            OperationType::Mutation => OperationKind::Mutation,
            OperationType::Subscription => OperationKind::Subscription,
        })
    }
}

/// Drops what no one will ask for, before a cache or a subscription keeps it.
fn keep_declared(operation: &OperationDefinition, variables: &mut Variables) {
    let declared = operation.variable_definitions.iter().map(|definition| &definition.node.name.node);
    let kept = declared.filter_map(|name| variables.remove_entry(name)).collect();
    **variables = kept;
}

fn find<'a>(operations: &'a DocumentOperations, name: Option<&str>) -> Result<&'a OperationDefinition, RequestError> {
    match (operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(&operation.node),
        (DocumentOperations::Multiple(operations), None) => {
            let mut all = operations.values();
            match (all.next(), all.next()) {
                (Some(operation), None) => Ok(&operation.node),
                _ => Err(RequestError::bad_input("`operationName` is needed: the document has several operations")),
            }
        }
        (DocumentOperations::Multiple(operations), Some(name)) if operations.contains_key(name) => {
            operations.get(name).map(|operation| &operation.node).ok_or_else(|| unknown(name))
        }
        (_, Some(name)) => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> RequestError {
    let shown: String = name.chars().take(80).collect();
    RequestError::bad_input(format!("`operationName`: the document has no operation {shown:?}"))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
