//! The list of all node types, for fields and interfaces that look a type up by its name.
//!
//! The types stand in modules above this one and refer to one another through fields. So the list is only declared here, and
//! [`crate::providers`] fills it.

use super::NodeType;

/// Lists the node types of this build.
pub trait NodeTypeList {
    /// All of them.
    fn all() -> impl Iterator<Item = &'static NodeType>;
}

/// The node types of this build. The providers' module implements [`NodeTypeList`] for it.
pub struct Catalog;

/// All node types of all providers.
pub fn node_types() -> impl Iterator<Item = &'static NodeType> {
    Catalog::all()
}

/// A node type by its GraphQL name; `None` for types that this build does not know.
pub fn node_type(name: &str) -> Option<&'static NodeType> {
    node_types().find(|table| table.name == name)
}
