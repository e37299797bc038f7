//! How many messages a client may send: a bucket that fills with time.

use tokio::time::Instant;

/// So many seconds' worth may come at once: a wall that connects starts all its subscriptions.
const BURST_SECONDS: f64 = 4.0;

/// One client's messages.
#[derive(Debug)]
pub(super) struct Budget {
    per_second: f64,
    left: f64,
    filled: Instant,
}

impl Budget {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, left: per_second * BURST_SECONDS, filled: now }
    }

    /// Takes one; false when there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let fresh = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.filled = now;
        self.left = (self.left + fresh).min(self.per_second * BURST_SECONDS);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Budget;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let start = Instant::now();
        let mut budget = Budget::new(10, start);
        assert_eq!((0..100).filter(|_| budget.take(start)).count(), 40);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| budget.take(later)).count(), 5);
        let much_later = later + Duration::from_hours(1);
        assert_eq!((0..100).filter(|_| budget.take(much_later)).count(), 40);
    }
}
