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

use std::{num::NonZero, sync::Arc};

use async_graphql::{
    ServerError, Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition},
};
use mullion_resolvers::{
    budget::{TurnLimits, Turns},
    execution::{Caller, Executor, Operation},
};
use mullion_schema::{
    cost::Cost,
    error::{ErrorCode, RETRY_AFTER},
};
use tokio_util::task::TaskTracker;

use self::reader::{Reader, hash};
use super::{errors::RequestError, limits::ProcessorTime};
use crate::{config::Limits, telemetry::metrics::Metrics};

/// The longest text that is read where it is asked for, by a thread that serves sockets: it takes a few milliseconds at most, whatever
/// it says. A longer one waits for its turn, and another thread reads it.
const SHORT: usize = 1_024;

/// How many documents of one tenant may wait or be read: each is in memory meanwhile.
const MOST_OF_TENANT: usize = 64;

/// The rules of a graph: which documents are valid, and what they cost. It is asked once for each document, and for the cost with
/// each request where variables may take it over the limit.
pub trait Rules: Send + Sync {
    /// Whether a document is valid in the graph.
    fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), Vec<ServerError>>;

    /// The cost of an operation of a valid document with these variables; without them, with the most expensive ones there can be.
    fn cost(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: Option<&Variables>,
    ) -> Cost;
}

impl Rules for Executor {
    fn validate(&self, document: &Arc<ExecutableDocument>) -> Result<(), Vec<ServerError>> {
        Self::validate(self, document)
    }

    fn cost(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: Option<&Variables>,
    ) -> Cost {
        Self::cost(self, document, operation, variables)
    }
}

/// The parts of the process that reading documents takes.
pub struct Surroundings {
    /// The graph's word on documents.
    pub rules: Arc<dyn Rules>,
    /// The tenants' processor time, of which reading takes some.
    pub time: ProcessorTime,
    /// Where look-ups are counted.
    pub metrics: Arc<Metrics>,
    /// Where long documents are read.
    pub tasks: TaskTracker,
}

/// A valid document that passed all limits which do not depend on variables.
#[derive(Debug)]
pub struct Document {
    /// As it was sent.
    pub text: Arc<str>,
    /// The hash of the text, for caches further in.
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

/// Parses and checks documents, each text once while it is remembered.
pub struct Documents {
    reader: Arc<Reader>,
    turns: Turns,
    tasks: TaskTracker,
}

impl Documents {
    /// Remembers valid documents of at most `cache_bytes`. As many long ones are read at a time as half of the processors: the others
    /// answer meanwhile.
    pub fn new(limits: Limits, cache_bytes: u64, surroundings: Surroundings) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let turns =
            TurnLimits { tenant: 1, all: Some((processors / 2).max(1)), admitted: MOST_OF_TENANT, patience: None };
        let tasks = surroundings.tasks.clone();
        let reader = Arc::new(Reader::new(limits, cache_bytes, surroundings));
        Self { reader, turns: Turns::new(turns), tasks }
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
        let Some(turn) = self.turns.take(caller.tenant()).await else {
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
        name: Option<String>,
        mut variables: Variables,
    ) -> Result<Operation, RequestError> {
        let operation = find(&document.parsed.operations, name.as_deref())?;
        keep_declared(operation, &mut variables);
        if document.may_cost_too_much {
            self.reader.check_variable_cost(caller, document, operation, &variables)?;
        }
        let (text, document) = (Arc::clone(&document.text), Arc::clone(&document.parsed));
        Ok(Operation { text, document, name, variables })
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
