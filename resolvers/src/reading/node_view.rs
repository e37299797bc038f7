//! A stored node as the graph sees it.

use std::sync::Arc;

use mullion_schema::{
    id::NodeKey,
    view::{FreshnessSource, FreshnessView, NodeView, StaleReason},
};
use serde_json::Value;

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

/// The text of a value, or the texts of a list of them.
pub(super) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    value.as_str().into_iter().chain(list.iter().filter_map(Value::as_str))
}
