//! The description of the whole graph: in introspection, and before `schema` in the schema language.
//!
//! The library answers `__schema { description }` with a text about the type `__Schema`, and prints none. An extension could answer
//! instead, but would be called for each field of every operation; so the few answers that hold the text are mended.

use std::collections::HashSet;

use async_graphql::{
    Name, Request, Value,
    parser::types::{DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet},
};

/// The text.
pub(crate) const DESCRIPTION: &str = "What a team does, as one live graph: issues, pull requests, builds, messages and tasks \
of the accounts that are connected. `workItems` and `activity` show all providers side by side, the field of each provider \
shows all that it has, and dashboards with their widgets put it on a wall. Subscriptions tell each change; `eventCursor` says \
from where on. Everything with an `id` is found again by `node`, lists are connections with cursors, `freshness` says how \
current an object is, and every error has a code in `extensions.code`.";

const SCHEMA: &str = "__schema";
const FIELD: &str = "description";

/// Where the text stands in an answer: the keys of `__schema`, each with a key of `description`.
pub(crate) struct Asked(Vec<(Name, Name)>);

/// Where an operation asks for the text. Nearly none does.
pub(crate) fn asked_in(request: &mut Request) -> Asked {
    if !request.query.contains(SCHEMA) {
        return Asked(Vec::new());
    }
    let name = request.operation_name.clone();
    // A document that cannot be parsed is not executed.
    let Ok(document) = request.parsed_query() else { return Asked(Vec::new()) };
    let operation = match &document.operations {
        DocumentOperations::Single(operation) => Some(operation),
        DocumentOperations::Multiple(operations) => name.and_then(|name| operations.get(name.as_str())),
    };
    let Some(operation) = operation else { return Asked(Vec::new()) };
    let mut places = Vec::new();
    let mut schemas = Vec::new();
    fields(document, &operation.node.selection_set.node, SCHEMA, (&mut schemas, &mut HashSet::new()));
    for schema in schemas {
        let mut found = Vec::new();
        fields(document, &schema.selection_set.node, FIELD, (&mut found, &mut HashSet::new()));
        places.extend(found.into_iter().map(|field| (key(schema), key(field))));
    }
    Asked(places)
}

impl Asked {
    /// Puts the text where the library put its own.
    pub(crate) fn answer(self, data: &mut Value) {
        for (schema, field) in self.0 {
            let Value::Object(root) = &mut *data else { return };
            if let Some(Value::Object(schema)) = root.get_mut(&schema)
                && let Some(text) = schema.get_mut(&field)
            {
                *text = Value::from(DESCRIPTION);
            }
        }
    }
}

/// The graph in the schema language, with the text in its place.
pub(crate) fn before_schema(sdl: String) -> String {
    match sdl.rfind("\nschema {") {
        Some(at) => {
            let (types, schema) = sdl.split_at(at + 1);
            format!("{types}\"\"\"\n{DESCRIPTION}\n\"\"\"\n{schema}")
        }
        None => sdl,
    }
}

/// The fields of a selection with a name, in fragments too. Each fragment is entered once: validation, which refuses one that holds
/// itself, comes later.
fn fields<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    name: &str,
    (found, entered): (&mut Vec<&'a Field>, &mut HashSet<&'a Name>),
) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) if field.node.name.node == name => found.push(&field.node),
            Selection::Field(_) => {}
            Selection::InlineFragment(fragment) => {
                fields(document, &fragment.node.selection_set.node, name, (found, entered));
            }
            Selection::FragmentSpread(spread) => {
                let name_of_fragment = &spread.node.fragment_name.node;
                if entered.insert(name_of_fragment)
                    && let Some(fragment) = document.fragments.get(name_of_fragment)
                {
                    fields(document, &fragment.node.selection_set.node, name, (found, entered));
                }
            }
        }
    }
}

fn key(field: &Field) -> Name {
    field.response_key().node.clone()
}
