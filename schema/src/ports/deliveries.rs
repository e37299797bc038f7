//! The port of webhook deliveries, for administrators: what came in, what became of it, and its replay.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Page, PageRequest};
use crate::{
    enums::{WebhookDeliverySource, WebhookDeliveryState},
    error::PortError,
    id::{DeliveryId, IntegrationId},
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

/// Webhook deliveries of the caller's tenant.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// A page, newest first.
    async fn page(&self, filter: &DeliveryFilter, page: PageRequest) -> Result<Page<Arc<DeliveryView>>, PortError>;

    /// Applies one again, with all its tries.
    async fn replay(&self, id: &DeliveryId) -> Result<Arc<DeliveryView>, PortError>;
}
