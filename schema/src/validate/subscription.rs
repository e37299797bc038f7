//! A subscription has one root field, and it is a field of the graph: the rule of the specification that the library leaves out.

use std::collections::HashSet;

use async_graphql::{
    Pos, Positioned, ServerError,
    parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet},
};

use super::invalid;

/// The errors of all subscriptions of a document whose fragments are free of cycles.
pub(super) fn check(document: &ExecutableDocument) -> Vec<ServerError> {
    let subscriptions = document.operations.iter().filter(|(_, each)| each.node.ty == OperationType::Subscription);
    subscriptions
        .filter_map(|(_, operation)| {
            let mut roots = Roots { document, seen: HashSet::new(), keys: HashSet::new(), positions: Vec::new() };
            roots.collect(&operation.node.selection_set.node);
            let introspects = roots.keys.iter().any(|(_, name)| name.starts_with("__"));
            (roots.keys.len() != 1 || introspects).then(|| {
                let message = "a subscription has exactly one root field, and it is one of Subscription's";
                invalid(message.to_owned(), roots.positions)
            })
        })
        .collect()
}

struct Roots<'a> {
    document: &'a ExecutableDocument,
    seen: HashSet<&'a str>,
    /// Response name and field.
    keys: HashSet<(&'a str, &'a str)>,
    /// The first field of each key.
    positions: Vec<Pos>,
}

impl<'a> Roots<'a> {
    fn collect(&mut self, set: &'a SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(Positioned { pos, node }) => {
                    if self.keys.insert((&node.response_key().node, &node.name.node)) {
                        self.positions.push(*pos);
                    }
                }
                Selection::InlineFragment(fragment) => self.collect(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    if let Some(fragment) = self.document.fragments.get(name)
                        && self.seen.insert(name)
                    {
                        self.collect(&fragment.node.selection_set.node);
                    }
                }
            }
        }
    }
}
