//! How large an answer grows, counted while it is built. One that grows over its limit is given up there and then: what it holds is
//! freed, and nothing more is read for it.
//!
//! Values of providers are counted as they come, our own when the item of a list is complete that they belong to. The rest
//! (punctuation, single objects of our own) is small and limited by the cost; whoever writes the answer out has the exact number.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::{Arc, OnceLock, atomic::AtomicUsize, atomic::Ordering},
    task::Poll,
};

use async_graphql::{Context, ContextBase, ContextSelectionSet, PathSegment, Response, ServerError, Value};

use crate::error::{ErrorCode, PortError};

/// Quotes, colon and comma around a key.
const PUNCTUATION: usize = 4;

/// Keys, locations and extensions of an error, at least.
const ERROR: usize = 80;

/// The bytes that one answer may still grow by. Give it to the request as data, and run the execution in [`AnswerSize::bound`].
#[derive(Debug, Clone)]
pub struct AnswerSize(Arc<State>);

#[derive(Debug)]
struct State {
    limit: usize,
    used: AtomicUsize,
    /// How many of the answer's errors are counted.
    counted_errors: AtomicUsize,
    /// The error at the field where the answer grew over the limit.
    exceeded: OnceLock<ServerError>,
}

impl AnswerSize {
    /// An answer of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        let (used, counted_errors) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(State { limit, used, counted_errors, exceeded: OnceLock::new() }))
    }

    /// Runs an execution until it is done or its answer is too large.
    pub async fn bound(self, execution: impl Future<Output = Response>) -> Response {
        // Dropped before the answer is made: it holds all that was read.
        let response = {
            let mut execution = pin!(execution);
            poll_fn(|context| match execution.as_mut().poll(context) {
                // Fields that find the answer too large wait for ever, within this poll.
                _ if self.0.exceeded.get().is_some() => Poll::Ready(None),
                polled => polled.map(Some),
            })
            .await
        };
        response.unwrap_or_else(|| Response::from_errors(self.0.exceeded.get().cloned().into_iter().collect()))
    }

    /// Adds bytes; whether the answer is within its limit.
    fn add(&self, bytes: usize, error: impl FnOnce(ServerError) -> ServerError) -> bool {
        if self.0.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.0.limit {
            return true;
        }
        self.0.exceeded.get_or_init(|| error(too_large(self.0.limit)));
        false
    }
}

/// The error of an answer that would be larger than so many bytes.
pub fn too_large(limit: usize) -> ServerError {
    let message =
        format!("the answer is larger than {limit} bytes: ask for fewer items or fields, and page through the rest");
    PortError::new(ErrorCode::OperationTooComplex, message).without_location()
}

/// Counts the value of a field. Does not return once the answer is too large.
pub(crate) async fn count_field(ctx: &Context<'_>, value: &Value) {
    let Some(size) = ctx.data_opt::<AnswerSize>() else { return };
    let key = ctx.item.node.response_key().node.len().saturating_add(PUNCTUATION);
    if !size.add(key.saturating_add(bytes_of(value)), |error| ctx.set_error_path(error)) {
        pending::<()>().await;
    }
}

/// Counts the values that an object of our own holds itself: not those of the objects and lists in it.
pub(crate) async fn count_object(ctx: &ContextSelectionSet<'_>, value: &Value) {
    let (Some(size), Value::Object(fields)) = (ctx.data_opt::<AnswerSize>(), value) else { return };
    let held = fields.iter().map(|(key, value)| key.len().saturating_add(PUNCTUATION).saturating_add(bytes_of(value)));
    if !size.add(held.sum(), |error| ctx.set_error_path(error)) {
        pending::<()>().await;
    }
}

/// Adds an error to the answer and counts it. Does not return once the answer is too large.
pub(crate) async fn add_error<T: Sync>(ctx: &ContextBase<'_, T>, error: ServerError) {
    ctx.add_error(error);
    count_errors(ctx).await;
}

/// Counts the errors that were added since the last count, by us or by the library. Each owns its path, and a path holds the
/// aliases that the client chose. Does not return once the answer is too large.
pub(crate) async fn count_errors<T: Sync>(ctx: &ContextBase<'_, T>) {
    let Some(size) = ctx.data_opt::<AnswerSize>() else { return };
    let bytes = {
        let Ok(errors) = ctx.query_env.errors.lock() else { return };
        let counted = size.0.counted_errors.swap(errors.len(), Ordering::Relaxed);
        errors.get(counted..).unwrap_or_default().iter().map(bytes_of_error).sum()
    };
    if bytes > 0 && !size.add(bytes, |error| ctx.set_error_path(error)) {
        pending::<()>().await;
    }
}

/// The bytes of an error at least, its path included.
fn bytes_of_error(error: &ServerError) -> usize {
    let path = error.path.iter().map(|segment| match segment {
        // Quotes and a comma.
        PathSegment::Field(name) => name.len().saturating_add(3),
        PathSegment::Index(_) => 2,
    });
    path.fold(error.message.len().saturating_add(ERROR), usize::saturating_add)
}

/// The bytes of a value at least, without those of objects in it.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Boolean(_) => 4,
        Value::Number(_) => 1,
        Value::String(text) => text.len().saturating_add(2),
        Value::Enum(name) => name.len().saturating_add(2),
        Value::List(items) => items.iter().map(|item| bytes_of(item).saturating_add(1)).sum(),
        Value::Object(_) | Value::Binary(_) => 2,
    }
}
