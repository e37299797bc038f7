//! A list in memory: how far it was read, and its items with their nodes, all as they were at one head; and what readers have found
//! out about all of that.

use std::sync::{Arc, OnceLock};

use mullion_schema::{
    fields::FieldSet,
    ports::Position,
    view::{Body, NodeView},
};
use parking_lot::Mutex;

use super::derived::DerivedFacts;
use crate::{
    provider::NodeRef,
    reading::integrations::Integration,
    store::{list::Window, node::StoredNode},
    tag::Tag,
};

/// About how many bytes an item takes beside its node.
const ITEM_BYTES: usize = 400;
/// Selections of fields for which it is remembered which nodes answer them.
const SELECTIONS: usize = 16;

/// A list as it was at one head.
pub(in crate::reading) struct CachedList {
    pub(in crate::reading) window: Window,
    pub(in crate::reading) items: Vec<CachedItem>,
    /// Whether these are all.
    pub(in crate::reading) complete: bool,
    /// How many fetches of the integration had been written before it was read.
    pub(super) fetches: u64,
    matching: OnceLock<Box<[bool]>>,
    shown: OnceLock<Arc<[Tag]>>,
    count: OnceLock<i64>,
    unsettled: OnceLock<bool>,
    fresh: Mutex<Vec<(FieldSet, Arc<[bool]>)>>,
}

/// An item of a list.
pub(in crate::reading) struct CachedItem {
    pub(in crate::reading) position: Position,
    pub(in crate::reading) node: NodeRef,
    /// `None`: the store does not have it.
    pub(in crate::reading) loaded: Option<ListedNode>,
}

/// A node of a list with what is made of it for readers.
pub(in crate::reading) struct ListedNode {
    pub(in crate::reading) stored: Arc<StoredNode>,
    pub(in crate::reading) view: Arc<NodeView>,
    pub(in crate::reading) tag: Tag,
    pub(in crate::reading) facts: DerivedFacts,
}

impl ListedNode {
    /// Whether there is nothing to show: it was deleted, or the provider does not know it.
    pub(in crate::reading) fn is_gone(&self) -> bool {
        self.stored.is_deleted() || self.stored.is_unknown() || self.stored.body.is_empty()
    }
}

impl CachedList {
    pub(super) fn new(window: Window, items: Vec<CachedItem>, complete: bool, fetches: u64) -> Self {
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
    pub(in crate::reading) fn matching(&self, matches: impl Fn(&Body) -> bool) -> &[bool] {
        let matches = |item: &CachedItem| item.loaded.as_ref().is_some_and(|known| matches(&known.stored.body));
        self.matching.get_or_init(|| self.items.iter().map(matches).collect())
    }

    /// The same, once somebody has asked with the filter; none before.
    pub(in crate::reading) fn matched(&self) -> &[bool] {
        self.matching.get().map_or(&[], |matching| matching)
    }

    /// The tags of all that belongs to the list with its filter and can be shown.
    pub(in crate::reading) fn shown(&self, matching: &[bool]) -> &Arc<[Tag]> {
        self.shown.get_or_init(|| {
            let known = self.items.iter().zip(matching).filter(|(_, matches)| **matches);
            let known = known.filter_map(|(item, _)| item.loaded.as_ref()).filter(|known| !known.is_gone());
            known.map(|known| known.tag.clone()).collect()
        })
    }

    /// How many belong to the list with its filter.
    pub(in crate::reading) fn count(&self, matching: &[bool]) -> i64 {
        *self.count.get_or_init(|| {
            let here = |item: &CachedItem| item.loaded.as_ref().is_some_and(|known| !known.stored.is_deleted());
            let matching = matching.iter().zip(&self.items);
            i64::try_from(matching.filter(|(matches, item)| **matches && here(item)).count()).unwrap_or(i64::MAX)
        })
    }

    /// For each item, whether all that these fields need is known and not out of date.
    pub(in crate::reading) fn fresh(&self, integration: &Integration, fields: &FieldSet) -> Arc<[bool]> {
        if let Some((_, fresh)) = self.fresh.lock().iter().find(|(known, _)| known == fields) {
            return Arc::clone(fresh);
        }
        // A list holds nodes of one type, or of few.
        let mut needs: Vec<(&str, Option<Vec<&'static str>>)> = Vec::new();
        let mut is_fresh = |item: &CachedItem| {
            let Some(known) = &item.loaded else { return false };
            let at = needs.iter().position(|(name, _)| *name == item.node.type_name).unwrap_or_else(|| {
                let kind = integration.node_type(item.node.type_name);
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
    pub(in crate::reading) fn has_unsettled(&self) -> bool {
        *self.unsettled.get_or_init(|| {
            let mut known = self.items.iter().filter_map(|item| item.loaded.as_ref());
            known.any(|known| known.stored.is_stale() && !known.stored.is_deleted())
        })
    }

    /// About how many bytes of memory it takes beside the node cache.
    pub(super) fn bytes(&self) -> usize {
        // The node cache may have given a node up that the list still holds.
        let of_known = |known: &ListedNode| known.stored.bytes() as usize + DerivedFacts::bytes(&known.stored.body);
        self.items.iter().map(|item| ITEM_BYTES + item.loaded.as_ref().map_or(0, of_known)).sum()
    }
}
