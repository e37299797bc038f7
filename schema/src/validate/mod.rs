//! Validates a document against the graph, once: what it accepts is executed without being validated again.
//!
//! The library's own rules run here, apart from any execution, as an extension that stops behind them. Two of them are replaced
//! (see `overlap.rs` and `variables.rs`); what it does not check is added.

mod overlap;
mod subscription;
mod suggestion;
mod variables;

use std::{collections::HashSet, sync::Arc};

use async_graphql::{
    Request, ServerError, ValidationMode, ValidationResult,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation},
    parser::types::ExecutableDocument,
};
use futures::FutureExt;

use crate::{
    build::{self, GraphSchema},
    coerce::Inputs,
    error::{self, ErrorCode, PortError},
};

/// The answer of the extension for a valid document, so that nothing is executed. It is never shown.
const VALID: &str = "valid";
/// How the errors of the library's rules begin and go on that are replaced. Other rules do not use these words.
const REPLACED: [(&str, &str); 2] =
    [("Fields \"", "\" conflict because "), ("Variable \"", "\" used in position expecting type ")];
/// How many errors are told: each of another kind.
const MAX_ERRORS: usize = 10;

/// Validates documents.
pub struct Validator {
    graph: GraphSchema,
    inputs: Inputs,
}

impl Default for Validator {
    fn default() -> Self {
        let graph = build::strict()
            .disable_suggestions()
            .validation_mode(ValidationMode::Strict)
            .extension(StopBehindValidation)
            .finish();
        Self { graph, inputs: Inputs::default() }
    }
}

impl Validator {
    /// Whether the document is valid, whatever its variables will be. An error tells where, and never shows a value. Only the
    /// first error of each kind is told: a mistake that is made a thousand times does not make a thousand errors.
    pub fn check(&self, document: &Arc<ExecutableDocument>) -> Result<(), Vec<ServerError>> {
        let literals = self.inputs.literals(document);
        if !literals.is_empty() {
            return Err(first_of_each_kind(literals));
        }
        let mut request = Request::new("").data(Arc::clone(document));
        request.set_parsed_query(ExecutableDocument::clone(document));
        // Nothing in it waits: the extension answers before anything is executed.
        let Some(mut response) = self.graph.execute(request).now_or_never() else {
            return Err(vec![PortError::internal().without_location()]);
        };
        if response.errors.iter().all(|error| error.message == VALID) && !response.errors.is_empty() {
            return Ok(());
        }
        error::give_codes(&mut response.errors);
        Err(response.errors)
    }
}

/// An error of this module, at a place.
fn invalid(message: String, positions: Vec<async_graphql::Pos>) -> ServerError {
    let mut error = PortError::new(ErrorCode::GraphqlValidationFailed, message).without_location();
    error.locations = positions;
    error
}

/// The first error of each kind.
fn first_of_each_kind(mut errors: Vec<ServerError>) -> Vec<ServerError> {
    let mut kinds = HashSet::new();
    errors.retain(|error| kinds.len() < MAX_ERRORS && kinds.insert(kind(&error.message)));
    errors
}

/// An error's message without names: those are quoted, or stand before the colon behind the place of a value.
fn kind(message: &str) -> String {
    let unquoted: String = message.split('"').step_by(2).collect();
    let without_suggestion = unquoted.split(" Did you mean").next().unwrap_or_default();
    match without_suggestion.split_once(": ") {
        Some((place, problem)) if !place.contains(' ') => problem.to_owned(),
        _ => without_suggestion.to_owned(),
    }
}

struct StopBehindValidation;

impl ExtensionFactory for StopBehindValidation {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for StopBehindValidation {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let mut errors = next.run(ctx).await.err().unwrap_or_default();
        let is_replaced = |message: &str| REPLACED.iter().any(|(a, b)| message.starts_with(a) && message.contains(b));
        errors.retain(|error| !is_replaced(&error.message));
        if errors.is_empty() {
            // Only now: both rules follow fragments, and a cycle of them is among the errors of the library.
            match ctx.data_opt::<Arc<ExecutableDocument>>() {
                Some(document) => {
                    let registry = &ctx.schema_env.registry;
                    errors = overlap::check(registry, document);
                    errors.extend(variables::check(registry, document));
                    errors.extend(subscription::check(document));
                }
                None => errors.push(PortError::internal().without_location()),
            }
        }
        let mut errors = first_of_each_kind(errors);
        suggestion::add(&ctx.schema_env.registry, &mut errors);
        if errors.is_empty() {
            errors.push(ServerError::new(VALID, None));
        }
        Err(errors)
    }
}
