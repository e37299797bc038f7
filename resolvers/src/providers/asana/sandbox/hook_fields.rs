//! The fields of a webhook, as Asana shows them.

use super::node::{Group, Node};
use super::records::{Filter, Hook};
use super::world::World;

/// The fields of a full webhook, besides `gid`.
pub(super) const FULL: &[&str] = &[
    "resource_type",
    "active",
    "created_at",
    "delivery_retry_count",
    "failure_deletion_timestamp",
    "filters",
    "last_failure_at",
    "last_failure_content",
    "last_success_at",
    "next_attempt_after",
    "resource",
    "target",
];

/// The value of a webhook's field.
pub(super) fn field(world: &World, of: &Hook, name: &str) -> Option<Node> {
    Some(match name {
        "active" => Node::flag(of.active),
        "resource" => Node::One(of.resource.filter(|resource| world.find(resource.gid).is_some())),
        "target" => Node::value(of.target.as_str()),
        "created_at" => Node::maybe_at(of.created_at),
        "last_success_at" => Node::maybe_at(of.last_success_at),
        "last_failure_at" | "failure_deletion_timestamp" | "next_attempt_after" => Node::null(),
        "last_failure_content" => Node::value(""),
        "delivery_retry_count" => Node::count(0),
        "filters" => Node::Groups(of.filters.iter().map(filter).collect()),
        _ => return None,
    })
}

fn filter(of: &Filter) -> Group {
    let text = |value: &Option<String>| value.as_deref().map_or_else(Node::null, Node::value);
    vec![
        ("resource_type", text(&of.resource_type)),
        ("resource_subtype", text(&of.resource_subtype)),
        ("action", text(&of.action)),
        ("fields", if of.fields.is_empty() { Node::null() } else { Node::value(of.fields.clone()) }),
    ]
}
