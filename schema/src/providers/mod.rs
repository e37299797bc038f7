//! The providers' types. This list is the only place outside the folders that names a provider: interfaces, unions, the
//! providers' fields on `Query`, entity resolvers and the reading of ids are all made from it.

pub mod asana;
pub mod github;
pub mod slack;

use async_graphql::Value;

use crate::{
    enums::WorkItemState,
    table::{Catalog, NodeType, NodeTypeList},
    view::NodeView,
};

pub use crate::table::{node_type, node_types};

/// A provider's part of the graph.
#[derive(Debug)]
pub struct ProviderGraph {
    /// `github`: also the name of its field on `Query`.
    pub key: &'static str,
    /// Documentation of that field.
    pub doc: &'static str,
    /// Registers the type of that field.
    pub root: &'static NodeType,
    /// Its node types.
    pub types: &'static [&'static NodeType],
}

/// All providers, a line each.
#[rustfmt::skip]
pub static PROVIDERS: &[&ProviderGraph] = &[
    &asana::PROVIDER,
    &github::PROVIDER,
    &slack::PROVIDER,
];

impl NodeTypeList for Catalog {
    fn all() -> impl Iterator<Item = &'static NodeType> {
        PROVIDERS.iter().flat_map(|provider| provider.types.iter().copied())
    }
}

/// The state of a work item over all providers; `None` for nodes that are none, or whose state is not known.
pub fn work_item_state(view: &NodeView) -> Option<WorkItemState> {
    match node_type(view.key.type_name)?.read(view, "state")? {
        Value::Enum(name) => name.parse().ok(),
        _ => None,
    }
}

/// The first line of a message, shortened: the title of what has none.
pub(crate) fn first_line(view: &NodeView) -> Option<Value> {
    view.text("text").as_deref().map(first_line_of)
}

/// The first line of a text, shortened.
pub(crate) fn first_line_of(text: &str) -> Value {
    const LONGEST: usize = 80;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut title: String = line.chars().take(LONGEST).collect();
    if line.chars().count() > LONGEST {
        title.push('…');
    }
    Value::from(title)
}
