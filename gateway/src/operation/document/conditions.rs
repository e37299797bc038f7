//! Conditions on `__typename`: the executor's validation passes that field by, so a variable that stands in its directives only
//! would count as unused, and an unknown one as known.

use async_graphql::{
    Positioned,
    parser::types::{DocumentOperations, ExecutableDocument, InlineFragment, Selection, SelectionSet},
};

/// Writes `__typename @skip(if: $a)` as `... @skip(if: $a) { __typename }`, which means the same.
pub(super) fn lift(document: &mut ExecutableDocument) {
    match &mut document.operations {
        DocumentOperations::Single(operation) => lift_in(&mut operation.node.selection_set.node),
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                lift_in(&mut operation.node.selection_set.node);
            }
        }
    }
    for fragment in document.fragments.values_mut() {
        lift_in(&mut fragment.node.selection_set.node);
    }
}

fn lift_in(set: &mut SelectionSet) {
    for selection in &mut set.items {
        let pos = selection.pos;
        match &mut selection.node {
            Selection::Field(field) if field.node.name.node == "__typename" && !field.node.directives.is_empty() => {
                let directives = std::mem::take(&mut field.node.directives);
                let items = vec![Positioned::new(Selection::Field(field.clone()), pos)];
                let selection_set = Positioned::new(SelectionSet { items }, pos);
                let fragment = InlineFragment { type_condition: None, directives, selection_set };
                selection.node = Selection::InlineFragment(Positioned::new(fragment, pos));
            }
            Selection::Field(field) => lift_in(&mut field.node.selection_set.node),
            Selection::InlineFragment(fragment) => lift_in(&mut fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => {}
        }
    }
}
