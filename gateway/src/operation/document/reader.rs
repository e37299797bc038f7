//! Reads a text once: counts, parses, measures and validates it, charges the time to its tenant, and remembers what came of it.
//!
//! A refusal is remembered too: a client that sends the same document again costs a look-up. It is remembered by the hash of the
//! text, so that it takes little room whatever was sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::{
    Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, OperationDefinition, OperationType},
    },
};
use moka::sync::Cache;
use mullion_resolvers::execution::Caller;
use mullion_schema::error::ErrorCode;
use parking_lot::RwLock;

use super::{
    Document, Surroundings, conditions, introspection, lexer,
    measure::{Measurer, too_complex},
};
use crate::{config::Limits, operation::errors::RequestError};

/// The memory of a parsed document beside its text, in multiples of it; measured on queries of dashboards.
const PARSED_WEIGHT: u64 = 12;
/// Bytes of refusals that are remembered.
const REFUSED_BYTES: u64 = 4_000_000;
/// How long a refusal is remembered.
const REFUSED_FOR: Duration = Duration::from_mins(1);
/// The bytes of a refusal beside the messages of its errors, about.
const REFUSAL_BYTES: usize = 512;

/// A text's hash.
pub(super) type Hash = [u8; 32];

/// The documents that were read, and what is needed to read others.
pub(super) struct Reader {
    /// They can change while the process runs.
    limits: RwLock<Arc<Limits>>,
    surroundings: Surroundings,
    // The key is the text itself: two texts never share an entry, whatever they hash to.
    valid: Cache<Arc<str>, Arc<Document>>,
    refused: Cache<Hash, Arc<RequestError>>,
}

pub(super) fn hash(text: &str) -> Hash {
    *blake3::hash(text.as_bytes()).as_bytes()
}

impl Reader {
    /// Remembers valid documents of at most `cache_bytes`.
    pub(super) fn new(limits: Limits, cache_bytes: u64, surroundings: Surroundings) -> Self {
        let valid = Cache::builder()
            .max_capacity(cache_bytes)
            .weigher(|text: &Arc<str>, _| {
                let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
                u32::try_from(bytes.saturating_mul(PARSED_WEIGHT).saturating_add(512)).unwrap_or(u32::MAX)
            })
            .build();
        let refused = Cache::builder()
            .max_capacity(REFUSED_BYTES)
            .weigher(|_, error: &Arc<RequestError>| {
                let bytes = error.errors.iter().map(|entry| entry.message.len().saturating_add(REFUSAL_BYTES));
                u32::try_from(bytes.sum::<usize>()).unwrap_or(u32::MAX)
            })
            .time_to_live(REFUSED_FOR)
            .build();
        Self { limits: RwLock::new(Arc::new(limits)), surroundings, valid, refused }
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        *self.limits.write() = Arc::new(limits);
        self.valid.invalidate_all();
        self.refused.invalidate_all();
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read())
    }

    /// The document, if it was read and is valid.
    pub(super) fn valid(&self, text: &str) -> Option<Arc<Document>> {
        let document = self.valid.get(text)?;
        self.surroundings.metrics.cache_lookup("document", "hit");
        Some(document)
    }

    /// Why the text with this hash was refused, if it was.
    pub(super) fn refused(&self, hash: &Hash) -> Option<RequestError> {
        let refused = self.refused.get(hash)?;
        self.surroundings.metrics.cache_lookup("document", "hit");
        Some(RequestError::clone(&refused))
    }

    /// Reads a text of which nothing is known. The time that it takes is the tenant's, also where the text is refused.
    pub(super) fn read(&self, caller: &Caller, text: &str, hash: Hash) -> Result<Arc<Document>, RequestError> {
        self.surroundings.metrics.cache_lookup("document", "miss");
        self.surroundings.time.check(caller)?;
        let begun = Instant::now();
        let read = self.document(text, hash);
        self.surroundings.time.charge(caller, begun.elapsed());
        match read {
            Ok(document) => {
                let document = Arc::new(document);
                self.valid.insert(Arc::clone(&document.text), Arc::clone(&document));
                Ok(document)
            }
            Err(error) => {
                if error.code != ErrorCode::InternalServerError {
                    self.refused.insert(hash, Arc::new(error.clone()));
                }
                Err(error)
            }
        }
    }

    fn document(&self, text: &str, hash: Hash) -> Result<Document, RequestError> {
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
        self.surroundings.rules.validate(&parsed).map_err(|errors| RequestError::of_execution(errors, ""))?;
        let may_cost_too_much = self.measure(&parsed)?;
        let mutates = parsed.operations.iter().any(|(_, operation)| operation.node.ty == OperationType::Mutation);
        let may_be_stored = !mutates || !text.contains('"');
        let introspects = introspection::asks(&parsed);
        Ok(Document { text: text.into(), hash, parsed, may_be_stored, may_cost_too_much, introspects })
    }

    /// Whether an operation is over the limit with some variables only. One that is over it with all is refused.
    fn measure(&self, parsed: &ExecutableDocument) -> Result<bool, RequestError> {
        let mut may_cost_too_much = false;
        for (_, operation) in parsed.operations.iter() {
            let cost = self.surroundings.rules.cost(parsed, &operation.node, None);
            if !cost.varies {
                self.check_cost(cost.total)?;
            } else if cost.total > self.limits().max_cost {
                may_cost_too_much = true;
            }
        }
        Ok(may_cost_too_much)
    }

    /// Whether an operation is within the limit with these variables. The time that it took to find out is the tenant's if it is not.
    pub(super) fn check_variable_cost(
        &self,
        caller: &Caller,
        document: &Document,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Result<(), RequestError> {
        let begun = Instant::now();
        let cost = self.surroundings.rules.cost(&document.parsed, operation, Some(variables));
        let checked = self.check_cost(cost.total);
        checked.inspect_err(|_| self.surroundings.time.charge(caller, begun.elapsed()))
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

/// The parser draws the place with several lines of text; the place has its own field.
fn first_line(message: &str) -> String {
    let reason = message.lines().filter_map(|line| line.trim().strip_prefix("= ")).next_back();
    format!("the document cannot be parsed: {}", reason.unwrap_or_else(|| message.lines().next().unwrap_or("syntax")))
}
