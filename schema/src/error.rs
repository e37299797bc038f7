//! Errors that clients see: a stable code each, and nothing internal in the message.

use async_graphql::{Error, ErrorExtensions, Pos, ServerError, Value};

use crate::id::IntegrationId;

/// The codes of the contract, in `extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::IntoStaticStr)]
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
    PersistedQueryNotSupported,
    RateLimited,
    ProviderRateLimited,
    ProviderUnavailable,
    ProviderAuthExpired,
    ProviderError,
    Conflict,
    CursorExpired,
    Incomplete,
    ServiceUnavailable,
    RequestTimeout,
    InternalServerError,
}

impl ErrorCode {
    /// Whether the log tells the cause of such an error, under the id of its request: where the client is not at fault.
    pub fn is_logged(self) -> bool {
        matches!(
            self,
            Self::ProviderRateLimited
                | Self::ProviderUnavailable
                | Self::ProviderAuthExpired
                | Self::ProviderError
                | Self::ServiceUnavailable
                | Self::InternalServerError
        )
    }
}

/// Seconds after which a client may send again what met `SERVICE_UNAVAILABLE`.
pub const RETRY_AFTER: u32 = 2;

/// A failure of a port, as a client may see it. Its cause was logged where it happened, with the id of the request.
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
    /// Seconds after which the same request may succeed, where it is no provider that tells them.
    pub retry_after: Option<u32>,
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
        Self { code, message: message.into(), provider: None, retry_after: None }
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

    /// `SERVICE_UNAVAILABLE`: the database is away or has too much to do; the same request may succeed in a moment.
    pub fn unavailable() -> Self {
        Self::new(ErrorCode::ServiceUnavailable, "the database does not answer: try again in a few seconds")
    }

    /// `INTERNAL_SERVER_ERROR`: the cause was logged; the client gets the request id from the transport.
    pub fn internal() -> Self {
        Self::new(ErrorCode::InternalServerError, "internal error")
    }

    /// The error of a whole request. It has no place in the document, so `locations` is left out.
    pub fn without_location(self) -> ServerError {
        let mut error = Error::from(self).into_server_error(Pos::default());
        error.locations.clear();
        error
    }
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::new(error.message.clone()).extend_with(|_, extensions| {
            extensions.set("code", <&'static str>::from(error.code));
            let usual = (error.code == ErrorCode::ServiceUnavailable).then_some(RETRY_AFTER);
            if let Some(seconds) = error.retry_after.or(usual) {
                extensions.set("retryAfter", seconds);
            }
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

/// Whether an error says only that there is more than is read or counted.
pub fn is_incomplete(error: &ServerError) -> bool {
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
    matches!(code, Some(Value::String(code)) if code.as_str() == <&'static str>::from(ErrorCode::Incomplete))
}

/// How the library begins what it says of a value that does not fit.
const OF_A_VALUE: [&str; 5] =
    ["Failed to parse", "Expected input type", "Invalid value", "Invalid input", "Invalid default value"];

/// Gives each error at a field its code. Those of the library itself have none: what they say of values is the client's fault, and
/// loses the value that they quote; anything else is nothing that clients could know what to do about, and is returned for
/// the log.
pub fn give_codes(errors: &mut [ServerError]) -> Vec<String> {
    let mut unknown = Vec::new();
    for error in errors {
        // Lines begin at 1: the library writes 0 where it knows no place.
        error.locations.retain(|place| place.line > 0);
        let of_a_value = OF_A_VALUE.iter().any(|beginning| error.message.starts_with(beginning));
        if of_a_value {
            hide_value(&mut error.message);
        }
        let extensions = error.extensions.get_or_insert_default();
        if error.path.is_empty() || extensions.get("code").is_some() {
            continue;
        }
        if of_a_value {
            extensions.set("code", <&'static str>::from(ErrorCode::BadUserInput));
        } else {
            extensions.set("code", <&'static str>::from(ErrorCode::InternalServerError));
            unknown.push(std::mem::replace(&mut error.message, "internal error".to_owned()));
        }
    }
    unknown
}

/// The library quotes a value that does not fit, and the value may be a secret: only what was expected is told.
fn hide_value(message: &mut String) {
    let quoted = [", found ", " does not contain the value ", " does not contain value ", "unknown field "];
    if let Some(from) = quoted.iter().filter_map(|words| message.find(words)).min() {
        message.truncate(from);
        message.push('.');
    }
}
