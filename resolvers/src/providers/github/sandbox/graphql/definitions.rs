//! GitHub's type definitions, read from `github.graphql` into what validation and execution look up.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition},
};
use serde_json::Value;

const SDL: &str = include_str!("github.graphql");

/// The types by their names.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    types: HashMap<String, Definition>,
    /// Interface or union (or object): the objects that it can be.
    possible: HashMap<String, HashSet<String>>,
}

#[derive(Debug)]
pub(crate) enum Definition {
    Scalar,
    Enum(Vec<String>),
    Input(Vec<Argument>),
    /// Objects and interfaces; a union has no fields.
    Composite(HashMap<String, Field>),
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) ty: Type,
    pub(crate) arguments: Vec<Argument>,
}

/// An argument, or a field of an input object.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) default: Option<Value>,
}

impl Argument {
    pub(crate) fn is_required(&self) -> bool {
        !self.ty.nullable && self.default.is_none()
    }
}

impl Definitions {
    /// Reads the definitions. They are part of the program; a test sees to it that they can be read.
    pub(crate) fn read() -> Self {
        let mut read = Self::default();
        for builtin in ["Int", "Float", "String", "Boolean", "ID"] {
            read.types.insert(builtin.to_owned(), Definition::Scalar);
        }
        let Ok(document) = parse_schema(SDL) else { return read };
        for definition in document.definitions {
            if let TypeSystemDefinition::Type(definition) = definition {
                let name = definition.node.name.node.to_string();
                read.add(name, definition.node.kind);
            }
        }
        read
    }

    fn add(&mut self, name: String, kind: TypeKind) {
        let definition = match kind {
            TypeKind::Scalar => Definition::Scalar,
            TypeKind::Enum(kind) => {
                Definition::Enum(kind.values.into_iter().map(|value| value.node.value.node.to_string()).collect())
            }
            TypeKind::InputObject(kind) => {
                Definition::Input(kind.fields.into_iter().map(|field| argument(field.node)).collect())
            }
            TypeKind::Object(kind) => {
                for interface in kind.implements {
                    self.possible.entry(interface.node.to_string()).or_default().insert(name.clone());
                }
                self.possible.entry(name.clone()).or_default().insert(name.clone());
                Definition::Composite(kind.fields.into_iter().map(|field_| field(field_.node)).collect())
            }
            TypeKind::Interface(kind) => {
                Definition::Composite(kind.fields.into_iter().map(|field_| field(field_.node)).collect())
            }
            TypeKind::Union(kind) => {
                let members = kind.members.into_iter().map(|member| member.node.to_string());
                self.possible.entry(name.clone()).or_default().extend(members);
                Definition::Composite(HashMap::new())
            }
        };
        self.types.insert(name, definition);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Definition> {
        self.types.get(name)
    }

    pub(crate) fn field(&self, type_name: &str, field: &str) -> Option<&Field> {
        match self.types.get(type_name)? {
            Definition::Composite(fields) => fields.get(field),
            _ => None,
        }
    }

    pub(crate) fn is_composite(&self, name: &str) -> bool {
        matches!(self.types.get(name), Some(Definition::Composite(_)))
    }

    pub(crate) fn is_object(&self, name: &str) -> bool {
        self.possible.get(name).is_some_and(|possible| possible.contains(name))
    }

    /// Whether an object of this type is of that type, interface or union.
    pub(crate) fn is_a(&self, object: &str, condition: &str) -> bool {
        self.possible.get(condition).is_some_and(|possible| possible.contains(object))
    }

    /// Whether some object is of both.
    pub(crate) fn overlap(&self, one: &str, other: &str) -> bool {
        match (self.possible.get(one), self.possible.get(other)) {
            (Some(one), Some(other)) => !one.is_disjoint(other),
            _ => false,
        }
    }

    /// The first in the alphabet of the objects that it can be.
    pub(crate) fn some_object(&self, name: &str) -> Option<&str> {
        self.possible.get(name)?.iter().min().map(String::as_str)
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> &HashMap<String, Definition> {
        &self.types
    }
}

fn field(of: FieldDefinition) -> (String, Field) {
    let arguments = of.arguments.into_iter().map(|one| argument(one.node)).collect();
    (of.name.node.to_string(), Field { ty: of.ty.node, arguments })
}

fn argument(of: InputValueDefinition) -> Argument {
    let default = of.default_value.and_then(|value| value.node.into_json().ok());
    Argument { name: of.name.node.to_string(), ty: of.ty.node, default }
}

/// The name at the bottom of a type.
pub(crate) fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => named(inner),
    }
}
