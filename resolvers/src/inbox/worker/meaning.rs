//! Applies the meaning of deliveries: their provider interprets them, and the engine writes and announces it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use mullion_schema::{
    error::ErrorCode,
    id::{IntegrationId, TenantId},
};

use super::{Done, LeasedDelivery, Work};
use crate::{
    changes::Applier,
    inbox::log::Interpreter,
    provider::change::Interpretation,
    reading::{Engine, integrations::Integration},
    store::{
        StoreError,
        apply::{Applied, Batch},
        inbox::{Meant, WaitingDelivery, is_recovered},
    },
};

/// Bytes of a body that is read on a thread of its own.
const LARGE: usize = 1_000_000;

/// Why nothing is done for an integration that is gone.
const GONE: &str = "the integration is not connected any more";

/// Applies deliveries with all that a running gateway has.
pub struct Meaning {
    /// Knows the integrations.
    pub engine: Arc<Engine>,
    /// Writes and announces.
    pub applier: Arc<Applier>,
}

impl Meaning {
    async fn integration(
        &self,
        tenant: &TenantId,
        integration: &IntegrationId,
    ) -> Result<Option<Arc<Integration>>, StoreError> {
        let found = self.engine.directory().get(tenant, integration).await;
        found.map_err(|error| StoreError::Unread {
            what: "the integration",
            is_outage: error.code == ErrorCode::ServiceUnavailable,
        })
    }
}

/// The batch to apply for a delivery, or why there is none.
fn interpret(integration: &Integration, waiting: &WaitingDelivery) -> Result<Batch, &'static str> {
    let delivery = &waiting.delivery;
    if !is_recovered(&delivery.headers) {
        integration.heard(delivery.received_at);
    }
    match integration.provider.interpret(delivery) {
        Interpretation::Ignored(why) => Err(why),
        Interpretation::Changes(changes) => Ok(Batch::of_delivery(&waiting.id, delivery.received_at, changes)),
    }
}

/// The same, on a thread that may be kept busy where it takes long: the log is read on the threads of the inbox.
async fn interpret_aside(
    integration: &Arc<Integration>,
    waiting: &WaitingDelivery,
) -> Result<Result<Batch, &'static str>, StoreError> {
    if waiting.delivery.document.len() < LARGE {
        return Ok(interpret(integration, waiting));
    }
    let (integration, waiting) = (Arc::clone(integration), waiting.clone());
    match tokio::task::spawn_blocking(move || interpret(&integration, &waiting)).await {
        Ok(meant) => Ok(meant),
        // It is caught where a panic of a small one is.
        Err(broken) => match broken.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends: the delivery stays for the next one.
            Err(_) => Err(StoreError::Unread { what: "the delivery", is_outage: true }),
        },
    }
}

#[async_trait]
impl Work for Meaning {
    async fn apply(&self, deliveries: &[LeasedDelivery]) -> Result<Vec<Done>, StoreError> {
        let Some(first) = deliveries.first().map(|taken| &taken.delivery) else { return Ok(Vec::new()) };
        let Some(integration) = self.integration(&first.tenant, &first.integration).await? else {
            return Ok(vec![Done::Ignored(GONE); deliveries.len()]);
        };
        let mut done = Vec::with_capacity(deliveries.len());
        let mut batches = Vec::new();
        for LeasedDelivery { delivery, lease } in deliveries {
            done.push(match interpret_aside(&integration, delivery).await? {
                Err(why) => Done::Ignored(why),
                Ok(batch) => {
                    batches.push(batch.under(lease.clone()));
                    Done::Applied
                }
            });
        }
        if !batches.is_empty() {
            let applied = self.applier.apply_all(&integration, batches).await?;
            let written = done.iter_mut().filter(|done| **done == Done::Applied);
            written
                .zip(applied.repeated)
                .filter(|(_, repeated)| *repeated)
                .for_each(|(done, _)| *done = Done::Repeated);
        }
        Ok(done)
    }
}

#[async_trait]
impl Interpreter for Meaning {
    async fn interpret(&self, deliveries: &[WaitingDelivery]) -> Vec<Meant> {
        let mut of: BTreeMap<(&str, &str), Vec<&WaitingDelivery>> = BTreeMap::new();
        for delivery in deliveries {
            of.entry((delivery.tenant.as_str(), delivery.integration.as_str())).or_default().push(delivery);
        }
        let mut all = Vec::with_capacity(of.len());
        for ((tenant, integration), deliveries) in of {
            let (tenant, integration) = (TenantId::from(tenant), IntegrationId::from(integration));
            // The head is in memory before the stream moves.
            let started = self.applier.start(&tenant).await;
            // If it is gone or cannot be read now, the inbox's worker says so.
            let (Ok(()), Ok(Some(found))) = (started, self.integration(&tenant, &integration).await) else { continue };
            let (mut batches, mut ignored) = (Vec::with_capacity(deliveries.len()), Vec::new());
            for delivery in deliveries {
                match interpret(&found, delivery) {
                    Ok(batch) => batches.push(batch),
                    Err(why) => ignored.push((delivery.id.clone(), why)),
                }
            }
            let rules = Box::new(Arc::clone(&found.provider));
            all.push(Meant { tenant, integration, rules, batches, ignored });
        }
        all
    }

    async fn announce(&self, tenant: &TenantId, applied: &Applied) {
        self.applier.tell(tenant, applied).await;
    }
}
