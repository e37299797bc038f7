//! One walk over an operation. Each fragment is measured once, however often it is spread, so that the time is linear in the text.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    rc::Rc,
};

use async_graphql::{
    Name, Positioned, Value, Variables,
    parser::types::{Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};

use super::{Cost, Costs, Length, Size};

/// The longest page. A number over it is refused when the field runs, with an error that names the argument.
const LONGEST_PAGE: u64 = 100;
/// The cost of a description of the whole graph: far more than the few fields that ask for it.
const WHOLE_GRAPH: u64 = 5_000;
const OF_THE_WHOLE_GRAPH: [&str; 3] = ["__schema", "__type", "_service"];

/// The cost of a selection.
#[derive(Debug, Clone, Default)]
struct Sum<'a> {
    /// Each time it is answered.
    once: u64,
    /// For each item of the connection that it is selected of.
    each: u64,
    /// On items of one object type only.
    by_type: BTreeMap<&'a str, u64>,
}

impl<'a> Sum<'a> {
    fn add(&mut self, other: &Self) {
        self.once = self.once.saturating_add(other.once);
        self.each = self.each.saturating_add(other.each);
        for (name, cost) in &other.by_type {
            self.add_of_type(name, *cost);
        }
    }

    fn add_of_type(&mut self, name: &'a str, cost: u64) {
        let known = self.by_type.entry(name).or_default();
        *known = known.saturating_add(cost);
    }

    /// In all, where the connection has so many items.
    fn total(&self, items: u64) -> u64 {
        let of_one_type = self.by_type.values().copied().max().unwrap_or_default();
        self.once.saturating_add(self.each.saturating_mul(items)).saturating_add(of_one_type)
    }
}

pub(super) struct Measurer<'a> {
    costs: &'a Costs,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    /// `None`: each is the most expensive one.
    variables: Option<&'a Variables>,
    fragments: HashMap<&'a str, Rc<Sum<'a>>>,
    varies: bool,
}

impl<'a> Measurer<'a> {
    pub(super) fn new(
        costs: &'a Costs,
        document: &'a ExecutableDocument,
        (operation, variables): (&'a OperationDefinition, Option<&'a Variables>),
    ) -> Self {
        Self { costs, document, operation, variables, fragments: HashMap::new(), varies: false }
    }

    pub(super) fn measure(mut self, root: &'a str) -> Cost {
        let total = self.set(root, &self.operation.selection_set.node).total(1);
        Cost { total, varies: self.varies }
    }

    fn set(&mut self, parent: &'a str, set: &'a SelectionSet) -> Sum<'a> {
        let mut sum = Sum::default();
        for selection in &set.items {
            match &selection.node {
                Selection::Field(Positioned { node: field, .. }) => {
                    if self.is_taken(&field.directives) {
                        self.field(parent, field, &mut sum);
                    }
                }
                Selection::InlineFragment(Positioned { node: fragment, .. }) => {
                    if self.is_taken(&fragment.directives) {
                        let condition = fragment.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                        let part = self.set(condition.unwrap_or(parent), &fragment.selection_set.node);
                        self.add((parent, condition.unwrap_or(parent)), &part, &mut sum);
                    }
                }
                Selection::FragmentSpread(Positioned { node: spread, .. }) => {
                    if self.is_taken(&spread.directives)
                        && let Some((condition, part)) = self.fragment(spread.fragment_name.node.as_str())
                    {
                        self.add((parent, condition), &part, &mut sum);
                    }
                }
            }
        }
        sum
    }

    /// Adds a fragment. One on another object type than others is an alternative to them.
    fn add(&self, (parent, condition): (&'a str, &'a str), part: &Sum<'a>, sum: &mut Sum<'a>) {
        if condition != parent && self.costs.is_object(condition) {
            sum.add_of_type(condition, part.total(LONGEST_PAGE));
        } else {
            sum.add(part);
        }
    }

    fn fragment(&mut self, name: &'a str) -> Option<(&'a str, Rc<Sum<'a>>)> {
        let fragment = &self.document.fragments.get(name)?.node;
        let condition = fragment.type_condition.node.on.node.as_str();
        if let Some(known) = self.fragments.get(name) {
            return Some((condition, Rc::clone(known)));
        }
        // Validation refuses a fragment that spreads itself; here it would end at this entry.
        self.fragments.insert(name, Rc::default());
        let sum = Rc::new(self.set(condition, &fragment.selection_set.node));
        self.fragments.insert(name, Rc::clone(&sum));
        Some((condition, sum))
    }

    fn field(&mut self, parent: &'a str, field: &'a Field, sum: &mut Sum<'a>) {
        let name = field.name.node.as_str();
        if OF_THE_WHOLE_GRAPH.contains(&name) {
            sum.once = sum.once.saturating_add(WHOLE_GRAPH);
            return;
        }
        let costs = self.costs;
        let Some(meta) = costs.field(parent, name) else {
            sum.once = sum.once.saturating_add(1);
            return;
        };
        let below = self.set(&meta.of, &field.selection_set.node);
        let cost = match &meta.length {
            Length::One => below.total(LONGEST_PAGE),
            Length::Own(size) => self.items(size, field).saturating_mul(below.total(LONGEST_PAGE).max(1)),
            Length::Connection(size) => below.total(self.items(size, field)),
            Length::OfConnection => {
                sum.each = sum.each.saturating_add(below.total(LONGEST_PAGE));
                0
            }
        };
        sum.once = sum.once.saturating_add(cost).saturating_add(meta.weight);
    }

    /// How many items a list has.
    fn items(&mut self, size: &Size, field: &'a Field) -> u64 {
        let longest = size.assumed.max(LONGEST_PAGE);
        let mut items = None;
        for argument in size.slicing.iter().filter_map(|name| field.get_argument(name)) {
            let asked = match self.value(|variable| argument.node.clone().into_const_with(variable)) {
                Given::Literal(value) => count(&value, longest),
                Given::Variable(Some(value)) => count(value, longest),
                Given::Variable(None) => Some(longest),
            };
            items = items.max(asked);
        }
        items.unwrap_or(size.assumed)
    }

    /// The value of an argument; `convert` makes it a literal.
    fn value(
        &mut self,
        convert: impl FnOnce(&mut dyn FnMut(Name) -> Result<Value, Infallible>) -> Result<Value, Infallible>,
    ) -> Given<'a> {
        let mut variable = None;
        let Ok(literal) = convert(&mut |name| {
            variable = Some(name);
            Ok(Value::Null)
        });
        // A list of variables is as long as it is written.
        match variable {
            Some(name) if literal == Value::Null => {
                self.varies = true;
                Given::Variable(self.variables.and_then(|variables| self.variable(variables, &name)))
            }
            _ => Given::Literal(literal),
        }
    }

    /// The value of a variable: the request's, else its default.
    fn variable(&self, variables: &'a Variables, name: &str) -> Option<&'a Value> {
        let default = || {
            let definition = self.operation.variable_definitions.iter().find(|each| each.node.name.node == name)?;
            definition.node.default_value.as_ref().map(|value| &value.node)
        };
        variables.get(name).or_else(default)
    }

    /// Whether `@skip` and `@include` let it be.
    fn is_taken(&mut self, directives: &'a [Positioned<Directive>]) -> bool {
        directives.iter().all(|directive| {
            let skips = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return true,
            };
            let Some(condition) = directive.node.get_argument("if") else { return true };
            let holds = match self.value(|variable| condition.node.clone().into_const_with(variable)) {
                Given::Literal(Value::Boolean(holds)) | Given::Variable(Some(&Value::Boolean(holds))) => Some(holds),
                _ => None,
            };
            holds.is_none_or(|holds| holds != skips)
        })
    }
}

/// Where an argument's value comes from.
enum Given<'a> {
    Literal(Value),
    /// `None`: not given, or not known yet.
    Variable(Option<&'a Value>),
}

fn count(value: &Value, longest: u64) -> Option<u64> {
    match value {
        Value::List(items) => Some(length(items)),
        Value::Null => None,
        Value::Number(number) => Some(number.as_u64().unwrap_or(1).clamp(1, longest)),
        _ => Some(1),
    }
}

fn length<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX).max(1)
}
