//! The port of webhook deliveries, for administrators: what came in, what became of it, and its replay.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{ActivityView, Page, PageRequest};
use crate::{
    enums::{WebhookDeliverySource, WebhookDeliveryState},
    error::PortError,
    id::{DeliveryId, EventCursor, IntegrationId},
};

/// A delivery. Never its body or headers: they may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the graph's WebhookDelivery")]
pub struct DeliveryView {
    pub id: DeliveryId,
    /// The provider's key.
    pub provider: String,
    pub integration: IntegrationId,
    pub event: String,
    pub delivery_id: Option<String>,
    pub source: WebhookDeliverySource,
    pub state: WebhookDeliveryState,
    pub attempts: i32,
    pub received_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub size: i32,
}

/// Which deliveries: every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the graph's WebhookDeliveryFilter")]
pub struct DeliveryFilter {
    pub providers: Option<Vec<String>>,
    pub integrations: Option<Vec<IntegrationId>>,
    pub states: Option<Vec<WebhookDeliveryState>>,
    pub events: Option<Vec<String>>,
    pub received_after: Option<DateTime<Utc>>,
    pub received_before: Option<DateTime<Utc>>,
}

/// A change in the tenant's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeView {
    /// Its position, as clients may hold it.
    pub cursor: EventCursor,
    /// The nodes and lists that it outdates: `Type:nativeId`, or a list, `Type:nativeId/name`.
    pub outdates: Vec<String>,
}

/// A live operation that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOperationView {
    /// The operation's name in its document.
    pub operation_name: Option<String>,
    /// How many subscribe to it.
    pub subscribers: i32,
}

/// Webhook deliveries of the caller's tenant.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// A page, newest first.
    async fn page(&self, filter: &DeliveryFilter, page: PageRequest) -> Result<Page<Arc<DeliveryView>>, PortError>;

    /// One; `None` when the tenant has none of this id.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Arc<DeliveryView>>, PortError>;

    /// The activities that came of it, `most` at most.
    async fn activities(&self, id: &DeliveryId, most: usize) -> Result<Vec<Arc<ActivityView>>, PortError>;

    /// The changes that came of it, `most` at most.
    async fn changes(&self, id: &DeliveryId, most: usize) -> Result<Vec<ChangeView>, PortError>;

    /// The live operations of this process that watch what it changed, `most` at most.
    async fn live_operations(&self, id: &DeliveryId, most: usize) -> Result<Vec<LiveOperationView>, PortError>;

    /// Applies one again, with all its tries.
    async fn replay(&self, id: &DeliveryId) -> Result<Arc<DeliveryView>, PortError>;
}
