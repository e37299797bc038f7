//! Input values: literals and variables made into the JSON that resolvers read, checked against their types.

use async_graphql::parser::types::{BaseType, Type};
use serde_json::{Map, Value};

use super::definitions::{Argument, Definition, Definitions};

/// The arguments of a field, as a resolver reads them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arguments(pub(crate) Map<String, Value>);

impl Arguments {
    /// The argument; an explicit null counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    pub(crate) fn texts(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// The fields of an input object; none when it is absent.
    pub(crate) fn object(&self, name: &str) -> Self {
        Self(self.get(name).and_then(Value::as_object).cloned().unwrap_or_default())
    }
}

/// An argument of a field (or of a directive) as JSON, with its variables replaced; `None` when it is absent or is a variable
/// without a value. (The literal's type has no public name, hence a macro.)
macro_rules! argument {
    ($node:expr, $name:expr, $variables:expr) => {
        $node.get_argument($name).and_then(|literal| {
            let mut missing = false;
            let value = literal.node.clone().into_const_with(|name| {
                let value = $variables.get(name.as_str()).cloned();
                missing |= value.is_none();
                async_graphql::Value::from_json(value.unwrap_or_default())
            });
            let is_variable = literal.node.to_string().starts_with('$');
            if missing && is_variable { None } else { value.ok()?.into_json().ok() }
        })
    };
}
pub(crate) use argument;

/// The value in the form of the type (single items become lists, defaults are filled in), or what is wrong with it.
pub(crate) fn coerce(definitions: &Definitions, ty: &Type, value: Value) -> Result<Value, String> {
    if value.is_null() {
        return if ty.nullable { Ok(Value::Null) } else { Err("Expected value to not be null".to_owned()) };
    }
    match &ty.base {
        BaseType::List(inner) => match value {
            Value::Array(items) => items
                .into_iter()
                .map(|item| coerce(definitions, inner, item))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            single => Ok(Value::Array(vec![coerce(definitions, inner, single)?])),
        },
        BaseType::Named(name) => coerce_named(definitions, name.as_str(), value),
    }
}

fn coerce_named(definitions: &Definitions, name: &str, value: Value) -> Result<Value, String> {
    let fits = match (definitions.get(name), &value) {
        (Some(Definition::Input(fields)), Value::Object(_)) => return coerce_object(definitions, fields, value),
        (Some(Definition::Enum(values)), Value::String(text)) => values.contains(text),
        (Some(Definition::Scalar), _) => match name {
            "Int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            "Float" => value.is_number(),
            "Boolean" => value.is_boolean(),
            "ID" => value.is_string() || value.is_i64() || value.is_u64(),
            "String" | "URI" | "HTML" | "GitObjectID" => value.is_string(),
            "DateTime" | "GitTimestamp" | "PreciseDateTime" => {
                value.as_str().is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok())
            }
            _ => true,
        },
        _ => false,
    };
    if fits { Ok(value) } else { Err(format!("Could not coerce value {value} to {name}")) }
}

fn coerce_object(definitions: &Definitions, fields: &[Argument], value: Value) -> Result<Value, String> {
    let Value::Object(mut given) = value else { return Err("Expected an object".to_owned()) };
    let mut result = Map::new();
    for field in fields {
        match given.shift_remove(&field.name).or_else(|| field.default.clone()) {
            Some(value) => {
                result.insert(field.name.clone(), coerce(definitions, &field.ty, value)?);
            }
            None if field.is_required() => return Err(format!("Expected value to have field {}", field.name)),
            None => {}
        }
    }
    match given.keys().next() {
        Some(unknown) => Err(format!("Field is not defined on the input object: {unknown}")),
        None => Ok(Value::Object(result)),
    }
}
