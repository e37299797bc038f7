//! Values before execution: variables as the specification coerces them, and literals of arguments.
//!
//! The library looks at some values only when a field runs, leaves defaults out of conditions, takes a text for an enum's
//! value, and quotes what does not fit. Here everything that a request brings is checked first: what does not fit is an error
//! of the request, which then has no `data`; its message tells the place and what was expected, never the value, which may be
//! a secret. Literals are checked once for each document (`validate/`), variables with each request.

use async_graphql::{
    Error, ID, InputType, Name, Pos, ServerError, Value, Variables,
    indexmap::IndexMap,
    parser::types::{
        DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
    },
    registry::{MetaField, MetaInputValue, MetaType, MetaTypeName, Registry},
};

use crate::{
    build,
    error::{ErrorCode, PortError},
    id::EventCursor,
    scalars::{Date, Duration, Time, WebUrl},
};

/// The graph's input types.
pub struct Inputs {
    registry: Registry,
}

/// A value that does not fit, and where it stands below the value that was checked: `.states[0]`.
struct Misfit {
    place: String,
    problem: String,
}

impl Misfit {
    fn new(problem: impl Into<String>) -> Self {
        Self { place: String::new(), problem: problem.into() }
    }

    fn below(mut self, step: &str) -> Self {
        self.place.insert_str(0, step);
        self
    }

    fn at(self, root: &str, code: ErrorCode, pos: Pos) -> ServerError {
        let message = format!("{root}{}: {}", self.place, self.problem);
        Error::from(PortError::new(code, message)).into_server_error(pos)
    }
}

/// Stands for a variable within a literal; no document and no JSON can write it. The type of a variable is checked elsewhere.
fn any_value() -> Value {
    Value::Binary(Vec::new().into())
}

impl Default for Inputs {
    fn default() -> Self {
        Self { registry: build::registry() }
    }
}

/// Where a value comes from. JSON has no names, so that there an enum's value is a string; in a document it is a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Document,
    Json,
}

impl Inputs {
    /// Checks the variables that the operation declares which is to run, and gives them with their defaults.
    pub fn variables(
        &self,
        document: &ExecutableDocument,
        name: Option<&str>,
        given: &Variables,
    ) -> Result<Variables, Vec<ServerError>> {
        let operation = match &document.operations {
            DocumentOperations::Single(operation) => Some(operation),
            DocumentOperations::Multiple(all) => match name {
                Some(name) => all.get(name),
                None => all.values().next(),
            },
        };
        operation.map_or_else(|| Ok(given.clone()), |operation| self.variables_of(&operation.node, given))
    }

    fn variables_of(&self, operation: &OperationDefinition, given: &Variables) -> Result<Variables, Vec<ServerError>> {
        // Others are dropped: nothing asks for them.
        let mut coerced = Variables::default();
        let mut errors = Vec::new();
        for definition in &operation.variable_definitions {
            let variable = &definition.node;
            let name = &variable.name.node;
            let default = variable.default_value.as_ref().map(|value| &value.node);
            let fits = match (given.get(name), default) {
                (Some(value), _) => {
                    coerced.insert(name.clone(), value.clone());
                    self.fits(&variable.var_type.node.to_string(), value, Origin::Json)
                }
                (None, Some(default)) => {
                    coerced.insert(name.clone(), default.clone());
                    Ok(())
                }
                (None, None) if variable.var_type.node.nullable => Ok(()),
                (None, None) => Err(Misfit::new(NEEDED)),
            };
            if let Err(misfit) = fits {
                errors.push(misfit.at(&format!("${name}"), ErrorCode::BadUserInput, definition.pos));
            }
        }
        if errors.is_empty() { Ok(coerced) } else { Err(errors) }
    }

    /// The literals that do not fit: arguments and defaults of variables.
    pub fn literals(&self, document: &ExecutableDocument) -> Vec<ServerError> {
        let mut errors = Vec::new();
        for (_, operation) in document.operations.iter() {
            let root = match operation.node.ty {
                OperationType::Query => "Query",
                OperationType::Mutation => "Mutation",
                OperationType::Subscription => "Subscription",
            };
            for definition in &operation.node.variable_definitions {
                let Some(default) = &definition.node.default_value else { continue };
                if let Err(misfit) =
                    self.fits(&definition.node.var_type.node.to_string(), &default.node, Origin::Document)
                {
                    let root = format!("the default of ${}", definition.node.name.node);
                    errors.push(misfit.at(&root, ErrorCode::GraphqlValidationFailed, default.pos));
                }
            }
            self.set(root, &operation.node.selection_set.node, &mut errors);
        }
        for fragment in document.fragments.values() {
            self.set(&fragment.node.type_condition.node.on.node, &fragment.node.selection_set.node, &mut errors);
        }
        errors
    }

    fn set(&self, parent: &str, set: &SelectionSet, errors: &mut Vec<ServerError>) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.field(parent, &field.node, errors),
                Selection::InlineFragment(fragment) => {
                    let condition =
                        fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    self.set(condition.unwrap_or(parent), &fragment.node.selection_set.node, errors);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    /// Fields and arguments that are not there are not our business: validation names them.
    fn field(&self, parent: &str, field: &Field, errors: &mut Vec<ServerError>) {
        let Some(meta) = self.meta(parent, &field.name.node) else { return };
        for (name, value) in &field.arguments {
            let Some(argument) = meta.args.get(name.node.as_str()) else { continue };
            let literal = value.node.clone().into_const_with(|_| Ok(any_value()));
            if let Err(misfit) = literal.and_then(|literal| self.fits(&argument.ty, &literal, Origin::Document)) {
                errors.push(misfit.at(&name.node, ErrorCode::GraphqlValidationFailed, value.pos));
            }
        }
        self.set(MetaTypeName::concrete_typename(&meta.ty), &field.selection_set.node, errors);
    }

    fn meta(&self, parent: &str, field: &str) -> Option<&MetaField> {
        match self.registry.types.get(parent)? {
            MetaType::Object { fields, .. } | MetaType::Interface { fields, .. } => fields.get(field),
            _ => None,
        }
    }

    fn fits(&self, ty: &str, value: &Value, origin: Origin) -> Result<(), Misfit> {
        match (MetaTypeName::create(ty), value) {
            (MetaTypeName::NonNull(_), Value::Null) => Err(Misfit::new(NEEDED)),
            (_, Value::Null | Value::Binary(_)) => Ok(()),
            (MetaTypeName::List(inner), Value::List(items)) => {
                items.iter().enumerate().try_for_each(|(index, item)| {
                    self.fits(inner, item, origin).map_err(|misfit| misfit.below(&format!("[{index}]")))
                })
            }
            // One value stands for a list of it, too.
            (MetaTypeName::NonNull(inner) | MetaTypeName::List(inner), _) => self.fits(inner, value, origin),
            (MetaTypeName::Named(name), _) => match self.registry.types.get(name) {
                Some(MetaType::InputObject { input_fields, oneof, .. }) => {
                    let given = Self::object_given(name, input_fields, *oneof, value)?;
                    self.object_fits(input_fields, given, origin)
                }
                Some(MetaType::Enum { enum_values, .. }) => {
                    let known = match value {
                        Value::Enum(given) => enum_values.contains_key(given.as_str()),
                        Value::String(given) => origin == Origin::Json && enum_values.contains_key(given),
                        _ => false,
                    };
                    let names = || enum_values.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    if known { Ok(()) } else { Err(Misfit::new(format!("must be one of {}", names()))) }
                }
                _ => scalar_fits(name, value),
            },
        }
    }

    /// The fields of an object of this type, all of them known to it.
    fn object_given<'a>(
        name: &str,
        fields: &IndexMap<String, MetaInputValue>,
        oneof: bool,
        value: &'a Value,
    ) -> Result<&'a IndexMap<Name, Value>, Misfit> {
        let Value::Object(given) = value else {
            return Err(Misfit::new(format!("must be an object of type {name}")));
        };
        if oneof && (given.len() != 1 || given.values().any(|value| *value == Value::Null)) {
            return Err(Misfit::new(format!("must have exactly one field of {name}, and that not null")));
        }
        if let Some(unknown) = given.keys().find(|key| !fields.contains_key(key.as_str())) {
            let problem = Misfit::new(format!("{name} has no such field"));
            return Err(if is_name(unknown) { problem.below(&format!(".{unknown}")) } else { problem });
        }
        Ok(given)
    }

    fn object_fits(
        &self,
        fields: &IndexMap<String, MetaInputValue>,
        given: &IndexMap<Name, Value>,
        origin: Origin,
    ) -> Result<(), Misfit> {
        for (key, field) in fields {
            let fits = match given.get(key.as_str()) {
                Some(value) => self.fits(&field.ty, value, origin),
                None if field.ty.ends_with('!') && field.default_value.is_none() => Err(Misfit::new(NEEDED)),
                None => Ok(()),
            };
            fits.map_err(|misfit| misfit.below(&format!(".{key}")))?;
        }
        Ok(())
    }
}

const NEEDED: &str = "a value is needed";
/// More than any name of the graph has.
const LONGEST_NAME: usize = 64;

/// Whether this can be the name of a field, and be shown as such.
fn is_name(name: &Name) -> bool {
    name.len() <= LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn scalar_fits(name: &str, value: &Value) -> Result<(), Misfit> {
    let (fits, wanted) = match name {
        "Int" => (parses::<i32>(value), "a whole number of 32 bits"),
        "Float" => (parses::<f64>(value), "a number"),
        // PostgreSQL has no place for U+0000, so that nothing is called so.
        "String" => (parses::<String>(value) && !has_nul(value), "a text, without U+0000"),
        "Boolean" => (parses::<bool>(value), "true or false"),
        "ID" => (parses::<ID>(value), "an id"),
        "DateTime" => (parses::<Time>(value), "a time such as 2026-11-22T14:00:00Z"),
        "Date" => (parses::<Date>(value), "a day such as 2026-11-22"),
        "URL" => (parses::<WebUrl>(value), "an absolute address"),
        "Duration" => (parses::<Duration>(value), "a duration such as P7D or PT1H"),
        "EventCursor" => (parses::<EventCursor>(value), "a cursor as answers give it"),
        // `_Any`, and types that are not there: validation names these.
        _ => return Ok(()),
    };
    if fits { Ok(()) } else { Err(Misfit::new(format!("must be {wanted} ({name})"))) }
}

fn has_nul(value: &Value) -> bool {
    matches!(value, Value::String(text) if text.contains('\0'))
}

fn parses<T: InputType>(value: &Value) -> bool {
    T::parse(Some(value.clone())).is_ok()
}
