//! Tells thousands of subscribers that there is news, and keeps which of them wait for it.
//!
//! Not tokio's `watch`: with that a wait is made anew for each piece of news, in and out of a list under a lock, twice. Here a
//! subscriber has a key for its whole life, and leaves its waker under it.

use std::{
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    task::Waker,
};

use parking_lot::Mutex;

/// Subscribers are spread over so many locks.
const SHARDS: usize = 16;

/// Counts what subscribers may want to see, and wakes those who wait.
#[derive(Default)]
pub(super) struct News {
    count: AtomicU64,
    entered: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    waiters: Vec<Option<Waiting>>,
    free: Vec<usize>,
}

/// A waiting subscriber, and up to where it has looked.
struct Waiting {
    waker: Waker,
    looked: u64,
}

/// The key under which a subscriber waits.
#[derive(Debug)]
pub(super) struct WaiterKey {
    shard: usize,
    at: usize,
}

impl News {
    /// A key, to be given back.
    pub(super) fn enter(&self) -> WaiterKey {
        let shard = self.entered.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut waiters = self.shard(shard);
        let at = waiters.free.pop().unwrap_or_else(|| {
            waiters.waiters.push(None);
            waiters.waiters.len() - 1
        });
        WaiterKey { shard, at }
    }

    /// Gives a key back: nobody is woken under it any more.
    pub(super) fn leave(&self, key: &WaiterKey) {
        let mut shard = self.shard(key.shard);
        let waiting = shard.waiters.get_mut(key.at).and_then(Option::take);
        shard.free.push(key.at);
        if shard.free.len() == shard.waiters.len() {
            *shard = Shard::default();
        }
        // A waker may be the last of a task that has keys itself: it is dropped without the lock.
        drop(shard);
        drop(waiting);
    }

    /// How much there was to see until now. Anything looked at after this is at least that new.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Waits under a key for more than what was looked at. False: there is more already.
    pub(super) fn wait(&self, key: &WaiterKey, looked: u64, waker: &Waker) -> bool {
        let mut shard = self.shard(key.shard);
        // Under the lock: who tells counts first, then comes by here.
        if self.count() != looked {
            return false;
        }
        let Some(waiting) = shard.waiters.get_mut(key.at) else { return true };
        let before = match waiting {
            Some(known) if known.waker.will_wake(waker) => {
                known.looked = looked;
                None
            }
            _ => waiting.replace(Waiting { waker: waker.clone(), looked }),
        };
        // As above.
        drop(shard);
        drop(before);
        true
    }

    /// There is more to see: wakes all who wait and have not looked since.
    pub(super) fn tell(&self) {
        let count = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        for shard in &self.shards {
            let behind = |waiting: &mut Waiting| waiting.looked < count;
            let woken: Vec<Waker> = {
                let mut shard = shard.lock();
                shard.waiters.iter_mut().filter_map(|waiting| Some(waiting.take_if(behind)?.waker)).collect()
            };
            // Without the lock: those who are woken come here at once.
            woken.into_iter().for_each(Waker::wake);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder of the length is within it")]
    fn shard(&self, shard: usize) -> parking_lot::MutexGuard<'_, Shard> {
        self.shards[shard % SHARDS].lock()
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    use super::News;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_is_woken_once_for_all_it_has_not_looked_at() {
        let (news, count) = (News::default(), Arc::new(Count::default()));
        let (waker, woken) = (Waker::from(Arc::clone(&count)), || count.0.load(Ordering::Relaxed));
        let key = news.enter();
        news.tell();
        assert_eq!(woken(), 0, "nobody waits");
        assert!(!news.wait(&key, 0, &waker), "it would miss what was told");
        for _ in 0..2 {
            assert!(news.wait(&key, 1, &waker));
        }
        news.tell();
        news.tell();
        assert_eq!(woken(), 1);
        assert!(news.wait(&key, 3, &waker));
        assert!(news.wait(&key, 3, Waker::noop()));
        news.tell();
        assert_eq!(woken(), 1, "the last one who waits under the key");
    }

    #[test]
    fn keys_are_used_again_and_those_who_left_are_not_woken() {
        let (news, count) = (News::default(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        for _ in 0..1_000 {
            let key = news.enter();
            assert!(news.wait(&key, 0, &waker));
            news.leave(&key);
        }
        assert_eq!(Arc::strong_count(&count), 2, "nothing is kept of who left");
        assert!(news.shards.iter().all(|shard| shard.lock().waiters.len() <= 1));
        news.tell();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }
}
