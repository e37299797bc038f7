//! The lists that are kept in memory.
//!
//! A list is current while neither its tag nor that of any of its nodes has a later epoch. A fetch may write without telling anyone:
//! pages that were read on, fields that were learned. So fetches of an integration outdate its lists too.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use mullion_schema::{
    id::{IntegrationId, TenantId},
    ports::List,
};
use parking_lot::Mutex;

use super::cached_list::CachedList;
use crate::{
    cache::{
        epochs::{Epochs, Head},
        kept::{Kept, NewEntry},
    },
    tag::Tag,
};

/// The lists that are kept.
pub(super) struct ListCache {
    kept: Kept<List, Arc<CachedList>>,
    fetches: Mutex<HashMap<IntegrationId, u64, RandomState>>,
}

impl ListCache {
    /// At most about `bytes`.
    pub(super) fn new(epochs: Arc<Epochs>, bytes: u64) -> Self {
        Self { kept: Kept::new(epochs, bytes, None), fetches: Mutex::default() }
    }

    /// Notes that the results of a fetch were written.
    pub(super) fn fetched(&self, integration: &IntegrationId) {
        *self.fetches.lock().entry(integration.clone()).or_default() += 1;
    }

    pub(super) fn fetches(&self, integration: &IntegrationId) -> u64 {
        self.fetches.lock().get(integration).copied().unwrap_or_default()
    }

    /// A list, if it is here and current.
    pub(super) fn get(&self, tenant: &TenantId, list: &List) -> Option<Arc<CachedList>> {
        let listing = self.kept.get(tenant, list.clone())?;
        (listing.fetches == self.fetches(&list.integration)).then_some(listing)
    }

    /// Keeps a list of a tenant that was read after a head was noted, while none of its tags changes.
    pub(super) fn put(&self, tenant: &TenantId, list: &List, noted: Head, value: Arc<CachedList>) {
        let mut tags = vec![Tag::list(tenant, list), Tag::own(tenant, "Integration", list.integration.as_str())];
        tags.extend(value.items.iter().filter_map(|item| Some(item.loaded.as_ref()?.tag.clone())));
        let bytes = value.bytes();
        self.kept.put(tenant, list.clone(), NewEntry { noted, tags, value, bytes, keep: true });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mullion_schema::{
        id::{IntegrationId, TenantId},
        ports::{Filter, List},
    };

    use super::{CachedList, ListCache};
    use crate::{
        cache::epochs::Epochs,
        store::{list::Window, tests::bench::start},
        tag::Tag,
    };

    /// Lists in memory with an empty one of each of two integrations, at head 3.
    struct Kept {
        epochs: Arc<Epochs>,
        listings: ListCache,
        tenant: TenantId,
        lists: [List; 2],
    }

    impl Kept {
        fn new() -> Self {
            let (tenant, epochs) = (TenantId::from("acme"), Arc::new(Epochs::default()));
            epochs.start(&tenant, 3);
            let listings = ListCache::new(Arc::clone(&epochs), 1 << 20);
            let lists = ["one", "other"].map(|integration| List {
                integration: integration.into(),
                parent: None,
                name: "issues",
                filter: Filter::new(),
            });
            let kept = Self { epochs, listings, tenant, lists };
            for list in &kept.lists {
                kept.keep(list);
            }
            kept
        }

        fn keep(&self, list: &List) {
            let window = Window {
                next: None,
                has_gaps: false,
                boundary: None,
                exhausted: true,
                total: Some(0),
                fetched_at: start(),
                stale: false,
                opaque: None,
            };
            let fetches = self.listings.fetches(&list.integration);
            let listing = Arc::new(CachedList::new(window, Vec::new(), true, fetches));
            self.listings.put(&self.tenant, list, 3, listing);
        }

        fn has(&self) -> [bool; 2] {
            self.lists.each_ref().map(|list| self.listings.get(&self.tenant, list).is_some())
        }
    }

    #[test]
    fn a_fetch_that_nobody_is_told_of_outdates_the_lists_of_its_integration() {
        let kept = Kept::new();
        assert_eq!(kept.has(), [true, true]);
        kept.listings.fetched(&IntegrationId::from("one"));
        assert_eq!(kept.has(), [false, true], "it may have brought fields, or pages, that the list does not hold");
        kept.keep(&kept.lists[0]);
        assert_eq!(kept.has(), [true, true], "what was read after it holds them");
    }

    #[test]
    fn a_change_of_a_list_outdates_it_and_another_does_not() {
        let kept = Kept::new();
        kept.epochs.advance(&kept.tenant, 4, [&Tag::own(&kept.tenant, "Widget", "1")]);
        assert_eq!(kept.has(), [true, true]);
        kept.epochs.advance(&kept.tenant, 5, [&Tag::list(&kept.tenant, &kept.lists[1])]);
        assert_eq!(kept.has(), [true, false]);
    }
}
