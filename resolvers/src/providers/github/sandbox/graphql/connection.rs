//! Pages of connections: `first`, `last`, `after`, `before` with GitHub's limits and its words for them.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    errors::FieldError,
    object::{Object, Page},
    values::Arguments,
};
use crate::providers::github::sandbox::world::World;

pub(crate) fn empty() -> Object {
    Object::Page(Rc::default())
}

/// The page that the arguments ask for. A cursor remembers its node and its position: while things move in the list, the
/// page goes on after the node; when the node is gone, at its position.
pub(crate) fn page(
    world: &World,
    (field, arguments): (&str, &Arguments),
    all: Vec<Object>,
    wants_nodes: bool,
) -> Result<Object, FieldError> {
    let total = all.len();
    let (mut from, mut to) = (0, total);
    if let Some(after) = arguments.text("after") {
        from = position(world, &all, after, field)? + 1;
    }
    if let Some(before) = arguments.text("before") {
        to = position(world, &all, before, field)?;
    }
    match (limit(arguments, "first", field)?, limit(arguments, "last", field)?) {
        (Some(first), _) => to = to.min(from.saturating_add(first)),
        (None, Some(last)) => from = from.max(to.saturating_sub(last)),
        (None, None) if wants_nodes => {
            return Err(FieldError {
                kind: "MISSING_PAGINATION_BOUNDARIES",
                message: format!(
                    "You must provide a `first` or `last` value to properly paginate the `{field}` connection."
                ),
            });
        }
        (None, None) => to = from,
    }
    let nodes: Vec<Object> =
        all.into_iter().enumerate().filter(|(at, _)| (from..to).contains(at)).map(|it| it.1).collect();
    let cursors = nodes.iter().enumerate().map(|(at, node)| cursor(world, node, from + at)).collect();
    Ok(Object::Page(Rc::new(Page { nodes, cursors, total, has_next: to < total, has_previous: from > 0 && total > 0 })))
}

fn limit(arguments: &Arguments, name: &str, field: &str) -> Result<Option<usize>, FieldError> {
    let Some(value) = arguments.get(name) else { return Ok(None) };
    let count = value.as_i64().unwrap_or(-1);
    if count > 100 {
        return Err(FieldError {
            kind: "EXCESSIVE_PAGINATION",
            message: format!(
                "Requesting {count} records on the `{field}` connection exceeds the `{name}` limit of 100 records."
            ),
        });
    }
    match usize::try_from(count) {
        Ok(count) => Ok(Some(count)),
        Err(_) => Err(FieldError {
            kind: "ARGUMENT_OUT_OF_RANGE",
            message: format!("`{name}` on the `{field}` connection cannot be less than zero."),
        }),
    }
}

fn cursor(world: &World, node: &Object, at: usize) -> String {
    STANDARD.encode(format!("cursor:v2:{at}:{}", node.id(world).unwrap_or_default()))
}

fn position(world: &World, all: &[Object], cursor: &str, field: &str) -> Result<usize, FieldError> {
    let invalid = || FieldError {
        kind: "INVALID_CURSOR_ARGUMENTS",
        message: format!("`{cursor}` does not appear to be a valid cursor of the `{field}` connection."),
    };
    let bytes = STANDARD.decode(cursor).map_err(|_| invalid())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    let (at, id) = text.strip_prefix("cursor:v2:").and_then(|rest| rest.split_once(':')).ok_or_else(invalid)?;
    let at: usize = at.parse().map_err(|_| invalid())?;
    let is_it = |node: &Object| node.id(world).as_deref() == Some(id);
    if all.get(at).is_some_and(is_it) {
        return Ok(at);
    }
    Ok(all.iter().position(is_it).unwrap_or_else(|| at.saturating_sub(1)))
}
