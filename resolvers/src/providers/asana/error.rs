//! The meaning of Asana's statuses for callers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::values::list;
use crate::upstream::{UpstreamError, UpstreamErrorKind as Kind, UpstreamResponse, not_json, retry_after};

/// Something else answers, and would answer so to everything.
const NO_API: &str = "the answer is not of Asana's API; check the base URL";
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
        StatusCode::PAYMENT_REQUIRED => (Kind::PlanRequired, "this needs a paid plan at Asana"),
        StatusCode::FORBIDDEN => (Kind::Forbidden, "the token may not do this at Asana"),
        StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS if is_asana_s_own(body) => {
            (Kind::Forbidden, "Asana may not show this for legal reasons")
        }
        StatusCode::NOT_FOUND | StatusCode::GONE if is_asana_s_own(body) => {
            (Kind::NotFound, "Asana does not know this, or the token may not see it")
        }
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => (Kind::Down, NO_API),
        StatusCode::REQUEST_TIMEOUT => (Kind::Timeout, "Asana gave up the request, which took too long"),
        StatusCode::BAD_REQUEST if names_nothing(body) => (Kind::NotFound, "Asana does not know this"),
        StatusCode::BAD_REQUEST if is_about_the_offset(body) => {
            (Kind::CursorExpired, "Asana does not accept the page's offset")
        }
        status if status.is_client_error() => (Kind::Rejected, "Asana refused the request"),
        _ => (Kind::Down, "Asana answered with something that is not its API"),
    };
    UpstreamError::new(kind, format!("{message} ({})", status.as_u16()))
}

/// The failure of an answer, or `None`: that there is no such record, or no such page any more, is an answer. So is 412 for those who
/// ask for events without a token: <https://developers.asana.com/reference/getevents>.
pub(super) fn in_answer(response: &UpstreamResponse) -> Option<Kind> {
    if response.status.is_success() {
        return not_json(response);
    }
    let body = serde_json::from_slice::<Value>(&response.body).unwrap_or_default();
    let kind = of_status(response.status, &response.headers, &body, DateTime::UNIX_EPOCH).kind;
    let is_answer = matches!(kind, Kind::NotFound | Kind::CursorExpired);
    (!is_answer && response.status != StatusCode::PRECONDITION_FAILED).then_some(kind)
}

/// Asana's own errors say what is wrong: <https://developers.asana.com/docs/errors>. A proxy, or a base URL that is wrong, answers 404 to
/// everything.
fn is_asana_s_own(body: &Value) -> bool {
    list(body, "errors").iter().any(|error| error.get("message").is_some_and(Value::is_string))
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
    UpstreamError::new(Kind::Down, NO_API)
}

/// The failure to learn whom a token belongs to: where something else answers, the base URL is wrong.
pub(super) fn of_identifying(error: UpstreamError) -> UpstreamError {
    let kind = if error.message.starts_with(NO_API) { Kind::Rejected } else { error.kind };
    UpstreamError { kind, ..error }
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
        let table: [Row; 20] = [
            (401, None, Value::Null, Kind::AuthExpired, None),
            (402, None, Value::Null, Kind::PlanRequired, None),
            (403, None, Value::Null, Kind::Forbidden, None),
            (409, None, Value::Null, Kind::Rejected, None),
            (418, None, Value::Null, Kind::Rejected, None),
            (404, None, complaint("task: Unknown object: 1"), Kind::NotFound, None),
            (410, None, complaint("gone"), Kind::NotFound, None),
            (451, None, complaint("blocked"), Kind::Forbidden, None),
            (408, None, Value::Null, Kind::Timeout, None),
            (404, None, Value::Null, Kind::Down, None),
            (404, None, json!({ "message": "no route" }), Kind::Down, None),
            (410, None, json!([]), Kind::Down, None),
            (451, None, Value::Null, Kind::Down, None),
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
