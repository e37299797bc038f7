//! The cost of a document, by GitHub's published rule: the requests needed to fill all its connections, divided by 100; and
//! how many nodes it may touch.

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use serde_json::{Map, Value};

use super::values;

/// GitHub refuses documents that may touch more nodes than this.
pub(crate) const MAX_NODES: u64 = 500_000;

/// Cost and nodes of a selection.
pub(crate) fn of(document: &ExecutableDocument, set: &SelectionSet, variables: &Map<String, Value>) -> (u64, u64) {
    let mut count = Count { document, variables, requests: 0, nodes: 0 };
    count.selection(set, 1);
    ((count.requests.saturating_add(50) / 100).max(1), count.nodes)
}

struct Count<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Map<String, Value>,
    requests: u64,
    nodes: u64,
}

impl Count<'_> {
    fn selection(&mut self, set: &SelectionSet, times: u64) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let bound = |name: &str| {
                        values::argument!(field.node, name, self.variables).and_then(|value| value.as_u64())
                    };
                    let inner = bound("first").or_else(|| bound("last")).map_or(times, |page| {
                        self.requests = self.requests.saturating_add(times);
                        let inner = times.saturating_mul(page);
                        self.nodes = self.nodes.saturating_add(inner);
                        inner
                    });
                    self.selection(&field.node.selection_set.node, inner);
                }
                Selection::InlineFragment(fragment) => self.selection(&fragment.node.selection_set.node, times),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        self.selection(&fragment.node.selection_set.node, times);
                    }
                }
            }
        }
    }
}
