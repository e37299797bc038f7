//! A request that was refused: the errors of its answer, which has no `data`.

use async_graphql::ServerError;
use bytes::Bytes;
use http::StatusCode;
use mullion_schema::error::{ErrorCode, RETRY_AFTER};
use serde::Serialize;
use serde_json::{Map, Value};

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

    /// The executor's refusal with the contract's codes. An error without a code does not fit the graph: the library's validation gives
    /// none.
    pub fn of_execution(errors: Vec<ServerError>, request_id: &str) -> Self {
        let code = errors.first().map_or(ErrorCode::InternalServerError, code_of);
        let retry_after = errors.first().and_then(retry_after).unwrap_or(RETRY_AFTER);
        let entries = errors.into_iter().map(|error| {
            let mut entry = ErrorEntry::new(code_of(&error), error.message);
            entry.locations = error.locations.into_iter().filter(|pos| pos.line > 0).map(Location::from).collect();
            entry
        });
        let refused = Self { code, errors: entries.collect(), retry_after: None };
        match code {
            ErrorCode::RateLimited => refused.worth_another_try(retry_after),
            ErrorCode::ServiceUnavailable => refused.worth_another_try(retry_after).of_request(request_id),
            _ => refused.of_request(request_id),
        }
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
        if self.code.is_logged() { self.with_request_id(request_id) } else { self }
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

fn serialized(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .map_or_else(|_| Bytes::from_static(br#"{"errors":[{"message":"internal error"}]}"#), Bytes::from)
}

fn code_of(error: &ServerError) -> ErrorCode {
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
    let code = code.and_then(|code| code.into_json().ok());
    let known = code.as_ref().and_then(Value::as_str).and_then(|code| code.parse().ok());
    known.unwrap_or(ErrorCode::GraphqlValidationFailed)
}

/// Seconds after which the same request may succeed, as the error tells them.
fn retry_after(error: &ServerError) -> Option<u32> {
    let seconds = error.extensions.as_ref()?.get("retryAfter")?.clone().into_json().ok()?;
    u32::try_from(seconds.as_u64()?).ok()
}

/// An answer whose errors carry the id of the request, under which the log tells the cause, where they are not the client's fault.
/// Answers hold such errors rarely: only those are read and written again.
pub(super) fn with_request_id(answer: Bytes, request_id: &str) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(&answer) else { return answer };
    for error in value.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(extensions) = error.get_mut("extensions").and_then(Value::as_object_mut)
            && extensions.get("code").and_then(Value::as_str).is_some_and(needs_request_id)
        {
            extensions.insert("requestId".into(), request_id.into());
        }
    }
    serde_json::to_vec(&value).map_or(answer, Bytes::from)
}

/// Whether the log may tell more of an error with this code.
fn needs_request_id(code: &str) -> bool {
    code.parse::<ErrorCode>().is_ok_and(ErrorCode::is_logged)
}

#[cfg(test)]
mod tests {
    use async_graphql::ServerError;
    use mullion_schema::error::{ErrorCode, PortError, RETRY_AFTER};

    use super::{RequestError, with_request_id};

    fn error(port: Option<PortError>) -> ServerError {
        match port {
            Some(port) => port.without_location(),
            None => ServerError::new("it does not fit", None),
        }
    }

    #[test]
    fn a_refusal_has_the_code_of_its_first_error_and_what_belongs_to_it() {
        let limited = PortError::new(ErrorCode::RateLimited, "too many");
        let over_budget = PortError { retry_after: Some(40), ..limited.clone() };
        for (port, code, retry_after, has_id) in [
            (None, ErrorCode::GraphqlValidationFailed, None, false),
            (Some(PortError::bad_input("first: too many")), ErrorCode::BadUserInput, None, false),
            (Some(limited), ErrorCode::RateLimited, Some(RETRY_AFTER), false),
            (Some(over_budget), ErrorCode::RateLimited, Some(40), false),
            (Some(PortError::internal()), ErrorCode::InternalServerError, None, true),
            (Some(PortError::unavailable()), ErrorCode::ServiceUnavailable, Some(RETRY_AFTER), true),
        ] {
            let refused = RequestError::of_execution(vec![error(port)], "r-1");
            assert_eq!((refused.code, refused.retry_after), (code, retry_after));
            assert_eq!(refused.errors[0].extensions.contains_key("requestId"), has_id, "{code}");
            let told = refused.errors[0].extensions.contains_key("retryAfter");
            assert_eq!(told, retry_after.is_some(), "{code}");
        }
    }

    #[test]
    fn an_answer_in_part_carries_the_request_id_where_the_log_tells_more() {
        for (code, expected) in [
            ("NOT_FOUND", false),
            ("INTERNAL_SERVER_ERROR", true),
            ("SERVICE_UNAVAILABLE", true),
            ("PROVIDER_UNAVAILABLE", true),
            ("PROVIDER_AUTH_EXPIRED", true),
        ] {
            let answer = format!(r#"{{"data":{{}},"errors":[{{"message":"x","extensions":{{"code":"{code}"}}}}]}}"#);
            let told = with_request_id(answer.into(), "r-1");
            assert_eq!(std::str::from_utf8(&told).unwrap().contains(r#""requestId":"r-1""#), expected, "{code}");
        }
    }
}
