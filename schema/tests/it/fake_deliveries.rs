//! The stand-in's webhook deliveries: one, and what came of it. Apart from the rest, which is long enough.

use std::sync::Arc;

use async_trait::async_trait;
use mullion_schema::{
    enums::{WebhookDeliverySource, WebhookDeliveryState},
    error::PortError,
    id::DeliveryId,
    ports::*,
};

use crate::fake::{Fake, activity_view, time};

#[async_trait]
impl Deliveries for Fake {
    async fn page(&self, filter: &DeliveryFilter, page: PageRequest) -> Result<Page<Arc<DeliveryView>>, PortError> {
        self.ask(format!("deliveries {} {filter:?}", page.first))?;
        let at = Position { sort: String::new(), native_id: "d1".into() };
        Ok(Page { items: vec![(at, delivery_view(WebhookDeliveryState::Parked))], has_next: true, total: None })
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Arc<DeliveryView>>, PortError> {
        self.ask(format!("delivery {id}"))?;
        Ok((id.as_str() == "d1").then(|| delivery_view(WebhookDeliveryState::Applied)))
    }

    async fn activities(&self, id: &DeliveryId, most: usize) -> Result<Vec<Arc<ActivityView>>, PortError> {
        self.ask(format!("activities of {id}, {most}"))?;
        Ok(vec![activity_view()])
    }

    async fn changes(&self, id: &DeliveryId, most: usize) -> Result<Vec<ChangeView>, PortError> {
        self.ask(format!("changes of {id}, {most}"))?;
        Ok(vec![ChangeView { cursor: "c1".into(), outdates: vec!["GithubIssue:I_1".into()] }])
    }

    async fn live_operations(&self, id: &DeliveryId, most: usize) -> Result<Vec<LiveOperationView>, PortError> {
        self.ask(format!("live operations of {id}, {most}"))?;
        Ok(vec![LiveOperationView { operation_name: Some("Board".into()), subscribers: 2 }])
    }

    async fn replay(&self, id: &DeliveryId) -> Result<Arc<DeliveryView>, PortError> {
        self.ask(format!("replay {id}"))?;
        Ok(delivery_view(WebhookDeliveryState::Received))
    }
}

fn delivery_view(state: WebhookDeliveryState) -> Arc<DeliveryView> {
    Arc::new(DeliveryView {
        id: "d1".into(),
        provider: "github".into(),
        integration: "gh".into(),
        event: "issues.closed".into(),
        delivery_id: Some("g1".into()),
        source: WebhookDeliverySource::Log,
        state,
        attempts: 8,
        received_at: time(),
        settled_at: Some(time()),
        error: Some("no".into()),
        next_attempt_at: None,
        size: 12,
    })
}
