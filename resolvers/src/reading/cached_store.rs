//! Reads of the store through the node cache, with its failures as clients may see them.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use mullion_schema::{
    error::PortError,
    id::{IntegrationId, NodeKey, TenantId},
    ports::{List, Position},
};

use super::listing::Listings;
use crate::{
    cache::{
        epochs::{Epochs, Head},
        nodes::NodeCache,
        single_flight::{Follow, KeyedLead, Part, SingleFlight},
    },
    error_chain::chain,
    store::{
        Database, StoreError,
        list::{Member, Window},
        node::StoredNode,
    },
    tag::Tag,
};

/// What is known of a key: `None`, that the store has nothing.
type Looked = Option<Arc<StoredNode>>;

type Known<'k> = HashMap<&'k NodeKey, Looked, RandomState>;

/// The store behind the node cache.
pub struct CachedStore {
    database: Database,
    nodes: NodeCache,
    listings: Listings,
    epochs: Arc<Epochs>,
    /// What is being read.
    reading: SingleFlight<(TenantId, NodeKey), Result<ReadNode, PortError>>,
    /// The tenants whose heads are being read.
    heads: SingleFlight<TenantId, Result<Head, PortError>>,
}

/// The node that the store had for a key, read after a head was noted and when so many fetches of the integration had
/// been written.
#[derive(Clone)]
struct ReadNode {
    noted: Head,
    fetches: u64,
    node: Looked,
}

type Lead = KeyedLead<(TenantId, NodeKey), Result<ReadNode, PortError>>;

impl CachedStore {
    /// Over a database, with a cache of nodes.
    pub fn new(database: Database, nodes: NodeCache, epochs: Arc<Epochs>) -> Self {
        // Lists hold nodes that are mostly in the node cache too.
        let listings = Listings::new(Arc::clone(&epochs), nodes.bytes() / 2);
        Self { database, nodes, listings, epochs, reading: SingleFlight::default(), heads: SingleFlight::default() }
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
        let read = async || {
            let head = self.database.head(tenant).await.map_err(internal)?;
            self.epochs.start(tenant, head);
            Ok(self.epochs.head(tenant).unwrap_or(head))
        };
        self.heads.share(tenant.clone(), || self.epochs.head(tenant).map(Ok), Result::is_err, read).await
    }

    /// The nodes with these keys, in the order of the keys. Each is read once for all who want it at the same time.
    pub async fn nodes(&self, tenant: &TenantId, keys: &[NodeKey]) -> Result<Vec<Option<Arc<StoredNode>>>, PortError> {
        self.head(tenant).await?;
        let mut found: Vec<Option<Looked>> = keys.iter().map(|key| self.nodes.get(tenant, key, &self.epochs)).collect();
        while found.iter().any(Option::is_none) {
            let mut missing: Vec<&NodeKey> =
                keys.iter().zip(&found).filter_map(|(key, found)| found.is_none().then_some(key)).collect();
            missing.sort_unstable();
            missing.dedup();
            let known = self.read_missing(tenant, missing).await?;
            for (key, slot) in keys.iter().zip(found.iter_mut()).filter(|(_, slot)| slot.is_none()) {
                *slot = known.get(key).cloned();
            }
        }
        Ok(found.into_iter().map(Option::flatten).collect())
    }

    /// These nodes, as far as they could be learnt by reading them, or by waiting for others who do. The rest has
    /// changed meanwhile, or nobody reads it any more.
    async fn read_missing<'k>(&self, tenant: &TenantId, missing: Vec<&'k NodeKey>) -> Result<Known<'k>, PortError> {
        let (mut known, mut leads, mut follows) = (Known::default(), Vec::new(), Vec::new());
        for key in missing {
            match self.reading.enter((tenant.clone(), key.clone())) {
                Part::Lead(lead) => leads.push((key, lead)),
                Part::Follow(follow) => follows.push((key, follow)),
            }
        }
        // First what others may wait for: while it leads, it waits for nothing but the store.
        self.read(tenant, leads, &mut known).await?;
        for (key, follow) in follows {
            let shared = self.followed(tenant, key, follow).await?;
            if let Some(node) = shared.or_else(|| self.nodes.get(tenant, key, &self.epochs)) {
                known.insert(key, node);
            }
        }
        Ok(known)
    }

    /// Reads nodes for all who want them, unless another run has brought them since they were looked for.
    async fn read<'k>(
        &self,
        tenant: &TenantId,
        leads: Vec<(&'k NodeKey, Lead)>,
        known: &mut Known<'k>,
    ) -> Result<(), PortError> {
        let mut missing = Vec::with_capacity(leads.len());
        for (key, lead) in leads {
            match self.nodes.get(tenant, key, &self.epochs) {
                // Those who follow look into memory again.
                Some(node) => drop(known.insert(key, node)),
                None => missing.push((key, lead)),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let fetches: Vec<u64> = missing.iter().map(|(key, _)| self.listings.fetches(&key.integration)).collect();
        // Noted before anything is read: what is written meanwhile makes the entries stale, not wrong.
        let noted = self.head(tenant).await?;
        let keys: Vec<NodeKey> = missing.iter().map(|(key, _)| (*key).clone()).collect();
        let nodes = match self.database.nodes(tenant, &keys).await.map_err(internal) {
            Ok(nodes) => nodes,
            Err(error) => {
                for (_, lead) in missing {
                    lead.finish(Err(error.clone()));
                }
                return Err(error);
            }
        };
        for (((key, lead), node), fetches) in missing.into_iter().zip(nodes).zip(fetches) {
            let node = node.map(Arc::new);
            if node.is_some() {
                self.nodes.put(tenant, key, noted, node.clone());
            }
            known.insert(key, node.clone());
            lead.finish(Ok(ReadNode { noted, fetches, node }));
        }
        Ok(())
    }

    /// The node that another run read for a key, if it is still so: a fetch may write a node without telling of a
    /// change.
    async fn followed(
        &self,
        tenant: &TenantId,
        key: &NodeKey,
        follow: Follow<Result<ReadNode, PortError>>,
    ) -> Result<Option<Looked>, PortError> {
        // An abandoned run is no error: somebody else reads the node.
        let Ok(read) = follow.value().await else { return Ok(None) };
        let ReadNode { noted, fetches, node } = read?;
        let current = self.epochs.is_current(tenant, noted, [&Tag::node(tenant, key)]);
        Ok((current && fetches == self.listings.fetches(&key.integration)).then_some(node))
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
            tracing::error!(error = %chain(&error), "the store failed");
            if error.is_unavailable() { PortError::unavailable() } else { PortError::internal() }
        }
    }
}
