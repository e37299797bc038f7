//! A stored node as the graph sees it.

use std::sync::Arc;

use mullion_schema::{
    id::NodeKey,
    view::{FreshnessSource, FreshnessView, NodeView, StaleReason},
};

use crate::store::{merge::Source, node::StoredNode};

/// The view of a stored node, which was fetched just now or not; `stale_because`: why it is not current.
pub(super) fn node_view(
    key: &NodeKey,
    stored: &StoredNode,
    fetched_now: bool,
    stale_because: Option<StaleReason>,
) -> NodeView {
    let source = match (stored.source(), fetched_now) {
        _ if stale_because.is_some() => FreshnessSource::Stale,
        (Source::Webhook, _) => FreshnessSource::Webhook,
        (Source::Provider, true) => FreshnessSource::Provider,
        (Source::Provider, false) => FreshnessSource::Cache,
    };
    NodeView {
        key: key.clone(),
        body: Arc::clone(&stored.body),
        freshness: FreshnessView { fetched_at: stored.fetched_at(), source, stale_because },
        failure: None,
    }
}
