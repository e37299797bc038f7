//! Takes in the results of fetches: writes them to the store and announces what changed.

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

    /// Notes that these things may be older in memory than in the store.
    fn doubt(&self, integration: &Integration, wants: &[FetchWant]);

    /// Notes whether the provider accepts the token: told where it was otherwise before.
    fn credential(&self, integration: Arc<Integration>, refused: bool) -> BoxFuture<'_, ()>;
}

/// The results of a batch.
pub struct Absorbed {
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// The result of each want that did not fail.
    pub fetched: Vec<(FetchWant, Fetched)>,
}
