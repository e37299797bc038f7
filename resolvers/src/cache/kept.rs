//! Keeps values that were read from the store under some tags for as long as none of the tags has a later epoch: the rule of the
//! node cache, for lists and for rows of our own.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use mullion_schema::{error::PortError, id::TenantId};

use super::{
    epochs::{Epochs, Head},
    single_flight::SingleFlight,
};
use crate::tag::Tag;

/// Bytes of a row of our own in memory, about.
pub(crate) const ROW_BYTES: usize = 1_000;

/// How long anything is kept that is not asked for.
const IDLE: Duration = Duration::from_mins(10);

/// A value that was read, for the cache.
pub struct NewEntry<V> {
    /// The head that was noted before.
    pub noted: Head,
    /// The tags that it was read under.
    pub tags: Vec<Tag>,
    /// The value.
    pub value: V,
    /// How many bytes it takes, about.
    pub bytes: usize,
    /// Whether it is kept. A value that is not kept is not shared either: something about it may change without a tag.
    pub keep: bool,
}

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
    reading: SingleFlight<(TenantId, K), Result<Made<V>, PortError>>,
}

/// The result of reading: the value and whether it was kept.
#[derive(Clone)]
struct Made<V> {
    entry: Arc<Entry<V>>,
    kept: bool,
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
        Self { entries: entries.build_with_hasher(RandomState::default()), epochs, reading: SingleFlight::default() }
    }

    /// The value, where it is kept and current.
    pub fn get(&self, tenant: &TenantId, key: K) -> Option<V> {
        self.entry(tenant, key).map(|entry| entry.value.clone())
    }

    /// The value, where it is kept and current; else as `read` gives it, which runs once for all who want it at the same time. They
    /// share its error too, so that a store that does not answer is not asked by one after the other.
    pub async fn get_or_read(
        &self,
        tenant: &TenantId,
        key: &K,
        read: impl AsyncFnOnce() -> Result<NewEntry<V>, PortError>,
    ) -> Result<V, PortError> {
        let look = || self.entry(tenant, key.clone()).map(|entry| Ok(Made { entry, kept: true }));
        let accepts = |read: &Result<Made<V>, PortError>| match read {
            Ok(read) => read.kept && self.is_current(tenant, &read.entry),
            Err(_) => true,
        };
        let make = async || {
            let new = read().await?;
            let kept = new.keep;
            let entry = Arc::new(Entry::from(new));
            if kept {
                self.entries.insert((tenant.clone(), key.clone()), Arc::clone(&entry));
            }
            Ok(Made { entry, kept })
        };
        let read = self.reading.share((tenant.clone(), key.clone()), look, accepts, make).await?;
        Ok(read.entry.value.clone())
    }

    /// Keeps what was read.
    pub fn put(&self, tenant: &TenantId, key: K, new: NewEntry<V>) {
        self.entries.insert((tenant.clone(), key), Arc::new(Entry::from(new)));
    }

    fn entry(&self, tenant: &TenantId, key: K) -> Option<Arc<Entry<V>>> {
        self.entries.get(&(tenant.clone(), key)).filter(|entry| self.is_current(tenant, entry))
    }

    fn is_current(&self, tenant: &TenantId, entry: &Entry<V>) -> bool {
        let seen = entry.seen.load(Ordering::Relaxed);
        let version = self.epochs.still_current(tenant, (entry.noted, seen), entry.tags.iter());
        version.inspect(|version| entry.seen.store(*version, Ordering::Relaxed)).is_some()
    }
}

impl<V> From<NewEntry<V>> for Entry<V> {
    fn from(NewEntry { noted, tags, value, bytes, .. }: NewEntry<V>) -> Self {
        let tag_bytes: usize = tags.iter().map(|tag| tag.as_str().len() + 32).sum();
        let bytes = u32::try_from(bytes + tag_bytes + 256).unwrap_or(u32::MAX);
        Self { noted, seen: AtomicU64::new(0), tags: tags.into(), bytes, value }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use futures::future::join_all;
    use mullion_schema::error::PortError;
    use tokio::task::yield_now;

    use super::{Kept, NewEntry};
    use crate::{cache::epochs::Epochs, tag::Tag};

    fn entry(value: &'static str, tags: Vec<Tag>) -> NewEntry<&'static str> {
        NewEntry { noted: 3, tags, value, bytes: 5, keep: true }
    }

    #[tokio::test]
    async fn all_who_want_a_value_share_one_reading_and_its_error_unless_it_is_not_to_be_kept() {
        let epochs = Arc::new(Epochs::default());
        let tenant = "a".into();
        epochs.start(&tenant, 3);
        for (keep, fails, expected) in [(true, false, 1), (true, true, 1), (false, false, 50)] {
            let (kept, reads) = (Kept::new(Arc::clone(&epochs), 1 << 20, None), Cell::new(0));
            let read = || {
                kept.get_or_read(&tenant, &"key", async || {
                    reads.set(reads.get() + 1);
                    yield_now().await;
                    if fails { Err(PortError::internal()) } else { Ok(NewEntry { keep, ..entry("value", Vec::new()) }) }
                })
            };
            let all = join_all((0..50).map(|_| read())).await;
            assert!(all.iter().all(|one| one.as_ref().ok() == (!fails).then_some(&"value")), "{keep} {fails}");
            assert_eq!(reads.get(), expected, "{keep} {fails}");
        }
    }

    #[tokio::test]
    async fn a_reading_that_began_before_a_change_is_not_shared_by_who_asks_after_it() {
        let epochs = Arc::new(Epochs::default());
        let kept = Kept::new(Arc::clone(&epochs), 1 << 20, None);
        let tenant = "a".into();
        epochs.start(&tenant, 3);
        let tag = Tag::own(&tenant, "Widget", "1");
        let (before, after) = (
            kept.get_or_read(&tenant, &"key", async || {
                yield_now().await;
                Ok(entry("before", vec![tag.clone()]))
            }),
            async {
                epochs.advance(&tenant, 4, [&tag]);
                let read = async || Ok(NewEntry { noted: 4, ..entry("after", vec![tag.clone()]) });
                kept.get_or_read(&tenant, &"key", read).await
            },
        );
        let (before, after) = futures::join!(before, after);
        assert_eq!((before.ok(), after.ok()), (Some("before"), Some("after")));
    }

    #[test]
    fn a_value_is_given_until_one_of_its_tags_changes_and_to_its_tenant_only() {
        let epochs = Arc::new(Epochs::default());
        let kept = Kept::new(Arc::clone(&epochs), 1 << 20, None);
        let (tenant, other) = ("a".into(), "b".into());
        epochs.start(&tenant, 3);
        epochs.start(&other, 3);
        let (mine, foreign) = (Tag::own(&tenant, "Widget", "1"), Tag::own(&tenant, "Widget", "2"));
        kept.put(&tenant, "key", entry("value", vec![mine.clone()]));
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
        kept.put(&tenant, "key", entry("value", vec![mine.clone()]));
        // The ninth is told before the seventh, and the value is asked for in between.
        epochs.advance(&tenant, 9, [&foreign]);
        assert_eq!(kept.get(&tenant, "key"), Some("value"));
        epochs.advance(&tenant, 7, [&mine]);
        assert_eq!(kept.get(&tenant, "key"), None);
    }
}
