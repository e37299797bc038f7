//! How long a fetch is waited for: to its end where nothing is known, and no longer than people like to wait where an older value is.
//!
//! The fetch goes on in its own task. The next reader finds its result, and a live operation that was shown the older
//! value runs again when the fetch ends.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::timeout;

use super::{
    Engine,
    fetches::outcome::{Fetch, FetchOutcome, Fetching, Progress},
    integrations::Integration,
    scope::Scope,
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

    /// Waits for a fetch. Where an older value is `known`, or others wait for this execution, a fetch that takes too long fails with
    /// a timeout for it.
    pub(super) async fn wait(
        &self,
        scope: &Scope,
        integration: &Integration,
        fetch: Fetching,
        known: bool,
    ) -> FetchOutcome {
        scope.give_turn_back();
        if !known && scope.fetches.waits_for_unknown() {
            return Self::end_of(scope, fetch.end).await;
        }
        match self.in_time(scope, integration, &fetch).await {
            Some(outcome) => outcome,
            None => Self::leave(scope, integration, fetch),
        }
    }

    /// The outcome of a fetch; `None` where it takes longer than an execution waits that has something to show
    /// instead. The time until the provider is asked does not count: it is not the provider that is slow then.
    pub(super) async fn in_time(
        &self,
        scope: &Scope,
        integration: &Integration,
        fetch: &Fetching,
    ) -> Option<FetchOutcome> {
        scope.give_turn_back();
        let end = Self::end_of(scope, fetch.end.clone());
        let Some(mut patience) = scope.fetches.patience(&integration.id, self.patience) else { return Some(end.await) };
        if !patience.is_zero() {
            fetch.reaches(Progress::Asking).await;
            // Storing an answer that came in time is given its own time.
            let answered = timeout(patience, fetch.reaches(Progress::Storing)).await;
            patience = answered.map_or(Duration::ZERO, |()| patience);
        }
        timeout(patience, end).await.ok()
    }

    /// Waits for a fetch to its end.
    pub(super) async fn end_of(scope: &Scope, fetch: Fetch) -> FetchOutcome {
        let outcome = fetch.await;
        if let Ok(brought) = &outcome
            && let Some(unstored) = &brought.unstored
        {
            scope.note_unstored(unstored);
        }
        outcome
    }

    /// Goes on without a fetch, which has failed for this execution: with a timeout, where the provider has not answered yet.
    pub(super) fn leave(scope: &Scope, integration: &Integration, fetch: Fetching) -> FetchOutcome {
        let kind = if fetch.is_answered() { UpstreamErrorKind::Internal } else { UpstreamErrorKind::Timeout };
        scope.note_background_fetch(&integration.id, fetch.end.map(drop));
        Err(UpstreamError::new(kind, "the fetch takes too long to be waited for"))
    }
}
