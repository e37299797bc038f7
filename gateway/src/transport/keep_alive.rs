//! One timer for the keep-alives of all connections: a wheel of slots, each turned once in a period.
//!
//! A timer for each of 50,000 sockets costs memory and an entry in the runtime's wheel that is moved with each ping. Here a
//! connection listens to one of a few slots; those who come in together are spread over slots, so that their pings are, too.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A slot is turned about so often.
const STEP: Duration = Duration::from_millis(250);
const MOST_SLOTS: usize = 128;

/// A signal of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// A period has passed.
    KeepAlive,
    /// The process ends.
    Shutdown,
}

/// A connection's ear at its slot.
#[derive(Debug)]
pub struct Ticks(watch::Receiver<Tick>);

/// The wheel.
#[derive(Debug)]
pub struct KeepAlive {
    period: Duration,
    slots: Vec<watch::Sender<Tick>>,
    joined: AtomicUsize,
    /// The slot that was turned last.
    turned: AtomicUsize,
}

impl KeepAlive {
    /// A wheel that nobody turns yet.
    pub fn new(period: Duration) -> Self {
        let steps = usize::try_from(period.as_millis() / STEP.as_millis()).unwrap_or(MOST_SLOTS);
        let slots = (0..steps.clamp(1, MOST_SLOTS)).map(|_| watch::channel(Tick::KeepAlive).0).collect();
        Self { period, slots, joined: AtomicUsize::new(0), turned: AtomicUsize::new(0) }
    }

    /// A place in a slot that is turned after half a period at the earliest.
    pub fn join(&self) -> Ticks {
        let half = self.slots.len().div_ceil(2);
        let ahead = self.slots.len() - self.joined.fetch_add(1, Ordering::Relaxed) % half;
        let at = (self.turned.load(Ordering::Relaxed) + ahead) % self.slots.len();
        // The wheel has at least one slot; a closed channel would tell of the end of the process.
        let slot = self.slots.get(at).map_or_else(|| watch::channel(Tick::Shutdown).1, watch::Sender::subscribe);
        Ticks(slot)
    }

    /// Turns the wheel until the process ends, and tells that to all.
    pub async fn turn(&self, shutdown: CancellationToken) {
        let slots = u32::try_from(self.slots.len()).unwrap_or(1);
        let mut steps = tokio::time::interval(self.period / slots);
        steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once, and nobody's.
        steps.tick().await;
        for (at, slot) in self.slots.iter().enumerate().cycle().skip(1) {
            tokio::select! {
                _ = steps.tick() => {
                    self.turned.store(at, Ordering::Relaxed);
                    slot.send_replace(Tick::KeepAlive);
                }
                () = shutdown.cancelled() => break,
            }
        }
        for slot in &self.slots {
            slot.send_replace(Tick::Shutdown);
        }
    }
}

impl Ticks {
    /// The next tick. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> Tick {
        match self.0.changed().await {
            Ok(()) => *self.0.borrow_and_update(),
            Err(_) => Tick::Shutdown,
        }
    }

    /// Whether the process ends, without waiting: who comes in after the end was told would not hear of it.
    pub fn is_over(&self) -> bool {
        *self.0.borrow() == Tick::Shutdown
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio_util::sync::CancellationToken;

    use super::{KeepAlive, Tick};

    #[tokio::test]
    async fn every_connection_hears_of_each_period_and_of_the_end() {
        let wheel = Arc::new(KeepAlive::new(Duration::from_millis(500)));
        let shutdown = CancellationToken::new();
        let mut ears: Vec<_> = (0..20).map(|_| wheel.join()).collect();
        let turned = tokio::spawn({
            let (wheel, shutdown) = (Arc::clone(&wheel), shutdown.clone());
            async move { wheel.turn(shutdown).await }
        });
        for ear in &mut ears {
            assert_eq!(ear.next().await, Tick::KeepAlive);
        }
        shutdown.cancel();
        turned.await.unwrap();
        for ear in &mut ears {
            assert_eq!(ear.next().await, Tick::Shutdown);
        }
        assert!(wheel.join().is_over());
    }
}
