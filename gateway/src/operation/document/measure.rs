//! Measures a parsed document before it is validated: expanded fields and depth of each operation, and what validation will have to
//! walk. Each fragment is measured once, however often it is spread.

use std::{collections::HashMap, convert::Infallible};

use async_graphql::{
    Name, Positioned, Value,
    parser::types::{Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};
use mullion_schema::error::ErrorCode;

use crate::{config::Limits, operation::errors::RequestError};

/// How far a walk may go down, fragments included: far above any depth, far below the stack.
const MAX_LEVELS: usize = 128;
/// Lists of introspection that may nest in each other, as in graphql-js.
const MAX_INTROSPECTION_LISTS: u32 = 2;
/// Validation walks each operation and each fragment with all that it spreads: together they may come to so many times what one
/// operation may have of fields.
const WALKS: u64 = 8;

/// The size of a part of a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Measure {
    fields: u64,
    depth: u32,
    /// Levels of lists, if this is introspection.
    lists: u32,
    /// Levels of sets, fragments included.
    levels: usize,
    /// Selections of any kind, with the values and directives at them: the steps of a walk over it.
    steps: u64,
}

impl Measure {
    fn beside(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            lists: self.lists.max(other.lists),
            levels: self.levels.max(other.levels),
            steps: self.steps.saturating_add(other.steps),
        }
    }
}

/// Walks one document.
pub(super) struct Measurer<'a> {
    document: &'a ExecutableDocument,
    limits: &'a Limits,
    /// `None` while a fragment is being measured: to meet it again is a cycle.
    fragments: HashMap<&'a str, Option<Measure>>,
    /// The sum of all operations and fragments that were checked.
    steps: u64,
}

impl<'a> Measurer<'a> {
    pub(super) fn new(document: &'a ExecutableDocument, limits: &'a Limits) -> Self {
        Self { document, limits, fragments: HashMap::new(), steps: 0 }
    }

    /// Checks one operation.
    pub(super) fn check(&mut self, operation: &'a OperationDefinition) -> Result<(), RequestError> {
        let measure = self.set(&operation.selection_set, 0)?;
        if u64::from(measure.depth) > self.limits.max_depth {
            return Err(too_complex(format!(
                "the operation is {} levels deep; at most {} are allowed",
                measure.depth, self.limits.max_depth
            )));
        }
        self.walk(measure)
    }

    /// Adds the steps of one walk.
    fn walk(&mut self, measure: Measure) -> Result<(), RequestError> {
        let most = self.limits.max_fields.saturating_mul(WALKS);
        self.steps = self.steps.saturating_add(measure.steps);
        if self.steps > most {
            return Err(too_complex(format!(
                "the operations and fragments of the document have more than {most} fields and values in all, fragments expanded: \
                 send fewer operations in one document"
            )));
        }
        Ok(())
    }

    /// Checks the fragments that no operation uses: the executor's validation walks them too.
    pub(super) fn check_fragments(&mut self) -> Result<(), RequestError> {
        let document = self.document;
        for name in document.fragments.keys() {
            let measure = self.fragment(name.as_str(), 0)?;
            self.walk(measure)?;
        }
        Ok(())
    }

    fn set(&mut self, set: &'a Positioned<SelectionSet>, level: usize) -> Result<Measure, RequestError> {
        if level > MAX_LEVELS {
            return Err(nested_too_deeply());
        }
        let mut sum = Measure::default();
        for selection in &set.node.items {
            let (part, directives) = match &selection.node {
                Selection::Field(field) => (self.field(&field.node, level)?, &field.node.directives),
                Selection::InlineFragment(fragment) => {
                    (self.set(&fragment.node.selection_set, level + 1)?, &fragment.node.directives)
                }
                Selection::FragmentSpread(spread) => {
                    (self.fragment(&spread.node.fragment_name.node, level + 1)?, &spread.node.directives)
                }
            };
            sum = sum.beside(part);
            sum.steps = sum.steps.saturating_add(1).saturating_add(steps_of(directives));
            if sum.fields > self.limits.max_fields {
                let limit = self.limits.max_fields;
                return Err(too_complex(format!("the operation has more than {limit} fields, fragments expanded")));
            }
        }
        sum.levels += 1;
        if sum.levels > MAX_LEVELS {
            return Err(nested_too_deeply());
        }
        Ok(sum)
    }

    fn field(&mut self, field: &'a Field, level: usize) -> Result<Measure, RequestError> {
        let inner = self.set(&field.selection_set, level + 1)?;
        let name = field.name.node.as_str();
        let fields = inner.fields.saturating_add(1);
        let arguments =
            field.arguments.iter().map(|(_, value)| values_in(value.node.clone().into_const_with(no_value)));
        let steps = arguments.fold(inner.steps, u64::saturating_add);
        if matches!(name, "__schema" | "__type") {
            if inner.lists > MAX_INTROSPECTION_LISTS {
                return Err(too_complex("the introspection nests too many lists".to_owned()));
            }
            return Ok(Measure { fields, depth: 1, lists: 0, levels: inner.levels, steps });
        }
        let is_list = matches!(name, "fields" | "inputFields" | "interfaces" | "possibleTypes");
        let lists = inner.lists + u32::from(is_list);
        Ok(Measure { fields, depth: inner.depth + 1, lists, levels: inner.levels, steps })
    }

    fn fragment(&mut self, name: &'a str, level: usize) -> Result<Measure, RequestError> {
        match self.fragments.get(name) {
            Some(Some(measure)) => return Ok(*measure),
            Some(None) => {
                let message = format!("the fragment {name:?} spreads itself");
                return Err(RequestError::new(ErrorCode::GraphqlValidationFailed, message));
            }
            None => {}
        }
        // An unknown fragment counts as a field; validation names it.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Measure { fields: 1, ..Measure::default() });
        };
        self.fragments.insert(name, None);
        let measure = self.set(&fragment.node.selection_set, level + 1)?;
        self.fragments.insert(name, Some(measure));
        Ok(measure)
    }
}

fn steps_of(directives: &[Positioned<Directive>]) -> u64 {
    let of_one = |directive: &Positioned<Directive>| {
        let arguments = directive.node.arguments.iter();
        arguments
            .fold(1, |sum: u64, (_, value)| sum.saturating_add(values_in(value.node.clone().into_const_with(no_value))))
    };
    directives.iter().map(of_one).fold(0, u64::saturating_add)
}

/// A value and all values in it.
fn values_in(value: Result<Value, Infallible>) -> u64 {
    fn count(value: &Value) -> u64 {
        match value {
            Value::List(items) => items.iter().map(count).fold(1, u64::saturating_add),
            Value::Object(fields) => fields.values().map(count).fold(1, u64::saturating_add),
            _ => 1,
        }
    }
    let Ok(value) = value;
    count(&value)
}

/// Stands for a variable: it counts as one value.
#[expect(clippy::unnecessary_wraps, reason = "the library asks for this signature")]
fn no_value(_: Name) -> Result<Value, Infallible> {
    Ok(Value::Null)
}

pub(super) fn too_complex(message: String) -> RequestError {
    RequestError::new(ErrorCode::OperationTooComplex, message)
}

fn nested_too_deeply() -> RequestError {
    too_complex(format!("the document nests more than {MAX_LEVELS} levels, fragments included"))
}
