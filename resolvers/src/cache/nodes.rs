//! The node cache: stored nodes by key, bounded by bytes, each a hit only while its tag has no later epoch.

use std::sync::Arc;

use foldhash::fast::RandomState;
use mullion_schema::id::{NodeKey, TenantId};

use super::epochs::{Epochs, Head};
use crate::{store::node::StoredNode, tag::Tag};

/// The cost of an entry beside its body: keys, stamps, the cache's own book-keeping.
const OVERHEAD: u32 = 400;

#[derive(Clone)]
struct Entry {
    noted: Head,
    tag: Tag,
    node: Option<Arc<StoredNode>>,
}

fn weight(entry: &Entry) -> u32 {
    entry.node.as_ref().map_or(OVERHEAD, |node| node.bytes().saturating_add(OVERHEAD))
}

/// Nodes in memory.
pub struct NodeCache {
    entries: moka::sync::Cache<(TenantId, NodeKey), Entry, RandomState>,
    bytes: u64,
}

impl NodeCache {
    /// A cache of about this many bytes.
    pub fn new(bytes: u64) -> Self {
        let entries = moka::sync::Cache::builder()
            .weigher(|_: &(TenantId, NodeKey), entry: &Entry| weight(entry))
            .max_capacity(bytes)
            .build_with_hasher(RandomState::default());
        Self { entries, bytes }
    }

    /// How much it may hold.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The node, where it is cached and current: `Some(None)` says that the store has none.
    pub fn get(&self, tenant: &TenantId, key: &NodeKey, epochs: &Epochs) -> Option<Option<Arc<StoredNode>>> {
        let entry = self.entries.get(&(tenant.clone(), key.clone()))?;
        epochs.is_current(tenant, entry.noted, [&entry.tag]).then_some(entry.node)
    }

    /// Keeps what the store had at `noted`, unless something newer is there.
    pub fn put(&self, tenant: &TenantId, key: &NodeKey, noted: Head, node: Option<Arc<StoredNode>>) {
        let name = (tenant.clone(), key.clone());
        if self.entries.get(&name).is_none_or(|entry| entry.noted <= noted) {
            self.entries.insert(name, Entry { noted, tag: Tag::node(tenant, key), node });
        }
    }

    /// Forgets a node: it was written without a change in the stream (a first fill).
    pub fn forget(&self, tenant: &TenantId, key: &NodeKey) {
        self.entries.invalidate(&(tenant.clone(), key.clone()));
    }
}

#[cfg(test)]
mod tests {
    use mullion_schema::id::{NodeKey, TenantId};

    use super::NodeCache;
    use crate::{cache::epochs::Epochs, tag::Tag};

    #[test]
    fn a_value_that_was_read_before_a_change_and_kept_after_it_is_never_served() {
        let (cache, epochs) = (NodeCache::new(1 << 20), Epochs::default());
        let tenant: TenantId = "t".into();
        let key = NodeKey::new(&"i".into(), "Issue", "I_1");
        epochs.start(&tenant, 7);
        let noted = epochs.head(&tenant).unwrap();
        // Between the read and the keeping of it, the node changes.
        epochs.advance(&tenant, 8, [&Tag::node(&tenant, &key)]);
        cache.put(&tenant, &key, noted, None);
        assert!(cache.get(&tenant, &key, &epochs).is_none());
        cache.put(&tenant, &key, 8, None);
        assert!(cache.get(&tenant, &key, &epochs).is_some_and(|node| node.is_none()));
        assert!(cache.get(&"other".into(), &key, &epochs).is_none());
    }
}
