//! The board of quotas, in the database that all replicas have.

use async_trait::async_trait;
use mullion_schema::id::IntegrationId;
use tokio_util::task::TaskTracker;

use crate::{
    store::Database,
    upstream::{QuotaBoard, QuotaReading},
};

/// Quotas in the database.
pub struct SharedQuotas {
    /// Where they are kept.
    pub database: Database,
    /// Where they are written, so that no call waits for it.
    pub tasks: TaskTracker,
}

#[async_trait]
impl QuotaBoard for SharedQuotas {
    fn tell(&self, integration: &IntegrationId, told: &QuotaReading) {
        let (database, integration, told) = (self.database.clone(), integration.clone(), told.clone());
        self.tasks.spawn(async move {
            if let Err(error) = database.note_quota(&integration, &told).await {
                tracing::debug!(%error, "a quota was not shared");
            }
        });
    }

    async fn look(&self, integration: &IntegrationId, bucket: &'static str) -> Option<QuotaReading> {
        let told = self.database.quota(integration, bucket).await;
        // The call is then made as if no other replica had told anything: the provider still refuses what is too much.
        told.inspect_err(|error| tracing::debug!(%error, "a shared quota could not be read")).ok()?
    }
}
