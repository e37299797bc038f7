//! What Asana's statuses mean for callers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::values::list;
use crate::upstream::{UpstreamError, UpstreamErrorKind as Kind, retry_after};

/// Asana's limits are told per minute; inside a batch it does not say how long to wait.
const LIMIT_WAIT: Duration = Duration::from_mins(1);

/// A status that is no success, with the answer's body. Only statuses that say so mean that there is no such thing: 400, 402, 403, 409
/// and those that nobody knows yet are failures.
pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, body: &Value, now: DateTime<Utc>) -> UpstreamError {
    let (kind, message) = match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let wait = retry_after(headers, now).unwrap_or(LIMIT_WAIT);
            return UpstreamError::new(Kind::RateLimited, "Asana's rate limit is used up").retry_after(wait);
        }
        StatusCode::UNAUTHORIZED => (Kind::AuthExpired, "Asana does not accept the token"),
        StatusCode::PAYMENT_REQUIRED => (Kind::Forbidden, "this needs a paid plan at Asana"),
        StatusCode::FORBIDDEN => (Kind::Forbidden, "the token may not do this at Asana"),
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            (Kind::NotFound, "Asana does not know this, or the token may not see it")
        }
        StatusCode::BAD_REQUEST if names_nothing(body) => (Kind::NotFound, "Asana does not know this"),
        StatusCode::BAD_REQUEST if is_about_the_offset(body) => {
            (Kind::CursorExpired, "Asana does not accept the page's offset")
        }
        status if status.is_client_error() => (Kind::Rejected, "Asana refused the request"),
        _ => (Kind::Down, "Asana answered with something that is not its API"),
    };
    UpstreamError::new(kind, format!("{message} ({})", status.as_u16()))
}

/// Whether the complaint is about a gid that names nothing.
fn names_nothing(body: &Value) -> bool {
    let mut messages = list(body, "errors").iter().filter_map(|error| error.get("message")?.as_str());
    messages.any(|message| message.contains("Not a recognized ID") || message.contains("Unknown object"))
}

/// Whether the complaint is about the offset of a page: offsets expire (<https://developers.asana.com/docs/pagination>).
fn is_about_the_offset(body: &Value) -> bool {
    let mut messages = list(body, "errors").iter().filter_map(|error| error.get("message")?.as_str());
    messages.any(|message| message.starts_with("offset:"))
}

/// The answer is not of Asana's API.
pub(super) fn no_api() -> UpstreamError {
    UpstreamError::new(Kind::Down, "the answer is not of Asana's API; check the base URL")
}

/// There is no such thing, which is known without asking.
pub(super) fn unknown() -> UpstreamError {
    UpstreamError::new(Kind::NotFound, "Asana does not know this: its ids are digits")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
    use serde_json::{Value, json};

    use super::{Kind, of_status};

    /// Status, `Retry-After`, body, and what is made of them: kind, seconds to wait.
    type Row = (u16, Option<&'static str>, Value, Kind, Option<u64>);

    #[test]
    fn statuses_mean_what_asana_documents() {
        let complaint = |message: &str| json!({"errors": [{"message": message}]});
        let table: [Row; 14] = [
            (401, None, Value::Null, Kind::AuthExpired, None),
            (402, None, Value::Null, Kind::Forbidden, None),
            (403, None, Value::Null, Kind::Forbidden, None),
            (409, None, Value::Null, Kind::Rejected, None),
            (418, None, Value::Null, Kind::Rejected, None),
            (404, None, Value::Null, Kind::NotFound, None),
            (451, None, Value::Null, Kind::NotFound, None),
            (400, None, complaint("task: Not a recognized ID: x"), Kind::NotFound, None),
            (400, None, complaint("limit: Must be between 1 and 100"), Kind::Rejected, None),
            (400, None, complaint("offset: Your pagination token has expired."), Kind::CursorExpired, None),
            (400, None, json!({"errors": 7}), Kind::Rejected, None),
            (429, Some("7"), Value::Null, Kind::RateLimited, Some(7)),
            (429, None, Value::Null, Kind::RateLimited, Some(60)),
            (302, None, Value::Null, Kind::Down, None),
        ];
        for (status, wait, body, kind, waits) in table {
            let headers: HeaderMap =
                wait.map(|wait| (RETRY_AFTER, HeaderValue::from_static(wait))).into_iter().collect();
            let status = StatusCode::from_u16(status).expect("a status");
            let error = of_status(status, &headers, &body, DateTime::UNIX_EPOCH);
            assert_eq!((error.kind, error.retry_after), (kind, waits.map(Duration::from_secs)), "{status} {body}");
        }
    }
}
