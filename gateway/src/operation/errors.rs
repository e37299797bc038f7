//! A request that was refused before execution: the errors of its answer, which has no `data`.

use bytes::Bytes;
use http::StatusCode;
use mullion_schema::error::{ErrorCode, RETRY_AFTER};
use serde::Serialize;
use serde_json::{Map, Value};

use super::engine::AuthError;

/// The errors of a request that was not executed.
#[derive(Debug, Clone)]
pub struct RequestError {
    /// Decides on the status.
    pub code: ErrorCode,
    /// At least one.
    pub errors: Vec<ErrorEntry>,
    /// Where it is worth another try: after so many seconds.
    pub retry_after: Option<u32>,
}

/// One entry of `errors`.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorEntry {
    /// For people.
    pub message: String,
    /// Where in the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// With `code`.
    pub extensions: Map<String, Value>,
}

/// A place in the document, both counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl From<async_graphql::Pos> for Location {
    fn from(pos: async_graphql::Pos) -> Self {
        Self { line: pos.line, column: pos.column }
    }
}

impl RequestError {
    /// One error.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, errors: vec![ErrorEntry::new(code, message)], retry_after: None }
    }

    /// One error at a place of the document.
    pub fn at(code: ErrorCode, message: impl Into<String>, location: impl Into<Location>) -> Self {
        let mut entry = ErrorEntry::new(code, message);
        entry.locations.push(location.into());
        Self { code, errors: vec![entry], retry_after: None }
    }

    /// `BAD_USER_INPUT`.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadUserInput, message)
    }

    /// Nothing to be told but the request id, under which the cause was logged.
    pub fn internal(request_id: &str) -> Self {
        Self::new(ErrorCode::InternalServerError, "internal error").with_request_id(request_id)
    }

    /// `SERVICE_UNAVAILABLE`: worth another try after so many seconds.
    pub fn unavailable(message: impl Into<String>, retry_after: u32) -> Self {
        Self::new(ErrorCode::ServiceUnavailable, message).worth_another_try(retry_after)
    }

    /// The same, with the time after which another try makes sense, for the header and in each error.
    #[must_use]
    pub fn worth_another_try(mut self, retry_after: u32) -> Self {
        for entry in &mut self.errors {
            entry.extensions.insert("retryAfter".to_owned(), retry_after.into());
        }
        Self { retry_after: Some(retry_after), ..self }
    }

    /// The same, with the request's id where the log may tell more: not where the client is at fault.
    #[must_use]
    pub fn of_request(self, request_id: &str) -> Self {
        match self.code {
            ErrorCode::ServiceUnavailable | ErrorCode::InternalServerError => self.with_request_id(request_id),
            _ => self,
        }
    }

    /// The same, with the id of the request in each error.
    #[must_use]
    pub fn with_request_id(mut self, request_id: &str) -> Self {
        for entry in &mut self.errors {
            entry.extensions.insert("requestId".to_owned(), request_id.into());
        }
        self
    }

    /// The same, with the time after which it makes sense to come again in each error.
    #[must_use]
    pub fn with_retry_after(mut self, milliseconds: u64) -> Self {
        for entry in &mut self.errors {
            entry.extensions.insert("retryAfterMs".to_owned(), milliseconds.into());
        }
        self
    }

    /// `{"errors":[…]}`
    pub fn to_body(&self) -> Bytes {
        #[derive(Serialize)]
        struct Body<'a> {
            errors: &'a [ErrorEntry],
        }
        serialized(&Body { errors: &self.errors })
    }

    /// `[…]`, as WebSocket's `error` message carries it.
    pub fn to_list(&self) -> Bytes {
        serialized(&self.errors)
    }

    /// The status where the media type lets the status speak.
    pub fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden => StatusCode::FORBIDDEN,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            // No failure, but a question back: clients read the body and send the document.
            ErrorCode::PersistedQueryNotFound | ErrorCode::PersistedQueryNotSupported => StatusCode::OK,
            ErrorCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl ErrorEntry {
    /// An entry without places.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let extensions = Map::from_iter([("code".to_owned(), Value::from(<&'static str>::from(code)))]);
        Self { message: message.into(), locations: Vec::new(), extensions }
    }
}

impl From<AuthError> for RequestError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing | AuthError::Invalid => Self::new(ErrorCode::Unauthenticated, error.to_string()),
            AuthError::Unavailable => Self::unavailable(error.to_string(), RETRY_AFTER),
        }
    }
}

fn serialized(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .map_or_else(|_| Bytes::from_static(br#"{"errors":[{"message":"internal error"}]}"#), Bytes::from)
}
