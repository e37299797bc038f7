//! What a delivery means, applied: its provider interprets it, and the engine writes and announces it.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Done, Taken, Work};
use crate::{
    answers::Services,
    change::Interpretation,
    store::{StoreError, apply::Batch, inbox::is_recovered},
};

/// Applies deliveries with all that a running gateway has.
pub struct Meaning(pub Arc<Services>);

#[async_trait]
impl Work for Meaning {
    async fn apply(&self, deliveries: &[Taken]) -> Result<Vec<Done>, StoreError> {
        let Some(first) = deliveries.first().map(|taken| &taken.delivery) else { return Ok(Vec::new()) };
        let integration = self.0.engine.directory().get(&first.tenant, &first.integration).await;
        let integration = integration.map_err(|_| StoreError::NotFound)?;
        let Some(integration) = integration else {
            let gone = Done::Ignored("the integration is not connected any more");
            return Ok(vec![gone; deliveries.len()]);
        };
        let mut done = Vec::with_capacity(deliveries.len());
        let mut batches = Vec::new();
        for Taken { delivery, lease } in deliveries {
            if !is_recovered(&delivery.delivery.headers) {
                integration.heard(delivery.delivery.received_at);
            }
            done.push(match integration.provider.interpret(&delivery.delivery) {
                Interpretation::Ignored(why) => Done::Ignored(why),
                Interpretation::Changes(changes) => {
                    let batch = Batch::of_delivery(&delivery.id, delivery.delivery.received_at, changes);
                    batches.push(batch.under(lease.clone()));
                    Done::Applied
                }
            });
        }
        if !batches.is_empty() {
            let applied = self.0.applier.apply_all(&integration, batches).await?;
            let written = done.iter_mut().filter(|done| **done == Done::Applied);
            written
                .zip(applied.repeated)
                .filter(|(_, repeated)| *repeated)
                .for_each(|(done, _)| *done = Done::Repeated);
        }
        Ok(done)
    }
}
