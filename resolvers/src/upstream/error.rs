//! Failures of providers, translated once into terms that callers decide on.

use std::time::Duration;

use mullion_schema::view::StaleReason;

/// A failed call, or a failed part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct UpstreamError {
    /// The kind, which callers decide on.
    pub kind: UpstreamErrorKind,
    /// For the log and, without secrets, for `IntegrationHealth.lastError`. Never a body, never a token.
    pub message: String,
    /// When a retry makes sense, where the provider says so.
    pub retry_after: Option<Duration>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum UpstreamErrorKind {
    /// The quota is used up.
    RateLimited,
    /// The credential is not accepted (any more).
    AuthExpired,
    /// The credential is accepted but not for this.
    Forbidden,
    /// The account's plan at the provider does not include this.
    PlanRequired,
    /// The provider does not know the thing. No fault of anyone.
    NotFound,
    /// The provider refused the request as malformed: our mistake or the caller's argument.
    Rejected,
    /// The provider no longer accepts the cursor of a page: the list has to be read again from its start.
    CursorExpired,
    /// It answered with a server error, with something that is not its API, or not at all.
    Down,
    /// It did not answer in time.
    Timeout,
    /// Calls are paused after repeated failures.
    CircuitOpen,
    /// The base URL leads to an address that is not allowed.
    AddressRefused,
    /// The provider was not asked: something failed here, and was logged where it did.
    Internal,
}

impl UpstreamError {
    /// A failure.
    pub fn new(kind: UpstreamErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// With the time after which a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl UpstreamErrorKind {
    /// Whether the same will be answered as long as nobody changes the token or the thing that it asks for.
    pub fn is_lasting_refusal(self) -> bool {
        matches!(self, Self::Forbidden | Self::PlanRequired | Self::NotFound | Self::Rejected)
    }

    /// Why a last known value is served instead. `None` only where the provider answered that there is no such thing: every other
    /// failure leaves open what the answer would have been, so that it must never pass for an absent value.
    pub fn stale_reason(self) -> Option<StaleReason> {
        match self {
            Self::RateLimited => Some(StaleReason::RateLimited),
            Self::AuthExpired => Some(StaleReason::AuthExpired),
            Self::Down => Some(StaleReason::ProviderDown),
            // Something here is in the way, and the provider has nothing to do with it.
            Self::AddressRefused | Self::Internal => Some(StaleReason::Internal),
            Self::Timeout => Some(StaleReason::Timeout),
            Self::CircuitOpen => Some(StaleReason::CircuitOpen),
            Self::Forbidden | Self::PlanRequired | Self::Rejected | Self::CursorExpired => Some(StaleReason::Refused),
            Self::NotFound => None,
        }
    }

    /// Whether all calls fail alike while it lasts, and not only those for one thing.
    pub fn is_of_all(self) -> bool {
        matches!(self, Self::AuthExpired | Self::Down | Self::Timeout | Self::AddressRefused | Self::Internal)
    }

    /// Whether the same read may succeed a moment later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Down | Self::Timeout)
    }
}
