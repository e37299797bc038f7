//! The graph's form: the committed SDL is current, keeps what the contract promises, and explains everything.

use std::collections::BTreeMap;

use async_graphql::parser::{
    parse_schema,
    types::{FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind, TypeSystemDefinition},
};
use mullion_schema::build::{federation_sdl, sdl};
use serde_json::{Map, Value, json};

/// The SDL without the description of the schema itself, which the library's parser does not know yet.
pub(crate) fn undescribed(sdl: &str) -> String {
    let mut parts: Vec<&str> = sdl.split("\"\"\"\n").collect();
    let schema = parts.pop().expect("the schema");
    assert!(schema.starts_with("schema {"), "{schema}");
    parts.pop();
    parts.join("\"\"\"\n") + schema
}

fn types() -> BTreeMap<String, TypeDefinition> {
    let document = parse_schema(undescribed(&sdl())).expect("the SDL parses");
    let definitions = document.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(ty) => Some((ty.node.name.node.to_string(), ty.node)),
        _ => None,
    });
    definitions.collect()
}

fn input(value: &InputValueDefinition) -> Value {
    let mut fact = json!({"type": value.ty.node.to_string()});
    if let Some(default) = &value.default_value {
        fact["default"] = json!(default.node.to_string().replace(' ', ""));
    }
    fact
}

fn fields(definitions: &[async_graphql::Positioned<FieldDefinition>]) -> Value {
    let facts = definitions.iter().map(|field| {
        let mut fact = json!({"type": field.node.ty.node.to_string()});
        if !field.node.arguments.is_empty() {
            fact["args"] =
                field.node.arguments.iter().map(|arg| (arg.node.name.node.to_string(), input(&arg.node))).collect();
        }
        (field.node.name.node.to_string(), fact)
    });
    Value::Object(facts.collect())
}

fn facts(ty: &TypeDefinition) -> Value {
    let names = |names: Vec<String>| {
        let mut names = names;
        names.sort();
        json!(names)
    };
    match &ty.kind {
        TypeKind::Scalar => json!({"kind": "scalar"}),
        TypeKind::Object(object) => json!({
            "kind": "object",
            "implements": names(object.implements.iter().map(|name| name.node.to_string()).collect()),
            "fields": fields(&object.fields),
        }),
        TypeKind::Interface(interface) => json!({
            "kind": "interface",
            "implements": names(interface.implements.iter().map(|name| name.node.to_string()).collect()),
            "fields": fields(&interface.fields),
        }),
        TypeKind::Union(union) => {
            json!({"kind": "union", "members": names(union.members.iter().map(|name| name.node.to_string()).collect())})
        }
        TypeKind::Enum(values) => {
            let values = values.values.iter().map(|value| value.node.value.node.to_string());
            json!({"kind": "enum", "values": names(values.collect())})
        }
        TypeKind::InputObject(object) => {
            let fields: Map<String, Value> =
                object.fields.iter().map(|field| (field.node.name.node.to_string(), input(&field.node))).collect();
            let one_of = ty.directives.iter().any(|directive| directive.node.name.node == "oneOf");
            json!({"kind": "input_object", "oneOf": one_of, "fields": fields})
        }
    }
}

/// Everything that `promised` says must be so; more may be there.
fn compare(path: &str, promised: &Value, actual: Option<&Value>, broken: &mut Vec<String>) {
    match (promised, actual) {
        (_, None) => broken.push(format!("{path} is missing")),
        (Value::Object(promised), Some(actual)) => {
            for (name, promised) in promised {
                compare(&format!("{path}.{name}"), promised, actual.get(name), broken);
            }
        }
        (Value::Array(promised), Some(actual)) => {
            let actual = actual.as_array().cloned().unwrap_or_default();
            broken.extend(
                promised.iter().filter(|value| !actual.contains(value)).map(|value| format!("{path} lacks {value}")),
            );
        }
        (promised, Some(actual)) if promised != actual => broken.push(format!("{path} is {actual}, not {promised}")),
        _ => {}
    }
}

#[test]
fn the_committed_sdl_is_current() {
    assert!(
        include_str!("../../schema.graphql") == sdl(),
        "run: cargo run -p mullion-schema --example sdl > schema/schema.graphql"
    );
}

#[test]
fn the_graph_keeps_the_contract() {
    let contract: Map<String, Value> =
        serde_json::from_str(include_str!("../contract.json")).expect("the contract is JSON");
    let actual: Map<String, Value> = types().iter().map(|(name, ty)| (name.clone(), facts(ty))).collect();
    let mut broken = Vec::new();
    compare("graph", &Value::Object(contract), Some(&Value::Object(actual)), &mut broken);
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn everything_has_a_description() {
    let mut silent = Vec::new();
    let mut note = |path: String, described: bool| {
        if !described {
            silent.push(path);
        }
    };
    for (name, ty) in types() {
        note(name.clone(), ty.description.is_some());
        match &ty.kind {
            TypeKind::Object(async_graphql::parser::types::ObjectType { fields, .. })
            | TypeKind::Interface(async_graphql::parser::types::InterfaceType { fields, .. }) => {
                for field in fields {
                    let path = format!("{name}.{}", field.node.name.node);
                    note(path.clone(), field.node.description.is_some());
                    for arg in &field.node.arguments {
                        note(format!("{path}({})", arg.node.name.node), arg.node.description.is_some());
                    }
                }
            }
            TypeKind::Enum(values) => values.values.iter().for_each(|value| {
                note(format!("{name}.{}", value.node.value.node), value.node.description.is_some());
            }),
            TypeKind::InputObject(object) => object.fields.iter().for_each(|field| {
                note(format!("{name}.{}", field.node.name.node), field.node.description.is_some());
            }),
            TypeKind::Scalar | TypeKind::Union(_) => {}
        }
    }
    assert!(silent.is_empty(), "without description: {silent:#?}");
}

#[test]
fn the_plain_sdl_shows_nothing_of_federation_and_the_subgraph_s_every_key() {
    let plain = sdl();
    for hidden in ["_Any", "_Entity", "_Service", "_service", "_entities", "@key", "WidgetCommon", "Finish"] {
        assert!(!plain.contains(hidden), "{hidden}");
    }
    let subgraph = federation_sdl();
    let nodes = types().into_values().filter(
        |ty| matches!(&ty.kind, TypeKind::Object(object) if object.implements.iter().any(|name| name.node == "Node")),
    );
    for node in nodes {
        let name = node.name.node;
        let line = subgraph.lines().find(|line| line.starts_with(&format!("type {name} "))).unwrap_or_default();
        assert!(line.contains(r#"@key(fields: "id")"#), "{name}: {line}");
    }
    assert!(subgraph.lines().any(|line| line.starts_with("type PageInfo") && line.contains("@shareable")));
}

#[test]
fn tables_ask_always_for_what_their_non_null_fields_need() {
    for table in mullion_schema::providers::node_types() {
        let lacking: Vec<_> = table.lacking().collect();
        assert!(lacking.is_empty(), "{}: {lacking:?}", table.name);
    }
}

#[test]
fn both_subscription_roots_are_the_same() {
    let live = parse_schema(mullion_schema::build::build_live().sdl()).expect("the SDL parses");
    let live = live.definitions.into_iter().find_map(|definition| match definition {
        TypeSystemDefinition::Type(ty) if ty.node.name.node == "Subscription" => Some(ty.node),
        _ => None,
    });
    let live = live.expect("the live graph has a root");
    let shown = types().remove("Subscription").expect("the graph has subscriptions");
    assert_eq!(facts(&live)["fields"], facts(&shown)["fields"]);
    assert_eq!(live.description.map(|text| text.node), shown.description.map(|text| text.node));
}
