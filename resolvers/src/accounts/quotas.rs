//! The board of quotas, in the database that all replicas have.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mullion_schema::id::IntegrationId;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{
    clock::Clock,
    error_chain::chain,
    store::{Database, StoreError, quota::Use},
    upstream::{QuotaBoard, QuotaReading, UsageLog},
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
        let tell = async move {
            if let Err(error) = database.note_quota(&integration, &told).await {
                tracing::debug!(error = %chain(&error), "a quota was not shared");
            }
        };
        self.tasks.spawn(tell.in_current_span());
    }

    async fn look(&self, integration: &IntegrationId, bucket: &'static str) -> Option<QuotaReading> {
        let told = self.database.quota(integration, bucket).await;
        // The call is then made as if no other replica had told anything: the provider still refuses what is too much.
        told.inspect_err(|error| tracing::debug!(error = %chain(&error), "a shared quota could not be read")).ok()?
    }
}

/// How long what was used is gathered before it is written: many calls of one burst are one write.
const GATHERED: Duration = Duration::from_millis(500);

/// A quota of an integration on a day.
type Key = (IntegrationId, &'static str, i64);

/// Counts what is used of the quotas, in the database.
pub struct QuotaUses {
    database: Database,
    tasks: TaskTracker,
    clock: Arc<dyn Clock>,
    /// Uses that are not written yet. It has no more entries than integrations have quotas.
    gathered: Arc<Mutex<HashMap<Key, i64>>>,
}

impl QuotaUses {
    /// Nothing is used yet.
    pub fn new(database: Database, tasks: TaskTracker, clock: Arc<dyn Clock>) -> Self {
        Self { database, tasks, clock, gathered: Arc::default() }
    }

    /// The uses through an integration today, UTC, by quota.
    pub async fn today(&self, integration: &IntegrationId) -> Result<BTreeMap<String, i64>, StoreError> {
        let day = day_of(self.clock.now());
        let mut used = self.database.quota_use(integration, day).await?;
        for ((of, bucket, on), units) in self.gathered.lock().iter() {
            if of == integration && *on == day {
                *used.entry((*bucket).to_owned()).or_default() += units;
            }
        }
        Ok(used)
    }
}

impl UsageLog for QuotaUses {
    fn used(&self, integration: &IntegrationId, bucket: &'static str, units: i64) {
        let day = day_of(self.clock.now());
        let mut gathered = self.gathered.lock();
        let first = gathered.is_empty();
        *gathered.entry((integration.clone(), bucket, day)).or_default() += units;
        if !first {
            return;
        }
        let (database, gathered) = (self.database.clone(), Arc::clone(&self.gathered));
        self.tasks.spawn(async move {
            tokio::time::sleep(GATHERED).await;
            let uses = std::mem::take(&mut *gathered.lock()).into_iter();
            let uses = uses.map(|((integration, bucket, day), units)| Use { integration, bucket, day, units });
            if let Err(error) = database.add_quota_use(&uses.collect::<Vec<_>>()).await {
                tracing::warn!(error = %chain(&error), "the use of quotas was not counted");
            }
        });
    }
}

/// Days since 1970, UTC.
fn day_of(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(86_400)
}
