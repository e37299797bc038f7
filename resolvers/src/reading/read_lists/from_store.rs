//! A page of a list from the store, for which further pages are fetched where the window ends too early.

use std::{collections::BTreeMap, sync::Arc};

use mullion_schema::{error::PortError, id::NodeKey, ports::Position};

use super::{ListPart, ListReader, ReadItem, covers};
use crate::{
    provider::NodeRef,
    reading::{
        cached_store::lists::MOST_ITEMS,
        failure::{too_far, withheld},
        list_items::{known_item, opaque_items, opaque_position},
        read_nodes::NodeWant,
    },
    store::{list::Window, node::StoredNode},
    upstream::UpstreamErrorKind,
};

/// The fields that lists are filtered by.
const FILTERED: [&str; 6] = ["state", "conclusion", "branch", "labels", "assignees", "completed"];
/// How many provider pages one read may fetch: 1,000 items. Items beyond those are reached by paging on.
const PAGES_PER_READ: usize = 10;
/// The same while nothing of the page was found yet: it lies far behind what was read, or the list had to be read again.
const PAGES_TO_REACH: usize = 30;
/// How many members are looked at in one go.
const CHUNK: usize = 200;

impl ListReader<'_> {
    /// The cursor to read on with, where the page needs it and the provider can be asked.
    fn next(&self, window: Option<&Window>, found: usize) -> Option<String> {
        let most = if found == 0 { PAGES_TO_REACH } else { PAGES_PER_READ };
        let more = self.failure.is_none() && found < self.query.first && self.pages < most;
        window.filter(|_| more)?.next.clone()
    }

    /// Fetches the next page; the list from its start, where the provider no longer accepts the cursor.
    async fn read_on(&mut self, next: String) {
        let noted = self.engine.fetcher.moment(&self.integration.id);
        self.fetch(Some(next), noted, false).await;
        let expired = self.failure.as_ref().is_some_and(|error| error.kind == UpstreamErrorKind::CursorExpired);
        if self.failure.is_none() {
            // A page that is not in the store does not bring the list any further.
            self.failure = self.scope.fetches.lost_page(&self.list, &self.query.list.filter);
        }
        if expired && !self.restarted {
            self.restarted = true;
            let noted = self.engine.fetcher.moment(&self.integration.id);
            self.fetch(None, noted, false).await;
        }
    }

    pub(super) async fn read_opaque(&mut self, mut window: Window) -> Result<ListPart, PortError> {
        let start = self.opaque_start();
        let mut ids = opaque_items(&self.integration, &window);
        while let Some(next) = self.next(Some(&window), ids.len().saturating_sub(start)) {
            self.read_on(next).await;
            let Some(read) = self.window().await? else { break };
            window = read;
            ids = opaque_items(&self.integration, &window);
        }
        let count = ids.len();
        self.is_cut |= self.failure.is_some() && !window.exhausted && count < start + self.query.first;
        let ids: Vec<NodeRef> = ids.into_iter().skip(start).take(self.query.first).collect();
        let views = self.views(ids).await?.into_iter().enumerate();
        let page = views.map(|(index, (node, view))| (opaque_position(start + index, &node.native_id), view));
        Ok(ListPart {
            items: self.shown(page),
            has_next: !window.exhausted || count > start + self.query.first,
            total: window.total,
            refreshed_at: Some(window.fetched_at),
            failure: window.has_gaps.then(|| withheld(&self.integration)),
            ..ListPart::default()
        })
    }

    pub(super) fn opaque_start(&self) -> usize {
        self.query.after.as_ref().and_then(|after| after.sort.parse::<usize>().ok()).map_or(0, |at| at + 1)
    }

    /// Walks the window's members in order until the page is full, reading more pages where the window ends too early.
    pub(super) async fn read_window(&mut self, mut window: Option<Window>) -> Result<ListPart, PortError> {
        let mut after = self.query.after.clone();
        let mut items: Vec<(Position, ReadItem)> = Vec::new();
        loop {
            let members =
                self.engine.cached_store.members(&self.scope.tenant, &self.query.list, after.as_ref(), CHUNK).await?;
            let walked_all = members.len() < CHUNK;
            let mut covered = members;
            covered.retain(|member| covers(window.as_ref(), &member.position));
            let left_window = covered.len() < CHUNK;
            after = covered.last().map(|member| member.position.clone()).or(after);
            let covered = covered.into_iter().filter_map(|member| known_item(&self.integration, member));
            items.extend(self.matching(covered.collect()).await?);
            let complete = walked_all && window.as_ref().is_none_or(|window| window.exhausted);
            if complete || items.len() > self.query.first {
                break;
            }
            if left_window {
                // The window ends here, the list does not. A page that is just full needs no more: that the list goes on is known.
                let Some(next) = self.next(window.as_ref(), items.len()) else { break };
                self.read_on(next).await;
                window = self.window().await?;
            }
        }
        let goes_on = window.as_ref().is_some_and(|window| !window.exhausted);
        self.is_cut |= self.failure.is_some() && goes_on && items.len() < self.query.first;
        let has_next = goes_on || items.len() > self.query.first;
        items.truncate(self.query.first);
        let items = self.shown(items);
        if items.is_empty() && goes_on && self.failure.is_none() && self.lost.is_none() {
            // A page without items has no cursor to go on with.
            self.lost = Some(too_far(&self.integration));
            self.is_cut = true;
        }
        let total = self.total(window.as_ref()).await?;
        let failure = window.as_ref().filter(|window| window.has_gaps).map(|_| withheld(&self.integration));
        let refreshed_at = window.map(|window| window.fetched_at);
        Ok(ListPart { items, has_next, total, refreshed_at, failure, ..ListPart::default() })
    }

    async fn matching(&self, members: Vec<(Position, NodeRef)>) -> Result<Vec<(Position, ReadItem)>, PortError> {
        let positions: BTreeMap<NodeRef, Position> =
            members.iter().map(|(position, node)| (node.clone(), position.clone())).collect();
        let keys: Vec<NodeKey> = members.iter().map(|(_, node)| self.integration.key_of(node)).collect();
        self.settle(&self.engine.cached_store.nodes(&self.scope.tenant, &keys).await?).await;
        let views = self.views(members.into_iter().map(|(_, node)| node).collect()).await?;
        Ok(views
            .into_iter()
            .filter(|(_, read)| read.as_ref().map_or(true, |view| self.matches(&view.body)))
            .filter_map(|(node, read)| Some((positions.get(&node)?.clone(), read)))
            .collect())
    }

    /// Asks again for items of which it is not known what they are now: that decides whether they pass the filter, also where it
    /// is not selected. Whether there were any.
    async fn settle(&self, stored: &[Option<Arc<StoredNode>>]) -> bool {
        if self.query.list.filter.is_empty() {
            return false;
        }
        let mut fields = self.query.fields.clone();
        fields.extend(&FILTERED.into_iter().collect());
        let stale = stored.iter().flatten().filter(|node| node.is_stale() && !node.is_deleted());
        let wants: Vec<NodeWant> = stale.map(|node| (node.key.clone(), fields.clone())).collect();
        let any = !wants.is_empty();
        if any {
            // Those that the provider does not tell of stay as they were known.
            self.engine.load_nodes(self.scope, wants).await;
        }
        any
    }

    /// How many there are in all: counted where all are known, else what the provider said.
    async fn total(&self, window: Option<&Window>) -> Result<Option<i64>, PortError> {
        let Some(window) = window else { return Ok(None) };
        if !window.exhausted || window.has_gaps {
            return Ok(window.total);
        }
        let members = self.engine.cached_store.members(&self.scope.tenant, &self.query.list, None, MOST_ITEMS).await?;
        if members.len() >= MOST_ITEMS {
            return Ok(window.total);
        }
        let keys: Vec<NodeKey> = members
            .into_iter()
            .filter_map(|member| known_item(&self.integration, member))
            .map(|(_, node)| self.integration.key_of(&node))
            .collect();
        let mut stored = self.engine.cached_store.nodes(&self.scope.tenant, &keys).await?;
        if self.settle(&stored).await {
            stored = self.engine.cached_store.nodes(&self.scope.tenant, &keys).await?;
        }
        let count = stored.iter().flatten().filter(|node| !node.is_deleted() && self.matches(&node.body)).count();
        Ok(i64::try_from(count).ok())
    }
}
