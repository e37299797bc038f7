//! The containers that webhooks tell of. Where they are registered for single containers, they tell nothing of the others
//! (`docs/adr/0037-webhooks-of-some-containers.md`).

use std::sync::Arc;

use mullion_schema::{id::NodeKey, ports::List, view::Body};

use super::{Engine, integrations::Integration, node_view::texts};
use crate::tag::Tag;

impl Integration {
    /// Whether webhooks would tell of a node's changes: there is one for the container that it is, or that it refers to. Nodes
    /// that belong to no container are told of as the integration is.
    pub(super) fn covers_node(&self, key: &NodeKey, body: &Body) -> bool {
        let registered = self.registered.read();
        if registered.is_empty() {
            return true;
        }
        if self.is_container(key.type_name) {
            return registered.contains(&format!("{}:{}", key.type_name, key.native_id));
        }
        let references = body.values().flat_map(texts).filter(|text| self.names_container(text));
        let mut containers = references.peekable();
        containers.peek().is_none() || containers.any(|container| registered.contains(container))
    }

    /// Whether webhooks would tell of what changes under a tag.
    pub(crate) fn covers_tag(&self, tag: &Tag) -> bool {
        let registered = self.registered.read();
        let Some(name) = tag.within_integration().filter(|_| !registered.is_empty()) else { return true };
        let node = name.rsplit_once('/').map_or(name, |(parent, _)| parent);
        !self.names_container(node) || registered.contains(node)
    }

    fn is_container(&self, type_name: &str) -> bool {
        self.provider.containers().iter().any(|lists| lists.container == type_name)
    }

    fn names_container(&self, reference: &str) -> bool {
        reference.split_once(':').is_some_and(|(type_name, _)| self.is_container(type_name))
    }
}

impl Engine {
    /// Whether webhooks would tell of a list's changes: there is one for the container that the list hangs on, or that its parent
    /// refers to. The account's own lists are told of as the integration is.
    pub(super) fn covers_list(&self, integration: &Integration, list: &List) -> bool {
        let is_partly_covered = !integration.registered.read().is_empty();
        let Some((type_name, native_id)) = list.parent.as_ref().filter(|_| is_partly_covered) else { return true };
        let key = NodeKey::new(&integration.id, type_name, Arc::clone(native_id));
        match self.cached_store.node_at_hand(&integration.tenant, &key) {
            Some(parent) => integration.covers_node(&key, &parent.body),
            None if integration.is_container(key.type_name) => integration.covers_node(&key, &Body::default()),
            // Its container is not known at this moment: the list is rather read once more than shown for too long.
            None => false,
        }
    }
}
