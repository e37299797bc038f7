//! Measures a parsed document before it is validated: expanded fields and depth. Each fragment is measured once, however often it is
//! spread.

use std::collections::HashMap;

use async_graphql::{
    Positioned,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};
use mullion_schema::error::ErrorCode;

use crate::{config::Limits, transport::error::RequestError};

/// How far a walk may go down, fragments included: far above any depth, far below the stack.
const MAX_LEVELS: usize = 128;
/// Lists of introspection that may nest in each other, as in graphql-js.
const MAX_INTROSPECTION_LISTS: u32 = 2;
/// What a part of a document comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Measure {
    fields: u64,
    depth: u32,
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
            lists: self.lists.max(other.lists),
            levels: self.levels.max(other.levels),
        }
    }
}

/// Walks one document.
pub(super) struct Measurer<'a> {
    document: &'a ExecutableDocument,
    limits: &'a Limits,
    /// `None` while a fragment is being measured: to meet it again is a cycle.
    fragments: HashMap<&'a str, Option<Measure>>,
}

impl<'a> Measurer<'a> {
    pub(super) fn new(document: &'a ExecutableDocument, limits: &'a Limits) -> Self {
        Self { document, limits, fragments: HashMap::new() }
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
            return Ok(Measure { fields, depth: 1, lists: 0, levels: inner.levels });
        }
        let is_list = matches!(name, "fields" | "inputFields" | "interfaces" | "possibleTypes");
        let lists = inner.lists + u32::from(is_list);
        Ok(Measure { fields, depth: inner.depth + 1, lists, levels: inner.levels })
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

pub(super) fn too_complex(message: String) -> RequestError {
    RequestError::new(ErrorCode::OperationTooComplex, message)
}

fn nested_too_deeply() -> RequestError {
    too_complex(format!("the document nests more than {MAX_LEVELS} levels, fragments included"))
}
