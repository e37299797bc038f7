//! Calls to Slack's Web API: addresses, the envelope of answers, pages.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use url::Url;

use super::{error, values::flag};
use crate::upstream::{Connection, QuotaReading, UpstreamError, UpstreamErrorKind, UpstreamRequest};

/// A page of users or channels: just below the most that Slack takes.
const PAGE: &str = "999";
/// More pages than that are no list but a cursor that runs in a circle.
const MAX_PAGES: usize = 500;

/// Calls a method that only reads.
pub(super) async fn call(
    api: &Connection,
    method: &'static str,
    arguments: &[(&str, &str)],
) -> Result<Value, UpstreamError> {
    call_for_headers(api, method, arguments).await.map(|(answer, _)| answer)
}

/// The same with the answer's headers.
pub(super) async fn call_for_headers(
    api: &Connection,
    method: &'static str,
    arguments: &[(&str, &str)],
) -> Result<(Value, HeaderMap), UpstreamError> {
    let mut url = method_url(&api.base_url, method)?;
    if !arguments.is_empty() {
        url.query_pairs_mut().extend_pairs(arguments);
    }
    send(api, method, UpstreamRequest::get(url, method)).await
}

/// Calls a method that takes no arguments and must be posted.
pub(super) async fn post(api: &Connection, method: &'static str) -> Result<Value, UpstreamError> {
    let mut request = UpstreamRequest::post_json(method_url(&api.base_url, method)?, Bytes::new(), method);
    request.body = Some(("application/x-www-form-urlencoded", Bytes::new()));
    send(api, method, request).await.map(|(answer, _)| answer)
}

async fn send(
    api: &Connection,
    method: &'static str,
    request: UpstreamRequest,
) -> Result<(Value, HeaderMap), UpstreamError> {
    let response = api.send(request.failing_by(error::in_answer)).await?;
    let now = api.clock.now();
    let outcome = if response.status.is_success() {
        match serde_json::from_slice::<Value>(&response.body) {
            Ok(answer) if flag(&answer, "ok") => return Ok((answer, response.headers)),
            Ok(answer) if answer.get("ok").is_some() => error::of_answer(&answer, &response.headers, method, now),
            _ => UpstreamError::new(UpstreamErrorKind::Down, "the answer is not of Slack's API; check the base URL"),
        }
    } else {
        error::of_status(&response, method, now)
    };
    if outcome.kind == UpstreamErrorKind::RateLimited {
        // Slack tells of its quotas only when they are used up.
        let resets_at = outcome.retry_after.and_then(|wait| Some(now + chrono::Duration::from_std(wait).ok()?));
        api.transport.quota(QuotaReading { bucket: method, limit: None, remaining: Some(0), resets_at });
    }
    Err(outcome)
}

/// All pages of a list, from the first.
pub(super) async fn all(
    api: &Connection,
    method: &'static str,
    arguments: &[(&str, &str)],
    key: &str,
) -> Result<Vec<Value>, UpstreamError> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut arguments = arguments.to_vec();
        arguments.push(("limit", PAGE));
        if let Some(cursor) = &cursor {
            arguments.push(("cursor", cursor));
        }
        let answer = call(api, method, &arguments).await?;
        items.extend_from_slice(listed(&answer, key)?);
        let next = next_cursor(&answer)?;
        if next.is_none() {
            return Ok(items);
        }
        if next == cursor {
            break;
        }
        cursor = next;
    }
    Err(UpstreamError::new(UpstreamErrorKind::Down, format!("{method}: the pages do not end")))
}

/// The items of an answer. One without the list is broken, not empty.
pub(super) fn listed<'a>(answer: &'a Value, key: &str) -> Result<&'a [Value], UpstreamError> {
    match answer.get(key) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(UpstreamError::new(UpstreamErrorKind::Down, format!("Slack's answer has no {key}"))),
    }
}

/// Where the page after one of messages is, which was asked for with a cursor; `None`: there is none. A page that does not say whether
/// there is one is broken: it would pass for the last.
pub(super) fn next_page(answer: &Value, asked: Option<&str>) -> Result<Option<String>, UpstreamError> {
    listed(answer, "messages")?;
    let next = next_cursor(answer)?;
    let says = answer.get("has_more").is_some_and(Value::is_boolean) || answer.get("response_metadata").is_some();
    let is_lost = next.is_none() && (flag(answer, "has_more") || !says);
    if is_lost || (next.is_some() && next.as_deref() == asked) {
        return Err(UpstreamError::new(UpstreamErrorKind::Down, "Slack does not say where the next page is"));
    }
    Ok(next)
}

/// The cursor of the page after an answer.
pub(super) fn next_cursor(answer: &Value) -> Result<Option<String>, UpstreamError> {
    let broken = || UpstreamError::new(UpstreamErrorKind::Down, "Slack's answer has a cursor that is none");
    match answer.get("response_metadata") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(metadata)) => match metadata.get("next_cursor") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(cursor)) => Ok(Some(cursor.clone()).filter(|cursor| !cursor.is_empty())),
            Some(_) => Err(broken()),
        },
        Some(_) => Err(broken()),
    }
}

fn method_url(base: &Url, method: &str) -> Result<Url, UpstreamError> {
    let mut url = base.clone();
    let refused = || UpstreamError::new(UpstreamErrorKind::Rejected, "the base URL cannot have a path");
    url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().push(method);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::method_url;

    #[test]
    fn methods_lie_below_the_base_url() {
        for (base, url) in [
            ("https://slack.com/api/", "https://slack.com/api/users.list"),
            ("https://slack.com/api", "https://slack.com/api/users.list"),
            ("http://127.0.0.1:4001/slack/api/", "http://127.0.0.1:4001/slack/api/users.list"),
        ] {
            assert_eq!(method_url(&base.parse().expect("a URL"), "users.list").expect("a URL").as_str(), url);
        }
    }
}
