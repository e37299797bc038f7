//! Turns at reading documents: few at a time, and one of each tenant, so that the documents of one tenant take neither all
//! processors nor the turns of the others. The tenants that wait are served in the order in which they came.

use std::{collections::HashMap, num::NonZero, sync::Arc};

use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many documents of one tenant may wait or be read: each is in memory meanwhile.
const PLACES: usize = 64;

/// The turns that are taken, and the documents that wait for one.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Queue>>,
}

/// The documents of one tenant.
#[derive(Clone)]
struct Queue {
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    _shared: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Default for Turns {
    /// As many at a time as half of the processors: the others answer meanwhile.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::new((processors / 2).max(1))
    }
}

impl Turns {
    fn new(most: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(most)), tenants: Mutex::default() }
    }

    /// Waits for a turn. `None`: too many documents of the tenant wait already.
    pub(super) async fn take(&self, tenant: &TenantId) -> Option<Turn> {
        let queue = self.queue(tenant);
        let place = queue.places.try_acquire_owned().ok()?;
        let own = queue.turn.acquire_owned().await.ok()?;
        let shared = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _shared: shared, _own: own, _place: place })
    }

    fn queue(&self, tenant: &TenantId) -> Queue {
        let mut tenants = self.tenants.lock();
        if let Some(queue) = tenants.get(tenant) {
            return queue.clone();
        }
        // Each place that is taken holds its semaphore.
        tenants.retain(|_, queue| Arc::strong_count(&queue.places) > 1);
        let queue = Queue { places: Arc::new(Semaphore::new(PLACES)), turn: Arc::new(Semaphore::new(1)) };
        tenants.insert(tenant.clone(), queue.clone());
        queue
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};

    use super::{PLACES, Turns};

    #[tokio::test]
    async fn a_tenant_with_many_documents_leaves_the_next_turn_to_another() {
        let turns = Turns::new(1);
        let (busy, quiet) = ("busy".into(), "quiet".into());
        let first = turns.take(&busy).await.unwrap();
        let mut waiting: Vec<_> = (1..PLACES).map(|_| turns.take(&busy).boxed()).collect();
        for turn in &mut waiting {
            assert!(poll!(turn).is_pending());
        }
        assert!(turns.take(&busy).await.is_none(), "no more may wait");
        let mut other = turns.take(&quiet).boxed();
        assert!(poll!(&mut other).is_pending());
        drop(first);
        let mut second = waiting.remove(0);
        assert!(poll!(&mut second).is_pending(), "it came to the shared turns after the other tenant");
        drop(other.await.unwrap());
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn nothing_is_known_of_tenants_whose_documents_are_read() {
        let turns = Turns::new(1);
        for tenant in ["a", "b", "c"] {
            drop(turns.take(&tenant.into()).await.unwrap());
        }
        assert_eq!(turns.tenants.lock().len(), 1);
    }
}
