//! What takes in the results of fetches: it writes them to the store and announces what changed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use crate::{
    provider::{FetchWant, Fetched},
    reading::{integrations::Integration, unstored::Unstored},
};

/// Writes what was fetched, before anyone is told.
pub trait Sink: Send + Sync {
    /// Writes the nodes and pages of a batch; gives them back where the store does not take them.
    fn absorb(&self, integration: Arc<Integration>, absorbed: Absorbed) -> BoxFuture<'_, Result<(), Unstored>>;

    /// What is in memory of these things may be older than what is in the store.
    fn doubt(&self, integration: &Integration, wants: &[FetchWant]);

    /// Notes whether the provider accepts the token: told where it was otherwise before.
    fn credential(&self, integration: Arc<Integration>, refused: bool) -> BoxFuture<'_, ()>;
}

/// What a batch brought.
pub struct Absorbed {
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// What came of each want that did not fail.
    pub fetched: Vec<(FetchWant, Fetched)>,
}
