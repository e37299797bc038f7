//! Turns: only so many executions of one tenant run at a time, so that no tenant takes all processors. The others wait, in order.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Whose turn it is.
pub(super) struct Turns {
    most: usize,
    patience: Duration,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

impl Turns {
    /// At most `most` at a time; who waits longer than `patience` is not executed any more: nobody waits for it either.
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        Self { most: most.min(Semaphore::MAX_PERMITS), patience, tenants: Mutex::default() }
    }

    /// Waits for a turn, which is held until it is dropped. `None`: it took too long.
    pub(super) async fn take(&self, tenant: &TenantId) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut tenants = self.tenants.lock();
            Arc::clone(tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.most))))
        };
        tokio::time::timeout(self.patience, turns.acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, poll};

    use super::Turns;

    #[tokio::test]
    async fn a_tenant_has_so_many_turns_at_a_time_and_others_have_theirs() {
        let turns = Turns::new(2, Duration::from_secs(30));
        let (tenant, other) = ("a".into(), "b".into());
        let first = turns.take(&tenant).await.unwrap();
        let _second = turns.take(&tenant).await.unwrap();
        let (mut third, mut fourth) = (turns.take(&tenant).boxed(), turns.take(&tenant).boxed());
        assert!(poll!(&mut third).is_pending() && poll!(&mut fourth).is_pending());
        assert!(turns.take(&other).await.is_some(), "another tenant waits for nobody");
        drop(first);
        assert!(poll!(&mut fourth).is_pending(), "it came later");
        let third = third.await.unwrap();
        drop(third);
        assert!(fourth.await.is_some());
    }

    #[tokio::test]
    async fn who_waits_too_long_has_no_turn_and_leaves_none_taken() {
        let turns = Turns::new(1, Duration::ZERO);
        let tenant = "a".into();
        let first = turns.take(&tenant).await;
        assert!(turns.take(&tenant).await.is_none());
        drop(first);
        assert!(turns.take(&tenant).await.is_some());
    }
}
