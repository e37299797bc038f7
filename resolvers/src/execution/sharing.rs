//! Decides who may share an answer: callers of one tenant and role, unless the document asks who is asking.

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// The one field whose answer differs between callers of one tenant and role.
const PERSONAL: &str = "viewer";

/// Whether an answer to the document may show the credential that asked. Decided by the name alone, wherever it stands, in
/// operations and fragments that are not used too: rather too often than too seldom.
pub(super) fn is_personal(document: &ExecutableDocument) -> bool {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    let mut sets: Vec<&SelectionSet> = operations.chain(fragments).collect();
    while let Some(set) = sets.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) if field.node.name.node == PERSONAL => return true,
                Selection::Field(field) => sets.push(&field.node.selection_set.node),
                Selection::InlineFragment(fragment) => sets.push(&fragment.node.selection_set.node),
                // All fragments are looked at anyway.
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::is_personal;

    #[test]
    fn a_document_that_asks_who_asks_is_personal_however_it_is_written() {
        for (text, expected) in [
            ("{ dashboards { nodes { id } } }", false),
            ("query A { a: dashboards { nodes { ...F } } } fragment F on Dashboard { viewerCount: id name }", false),
            ("{ viewer { id } }", true),
            ("{ me: viewer { id } }", true),
            ("{ ... { ... on Query { viewer { id } } } }", true),
            ("{ viewer @skip(if: true) { id } dashboards { nodes { id } } }", true),
            ("query A { ...F } fragment F on Query { ...G } fragment G on Query { viewer { role } }", true),
            ("query A { dashboards { nodes { id } } } query B { viewer { id } }", true),
            ("{ dashboards { nodes { id } } } fragment F on Query { viewer { id } }", true),
            ("{ github { viewer { login } } }", true),
        ] {
            assert_eq!(is_personal(&parse_query(text).unwrap()), expected, "{text}");
        }
    }
}
