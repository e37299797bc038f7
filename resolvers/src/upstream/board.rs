//! The replicas' shared knowledge of the providers' quotas: one that was told that a quota is used up spares the others the
//! asking.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use mullion_schema::id::IntegrationId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection::QuotaReading;

/// How old what was looked up may be, and how often what is not urgent is told.
const BEAT: Duration = Duration::from_secs(1);

/// Where replicas tell each other of quotas.
#[async_trait]
pub trait QuotaBoard: Send + Sync {
    /// Notes what the provider told this replica. Does not wait.
    fn tell(&self, integration: &IntegrationId, told: &QuotaReading);

    /// The last reading of any replica; `None`: there is none, or it cannot be found out now.
    async fn look(&self, integration: &IntegrationId, bucket: &'static str) -> Option<QuotaReading>;
}

/// Counts what is used of quotas. Does not wait.
pub trait UsageLog: Send + Sync {
    /// So much was used through an integration, now.
    fn used(&self, integration: &IntegrationId, bucket: &'static str, units: i64);
}

/// One integration's way to the board: asks and tells no more often than is of use.
pub(super) struct Notices {
    board: Option<Arc<dyn QuotaBoard>>,
    looked: Mutex<HashMap<&'static str, Instant>>,
    told: Mutex<HashMap<&'static str, Instant>>,
}

impl Notices {
    pub(super) fn new(board: Option<Arc<dyn QuotaBoard>>) -> Self {
        Self { board, looked: Mutex::default(), told: Mutex::default() }
    }

    /// News of a quota, where it is time to look for some.
    pub(super) async fn news(&self, integration: &IntegrationId, bucket: &'static str) -> Option<QuotaReading> {
        let board = self.board.as_ref()?;
        if !due(&self.looked, bucket) {
            return None;
        }
        board.look(integration, bucket).await
    }

    pub(super) fn tell(&self, integration: &IntegrationId, told: &QuotaReading) {
        let Some(board) = &self.board else { return };
        let spent = told.remaining.is_some_and(|remaining| remaining <= 0);
        if due(&self.told, told.bucket) || spent {
            board.tell(integration, told);
        }
    }
}

/// Whether a beat has passed since the last time; that is now, then.
fn due(last: &Mutex<HashMap<&'static str, Instant>>, bucket: &'static str) -> bool {
    let (mut last, now) = (last.lock(), Instant::now());
    let due = last.get(bucket).is_none_or(|last| now - *last >= BEAT);
    if due {
        last.insert(bucket, now);
    }
    due
}
