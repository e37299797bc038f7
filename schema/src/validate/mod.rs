//! Validates a document against the graph, once: what it accepts is executed without being validated again.
//!
//! The library's own rules run here, apart from any execution, as an extension that stops behind them. Two of them are replaced
//! (see `overlap.rs` and `variables.rs`); what it does not check is added.

mod overlap;
mod subscription;
mod variables;

use std::sync::Arc;

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
/// How many errors are told.
const MAX_ERRORS: usize = 20;

/// Validates documents.
pub struct Validator {
    graph: GraphSchema,
    inputs: Inputs,
}

impl Default for Validator {
    fn default() -> Self {
        let graph = build::strict().validation_mode(ValidationMode::Strict).extension(StopBehindValidation).finish();
        Self { graph, inputs: Inputs::default() }
    }
}

impl Validator {
    /// Whether the document is valid, whatever its variables will be. An error tells where, and never shows a value.
    pub fn check(&self, document: &Arc<ExecutableDocument>) -> Result<(), Vec<ServerError>> {
        let mut literals = self.inputs.literals(document);
        if !literals.is_empty() {
            literals.truncate(MAX_ERRORS);
            return Err(literals);
        }
        let mut request = Request::new("").data(Arc::clone(document));
        request.set_parsed_query(ExecutableDocument::clone(document));
        // Nothing in it waits: the extension answers before anything is executed.
        let Some(mut response) = self.graph.execute(request).now_or_never() else {
            return Err(vec![server_error(PortError::internal())]);
        };
        if response.errors.iter().all(|error| error.message == VALID) && !response.errors.is_empty() {
            return Ok(());
        }
        error::give_codes(&mut response.errors);
        Err(response.errors)
    }
}

fn server_error(error: PortError) -> ServerError {
    async_graphql::Error::from(error).into_server_error(async_graphql::Pos::default())
}

/// An error of this module, at a place.
fn invalid(message: String, positions: Vec<async_graphql::Pos>) -> ServerError {
    let mut error = server_error(PortError::new(ErrorCode::GraphqlValidationFailed, message));
    error.locations = positions;
    error
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
                None => errors.push(server_error(PortError::internal())),
            }
        }
        errors.truncate(MAX_ERRORS);
        if errors.is_empty() {
            errors.push(ServerError::new(VALID, None));
        }
        Err(errors)
    }
}
