//! Fields that share a response name must be able to be one field of the answer, on every level:
//! <https://spec.graphql.org/September2025/#sec-Field-Selection-Merging>. Otherwise one of two values would be dropped silently.
//!
//! The specification compares all pairs, and so grows with the square of the fields. Both of its questions are equivalences, so
//! that it is enough to compare each field with the first of its group, and to go down once with the selections of the whole
//! group: first for the shapes, over all fields; then for names and arguments, over the fields that may belong to one object.
//! Selections below an interface are in the groups of each of its objects; what was compared once is remembered, and the work
//! is limited.

use std::collections::HashSet;

use async_graphql::{
    Pos, Positioned, ServerError,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, Field, OperationType, Selection, SelectionSet},
    registry::{MetaField, MetaType, MetaTypeName, Registry},
};

use super::invalid;
use crate::error::{ErrorCode, PortError};

/// How many fields are looked at, those of groups that share them each time: an operation has at most 10,000 fields, and what
/// clients write needs a few times that.
const MAX_STEPS: usize = 400_000;
/// How many conflicts are told.
const MAX_ERRORS: usize = 10;

/// The conflicts of a document that is valid otherwise.
pub(super) fn check(registry: &Registry, document: &ExecutableDocument) -> Vec<ServerError> {
    let mut rule =
        Rule { registry, document, steps: MAX_STEPS, merged: HashSet::new(), told: HashSet::new(), errors: Vec::new() };
    for (_, operation) in document.operations.iter() {
        let root = match operation.node.ty {
            OperationType::Query => Some(&registry.query_type),
            OperationType::Mutation => registry.mutation_type.as_ref(),
            OperationType::Subscription => registry.subscription_type.as_ref(),
        };
        let Some(root) = root else { continue };
        let fields = rule.collect([(root.as_str(), &operation.node.selection_set.node)]);
        rule.have_one_shape(&fields);
        rule.are_one_field(&fields);
    }
    if rule.steps == 0 {
        let message = "the document selects the same fields in too many ways: use fewer fragments on different types";
        rule.errors = vec![PortError::new(ErrorCode::OperationTooComplex, message).without_location()];
    }
    rule.errors
}

/// A field, where it is selected.
#[derive(Clone, Copy)]
struct Selected<'a> {
    /// The type that the selection is on; it is not always the field's own object.
    parent: &'a str,
    pos: Pos,
    field: &'a Field,
    /// The type of the field's value.
    ty: &'a str,
}

struct Rule<'a> {
    registry: &'a Registry,
    document: &'a ExecutableDocument,
    steps: usize,
    /// Selections that were merged and compared already, by where they are in memory.
    merged: HashSet<Vec<usize>>,
    /// Both passes meet the same field: it is told once.
    told: HashSet<(usize, usize)>,
    errors: Vec<ServerError>,
}

impl<'a> Rule<'a> {
    fn is_over(&self) -> bool {
        self.steps == 0 || self.errors.len() >= MAX_ERRORS
    }

    /// The fields of selections, each with its type, fragments expanded.
    fn collect(&mut self, sets: impl IntoIterator<Item = (&'a str, &'a SelectionSet)>) -> Vec<Selected<'a>> {
        let (mut fields, mut seen) = (Vec::new(), HashSet::new());
        for (parent, set) in sets {
            self.collect_into(parent, set, &mut seen, &mut fields);
        }
        fields
    }

    fn collect_into(
        &mut self,
        parent: &'a str,
        set: &'a SelectionSet,
        seen: &mut HashSet<&'a str>,
        fields: &mut Vec<Selected<'a>>,
    ) {
        for selection in &set.items {
            if self.is_over() {
                return;
            }
            match &selection.node {
                Selection::Field(Positioned { pos, node: field }) => {
                    self.steps -= 1;
                    if let Some(ty) = self.type_of(parent, &field.name.node) {
                        fields.push(Selected { parent, pos: *pos, field, ty });
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    self.collect_into(on.unwrap_or(parent), &fragment.node.selection_set.node, seen, fields);
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    let Some(fragment) = self.document.fragments.get(name).filter(|_| seen.insert(name)) else {
                        continue;
                    };
                    let on = fragment.node.type_condition.node.on.node.as_str();
                    self.collect_into(on, &fragment.node.selection_set.node, seen, fields);
                }
            }
        }
    }

    fn type_of(&self, parent: &str, field: &str) -> Option<&'a str> {
        if field == "__typename" {
            return Some("String!");
        }
        let meta: &MetaField = self.registry.types.get(parent)?.field_by_name(field)?;
        Some(&meta.ty)
    }

    /// Whatever objects they turn out to be of: what stands under one name in the answer has one shape.
    fn have_one_shape(&mut self, fields: &[Selected<'a>]) {
        for group in by_response_name(fields).into_values() {
            let Some((first, others)) = group.split_first() else { continue };
            if let Some(other) = others.iter().find(|other| !self.is_same_shape(first.ty, other.ty)) {
                let problem = format!("they are of the types {} and {}", first.ty, other.ty);
                self.conflict(first, other, &problem);
                continue;
            }
            let below = self.collect(group.iter().map(below));
            if !below.is_empty() && !self.is_over() {
                self.have_one_shape(&below);
            }
        }
    }

    /// Fields of the same object under one name must be the same field with the same arguments.
    fn are_one_field(&mut self, fields: &[Selected<'a>]) {
        for group in by_response_name(fields).into_values() {
            for group in self.by_object(&group) {
                let Some((first, others)) = group.split_first() else { continue };
                if let Some((other, problem)) = others.iter().find_map(|other| Some((other, difference(first, other)?)))
                {
                    self.conflict(first, other, &problem);
                    continue;
                }
                let below: Vec<_> = group.iter().map(below).filter(|(_, set)| !set.items.is_empty()).collect();
                let key = below.iter().map(|(_, set)| std::ptr::from_ref(*set).addr()).collect();
                if below.is_empty() || self.is_over() || !self.merged.insert(key) {
                    continue;
                }
                let below = self.collect(below);
                self.are_one_field(&below);
            }
        }
    }

    /// The fields that may be of one object: those of each object type, with all that are selected on interfaces and unions,
    /// which the object may come to belong to.
    fn by_object(&self, fields: &[Selected<'a>]) -> Vec<Vec<Selected<'a>>> {
        let mut of_objects: IndexMap<&str, Vec<Selected<'a>>> = IndexMap::new();
        let mut of_all = Vec::new();
        for field in fields {
            match self.registry.types.get(field.parent) {
                Some(MetaType::Object { .. }) => of_objects.entry(field.parent).or_default().push(*field),
                _ => of_all.push(*field),
            }
        }
        if of_objects.is_empty() {
            return vec![of_all];
        }
        let mut groups: Vec<_> = of_objects.into_values().collect();
        for group in &mut groups {
            group.extend(&of_all);
        }
        groups
    }

    fn is_same_shape(&self, one: &str, other: &str) -> bool {
        match (MetaTypeName::create(one), MetaTypeName::create(other)) {
            (MetaTypeName::NonNull(one), MetaTypeName::NonNull(other))
            | (MetaTypeName::List(one), MetaTypeName::List(other)) => self.is_same_shape(one, other),
            (MetaTypeName::Named(one), MetaTypeName::Named(other)) => {
                let is_composite = |name| self.registry.types.get(name).is_some_and(MetaType::is_composite);
                one == other || is_composite(one) && is_composite(other)
            }
            _ => false,
        }
    }

    fn conflict(&mut self, first: &Selected<'_>, other: &Selected<'_>, problem: &str) {
        let at = |selected: &Selected<'_>| std::ptr::from_ref(selected.field).addr();
        if self.told.insert((at(first), at(other))) {
            let name = first.field.response_key().node.as_str();
            let message = format!(
                "two fields cannot both be {name:?} in the answer, since {problem}: give one of them another alias"
            );
            self.errors.push(invalid(message, vec![first.pos, other.pos]));
        }
    }
}

fn by_response_name<'a>(fields: &[Selected<'a>]) -> IndexMap<&'a str, Vec<Selected<'a>>> {
    let mut groups: IndexMap<&str, Vec<Selected<'a>>> = IndexMap::new();
    for field in fields {
        groups.entry(field.field.response_key().node.as_str()).or_default().push(*field);
    }
    groups
}

fn below<'a>(selected: &Selected<'a>) -> (&'a str, &'a SelectionSet) {
    (MetaTypeName::concrete_typename(selected.ty), &selected.field.selection_set.node)
}

/// Why they are not the same field. Values are not shown: they may be secrets.
fn difference(one: &Selected<'_>, other: &Selected<'_>) -> Option<String> {
    let (name, other_name) = (one.field.name.node.as_str(), other.field.name.node.as_str());
    if name != other_name {
        return Some(format!("they are the fields {name:?} and {other_name:?}"));
    }
    let given = &one.field.arguments;
    let same = given.len() == other.field.arguments.len()
        && given
            .iter()
            .all(|(name, value)| other.field.get_argument(&name.node).is_some_and(|other| other.node == value.node));
    (!same).then(|| "their arguments differ".to_owned())
}
