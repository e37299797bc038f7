//! The processor time that a tenant may use for what is done before an execution: reading its documents, and measuring them.

use std::{sync::Arc, time::Duration};

use mullion_resolvers::{budget::Executions, execution::Caller};
use tokio::time::Instant;

use super::errors::RequestError;
use crate::telemetry::{live::Limit, metrics::Metrics};

/// The tenants' processor time.
#[derive(Clone)]
pub struct ProcessorTime {
    budgets: Arc<Executions>,
    metrics: Arc<Metrics>,
}

impl ProcessorTime {
    /// The time that these budgets give.
    pub fn new(budgets: Arc<Executions>, metrics: Arc<Metrics>) -> Self {
        Self { budgets, metrics }
    }

    /// Whether the caller's tenant has time left; otherwise the refusal, which tells when to come again.
    pub(super) fn check(&self, caller: &Caller) -> Result<(), RequestError> {
        self.budgets.check_time(caller.tenant()).map_err(|(budget, error)| {
            self.metrics.live.hit(Limit::Budget(budget));
            RequestError::of_execution(vec![error.without_location()], "")
        })
    }

    /// So much time was used for the caller's tenant.
    pub(super) fn charge(&self, caller: &Caller, used: Duration) {
        self.budgets.time().charge(caller.tenant(), used, Instant::now());
    }
}
