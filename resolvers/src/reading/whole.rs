//! Lists that are in memory to their end, for who looks at all of their items: no pages, no copies.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mullion_schema::ports::{ListQuery, Position};

use super::{
    Engine, Scope,
    integrations::Integration,
    listing::{Known, Listing},
    read_nodes::Trust,
};
use crate::{provider::Keeping, store, tag::Tag};

/// A list, all of it.
pub(super) struct Whole {
    listing: Arc<Listing>,
    fresh: Arc<[bool]>,
    trust: Trust,
    pub(super) integration: Arc<Integration>,
}

impl Engine {
    /// A list with its filter, where all of it is kept here and it was read lately. `None`: it is to be read page by page; also
    /// where the store failed, which that reading meets as well and reports.
    pub(super) async fn whole_list(&self, scope: &Scope, query: &ListQuery) -> Option<Whole> {
        let list = &query.list;
        let integration = self.directory.get(&scope.tenant, &list.integration).await.ok()??;
        if integration.keeping(list) != Keeping::Window || !scope.takes_lists_at_hand() {
            return None;
        }
        let listing = self.listing(&integration, list, 1).await.ok()??;
        let fresh = scope.trusts(&integration, &listing.window, self.clock.now());
        let filtered = !list.filter.is_empty();
        if !fresh || !listing.window.exhausted || !listing.complete || (filtered && listing.has_unsettled()) {
            return None;
        }
        let name = store::list::list_ref(list);
        listing.matching(|body| !filtered || integration.provider.matches(&name, &list.filter, body));
        scope.record(Tag::list(&scope.tenant, list));
        let fresh = listing.fresh(&integration, &query.fields);
        let trust = self.trust(scope, &integration);
        Some(Whole { listing, fresh, trust, integration })
    }
}

impl Whole {
    /// What the list shows, in order. `None`: something has to be asked for, so that it is to be read page by page.
    pub(super) fn items(&self) -> impl Iterator<Item = Option<(&Position, &Known)>> {
        let matching = self.listing.matched();
        let items = self.listing.items.iter().zip(self.fresh.iter()).zip(matching);
        items.filter_map(|((item, fresh), matches)| {
            let Some(known) = item.known.as_ref().filter(|known| self.trust.suffices(&known.stored, || *fresh)) else {
                return Some(None);
            };
            (*matches && !known.is_gone()).then_some(Some((&item.position, known)))
        })
    }

    /// When it was read or confirmed.
    pub(super) fn refreshed_at(&self) -> DateTime<Utc> {
        self.listing.window.fetched_at
    }

    /// How many there are.
    pub(super) fn count(&self) -> i64 {
        self.listing.count(self.listing.matched())
    }

    /// The tags of all that it shows.
    pub(super) fn tags(&self) -> &Arc<[Tag]> {
        self.listing.shown(self.listing.matched())
    }
}
