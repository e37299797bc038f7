//! A page of a list that is in memory, where nothing has to be asked for.

use std::sync::Arc;

use mullion_schema::ports::Position;

use super::{ListPart, ListReader, covers};
use crate::{
    provider::Keeping,
    reading::{
        age_limit::AgeLimit,
        cached_store::cached_list::{CachedItem, CachedList, ListedNode},
        failure::withheld,
        list_items::opaque_position,
    },
};

impl ListReader<'_> {
    /// The page, where everything that it shows is in memory and nothing has to be asked for.
    pub(super) fn page_in_memory(&self, cached: &CachedList) -> Option<ListPart> {
        let filtered = !self.query.list.filter.is_empty();
        if self.failure.is_some() || !self.scope.takes_lists_at_hand() || (filtered && cached.has_unsettled()) {
            return None;
        }
        let (items, has_next) = match self.integration.keeping(&self.query.list) {
            Keeping::Opaque => self.opaque_in_memory(cached)?,
            Keeping::Window => self.window_in_memory(cached)?,
        };
        let total = match (self.integration.keeping(&self.query.list), cached.window.exhausted) {
            (Keeping::Window, true) if cached.complete && !cached.window.has_gaps => {
                Some(cached.count(cached.matching(|body| self.matches(body))))
            }
            _ => cached.window.total,
        };
        self.scope.record_all(items.iter().map(|(_, known)| known.tag.clone()));
        let items = items.into_iter().map(|(position, known)| (position, Arc::clone(&known.view))).collect();
        let failure = cached.window.has_gaps.then(|| withheld(&self.integration));
        let (is_cut, refreshed_at) = (failure.is_some(), Some(cached.window.fetched_at));
        Some(ListPart { items, has_next, total, refreshed_at, failure, is_cut })
    }

    fn opaque_in_memory<'l>(&self, cached: &'l CachedList) -> Option<(Vec<(Position, &'l ListedNode)>, bool)> {
        let start = self.opaque_start();
        let goes_on = !cached.window.exhausted;
        if goes_on && cached.items.len() < start + self.query.first {
            return None;
        }
        let fresh = cached.fresh(&self.integration, &self.query.fields);
        let page = cached.items.iter().zip(fresh.iter()).skip(start).take(self.query.first);
        let limit = self.engine.list_age_limit(self.scope, &self.integration, &self.query.list);
        let known: Option<Vec<&ListedNode>> = page.map(|(item, fresh)| usable(limit, item, *fresh)).collect();
        let known = known?.into_iter().filter(|known| !known.is_gone()).enumerate();
        let items = known.map(|(index, known)| (opaque_position(start + index, &known.view.key.native_id), known));
        Some((items.collect(), goes_on || cached.items.len() > start + self.query.first))
    }

    fn window_in_memory<'l>(&self, cached: &'l CachedList) -> Option<(Vec<(Position, &'l ListedNode)>, bool)> {
        let window = &cached.window;
        let after = self.query.after.as_ref();
        let start = after.map_or(0, |after| cached.items.partition_point(|item| item.position <= *after));
        let fresh = cached.fresh(&self.integration, &self.query.fields);
        let matching = cached.matching(|body| self.matches(body));
        let mut items: Vec<(Position, &ListedNode)> = Vec::with_capacity(self.query.first + 1);
        let mut covered = true;
        let limit = self.engine.list_age_limit(self.scope, &self.integration, &self.query.list);
        for ((item, fresh), matches) in cached.items.iter().zip(fresh.iter()).zip(matching).skip(start) {
            covered = covers(Some(window), &item.position);
            if !covered || items.len() > self.query.first {
                break;
            }
            let known = usable(limit, item, *fresh)?;
            if *matches && !known.is_gone() {
                items.push((item.position.clone(), known));
            }
        }
        let full = items.len() > self.query.first;
        let at_end = !covered || cached.complete;
        let goes_on = !window.exhausted && window.next.is_some();
        // Where the window ends too early, the next page is read; where what is kept ends, the store is.
        if !full && (!at_end || (goes_on && items.len() < self.query.first)) {
            return None;
        }
        items.truncate(self.query.first);
        Some((items, full || goes_on))
    }
}

/// The node of an item, if it answers as it is.
fn usable(limit: AgeLimit, item: &CachedItem, fresh: bool) -> Option<&ListedNode> {
    let known = item.loaded.as_ref()?;
    limit.admits(&known.stored, || fresh).then_some(known)
}
