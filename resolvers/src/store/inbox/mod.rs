//! The inbox: deliveries on disk before they are acknowledged, worked off in lanes, kept for a while after that.

mod arrive;
mod effects;
mod insert;
pub mod list;
mod packed;
pub mod prune;
pub mod row;
mod settle;
mod source;
mod waiting;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use mullion_entities::delivery;
use mullion_schema::id::{IntegrationId, TenantId};

pub use self::arrive::{Arrived, Meant};
pub use self::source::{DeliverySource, is_recovered, mark_recovered, mark_socket};
pub use super::delivery_state::{APPLIED, IGNORED, PARKED, RECEIVED};
use super::{StoreError, lease::LANES, time::from_micros};
use crate::provider::StoredDelivery;

/// The outcome of storing a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is on disk, with this id.
    New(String),
    /// It was there before: nothing happens twice.
    Duplicate,
}

/// A delivery that waits to be applied.
#[derive(Debug, Clone)]
pub struct WaitingDelivery {
    /// Its id.
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The integration it belongs to.
    pub integration: IntegrationId,
    /// The provider's key.
    pub provider: String,
    /// Deliveries with the same one are applied in order of arrival.
    pub ordering: i64,
    /// The lane that it is worked in.
    pub lane: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// For interpretation.
    pub delivery: StoredDelivery,
}

/// How the inbox stands: for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboxState {
    /// Deliveries that wait, and that are parked.
    pub counts: BTreeMap<String, u64>,
    /// When the oldest that waits came in.
    pub oldest_waiting: Option<DateTime<Utc>>,
}

/// The key of what stays in order, and with it the lane.
pub fn ordering_key(integration: &IntegrationId, subject: Option<&str>) -> (i64, i64) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(integration.as_str().as_bytes()).update(b"\n").update(subject.unwrap_or_default().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(hasher.finalize().as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
    let ordering = i64::from_le_bytes(first);
    (ordering, ordering & (LANES - 1))
}

fn headers_text(headers: &HeaderMap) -> Result<String, StoreError> {
    let pairs: Vec<(&str, &str)> =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    serde_json::to_string(&pairs).map_err(|source| StoreError::Corrupt { what: "headers of a delivery", source })
}

fn headers_of(text: &str) -> Result<HeaderMap, StoreError> {
    let pairs: Vec<(String, String)> =
        serde_json::from_str(text).map_err(|source| StoreError::Corrupt { what: "headers of a delivery", source })?;
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

fn waiting_of(row: delivery::Model, body: &[u8]) -> Result<WaitingDelivery, StoreError> {
    Ok(WaitingDelivery {
        id: row.id,
        tenant: row.tenant.into(),
        integration: row.integration.into(),
        provider: row.provider,
        ordering: row.ordering,
        lane: row.lane,
        attempts: row.attempts,
        delivery: StoredDelivery {
            event: row.event,
            headers: headers_of(&row.headers)?,
            document: packed::unpack(body, row.size)?,
            received_at: from_micros(row.received_at),
        },
    })
}
