//! Follows subscriptions: starts them, and gives their answers to a transport until they end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_graphql::ServerError;
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};
use mullion_resolvers::{
    execution::{Caller, Executor, Operation},
    live::{End, Frames, Item},
};
use mullion_schema::error::ErrorCode;

use super::{Pipeline, Request, errors::RequestError};

/// Follows an operation for a caller. A graph that is composed of several follows one of them, and completes each frame by a plan.
#[async_trait]
pub trait Follow: Send + Sync {
    /// Starts a subscription of a valid document within its limits; dropping the stream ends it. `resume_after` overrides the
    /// document's `after`.
    async fn follow(
        &self,
        caller: &Caller,
        operation: Operation,
        resume_after: Option<String>,
    ) -> Result<Frames, Vec<ServerError>>;
}

#[async_trait]
impl Follow for Arc<Executor> {
    async fn follow(
        &self,
        caller: &Caller,
        operation: Operation,
        resume_after: Option<String>,
    ) -> Result<Frames, Vec<ServerError>> {
        self.subscribe(caller, operation, resume_after).await
    }
}

/// The end of a subscription that fails.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The subscription is over: its last answer has these errors.
    Over(RequestError),
    /// The subscription cannot go on here for now: the client is told why, and comes again with its cursor.
    Interrupted(RequestError),
}

impl Pipeline {
    /// Starts a subscription. A panic is an error of this one, and nothing else.
    pub(crate) async fn subscribe(&self, caller: &Caller, request: Request) -> Result<Answers, RequestError> {
        self.metrics.execution("subscription");
        let Request { operation, origin } = request;
        let id = origin.request_id;
        let begin = self.follow.follow(caller, operation, origin.resume_after);
        match AssertUnwindSafe(begin).catch_unwind().await {
            Ok(Ok(frames)) => Ok(Answers { frames: Some(frames), id }),
            Ok(Err(errors)) => Err(RequestError::of_execution(errors, &id)),
            Err(_) => {
                tracing::error!("a subscription panicked");
                Err(RequestError::internal(&id))
            }
        }
    }
}

/// The answers of a subscription. The stream ends behind a failure, and behind its last answer.
pub(crate) struct Answers {
    /// `None` behind a panic.
    frames: Option<Frames>,
    id: Arc<str>,
}

impl futures::Stream for Answers {
    type Item = Result<Item, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(frames) = &mut self.frames else { return Poll::Ready(None) };
            let Ok(polled) = catch_unwind(AssertUnwindSafe(|| frames.poll_next_unpin(cx))) else {
                self.frames = None;
                tracing::error!(requestId = %self.id, "a subscription panicked");
                return Poll::Ready(Some(Err(Failure::Over(RequestError::internal(&self.id)))));
            };
            return Poll::Ready(match ready!(polled) {
                Some(Ok(item)) => Some(Ok(item)),
                Some(Err(End::Completed)) => continue,
                Some(Err(End::CursorExpired)) => {
                    let message = "what happened since `after` is no longer kept: query again, then subscribe anew";
                    Some(Err(Failure::Over(RequestError::new(ErrorCode::CursorExpired, message))))
                }
                Some(Err(End::Unavailable)) => {
                    let message = "the database does not answer: subscribe again with your last cursor as `after`";
                    let error = RequestError::new(ErrorCode::ServiceUnavailable, message).with_request_id(&self.id);
                    Some(Err(Failure::Interrupted(error)))
                }
                None => None,
            });
        }
    }
}
