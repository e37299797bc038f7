//! Reads of the store through the node cache, with its failures as clients may see them.

use std::sync::Arc;

use mullion_schema::{
    error::PortError,
    id::{IntegrationId, NodeKey, TenantId},
    ports::{List, Position},
};

use super::listing::Listings;
use crate::{
    cache::{epochs::Epochs, nodes::NodeCache, turns::Turns},
    store::{
        Database, StoreError,
        list::{Member, Window},
        node::StoredNode,
    },
};

/// What is known of a key: `None`, that the store has nothing.
type Looked = Option<Arc<StoredNode>>;

/// The store behind the node cache.
pub struct Shelf {
    database: Database,
    nodes: NodeCache,
    listings: Listings,
    epochs: Arc<Epochs>,
    /// What is being read.
    reading: Turns<(TenantId, NodeKey)>,
}

impl Shelf {
    /// A shelf.
    pub fn new(database: Database, nodes: NodeCache, epochs: Arc<Epochs>) -> Self {
        // Lists hold nodes that are mostly in the node cache too.
        let listings = Listings::new(Arc::clone(&epochs), nodes.bytes() / 2);
        Self { database, nodes, listings, epochs, reading: Turns::default() }
    }

    /// Lists in memory.
    pub(super) fn listings(&self) -> &Listings {
        &self.listings
    }

    /// Notes that what a fetch brought was written: it says nothing of what nobody was shown, but lists may hold it.
    pub fn fetched(&self, integration: &IntegrationId) {
        self.listings.fetched(integration);
    }

    /// What is in memory of an integration's lists and of these nodes may be older than what another replica stored: the store is
    /// read again.
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
        let head = self.database.head(tenant).await.map_err(internal)?;
        self.epochs.start(tenant, head);
        Ok(self.epochs.head(tenant).unwrap_or(head))
    }

    /// The nodes with these keys, in the order of the keys.
    pub async fn nodes(&self, tenant: &TenantId, keys: &[NodeKey]) -> Result<Vec<Option<Arc<StoredNode>>>, PortError> {
        self.head(tenant).await?;
        let mut found: Vec<Option<Looked>> = keys.iter().map(|key| self.nodes.get(tenant, key, &self.epochs)).collect();
        let mut missing: Vec<&NodeKey> =
            keys.iter().zip(&found).filter_map(|(key, found)| found.is_none().then_some(key)).collect();
        if !missing.is_empty() {
            // All in the same order, so that no two wait for each other.
            missing.sort_unstable();
            missing.dedup();
            let mut turns = Vec::with_capacity(missing.len());
            for key in missing {
                turns.push(self.reading.take((tenant.clone(), key.clone())).await);
            }
            self.read_missing(tenant, keys, &mut found).await?;
        }
        Ok(found.into_iter().map(Option::flatten).collect())
    }

    /// Reads what is missing and nobody has read in the meantime.
    async fn read_missing(
        &self,
        tenant: &TenantId,
        keys: &[NodeKey],
        found: &mut [Option<Looked>],
    ) -> Result<(), PortError> {
        // Noted before anything is read: what is written meanwhile makes the entries stale, not wrong.
        let noted = self.head(tenant).await?;
        let mut missing = Vec::new();
        for (key, slot) in keys.iter().zip(found.iter_mut()).filter(|(_, slot)| slot.is_none()) {
            *slot = self.nodes.get(tenant, key, &self.epochs);
            if slot.is_none() {
                missing.push(key.clone());
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let read = self.database.nodes(tenant, &missing).await.map_err(internal)?;
        let mut read = missing.into_iter().zip(read).map(|(key, node)| {
            let node = node.map(Arc::new);
            if node.is_some() {
                self.nodes.put(tenant, &key, noted, node.clone());
            }
            node
        });
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            *slot = read.next();
        }
        Ok(())
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

/// Logs what happened; the client learns only that it did.
pub(crate) fn internal(error: StoreError) -> PortError {
    match error {
        StoreError::NotFound => PortError::not_found("it"),
        StoreError::Conflict => PortError::new(
            mullion_schema::error::ErrorCode::Conflict,
            "it was changed in the meantime; read it again and repeat the change",
        ),
        StoreError::Full(most) => PortError::bad_input(most),
        StoreError::Taken(what) => {
            PortError::new(mullion_schema::error::ErrorCode::Conflict, format!("this {what} is taken"))
        }
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
            if error.is_unavailable() { PortError::unavailable() } else { PortError::internal() }
        }
    }
}
