//! The highest cost that an operation can have, told from its document before anything is executed.
//!
//! Each field costs its weight (1, or what `@cost` says), and what is selected below a list costs as often as the list has items
//! (`@listSize`). Where fragments on several object types meet, the most expensive one counts: an item is of one type.
//! The schema is asked about each field, so aliases, fragments around `nodes`, and lists in variables' defaults hide nothing.

mod declare;
mod measure;

use std::collections::HashMap;

use async_graphql::{
    Value, Variables,
    parser::types::{ExecutableDocument, OperationDefinition, OperationType},
    registry::{MetaField, MetaType, MetaTypeName, Registry},
};

pub use self::declare::ListSize;
pub(crate) use self::declare::{
    Given, Items, Page, Slice, import_definitions, keep_to_the_specification, register, weight, with_import,
};
use self::{
    declare::{ASSUMED, COST, LIST_SIZE, SIZED, SLICING, WEIGHT},
    measure::Measurer,
};

/// The cost of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// At most.
    pub total: u64,
    /// Whether a variable's value decides on it.
    pub varies: bool,
}

/// The costs of the graph's fields.
pub struct Costs {
    types: HashMap<String, TypeCost>,
}

struct TypeCost {
    is_object: bool,
    fields: HashMap<String, FieldCost>,
}

/// A field, as the measure needs it.
struct FieldCost {
    weight: u64,
    /// The type of what is selected below it.
    of: String,
    length: Length,
}

enum Length {
    /// No list.
    One,
    /// A list that says its size.
    Own(Size),
    /// A connection, whose size counts below the fields that it sizes.
    Connection(Size),
    /// A list whose size is that of the connection around it.
    OfConnection,
}

struct Size {
    assumed: u64,
    slicing: Vec<String>,
}

impl Costs {
    /// The cost of an operation of a valid document with these variables; without them, with the most expensive ones there can be.
    pub fn measure(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: Option<&Variables>,
    ) -> Cost {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        Measurer::new(self, document, (operation, variables)).measure(root)
    }

    /// The costs of the fields of a graph.
    pub(crate) fn of(registry: &Registry) -> Self {
        let mut types: HashMap<String, TypeCost> = HashMap::new();
        let mut sized = Vec::new();
        for (name, ty) in &registry.types {
            let is_object = matches!(ty, MetaType::Object { .. });
            let fields = ty.fields().into_iter().flatten().map(|(name, field)| {
                let of = MetaTypeName::concrete_typename(&field.ty).to_owned();
                let (length, below) = length(field);
                sized.extend(below.into_iter().map(|below| (of.clone(), below)));
                (name.clone(), FieldCost { weight: weight_of(field), of, length })
            });
            types.insert(name.clone(), TypeCost { is_object, fields: fields.collect() });
        }
        for (connection, field) in sized {
            if let Some(field) = types.get_mut(&connection).and_then(|ty| ty.fields.get_mut(&field)) {
                field.length = Length::OfConnection;
            }
        }
        Self { types }
    }

    fn field(&self, parent: &str, name: &str) -> Option<&FieldCost> {
        self.types.get(parent)?.fields.get(name)
    }

    fn is_object(&self, name: &str) -> bool {
        self.types.get(name).is_some_and(|ty| ty.is_object)
    }
}

/// How long a field is, and the fields below it whose length that is.
fn length(field: &MetaField) -> (Length, Vec<String>) {
    let Some(declared) = field.directive_invocations.iter().find(|directive| directive.name == LIST_SIZE) else {
        return (Length::One, Vec::new());
    };
    let names = |argument: &str| match declared.args.get(argument) {
        Some(Value::List(names)) => names.iter().filter_map(text).collect(),
        _ => Vec::new(),
    };
    let assumed = match declared.args.get(ASSUMED) {
        Some(Value::Number(assumed)) => assumed.as_u64().unwrap_or(1),
        _ => 1,
    };
    let (size, sized) = (Size { assumed, slicing: names(SLICING) }, names(SIZED));
    (if sized.is_empty() { Length::Own(size) } else { Length::Connection(size) }, sized)
}

fn weight_of(field: &MetaField) -> u64 {
    let declared = field.directive_invocations.iter().find(|directive| directive.name == COST);
    let weight = declared.and_then(|directive| directive.args.get(WEIGHT)).and_then(text);
    weight.and_then(|weight| weight.parse().ok()).unwrap_or(1)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
