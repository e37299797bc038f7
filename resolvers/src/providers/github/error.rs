//! The meaning of GitHub's statuses and error types for callers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::wire::{Answer, Problem};
use crate::upstream::{UpstreamError, UpstreamErrorKind as Kind, UpstreamResponse, not_json, retry_after};

/// Something else answers, and would answer so to everything.
pub(super) const NO_API: &str = "the answer is not of GitHub's API; check the base URL";
/// GitHub asks to wait a minute where it does not say how long.
const SECONDARY_LIMIT_WAIT: Duration = Duration::from_mins(1);

/// A status of the REST API that is no success. Only with a body of GitHub's own does 404 mean that there is no such thing: a proxy, or
/// a base URL that is wrong, answers 404 to everything.
pub(super) fn of_status(response: &UpstreamResponse, now: DateTime<Utc>) -> UpstreamError {
    let status = response.status;
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || (status == StatusCode::FORBIDDEN && says_limited(&response.headers, &response.body));
    if limited {
        return rate_limited(&response.headers, now);
    }
    let (kind, message) = match status {
        StatusCode::UNAUTHORIZED => (Kind::AuthExpired, "GitHub does not accept the token"),
        StatusCode::FORBIDDEN => (Kind::Forbidden, "the token may not read this at GitHub"),
        StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS if is_github_s_own(&response.body) => {
            (Kind::Forbidden, "GitHub may not show this for legal reasons")
        }
        StatusCode::NOT_FOUND | StatusCode::GONE if is_github_s_own(&response.body) => {
            (Kind::NotFound, "GitHub does not know this, or the token may not see it")
        }
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => (Kind::Down, NO_API),
        StatusCode::REQUEST_TIMEOUT => (Kind::Timeout, "GitHub gave up the request, which took too long"),
        status if status.is_client_error() => (Kind::Rejected, "GitHub refused the request"),
        _ => (Kind::Down, "GitHub answered with something that is not its API"),
    };
    UpstreamError::new(kind, format!("{message} ({})", status.as_u16()))
}

/// A status of a whole GraphQL call that is no success. It says nothing about any single thing in it.
pub(super) fn of_call(response: &UpstreamResponse, now: DateTime<Utc>) -> UpstreamError {
    let error = of_status(response, now);
    match error.kind {
        Kind::NotFound => UpstreamError::new(Kind::Down, "GitHub has no GraphQL API here; check the base URL"),
        _ => error,
    }
}

/// The failure to learn whom a token belongs to: where something else answers, the base URL is wrong.
pub(super) fn of_identifying(error: UpstreamError) -> UpstreamError {
    let kind = if error.message.starts_with(NO_API) { Kind::Rejected } else { error.kind };
    UpstreamError { kind, ..error }
}

/// GitHub's own errors say what is wrong: <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>.
fn is_github_s_own(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body.get("message").is_some_and(Value::is_string))
}

/// The failure of an answer of the REST API.
pub(super) fn in_rest(response: &UpstreamResponse) -> Option<Kind> {
    if response.status.is_success() {
        return not_json(response);
    }
    // A redirection is followed. Where it leads nowhere, that is reported.
    if response.status.is_redirection() && response.headers.contains_key(header::LOCATION) {
        return None;
    }
    Some(of_status(response, DateTime::UNIX_EPOCH).kind).filter(|kind| *kind != Kind::NotFound)
}

fn says_limited(headers: &HeaderMap, body: &[u8]) -> bool {
    let spent = headers.get("x-ratelimit-remaining").is_some_and(|remaining| remaining == "0");
    let body = String::from_utf8_lossy(body.get(..2048).unwrap_or(body)).to_ascii_lowercase();
    spent || headers.contains_key("retry-after") || body.contains("secondary rate limit")
}

fn rate_limited(headers: &HeaderMap, now: DateTime<Utc>) -> UpstreamError {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<i64>().ok();
    let reset = number("x-ratelimit-reset").filter(|_| number("x-ratelimit-remaining") == Some(0));
    let reset = reset.and_then(|reset| DateTime::from_timestamp(reset, 0)?.signed_duration_since(now).to_std().ok());
    let wait = retry_after(headers, now).or(reset).unwrap_or(SECONDARY_LIMIT_WAIT);
    UpstreamError::new(Kind::RateLimited, "GitHub's rate limit is used up").retry_after(wait)
}

/// Whether a GraphQL answer says that the whole call was over the limit.
pub(super) fn of_limit(problems: &[Problem], headers: &HeaderMap, now: DateTime<Utc>) -> Option<UpstreamError> {
    let limited = problems.iter().any(|problem| {
        matches!(problem.kind.as_deref(), Some("RATE_LIMITED" | "RATE_LIMIT"))
            || problem.message.to_ascii_lowercase().contains("secondary rate limit")
    });
    limited.then(|| rate_limited(headers, now))
}

/// An error at a part of an answer. `None`: the thing is not there, which is an answer. No other error means that.
pub(super) fn of_problem(problem: &Problem) -> Option<UpstreamError> {
    let kind_text = problem.kind.as_deref().unwrap_or("untyped");
    let (kind, message) = match problem.kind.as_deref() {
        Some("NOT_FOUND") => return None,
        Some("INVALID_CURSOR_ARGUMENTS") => (Kind::CursorExpired, "GitHub does not accept the page's cursor"),
        Some("FORBIDDEN" | "INSUFFICIENT_SCOPES" | "UNAUTHORIZED" | "SAML_FAILURE") => {
            (Kind::Forbidden, "the token may not read this at GitHub")
        }
        Some("RATE_LIMITED" | "RATE_LIMIT") => (Kind::RateLimited, "GitHub's rate limit is used up"),
        _ if is_internal(problem) => (Kind::Down, "GitHub could not answer the query"),
        // The query was too much for now. The parts that it did bring are kept.
        Some("RESOURCE_LIMITS_EXCEEDED") => (Kind::Down, "GitHub gave up the query over its resource limits"),
        Some(_) => (Kind::Rejected, "GitHub refused the query"),
        None if problem.path.is_empty() => (Kind::Rejected, "GitHub refused the query"),
        None => (Kind::Down, "GitHub could not answer a part of the query"),
    };
    Some(UpstreamError::new(kind, format!("{message} ({kind_text})")))
}

/// How GitHub's own failures and timeouts begin. They come with status 200, often without a type and without a path.
const INTERNAL_TEXTS: [&str; 3] =
    ["Something went wrong while executing", "We couldn't respond to your request in time", "Timeout on validation"];

/// Whether GitHub failed, so that the same query may be answered a moment later.
fn is_internal(problem: &Problem) -> bool {
    let typed = matches!(problem.kind.as_deref(), Some("INTERNAL" | "SERVICE_UNAVAILABLE" | "TIMEOUT"));
    typed || INTERNAL_TEXTS.iter().any(|text| problem.message.starts_with(text))
}

/// Answers that hold data are larger than that: they are worth keeping, and are not parsed twice.
const SMALL: usize = 64 << 10;

/// The failure of a whole GraphQL answer: its status, or, with status 200, it is no JSON, or there is nothing in it but errors. A part
/// that failed beside others that did not is no failure of the call.
pub(super) fn in_answer(response: &UpstreamResponse) -> Option<Kind> {
    if response.status != StatusCode::OK {
        return Some(of_call(response, DateTime::UNIX_EPOCH).kind);
    }
    if response.body.len() > SMALL {
        return None;
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(&response.body) else { return Some(Kind::Down) };
    let parts = || answer.data.as_object().into_iter().flatten().filter(|(name, _)| *name != "rateLimit");
    let empty = parts().all(|(_, value)| is_nothing(value));
    let first = answer.errors.iter().find_map(of_problem);
    match first {
        Some(error) => empty.then_some(error.kind),
        None => (parts().next().is_none() && answer.errors.is_empty()).then_some(Kind::Down),
    }
}

/// Whether a part of an answer brings nothing.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_null))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::DateTime;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Kind, Problem, in_answer, in_rest, of_call, of_problem, of_status};
    use crate::upstream::UpstreamResponse;

    fn response(body: &str) -> UpstreamResponse {
        let body = Bytes::copy_from_slice(body.as_bytes());
        UpstreamResponse { status: http::StatusCode::OK, headers: HeaderMap::new(), body }
    }

    #[test]
    fn no_error_but_not_found_means_that_there_is_no_such_thing() {
        let wrong = "Something went wrong while executing your query on 2026-11-30T12:00:00Z.";
        let slow = "We couldn't respond to your request in time. Sorry about that.";
        for (kind, message, path, expected) in [
            (Some("NOT_FOUND"), "Could not resolve", &["a0"][..], None),
            (Some("FORBIDDEN"), "Resource protected by organization SAML enforcement.", &["a0"], Some(Kind::Forbidden)),
            (Some("INSUFFICIENT_SCOPES"), "Your token", &[], Some(Kind::Forbidden)),
            (Some("INTERNAL"), "Something went wrong", &["a0"], Some(Kind::Down)),
            (
                Some("RESOURCE_LIMITS_EXCEEDED"),
                "Resource limits for this query exceeded.",
                &["a0", "x"],
                Some(Kind::Down),
            ),
            (Some("RATE_LIMITED"), "API rate limit exceeded", &[], Some(Kind::RateLimited)),
            (Some("A_TYPE_OF_NEXT_YEAR"), "No", &["a0"], Some(Kind::Rejected)),
            (None, wrong, &[], Some(Kind::Down)),
            (None, slow, &[], Some(Kind::Down)),
            (None, "Variable $x is missing", &[], Some(Kind::Rejected)),
            (None, "No value", &["a0"], Some(Kind::Down)),
        ] {
            let path = path.iter().map(|step| (*step).into()).collect();
            let problem = Problem { kind: kind.map(str::to_owned), message: message.to_owned(), path };
            assert_eq!(of_problem(&problem).map(|error| error.kind), expected, "{kind:?} {message}");
        }
    }

    #[test]
    fn an_answer_of_nothing_but_errors_is_a_failed_call() {
        let wrong = r#"{"message": "Something went wrong while executing your query."}"#;
        for (body, expected) in [
            (format!(r#"{{"data": null, "errors": [{wrong}]}}"#), Some(Kind::Down)),
            (format!(r#"{{"errors": [{wrong}]}}"#), Some(Kind::Down)),
            (r#"{"data":{"a0":null},"errors":[{"type":"INTERNAL","path":["a0"]}]}"#.into(), Some(Kind::Down)),
            (r#"{"data":{"a0":null},"errors":[{"type":"NOT_FOUND","path":["a0"]}]}"#.into(), None),
            (r#"{"data":{"a0":{},"a1":null},"errors":[{"type":"INTERNAL","path":["a1"]}]}"#.into(), None),
            (r#"{"data":null,"errors":[{"type":"RATE_LIMITED"}]}"#.into(), Some(Kind::RateLimited)),
            (
                r#"{"data":{"a0":[null,null]},"errors":[{"type":"FORBIDDEN","path":["a0",0]}]}"#.into(),
                Some(Kind::Forbidden),
            ),
            (r#"{"data":{"a0":[]}}"#.into(), None),
            (r#"{"data":{"a0":null}}"#.into(), None),
            (r#"{"data":{"rateLimit":null}}"#.into(), Some(Kind::Down)),
            (r#"{"data":{}}"#.into(), Some(Kind::Down)),
            ("{}".into(), Some(Kind::Down)),
            ("<html>".into(), Some(Kind::Down)),
            (r#"{"data":{"a0":{"id":"#.into(), Some(Kind::Down)),
        ] {
            assert_eq!(in_answer(&response(&body)), expected, "{body}");
        }
    }

    type Row<'a> = (u16, &'a [(&'static str, &'static str)], &'static str, Kind, Option<u64>);

    #[test]
    fn statuses_mean_what_github_documents() {
        let now = DateTime::from_timestamp(1000, 0).expect("a time");
        let table: &[Row<'_>] = &[
            (401, &[], "", Kind::AuthExpired, None),
            (403, &[], "", Kind::Forbidden, None),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")], "", Kind::RateLimited, Some(30)),
            (403, &[("retry-after", "7")], "", Kind::RateLimited, Some(7)),
            (403, &[], "You have exceeded a secondary rate limit", Kind::RateLimited, Some(60)),
            (429, &[], "", Kind::RateLimited, Some(60)),
            (404, &[], r#"{"message":"Not Found"}"#, Kind::NotFound, None),
            (410, &[], r#"{"message":"Issues are disabled for this repo"}"#, Kind::NotFound, None),
            (451, &[], r#"{"message":"Repository access blocked"}"#, Kind::Forbidden, None),
            (408, &[], "", Kind::Timeout, None),
            (404, &[], "<html>Not Found</html>", Kind::Down, None),
            (404, &[], "{}", Kind::Down, None),
            (410, &[], "", Kind::Down, None),
            (451, &[], "blocked", Kind::Down, None),
            (422, &[], "", Kind::Rejected, None),
            (302, &[], "", Kind::Down, None),
        ];
        for (status, headers, body, kind, wait) in table {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            let status = http::StatusCode::from_u16(*status).expect("a status");
            let response = UpstreamResponse { status, headers, body: Bytes::from_static(body.as_bytes()) };
            let error = of_status(&response, now);
            assert_eq!((error.kind, error.retry_after), (*kind, wait.map(Duration::from_secs)), "{status} {body}");
            let is_absence = *kind == Kind::NotFound;
            assert_eq!(in_rest(&response), Some(*kind).filter(|_| !is_absence), "{status} {body}");
            let of_all = if is_absence { Kind::Down } else { *kind };
            assert_eq!((of_call(&response, now).kind, in_answer(&response)), (of_all, Some(of_all)), "{status} {body}");
        }
    }
}
