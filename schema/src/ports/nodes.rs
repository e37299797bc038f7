//! The port of the providers' nodes: one by id, one by name, a page of a list. Each execution has its own, with its own loaders and tags.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;

use crate::{
    error::PortError,
    fields::FieldSet,
    id::{IntegrationId, NodeKey},
    view::NodeView,
};

/// A list at a provider: a parent (or the integration's own root), the list's name, and the filter that the provider applies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct List {
    /// The integration.
    pub integration: IntegrationId,
    /// The node it hangs on (`GithubRepository`, its native id); `None`: the account itself.
    pub parent: Option<(&'static str, Arc<str>)>,
    /// The list's name, unique over the parent's type: `issues`.
    pub name: &'static str,
    /// Canonical filter: sorted argument names with sorted values (`states` → `["OPEN"]`). Empty: everything.
    pub filter: Filter,
}

/// Arguments of a list that narrow or order it; names sorted by the map, values sorted by whoever builds it.
pub type Filter = BTreeMap<&'static str, Vec<String>>;

/// A position in a list, inside an opaque cursor: the item's sort key, then its native id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Ascending order of this text is the order of the list.
    pub sort: String,
    /// Breaks ties.
    pub native_id: String,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// The items, in order.
    pub items: Vec<(Position, Arc<NodeView>)>,
    /// Whether more follow.
    pub has_next: bool,
    /// How many there are in all, where the provider says so or all are known.
    pub total: Option<i64>,
    /// The provider could not be asked, and the items do not say so: some of the page are missing, or there are none. An error at
    /// the list's path, beside what is known.
    pub failure: Option<PortError>,
}

/// A request for a page.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Which list.
    pub list: List,
    /// 1 to 100.
    pub first: usize,
    /// After which position.
    pub after: Option<Position>,
    /// Fields selected on the items.
    pub fields: FieldSet,
}

/// Something found by a name instead of an id: a repository by owner and name, a channel by name, the viewer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lookup {
    /// The integration.
    pub integration: IntegrationId,
    /// The kind of look-up: `repository`, `issue`, `viewer`. Unique in the provider.
    pub name: &'static str,
    /// The type that is found.
    pub type_name: &'static str,
    /// The arguments: `owner`, `name`, `number`.
    pub arguments: BTreeMap<&'static str, String>,
}

/// The fields that are wanted of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Want {
    /// Selected fields.
    pub fields: FieldSet,
    /// Lists of it that the same document selects: a provider that can fetches them in the same call.
    pub lists: Vec<(&'static str, Filter)>,
}

impl From<FieldSet> for Want {
    fn from(fields: FieldSet) -> Self {
        Self { fields, lists: Vec::new() }
    }
}

/// Reads the providers' nodes for one execution. Everything it hands out is recorded as a tag of the answer.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// One node; `None` when the provider (or the integration) does not know it.
    async fn node(&self, key: NodeKey, want: Want) -> Result<Option<Arc<NodeView>>, PortError>;

    /// One node by name.
    async fn find(&self, lookup: Lookup, want: Want) -> Result<Option<Arc<NodeView>>, PortError>;

    /// A page of a list.
    async fn list(&self, query: ListQuery) -> Result<ListPage, PortError>;
}
