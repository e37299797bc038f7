//! Facts that filters of work items find out about a node, kept with it as long as the node is the same.

use std::sync::OnceLock;

use mullion_schema::{
    enums::WorkItemState,
    view::{Body, NodeView},
};

/// The body keys of a work item that are searched for a text.
const SEARCHED: [&str; 2] = ["title", "bodyText"];

/// Facts about a node, each found out when a filter first needs it.
#[derive(Default)]
pub(in crate::reading) struct DerivedFacts {
    state: OnceLock<Option<WorkItemState>>,
    texts: OnceLock<[Option<Box<str>>; 2]>,
}

impl DerivedFacts {
    /// How many bytes what is kept of a node takes at most, about.
    pub(super) fn bytes(body: &Body) -> usize {
        SEARCHED.iter().filter_map(|key| body.get(*key)?.as_str()).map(str::len).sum()
    }

    /// The state of the work item.
    pub(in crate::reading) fn state(&self, view: &NodeView) -> Option<WorkItemState> {
        *self.state.get_or_init(|| work_item_state(view))
    }

    /// Whether a text, in small letters, is mentioned.
    pub(in crate::reading) fn mention(&self, view: &NodeView, text: &str) -> bool {
        let in_small = |key| view.get(key).and_then(serde_json::Value::as_str).map(|text| text.to_lowercase().into());
        self.texts.get_or_init(|| SEARCHED.map(in_small)).iter().flatten().any(|known| known.contains(text))
    }
}

/// The state of a work item in words common to all providers, as its type derives it.
pub(in crate::reading) fn work_item_state(view: &NodeView) -> Option<WorkItemState> {
    let value = mullion_schema::providers::node_type(view.key.type_name)?.read(view, "state")?;
    match value {
        async_graphql::Value::Enum(name) => name.as_str().parse().ok(),
        _ => None,
    }
}
