//! Lists in memory: how far one was read, which nodes stand in it, and those nodes, all as they were at one head.
//!
//! What is kept is current while neither the list's tag nor that of any of its nodes has a later epoch. A fetch may write without
//! telling anyone: pages that were read on, fields that were learned. So fetches of an integration outdate its lists too.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use foldhash::fast::RandomState;
use mullion_schema::{
    error::PortError,
    fields::FieldSet,
    id::{IntegrationId, NodeKey, TenantId},
    ports::{List, Position},
    view::{Body, NodeView},
};
use parking_lot::Mutex;

use super::{
    Engine,
    cached_store::CachedStore,
    integrations::Integration,
    read_lists::{node_refs, opaque_position},
    read_nodes::{node_type, view},
    work::Facts,
};
use crate::{
    cache::{
        epochs::{Epochs, Head},
        kept::{Kept, NewEntry},
        single_flight::SingleFlight,
    },
    provider::{Keeping, NodeRef},
    store::{
        list::{Member, Window},
        node::StoredNode,
    },
    tag::Tag,
};

/// How many members are read at first of a list that goes on at the provider; all of one that was read to its end.
const FEW: usize = 200;
/// How many members are kept of a list at most: what lies beyond is read page by page.
pub(super) const MOST: usize = 1_000;
/// What an item takes beside its node, about.
const ITEM_BYTES: usize = 400;
/// Selections of fields for which it is remembered which nodes answer them.
const SELECTIONS: usize = 16;

/// A list as it was at one head.
pub(super) struct Listing {
    pub(super) window: Window,
    pub(super) items: Vec<Item>,
    /// Whether these are all.
    pub(super) complete: bool,
    /// How many fetches of the integration had been written before it was read.
    fetches: u64,
    matching: OnceLock<Box<[bool]>>,
    shown: OnceLock<Arc<[Tag]>>,
    count: OnceLock<i64>,
    unsettled: OnceLock<bool>,
    fresh: Mutex<Vec<(FieldSet, Arc<[bool]>)>>,
}

/// A place in a list.
pub(super) struct Item {
    pub(super) position: Position,
    pub(super) node: NodeRef,
    /// `None`: the store does not have it.
    pub(super) known: Option<Known>,
}

/// A node of a list, as whoever reads it sees it.
pub(super) struct Known {
    pub(super) stored: Arc<StoredNode>,
    pub(super) view: Arc<NodeView>,
    pub(super) tag: Tag,
    pub(super) facts: Facts,
}

impl Known {
    /// Whether there is nothing to show: it was deleted, or the provider does not know it.
    pub(super) fn is_gone(&self) -> bool {
        self.stored.is_deleted() || self.stored.is_unknown() || self.stored.body.is_empty()
    }
}

impl Listing {
    fn new((window, items): (Window, Vec<Item>), complete: bool, fetches: u64) -> Self {
        Self {
            window,
            items,
            complete,
            fetches,
            matching: OnceLock::new(),
            shown: OnceLock::new(),
            count: OnceLock::new(),
            unsettled: OnceLock::new(),
            fresh: Mutex::default(),
        }
    }

    /// For each item, whether it belongs to the list with its filter.
    pub(super) fn matching(&self, matches: impl Fn(&Body) -> bool) -> &[bool] {
        let matches = |item: &Item| item.known.as_ref().is_some_and(|known| matches(&known.stored.body));
        self.matching.get_or_init(|| self.items.iter().map(matches).collect())
    }

    /// The same, once somebody has asked with the filter; none before.
    pub(super) fn matched(&self) -> &[bool] {
        self.matching.get().map_or(&[], |matching| matching)
    }

    /// The tags of all that belongs to the list with its filter and can be shown.
    pub(super) fn shown(&self, matching: &[bool]) -> &Arc<[Tag]> {
        self.shown.get_or_init(|| {
            let known = self.items.iter().zip(matching).filter(|(_, matches)| **matches);
            let known = known.filter_map(|(item, _)| item.known.as_ref()).filter(|known| !known.is_gone());
            known.map(|known| known.tag.clone()).collect()
        })
    }

    /// How many belong to the list with its filter.
    pub(super) fn count(&self, matching: &[bool]) -> i64 {
        *self.count.get_or_init(|| {
            let here = |item: &Item| item.known.as_ref().is_some_and(|known| !known.stored.is_deleted());
            let matching = matching.iter().zip(&self.items);
            i64::try_from(matching.filter(|(matches, item)| **matches && here(item)).count()).unwrap_or(i64::MAX)
        })
    }

    /// For each item, whether all that these fields need is known and not out of date.
    pub(super) fn fresh(&self, integration: &Integration, fields: &FieldSet) -> Arc<[bool]> {
        if let Some((_, fresh)) = self.fresh.lock().iter().find(|(known, _)| known == fields) {
            return Arc::clone(fresh);
        }
        // A list holds nodes of one type, or of few.
        let mut needs: Vec<(&str, Option<Vec<&'static str>>)> = Vec::new();
        let mut is_fresh = |item: &Item| {
            let Some(known) = &item.known else { return false };
            let at = needs.iter().position(|(name, _)| *name == item.node.type_name).unwrap_or_else(|| {
                let kind = node_type(integration, item.node.type_name);
                needs.push((item.node.type_name, kind.map(|kind| kind.needs(fields).collect())));
                needs.len() - 1
            });
            let needs = needs.get(at).and_then(|(_, needs)| needs.as_ref());
            needs.is_none_or(|needs| known.stored.is_fresh(needs.iter().copied()))
        };
        let fresh: Arc<[bool]> = self.items.iter().map(&mut is_fresh).collect();
        let mut known = self.fresh.lock();
        if known.len() >= SELECTIONS {
            known.remove(0);
        }
        known.push((fields.clone(), Arc::clone(&fresh)));
        fresh
    }

    /// Whether it is not known of an item what it is now: whether it passes a filter must be asked first.
    pub(super) fn has_unsettled(&self) -> bool {
        *self.unsettled.get_or_init(|| {
            let mut known = self.items.iter().filter_map(|item| item.known.as_ref());
            known.any(|known| known.stored.is_stale() && !known.stored.is_deleted())
        })
    }

    fn bytes(&self) -> usize {
        // The node cache may have given a node up that the list still holds.
        let of_known = |known: &Known| known.stored.bytes() as usize + Facts::bytes(&known.stored.body);
        self.items.iter().map(|item| ITEM_BYTES + item.known.as_ref().map_or(0, of_known)).sum()
    }
}

/// The lists that are kept.
pub(super) struct Listings {
    kept: Kept<List, Arc<Listing>>,
    fetches: Mutex<HashMap<IntegrationId, u64, RandomState>>,
    /// The reads from the store that are under way: a change wakes many who show the same list, and one of
    /// them reads it.
    reading: SingleFlight<(TenantId, List), Result<Found, PortError>>,
}

/// The result of reading a list from the store.
#[derive(Clone)]
enum Found {
    /// It is kept.
    Listing(Arc<Listing>),
    /// It was never read at the provider, as far as the store told at a head and after so many fetches.
    Nothing(Head, u64),
}

impl Listings {
    /// At most about `bytes`.
    pub(super) fn new(epochs: Arc<Epochs>, bytes: u64) -> Self {
        Self { kept: Kept::new(epochs, bytes, None), fetches: Mutex::default(), reading: SingleFlight::default() }
    }

    /// What a fetch brought was written.
    pub(super) fn fetched(&self, integration: &IntegrationId) {
        *self.fetches.lock().entry(integration.clone()).or_default() += 1;
    }

    pub(super) fn fetches(&self, integration: &IntegrationId) -> u64 {
        self.fetches.lock().get(integration).copied().unwrap_or_default()
    }

    fn get(&self, tenant: &TenantId, list: &List) -> Option<Arc<Listing>> {
        let listing = self.kept.get(tenant, list.clone())?;
        (listing.fetches == self.fetches(&list.integration)).then_some(listing)
    }
}

impl Engine {
    /// A list with at least so many items, or all that are kept; `None`: it was never read.
    pub(super) async fn listing(
        &self,
        integration: &Integration,
        list: &List,
        least: usize,
    ) -> Result<Option<Arc<Listing>>, PortError> {
        let (tenant, listings) = (&integration.tenant, self.cached_store.listings());
        let reaches = |listing: &Arc<Listing>| listing.complete || listing.items.len() >= least.min(MOST);
        let look = || listings.get(tenant, list).filter(reaches).map(|listing| Ok(Found::Listing(listing)));
        let accepts = |found: &Result<Found, PortError>| match found {
            // A list that another caller read is in memory: whether it is current and reaches far enough is
            // looked at there.
            Ok(Found::Listing(_)) => false,
            Ok(Found::Nothing(noted, fetches)) => {
                let tag = Tag::list(tenant, list);
                *fetches == listings.fetches(&list.integration) && self.epochs.is_current(tenant, *noted, [&tag])
            }
            Err(_) => true,
        };
        let read = async || self.read_listing(integration, list, least).await;
        match listings.reading.share((tenant.clone(), list.clone()), look, accepts, read).await? {
            Found::Listing(listing) => Ok(Some(listing)),
            Found::Nothing(..) => Ok(None),
        }
    }

    /// Reads a list from the store, and keeps it.
    async fn read_listing(&self, integration: &Integration, list: &List, least: usize) -> Result<Found, PortError> {
        let (tenant, listings) = (&integration.tenant, self.cached_store.listings());
        let fetches = listings.fetches(&list.integration);
        let noted = self.cached_store.head(tenant).await?;
        let Some(window) = self.cached_store.window(tenant, list).await? else {
            return Ok(Found::Nothing(noted, fetches));
        };
        let (places, complete) = self.places(integration, list, &window, least).await?;
        let items = known(&self.cached_store, integration, places).await?;
        let mut tags = vec![Tag::list(tenant, list), Tag::own(tenant, "Integration", list.integration.as_str())];
        tags.extend(items.iter().filter_map(|item| Some(item.known.as_ref()?.tag.clone())));
        let listing = Arc::new(Listing::new((window, items), complete, fetches));
        let (value, bytes) = (Arc::clone(&listing), listing.bytes());
        listings.kept.put(tenant, list.clone(), NewEntry { noted, tags, value, bytes, keep: true });
        Ok(Found::Listing(listing))
    }

    /// The places of a list from its start on, and whether these are all.
    async fn places(
        &self,
        integration: &Integration,
        list: &List,
        window: &Window,
        least: usize,
    ) -> Result<(Vec<(Position, NodeRef)>, bool), PortError> {
        if integration.keeping(list) == Keeping::Opaque {
            let nodes = node_refs(integration, window).into_iter().enumerate();
            let place = |(index, node): (usize, NodeRef)| (opaque_position(index, &node.native_id), node);
            return Ok((nodes.map(place).collect(), true));
        }
        let limit = if window.exhausted || least > FEW { MOST } else { FEW };
        let members = self.cached_store.members(&integration.tenant, list, None, limit).await?;
        let complete = members.len() < limit;
        Ok((members.into_iter().filter_map(|member| placed(integration, member)).collect(), complete))
    }
}

/// A member of a type that this build knows.
pub(super) fn placed(integration: &Integration, member: Member) -> Option<(Position, NodeRef)> {
    let node_type = node_type(integration, &member.type_name)?;
    Some((member.position, NodeRef::new(node_type.name, member.native_id)))
}

async fn known(
    cached_store: &CachedStore,
    integration: &Integration,
    places: Vec<(Position, NodeRef)>,
) -> Result<Vec<Item>, PortError> {
    let key = |node: &NodeRef| NodeKey::new(&integration.id, node.type_name, Arc::clone(&node.native_id));
    let keys: Vec<NodeKey> = places.iter().map(|(_, node)| key(node)).collect();
    let stored = cached_store.nodes(&integration.tenant, &keys).await?;
    let items = places.into_iter().zip(keys).zip(stored).map(|(((position, node), key), stored)| {
        let known = stored.map(|stored| Known {
            view: Arc::new(view(&key, &stored, false, None)),
            tag: Tag::node(&integration.tenant, &key),
            facts: Facts::default(),
            stored,
        });
        Item { position, node, known }
    });
    Ok(items.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mullion_schema::{
        id::{IntegrationId, TenantId},
        ports::{Filter, List},
    };

    use super::{Listing, Listings};
    use crate::{
        cache::{epochs::Epochs, kept::NewEntry},
        store::{list::Window, tests::bench::start},
        tag::Tag,
    };

    /// Lists in memory with an empty one of each of two integrations, at head 3.
    struct Kept {
        epochs: Arc<Epochs>,
        listings: Listings,
        tenant: TenantId,
        lists: [List; 2],
    }

    impl Kept {
        fn new() -> Self {
            let (tenant, epochs) = (TenantId::from("acme"), Arc::new(Epochs::default()));
            epochs.start(&tenant, 3);
            let listings = Listings::new(Arc::clone(&epochs), 1 << 20);
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
            let listing = Arc::new(Listing::new((window, Vec::new()), true, fetches));
            let tags = vec![Tag::list(&self.tenant, list)];
            let entry = NewEntry { noted: 3, tags, value: listing, bytes: 0, keep: true };
            self.listings.kept.put(&self.tenant, list.clone(), entry);
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
