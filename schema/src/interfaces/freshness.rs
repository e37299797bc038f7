//! How fresh a node is, as the graph shows it.

use async_graphql::SimpleObject;

use crate::{
    scalars::Time,
    view::{FreshnessSource, FreshnessView, StaleReason},
};

/// How fresh a node is.
#[derive(Debug, Clone, SimpleObject)]
pub(super) struct Freshness {
    /// When the newest part of it was read or brought.
    fetched_at: Time,
    /// From where.
    source: FreshnessSource,
    /// Why the last known value is shown: set when `source` is `STALE`.
    stale_because: Option<StaleReason>,
}

impl From<FreshnessView> for Freshness {
    fn from(view: FreshnessView) -> Self {
        Self { fetched_at: view.fetched_at.into(), source: view.source, stale_because: view.stale_because }
    }
}
