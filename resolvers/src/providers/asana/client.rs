//! Calls to Asana's API: addresses, `opt_fields`, pages, batches, errors.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::TimeDelta;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{
    error::{in_answer, no_api, of_status},
    values::{list, text},
};
use crate::upstream::{Connection, QuotaReading, UpstreamError, UpstreamErrorKind, UpstreamRequest, UpstreamResponse};

/// All calls draw on one quota.
const REQUESTS: &str = "requests";
/// Asana takes as many calls in one batch.
const BATCH: usize = 10;
/// Calls in flight at once; Asana allows 50 reads.
const CONCURRENT: usize = 8;
/// The most items that Asana gives in a page.
const PAGE: &str = "100";
/// Pages that are read in one go. Asana's order is not ours: a list is whole once, or nearly so.
const PAGES: usize = 10;
/// The same of a list that is read on: whoever reads it to its end calls again and again, and must not call without end.
const FURTHER_PAGES: usize = 2;

/// The status by which Asana says that a token is none that it knows, and gives a new one.
const NEW_TOKEN: StatusCode = StatusCode::PRECONDITION_FAILED;

/// A reading call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Get {
    /// For metrics.
    pub(super) operation: &'static str,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    /// The `opt_fields`.
    pub(super) fields: Vec<&'static str>,
}

/// The records of a list.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) records: Vec<Value>,
    /// Where to go on, if there is more.
    pub(super) next: Option<String>,
}

impl Get {
    pub(super) fn new(operation: &'static str, path: &[&str]) -> Self {
        let path = path.iter().map(|&part| part.to_owned()).collect();
        Self { operation, path, query: Vec::new(), fields: Vec::new() }
    }

    pub(super) fn fields(mut self, fields: Vec<&'static str>) -> Self {
        self.fields = fields;
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    fn url(&self, base: &Url) -> Result<Url, UpstreamError> {
        let mut url = url_of(base, self.path.iter().map(String::as_str))?;
        let mut query = url.query_pairs_mut();
        query.extend_pairs(&self.query);
        if !self.fields.is_empty() {
            query.append_pair("opt_fields", &self.fields.join(","));
        }
        drop(query);
        Ok(url)
    }

    /// The same as a part of a batch. Only reads of single records are, and their paths need no escapes.
    fn action(&self) -> Value {
        let path = format!("/{}", self.path.join("/"));
        json!({ "method": "get", "relative_path": path, "options": { "fields": self.fields } })
    }
}

/// Reads one record.
pub(super) async fn one(api: &Connection, get: &Get) -> Result<Value, UpstreamError> {
    record(api, sent(api, UpstreamRequest::get(get.url(&api.base_url)?, get.operation)).await?)
}

/// The record in an answer. An answer without one does not say that there is none: Asana says that with a status.
fn record(api: &Connection, mut body: Value) -> Result<Value, UpstreamError> {
    let record =
        body.get_mut("data").map(Value::take).filter(|data| data.as_object().is_some_and(|data| !data.is_empty()));
    record.ok_or_else(|| {
        let error = no_api();
        api.transport.failed(&error);
        error
    })
}

/// Reads a page of events. Where Asana does not know the token, the answer has no `data`, but a new token.
pub(super) async fn events(api: &Connection, get: &Get) -> Result<Value, UpstreamError> {
    let request = UpstreamRequest::get(get.url(&api.base_url)?, get.operation);
    let response = api.send(request.drawing_on(REQUESTS).failing_by(in_answer)).await?;
    if response.status == NEW_TOKEN {
        return serde_json::from_slice(&response.body).map_err(|_| no_api());
    }
    read(api, &response)
}

/// Reads records, several in one call where there are several; one outcome for each, in order.
pub(super) async fn records(api: &Connection, gets: &[Get]) -> Vec<Result<Value, UpstreamError>> {
    let batches: Vec<_> = gets.chunks(BATCH).map(|batch| batched(api, batch)).collect();
    let done: Vec<_> = stream::iter(batches).buffered(CONCURRENT).collect().await;
    done.into_iter().flatten().collect()
}

async fn batched(api: &Connection, gets: &[Get]) -> Vec<Result<Value, UpstreamError>> {
    if let [only] = gets {
        return vec![one(api, only).await];
    }
    match batch(api, gets).await {
        Ok(answers) => {
            let answers = answers.into_iter().map(Some).chain(std::iter::repeat(None));
            gets.iter()
                .zip(answers)
                .map(|(_, answer)| answer.ok_or_else(no_api).and_then(|one| part(api, one)))
                .collect()
        }
        Err(error) => vec![Err(error); gets.len()],
    }
}

async fn batch(api: &Connection, gets: &[Get]) -> Result<Vec<Value>, UpstreamError> {
    let actions: Vec<Value> = gets.iter().map(Get::action).collect();
    let body = json!({ "data": { "actions": actions } }).to_string();
    let url = url_of(&api.base_url, ["batch"])?;
    // It only reads. The network sees one call, the quota each of its parts.
    let request = UpstreamRequest::post_json(url, body.into(), "batch").repeatable();
    let sent = sent(api, request.using(i64::try_from(gets.len()).unwrap_or(1))).await;
    let mut body = sent.map_err(|error| match error.kind {
        // The status of the whole call says nothing about any single record.
        UpstreamErrorKind::NotFound => {
            api.transport.failed(&no_api());
            no_api()
        }
        _ => error,
    })?;
    match body.get_mut("data").map(Value::take) {
        Some(Value::Array(answers)) => Ok(answers),
        _ => Err(no_api()),
    }
}

/// A part of a batch's answer.
fn part(api: &Connection, mut answer: Value) -> Result<Value, UpstreamError> {
    let status = answer.get("status_code").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or_else(no_api)?;
    let body = answer.get_mut("body").map(Value::take).unwrap_or_default();
    if status.is_server_error() {
        return Err(UpstreamError::new(UpstreamErrorKind::Down, "Asana could not answer a part of a batch"));
    }
    if !status.is_success() {
        return Err(of_status(status, &HeaderMap::new(), &body, api.clock.now()));
    }
    record(api, body)
}

/// Reads lists at the same time, all of them with as many calls as one list takes at most, but one for each; one outcome for each, in
/// order.
pub(super) async fn lists(api: &Connection, gets: Vec<(Get, Option<String>)>) -> Vec<Result<Listed, UpstreamError>> {
    let count = gets.len().max(1);
    let calls = gets.into_iter().map(|(get, from)| {
        let pages = (pages_from(from.as_deref()) / count).max(1);
        pages_of(api, get, from, pages)
    });
    let calls: Vec<_> = calls.collect();
    stream::iter(calls).buffered(CONCURRENT).collect().await
}

/// Reads a list from a cursor, page after page.
pub(super) async fn listed(api: &Connection, get: Get, from: Option<String>) -> Result<Listed, UpstreamError> {
    let pages = pages_from(from.as_deref());
    pages_of(api, get, from, pages).await
}

fn pages_from(cursor: Option<&str>) -> usize {
    if cursor.is_none() { PAGES } else { FURTHER_PAGES }
}

async fn pages_of(api: &Connection, get: Get, from: Option<String>, pages: usize) -> Result<Listed, UpstreamError> {
    let mut seen: BTreeSet<String> = from.iter().cloned().collect();
    let mut found = Listed { records: Vec::new(), next: from };
    for _ in 0..pages {
        let mut page = get.clone().query("limit", PAGE);
        if let Some(offset) = found.next.take() {
            page = page.query("offset", offset);
        }
        let mut body = sent(api, UpstreamRequest::get(page.url(&api.base_url)?, page.operation)).await?;
        let Some(Value::Array(records)) = body.get_mut("data").map(Value::take) else { return Err(no_api()) };
        found.records.extend(records);
        // A further page that cannot be asked for must not pass for the end.
        found.next = match body.get("next_page") {
            None | Some(Value::Null) => None,
            Some(next) => Some(text(next, "offset").ok_or_else(no_api)?.to_owned()),
        };
        // An offset that comes again leads round in a circle.
        if found.next.as_ref().is_some_and(|next| !seen.insert(next.clone())) {
            return Err(no_api());
        }
        if found.next.is_none() {
            break;
        }
    }
    Ok(found)
}

/// A writing call; answers its `data`.
pub(super) async fn write(
    api: &Connection,
    method: Method,
    path: &[&str],
    data: Option<Value>,
) -> Result<Value, UpstreamError> {
    let url = url_of(&api.base_url, path.iter().copied())?;
    let body = data.map(|data| ("application/json", Bytes::from(json!({ "data": data }).to_string())));
    // A webhook that exists already is refused, which says nothing about how reading goes.
    let request = UpstreamRequest::get(url, "webhooks").drawing_on(REQUESTS).failing_by(|_| None);
    let response = api.send(UpstreamRequest { method, body, repeatable: false, ..request }).await?;
    Ok(read(api, &response)?.get_mut("data").map(Value::take).unwrap_or_default())
}

/// Sends a call. Statuses that are no success are errors.
async fn sent(api: &Connection, request: UpstreamRequest) -> Result<Value, UpstreamError> {
    let response = api.send(request.drawing_on(REQUESTS).failing_by(in_answer)).await?;
    read(api, &response)
}

fn read(api: &Connection, response: &UpstreamResponse) -> Result<Value, UpstreamError> {
    let body = serde_json::from_slice::<Value>(&response.body);
    if response.status.is_success() {
        return body.ok().filter(Value::is_object).ok_or_else(no_api);
    }
    let now = api.clock.now();
    let error = of_status(response.status, &response.headers, &body.unwrap_or_default(), now);
    if error.kind == UpstreamErrorKind::RateLimited {
        let wait = error.retry_after.and_then(|wait| TimeDelta::from_std(wait).ok());
        let resets_at = wait.and_then(|wait| now.checked_add_signed(wait));
        api.transport.quota(QuotaReading { bucket: REQUESTS, limit: None, remaining: Some(0), resets_at });
    }
    Err(error)
}

fn url_of<'a>(base: &Url, path: impl IntoIterator<Item = &'a str>) -> Result<Url, UpstreamError> {
    let mut url = base.clone();
    let refused = || UpstreamError::new(UpstreamErrorKind::Rejected, "the base URL cannot have a path");
    url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(path);
    Ok(url)
}

/// The workspaces of a user's record.
pub(super) fn workspaces_of(user: &Value) -> Vec<String> {
    list(user, "workspaces").iter().filter_map(super::values::gid).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::Get;

    #[test]
    fn the_api_lies_below_the_base_url() {
        let get = Get::new("tasks", &["tasks", "a/b?c"]).query("limit", "100").fields(vec!["name", "assignee.name"]);
        for (base, url) in [
            ("https://app.asana.com/api/1.0", "https://app.asana.com/api/1.0/tasks/a%2Fb%3Fc"),
            ("http://127.0.0.1:4001/asana/api/1.0/", "http://127.0.0.1:4001/asana/api/1.0/tasks/a%2Fb%3Fc"),
        ] {
            let full = get.url(&base.parse().expect("a URL")).expect("a URL");
            assert_eq!(full.as_str(), format!("{url}?limit=100&opt_fields=name%2Cassignee.name"));
        }
    }
}
