//! The bytes that a live operation holds as long as it lives: its document, parsed, and its variables.

use std::{collections::BTreeMap, mem::size_of};

use async_graphql::{
    Name, Positioned, Value, Variables,
    parser::types::{
        Directive, ExecutableDocument, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
        VariableDefinition,
    },
};

/// A live operation without what its client wrote: its task, its place in the hub, its tags.
const OPERATION: usize = 4_096;
/// Bytes that a map or an allocation takes beside an entry.
const ENTRY: usize = 48;

/// The bytes of an operation, about.
pub(super) fn bytes_of(document: &ExecutableDocument, variables: &Variables) -> usize {
    let operations = document.operations.iter().map(|(_, operation)| {
        let definitions =
            operation.node.variable_definitions.iter().map(|definition| definition_bytes(&definition.node));
        size_of::<OperationDefinition>() + definitions.sum::<usize>() + set_bytes(&operation.node.selection_set.node)
    });
    let fragments = document.fragments.iter().map(|(name, fragment)| {
        size_of::<FragmentDefinition>() + name_bytes(name) + set_bytes(&fragment.node.selection_set.node)
    });
    // The watched ids are made of the variables, and hold them once more.
    OPERATION + operations.sum::<usize>() + fragments.sum::<usize>() + 2 * variables_bytes(variables)
}

fn variables_bytes(variables: &BTreeMap<Name, Value>) -> usize {
    variables.iter().map(|(name, value)| ENTRY + name_bytes(name) + value_bytes(value)).sum()
}

fn definition_bytes(definition: &VariableDefinition) -> usize {
    let default = definition.default_value.as_ref().map_or(0, |value| value_bytes(&value.node));
    size_of::<Positioned<VariableDefinition>>() + name_bytes(&definition.name.node) + ENTRY + default
}

fn set_bytes(set: &SelectionSet) -> usize {
    let items = set.items.iter().map(|selection| {
        let below = match &selection.node {
            Selection::Field(field) => field_bytes(&field.node),
            Selection::InlineFragment(fragment) => {
                let on = fragment.node.type_condition.as_ref().map_or(0, |on| name_bytes(&on.node.on.node));
                on + directives_bytes(&fragment.node.directives) + set_bytes(&fragment.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                name_bytes(&spread.node.fragment_name.node) + directives_bytes(&spread.node.directives)
            }
        };
        size_of::<Positioned<Selection>>() + below
    });
    items.sum()
}

fn field_bytes(field: &Field) -> usize {
    let alias = field.alias.as_ref().map_or(0, |alias| name_bytes(&alias.node));
    let arguments = field
        .arguments
        .iter()
        .map(|(name, value)| argument_bytes(&name.node, value.node.clone().into_const_with(no_value)));
    alias
        + name_bytes(&field.name.node)
        + arguments.sum::<usize>()
        + directives_bytes(&field.directives)
        + set_bytes(&field.selection_set.node)
}

fn directives_bytes(directives: &[Positioned<Directive>]) -> usize {
    let of_one = |directive: &Positioned<Directive>| {
        let arguments = directive.node.arguments.iter();
        let arguments =
            arguments.map(|(name, value)| argument_bytes(&name.node, value.node.clone().into_const_with(no_value)));
        size_of::<Positioned<Directive>>() + name_bytes(&directive.node.name.node) + arguments.sum::<usize>()
    };
    directives.iter().map(of_one).sum()
}

fn argument_bytes(name: &Name, value: Result<Value, std::convert::Infallible>) -> usize {
    let Ok(value) = value;
    ENTRY + name_bytes(name) + value_bytes(&value)
}

/// Stands for a variable within a literal.
#[expect(clippy::unnecessary_wraps, reason = "the library asks for this signature")]
fn no_value(name: Name) -> Result<Value, std::convert::Infallible> {
    Ok(Value::Enum(name))
}

fn value_bytes(value: &Value) -> usize {
    let below = match value {
        Value::Null | Value::Boolean(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Binary(bytes) => bytes.len(),
        Value::Enum(name) => name_bytes(name),
        Value::List(items) => items.iter().map(value_bytes).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| ENTRY + name_bytes(name) + value_bytes(value)).sum(),
    };
    size_of::<Value>() + below
}

/// A name is a text of its own, with two counters.
fn name_bytes(name: &Name) -> usize {
    name.len() + 2 * size_of::<usize>()
}

#[cfg(test)]
mod tests {
    use async_graphql::{Variables, parser::parse_query};
    use serde_json::json;

    use super::bytes_of;

    fn bytes(text: &str, variables: serde_json::Value) -> usize {
        bytes_of(&parse_query(text).unwrap(), &Variables::from_json(variables))
    }

    #[test]
    fn whatever_a_client_writes_longer_weighs_more() {
        let long = "x".repeat(100_000);
        let plain = bytes("subscription { activity { kind } }", json!({}));
        assert!(plain < 10_000, "{plain}");
        for (text, variables) in [
            (format!("subscription {{ {long}: activity {{ kind }} }}"), json!({})),
            (format!("subscription {{ activity(a: \"{long}\") {{ kind }} }}"), json!({})),
            (format!("subscription {{ activity(a: {{b: [\"{long}\"]}}) {{ kind }} }}"), json!({})),
            (format!("subscription {{ activity {{ ... @a(b: \"{long}\") {{ kind }} }} }}"), json!({})),
            (format!("subscription ($a: String = \"{long}\") {{ activity(a: $a) {{ kind }} }}"), json!({})),
            (
                format!("subscription {{ activity {{ kind }} }} fragment F on Activity {{ kind @a(b: \"{long}\") }}"),
                json!({}),
            ),
            ("subscription ($a: A) { activity(a: $a) { kind } }".to_owned(), json!({ "a": { "b": [long] } })),
            (format!("subscription {{ activity {{ {} }} }}", "kind ".repeat(1_000)), json!({})),
            ("subscription ($a: A) { activity(a: $a) { kind } }".to_owned(), json!({ "a": vec![0; 1_000] })),
        ] {
            let weight = bytes(&text, variables);
            assert!(weight >= plain + 30_000, "{weight}: {}", &text[..80.min(text.len())]);
        }
    }
}
