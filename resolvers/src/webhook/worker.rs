//! The worker: takes stored deliveries in order of arrival, interprets each, and applies it in one transaction.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    answers::Services,
    change::Interpretation,
    store::{StoreError, apply::Batch, inbox::WaitingDelivery},
};

/// Deliveries that are read in one go.
const CHUNK: u64 = 100;
/// Without news, the inbox is looked into this often: for retries that are due.
const IDLE: Duration = Duration::from_secs(1);
/// After this many tries a delivery is given up; it stays in the inbox with its error.
const TRIES: i64 = 8;

/// Hears what became of each delivery, for metrics.
pub trait Outcome: Send + Sync {
    /// `applied`, `ignored`, `repeated`, `retried` or `failed`.
    fn settled(&self, provider: &str, result: &'static str);
}

/// Works the inbox until it is told to stop.
pub struct Worker {
    services: Arc<Services>,
    work: Arc<Notify>,
    outcome: Arc<dyn Outcome>,
}

enum Unsettled {
    Ignored(&'static str),
    Failed(StoreError),
}

impl Worker {
    /// A worker that is woken by `work`.
    pub fn new(services: Arc<Services>, work: Arc<Notify>, outcome: Arc<dyn Outcome>) -> Self {
        Self { services, work, outcome }
    }

    /// Runs until `stop` fires; what is being applied then is finished.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let idle = match self.services.database.next_deliveries(CHUNK).await {
                Ok(deliveries) => {
                    for delivery in &deliveries {
                        let result = self.settle(delivery).await;
                        self.outcome.settled(&delivery.provider, result);
                        if stop.is_cancelled() {
                            return;
                        }
                    }
                    deliveries.is_empty()
                }
                Err(error) => {
                    tracing::error!(%error, "the inbox could not be read");
                    true
                }
            };
            if idle {
                tokio::select! {
                    () = self.work.notified() => {}
                    () = tokio::time::sleep(IDLE) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    async fn settle(&self, delivery: &WaitingDelivery) -> &'static str {
        let database = &self.services.database;
        let settled = match self.apply(delivery).await {
            Ok(result) => return result,
            Err(Unsettled::Ignored(why)) => database.mark_ignored(&delivery.id, why).await.map(|()| "ignored"),
            Err(Unsettled::Failed(error)) if delivery.attempts + 1 >= TRIES => {
                tracing::error!(%error, delivery = delivery.id, "a delivery was given up");
                database.mark_failed(&delivery.id, &error.to_string()).await.map(|()| "failed")
            }
            Err(Unsettled::Failed(error)) => {
                tracing::warn!(%error, delivery = delivery.id, "a delivery is tried again");
                let wait = chrono::Duration::seconds(1 << delivery.attempts.clamp(0, 10));
                let due = self.services.clock.now() + wait;
                database.retry_delivery(&delivery.id, &error.to_string(), due).await.map(|()| "retried")
            }
        };
        settled.unwrap_or_else(|error| {
            tracing::error!(%error, delivery = delivery.id, "what became of a delivery could not be written");
            "retried"
        })
    }

    async fn apply(&self, delivery: &WaitingDelivery) -> Result<&'static str, Unsettled> {
        let integration = self.services.engine.directory().get(&delivery.tenant, &delivery.integration).await;
        let integration = integration.map_err(|_| Unsettled::Failed(StoreError::NotFound))?;
        let integration = integration.ok_or(Unsettled::Ignored("the integration is not connected any more"))?;
        *integration.last_delivery_at.lock() = Some(delivery.delivery.received_at);
        let changes = match integration.provider.interpret(&delivery.delivery) {
            Interpretation::Changes(changes) => changes,
            Interpretation::Ignored(why) => return Err(Unsettled::Ignored(why)),
        };
        let batch = Batch::of_delivery(&delivery.id, delivery.delivery.received_at, changes);
        let applied = self.services.applier.apply(&integration, batch).await.map_err(Unsettled::Failed)?;
        Ok(if applied.repeated { "repeated" } else { "applied" })
    }
}
