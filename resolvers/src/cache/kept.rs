//! What was read from the store under some tags, kept while none of them has a later epoch: the rule of the node cache, for
//! lists and for rows of our own.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use mullion_schema::id::TenantId;

use super::{
    epochs::{Epochs, Head},
    turns::{Turn, Turns},
};
use crate::tag::Tag;

/// How long anything is kept that is not asked for.
const IDLE: Duration = Duration::from_mins(10);

struct Entry<V> {
    noted: Head,
    /// The version of the tenant's epochs under which the tags were last looked at: no need to look again before the next.
    seen: AtomicU64,
    tags: Box<[Tag]>,
    bytes: u32,
    value: V,
}

/// Values in memory, bounded by bytes.
pub struct Kept<K: Eq + Hash, V> {
    entries: moka::sync::Cache<(TenantId, K), Arc<Entry<V>>, RandomState>,
    epochs: Arc<Epochs>,
    reading: Turns<(TenantId, K)>,
}

impl<K, V> Kept<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// At most about `bytes`, each value for `longest`, whether or not it is current.
    pub fn new(epochs: Arc<Epochs>, bytes: u64, longest: Option<Duration>) -> Self {
        let mut entries = moka::sync::Cache::builder()
            .weigher(|_: &(TenantId, K), entry: &Arc<Entry<V>>| entry.bytes)
            .max_capacity(bytes)
            .time_to_idle(IDLE);
        if let Some(longest) = longest {
            entries = entries.time_to_live(longest);
        }
        Self { entries: entries.build_with_hasher(RandomState::default()), epochs, reading: Turns::default() }
    }

    /// The value, where it is kept and current.
    pub fn get(&self, tenant: &TenantId, key: K) -> Option<V> {
        let entry = self.entries.get(&(tenant.clone(), key))?;
        let seen = entry.seen.load(Ordering::Relaxed);
        let version = self.epochs.still_current(tenant, (entry.noted, seen), entry.tags.iter())?;
        entry.seen.store(version, Ordering::Relaxed);
        Some(entry.value.clone())
    }

    /// The value, where it is kept and current; else the turn to read it, for which the others wait who want it too.
    pub async fn get_or_turn(&self, tenant: &TenantId, key: &K) -> Result<V, Turn<'_, (TenantId, K)>> {
        if let Some(value) = self.get(tenant, key.clone()) {
            return Ok(value);
        }
        let turn = self.reading.take((tenant.clone(), key.clone())).await;
        self.get(tenant, key.clone()).ok_or(turn)
    }

    /// Keeps what was read after `noted` was the head, with about how many bytes it takes.
    pub fn put(&self, tenant: &TenantId, key: K, (noted, tags): (Head, Vec<Tag>), (value, bytes): (V, usize)) {
        let tag_bytes: usize = tags.iter().map(|tag| tag.as_str().len() + 32).sum();
        let bytes = u32::try_from(bytes + tag_bytes + 256).unwrap_or(u32::MAX);
        let entry = Entry { noted, seen: AtomicU64::new(0), tags: tags.into(), bytes, value };
        self.entries.insert((tenant.clone(), key), Arc::new(entry));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Kept;
    use crate::{cache::epochs::Epochs, tag::Tag};

    #[test]
    fn a_value_is_given_until_one_of_its_tags_changes_and_to_its_tenant_only() {
        let epochs = Arc::new(Epochs::default());
        let kept = Kept::new(Arc::clone(&epochs), 1 << 20, None);
        let (tenant, other) = ("a".into(), "b".into());
        epochs.start(&tenant, 3);
        epochs.start(&other, 3);
        let (mine, foreign) = (Tag::own(&tenant, "Widget", "1"), Tag::own(&tenant, "Widget", "2"));
        kept.put(&tenant, "key", (3, vec![mine.clone()]), ("value", 5));
        assert_eq!(kept.get(&tenant, "key"), Some("value"));
        assert_eq!(kept.get(&other, "key"), None);
        epochs.advance(&tenant, 4, [&foreign]);
        assert_eq!(kept.get(&tenant, "key"), Some("value"));
        assert_eq!(kept.get(&tenant, "key"), Some("value"), "it was looked at under this version of the epochs before");
        epochs.advance(&tenant, 5, [&mine]);
        assert_eq!(kept.get(&tenant, "key"), None);
    }

    #[test]
    fn a_change_that_is_told_late_outdates_what_was_read_before_it() {
        let epochs = Arc::new(Epochs::default());
        let kept = Kept::new(Arc::clone(&epochs), 1 << 20, None);
        let tenant = "a".into();
        epochs.start(&tenant, 3);
        let (mine, foreign) = (Tag::own(&tenant, "Widget", "1"), Tag::own(&tenant, "Widget", "2"));
        kept.put(&tenant, "key", (3, vec![mine.clone()]), ("value", 5));
        // The ninth is told before the seventh, and the value is asked for in between.
        epochs.advance(&tenant, 9, [&foreign]);
        assert_eq!(kept.get(&tenant, "key"), Some("value"));
        epochs.advance(&tenant, 7, [&mine]);
        assert_eq!(kept.get(&tenant, "key"), None);
    }
}
