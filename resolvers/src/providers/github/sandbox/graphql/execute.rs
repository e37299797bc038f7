//! Executes a valid operation: collects fields, asks the resolvers, completes values by their types. It follows the
//! execution section of the specification: order of selection, merged fields, null that bubbles to the nearest nullable.

use async_graphql::{
    Positioned,
    parser::types::{BaseType, Directive, ExecutableDocument, Field, Selection, SelectionSet, Type},
};
use serde_json::{Map, Value};

use super::{
    connection,
    definitions::{Definition, Definitions, named},
    errors::{self, FieldError},
    object::{Object, Out},
    resolve,
    values::{self, Arguments},
};
use crate::providers::github::sandbox::{limits::Quota, world::World};

/// A null that goes up to the nearest field that may be null; its error is recorded already.
pub(crate) struct Bubble;

/// One execution.
pub(crate) struct Execution<'a> {
    pub(crate) definitions: &'a Definitions,
    pub(crate) document: &'a ExecutableDocument,
    pub(crate) world: &'a World,
    pub(crate) quota: Quota,
    pub(crate) variables: Map<String, Value>,
    pub(crate) path: Vec<Value>,
    pub(crate) errors: Vec<Value>,
}

type Collected<'a> = Vec<(&'a str, Vec<&'a Positioned<Field>>)>;

impl<'a> Execution<'a> {
    /// The data of the root selection.
    pub(crate) fn run(&mut self, set: &'a SelectionSet) -> Value {
        self.object("Query", &Object::Query, &[set]).unwrap_or(Value::Null)
    }

    fn object(&mut self, type_name: &str, object: &Object, sets: &[&'a SelectionSet]) -> Result<Value, Bubble> {
        let mut collected = Collected::new();
        for set in sets {
            self.collect(type_name, set, &mut collected);
        }
        let mut result = Map::new();
        for (key, fields) in collected {
            let Some(field) = fields.first() else { continue };
            if field.node.name.node == "__typename" {
                result.insert(key.to_owned(), Value::from(type_name));
                continue;
            }
            self.path.push(Value::from(key));
            let value = self.field(type_name, object, &fields);
            self.path.pop();
            result.insert(key.to_owned(), value?);
        }
        Ok(Value::Object(result))
    }

    fn collect(&self, type_name: &str, set: &'a SelectionSet, into: &mut Collected<'a>) {
        for selection in &set.items {
            if self.is_skipped(selection.node.directives()) {
                continue;
            }
            let (condition, inner) = match &selection.node {
                Selection::Field(field) => {
                    let key = field.node.response_key().node.as_str();
                    match into.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, fields)) => fields.push(field),
                        None => into.push((key, vec![field])),
                    }
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    (fragment.node.type_condition.as_ref(), &fragment.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) else { continue };
                    (Some(&fragment.node.type_condition), &fragment.node.selection_set.node)
                }
            };
            if condition.is_none_or(|on| self.definitions.is_a(type_name, on.node.on.node.as_str())) {
                self.collect(type_name, inner, into);
            }
        }
    }

    fn is_skipped(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().any(|directive| {
            let value = values::argument!(directive.node, "if", self.variables);
            match directive.node.name.node.as_str() {
                "skip" => value == Some(Value::Bool(true)),
                "include" => value == Some(Value::Bool(false)),
                _ => false,
            }
        })
    }

    fn field(&mut self, parent: &str, object: &Object, fields: &[&'a Positioned<Field>]) -> Result<Value, Bubble> {
        let Some(field) = fields.first() else { return Ok(Value::Null) };
        let definitions = self.definitions;
        let name = field.node.name.node.as_str();
        let Some(definition) = definitions.field(parent, name) else { return Ok(Value::Null) };
        let mut arguments = Arguments::default();
        for argument in &definition.arguments {
            let value = values::argument!(field.node, &argument.name, self.variables);
            if let Some(value) = value.or_else(|| argument.default.clone()) {
                match values::coerce(definitions, &argument.ty, value) {
                    Ok(value) => {
                        arguments.0.insert(argument.name.clone(), value);
                    }
                    Err(message) => return self.failed(&definition.ty, &invalid(&argument.name, &message), field),
                }
            } else if argument.is_required() {
                return self.failed(&definition.ty, &invalid(&argument.name, "a value is required"), field);
            }
        }
        let out = resolve::field((self.world, &self.quota), parent, object, (name, &arguments));
        let out = match out {
            Out::Connection(nodes) => {
                let wanted = self.wants_nodes(named(&definition.ty), fields);
                match connection::page(self.world, (name, &arguments), nodes, wanted) {
                    Ok(page) => Out::Object(page),
                    Err(error) => Out::Error(error),
                }
            }
            out => out,
        };
        self.complete(&definition.ty, out, fields)
    }

    /// Whether the nodes of a connection are asked for (`totalCount` alone needs no `first`).
    fn wants_nodes(&self, type_name: &str, fields: &[&'a Positioned<Field>]) -> bool {
        let mut collected = Collected::new();
        for field in fields {
            self.collect(type_name, &field.node.selection_set.node, &mut collected);
        }
        collected.iter().any(|(_, fields)| {
            fields.first().is_some_and(|field| matches!(field.node.name.node.as_str(), "nodes" | "edges"))
        })
    }

    fn failed(&mut self, ty: &Type, error: &FieldError, field: &Positioned<Field>) -> Result<Value, Bubble> {
        self.errors.push(errors::execution(error, &self.path, field.pos));
        if ty.nullable { Ok(Value::Null) } else { Err(Bubble) }
    }

    fn complete(&mut self, ty: &Type, out: Out, fields: &[&'a Positioned<Field>]) -> Result<Value, Bubble> {
        let Some(field) = fields.first() else { return Ok(Value::Null) };
        let result = match out {
            Out::Error(error) => return self.failed(ty, &error, field),
            Out::Default => {
                let out = self.default(ty);
                return self.complete(ty, out, fields);
            }
            Out::List(items) => self.list(ty, items, fields),
            Out::Object(object) => {
                let declared = named(ty);
                let known = if self.definitions.is_object(declared) { declared } else { object.type_name(self.world) };
                let sets: Vec<_> = fields.iter().map(|field| &field.node.selection_set.node).collect();
                self.object(known, &object, &sets)
            }
            Out::Leaf(Value::Null) if !ty.nullable => {
                let out = self.default(ty);
                return self.complete(ty, out, fields);
            }
            Out::Leaf(value) => Ok(value),
            Out::Connection(_) => Ok(Value::Null),
        };
        match result {
            Err(Bubble) if ty.nullable => Ok(Value::Null),
            result => result,
        }
    }

    fn list(&mut self, ty: &Type, items: Vec<Out>, fields: &[&'a Positioned<Field>]) -> Result<Value, Bubble> {
        let BaseType::List(inner) = &ty.base else { return Ok(Value::Null) };
        let mut result = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.path.push(Value::from(index));
            let value = self.complete(inner, item, fields);
            self.path.pop();
            result.push(value?);
        }
        Ok(Value::Array(result))
    }

    /// The value of a field that the world does not know: nothing where that is allowed, else the emptiest value of its type.
    fn default(&self, ty: &Type) -> Out {
        if ty.nullable {
            return Out::Leaf(Value::Null);
        }
        let BaseType::Named(name) = &ty.base else { return Out::List(Vec::new()) };
        match (self.definitions.get(name.as_str()), name.as_str()) {
            (Some(Definition::Enum(values)), _) => Out::leaf(values.first()),
            (Some(Definition::Composite(_)), name) if name.ends_with("Connection") => Out::Object(connection::empty()),
            (Some(Definition::Composite(_)), name) => {
                Out::Object(Object::Unknown(self.definitions.some_object(name).unwrap_or(name).to_owned()))
            }
            (_, "Boolean") => Out::leaf(false),
            (_, "Int" | "Float") => Out::leaf(0),
            (_, "DateTime" | "PreciseDateTime" | "GitTimestamp") => Out::leaf("2020-01-01T00:00:00Z"),
            (_, "Date") => Out::leaf("2020-01-01"),
            (_, "URI") => Out::leaf("https://github.com"),
            (_, "BigInt") => Out::leaf("0"),
            _ => Out::leaf(""),
        }
    }
}

fn invalid(argument: &str, message: &str) -> FieldError {
    FieldError { kind: "INVALID_ARGUMENT", message: format!("Argument '{argument}' has an invalid value. {message}") }
}
