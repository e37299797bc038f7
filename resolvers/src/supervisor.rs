//! Keeps background tasks running. One that panics or ends although nobody stopped it is logged, counted and started again, after a
//! wait that grows; one that keeps ending makes the process unready, because what it does is no longer done.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::background::Background;

/// When a task is started again, and when it counts as failing.
#[derive(Debug, Clone, Copy)]
pub struct RestartRules {
    /// The wait before a task is started again for the first time; it doubles with each end.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// A task that has run for so long is well again.
    pub steady: Duration,
    /// A task that ended so often, without being well in between, is failing.
    pub failing: u32,
}

impl Default for RestartRules {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            steady: Duration::from_mins(1),
            failing: 3,
        }
    }
}

/// Hears when tasks end, for metrics.
pub trait TaskObserver: Send + Sync {
    /// A task is supervised from now on.
    fn begun(&self, task: &'static str);

    /// A task ended although nobody stopped it.
    fn ended(&self, task: &'static str);
}

/// Supervises tasks.
#[derive(Clone)]
pub struct Supervisor {
    observer: Arc<dyn TaskObserver>,
    rules: RestartRules,
    tasks: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// How often it ended since it was last well.
    ends: u32,
    /// When it was started last; nothing while it waits for that.
    running_since: Option<Instant>,
}

impl State {
    fn is_failing(&self, rules: &RestartRules, now: Instant) -> bool {
        self.ends >= rules.failing && self.running_since.is_none_or(|since| now - since < rules.steady)
    }
}

impl Supervisor {
    /// Supervises nothing yet.
    pub fn new(observer: Arc<dyn TaskObserver>) -> Self {
        Self { observer, rules: RestartRules::default(), tasks: Arc::default() }
    }

    /// The same under other rules.
    #[must_use]
    pub fn with_rules(self, rules: RestartRules) -> Self {
        Self { rules, ..self }
    }

    /// Runs a task until it ends after `stop` fired; once at least, for what has to be done at the end. `begin` makes it anew each
    /// time.
    pub fn supervise<F>(
        &self,
        on: &Background,
        name: &'static str,
        stop: &CancellationToken,
        begin: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.observer.begun(name);
        let (supervisor, stop) = (self.clone(), stop.clone());
        let supervised = async move { supervisor.keep_running(name, &stop, begin).await };
        on.spawn(supervised.instrument(tracing::error_span!(parent: None, "task", task = name)));
    }

    /// The tasks that keep ending.
    pub fn failing(&self) -> Vec<&'static str> {
        let now = Instant::now();
        let tasks = self.tasks.lock();
        tasks.iter().filter(|(_, state)| state.is_failing(&self.rules, now)).map(|(name, _)| *name).collect()
    }

    async fn keep_running<F>(&self, name: &'static str, stop: &CancellationToken, begin: impl Fn() -> F + Send + Sync)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let started = self.note_start(name);
            let run = async { Box::pin(begin()).await };
            let ended = AssertUnwindSafe(run).catch_unwind().await;
            if ended.is_ok() && stop.is_cancelled() {
                return;
            }
            let wait = self.note_end(name, started);
            self.observer.ended(name);
            let how = if ended.is_ok() { "ended" } else { "panicked" };
            let milliseconds = wait.as_millis();
            tracing::error!(
                how,
                milliseconds,
                "a background task ended unexpectedly; it is started again after a wait"
            );
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn note_start(&self, name: &'static str) -> Instant {
        let now = Instant::now();
        let mut tasks = self.tasks.lock();
        tasks.entry(name).or_insert(State { ends: 0, running_since: None }).running_since = Some(now);
        now
    }

    /// Notes an end; how long to wait.
    fn note_end(&self, name: &'static str, began: Instant) -> Duration {
        let mut tasks = self.tasks.lock();
        let state = tasks.entry(name).or_insert(State { ends: 0, running_since: None });
        state.ends = if began.elapsed() >= self.rules.steady { 1 } else { state.ends.saturating_add(1) };
        state.running_since = None;
        let doubled = 2_u32.saturating_pow(state.ends.saturating_sub(1).min(16));
        self.rules.first_wait.saturating_mul(doubled).min(self.rules.longest_wait)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use tokio::time::Instant;
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::{RestartRules, Supervisor, TaskObserver};
    use crate::background::Background;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[derive(Default)]
    struct Counted(AtomicU32);

    impl TaskObserver for Counted {
        fn begun(&self, _: &'static str) {}

        fn ended(&self, _: &'static str) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    async fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "in vain");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A supervisor, what counts for it, and what stops and tracks its tasks.
    fn supervisor(rules: RestartRules) -> (Supervisor, Arc<Counted>, CancellationToken, TaskTracker) {
        let counted = Arc::<Counted>::default();
        let supervisor = Supervisor::new(Arc::clone(&counted) as _).with_rules(rules);
        (supervisor, counted, CancellationToken::new(), TaskTracker::new())
    }

    #[tokio::test]
    async fn a_task_that_panics_or_ends_is_started_again_and_one_that_keeps_ending_is_failing_until_it_is_steady() {
        let first_wait = Duration::from_millis(1);
        let rules = RestartRules { first_wait, steady: Duration::from_millis(500), ..RestartRules::default() };
        let (supervisor, counted, stop, tracker) = supervisor(rules);
        let (starts, until_stopped) = (Arc::new(AtomicU32::new(0)), stop.clone());
        let started = Arc::clone(&starts);
        let begin = move || {
            let (number, stop) = (started.fetch_add(1, Ordering::AcqRel), until_stopped.clone());
            async move {
                match number {
                    0 | 2 => panic!("on purpose"),
                    1 => {}
                    _ => stop.cancelled().await,
                }
            }
        };
        assert!(supervisor.failing().is_empty());
        supervisor.supervise(&Background::from(tracker.clone()), "test", &stop, begin);
        until(|| starts.load(Ordering::Acquire) == 4).await;
        assert_eq!(supervisor.failing(), ["test"], "it may end again at once");
        until(|| supervisor.failing().is_empty()).await;
        assert_eq!(counted.0.load(Ordering::Acquire), 3);
        stop.cancel();
        tracker.close();
        tracker.wait().await;
        assert_eq!(counted.0.load(Ordering::Acquire), 3, "one that is stopped may end");
    }

    #[tokio::test]
    async fn the_wait_grows_with_each_end_and_ends_when_the_process_does() {
        let rules = RestartRules { first_wait: PATIENCE / 1_000, longest_wait: PATIENCE, ..RestartRules::default() };
        let (supervisor, counted, stop, tracker) = supervisor(rules);
        let began = Instant::now();
        supervisor.supervise(&Background::from(tracker.clone()), "test", &stop, || async {});
        until(|| counted.0.load(Ordering::Acquire) == 4).await;
        assert!(began.elapsed() >= rules.first_wait * (1 + 2 + 4));
        stop.cancel();
        tracker.close();
        tracker.wait().await;
        assert!(began.elapsed() < PATIENCE);
    }
}
