//! How a provider's folder names nodes and lists: within one integration.

use std::sync::Arc;

/// A node of the integration at hand: GraphQL type and native id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeRef {
    /// `GithubIssue`.
    pub type_name: &'static str,
    /// The provider's id.
    pub native_id: Arc<str>,
}

impl NodeRef {
    /// A reference.
    pub fn new(type_name: &'static str, native_id: impl Into<Arc<str>>) -> Self {
        Self { type_name, native_id: native_id.into() }
    }
}

impl std::fmt::Display for NodeRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.type_name, self.native_id)
    }
}

/// The account's list under which the answers to look-ups are kept: the name that was looked up is the filter, the node that was
/// found the item.
pub const LOOKUPS: &str = "lookups";

/// A list of the integration at hand: the node it hangs on (`None`: the account) and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListRef {
    /// The parent.
    pub parent: Option<NodeRef>,
    /// `issues`.
    pub name: &'static str,
}
