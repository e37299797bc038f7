//! Budgets of tenants: limits on what one tenant holds or uses at a time, so that no tenant takes the memory or the processors
//! from the others.
//!
//! A tenant over a budget is refused with `RATE_LIMITED`, and nobody else notices. Each share is a guard: it is given back
//! however its holder ends.

mod answer;
mod metered;
mod tally;
mod time;
mod turns;

use std::{sync::Arc, time::Duration};

use mullion_schema::{
    error::{ErrorCode, PortError, RETRY_AFTER},
    id::TenantId,
};

use tokio::time::Instant;

pub(crate) use self::{
    answer::{SharedAnswer, held},
    metered::Metered,
};
pub use self::{
    tally::{Share, Tally},
    time::TimeBudget,
    turns::{Admission, Turn, TurnLimits, Turns},
};

/// A budget of a tenant, as its setting is called without `max_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Budget {
    /// Live operations that run.
    Operations,
    /// Subscriptions, however many of them share a live operation.
    Subscriptions,
    /// Bytes of answers that are kept or not sent yet, and of what live operations ask for.
    HeldBytes,
    /// Processor time of queries and mutations, and of the documents that are read for them.
    Time,
}

impl Budget {
    /// The setting's name without `max_`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations_per_tenant",
            Self::Subscriptions => "subscriptions_per_tenant",
            Self::HeldBytes => "held_bytes_per_tenant",
            Self::Time => "processor_seconds_per_minute",
        }
    }

    /// The refusal of a tenant that has used this budget up. The message tells what frees it.
    pub(crate) fn exceeded(self, retry_after: Duration) -> PortError {
        let message = match self {
            Self::Operations => {
                "too many different subscriptions of your tenant are active: end some, or subscribe to the same documents"
            }
            Self::Subscriptions => "too many subscriptions of your tenant are active: end some, then subscribe again",
            Self::HeldBytes => {
                "too many bytes of answers to your tenant are held in memory: read what was sent, end subscriptions, or ask for less"
            }
            Self::Time => "your tenant has used its processor time of this minute: try again later, or ask for less",
        };
        let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX).max(RETRY_AFTER);
        PortError { retry_after: Some(seconds), ..PortError::new(ErrorCode::RateLimited, message) }
    }
}

/// How much one tenant may hold and use of what executions make.
#[derive(Debug, Clone, Copy)]
pub struct ExecutionBudgets {
    /// Bytes of answers that are kept or not sent yet.
    pub held_bytes: usize,
    /// Processor time of queries and mutations in a minute; `None`: as much as there is.
    pub time: Option<Duration>,
}

impl ExecutionBudgets {
    /// Without bounds.
    pub const UNLIMITED: Self = Self { held_bytes: usize::MAX, time: None };
}

/// The bytes of answers that tenants hold, and the time that their executions use.
pub struct Executions {
    bytes: Arc<Tally>,
    time: TimeBudget,
}

impl Executions {
    /// Nothing is used yet.
    pub fn new(budgets: ExecutionBudgets) -> Self {
        Self { bytes: Arc::new(Tally::new(budgets.held_bytes)), time: TimeBudget::new(budgets.time) }
    }

    /// The bytes of answers, by tenant.
    pub(crate) fn bytes(&self) -> &Arc<Tally> {
        &self.bytes
    }

    /// The processor time, by tenant.
    pub fn time(&self) -> &TimeBudget {
        &self.time
    }

    /// Whether a tenant may have another answer made.
    pub(crate) fn check(&self, tenant: &TenantId) -> Result<(), (Budget, PortError)> {
        self.check_bytes(tenant)?;
        self.check_time(tenant)
    }

    /// Whether a tenant has processor time left; otherwise the budget that it has used up, and its refusal.
    pub fn check_time(&self, tenant: &TenantId) -> Result<(), (Budget, PortError)> {
        let wait = |wait| (Budget::Time, Budget::Time.exceeded(wait));
        self.time.check(tenant, Instant::now()).map_err(wait)
    }

    /// Whether the bytes that a tenant holds leave room for more.
    pub(crate) fn check_bytes(&self, tenant: &TenantId) -> Result<(), (Budget, PortError)> {
        let full = || (Budget::HeldBytes, Budget::HeldBytes.exceeded(Duration::ZERO));
        if self.bytes.has_room(tenant) { Ok(()) } else { Err(full()) }
    }
}
