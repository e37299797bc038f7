//! The configuration of reconciliation, and the reconciler that is made from it. Separate from `backend`, which only puts
//! parts together.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use mullion_resolvers::{
    inbox::Gaps,
    reading::integrations::PulseRules,
    reconcile::{self, ReconcileObserver, Reconciler, Rules, Surroundings},
    upstream::Jitter,
};

use crate::config::Config;

/// The parts of the process that reconciliation has to do with.
pub(crate) struct Parts {
    /// The deliveries that may have been missed.
    pub(crate) gaps: Arc<Gaps>,
    /// Counts what comes of it.
    pub(crate) observer: Arc<dyn ReconcileObserver>,
    /// The name of this process's worker.
    pub(crate) worker: String,
}

/// The reconciler. `stand_ins` are the hosts of providers that run in this process: while it was down they were, too, and nothing is
/// asked of any provider that nobody watches.
pub(crate) fn reconciler(
    config: &Config,
    work: reconcile::Parts,
    parts: Parts,
    stand_ins: &[String],
) -> anyhow::Result<Reconciler> {
    let watch = Arc::clone(&work.hub);
    let Parts { gaps, observer, worker } = parts;
    let around = Surroundings { watch, gaps, observer, jitter: Jitter::random(), worker };
    let ours = stand_ins.iter().map(|host| format!("http://{host}/")).collect();
    let rules = rounds(config, stand_ins.is_empty());
    Reconciler::new(work, around, rules, ours).context("nothing can be reconciled")
}

/// The rules by which the state of webhooks is judged.
pub(crate) fn pulse_rules(config: &Config) -> PulseRules {
    let seconds = |seconds: u64| chrono::Duration::seconds(i64::try_from(seconds.min(1 << 32)).unwrap_or(1 << 32));
    let settings = &config.reconcile;
    PulseRules {
        silent_after: seconds(settings.silent_after_seconds),
        // Twice as long as it takes until it is looked at again, and some time for that.
        covered_for: seconds(2 * settings.silent_seconds.max(settings.polling_seconds)) + chrono::Duration::seconds(10),
    }
}

/// When integrations are looked at. Where there are stand-ins, nothing is called that nobody asks for.
fn rounds(config: &Config, alone: bool) -> Rules {
    let settings = &config.reconcile;
    let seconds = |seconds: u64| Duration::from_secs(seconds.min(1 << 32));
    Rules {
        live: seconds(settings.live_seconds),
        silent: seconds(settings.silent_seconds),
        polling: seconds(settings.polling_seconds),
        unwatched: (alone && settings.unwatched_seconds > 0).then(|| seconds(settings.unwatched_seconds)),
        calls: settings.max_calls,
    }
}
