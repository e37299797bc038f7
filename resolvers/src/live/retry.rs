//! How a read of the store that failed is repeated: some times, after pauses that grow, and then no more.

use std::time::Duration;

use mullion_schema::ports::LiveInput;

use super::{Rendered, Run, Unreadable};

/// How often, and after which pauses.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// The pause after the first failure; each one after it is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How often it is tried in all.
    pub attempts: u32,
}

impl Default for Retry {
    /// A little more than three seconds of pauses. A database that is away takes its own time to say so, at each attempt.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(2), attempts: 6 }
    }
}

impl Retry {
    /// The pause after so many failures in a row; `None`: it is not tried again.
    pub(super) fn pause(&self, failures: u32) -> Option<Duration> {
        let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        (failures < self.attempts).then(|| self.first.saturating_mul(doubled).min(self.longest))
    }

    /// The pause after it was given up, until it is looked whether it succeeds after all.
    pub(super) fn later(&self, failures: u32) -> Duration {
        let doubled = 1u32.checked_shl(failures.saturating_sub(self.attempts)).unwrap_or(u32::MAX);
        self.longest.saturating_mul(doubled)
    }

    /// Reads until it succeeds or was tried often enough.
    pub(super) async fn read<T, F>(&self, read: impl Fn() -> F + Send + Sync) -> Result<T, Unreadable>
    where
        T: Send,
        F: Future<Output = Result<T, Unreadable>> + Send,
    {
        let mut failures = 0;
        loop {
            let failed = match read().await {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            failures += 1;
            tokio::time::sleep(self.pause(failures).ok_or(failed)?).await;
        }
    }

    /// Executes a document for an event until nothing in the answer failed, or it was tried often enough. After that an answer that
    /// says of something that it could not be read is as good as it gets, if the store can be reached: the fault is elsewhere.
    pub(super) async fn render(&self, run: &dyn Run, input: &LiveInput) -> Result<Rendered, Unreadable> {
        let mut failures = 0;
        loop {
            let rendered = run.render(input.clone(), None).await;
            if rendered.as_ref().is_ok_and(|rendered| !rendered.failed) {
                return rendered;
            }
            failures += 1;
            let Some(pause) = self.pause(failures) else {
                run.reach_store().await?;
                return rendered;
            };
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicI32, Ordering},
        time::Duration,
    };

    use super::{Retry, Unreadable};

    #[test]
    fn pauses_grow_to_a_longest_one_and_end() {
        let retry = Retry { first: Duration::from_millis(100), longest: Duration::from_millis(300), attempts: 4 };
        let pauses: Vec<_> = (1..6).map(|failures| retry.pause(failures).map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [Some(100), Some(200), Some(300), None, None]);
        let later: Vec<_> = (4..7).map(|failures| retry.later(failures).as_millis()).collect();
        assert_eq!(later, [300, 600, 1_200]);
        assert!(Retry::default().pause(u32::MAX).is_none() && retry.later(u32::MAX) > retry.longest);
    }

    #[tokio::test]
    async fn a_read_is_repeated_some_times_and_not_for_ever() {
        let retry = Retry { first: Duration::from_micros(1), longest: Duration::from_micros(1), attempts: 4 };
        for (failing, expected, calls) in [(0, Ok(()), 1), (3, Ok(()), 4), (9, Err(Unreadable), 4)] {
            let called = AtomicI32::new(0);
            let read = || {
                let fails = called.fetch_add(1, Ordering::SeqCst) < failing;
                async move { if fails { Err(Unreadable) } else { Ok(()) } }
            };
            assert_eq!(retry.read(read).await, expected, "{failing}");
            assert_eq!(called.load(Ordering::SeqCst), calls, "{failing}");
        }
    }
}
