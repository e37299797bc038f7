//! Turns: only so much is done for one tenant at a time, so that no tenant takes all processors. The rest waits, in order. Queries and
//! mutations wait for their executions, and long documents for being read.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::FutureExt as _;
use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many have a turn, and how many wait for one.
#[derive(Debug, Clone, Copy)]
pub struct TurnLimits {
    /// The turns of one tenant at a time.
    pub tenant: usize,
    /// The turns of all tenants together at a time; `None`: there is no limit beyond those of the tenants.
    pub all: Option<usize>,
    /// The most of one tenant that are admitted at a time, those that wait included.
    pub admitted: usize,
    /// The longest wait for a turn; `None`: as long as it takes.
    pub patience: Option<Duration>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _own: OwnedSemaphorePermit,
    _shared: Option<OwnedSemaphorePermit>,
}

/// Something that was admitted and has its turn.
#[derive(Debug)]
pub struct Admission {
    /// Held while it works, and not while it waits for others.
    pub turn: Turn,
    /// Held until it is done.
    pub place: OwnedSemaphorePermit,
    /// Whether it had to wait for its turn.
    pub waited: bool,
}

/// The turns of all tenants.
pub struct Turns {
    limits: TurnLimits,
    shared: Option<Arc<Semaphore>>,
    /// The tenants of which something is admitted, and some others.
    tenants: Mutex<HashMap<TenantId, Queue>>,
}

#[derive(Clone)]
struct Queue {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Queue {
    fn new(limits: &TurnLimits) -> Self {
        let permits = |number: usize| Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
        Self { turns: permits(limits.tenant), places: permits(limits.admitted) }
    }

    /// Whether somebody has a turn or a place, or is about to ask for one: each permit holds its semaphore.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.turns) > 1 || Arc::strong_count(&self.places) > 1
    }
}

impl Turns {
    /// Turns that nobody has yet.
    pub fn new(limits: TurnLimits) -> Self {
        let shared = limits.all.map(|all| Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))));
        Self { limits, shared, tenants: Mutex::default() }
    }

    /// Waits for a turn. `None`: it took too long, or too many of the tenant are admitted already.
    pub async fn take(&self, tenant: &TenantId) -> Option<Admission> {
        let Queue { turns, places } = self.queue(tenant);
        let place = places.try_acquire_owned().ok()?;
        let turn = async {
            let own = turns.acquire_owned().await.ok()?;
            let shared = match &self.shared {
                Some(shared) => Some(Arc::clone(shared).acquire_owned().await.ok()?),
                None => None,
            };
            Some(Turn { _own: own, _shared: shared })
        };
        let mut turn = std::pin::pin!(turn);
        if let Some(turn) = turn.as_mut().now_or_never() {
            return Some(Admission { turn: turn?, place, waited: false });
        }
        let turn = match self.limits.patience {
            Some(patience) => tokio::time::timeout(patience, turn).await.ok()??,
            None => turn.await?,
        };
        Some(Admission { turn, place, waited: true })
    }

    fn queue(&self, tenant: &TenantId) -> Queue {
        let mut tenants = self.tenants.lock();
        if let Some(queue) = tenants.get(tenant) {
            return queue.clone();
        }
        tenants.retain(|_, queue| queue.is_in_use());
        let queue = Queue::new(&self.limits);
        tenants.insert(tenant.clone(), queue.clone());
        queue
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, poll};

    use super::{TurnLimits, Turns};

    /// So many turns of each tenant at a time, and 64 more that wait.
    fn turns(tenant: usize, patience: Duration) -> Turns {
        Turns::new(TurnLimits { tenant, all: None, admitted: tenant * 65, patience: Some(patience) })
    }

    /// One turn of all tenants, and 64 of each tenant that have it or wait for it.
    fn one_of_all() -> Turns {
        Turns::new(TurnLimits { tenant: 1, all: Some(1), admitted: 64, patience: None })
    }

    #[tokio::test]
    async fn a_tenant_has_so_many_turns_at_a_time_and_others_have_theirs() {
        let turns = turns(2, Duration::from_secs(30));
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
        let turns = turns(1, Duration::from_hours(1));
        let (tenant, other) = ("a".into(), "b".into());
        let first = turns.take(&tenant).await.unwrap();
        let mut waiting: Vec<_> = (0..64).map(|_| turns.take(&tenant).boxed()).collect();
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
        let turns = turns(1, Duration::ZERO);
        let tenant = "a".into();
        let first = turns.take(&tenant).await;
        assert!(turns.take(&tenant).await.is_none());
        drop(first);
        assert!(turns.take(&tenant).await.is_some());
    }

    #[tokio::test]
    async fn a_tenant_with_many_that_wait_leaves_the_next_shared_turn_to_another() {
        let turns = one_of_all();
        let (busy, quiet) = ("busy".into(), "quiet".into());
        let first = turns.take(&busy).await.unwrap();
        let mut waiting: Vec<_> = (1..64).map(|_| turns.take(&busy).boxed()).collect();
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
    async fn nothing_is_known_of_tenants_that_have_and_want_no_turn() {
        let of_all = TurnLimits { tenant: 1, all: Some(2), admitted: 64, patience: None };
        for turns in [Turns::new(of_all), turns(2, Duration::from_secs(30))] {
            let held = turns.take(&"busy".into()).await;
            for tenant in ["a", "b", "c"] {
                drop(turns.take(&tenant.into()).await.unwrap());
            }
            assert_eq!(turns.tenants.lock().len(), 2, "the busy one and the last");
            drop(held);
        }
    }
}
