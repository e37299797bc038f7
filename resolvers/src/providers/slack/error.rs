//! The meaning of Slack's statuses and error codes for callers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::values::text;
use crate::upstream::{UpstreamError, UpstreamErrorKind as Kind, UpstreamResponse, retry_after};

/// Where Slack does not say how long to wait.
const WAIT: Duration = Duration::from_secs(30);

/// A status that is not 200.
pub(super) fn of_status(response: &UpstreamResponse, method: &str, now: DateTime<Utc>) -> UpstreamError {
    let status = response.status;
    if status == StatusCode::TOO_MANY_REQUESTS {
        return rate_limited(&response.headers, method, now);
    }
    let kind = match status {
        StatusCode::UNAUTHORIZED => Kind::AuthExpired,
        StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => Kind::Forbidden,
        StatusCode::REQUEST_TIMEOUT => Kind::Timeout,
        StatusCode::NOT_FOUND => Kind::Down,
        status if status.is_client_error() => Kind::Rejected,
        _ => Kind::Down,
    };
    UpstreamError::new(kind, format!("{method} was answered with HTTP {}", status.as_u16()))
}

/// `ok:false`, which comes with HTTP 200.
pub(super) fn of_answer(answer: &Value, headers: &HeaderMap, method: &str, now: DateTime<Utc>) -> UpstreamError {
    let code = text(answer, "error").unwrap_or("unknown");
    if matches!(code, "ratelimited" | "rate_limited") {
        return rate_limited(headers, method, now);
    }
    let needed = text(answer, "needed").filter(|_| code == "missing_scope");
    let needed = needed.map_or_else(String::new, |scope| format!(", needs {}", printable(scope)));
    UpstreamError::new(kind_of(code), format!("{method}: Slack says {}{needed}", printable(code)))
}

fn rate_limited(headers: &HeaderMap, method: &str, now: DateTime<Utc>) -> UpstreamError {
    let wait = retry_after(headers, now).unwrap_or(WAIT);
    UpstreamError::new(Kind::RateLimited, format!("{method}: Slack's rate limit is used up")).retry_after(wait)
}

/// The failure of an answer: its status, or, with status 200, what is inside, for Slack tells every failure that way. Good answers are
/// known by how they begin.
pub(super) fn in_answer(response: &UpstreamResponse) -> Option<Kind> {
    if !response.status.is_success() {
        return Some(of_status(response, "", DateTime::UNIX_EPOCH).kind);
    }
    if response.body.starts_with(b"{\"ok\":true") && response.body.ends_with(b"}") {
        return None;
    }
    let Ok(answer) = serde_json::from_slice::<Value>(&response.body) else { return Some(Kind::Down) };
    if answer.get("ok") == Some(&Value::Bool(true)) {
        return None;
    }
    let Some(code) = text(&answer, "error") else { return Some(Kind::Down) };
    match kind_of(code) {
        Kind::NotFound | Kind::CursorExpired => None,
        // One channel is refused, which the app was not invited to, or which is of another kind.
        Kind::Forbidden if matches!(code, "not_in_channel" | "method_not_supported_for_channel_type") => None,
        kind => Some(kind),
    }
}

/// A code that is not known here is a failure: only codes that say so mean that there is no such thing.
fn kind_of(code: &str) -> Kind {
    match code {
        "ratelimited" | "rate_limited" => Kind::RateLimited,
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" | "user_removed" => {
            Kind::AuthExpired
        }
        "missing_scope"
        | "no_permission"
        | "not_in_channel"
        | "not_allowed_token_type"
        | "access_denied"
        | "accesslimited"
        | "ekm_access_denied"
        | "restricted_action"
        | "org_login_required"
        | "enterprise_is_restricted"
        | "team_access_not_granted"
        | "two_factor_setup_required"
        | "method_not_supported_for_channel_type" => Kind::Forbidden,
        "user_not_visible"
        | "channel_deleted"
        | "channel_not_found"
        | "user_not_found"
        | "users_not_found"
        | "message_not_found"
        | "thread_not_found"
        | "file_not_found"
        | "bot_not_found"
        | "usergroup_not_found" => Kind::NotFound,
        "internal_error" | "fatal_error" | "service_unavailable" | "team_added_to_org" | "unknown" => Kind::Down,
        "request_timeout" => Kind::Timeout,
        "invalid_cursor" => Kind::CursorExpired,
        _ => Kind::Rejected,
    }
}

/// Codes and scopes are words; anything else is not repeated.
fn printable(code: &str) -> &str {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_:.,-".contains(&byte);
    if code.len() <= 80 && code.bytes().all(word) { code } else { "something unreadable" }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::DateTime;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;

    use super::{Kind, in_answer, of_answer, of_status};
    use crate::upstream::UpstreamResponse;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_failure_inside_a_good_status_counts_as_one() {
        for (body, expected) in [
            (r#"{"ok":true,"members":[]}"#, None),
            (r#"{ "ok": true }"#, None),
            (r#"{"ok":true,"members":["#, Some(Kind::Down)),
            (r#"{"ok":false,"error":"internal_error"}"#, Some(Kind::Down)),
            (r#"{"ok":false,"error":"invalid_auth"}"#, Some(Kind::AuthExpired)),
            (r#"{"ok":false,"error":"ratelimited"}"#, Some(Kind::RateLimited)),
            (r#"{"ok":false,"error":"missing_scope"}"#, Some(Kind::Forbidden)),
            (r#"{"ok":false,"error":"an_error_of_next_year"}"#, Some(Kind::Rejected)),
            (r#"{"ok":false,"error":"not_in_channel"}"#, None),
            (r#"{"ok":false,"error":"channel_not_found"}"#, None),
            (r#"{"ok":false,"error":"invalid_cursor"}"#, None),
            ("<html>", Some(Kind::Down)),
        ] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            let response = UpstreamResponse { status: http::StatusCode::OK, headers: HeaderMap::new(), body };
            assert_eq!(in_answer(&response), expected, "{:?}", response.body);
        }
    }

    #[test]
    fn statuses_and_codes_mean_what_slack_documents() {
        let now = DateTime::from_timestamp(1000, 0).expect("a time");
        for (code, kind) in [
            ("invalid_auth", Kind::AuthExpired),
            ("not_authed", Kind::AuthExpired),
            ("token_revoked", Kind::AuthExpired),
            ("account_inactive", Kind::AuthExpired),
            ("channel_not_found", Kind::NotFound),
            ("thread_not_found", Kind::NotFound),
            ("users_not_found", Kind::NotFound),
            ("missing_scope", Kind::Forbidden),
            ("not_in_channel", Kind::Forbidden),
            ("ratelimited", Kind::RateLimited),
            ("internal_error", Kind::Down),
            ("invalid_cursor", Kind::CursorExpired),
            ("org_login_required", Kind::Forbidden),
            ("enterprise_is_restricted", Kind::Forbidden),
            ("an_error_of_next_year", Kind::Rejected),
            ("good_mood_not_found", Kind::Rejected),
        ] {
            let error = of_answer(&json!({ "ok": false, "error": code }), &HeaderMap::new(), "users.list", now);
            assert_eq!(error.kind, kind, "{code}");
        }
        let odd = of_answer(&json!({ "ok": false, "error": "<b>\n" }), &HeaderMap::new(), "users.list", now);
        assert_eq!(odd.message, "users.list: Slack says something unreadable");
        let scope = json!({ "ok": false, "error": "missing_scope", "needed": "groups:read" });
        let scope = of_answer(&scope, &HeaderMap::new(), "users.list", now);
        assert_eq!(scope.message, "users.list: Slack says missing_scope, needs groups:read");
        for (status, pairs, kind, wait) in [
            (429, &[("retry-after", "7")][..], Kind::RateLimited, Some(7)),
            (429, &[], Kind::RateLimited, Some(30)),
            (401, &[], Kind::AuthExpired, None),
            (408, &[], Kind::Timeout, None),
            (451, &[], Kind::Forbidden, None),
            (404, &[], Kind::Down, None),
            (302, &[], Kind::Down, None),
        ] {
            let status = http::StatusCode::from_u16(status).expect("a status");
            let response = UpstreamResponse { status, headers: headers(pairs), body: Bytes::new() };
            let error = of_status(&response, "users.list", now);
            assert_eq!((error.kind, error.retry_after), (kind, wait.map(Duration::from_secs)), "{status}");
        }
    }
}
