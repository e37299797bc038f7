//! Reads nodes through their cache: each is read from the store once for all who want it at the same time.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use mullion_schema::{
    error::PortError,
    id::{NodeKey, TenantId},
};

use super::CachedStore;
use crate::{
    cache::{
        epochs::Head,
        single_flight::{Follow, KeyedLead, Part},
    },
    reading::failure::internal,
    store::node::StoredNode,
    tag::Tag,
};

/// Nodes as they were read; `None`: the store has no such node.
type NodesByKey<'k> = HashMap<&'k NodeKey, Option<Arc<StoredNode>>, RandomState>;

/// The node that the store had for a key, read after a head was noted and when so many fetches of the integration had
/// been written.
#[derive(Clone)]
pub(super) struct ReadNode {
    noted: Head,
    fetches: u64,
    node: Option<Arc<StoredNode>>,
}

type Lead = KeyedLead<(TenantId, NodeKey), Result<ReadNode, PortError>>;

impl CachedStore {
    /// The nodes with these keys, in the order of the keys. Each is read once for all who want it at the same time.
    pub async fn nodes(&self, tenant: &TenantId, keys: &[NodeKey]) -> Result<Vec<Option<Arc<StoredNode>>>, PortError> {
        self.head(tenant).await?;
        let mut found: Vec<Option<Option<Arc<StoredNode>>>> =
            keys.iter().map(|key| self.nodes.get(tenant, key, &self.epochs)).collect();
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
    async fn read_missing<'k>(
        &self,
        tenant: &TenantId,
        missing: Vec<&'k NodeKey>,
    ) -> Result<NodesByKey<'k>, PortError> {
        let (mut known, mut leads, mut follows) = (NodesByKey::default(), Vec::new(), Vec::new());
        for key in missing {
            match self.node_reads.enter((tenant.clone(), key.clone())) {
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
        known: &mut NodesByKey<'k>,
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
        let fetches: Vec<u64> = missing.iter().map(|(key, _)| self.lists.fetches(&key.integration)).collect();
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
    ) -> Result<Option<Option<Arc<StoredNode>>>, PortError> {
        // An abandoned run is no error: somebody else reads the node.
        let Ok(read) = follow.value().await else { return Ok(None) };
        let ReadNode { noted, fetches, node } = read?;
        let current = self.epochs.is_current(tenant, noted, [&Tag::node(tenant, key)]);
        Ok((current && fetches == self.lists.fetches(&key.integration)).then_some(node))
    }
}
