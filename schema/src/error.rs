//! Errors that clients see: a stable code each, and nothing internal in the message.

use async_graphql::{Error, ErrorExtensions};

use crate::id::IntegrationId;

/// The codes of the contract, in `extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the contract explains each code")]
pub enum ErrorCode {
    Unauthenticated,
    Forbidden,
    NotFound,
    BadUserInput,
    GraphqlParseFailed,
    GraphqlValidationFailed,
    OperationTooComplex,
    PersistedQueryNotFound,
    RateLimited,
    ProviderRateLimited,
    ProviderUnavailable,
    ProviderAuthExpired,
    ProviderError,
    Conflict,
    CursorExpired,
    InternalServerError,
}

/// A failure of a port, as a client may see it. What must not be seen was logged where it happened, with its request id.
///
/// It has no `Display`, so that it becomes an [`Error`] with its code and never, through the blanket conversion, one without.
#[derive(Debug, Clone)]
pub struct PortError {
    /// The stable code.
    pub code: ErrorCode,
    /// For people: what is wrong and, where possible, what to do.
    pub message: String,
    /// For errors of a provider.
    pub provider: Option<ProviderContext>,
}

/// Which provider failed, for `extensions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderContext {
    /// "github"
    pub provider: &'static str,
    /// The integration that was used.
    pub integration: IntegrationId,
    /// Seconds after which a retry makes sense, where known.
    pub retry_after: Option<u64>,
}

impl PortError {
    /// An error with a code and a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), provider: None }
    }

    /// `BAD_USER_INPUT`: the message names the field.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadUserInput, message)
    }

    /// `NOT_FOUND`, for unknown and foreign ids alike.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("{what} was not found"))
    }

    /// `FORBIDDEN`: the role is not enough.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Forbidden, message)
    }

    /// `INTERNAL_SERVER_ERROR`: the cause was logged; the client gets the request id from the transport.
    pub fn internal() -> Self {
        Self::new(ErrorCode::InternalServerError, "internal error")
    }
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::new(error.message.clone()).extend_with(|_, extensions| {
            extensions.set("code", <&'static str>::from(error.code));
            if let Some(context) = &error.provider {
                extensions.set("provider", context.provider);
                let id = crate::id::GlobalId::own("Integration", context.integration.as_str());
                extensions.set("integrationId", id.encode());
                if let Some(seconds) = context.retry_after {
                    extensions.set("retryAfter", seconds);
                }
            }
        })
    }
}
