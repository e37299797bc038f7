//! When a live operation looks at what is dirty: at once, after its throttle, or when what is silent is to be read again.

use std::time::Duration;

use tokio::time::Instant;

use super::slot::Ran;

/// When an operation looks at what is dirty.
pub(super) struct Pace {
    /// There may be something to look at.
    pub(super) due: bool,
    /// Not before this: something was sent a moment ago.
    rests_until: Option<Instant>,
    /// When what is silent is read again.
    pub(super) reread_at: Instant,
    /// How far everything was told is to be told.
    pub(super) announces: bool,
    /// The newest look, when it was, and how many slots that it began still run.
    pub(super) look: u64,
    pub(super) looked_at: Instant,
    pub(super) outstanding: usize,
}

impl Pace {
    pub(super) fn new(reread: Duration) -> Self {
        let now = Instant::now();
        Self {
            due: true,
            rests_until: None,
            reread_at: now + reread,
            announces: false,
            look: 0,
            looked_at: now,
            outstanding: 0,
        }
    }

    /// Whether it is time to look.
    pub(super) fn looks(&mut self) -> bool {
        self.rests_until.take_if(|at| *at <= Instant::now());
        self.due && self.rests_until.is_none()
    }

    /// Nothing new is begun for a while.
    pub(super) fn rest(&mut self, throttle: Duration) {
        if !throttle.is_zero() {
            self.rests_until = Some(Instant::now() + throttle);
        }
    }

    /// When to look, if nothing happens before.
    pub(super) fn next(&self, retry: Option<Instant>) -> Instant {
        match self.rests_until {
            Some(rests_until) if self.due => rests_until,
            _ => retry.map_or(self.reread_at, |at| at.min(self.reread_at)),
        }
    }

    /// Takes in that a slot has been run.
    pub(super) fn count(&mut self, ran: &Ran) {
        self.outstanding -= usize::from(ran.look == self.look && self.outstanding > 0);
    }
}
