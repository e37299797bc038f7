//! Events of a project that were not delivered, by Asana's log of events; and the condition of a webhook.

use http::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use super::{
    client::{self, Get},
    interpret::{is_told, key_of, kind_of},
    names::PROJECT,
    values::{is_gid, list, text},
};
use crate::{
    error_chain::chain,
    provider::{
        VerifiedDelivery,
        recovery::{CaughtUp, Known, Recovered, Since, WebhookCondition},
    },
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// As much as a webhook tells of an event.
const FIELDS: &[&str] = &[
    "action",
    "change.action",
    "change.field",
    "created_at",
    "parent.resource_subtype",
    "parent.resource_type",
    "resource.resource_subtype",
    "resource.resource_type",
    "type",
    "user.resource_type",
];

/// Looks at a webhook.
pub(super) async fn inspect(
    api: &Connection,
    external_id: &str,
    target: &Url,
) -> Result<WebhookCondition, UpstreamError> {
    if !is_gid(external_id) {
        return Ok(WebhookCondition::Gone);
    }
    let get = Get::new("webhooks", &["webhooks", external_id]).fields(vec!["active", "target"]);
    match client::one(api, &get).await {
        Ok(hook) => {
            let active = hook.get("active").and_then(Value::as_bool).unwrap_or(false);
            let in_order = active && text(&hook, "target") == Some(target.as_str());
            Ok(if in_order { WebhookCondition::InOrder } else { WebhookCondition::Disabled })
        }
        Err(error) if error.kind == UpstreamErrorKind::NotFound => Ok(WebhookCondition::Gone),
        Err(error) => Err(error),
    }
}

/// The events of a project since the last time. Without a token, or with one that expired, Asana gives one from which on it tells.
pub(super) async fn catch_up(api: &Connection, since: Since<'_>, known: &dyn Known) -> Result<CaughtUp, UpstreamError> {
    let project = since.container.native_id.as_ref();
    if since.container.type_name != PROJECT || !is_gid(project) {
        return Ok(CaughtUp::default());
    }
    let mut token = since.mark.and_then(|mark| text(mark, "sync")).map(str::to_owned);
    let mut caught = CaughtUp::default();
    loop {
        let mut get = Get::new("events", &["events"]).query("resource", project).fields(FIELDS.to_vec());
        if let Some(token) = &token {
            get = get.query("sync", token);
        }
        caught.calls += 1;
        let page = match client::events(api, &get).await {
            // The events that were found before it count, and the next time goes on there.
            Err(error) if caught.mark.is_some() => {
                tracing::debug!(error = %chain(&error), "a project's events were read in part");
                return Ok(caught);
            }
            page => page?,
        };
        let sync = text(&page, "sync").ok_or_else(super::error::no_api)?.to_owned();
        if page.get("data").is_none() {
            // From here on it is told; what was before is not.
            caught.mark = Some(json!({ "sync": sync }));
            return Ok(caught);
        }
        caught.deliveries.extend(recovered(&page, &sync, known).await?);
        caught.mark = Some(json!({ "sync": sync }));
        if page.get("has_more") != Some(&Value::Bool(true)) {
            caught.complete = true;
            return Ok(caught);
        }
        if caught.calls >= since.calls {
            return Ok(caught);
        }
        token = Some(sync);
    }
}

/// The events of a page that nobody was told of, as the delivery that they should have come in.
async fn recovered(page: &Value, sync: &str, known: &dyn Known) -> Result<Option<Recovered>, UpstreamError> {
    let events: Vec<(&Value, String)> =
        list(page, "data").iter().filter(|event| is_told(event)).map(|event| (event, key_of(event))).collect();
    let keys: Vec<String> = events.iter().map(|(_, key)| key.clone()).collect();
    let untold = known.untold(&keys).await?;
    let missing: Vec<&Value> = events.iter().filter(|(_, key)| untold.contains(key)).map(|(event, _)| *event).collect();
    let Some(first) = missing.first() else { return Ok(None) };
    let event = kind_of(first);
    let document = json!({ "events": missing }).to_string().into();
    let verified = VerifiedDelivery { delivery_id: Some(format!("events:{sync}")), event, subject: None, document };
    Ok(Some(Recovered { verified, headers: HeaderMap::new() }))
}
