//! The items of stored lists: nodes of the types that this build knows, and where they stand.

use mullion_schema::ports::Position;

use super::integrations::Integration;
use crate::{
    provider::NodeRef,
    store::list::{Member, Window},
};

/// The items of a list that is kept in the provider's order. Those of a type that this build does not know are left out.
pub(super) fn opaque_items(integration: &Integration, window: &Window) -> Vec<NodeRef> {
    let names = window.opaque.iter().flatten().filter_map(|name| name.split_once(':'));
    names
        .filter_map(|(type_name, native_id)| Some(NodeRef::new(integration.node_type(type_name)?.name, native_id)))
        .collect()
}

/// The position of an item in a list that is kept in the provider's order.
pub(super) fn opaque_position(index: usize, native_id: &str) -> Position {
    Position { sort: format!("{index:08}"), native_id: native_id.to_owned() }
}

/// A member of a list as an item, if this build knows its type.
pub(super) fn known_item(integration: &Integration, member: Member) -> Option<(Position, NodeRef)> {
    let node_type = integration.node_type(&member.type_name)?;
    Some((member.position, NodeRef::new(node_type.name, member.native_id)))
}
