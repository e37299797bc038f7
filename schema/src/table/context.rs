//! The execution of a field: the ports that it asks, and the way from a value or an error to the answer.

use async_graphql::{Context, OutputType, ServerError, ServerResult, Value};

use crate::{answer_size, error::PortError, ports::Ports};

/// A port's failure at the field that asked.
pub fn server_error(ctx: &Context<'_>, error: PortError) -> ServerError {
    async_graphql::Error::from(error).into_server_error(ctx.item.pos)
}

/// The ports of the execution.
pub(crate) fn ports<'a>(ctx: &Context<'a>) -> Result<&'a Ports, PortError> {
    ctx.data::<Ports>().map_err(|_| PortError::internal())
}

/// Answers a field with what is selected of a value.
pub(crate) async fn resolve_value<T: OutputType>(ctx: &Context<'_>, value: &T) -> ServerResult<Value> {
    OutputType::resolve(value, &ctx.with_selection_set(&ctx.item.node.selection_set), ctx.item).await
}

/// Adds a failure as an error at the field's path. The known part is answered beside it.
pub(crate) async fn note_missing(ctx: &Context<'_>, failure: Option<&PortError>) {
    if let Some(failure) = failure {
        answer_size::add_error(ctx, ctx.set_error_path(server_error(ctx, failure.clone()))).await;
    }
}
