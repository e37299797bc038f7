//! What GitHub's statuses and error types mean for callers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};

use super::wire::Problem;
use crate::upstream::{UpstreamError, UpstreamErrorKind as Kind, UpstreamResponse, retry_after};

/// GitHub asks to wait a minute where it does not say how long.
const SECONDARY_LIMIT_WAIT: Duration = Duration::from_mins(1);

/// A status that is no success.
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
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            (Kind::NotFound, "GitHub does not know this, or the token may not see it")
        }
        status if status.is_client_error() => (Kind::Rejected, "GitHub refused the request"),
        _ => (Kind::Down, "GitHub answered with something that is not its API"),
    };
    UpstreamError::new(kind, format!("{message} ({})", status.as_u16()))
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

/// An error at a part of an answer. `None`: the thing is not there, which is an answer.
pub(super) fn of_problem(problem: &Problem) -> Option<UpstreamError> {
    let (kind, message) = match problem.kind.as_deref() {
        Some("NOT_FOUND") => return None,
        Some("INVALID_CURSOR_ARGUMENTS") => (Kind::CursorExpired, "GitHub does not accept the page's cursor"),
        Some("FORBIDDEN" | "INSUFFICIENT_SCOPES" | "UNAUTHORIZED" | "SAML_FAILURE") => {
            (Kind::Forbidden, "the token may not read this at GitHub")
        }
        Some("RATE_LIMITED" | "RATE_LIMIT") => (Kind::RateLimited, "GitHub's rate limit is used up"),
        Some(_) => (Kind::Rejected, "GitHub refused the query"),
        None if problem.path.is_empty() => (Kind::Rejected, "GitHub refused the query"),
        None => (Kind::Down, "GitHub could not answer a part of the query"),
    };
    let kind_text = problem.kind.as_deref().unwrap_or("untyped");
    Some(UpstreamError::new(kind, format!("{message} ({kind_text})")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::DateTime;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Kind, of_status};
    use crate::upstream::UpstreamResponse;

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
            (404, &[], "", Kind::NotFound, None),
            (422, &[], "", Kind::Rejected, None),
            (302, &[], "", Kind::Down, None),
        ];
        for (status, headers, body, kind, wait) in table {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            let status = http::StatusCode::from_u16(*status).expect("a status");
            let error =
                of_status(&UpstreamResponse { status, headers, body: Bytes::from_static(body.as_bytes()) }, now);
            assert_eq!((error.kind, error.retry_after), (*kind, wait.map(Duration::from_secs)), "{status} {body}");
        }
    }
}
