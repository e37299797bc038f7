//! Documents before the executor sees them: counted by a lexer of our own, parsed once, measured, validated, cached.
//!
//! The executor's parser recurses on nesting and its checks expand fragments without memory, so what would hurt it
//! is refused here. Measured before validation:
//! - tokens, nesting of brackets of any kind (values too) and aliases, before anything is parsed;
//! - fields after all fragments are expanded, for each operation of the document, used or not;
//! - depth: levels of fields; introspection (`__schema`, `__type`) counts as one level, and may nest its lists twice.
//!
//! A document within its limits is validated against the graph (`docs/adr/0028-validated-once.md`); no execution
//! does so again. Then the graph tells what it costs (`docs/adr/0030-cost-by-the-schema.md`): once, with the most expensive variables
//! there can be; with each request only where these would be over the limit.

mod conditions;
mod escape;
pub mod introspection;
mod lexer;
mod measure;

use std::sync::Arc;

use async_graphql::{
    Variables,
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
    },
};
use moka::sync::Cache;
use mullion_schema::error::ErrorCode;
use parking_lot::RwLock;

use self::measure::{Measurer, too_complex};
use crate::{
    config::Limits,
    telemetry::metrics::Metrics,
    transport::{engine::Engine, error::RequestError},
};

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

/// Parses and checks documents, each text once while the cache holds it.
pub struct Documents {
    /// They can change while the process runs.
    limits: RwLock<Arc<Limits>>,
    engine: Arc<dyn Engine>,
    metrics: Arc<Metrics>,
    // The key is the text itself: two texts never share an entry, whatever they hash to.
    cache: Cache<Arc<str>, Arc<Document>>,
}

/// What a parsed document weighs beside its text, in multiples of it; measured on queries of dashboards.
const PARSED_WEIGHT: u64 = 12;

impl Documents {
    /// An empty cache of at most `cache_bytes`.
    pub fn new(limits: Limits, cache_bytes: u64, metrics: Arc<Metrics>, engine: Arc<dyn Engine>) -> Self {
        let cache = Cache::builder()
            .max_capacity(cache_bytes)
            .weigher(|text: &Arc<str>, _| {
                let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
                u32::try_from(bytes.saturating_mul(PARSED_WEIGHT).saturating_add(512)).unwrap_or(u32::MAX)
            })
            .build();
        Self { limits: RwLock::new(Arc::new(limits)), engine, metrics, cache }
    }

    /// Measures by these limits from now on, documents that passed the old ones too.
    pub(crate) fn set_limits(&self, limits: Limits) {
        *self.limits.write() = Arc::new(limits);
        self.cache.invalidate_all();
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read())
    }

    /// The parsed document.
    pub fn parse(&self, text: &str) -> Result<Arc<Document>, RequestError> {
        if let Some(document) = self.cache.get(text) {
            self.metrics.cache_lookup("document", "hit");
            return Ok(document);
        }
        self.metrics.cache_lookup("document", "miss");
        let document = Arc::new(self.read(text)?);
        self.cache.insert(Arc::clone(&document.text), Arc::clone(&document));
        Ok(document)
    }

    /// Selects the operation and checks what depends on the variables.
    pub fn select(
        &self,
        document: &Document,
        name: Option<&str>,
        variables: &Variables,
    ) -> Result<OperationKind, RequestError> {
        let operation = find(&document.parsed.operations, name)?;
        if document.may_cost_too_much {
            let cost = self.engine.cost(&document.parsed, operation, Some(variables));
            self.check_cost(cost.total)?;
        }
        Ok(match operation.ty {
            OperationType::Query => OperationKind::Query,
            OperationType::Mutation => OperationKind::Mutation,
            OperationType::Subscription => OperationKind::Subscription,
        })
    }

    fn read(&self, text: &str) -> Result<Document, RequestError> {
        let limits = self.limits();
        let parsable = lexer::check(text, &limits)?;
        let mut parsed = parse_query(&parsable).map_err(|error| {
            let mut refused = RequestError::new(ErrorCode::GraphqlParseFailed, first_line(&error.to_string()));
            for entry in &mut refused.errors {
                entry.locations = error.positions().map(Into::into).collect();
            }
            refused
        })?;
        let mut measurer = Measurer::new(&parsed, &limits);
        for (_, operation) in parsed.operations.iter() {
            measurer.check(&operation.node)?;
        }
        measurer.check_fragments()?;
        conditions::lift(&mut parsed);
        let parsed = Arc::new(parsed);
        self.engine.validate(&parsed)?;
        let may_cost_too_much = self.measure(&parsed)?;
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        let mutates = parsed.operations.iter().any(|(_, operation)| operation.node.ty == OperationType::Mutation);
        let may_be_stored = !mutates || !text.contains('"');
        let introspects = introspection::asks(&parsed);
        Ok(Document { text: text.into(), hash, parsed, may_be_stored, may_cost_too_much, introspects })
    }

    /// Whether an operation is over the limit with some variables only. One that is over it with all is refused.
    fn measure(&self, parsed: &ExecutableDocument) -> Result<bool, RequestError> {
        let mut may_cost_too_much = false;
        for (_, operation) in parsed.operations.iter() {
            let cost = self.engine.cost(parsed, &operation.node, None);
            if !cost.varies {
                self.check_cost(cost.total)?;
            } else if cost.total > self.limits().max_cost {
                may_cost_too_much = true;
            }
        }
        Ok(may_cost_too_much)
    }

    fn check_cost(&self, cost: u64) -> Result<(), RequestError> {
        let most = self.limits().max_cost;
        if cost <= most {
            return Ok(());
        }
        let message = format!(
            "the operation's cost is {cost} (fields times the sizes of the lists around them); at most {most} is allowed: \
             ask for shorter lists or fewer fields"
        );
        Err(too_complex(message))
    }
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

/// The parser draws the place with several lines of text; the place has its own field.
fn first_line(message: &str) -> String {
    let reason = message.lines().filter_map(|line| line.trim().strip_prefix("= ")).next_back();
    format!("the document cannot be parsed: {}", reason.unwrap_or_else(|| message.lines().next().unwrap_or("syntax")))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
