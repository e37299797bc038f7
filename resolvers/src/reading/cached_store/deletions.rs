//! Whether things were deleted, kept in memory also for those of which nothing is stored: a widget asks it of each of its containers,
//! whenever it is executed.

use mullion_schema::{
    error::PortError,
    id::{NodeKey, TenantId},
};

use super::CachedStore;
use crate::{cache::kept::NewEntry, tag::Tag};

/// Bytes of what is kept of one thing, about.
const ENTRY_BYTES: usize = 250;
/// Bytes of all that is kept: of a few thousand things.
pub(super) const BYTES: u64 = 1 << 20;

impl CachedStore {
    /// Whether these nodes were deleted, in the order of the keys. Each deletion is announced as a change of its node, so the answer
    /// can be kept under the node's tag.
    pub async fn are_deleted(&self, tenant: &TenantId, keys: &[NodeKey]) -> Result<Vec<bool>, PortError> {
        let at_hand = |key: &NodeKey| {
            let node = self.node_at_hand(tenant, key).map(|node| node.is_deleted());
            node.or_else(|| self.deletions.get(tenant, key.clone()))
        };
        let mut found: Vec<Option<bool>> = keys.iter().map(at_hand).collect();
        let missing: Vec<NodeKey> =
            keys.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(key, _)| key.clone()).collect();
        if !missing.is_empty() {
            let noted = self.head(tenant).await?;
            let mut read = missing.iter().zip(self.nodes(tenant, &missing).await?);
            for slot in found.iter_mut().filter(|slot| slot.is_none()) {
                let Some((key, node)) = read.next() else { break };
                let value = node.is_some_and(|node| node.is_deleted());
                let tags = vec![Tag::node(tenant, key)];
                self.deletions.put(
                    tenant,
                    key.clone(),
                    NewEntry { noted, tags, value, bytes: ENTRY_BYTES, keep: true },
                );
                *slot = Some(value);
            }
        }
        Ok(found.into_iter().map(|is_deleted| is_deleted.unwrap_or(false)).collect())
    }
}
