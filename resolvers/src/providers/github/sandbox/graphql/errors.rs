//! Errors of the GraphQL API in GitHub's shape: execution errors have a `type`, validation errors `extensions.code`.

use async_graphql::Pos;
use serde_json::{Value, json};

use super::super::shapes::shape;

/// An error that a field gives: the `type` and the message.
#[derive(Debug, Clone)]
pub(crate) struct FieldError {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn not_found(message: String) -> Self {
        Self { kind: "NOT_FOUND", message }
    }
}

pub(crate) fn location(pos: Pos) -> Value {
    json!([{ "line": pos.line, "column": pos.column }])
}

/// An error of execution.
pub(crate) fn execution(error: &FieldError, path: &[Value], pos: Pos) -> Value {
    shape! { "type": error.kind, "path": path, "locations": location(pos), "message": error.message }
}

/// An error of validation; `details` are the extensions beside the code.
pub(crate) fn validation(code: &str, message: &str, path: &[String], pos: Pos) -> Value {
    shape! { "path": path, "extensions": shape! { "code": code }, "locations": location(pos), "message": message }
}

/// An error that belongs to no field.
pub(crate) fn whole(message: &str, pos: Option<Pos>) -> Value {
    let mut error = shape! { "message": message };
    if let Some(pos) = pos {
        super::super::shapes::extend(&mut error, shape! { "locations": location(pos) });
    }
    error
}
