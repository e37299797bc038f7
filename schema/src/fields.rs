//! Which fields of a node were selected: the base of selection pushdown. What each of them needs is in [`crate::table`].

use std::collections::BTreeSet;

use async_graphql::{Context, SelectionField};

pub use crate::table::NodeType;

/// Names of GraphQL fields selected on a node, over all type conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldSet(BTreeSet<String>);

impl FieldSet {
    /// The fields selected right below the field that is being resolved.
    pub fn selected(ctx: &Context<'_>) -> Self {
        Self::below(ctx.field())
    }

    /// The fields selected below `field`, fragments included.
    pub fn below(field: SelectionField<'_>) -> Self {
        Self(field.selection_set().map(|selected| selected.name().to_owned()).collect())
    }

    /// The fields selected on the nodes of a connection: below `nodes` and `edges { node }`.
    pub fn of_connection(ctx: &Context<'_>) -> Self {
        Self::of_connection_below(ctx.field())
    }

    /// The same for a connection field further down.
    pub fn of_connection_below(field: SelectionField<'_>) -> Self {
        let mut fields = BTreeSet::new();
        for selected in field.selection_set() {
            match selected.name() {
                "nodes" => fields.extend(Self::below(selected).0),
                "edges" => {
                    let nodes = selected.selection_set().filter(|edge| edge.name() == "node");
                    fields.extend(nodes.flat_map(|node| Self::below(node).0));
                }
                _ => {}
            }
        }
        Self(fields)
    }

    /// Whether a field was selected.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether nothing was selected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Adds the fields of another set.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }
}

impl<S: Into<String>> FromIterator<S> for FieldSet {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}
