//! Which fields of a node were selected: the base of selection pushdown. [`crate::table`] says what each of them needs.

use std::{collections::BTreeSet, sync::Arc};

use async_graphql::{Context, SelectionField};

/// Names of GraphQL fields selected on a node, over all type conditions. Cheap to clone: all items of a list share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldSet(Arc<BTreeSet<String>>);

impl FieldSet {
    /// The fields selected right below the field that is being resolved.
    pub fn selected(ctx: &Context<'_>) -> Self {
        Self::below(ctx.field())
    }

    /// The fields selected below `field`, fragments included.
    pub fn below(field: SelectionField<'_>) -> Self {
        names_below(field).into_iter().collect()
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
                "nodes" => fields.extend(names_below(selected)),
                "edges" => {
                    let nodes = selected.selection_set().filter(|edge| edge.name() == "node");
                    fields.extend(nodes.flat_map(names_below));
                }
                _ => {}
            }
        }
        Self(Arc::new(fields))
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
        if !other.0.is_subset(&self.0) {
            Arc::make_mut(&mut self.0).extend(other.0.iter().cloned());
        }
    }
}

/// Whether the total is selected of a connection.
pub(crate) fn selects_total(connection: SelectionField<'_>) -> bool {
    connection.selection_set().any(|selected| selected.name() == "totalCount")
}

fn names_below(field: SelectionField<'_>) -> Vec<String> {
    field.selection_set().map(|selected| selected.name().to_owned()).collect()
}

impl<S: Into<String>> FromIterator<S> for FieldSet {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(Arc::new(names.into_iter().map(Into::into).collect()))
    }
}
