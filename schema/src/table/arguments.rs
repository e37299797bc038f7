//! Arguments of fields that are tables: their types, their values, and the canonical filter that a list's arguments make.
//!
//! The field itself and the look-ahead of the node above it build the filter here, so a prefetched page is found again.

use std::collections::BTreeMap;

use async_graphql::{SelectionField, ServerResult, Value};

use super::{Field, TypeInfo};
use crate::{enums::UNKNOWN, ports::Filter};

/// An argument of a field.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) ty: TypeInfo,
    pub(crate) rule: FilterRule,
}

/// The meaning of an argument to the provider's filter.
#[derive(Debug, Clone, Copy)]
pub enum FilterRule {
    /// Nothing: it pages, or it looks something up.
    None,
    /// A condition of this name.
    Named(&'static str),
    /// A condition of this name that only what is not so passes, unless the argument is true: `includeArchived` leaves archived
    /// items out where it is false or absent.
    UnlessIncluded(&'static str),
}

/// The values of arguments that were given; null is as if absent.
#[derive(Debug, Clone, Default)]
pub struct Arguments(BTreeMap<String, Value>);

impl Arguments {
    /// The arguments of a selected field, variables filled in.
    pub fn of(field: SelectionField<'_>) -> ServerResult<Self> {
        let given = field.arguments()?.into_iter();
        Ok(Self(
            given.filter(|(_, value)| *value != Value::Null).map(|(name, value)| (name.to_string(), value)).collect(),
        ))
    }

    /// A value as text: of a string, an id, an enum or a number.
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(text_of)
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The argument that asks for a word that is not known: neither we nor the provider could say what is meant.
    pub(crate) fn unknown(&self) -> Option<&str> {
        let is_unknown = |value: &Value| matches!(value, Value::Enum(name) if name == UNKNOWN);
        let asks = |value: &Value| match value {
            Value::List(values) => values.iter().any(is_unknown),
            single => is_unknown(single),
        };
        self.0.iter().find(|(_, value)| asks(value)).map(|(name, _)| name.as_str())
    }

    /// The canonical filter of a list field.
    pub(crate) fn filter(&self, field: &Field) -> Filter {
        let conditions = field.args.iter().filter_map(|arg| {
            let value = self.0.get(arg.name);
            let (name, values) = match arg.rule {
                FilterRule::None => return None,
                FilterRule::Named(name) => (name, texts_of(value?)),
                FilterRule::UnlessIncluded(name) => {
                    (name, if value == Some(&Value::Boolean(true)) { Vec::new() } else { vec!["false".to_owned()] })
                }
            };
            (!values.is_empty()).then_some((name, values))
        });
        conditions.collect()
    }
}

fn texts_of(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> = match value {
        Value::List(values) => values.iter().filter_map(text_of).collect(),
        single => text_of(single).into_iter().collect(),
    };
    texts.sort();
    texts.dedup();
    texts
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Enum(name) => Some(name.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
