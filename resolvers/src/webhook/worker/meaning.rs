//! What a delivery means, applied: its provider interprets it, and the engine writes and announces it.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Done, Work};
use crate::{
    answers::Services,
    change::Interpretation,
    store::{StoreError, apply::Batch, inbox::WaitingDelivery, lease::Lease},
};

/// Applies deliveries with all that a running gateway has.
pub struct Meaning(pub Arc<Services>);

#[async_trait]
impl Work for Meaning {
    async fn apply(&self, delivery: &WaitingDelivery, lease: &Lease) -> Result<Done, StoreError> {
        let integration = self.0.engine.directory().get(&delivery.tenant, &delivery.integration).await;
        let integration = integration.map_err(|_| StoreError::NotFound)?;
        let Some(integration) = integration else {
            return Ok(Done::Ignored("the integration is not connected any more"));
        };
        *integration.last_delivery_at.lock() = Some(delivery.delivery.received_at);
        let changes = match integration.provider.interpret(&delivery.delivery) {
            Interpretation::Changes(changes) => changes,
            Interpretation::Ignored(why) => return Ok(Done::Ignored(why)),
        };
        let batch = Batch::of_delivery(&delivery.id, delivery.delivery.received_at, changes).under(lease.clone());
        let applied = self.0.applier.apply(&integration, batch).await?;
        Ok(if applied.repeated { Done::Repeated } else { Done::Applied })
    }
}
