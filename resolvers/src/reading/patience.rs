//! How long a fetch is waited for: to its end where nothing is known, and no longer than people like to wait where an older value is.
//!
//! The fetch goes on in its own task. The next reader finds its result, and a live operation that was shown the older
//! value runs again when the fetch ends.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Engine, Scope,
    fetcher::{Outcome, Waiting},
    integrations::Integration,
};
use crate::upstream::{UpstreamError, UpstreamErrorKind};

/// How long a fetch is waited for where an older value is known, unless it is configured otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

impl Engine {
    /// The same engine with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Waits for a fetch. Where an older value is `known`, or others stand behind this execution, a fetch that takes too long fails with
    /// a timeout for it.
    pub(super) async fn wait(&self, scope: &Scope, integration: &Integration, fetch: Waiting, known: bool) -> Outcome {
        scope.give_turn_back();
        if !known && scope.waits_for_unknown() {
            return Self::end_of(scope, fetch).await;
        }
        match self.in_time(scope, integration, &fetch).await {
            Some(outcome) => outcome,
            None => Self::leave(scope, integration, fetch),
        }
    }

    /// The outcome of a fetch; `None` where it takes longer than an execution waits that has something to show
    /// instead.
    pub(super) async fn in_time(&self, scope: &Scope, integration: &Integration, fetch: &Waiting) -> Option<Outcome> {
        scope.give_turn_back();
        let end = Self::end_of(scope, fetch.clone());
        match scope.patience(&integration.id, self.patience) {
            Some(patience) => timeout(patience, end).await.ok(),
            None => Some(end.await),
        }
    }

    /// Waits for a fetch to its end.
    pub(super) async fn end_of(scope: &Scope, fetch: Waiting) -> Outcome {
        let outcome = fetch.await;
        scope.note_outcome(&outcome);
        outcome
    }

    /// Goes on without a fetch, which has failed with a timeout for this execution.
    pub(super) fn leave(scope: &Scope, integration: &Integration, fetch: Waiting) -> Outcome {
        scope.note_late(&integration.id, fetch);
        Err(UpstreamError::new(UpstreamErrorKind::Timeout, "the fetch takes too long to be waited for"))
    }
}
