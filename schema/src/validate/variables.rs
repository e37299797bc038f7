//! A variable may stand where its type fits: <https://spec.graphql.org/September2025/#sec-All-Variable-Usages-Are-Allowed>.
//!
//! The library has this rule, but it does not look at the arguments of all fields and of no directive, refuses a list that is
//! never null where it may be, and takes the default `null` for a value.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
};

use async_graphql::{
    Name, Pos, Positioned, ServerError, Value,
    indexmap::IndexMap,
    parser::types::{Directive, ExecutableDocument, OperationType, Selection, SelectionSet, VariableDefinition},
    registry::{MetaInputValue, MetaType, MetaTypeName, Registry},
};

use super::invalid;

/// How many errors are told.
const MAX_ERRORS: usize = 10;

/// The errors of all operations of a document that is valid otherwise.
pub(super) fn check(registry: &Registry, document: &ExecutableDocument) -> Vec<ServerError> {
    let mut errors = Vec::new();
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        if operation.variable_definitions.is_empty() || errors.len() >= MAX_ERRORS {
            continue;
        }
        let root = match operation.ty {
            OperationType::Query => Some(&registry.query_type),
            OperationType::Mutation => registry.mutation_type.as_ref(),
            OperationType::Subscription => registry.subscription_type.as_ref(),
        };
        let definitions =
            operation.variable_definitions.iter().map(|definition| (definition.node.name.node.as_str(), definition));
        let mut usages =
            Usages { registry, document, definitions: definitions.collect(), seen: HashSet::new(), errors };
        usages.directives(&operation.directives);
        usages.set(root.map_or("", String::as_str), &operation.selection_set.node);
        errors = usages.errors;
    }
    errors.truncate(MAX_ERRORS);
    errors
}

struct Usages<'a> {
    registry: &'a Registry,
    document: &'a ExecutableDocument,
    definitions: HashMap<&'a str, &'a Positioned<VariableDefinition>>,
    seen: HashSet<&'a str>,
    errors: Vec<ServerError>,
}

/// The location of a value, in the words of the specification.
#[derive(Clone, Copy)]
struct Location<'a> {
    name: &'a str,
    pos: Pos,
    ty: &'a str,
    has_default: bool,
}

impl<'a> Usages<'a> {
    fn set(&mut self, parent: &'a str, set: &'a SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(Positioned { node: field, .. }) => {
                    self.directives(&field.directives);
                    let meta = self.registry.types.get(parent).and_then(|ty| ty.field_by_name(&field.name.node));
                    let Some(meta) = meta else { continue };
                    for (name, value) in &field.arguments {
                        let Ok(literal) = value.node.clone().into_const_with(variable);
                        self.argument(&meta.args, &name.node, (value.pos, &literal));
                    }
                    self.set(MetaTypeName::concrete_typename(&meta.ty), &field.selection_set.node);
                }
                Selection::InlineFragment(Positioned { node: fragment, .. }) => {
                    self.directives(&fragment.directives);
                    let on = fragment.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    self.set(on.unwrap_or(parent), &fragment.selection_set.node);
                }
                Selection::FragmentSpread(Positioned { node: spread, .. }) => {
                    self.directives(&spread.directives);
                    let name = spread.fragment_name.node.as_str();
                    if let Some(fragment) = self.document.fragments.get(name)
                        && self.seen.insert(name)
                    {
                        self.directives(&fragment.node.directives);
                        self.set(&fragment.node.type_condition.node.on.node, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) {
        for directive in directives {
            if let Some(meta) = self.registry.directives.get(directive.node.name.node.as_str()) {
                for (name, value) in &directive.node.arguments {
                    let Ok(literal) = value.node.clone().into_const_with(variable);
                    self.argument(&meta.args, &name.node, (value.pos, &literal));
                }
            }
        }
    }

    fn argument(&mut self, known: &IndexMap<String, MetaInputValue>, name: &str, (pos, value): (Pos, &Value)) {
        if let Some(meta) = known.get(name) {
            self.value(location(meta, pos), value);
        }
    }

    fn value(&mut self, location: Location<'_>, value: &Value) {
        match (value, nullable(location.ty)) {
            (Value::Binary(name), _) => self.usage(&String::from_utf8_lossy(name), location),
            (Value::List(items), MetaTypeName::List(ty)) => {
                for item in items {
                    self.value(Location { ty, has_default: false, ..location }, item);
                }
            }
            // One value stands for a list of it, too.
            (Value::Object(_), MetaTypeName::List(ty)) => self.value(Location { ty, ..location }, value),
            (Value::Object(fields), MetaTypeName::Named(ty)) => {
                let registry = self.registry;
                let Some(MetaType::InputObject { input_fields, .. }) = registry.types.get(ty) else { return };
                for (name, value) in fields {
                    self.argument(input_fields, name, (location.pos, value));
                }
            }
            _ => {}
        }
    }

    fn usage(&mut self, name: &str, location: Location<'_>) {
        // An undefined variable is told by another rule.
        let Some(definition) = self.definitions.get(name) else { return };
        let ty = definition.node.var_type.node.to_string();
        let default = definition.node.default_value.as_ref().map(|default| &default.node);
        let has_value = location.has_default || default.is_some_and(|default| *default != Value::Null);
        let expected = match MetaTypeName::create(location.ty) {
            MetaTypeName::NonNull(inner) if has_value && definition.node.var_type.node.nullable => inner,
            _ => location.ty,
        };
        if !fits(&ty, expected) && self.errors.len() < MAX_ERRORS {
            let message =
                format!("the variable ${name} is of the type {ty}, but {:?} takes {}", location.name, location.ty);
            self.errors.push(invalid(message, vec![definition.pos, location.pos]));
        }
    }
}

/// Stands for a variable within a literal; no document can write it.
#[expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "the library asks for this signature")]
fn variable(name: Name) -> Result<Value, Infallible> {
    Ok(Value::Binary(name.as_bytes().to_vec().into()))
}

fn location(meta: &MetaInputValue, pos: Pos) -> Location<'_> {
    Location { name: &meta.name, pos, ty: &meta.ty, has_default: meta.default_value.is_some() }
}

fn nullable(ty: &str) -> MetaTypeName<'_> {
    match MetaTypeName::create(ty) {
        MetaTypeName::NonNull(inner) => MetaTypeName::create(inner),
        ty => ty,
    }
}

/// Whether each value of a type is one of the other.
fn fits(ty: &str, expected: &str) -> bool {
    match (MetaTypeName::create(ty), MetaTypeName::create(expected)) {
        (MetaTypeName::NonNull(ty), MetaTypeName::NonNull(expected))
        | (MetaTypeName::List(ty), MetaTypeName::List(expected)) => fits(ty, expected),
        (MetaTypeName::NonNull(ty), _) => fits(ty, expected),
        (MetaTypeName::Named(ty), MetaTypeName::Named(expected)) => ty == expected,
        _ => false,
    }
}
