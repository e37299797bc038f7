//! Turns of live runs: only so many of one tenant are executed at a time, so that no tenant takes all processors. The others wait, in
//! order.
//!
//! They are apart from the turns of queries, so that neither keeps the other waiting. A query that waits too long is refused. A live
//! run never is: what it would have shown would be missing. So all tenants' live runs together are limited too, and tenants that wait
//! are served in rotation.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;
use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many live runs are executed at a time.
#[derive(Debug, Clone, Copy)]
pub struct LiveLimits {
    /// Those of one tenant.
    pub tenant: usize,
    /// Those of all tenants together.
    pub all: usize,
}

/// The turns of live runs.
#[derive(Clone)]
pub(super) struct LiveTurns(Arc<LiveQueues>);

struct LiveQueues {
    /// The most runs of one tenant at a time.
    most: usize,
    state: Mutex<LiveState>,
}

struct LiveState {
    /// Turns that nobody has.
    free: usize,
    /// The tenants of which some run or wait.
    tenants: HashMap<TenantId, LiveQueue, RandomState>,
    /// The tenants of which some wait and another may run: whose turn is next, in rotation.
    next: VecDeque<TenantId>,
}

#[derive(Default)]
struct LiveQueue {
    running: usize,
    waiting: VecDeque<oneshot::Sender<LiveTurn>>,
}

/// A live run's turn, until it is dropped.
pub(super) struct LiveTurn {
    queues: Arc<LiveQueues>,
    tenant: TenantId,
}

impl LiveTurns {
    pub(super) fn new(limits: LiveLimits) -> Self {
        let state = LiveState { free: limits.all.max(1), tenants: HashMap::default(), next: VecDeque::new() };
        Self(Arc::new(LiveQueues { most: limits.tenant.max(1), state: Mutex::new(state) }))
    }

    /// Waits for a turn, however long that takes. There is always one, unless the turns themselves are gone.
    pub(super) async fn take(&self, tenant: &TenantId) -> Option<LiveTurn> {
        let waiting = {
            let mut state = self.0.state.lock();
            let LiveState { free, tenants, next } = &mut *state;
            let queue = tenants.entry(tenant.clone()).or_default();
            if *free > 0 && queue.running < self.0.most && queue.waiting.is_empty() {
                *free -= 1;
                queue.running += 1;
                return Some(LiveTurn { queues: Arc::clone(&self.0), tenant: tenant.clone() });
            }
            if queue.running < self.0.most && queue.waiting.is_empty() {
                next.push_back(tenant.clone());
            }
            let (given, waiting) = oneshot::channel();
            queue.waiting.push_back(given);
            waiting
        };
        waiting.await.ok()
    }
}

impl LiveQueues {
    /// A turn of this tenant is over: those who wait get what is free.
    fn over(self: &Arc<Self>, tenant: &TenantId) {
        let given = {
            let mut state = self.state.lock();
            state.over(tenant, self.most);
            state.given(self.most)
        };
        for (waiting, tenant) in given {
            // A run that went away just now drops its turn, and the next one gets it.
            drop(waiting.send(LiveTurn { queues: Arc::clone(self), tenant }));
        }
    }
}

impl LiveState {
    fn over(&mut self, tenant: &TenantId, most: usize) {
        self.free += 1;
        let Some(queue) = self.tenants.get_mut(tenant) else { return };
        if queue.running == most && !queue.waiting.is_empty() {
            self.next.push_back(tenant.clone());
        }
        queue.running -= 1;
        if queue.running == 0 && queue.waiting.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    /// Gives free turns to those who wait, one tenant after the other.
    fn given(&mut self, most: usize) -> Vec<(oneshot::Sender<LiveTurn>, TenantId)> {
        let mut given = Vec::new();
        while self.free > 0
            && let Some(tenant) = self.next.pop_front()
        {
            let Some(queue) = self.tenants.get_mut(&tenant) else { continue };
            let waiting = std::iter::from_fn(|| queue.waiting.pop_front()).find(|waiting| !waiting.is_closed());
            if let Some(waiting) = waiting {
                self.free -= 1;
                queue.running += 1;
                given.push((waiting, tenant.clone()));
            }
            if queue.waiting.is_empty() {
                if queue.running == 0 {
                    self.tenants.remove(&tenant);
                }
            } else if queue.running < most {
                self.next.push_back(tenant);
            }
        }
        given
    }
}

impl Drop for LiveTurn {
    fn drop(&mut self) {
        self.queues.over(&self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};

    use super::{LiveLimits, LiveTurns};

    #[tokio::test]
    async fn live_runs_wait_in_the_order_in_which_they_came_and_none_is_refused() {
        let turns = LiveTurns::new(LiveLimits { tenant: 1, all: 10 });
        let tenant = "a".into();
        let mut waiting: Vec<_> = (0..65).map(|_| turns.take(&tenant).boxed()).collect();
        while !waiting.is_empty() {
            let mut run = waiting.remove(0);
            let turn = poll!(&mut run);
            assert!(turn.is_ready(), "it was the first of {}", waiting.len() + 1);
            for other in &mut waiting {
                assert!(poll!(other).is_pending());
            }
        }
        assert!(turns.0.state.lock().tenants.is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn tenants_whose_live_runs_wait_are_served_in_rotation_whoever_has_more_of_them() {
        let turns = LiveTurns::new(LiveLimits { tenant: 2, all: 2 });
        let (busy, quiet) = ("busy".into(), "quiet".into());
        let (first, second) = (turns.take(&busy).await, turns.take(&busy).await);
        let mut crowd: Vec<_> = (0..100).map(|_| turns.take(&busy).boxed()).collect();
        for run in &mut crowd {
            assert!(poll!(run).is_pending());
        }
        let mut other = turns.take(&quiet).boxed();
        assert!(poll!(&mut other).is_pending());
        drop(first);
        assert!(poll!(&mut crowd[0]).is_pending(), "its tenant has a turn already");
        assert!(poll!(&mut other).is_ready(), "it does not wait for a hundred");
        drop(second);
        assert!(poll!(&mut crowd[0]).is_ready());
    }

    #[tokio::test]
    async fn a_tenant_has_no_more_live_turns_than_its_own_where_others_are_free() {
        let turns = LiveTurns::new(LiveLimits { tenant: 1, all: 3 });
        let (one, other) = ("one".into(), "other".into());
        let first = turns.take(&one).await;
        let mut second = turns.take(&one).boxed();
        assert!(poll!(&mut second).is_pending());
        assert!(turns.take(&other).now_or_never().is_some());
        drop(first);
        assert!(poll!(&mut second).is_ready());
    }

    #[tokio::test]
    async fn a_live_run_that_goes_away_leaves_its_turn_to_the_next() {
        let turns = LiveTurns::new(LiveLimits { tenant: 1, all: 1 });
        let tenant = "a".into();
        let first = turns.take(&tenant).await;
        let (mut gone, mut given, mut last) =
            (turns.take(&tenant).boxed(), turns.take(&tenant).boxed(), turns.take(&tenant).boxed());
        assert!(poll!(&mut gone).is_pending() && poll!(&mut given).is_pending() && poll!(&mut last).is_pending());
        drop(gone);
        drop(first);
        // It was given the turn, and goes away without having seen it.
        drop(given);
        assert!(poll!(&mut last).is_ready());
        drop(last);
        assert!(turns.0.state.lock().tenants.is_empty());
        assert_eq!(turns.0.state.lock().free, 1);
    }
}
