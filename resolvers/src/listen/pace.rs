//! How soon another socket may be opened: failures wait longer and longer, and a provider that opens sockets only to close them is
//! not asked for one without end.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// So many sockets may be opened at once, and then in each window: a renewal that follows another does not wait.
const BURST: usize = 6;
/// The window.
const WINDOW: Duration = Duration::from_mins(1);
/// The first wait after a failure; it doubles from failure to failure, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// The latest openings, and how many failed in a row.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    asked: Option<Duration>,
    openings: VecDeque<Instant>,
}

impl Pace {
    /// How long to wait before the next opening, which is noted. `fraction`, from 0 to 1, is chance: up to half as long again, so
    /// that those who failed together do not try together.
    pub(super) fn wait(&mut self, now: Instant, fraction: f64) -> Duration {
        while self.openings.front().is_some_and(|opened| *opened + WINDOW <= now) {
            self.openings.pop_front();
        }
        let room = match self.openings.len().checked_sub(BURST).and_then(|over| self.openings.get(over)) {
            Some(opened) => *opened + WINDOW - now,
            None => Duration::ZERO,
        };
        let doubled = match self.failures {
            0 => Duration::ZERO,
            failures => FIRST_WAIT.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_WAIT),
        };
        let asked = self.asked.take().unwrap_or_default();
        let wait = room.max(doubled.mul_f64(1.0 + fraction / 2.0)).max(asked);
        self.openings.push_back(now + wait);
        wait
    }

    /// A socket was opened, and is of use.
    pub(super) fn opened(&mut self) {
        self.failures = 0;
    }

    /// None was; `asked`: the provider wants us to wait so long.
    pub(super) fn failed(&mut self, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.asked = asked;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pace;

    #[test]
    fn failures_wait_longer_and_longer_and_as_long_as_was_asked() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut next = |pace: &mut Pace, fraction| {
            // Each in a window of its own.
            now += Duration::from_mins(5);
            pace.wait(now, fraction)
        };
        assert_eq!(next(&mut pace, 1.0), Duration::ZERO);
        let waits: Vec<_> = (0..9)
            .map(|_| {
                pace.failed(None);
                next(&mut pace, 0.0).as_millis()
            })
            .collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        pace.failed(None);
        assert_eq!(next(&mut pace, 1.0), Duration::from_secs(90));
        pace.failed(Some(Duration::from_secs(100)));
        assert_eq!(next(&mut pace, 1.0), Duration::from_secs(100));
        pace.opened();
        assert_eq!(next(&mut pace, 1.0), Duration::ZERO);
    }

    #[test]
    fn sockets_that_are_closed_at_once_are_not_opened_without_end() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut opened = 0;
        let end = now + Duration::from_mins(10);
        while now < end {
            now += pace.wait(now, 0.0);
            pace.opened();
            opened += 1;
        }
        assert_eq!(opened, 61);
    }
}
