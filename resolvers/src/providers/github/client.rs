//! Calls to GitHub's two APIs: addresses, headers, quota, errors.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    error, keys,
    wire::{Answer, RateLimit},
};
use crate::upstream::{Connection, QuotaReading, UpstreamError, UpstreamErrorKind, UpstreamRequest, UpstreamResponse};

const GRAPHQL: &str = "graphql";
const CORE: &str = "core";
/// A repository that was renamed and then transferred redirects once for each.
const MOST_REDIRECTIONS: usize = 3;

/// Runs a GraphQL query. Errors at parts of the answer are in the answer.
pub(super) async fn graphql(
    api: &Connection,
    document: &str,
    variables: Map<String, Value>,
) -> Result<Answer, UpstreamError> {
    let document = if is_enterprise_server(&api.base_url) {
        Cow::from(document.replace(keys::ASSIGNEES, keys::ASSIGNED_PEOPLE))
    } else {
        Cow::from(document)
    };
    let body = json!({ "query": document, "variables": variables }).to_string();
    // It only reads, so it may be sent again although it is posted.
    let request = UpstreamRequest::post_json(graphql_url(&api.base_url), body.into(), GRAPHQL)
        .repeatable()
        .failing_by(error::in_answer);
    let response = api.send(request).await?;
    if response.status != StatusCode::OK {
        let error = error::of_call(&response, api.clock.now());
        note_quota(api, GRAPHQL, &response.headers, &error);
        return Err(error);
    }
    let answer: Answer = parse(&response.body)?;
    if let Some((reading, cost)) = rate_limit(&answer) {
        api.transport.quota(reading);
        api.transport.used(GRAPHQL, cost - 1);
    }
    if let Some(limited) = error::of_limit(&answer.errors, &response.headers, api.clock.now())
        && answer.data.is_null()
    {
        note_quota(api, GRAPHQL, &response.headers, &limited);
        return Err(limited);
    }
    if answer.data.is_object() {
        return Ok(answer);
    }
    // Every query asks for its quota too, so that no data at all is never an answer to what was asked.
    Err(answer.errors.iter().find_map(error::of_problem).unwrap_or_else(no_api))
}

/// Notes what a failed answer says of the quota. For the secondary limit, the headers tell only how long to wait: until then, no
/// call is of use.
fn note_quota(api: &Connection, bucket: &'static str, headers: &HeaderMap, error: &UpstreamError) {
    let told = quota_of(headers, bucket);
    if error.kind != UpstreamErrorKind::RateLimited {
        return told.into_iter().for_each(|told| api.transport.quota(told));
    }
    let wait = error.retry_after.and_then(|wait| chrono::Duration::from_std(wait).ok());
    let resets_at = wait.and_then(|wait| api.clock.now().checked_add_signed(wait));
    api.transport.quota(QuotaReading {
        bucket,
        limit: told.and_then(|told| told.limit),
        remaining: Some(0),
        resets_at,
    });
}

/// The quota, and what the call used of it.
fn rate_limit(answer: &Answer) -> Option<(QuotaReading, i64)> {
    let limit: RateLimit = serde_json::from_value(answer.data.get("rateLimit")?.clone()).ok()?;
    let reading = QuotaReading {
        bucket: GRAPHQL,
        limit: Some(limit.limit),
        remaining: Some(limit.remaining),
        resets_at: Some(limit.reset_at),
    };
    Some((reading, limit.cost))
}

/// A GET of the REST API.
pub(super) fn get(api: &Connection, path: &[&str], query: &[(&str, &str)]) -> Result<UpstreamRequest, UpstreamError> {
    let mut url = rest_url(&api.base_url, path)?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(UpstreamRequest { headers: rest_headers(), ..UpstreamRequest::get(url, CORE).failing_by(error::in_rest) })
}

/// A writing call of the REST API.
pub(super) fn write(
    api: &Connection,
    method: Method,
    path: &[&str],
    body: &Value,
) -> Result<UpstreamRequest, UpstreamError> {
    let url = rest_url(&api.base_url, path)?;
    let body = (!body.is_null()).then(|| ("application/json", Bytes::from(body.to_string())));
    // A webhook that exists already is refused, which says nothing about how reading goes.
    let request = UpstreamRequest::get(url, CORE).failing_by(|_| None);
    Ok(UpstreamRequest { method, body, headers: rest_headers(), repeatable: false, ..request })
}

/// Sends a REST call and records the quota. Statuses that are no success are errors.
///
/// Paths name repositories, and a repository that was renamed or transferred answers by a redirection, which is to be followed with the
/// same method: <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects>.
pub(super) async fn rest(api: &Connection, mut request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
    let mut redirections = 0;
    loop {
        let response = api.send(request.clone()).await?;
        if response.status.is_success() {
            if let Some(reading) = quota_of(&response.headers, CORE) {
                api.transport.quota(reading);
            }
            return Ok(response);
        }
        let Some(url) = moved_to(&request.url, &response).filter(|_| redirections < MOST_REDIRECTIONS) else {
            let error = error::of_status(&response, api.clock.now());
            note_quota(api, CORE, &response.headers, &error);
            if response.status.is_redirection() {
                api.transport.failed(&error);
            }
            return Err(error);
        };
        request.url = url;
        redirections += 1;
    }
}

/// The address that a redirection leads to. The token goes to no other host.
fn moved_to(from: &Url, response: &UpstreamResponse) -> Option<Url> {
    let redirects = matches!(response.status.as_u16(), 301 | 302 | 307 | 308);
    let location = response.headers.get(header::LOCATION).filter(|_| redirects)?;
    let to = from.join(location.to_str().ok()?).ok()?;
    (to.origin() == from.origin()).then_some(to)
}

/// Where the next page is: the parameter of this name in `Link: <https://…?page=3>; rel="next"`.
/// <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>
pub(super) fn next(headers: &HeaderMap, parameter: &str) -> Option<String> {
    let links = headers.get(header::LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let url: Url = next.split_once('<')?.1.split_once('>')?.0.parse().ok()?;
    url.query_pairs().find(|(name, _)| name == parameter).map(|(_, value)| value.into_owned())
}

/// Reads a JSON body.
pub(super) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, UpstreamError> {
    serde_json::from_slice(body).map_err(|_| no_api())
}

fn no_api() -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::Down, error::NO_API)
}

fn quota_of(headers: &HeaderMap, bucket: &'static str) -> Option<QuotaReading> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<i64>().ok();
    let resets_at = number("x-ratelimit-reset").and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let remaining = Some(number("x-ratelimit-remaining")?);
    Some(QuotaReading { bucket, limit: number("x-ratelimit-limit"), remaining, resets_at })
}

fn rest_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (header::ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
        (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
    ])
}

/// `/graphql` beside the REST root; an Enterprise Server has it at `/api/graphql`, beside `/api/v3`.
fn graphql_url(base: &Url) -> Url {
    let path = base.path().trim_end_matches('/');
    let root = path.strip_suffix("/v3").filter(|root| root.ends_with("/api")).unwrap_or(path);
    let mut url = base.clone();
    url.set_path(&format!("{root}/graphql"));
    url
}

/// Enterprise Servers have their APIs below `/api/v3`; GitHub's own hosts have them at the root.
fn is_enterprise_server(base: &Url) -> bool {
    base.path().trim_end_matches('/').ends_with("/api/v3")
}

fn rest_url(base: &Url, path: &[&str]) -> Result<Url, UpstreamError> {
    let mut url = base.clone();
    let refused = || UpstreamError::new(UpstreamErrorKind::Rejected, "the base URL cannot have a path");
    url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::{graphql_url, rest_url};

    #[test]
    fn the_apis_lie_below_the_base_url() {
        for (base, graphql, rest) in [
            ("https://api.github.com", "https://api.github.com/graphql", "https://api.github.com/repos/a%2F/b"),
            (
                "https://ghe.example/api/v3/",
                "https://ghe.example/api/graphql",
                "https://ghe.example/api/v3/repos/a%2F/b",
            ),
            (
                "http://127.0.0.1:4001/github",
                "http://127.0.0.1:4001/github/graphql",
                "http://127.0.0.1:4001/github/repos/a%2F/b",
            ),
        ] {
            let base = base.parse().expect("a URL");
            assert_eq!(graphql_url(&base).as_str(), graphql);
            assert_eq!(rest_url(&base, &["repos", "a/", "b"]).expect("a URL").as_str(), rest);
        }
    }
}
