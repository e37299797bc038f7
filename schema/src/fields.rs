//! Which fields of a node were selected, and what each of them needs: the base of selection pushdown.

use std::collections::BTreeSet;

use async_graphql::{Context, SelectionField};

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

/// What one GraphQL field of a node type is answered from.
#[derive(Debug, Clone, Copy)]
pub struct FieldSource {
    /// The GraphQL field.
    pub field: &'static str,
    /// Body keys that must be present to answer it; otherwise the node is fetched.
    pub needs: &'static [&'static str],
    /// Body keys to ask the provider for, where the node is fetched because of it.
    pub asks: &'static [&'static str],
}

/// A node type as the engine knows it: where its fields come from.
#[derive(Debug)]
pub struct NodeType {
    /// The GraphQL type: `GithubIssue`.
    pub name: &'static str,
    /// The provider's key: `github`.
    pub provider: &'static str,
    /// Body keys that are asked for whenever the node is fetched: identity, times, and what non-null fields need.
    pub always: &'static [&'static str],
    /// The fields beyond `always`. A GraphQL field that is not listed needs no body key beyond `always`.
    pub fields: &'static [FieldSource],
}

impl NodeType {
    /// The body keys that must be there to answer `selected`.
    pub fn needs(&self, selected: &FieldSet) -> BTreeSet<&'static str> {
        let always = if selected.is_empty() { &[][..] } else { self.always };
        let chosen = self.fields.iter().filter(|source| selected.contains(source.field));
        always.iter().copied().chain(chosen.flat_map(|source| source.needs.iter().copied())).collect()
    }

    /// The body keys to ask the provider for to answer `selected`.
    pub fn asks(&self, selected: &FieldSet) -> BTreeSet<&'static str> {
        let chosen = self.fields.iter().filter(|source| selected.contains(source.field));
        self.always.iter().copied().chain(chosen.flat_map(|source| source.asks.iter().copied())).collect()
    }
}
