//! Runs queries and mutations: within their time, and with a panic that is an error of one request and nothing else.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_graphql::parser::types::OperationType;
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use mullion_resolvers::execution::{Caller, Executed, Executor, Operation};
use mullion_schema::error::ErrorCode;

use super::{
    Pipeline, Request,
    errors::{RequestError, with_request_id},
};

/// Executes an operation for a caller. A graph that is composed of several executes by a plan; this one by its resolvers.
#[async_trait]
pub trait Execute: Send + Sync {
    /// Executes a query or a mutation of a valid document within its limits. It may be dropped at the request's timeout: what must
    /// finish is spawned.
    async fn execute(&self, caller: &Caller, operation: Operation) -> Executed;
}

#[async_trait]
impl Execute for Arc<Executor> {
    async fn execute(&self, caller: &Caller, operation: Operation) -> Executed {
        match operation.kind() {
            OperationType::Mutation => self.mutation(caller, operation).await,
            OperationType::Query | OperationType::Subscription => self.query(caller, operation).await,
        }
    }
}

impl Pipeline {
    /// The answer to a query or a mutation, a serialized GraphQL response; or the refusal of a request that was not executed, or not
    /// within its time.
    pub(crate) async fn run(&self, caller: &Caller, request: Request) -> Result<Bytes, RequestError> {
        let Request { operation, origin } = request;
        let id = origin.request_id;
        let execution = AssertUnwindSafe(self.execute.execute(caller, operation)).catch_unwind();
        match tokio::time::timeout(self.patience, execution).await {
            Ok(Ok(Executed::Answer { bytes, internal: false })) => Ok(bytes),
            Ok(Ok(Executed::Answer { bytes, internal: true })) => Ok(with_request_id(bytes, &id)),
            Ok(Ok(Executed::Refused(errors))) => Err(RequestError::of_execution(errors, &id)),
            // The panic's own message was logged by its hook.
            Ok(Err(_)) => {
                tracing::error!("an operation panicked");
                Err(RequestError::internal(&id))
            }
            Err(_) => {
                let seconds = self.patience.as_secs();
                tracing::warn!(seconds, "an operation took too long");
                let message = format!(
                    "the operation took longer than {seconds} seconds (`server.request_timeout_seconds`); a mutation may have been done"
                );
                Err(RequestError::new(ErrorCode::RequestTimeout, message).with_request_id(&id))
            }
        }
    }
}
