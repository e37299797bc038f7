//! A webhook's log at GitHub: the deliveries that it sent, or tried to send, for some days. Those that never came in are fetched
//! from it.
//!
//! Fetched rather than asked to be sent again: that works although GitHub cannot reach us, which may be why it did not come, and when
//! the call has ended it is known what there was. A delivery that comes after all has the same id, and is recognised.
//!
//! The log is read from its newest line back to the mark, which is a time by GitHub's clock. Where the calls of one look do not reach
//! that far, the next one goes on where this one ended, and the mark stays until the mark is reached.

use chrono::{DateTime, Duration, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    account::parts_of,
    client,
    webhook::{EVENT, repository},
    wire::{Hook, LoggedDelivery},
};
use crate::{
    provider::{
        VerifiedDelivery,
        recovery::{CaughtUp, Known, Recovered, Since, WebhookCondition},
    },
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// Lines of a page: the most that GitHub gives.
const PAGE: &str = "100";
/// Older lines may be gone from GitHub's log.
const KEPT: Duration = Duration::days(3);
/// Lines younger than this are looked at again the next time: their neighbours may come later.
const SETTLED: Duration = Duration::minutes(10);

/// Looks at a webhook.
pub(super) async fn inspect(
    api: &Connection,
    external_id: &str,
    target: &Url,
) -> Result<WebhookCondition, UpstreamError> {
    let (owner, name, id) = parts_of(external_id)?;
    let request = client::get(api, &["repos", owner, name, "hooks", id], &[])?.revalidate();
    match client::rest(api, request).await {
        Ok(response) => {
            let hook: Hook = client::parse(&response.body)?;
            let in_order = hook.active && hook.config.url == target.as_str();
            Ok(if in_order { WebhookCondition::InOrder } else { WebhookCondition::Disabled })
        }
        Err(error) if error.kind == UpstreamErrorKind::NotFound => Ok(WebhookCondition::Gone),
        Err(error) => Err(error),
    }
}

/// Up to where the log was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checkpoint {
    /// The webhook whose log it is.
    webhook: String,
    /// Everything that is not newer was seen. A time, which cannot lead astray for longer than the log is kept, as a number of a line could.
    up_to: Option<DateTime<Utc>>,
    /// How far the reading is that did not get there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<Reading>,
}

/// A reading of the log that was not finished.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reading {
    /// The place in the log where it goes on.
    cursor: String,
    /// Up to where all is read when it is finished.
    to: Option<DateTime<Utc>>,
}

impl Checkpoint {
    /// The mark as it was kept, if it can be believed: of this webhook, and not of the future.
    fn of(since: Since<'_>, webhook: &str, now: DateTime<Utc>) -> Self {
        let kept = since.mark.and_then(|mark| Self::deserialize(mark).ok());
        let kept = kept.filter(|mark| mark.webhook == webhook && mark.up_to.is_none_or(|at| at <= now));
        kept.unwrap_or_else(|| Self { webhook: webhook.to_owned(), up_to: None, reading: None })
    }
}

/// Fetches what the log of the repository's webhook has and never came in.
pub(super) async fn catch_up(api: &Connection, since: Since<'_>, known: &dyn Known) -> Result<CaughtUp, UpstreamError> {
    let Some(webhook) = since.webhook else { return Ok(CaughtUp::default()) };
    let log = Log { api, path: parts_of(webhook)? };
    let now = api.clock.now();
    let mut mark = Checkpoint::of(since, webhook, now);
    let oldest = mark.up_to.unwrap_or_default().max(now - KEPT);
    let mut anew = mark.reading.is_none();
    let (mut cursor, mut to) = mark.reading.take().map_or((None, None), |reading| (Some(reading.cursor), reading.to));
    let mut found = Found { most_calls: since.calls.max(1), ..Found::default() };
    let finished = loop {
        if found.calls >= found.most_calls {
            break false;
        }
        found.calls += 1;
        let page = match log.page(cursor.as_deref(), oldest).await {
            // The log does not know the place any more.
            Err(error) if cursor.is_some() && is_for_good(error.kind) => {
                (cursor, to, anew) = (None, None, true);
                continue;
            }
            Err(error) if found.deliveries.is_empty() => return Err(error),
            Err(_) => break false,
            Ok(page) => page,
        };
        found.incomplete |= page.unreadable;
        if anew {
            to = to.max(page.lines.iter().map(|line| line.delivered_at).filter(|at| now - *at > SETTLED).max());
        }
        if !found.fetch(&log, page.lines, known).await? {
            break false;
        }
        cursor = page.next;
        if cursor.is_none() {
            break true;
        }
    };
    // A delivery that could not be fetched is looked at again.
    let to = to.map(|to| found.held.map_or(to, |held| to.min(held - Duration::milliseconds(1))));
    if finished {
        mark.up_to = to.max(mark.up_to);
    } else {
        mark.reading = cursor.map(|cursor| Reading { cursor, to });
    }
    found.deliveries.sort_by_key(|(order, _)| *order);
    Ok(CaughtUp {
        mark: serde_json::to_value(mark).ok(),
        complete: finished && anew && !found.incomplete,
        deliveries: found.deliveries.into_iter().map(|(_, delivery)| delivery).collect(),
        fetched: Vec::new(),
        calls: found.calls,
    })
}

/// Whether something cannot be had, now or later.
fn is_for_good(kind: UpstreamErrorKind) -> bool {
    matches!(kind, UpstreamErrorKind::NotFound | UpstreamErrorKind::Rejected)
}

/// Whether no other delivery can be had either, at present.
fn stops_all(kind: UpstreamErrorKind) -> bool {
    use UpstreamErrorKind::{AuthExpired, CircuitOpen, RateLimited};
    matches!(kind, AuthExpired | CircuitOpen | RateLimited)
}

/// The finds of a look at a log so far.
#[derive(Default)]
struct Found {
    /// With their places in the log.
    deliveries: Vec<((DateTime<Utc>, u64), Recovered)>,
    /// The oldest line whose delivery may still be had, and was not.
    held: Option<DateTime<Utc>>,
    incomplete: bool,
    calls: usize,
    most_calls: usize,
}

impl Found {
    /// Fetches what never came in of these lines. Whether it is to be gone on: else these lines are not done with.
    async fn fetch(
        &mut self,
        log: &Log<'_>,
        lines: Vec<LoggedDelivery>,
        known: &dyn Known,
    ) -> Result<bool, UpstreamError> {
        let ids: Vec<String> = lines.iter().map(|line| line.guid.clone()).collect();
        let mut unknown = known.unknown(&ids).await?;
        // The last of several attempts of one delivery.
        let mut missing: Vec<LoggedDelivery> =
            lines.into_iter().filter(|line| line.event != "ping" && unknown.remove(&line.guid)).collect();
        missing.retain(|line| self.deliveries.iter().all(|(_, known)| !is_of(known, &line.guid)));
        missing.sort_by_key(place);
        for line in missing {
            if self.calls >= self.most_calls {
                return Ok(false);
            }
            self.calls += 1;
            match log.fetch(&line).await {
                Ok(delivery) => self.deliveries.push((place(&line), delivery)),
                // It left the log just now, or nobody could take it.
                Err(error) if is_for_good(error.kind) => self.incomplete = true,
                Err(error) if stops_all(error.kind) => {
                    // The deliveries that were fetched before it count.
                    return if self.deliveries.is_empty() { Err(error) } else { Ok(false) };
                }
                Err(_) => {
                    self.incomplete = true;
                    self.held = Some(self.held.map_or(line.delivered_at, |held| held.min(line.delivered_at)));
                }
            }
        }
        Ok(true)
    }
}

fn place(line: &LoggedDelivery) -> (DateTime<Utc>, u64) {
    (line.delivered_at, line.id)
}

fn is_of(delivery: &Recovered, guid: &str) -> bool {
    delivery.verified.delivery_id.as_deref() == Some(guid)
}

struct Log<'a> {
    api: &'a Connection,
    /// Owner, repository, number of the webhook.
    path: (&'a str, &'a str, &'a str),
}

/// A page of the log.
struct Page {
    /// Newest first.
    lines: Vec<LoggedDelivery>,
    /// Whether it has lines that say nothing to us.
    unreadable: bool,
    /// Where the next one is that is of interest.
    next: Option<String>,
}

impl Log<'_> {
    /// The lines of a page that are newer than `oldest`. Lines that claim to be of the future are among them: each is fetched once.
    async fn page(&self, cursor: Option<&str>, oldest: DateTime<Utc>) -> Result<Page, UpstreamError> {
        let (owner, name, id) = self.path;
        let mut query = vec![("per_page", PAGE)];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let request = client::get(self.api, &["repos", owner, name, "hooks", id, "deliveries"], &query)?;
        let response = client::rest(self.api, request.revalidate()).await?;
        let values: Vec<Value> = client::parse(&response.body)?;
        let count = values.len();
        let mut lines: Vec<LoggedDelivery> =
            values.into_iter().filter_map(|line| serde_json::from_value(line).ok()).collect();
        let unreadable = lines.len() < count;
        let reached = lines.last().is_some_and(|line| line.delivered_at <= oldest);
        lines.retain(|line| line.delivered_at > oldest);
        Ok(Page { lines, unreadable, next: client::next(&response.headers, "cursor").filter(|_| !reached) })
    }

    /// A delivery as it was sent.
    async fn fetch(&self, line: &LoggedDelivery) -> Result<Recovered, UpstreamError> {
        let (owner, name, id) = self.path;
        let number = line.id.to_string();
        let path = ["repos", owner, name, "hooks", id, "deliveries", &number];
        let response = client::rest(self.api, client::get(self.api, &path, &[])?).await?;
        let sent: Value = client::parse(&response.body)?;
        let payload = sent.pointer("/request/payload").filter(|payload| payload.is_object());
        let payload = payload.ok_or_else(|| {
            UpstreamError::new(UpstreamErrorKind::NotFound, "GitHub does not know any more what it delivered")
        })?;
        let action = payload.get("action").and_then(Value::as_str);
        let event = action.map_or_else(|| line.event.clone(), |action| format!("{}.{action}", line.event));
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&line.event) {
            headers.insert(HeaderName::from_static(EVENT), value);
        }
        let verified = VerifiedDelivery {
            delivery_id: Some(line.guid.clone()),
            event,
            subject: repository(payload),
            document: payload.to_string().into(),
        };
        Ok(Recovered { verified, headers })
    }
}
