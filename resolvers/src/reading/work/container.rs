//! A container: a node of an account whose lists are read, such as a repository, a project or a channel.

use std::sync::Arc;

use mullion_schema::{
    fields::FieldSet,
    id::NodeKey,
    ports::{Filter, List, ListQuery},
};
use url::Url;

use crate::{provider::ContainerLists, reading::integrations::Integration};

/// Containers of one account that are looked at where a filter names none.
pub(super) const CONTAINERS: usize = 100;

/// Asks for the containers of one account that are read where none is named.
pub(crate) fn all_containers(integration: &Integration, lists: &ContainerLists) -> ListQuery {
    let list = List { integration: integration.id.clone(), parent: None, name: lists.all, filter: Filter::new() };
    ListQuery { list, first: CONTAINERS, after: None, fields: FieldSet::default() }
}

/// A container with what the adapter says of its lists.
pub(super) struct Container {
    pub(super) integration: Arc<Integration>,
    pub(super) lists: &'static ContainerLists,
    pub(super) native_id: Arc<str>,
    /// The feed reads it through another integration too.
    pub(super) is_twice: bool,
}

impl Container {
    pub(super) fn new(integration: &Arc<Integration>, lists: &'static ContainerLists, native_id: &Arc<str>) -> Self {
        Self { integration: Arc::clone(integration), lists, native_id: Arc::clone(native_id), is_twice: false }
    }

    /// The node that it is.
    pub(super) fn key(&self) -> NodeKey {
        NodeKey::new(&self.integration.id, self.lists.container, Arc::clone(&self.native_id))
    }

    /// Its identity, whichever integration shows it.
    pub(super) fn identity(&self) -> (&Url, &str, &str) {
        (&self.integration.connection.base_url, self.lists.container, &self.native_id)
    }
}
