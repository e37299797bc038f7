//! Turns at reading what many want at the same time: a change wakes many who show the same. One of them reads it from the store, the
//! others wait for that, and find it in memory.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Turnstile, OwnedMutexGuard};

/// What is being read, by its name.
pub struct Turns<K: Eq + Hash>(Mutex<HashMap<K, Arc<Turnstile<()>>, RandomState>>);

impl<K: Eq + Hash> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// A turn at reading one thing, until it is dropped.
pub struct Turn<'t, K: Eq + Hash> {
    _held: Option<OwnedMutexGuard<()>>,
    _place: Place<'t, K>,
}

/// Who reads something, or waits for whoever does. The last one leaves nothing behind.
struct Place<'t, K: Eq + Hash> {
    turns: &'t Turns<K>,
    name: K,
    turnstile: Option<Arc<Turnstile<()>>>,
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// Waits for the turn at something. Look into memory again then: whoever had it before has perhaps read it.
    pub async fn take(&self, name: K) -> Turn<'_, K> {
        let place = self.enter(name);
        let held = match &place.turnstile {
            Some(turnstile) => Some(Arc::clone(turnstile).lock_owned().await),
            None => None,
        };
        Turn { _held: held, _place: place }
    }

    fn enter(&self, name: K) -> Place<'_, K> {
        let turnstile = Arc::clone(self.0.lock().entry(name.clone()).or_default());
        Place { turns: self, name, turnstile: Some(turnstile) }
    }
}

impl<K: Eq + Hash> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut all = self.turns.0.lock();
        self.turnstile = None;
        if all.get(&self.name).is_some_and(|turnstile| Arc::strong_count(turnstile) == 1) {
            all.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};

    use super::Turns;

    #[tokio::test]
    async fn one_reads_a_thing_and_who_gives_up_waiting_for_it_leaves_nothing_behind() {
        let turns = Turns::default();
        let first = turns.take("one").await;
        let mut second = turns.take("one").boxed();
        let mut third = turns.take("one").boxed();
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending(), "the first reads it");
        assert!(turns.take("other").now_or_never().is_some(), "another thing is read beside it");
        drop(second);
        drop(first);
        let third = third.now_or_never();
        assert!(third.is_some());
        drop(third);
        assert!(turns.0.lock().is_empty());
    }
}
