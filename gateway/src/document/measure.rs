//! Measures a parsed document: expanded fields, depth, cost. Each fragment is measured once, however often it is spread.

use std::collections::HashMap;

use async_graphql::{
    Positioned, Value, Variables,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};
use mullion_schema::error::ErrorCode;

use crate::{config::Limits, transport::error::RequestError};

/// How far a walk may go down, fragments included: far above any depth, far below the stack.
const MAX_LEVELS: usize = 128;
/// Lists of introspection that may nest in each other, as in graphql-js.
const MAX_INTROSPECTION_LISTS: u32 = 2;
/// What a page is taken for when nobody says how long it may be: the graph's own limit.
const LONGEST_PAGE: u64 = 100;
/// What `first` is where it is left out.
const DEFAULT_PAGE: u64 = 20;
/// How many items a plain list is taken to have.
const PLAIN_LIST: u64 = 10;
/// The cost of a description of the whole graph.
const WHOLE_GRAPH: u64 = 5_000;

/// What a part of a document comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Measure {
    fields: u64,
    depth: u32,
    cost: u64,
    /// Levels of lists, if this is introspection.
    lists: u32,
    /// Levels of sets, fragments included.
    levels: usize,
}

impl Measure {
    fn beside(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            cost: self.cost.saturating_add(other.cost),
            lists: self.lists.max(other.lists),
            levels: self.levels.max(other.levels),
        }
    }
}

/// The values of variables, as far as multipliers need them.
pub(super) struct Multipliers<'a> {
    values: Option<(&'a OperationDefinition, &'a Variables)>,
}

impl<'a> Multipliers<'a> {
    /// Every variable counts as one: what a document costs at least.
    pub(super) fn least() -> Self {
        Self { values: None }
    }

    /// The request's own.
    pub(super) fn of(operation: &'a OperationDefinition, variables: &'a Variables) -> Self {
        Self { values: Some((operation, variables)) }
    }

    fn variable(&self, name: &str) -> u64 {
        let Some((operation, variables)) = self.values else { return 1 };
        let given = variables.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value);
        let default = || {
            let definition = operation.variable_definitions.iter().find(|each| each.node.name.node == name)?;
            definition.node.default_value.as_ref().map(|value| &value.node)
        };
        match given.or_else(default) {
            Some(Value::Number(number)) => number.as_u64().unwrap_or(1),
            _ => LONGEST_PAGE,
        }
    }
}

impl Multipliers<'_> {
    /// How many items a variable holds that is a list.
    fn length(&self, name: &str) -> u64 {
        match self.values.and_then(|(_, variables)| variables.get(name)) {
            Some(Value::List(items)) => u64::try_from(items.len()).unwrap_or(u64::MAX).max(1),
            _ => 1,
        }
    }
}

/// Walks one document.
pub(super) struct Measurer<'a> {
    document: &'a ExecutableDocument,
    limits: &'a Limits,
    multipliers: Multipliers<'a>,
    /// `None` while a fragment is being measured: to meet it again is a cycle.
    fragments: HashMap<&'a str, Option<Measure>>,
    saw_variable: bool,
}

impl<'a> Measurer<'a> {
    pub(super) fn new(document: &'a ExecutableDocument, limits: &'a Limits, multipliers: Multipliers<'a>) -> Self {
        Self { document, limits, multipliers, fragments: HashMap::new(), saw_variable: false }
    }

    /// Whether a multiplier was a variable.
    pub(super) fn saw_variable(&self) -> bool {
        self.saw_variable
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
        if measure.cost > self.limits.max_cost {
            return Err(too_complex(format!(
                "the operation's cost is {} (fields times `first` of the lists around them); at most {} is allowed",
                measure.cost, self.limits.max_cost
            )));
        }
        Ok(())
    }

    /// Checks the fragments that no operation uses: the executor's validation walks them too.
    pub(super) fn check_fragments(&mut self) -> Result<(), RequestError> {
        let document = self.document;
        for name in document.fragments.keys() {
            self.fragment(name.as_str(), 0)?;
        }
        Ok(())
    }

    fn set(&mut self, set: &'a Positioned<SelectionSet>, level: usize) -> Result<Measure, RequestError> {
        if level > MAX_LEVELS {
            return Err(nested_too_deeply());
        }
        let mut sum = Measure::default();
        for selection in &set.node.items {
            let part = match &selection.node {
                Selection::Field(field) => self.field(&field.node, level)?,
                Selection::InlineFragment(fragment) => self.set(&fragment.node.selection_set, level + 1)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, level + 1)?,
            };
            sum = sum.beside(part);
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
        if matches!(name, "__schema" | "__type") {
            if inner.lists > MAX_INTROSPECTION_LISTS {
                return Err(too_complex("the introspection nests too many lists".to_owned()));
            }
            return Ok(Measure { fields, depth: 1, cost: WHOLE_GRAPH, lists: 0, levels: inner.levels });
        }
        if name == "_service" {
            return Ok(Measure { fields, depth: inner.depth + 1, cost: WHOLE_GRAPH, lists: 0, levels: inner.levels });
        }
        let is_list = matches!(name, "fields" | "inputFields" | "interfaces" | "possibleTypes");
        let cost = inner.cost.saturating_mul(self.page(field)).saturating_add(1);
        let lists = inner.lists + u32::from(is_list);
        Ok(Measure { fields, depth: inner.depth + 1, cost, lists, levels: inner.levels })
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

    /// How many times the fields below may be there. More than a page is refused later, with an error that names the argument.
    fn page(&mut self, field: &Field) -> u64 {
        if let Some(listed) = field.get_argument("ids").or_else(|| field.get_argument("representations")) {
            let Self { multipliers, saw_variable, .. } = self;
            let listed = listed.node.clone().into_const_with(|name| {
                *saw_variable = true;
                Ok::<_, std::convert::Infallible>(Value::from(multipliers.length(&name)))
            });
            return match listed {
                Ok(Value::List(items)) => u64::try_from(items.len()).unwrap_or(u64::MAX).max(1),
                Ok(Value::Number(length)) => length.as_u64().unwrap_or(1),
                _ => 1,
            };
        }
        let Some(value) = field.get_argument("first").or_else(|| field.get_argument("last")) else {
            return usual_length(field);
        };
        let Self { multipliers, saw_variable, .. } = self;
        let value = value.node.clone().into_const_with(|name| {
            *saw_variable = true;
            Ok::<_, std::convert::Infallible>(Value::from(multipliers.variable(&name)))
        });
        match value {
            Ok(Value::Number(number)) => number.as_u64().unwrap_or(1).clamp(1, LONGEST_PAGE),
            _ => 1,
        }
    }
}

/// How long a list usually is where the document does not say: a connection has its default page, a dashboard some widgets.
fn usual_length(field: &Field) -> u64 {
    const PLAIN_LISTS: [&str; 3] = ["widgets", "integrations", "sections"];
    let is_connection = field.selection_set.node.items.iter().any(|selection| match &selection.node {
        Selection::Field(inner) => matches!(inner.node.name.node.as_str(), "nodes" | "edges"),
        _ => false,
    });
    match field.name.node.as_str() {
        _ if is_connection => DEFAULT_PAGE,
        name if PLAIN_LISTS.contains(&name) => PLAIN_LIST,
        _ => 1,
    }
}

fn too_complex(message: String) -> RequestError {
    RequestError::new(ErrorCode::OperationTooComplex, message)
}

fn nested_too_deeply() -> RequestError {
    too_complex(format!("the document nests more than {MAX_LEVELS} levels, fragments included"))
}
