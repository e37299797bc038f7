//! The port of the activity log: what happened, newest first, and the head of the tenant's stream.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{ActivitySource, Page, PageRequest, Problem};
use crate::{
    error::PortError,
    id::{ActivityId, EventCursor, IntegrationId, NodeReference},
};

/// An activity as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityView {
    /// Row id.
    pub id: ActivityId,
    /// Its position in the tenant's stream, as clients may hold it.
    pub cursor: EventCursor,
    /// The provider's key.
    pub provider: String,
    /// `None` after it was disconnected.
    pub integration: Option<IntegrationId>,
    /// `pull_request.closed`
    pub kind: String,
    /// The person or app that did it.
    pub actor: Option<NodeReference>,
    /// To what.
    pub subject: Option<NodeReference>,
    /// One line for people.
    pub summary: String,
    /// When, by the provider's clock.
    pub occurred_at: DateTime<Utc>,
    /// When we heard of it.
    pub received_at: DateTime<Utc>,
}

/// A page of activities.
#[derive(Debug, Clone, Default)]
pub struct ActivityPage {
    /// The activities.
    pub page: Page<Arc<ActivityView>>,
    /// The reasons why activities may be missing: a provider that refuses the token, so that its log cannot be read.
    pub problems: Vec<Problem>,
}

/// Activities of the caller's tenant.
#[async_trait]
pub trait ActivityLog: Send + Sync {
    /// A page, newest first; with the reasons why activities may be missing.
    async fn page(&self, filter: &ActivitySource, page: PageRequest) -> Result<Arc<ActivityPage>, PortError>;

    /// One.
    async fn activity(&self, id: &ActivityId) -> Result<Option<Arc<ActivityView>>, PortError>;

    /// The stream's head now.
    async fn head(&self) -> Result<EventCursor, PortError>;
}
