//! The part of a live answer that counts: everything the client selected except the cursor, the causes and the reason.

use std::collections::HashSet;

use async_graphql::{
    Response, Value,
    parser::types::{DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet},
};

/// Fields of an update that differ without anything having changed.
const INCIDENTAL: [&str; 3] = ["cursor", "causes", "reason"];
/// Fragments may spread fragments; the limits of documents keep this finite, this keeps it small.
const DEPTH: usize = 32;

/// The response keys, one level below the root field, under which incidental fields are answered.
pub(super) fn incidental_keys(document: &ExecutableDocument, operation: Option<&str>) -> HashSet<String> {
    let definition = match &document.operations {
        DocumentOperations::Single(definition) => Some(definition),
        DocumentOperations::Multiple(all) => operation.and_then(|name| all.get(name)).or_else(|| all.values().next()),
    };
    let mut keys = HashSet::new();
    if let Some(definition) = definition {
        each_field(document, &definition.node.selection_set.node, DEPTH, &mut |root| {
            each_field(document, &root.selection_set.node, DEPTH, &mut |field| {
                if INCIDENTAL.contains(&field.name.node.as_str()) {
                    keys.insert(field.response_key().node.to_string());
                }
            });
        });
    }
    keys
}

fn each_field(document: &ExecutableDocument, selection: &SelectionSet, depth: usize, visit: &mut dyn FnMut(&Field)) {
    if depth == 0 {
        return;
    }
    for item in &selection.items {
        match &item.node {
            Selection::Field(field) => visit(&field.node),
            Selection::InlineFragment(fragment) => {
                each_field(document, &fragment.node.selection_set.node, depth - 1, visit);
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    each_field(document, &fragment.node.selection_set.node, depth - 1, visit);
                }
            }
        }
    }
}

/// A hash of an answer without the incidental fields of its update.
pub(super) fn digest(response: &Response, incidental: &HashSet<String>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    if let Value::Object(roots) = &response.data {
        for update in roots.values() {
            match update {
                Value::Object(fields) => {
                    for (key, value) in fields.iter().filter(|(key, _)| !incidental.contains(key.as_str())) {
                        hasher.update(key.as_bytes()).update(b"\n");
                        hash_value(&mut hasher, value);
                    }
                }
                other => hash_value(&mut hasher, other),
            }
        }
    }
    for error in &response.errors {
        hasher.update(error.message.as_bytes()).update(b"\n");
    }
    *hasher.finalize().as_bytes()
}

fn hash_value(hasher: &mut blake3::Hasher, value: &Value) {
    // A hasher takes every byte: only a value that is no JSON could fail, and answers hold none.
    if serde_json::to_writer(&mut *hasher, value).is_err() {
        hasher.update(b"\0");
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Response, parser::parse_query, value};

    use super::{digest, incidental_keys};

    #[test]
    fn cursor_causes_and_reason_do_not_count_whatever_they_are_called() {
        let document = parse_query(
            "query { live: widgetUpdated(id: 1) { ...U why: reason widget { title cursor } } }
             fragment U on WidgetUpdate { at: cursor ... { causes { id } } }",
        );
        let keys = incidental_keys(&document.unwrap(), None);
        let mut sorted: Vec<_> = keys.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, ["at", "causes", "why"]);
        let answer = |at: &str, title: &str| {
            Response::new(value!({"live": {"at": at, "causes": [], "why": "CHANGED", "widget": {"title": title}}}))
        };
        assert_eq!(digest(&answer("1", "a"), &keys), digest(&answer("2", "a"), &keys));
        assert_ne!(digest(&answer("1", "a"), &keys), digest(&answer("1", "b"), &keys));
    }
}
