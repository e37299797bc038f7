//! The store with caches of nodes and lists in front of it; its failures as clients may see them.

pub(super) mod cached_list;
mod deletions;
pub(super) mod derived;
mod list_cache;
pub(super) mod lists;
mod nodes;

use std::sync::Arc;

use mullion_schema::{
    error::PortError,
    id::{IntegrationId, NodeKey, TenantId},
    ports::{List, Position},
};

use self::{list_cache::ListCache, lists::StoredList, nodes::ReadNode};
use super::failure::internal;
use crate::{
    cache::{
        epochs::{Epochs, Head},
        kept::Kept,
        nodes::NodeCache,
        single_flight::SingleFlight,
    },
    store::{
        Database,
        list::{Member, Window},
        node::StoredNode,
    },
};

/// The store behind its caches.
pub struct CachedStore {
    database: Database,
    nodes: NodeCache,
    lists: ListCache,
    epochs: Arc<Epochs>,
    /// Whether things were deleted.
    deletions: Kept<NodeKey, bool>,
    /// The nodes that are being read.
    node_reads: SingleFlight<(TenantId, NodeKey), Result<ReadNode, PortError>>,
    /// The lists that are being read: a change wakes many who show the same list, and one of them reads it.
    list_reads: SingleFlight<(TenantId, List), Result<StoredList, PortError>>,
    /// The tenants whose heads are being read.
    head_reads: SingleFlight<TenantId, Result<Head, PortError>>,
}

impl CachedStore {
    /// Over a database, with a cache of nodes.
    pub fn new(database: Database, nodes: NodeCache, epochs: Arc<Epochs>) -> Self {
        // Lists hold nodes that are mostly in the node cache too.
        let lists = ListCache::new(Arc::clone(&epochs), nodes.bytes() / 2);
        Self {
            database,
            nodes,
            lists,
            deletions: Kept::new(Arc::clone(&epochs), deletions::BYTES, None),
            epochs,
            node_reads: SingleFlight::default(),
            list_reads: SingleFlight::default(),
            head_reads: SingleFlight::default(),
        }
    }

    /// Notes that what a fetch brought was written: it says nothing of what nobody was shown, but lists may hold it.
    pub fn fetched(&self, integration: &IntegrationId) {
        self.lists.fetched(integration);
    }

    /// Notes that another replica may have stored newer lists of an integration, and newer ones of these nodes, than are in
    /// memory: the store is read again.
    pub fn doubt(&self, tenant: &TenantId, integration: &IntegrationId, nodes: impl IntoIterator<Item = NodeKey>) {
        self.fetched(integration);
        nodes.into_iter().for_each(|key| self.nodes.forget(tenant, &key));
    }

    /// A node from memory, if it is there and current.
    pub fn node_at_hand(&self, tenant: &TenantId, key: &NodeKey) -> Option<Arc<StoredNode>> {
        self.nodes.get(tenant, key, &self.epochs).flatten()
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The node cache.
    pub fn cache(&self) -> &NodeCache {
        &self.nodes
    }

    /// The tenant's head, from memory once it was read.
    pub async fn head(&self, tenant: &TenantId) -> Result<i64, PortError> {
        if let Some(head) = self.epochs.head(tenant) {
            return Ok(head);
        }
        let read = async || {
            let head = self.database.head(tenant).await.map_err(internal)?;
            self.epochs.start(tenant, head);
            Ok(self.epochs.head(tenant).unwrap_or(head))
        };
        self.head_reads.share(tenant.clone(), || self.epochs.head(tenant).map(Ok), Result::is_err, read).await
    }

    /// How far a list with its filter was read.
    pub async fn window(&self, tenant: &TenantId, list: &List) -> Result<Option<Window>, PortError> {
        let windows = self.database.windows(tenant, std::slice::from_ref(list)).await.map_err(internal)?;
        Ok(windows.into_iter().next().flatten())
    }

    /// Members of a list after a position, in order.
    pub async fn members(
        &self,
        tenant: &TenantId,
        list: &List,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Member>, PortError> {
        self.database.members(tenant, list, after, limit as u64).await.map_err(internal)
    }
}
