//! The graph's description: who may read it, by introspection or from the errors of a document that does not fit the graph.

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, Selection, SelectionSet};
use mullion_schema::{error::ErrorCode, ports::Role};

use super::Document;
use crate::{config::server::Audience, operation::errors::RequestError};

/// Fields that describe the graph. They stand at the root only.
const DESCRIBING: [&str; 3] = ["__schema", "__type", "_service"];
/// How an error goes on that suggests a name.
const SUGGESTION: &str = " Did you mean ";

impl Audience {
    fn includes(self, role: Role) -> bool {
        match self {
            Self::Viewer => true,
            Self::Editor => role >= Role::Editor,
            Self::Admin => role >= Role::Admin,
            Self::Nobody => false,
        }
    }

    /// Refuses a document that asks for the description, if this role may not read it.
    pub(crate) fn check(self, role: Role, document: &Document) -> Result<(), RequestError> {
        if !document.introspects || self.includes(role) {
            return Ok(());
        }
        let message = format!(
            "introspection (`__schema`, `__type`, `_service`) is not open to the role {role}: ask with a key of a higher role, \
             or read the SDL that `mullion schema` prints; server.introspection sets the least role"
        );
        Err(RequestError::new(ErrorCode::Forbidden, message))
    }

    /// The errors of a document, without names of the graph that this role may not read.
    pub(crate) fn tell(self, role: Role, mut error: RequestError) -> RequestError {
        if !self.includes(role) {
            for entry in &mut error.errors {
                if let Some(end) = entry.message.find(SUGGESTION) {
                    entry.message.truncate(end);
                }
            }
        }
        error
    }
}

/// Whether an operation or a fragment of a document asks for the graph's description.
pub(super) fn asks(document: &ExecutableDocument) -> bool {
    let operations = match &document.operations {
        DocumentOperations::Single(operation) => describes(&operation.node.selection_set.node),
        DocumentOperations::Multiple(operations) => {
            operations.values().any(|operation| describes(&operation.node.selection_set.node))
        }
    };
    // A field of this name stands on a root: a fragment that has it is on the root, too.
    operations || document.fragments.values().any(|fragment| describes(&fragment.node.selection_set.node))
}

fn describes(set: &SelectionSet) -> bool {
    set.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => DESCRIBING.contains(&field.node.name.node.as_str()),
        Selection::InlineFragment(fragment) => describes(&fragment.node.selection_set.node),
        Selection::FragmentSpread(_) => false,
    })
}
