//! A webhook's log at GitHub: what it sent, or tried to send, for some days. What never came in is fetched from it.
//!
//! Fetched rather than asked to be sent again: that works although GitHub cannot reach us, which may be why it did not come, and when
//! the call has ended it is known what there was. A delivery that comes after all has the same id, and is recognised.

use std::collections::BTreeMap;

use chrono::Duration;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use url::Url;

use super::{
    account::parts_of,
    client,
    webhook::EVENT,
    wire::{Hook, LoggedDelivery},
};
use crate::{
    provider::VerifiedDelivery,
    recovery::{CaughtUp, Known, Recovered, Since, WebhookCondition},
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

/// Fetches what the log of the repository's webhook has and never came in.
pub(super) async fn catch_up(api: &Connection, since: Since<'_>, known: &dyn Known) -> Result<CaughtUp, UpstreamError> {
    let Some(webhook) = since.webhook else { return Ok(CaughtUp::default()) };
    let log = Log { api, path: parts_of(webhook)? };
    let from = since.mark.filter(|mark| mark.get("webhook").and_then(Value::as_str) == Some(webhook));
    let from = from.and_then(|mark| mark.get("upTo")).and_then(Value::as_u64).unwrap_or(0);
    let mut calls = 0;
    let (lines, whole) = log.since(from, since.calls, &mut calls).await?;
    let now = api.clock.now();
    let settled = lines.iter().filter(|line| now - line.delivered_at > SETTLED).map(|line| line.id).max();
    let mut up_to = settled.unwrap_or(from).max(from);
    // By id: attempts of one delivery are one.
    let mut missing: BTreeMap<u64, LoggedDelivery> = BTreeMap::new();
    let ids: Vec<String> = lines.iter().map(|line| line.guid.clone()).collect();
    let mut unknown = known.unknown(&ids).await?;
    for line in lines.into_iter().filter(|line| line.event != "ping") {
        if unknown.remove(&line.guid) {
            missing.insert(line.id, line);
        }
    }
    let mut complete = whole;
    let mut deliveries = Vec::new();
    for (id, line) in missing {
        if calls >= since.calls {
            complete = false;
            up_to = up_to.min(id.saturating_sub(1));
            break;
        }
        calls += 1;
        match log.fetch(&line).await {
            Ok(delivery) => deliveries.push(delivery),
            // It left the log just now, or nobody could take it.
            Err(error) if is_for_good(error.kind) => complete = false,
            // What was fetched before it counts; it is asked for again.
            Err(error) => {
                if deliveries.is_empty() && stops_all(error.kind) {
                    return Err(error);
                }
                complete = false;
                up_to = up_to.min(id.saturating_sub(1));
                if stops_all(error.kind) {
                    break;
                }
            }
        }
    }
    let mark = Some(json!({ "webhook": webhook, "upTo": up_to }));
    Ok(CaughtUp { mark, deliveries, fetched: Vec::new(), complete, calls })
}

/// Whether a delivery cannot be had, now or later.
fn is_for_good(kind: UpstreamErrorKind) -> bool {
    matches!(kind, UpstreamErrorKind::NotFound | UpstreamErrorKind::Rejected)
}

/// Whether no other delivery can be had either, at present.
fn stops_all(kind: UpstreamErrorKind) -> bool {
    use UpstreamErrorKind::{AuthExpired, CircuitOpen, RateLimited};
    matches!(kind, AuthExpired | CircuitOpen | RateLimited)
}

struct Log<'a> {
    api: &'a Connection,
    /// Owner, repository, number of the webhook.
    path: (&'a str, &'a str, &'a str),
}

impl Log<'_> {
    /// The lines after `from`, newest first, and whether these are all.
    async fn since(
        &self,
        from: u64,
        most_calls: usize,
        calls: &mut usize,
    ) -> Result<(Vec<LoggedDelivery>, bool), UpstreamError> {
        let (owner, name, id) = self.path;
        let oldest = self.api.clock.now() - KEPT;
        let mut lines: Vec<LoggedDelivery> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("per_page", PAGE)];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let request = client::get(self.api, &["repos", owner, name, "hooks", id, "deliveries"], &query)?;
            *calls += 1;
            let response = client::rest(self.api, request.revalidate()).await?;
            let page: Vec<LoggedDelivery> = client::parse(&response.body)?;
            let reached = page.iter().any(|line| line.id <= from || line.delivered_at < oldest);
            lines.extend(page.into_iter().filter(|line| line.id > from && line.delivered_at >= oldest));
            cursor = next_cursor(&response.headers);
            if reached || cursor.is_none() {
                return Ok((lines, true));
            }
            if *calls >= most_calls {
                return Ok((lines, false));
            }
        }
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
        let document = payload.to_string().into();
        Ok(Recovered { verified: VerifiedDelivery { delivery_id: Some(line.guid.clone()), event, document }, headers })
    }
}

/// `<https://…/deliveries?per_page=100&cursor=v1_…>; rel="next"`
fn next_cursor(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(header::LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let url: Url = next.split_once('<')?.1.split_once('>')?.0.parse().ok()?;
    url.query_pairs().find(|(name, _)| name == "cursor").map(|(_, cursor)| cursor.into_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::next_cursor;

    #[test]
    fn the_next_page_is_where_the_link_says() {
        for (link, cursor) in [
            (
                "<https://api.github.com/repos/a/b/hooks/1/deliveries?per_page=100&cursor=v1_12>; rel=\"next\"",
                Some("v1_12"),
            ),
            ("<https://x/?cursor=a>; rel=\"prev\", <https://x/?cursor=b%2Bc>; rel=\"next\"", Some("b+c")),
            ("<https://x/?cursor=a>; rel=\"prev\"", None),
            ("<https://x/?page=2>; rel=\"next\"", None),
        ] {
            let headers = HeaderMap::from_iter([(header::LINK, HeaderValue::from_static(link))]);
            assert_eq!(next_cursor(&headers).as_deref(), cursor, "{link}");
        }
    }
}
