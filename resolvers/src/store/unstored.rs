//! Nodes as they would be after a fetch that cannot be written.

use std::collections::BTreeSet;

use mullion_schema::id::{IntegrationId, TenantId};

use super::{
    Database,
    apply::Batch,
    merge::{Origin, Source, mark_unknown, merge},
    node::{StoredNode, load, stored},
    text::is_storable,
};
use crate::{error_chain::chain, provider::NodeRef};

impl Database {
    /// The nodes of a fetch's batch, merged with what is stored of them. Nodes that cannot be read count as not known.
    pub async fn merged(&self, tenant: &TenantId, integration: &IntegrationId, batch: &Batch) -> Vec<StoredNode> {
        let writes = || batch.changes.iter().flat_map(|change| &change.writes).filter(|write| is_storable(&write.node));
        let unknown = || batch.unknown.iter().filter(|node| is_storable(node));
        let named: BTreeSet<NodeRef> = writes().map(|write| &write.node).chain(unknown()).cloned().collect();
        let named: Vec<NodeRef> = named.into_iter().collect();
        let known = load(&self.0.reader, tenant, integration, &named).await;
        let mut states = known.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "what is stored of fetched nodes cannot be read");
            std::collections::HashMap::default()
        });
        let origin = Origin { source: Source::Provider, at: batch.received_at };
        for write in writes() {
            let merged = merge(states.get(&write.node), write, origin);
            states.insert(write.node.clone(), merged.state);
        }
        for node in unknown() {
            let marked = mark_unknown(states.get(node), origin.at);
            states.insert(node.clone(), marked.state);
        }
        states.into_iter().map(|(node, state)| stored(integration, &node, state)).collect()
    }
}
