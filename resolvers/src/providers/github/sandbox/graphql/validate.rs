//! Checks a document against the definitions before it is executed, with the messages of GitHub's server.

use async_graphql::{
    Pos, Positioned,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet, VariableDefinition},
};
use serde_json::Value;

use super::{
    definitions::{Definitions, named},
    errors, values,
};

/// The errors of the document; empty when it is valid.
pub(crate) fn check(definitions: &Definitions, document: &ExecutableDocument) -> Vec<Value> {
    let mut check =
        Check { definitions, document, path: Vec::new(), errors: Vec::new(), variables: None, spread: Vec::new() };
    for (name, operation) in document.operations.iter() {
        let label = name.map_or_else(|| "query".to_owned(), |name| format!("query {name}"));
        check.operation(label, operation);
    }
    for (name, fragment) in &document.fragments {
        let on = fragment.node.type_condition.node.on.node.as_str();
        check.variables = None;
        check.path = vec![format!("fragment {name}")];
        if check.composite(on, fragment.pos) {
            check.selection(on, &fragment.node.selection_set.node);
        }
    }
    for (name, fragment) in &document.fragments {
        if leads_to(document, &fragment.node.selection_set.node, name.as_str(), &mut Vec::new()) {
            check.path = vec![format!("fragment {name}")];
            check.error("infiniteLoop", &format!("Fragment {name} contains an infinite loop"), fragment.pos);
        }
    }
    for name in document.fragments.keys() {
        if !check.spread.contains(&name.as_str()) {
            let message = format!("Fragment {name} was defined, but not used");
            let pos = document.fragments.get(name).map(|fragment| fragment.pos).unwrap_or_default();
            check.path = vec![format!("fragment {name}")];
            check.error("useAndDefineFragment", &message, pos);
        }
    }
    check.errors
}

struct Check<'a> {
    definitions: &'a Definitions,
    document: &'a ExecutableDocument,
    path: Vec<String>,
    errors: Vec<Value>,
    /// The operation's variables; `None` within a fragment definition, where any operation's may be used.
    variables: Option<&'a [Positioned<VariableDefinition>]>,
    spread: Vec<&'a str>,
}

impl<'a> Check<'a> {
    fn error(&mut self, code: &str, message: &str, pos: Pos) {
        self.errors.push(errors::validation(code, message, &self.path, pos));
    }

    fn operation(&mut self, label: String, operation: &'a Positioned<OperationDefinition>) {
        self.path = vec![label];
        if operation.node.ty != async_graphql::parser::types::OperationType::Query {
            self.error("missingMutation", "Schema is not configured for this kind of operation", operation.pos);
            return;
        }
        for variable in &operation.node.variable_definitions {
            let ty = &variable.node.var_type.node;
            let name = base_name(&ty.to_string());
            if self.definitions.get(&name).is_none() || self.definitions.is_composite(&name) {
                let message = format!("{name} isn't a defined input type (on ${})", variable.node.name.node);
                self.error("variableRequiresValidType", &message, variable.pos);
            }
        }
        self.variables = Some(&operation.node.variable_definitions);
        self.selection("Query", &operation.node.selection_set.node);
    }

    fn composite(&mut self, name: &str, pos: Pos) -> bool {
        let known = self.definitions.is_composite(name);
        if !known {
            self.error("undefinedType", &format!("No such type {name}, so it can't be a fragment condition"), pos);
        }
        known
    }

    fn selection(&mut self, parent: &str, set: &'a SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    self.path.push(field.node.response_key().node.to_string());
                    self.field(parent, field);
                    self.path.pop();
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map_or(parent, |on| on.node.on.node.as_str());
                    if self.composite(on, fragment.pos) && self.fits(on, parent, fragment.pos) {
                        self.selection(on, &fragment.node.selection_set.node);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    self.spread.push(name.as_str());
                    if let Some(fragment) = self.document.fragments.get(name) {
                        self.fits(fragment.node.type_condition.node.on.node.as_str(), parent, spread.pos);
                    } else {
                        let message = format!("Fragment {name} was used, but not defined");
                        self.error("useAndDefineFragment", &message, spread.pos);
                    }
                }
            }
        }
    }

    fn fits(&mut self, on: &str, parent: &str, pos: Pos) -> bool {
        let fits = self.definitions.overlap(on, parent);
        if !fits {
            self.error("cannotSpreadFragment", &format!("Fragment on {on} can't be spread inside {parent}"), pos);
        }
        fits
    }

    fn field(&mut self, parent: &str, field: &'a Positioned<Field>) {
        let name = field.node.name.node.as_str();
        if name == "__typename" {
            return;
        }
        let definitions = self.definitions;
        let Some(definition) = definitions.field(parent, name) else {
            self.error("undefinedField", &format!("Field '{name}' doesn't exist on type '{parent}'"), field.pos);
            return;
        };
        self.arguments(definition, field);
        let result = named(&definition.ty);
        let selected = &field.node.selection_set.node;
        match (definitions.is_composite(result), selected.items.is_empty()) {
            (true, true) => {
                let message = format!(
                    "Field must have selections (field '{name}' returns {result} but has no selections. Did you mean '{name} {{ ... }}'?)"
                );
                self.error("selectionMismatch", &message, field.pos);
            }
            (false, false) => {
                let message =
                    format!("Selections can't be made on scalars (field '{name}' returns {result} but has selections)");
                self.error("selectionMismatch", &message, field.pos);
            }
            (true, false) => self.selection(result, selected),
            (false, true) => {}
        }
    }

    fn arguments(&mut self, definition: &super::definitions::Field, field: &'a Positioned<Field>) {
        let name = &field.node.name.node;
        for (given, value) in &field.node.arguments {
            let Some(argument) = definition.arguments.iter().find(|argument| argument.name == given.node.as_str())
            else {
                let message = format!("Field '{name}' doesn't accept argument '{}'", given.node);
                self.error("argumentNotAccepted", &message, given.pos);
                continue;
            };
            let mut used = Vec::new();
            let literal = value.node.clone().into_const_with(|name| {
                used.push(name.to_string());
                Ok::<_, std::convert::Infallible>(async_graphql::Value::Null)
            });
            for variable in &used {
                self.variable(variable, value.pos);
            }
            let literal = literal.ok().filter(|_| used.is_empty()).and_then(|value| value.into_json().ok());
            if let Some(Err(reason)) = literal.map(|value| values::coerce(self.definitions, &argument.ty, value)) {
                let message = format!(
                    "Argument '{}' on Field '{name}' has an invalid value ({}). Expected type '{}'. {reason}",
                    argument.name, value.node, argument.ty
                );
                self.error("argumentLiteralsIncompatible", &message, value.pos);
            }
        }
        let missing: Vec<&str> = definition
            .arguments
            .iter()
            .filter(|argument| argument.is_required() && field.node.get_argument(&argument.name).is_none())
            .map(|argument| argument.name.as_str())
            .collect();
        if !missing.is_empty() {
            let message = format!("Field '{name}' is missing required arguments: {}", missing.join(", "));
            self.error("missingRequiredArguments", &message, field.pos);
        }
    }

    fn variable(&mut self, name: &str, pos: Pos) {
        let known = self.variables.is_none_or(|known| known.iter().any(|variable| variable.node.name.node == name));
        if !known {
            let operation = self.path.first().cloned().unwrap_or_default();
            self.error("variableNotDefined", &format!("Variable ${name} is used by {operation} but not declared"), pos);
        }
    }
}

fn base_name(ty: &str) -> String {
    ty.chars().filter(|c| !matches!(c, '[' | ']' | '!')).collect()
}

/// Whether a selection spreads the fragment, itself or through others.
fn leads_to<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, name: &str, seen: &mut Vec<&'a str>) -> bool {
    set.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => leads_to(document, &field.node.selection_set.node, name, seen),
        Selection::InlineFragment(fragment) => leads_to(document, &fragment.node.selection_set.node, name, seen),
        Selection::FragmentSpread(spread) => {
            let spread = spread.node.fragment_name.node.as_str();
            if spread == name {
                return true;
            }
            if seen.contains(&spread) {
                return false;
            }
            seen.push(spread);
            let fragment = document.fragments.get(spread);
            fragment.is_some_and(|fragment| leads_to(document, &fragment.node.selection_set.node, name, seen))
        }
    })
}
