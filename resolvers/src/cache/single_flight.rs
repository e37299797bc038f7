//! One run for all who want the same thing at the same time.
//!
//! The first caller gets the lead and makes the value; the others follow, wait for it and share it. A lead is a guard: however it
//! ends (a value, an error, a panic, a caller that goes away), it leaves nothing behind and nobody waits for it any longer. Waiting
//! is tokio's `watch`, which tells its receivers when the sender is gone.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::watch;

/// A lead ended without a value: it panicked, or its caller went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run ended without a value")]
pub struct Abandoned;

/// The duty to make a value that others wait for. Dropped without one, it tells them so.
#[derive(Debug)]
pub struct Lead<V>(watch::Sender<Option<V>>);

/// Waits for a value that somebody else makes.
#[derive(Debug)]
pub struct Follow<V>(watch::Receiver<Option<V>>);

impl<V> Clone for Follow<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A run without a key, for a caller that has a table of its own.
pub fn flight<V>() -> (Lead<V>, Follow<V>) {
    let (lead, follow) = watch::channel(None);
    (Lead(lead), Follow(follow))
}

impl<V> Lead<V> {
    /// Gives the value to all who follow, now and later.
    pub fn finish(self, value: V) {
        self.0.send_replace(Some(value));
    }
}

impl<V: Clone + Send + Sync> Follow<V> {
    /// The value, once it is there.
    pub async fn value(mut self) -> Result<V, Abandoned> {
        // A value that was given stays readable when its lead is gone.
        let given = self.0.wait_for(Option::is_some).await.map_err(|_| Abandoned)?;
        given.clone().ok_or(Abandoned)
    }
}

impl<V> Follow<V> {
    /// Whether no value will come any more.
    pub fn is_abandoned(&self) -> bool {
        // The sender first: a value that it gives before it goes is seen.
        self.0.has_changed().is_err() && self.0.borrow().is_none()
    }
}

/// The runs that are under way, by key. A stamp says of a run what decides whether another caller may share it.
#[derive(Debug)]
pub struct SingleFlight<K: Eq + Hash, V, S = ()>(Arc<Mutex<Runs<K, V, S>>>);

#[derive(Debug)]
struct Runs<K, V, S> {
    begun: u64,
    running: HashMap<K, Running<V, S>, RandomState>,
}

#[derive(Debug)]
struct Running<V, S> {
    number: u64,
    stamp: S,
    follow: Follow<V>,
}

/// A caller's part in a run.
pub enum Part<K: Eq + Hash, V, S = ()> {
    /// Nobody makes the value yet.
    Lead(KeyedLead<K, V, S>),
    /// Somebody makes it.
    Follow(Follow<V>),
}

/// The lead of a run that others find under its key.
pub struct KeyedLead<K: Eq + Hash, V, S = ()> {
    key: K,
    number: u64,
    table: Arc<Mutex<Runs<K, V, S>>>,
    lead: Lead<V>,
}

impl<K: Eq + Hash, V, S> Default for SingleFlight<K, V, S> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Runs { begun: 0, running: HashMap::default() })))
    }
}

impl<K: Eq + Hash + Clone, V: Clone + Send + Sync> SingleFlight<K, V> {
    /// The lead of a key, or the run to follow.
    pub fn enter(&self, key: K) -> Part<K, V> {
        self.enter_if(key, (), |()| true)
    }

    /// The value that `look` finds, else the one that a caller makes for all. A caller that waited for another's value
    /// and does not accept it looks again, and makes one of its own if nobody else does. An abandoned run is no error:
    /// the next caller makes the value.
    pub async fn share(
        &self,
        key: K,
        look: impl Fn() -> Option<V>,
        accepts: impl Fn(&V) -> bool,
        make: impl AsyncFnOnce() -> V,
    ) -> V {
        let lead = loop {
            if let Some(value) = look() {
                return value;
            }
            match self.enter(key.clone()) {
                Part::Lead(lead) => break lead,
                Part::Follow(follow) => {
                    if let Ok(value) = follow.value().await
                        && accepts(&value)
                    {
                        return value;
                    }
                }
            }
        };
        // Another run may have ended between the look and the entry.
        let value = match look() {
            Some(value) => value,
            None => make().await,
        };
        lead.finish(value.clone());
        value
    }
}

impl<K: Eq + Hash + Clone, V, S> SingleFlight<K, V, S> {
    /// The lead of a key, or the run to follow if `joins` accepts its stamp. Otherwise a new run takes the key over, and those who
    /// follow the old one still get its value.
    pub fn enter_if(&self, key: K, stamp: S, joins: impl FnOnce(&S) -> bool) -> Part<K, V, S> {
        let mut runs = self.0.lock();
        if let Some(running) = runs.running.get(&key)
            && joins(&running.stamp)
        {
            return Part::Follow(running.follow.clone());
        }
        let (lead, follow) = flight();
        runs.begun += 1;
        let number = runs.begun;
        runs.running.insert(key.clone(), Running { number, stamp, follow });
        Part::Lead(KeyedLead { key, number, table: Arc::clone(&self.0), lead })
    }

    /// How many runs are under way.
    #[cfg(test)]
    pub fn running(&self) -> usize {
        self.0.lock().running.len()
    }
}

impl<K: Eq + Hash, V, S> KeyedLead<K, V, S> {
    /// Gives the value to all who follow. The key is free before they are told: a caller that asks again runs anew.
    pub fn finish(self, value: V) {
        self.withdraw();
        self.lead.0.send_replace(Some(value));
    }

    /// The lead, if somebody still follows. If not, the key is free, as if the run had never begun: a caller that enters at the same
    /// time either follows a run that goes on, or leads one of its own.
    pub fn if_followed(self) -> Option<Self> {
        let is_followed = {
            let mut runs = self.table.lock();
            let is_listed = runs.running.get(&self.key).is_some_and(|running| running.number == self.number);
            // The table follows too.
            let is_followed = self.lead.0.receiver_count() > usize::from(is_listed);
            if is_listed && !is_followed {
                runs.running.remove(&self.key);
            }
            is_followed
        };
        is_followed.then_some(self)
    }

    /// The same run, as those who follow it see it.
    pub fn follow(&self) -> Follow<V> {
        Follow(self.lead.0.subscribe())
    }
}

impl<K: Eq + Hash, V, S> KeyedLead<K, V, S> {
    /// Frees the key, unless another run has taken it over.
    fn withdraw(&self) {
        let mut runs = self.table.lock();
        if runs.running.get(&self.key).is_some_and(|running| running.number == self.number) {
            runs.running.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, V, S> Drop for KeyedLead<K, V, S> {
    fn drop(&mut self) {
        // Before the lead itself is dropped: those who are told that no value will come find the key free.
        self.withdraw();
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        panic::AssertUnwindSafe,
        sync::Arc,
    };

    use futures::{FutureExt as _, future::join_all, poll};
    use tokio::{sync::oneshot, task::yield_now};

    use super::{Abandoned, KeyedLead, Part, SingleFlight, flight};

    fn lead<V: Clone, S>(part: Part<&'static str, V, S>) -> KeyedLead<&'static str, V, S> {
        match part {
            Part::Lead(lead) => lead,
            Part::Follow(_) => panic!("somebody else leads"),
        }
    }

    /// Shares a value under one key, made by `make`, and kept by nobody.
    async fn share<V: Clone + Send + Sync>(
        flights: &SingleFlight<&'static str, V>,
        make: impl AsyncFnOnce() -> V,
    ) -> V {
        flights.share("key", || None, |_| true, make).await
    }

    #[test]
    fn a_run_that_nobody_follows_is_given_up_and_its_key_is_free() {
        let flights: SingleFlight<&str, u32> = SingleFlight::default();
        let Part::Lead(lead) = flights.enter("key") else { unreachable!("nobody else leads") };
        let first = lead.follow();
        let lead = lead.if_followed().unwrap();
        let Part::Follow(second) = flights.enter("key") else { unreachable!("there is a lead") };
        drop(first);
        let lead = lead.if_followed().unwrap();
        drop(second);
        assert!(lead.if_followed().is_none());
        assert_eq!(flights.running(), 0);
        assert!(matches!(flights.enter("key"), Part::Lead(_)));
    }

    #[tokio::test]
    async fn all_who_ask_at_the_same_time_share_one_run_be_its_outcome_a_value_or_an_error() {
        for outcome in [Ok(7), Err("it failed")] {
            let (flights, runs) = (SingleFlight::default(), Cell::new(0));
            let one = || {
                share(&flights, async || {
                    runs.set(runs.get() + 1);
                    yield_now().await;
                    outcome
                })
            };
            assert_eq!(join_all((0..50).map(|_| one())).await, vec![outcome; 50]);
            assert_eq!((runs.get(), flights.running()), (1, 0));
            assert_eq!(one().await, outcome, "the next one runs anew");
            assert_eq!(runs.get(), 2);
        }
    }

    #[tokio::test]
    async fn other_keys_do_not_wait() {
        let flights = SingleFlight::<_, u32>::default();
        let first = lead(flights.enter("one"));
        let other = flights.share("other", || None, |_| true, async || 2).now_or_never();
        assert_eq!(other, Some(2));
        drop(first);
        assert_eq!(flights.running(), 0);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_while_it_leads_leaves_the_lead_to_one_of_those_who_wait() {
        let flights = SingleFlight::default();
        let (gate, opened) = oneshot::channel::<u32>();
        let mut first = share(&flights, async || opened.await.unwrap_or_default()).boxed_local();
        assert!(poll!(&mut first).is_pending());
        let runs = RefCell::new(Vec::new());
        let mut others: Vec<_> = (0..3)
            .map(|number| {
                let runs = &runs;
                share(&flights, async move || {
                    runs.borrow_mut().push(number);
                    yield_now().await;
                    number
                })
                .boxed_local()
            })
            .collect();
        for other in &mut others {
            assert!(poll!(other).is_pending());
        }
        drop(first);
        drop(gate);
        let values = join_all(others).await;
        assert_eq!(runs.borrow().len(), 1);
        assert!(values.iter().all(|value| *value == runs.borrow()[0]), "{values:?}");
        assert_eq!(flights.running(), 0);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_waiting_disturbs_nobody() {
        let flights = SingleFlight::default();
        let first = lead(flights.enter("key"));
        let (mut second, mut third) =
            (share(&flights, async || 0).boxed_local(), share(&flights, async || 0).boxed_local());
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        drop(second);
        first.finish(1);
        assert_eq!(third.await, 1);
        assert_eq!(flights.running(), 0);
    }

    #[tokio::test]
    async fn a_panic_frees_the_key_and_those_who_wait() {
        let flights = SingleFlight::default();
        let (go, gone) = oneshot::channel::<()>();
        let broken = share(&flights, async || {
            gone.await.unwrap();
            panic!("as it happens");
        });
        let mut broken = AssertUnwindSafe(broken).catch_unwind().boxed_local();
        assert!(poll!(&mut broken).is_pending());
        let mut waiting = share(&flights, async || 2).boxed_local();
        let Part::Follow(follow) = flights.enter("key") else { panic!("it runs already") };
        assert!(poll!(&mut waiting).is_pending());
        go.send(()).unwrap();
        assert!(broken.await.is_err());
        assert!(follow.is_abandoned());
        assert_eq!(follow.value().await, Err(Abandoned));
        assert_eq!(waiting.await, 2);
        assert_eq!(flights.running(), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_key_is_free_when_those_who_wait_are_told() {
        let flights = Arc::new(SingleFlight::default());
        for round in 0..5_000 {
            let first = lead(flights.enter("key"));
            let (follow, others) = (first.follow(), Arc::clone(&flights));
            let again = tokio::spawn(async move {
                follow.value().await.unwrap();
                matches!(others.enter("key"), Part::Lead(_))
            });
            yield_now().await;
            first.finish(round);
            assert!(again.await.unwrap(), "round {round}");
        }
    }

    #[tokio::test]
    async fn a_value_that_is_not_accepted_is_made_again() {
        let flights = SingleFlight::default();
        let first = lead(flights.enter("key"));
        let mut other = flights.share("key", || None, |value| *value > 1, async || 2).boxed_local();
        assert!(poll!(&mut other).is_pending());
        first.finish(1);
        assert_eq!(other.await, 2);
    }

    #[tokio::test]
    async fn a_run_with_another_stamp_takes_the_key_over_and_the_end_of_the_old_one_leaves_it_there() {
        let flights = SingleFlight::<_, u32, u32>::default();
        let old = lead(flights.enter_if("key", 1, |_| true));
        let Part::Follow(of_old) = flights.enter_if("key", 1, |stamp| *stamp == 1) else { panic!("it is the same") };
        let new = lead(flights.enter_if("key", 2, |stamp| *stamp == 2));
        old.finish(10);
        assert_eq!(of_old.value().await, Ok(10));
        let Part::Follow(of_new) = flights.enter_if("key", 2, |stamp| *stamp == 2) else { panic!("it still runs") };
        new.finish(20);
        assert_eq!(of_new.value().await, Ok(20));
        assert_eq!(flights.running(), 0);
    }

    #[tokio::test]
    async fn a_value_is_there_for_those_who_ask_after_it_was_given() {
        let (lead, follow) = flight();
        assert!(!follow.is_abandoned());
        lead.finish(3);
        assert!(!follow.is_abandoned());
        assert_eq!(follow.clone().value().await, Ok(3));
        assert_eq!(follow.value().await, Ok(3));
    }
}
