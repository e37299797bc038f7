//! Lists that are in memory to their end, for readers of all of their items: no pages, no copies.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mullion_schema::ports::{ListQuery, Position};

use super::{
    Engine,
    age_limit::AgeLimit,
    cached_store::cached_list::{CachedList, ListedNode},
    integrations::Integration,
    scope::Scope,
};
use crate::{provider::Keeping, store, tag::Tag};

/// A list with all of its items.
pub(super) struct CompleteList {
    cached: Arc<CachedList>,
    fresh: Arc<[bool]>,
    limit: AgeLimit,
    pub(super) integration: Arc<Integration>,
}

impl Engine {
    /// A list with its filter, where all of it is kept here and it was read lately. `None`: it is to be read page by page; also
    /// where the store failed, which that reading meets as well and reports.
    pub(super) async fn complete_list(&self, scope: &Scope, query: &ListQuery) -> Option<CompleteList> {
        let list = &query.list;
        let integration = self.directory.get(&scope.tenant, &list.integration).await.ok()??;
        if integration.keeping(list) != Keeping::Window || !scope.takes_lists_at_hand() {
            return None;
        }
        let cached = self.cached_store.list(&integration, list, 1).await.ok()??;
        let limit = self.list_age_limit(scope, &integration, list);
        let filtered = !list.filter.is_empty();
        if !limit.admits_list(&cached.window)
            || !cached.window.exhausted
            || !cached.complete
            || (filtered && cached.has_unsettled())
        {
            return None;
        }
        let name = store::list::list_ref(list);
        cached.matching(|body| !filtered || integration.provider.matches(&name, &list.filter, body));
        scope.record(Tag::list(&scope.tenant, list));
        let fresh = cached.fresh(&integration, &query.fields);
        Some(CompleteList { cached, fresh, limit, integration })
    }
}

impl CompleteList {
    /// The items that the list shows, in order. `None`: something has to be asked for, so the list is to be read page by page.
    pub(super) fn items(&self) -> impl Iterator<Item = Option<(&Position, &ListedNode)>> {
        let matching = self.cached.matched();
        let items = self.cached.items.iter().zip(self.fresh.iter()).zip(matching);
        items.filter_map(|((item, fresh), matches)| {
            let Some(known) = item.loaded.as_ref().filter(|known| self.limit.admits(&known.stored, || *fresh)) else {
                return Some(None);
            };
            (*matches && !known.is_gone()).then_some(Some((&item.position, known)))
        })
    }

    /// When it was read or confirmed.
    pub(super) fn refreshed_at(&self) -> DateTime<Utc> {
        self.cached.window.fetched_at
    }

    /// How many there are.
    pub(super) fn count(&self) -> i64 {
        self.cached.count(self.cached.matched())
    }

    /// The tags of all that it shows.
    pub(super) fn tags(&self) -> &Arc<[Tag]> {
        self.cached.shown(self.cached.matched())
    }
}
