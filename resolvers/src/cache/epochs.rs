//! Epochs: for each tag, the head of the tenant's stream at which it last changed.
//!
//! A reader notes the head before it reads. The value it read is current only while none of its tags has a later epoch, so one
//! that was loaded before an invalidation and cached after it is never served, and no index from tags to keys is needed.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use mullion_schema::id::TenantId;
use parking_lot::RwLock;

use crate::tag::Tag;

/// Over this many tags a tenant's table is forgotten and its floor raised: older entries are read again, nothing is served stale.
const TAGS_PER_TENANT: usize = 200_000;

/// A position in a tenant's stream.
pub type Head = i64;

#[derive(Debug, Default)]
struct TenantEpochs {
    head: Head,
    floor: Head,
    tags: HashMap<Tag, Head, RandomState>,
    /// How many changes were taken in, from 1 on: while it is the same, so is every answer.
    version: u64,
}

/// The epochs of all tenants that were seen since the start.
#[derive(Debug, Default)]
pub struct Epochs {
    tenants: RwLock<HashMap<TenantId, TenantEpochs>>,
}

impl Epochs {
    /// The tenant's head as far as this process knows; `None` before [`Epochs::start`].
    pub fn head(&self, tenant: &TenantId) -> Option<Head> {
        self.tenants.read().get(tenant).map(|epochs| epochs.head)
    }

    /// Starts a tenant at the head that the store gave. Nothing that was noted before it counts as current.
    pub fn start(&self, tenant: &TenantId, head: Head) {
        self.tenants.write().entry(tenant.clone()).or_insert_with(|| TenantEpochs {
            head,
            floor: head,
            tags: HashMap::default(),
            version: 1,
        });
    }

    /// Takes in a change at `position`. Positions may come out of order; a tag's epoch only rises.
    pub fn advance<'a>(&self, tenant: &TenantId, position: Head, tags: impl IntoIterator<Item = &'a Tag>) {
        let mut tenants = self.tenants.write();
        let Some(epochs) = tenants.get_mut(tenant) else { return };
        epochs.head = epochs.head.max(position);
        epochs.version += 1;
        if epochs.tags.len() > TAGS_PER_TENANT {
            epochs.tags.clear();
            epochs.floor = epochs.head;
        }
        for tag in tags {
            let epoch = epochs.tags.entry(tag.clone()).or_insert(position);
            *epoch = (*epoch).max(position);
        }
    }

    /// Forgets a tenant's epochs at `head`: nothing that was noted before it counts as current.
    pub fn forget(&self, tenant: &TenantId, head: Head) {
        if let Some(epochs) = self.tenants.write().get_mut(tenant) {
            epochs.head = epochs.head.max(head);
            epochs.floor = epochs.head;
            epochs.version += 1;
            epochs.tags.clear();
        }
    }

    /// Whether something read at head `noted` under these tags is still current.
    pub fn is_current<'a>(&self, tenant: &TenantId, noted: Head, tags: impl IntoIterator<Item = &'a Tag>) -> bool {
        self.tenants.read().get(tenant).is_some_and(|epochs| epochs.is_current(noted, tags))
    }

    /// The same for something that is asked about again and again: the version under which it is current, to be given as `seen`
    /// the next time (0 the first time). While nothing changed in between, the tags need no look.
    pub fn still_current<'a>(
        &self,
        tenant: &TenantId,
        (noted, seen): (Head, u64),
        tags: impl IntoIterator<Item = &'a Tag>,
    ) -> Option<u64> {
        let tenants = self.tenants.read();
        let epochs = tenants.get(tenant)?;
        (epochs.version == seen || epochs.is_current(noted, tags)).then_some(epochs.version)
    }
}

impl TenantEpochs {
    fn is_current<'a>(&self, noted: Head, tags: impl IntoIterator<Item = &'a Tag>) -> bool {
        if noted >= self.head {
            return true;
        }
        noted >= self.floor && tags.into_iter().all(|tag| self.tags.get(tag).is_none_or(|epoch| *epoch <= noted))
    }
}

#[cfg(test)]
mod tests {
    use super::Epochs;
    use crate::tag::Tag;

    #[test]
    fn what_was_noted_before_a_change_is_not_current_after_it() {
        let epochs = Epochs::default();
        let (tenant, other) = ("a".into(), "b".into());
        let (changed, quiet) = (Tag::own(&tenant, "Widget", "1"), Tag::own(&tenant, "Widget", "2"));
        assert!(!epochs.is_current(&tenant, 5, [&quiet]), "an unknown tenant has nothing current");
        epochs.start(&tenant, 5);
        epochs.start(&other, 0);
        assert!(epochs.is_current(&tenant, 5, [&changed, &quiet]));
        epochs.advance(&tenant, 6, [&changed]);
        assert!(!epochs.is_current(&tenant, 5, [&quiet, &changed]));
        assert!(epochs.is_current(&tenant, 5, [&quiet]));
        assert!(epochs.is_current(&tenant, 6, [&changed]));
        assert_eq!(epochs.head(&other), Some(0));
    }

    #[test]
    fn a_late_change_does_not_lower_an_epoch() {
        let epochs = Epochs::default();
        let tenant = "a".into();
        let tag = Tag::own(&tenant, "Widget", "1");
        epochs.start(&tenant, 0);
        epochs.advance(&tenant, 9, [&tag]);
        epochs.advance(&tenant, 7, [&tag]);
        assert!(!epochs.is_current(&tenant, 8, [&tag]));
        assert_eq!(epochs.head(&tenant), Some(9));
    }
}
