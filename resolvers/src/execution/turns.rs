//! Turns: only so many executions of one tenant run at a time, so that no tenant takes all processors. The others wait, in order.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For each that runs, so many wait at most: more could not be served before they give up.
const QUEUE: usize = 64;

/// Whose turn it is.
pub(super) struct Turns {
    most: usize,
    patience: Duration,
    tenants: Mutex<HashMap<TenantId, Queue>>,
}

#[derive(Clone)]
struct Queue {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Turns {
    /// At most `most` at a time; who would have to wait longer than `patience` is not executed.
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        Self { most: most.min(Semaphore::MAX_PERMITS / QUEUE), patience, tenants: Mutex::default() }
    }

    /// Waits for a turn, which is held until it is dropped. `None`: it took too long, or too many wait already.
    pub(super) async fn take(&self, tenant: &TenantId) -> Option<OwnedSemaphorePermit> {
        let queue = {
            let mut tenants = self.tenants.lock();
            tenants.entry(tenant.clone()).or_insert_with(|| Queue::new(self.most)).clone()
        };
        let _place = queue.places.try_acquire().ok()?;
        tokio::time::timeout(self.patience, queue.turns.acquire_owned()).await.ok()?.ok()
    }
}

impl Queue {
    fn new(most: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(most)), places: Arc::new(Semaphore::new(most * QUEUE)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, poll};

    use super::{QUEUE, Turns};

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
    async fn where_too_many_wait_already_nobody_waits_behind_them() {
        let turns = Turns::new(1, Duration::from_hours(1));
        let (tenant, other) = ("a".into(), "b".into());
        let first = turns.take(&tenant).await.unwrap();
        let mut waiting: Vec<_> = (0..QUEUE).map(|_| turns.take(&tenant).boxed()).collect();
        for turn in &mut waiting {
            assert!(poll!(turn).is_pending());
        }
        assert!(turns.take(&tenant).await.is_none());
        assert!(turns.take(&other).await.is_some());
        drop(first);
        assert!(waiting.remove(0).await.is_some());
        assert!(poll!(turns.take(&tenant).boxed()).is_pending(), "there is a place again");
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
