//! Reads lists: pages come from the provider once, and from then on a list is evaluated over the node store.
//!
//! A window is the part of a list that was read: from its start down to a boundary, or all of it. A changed node moves in, out
//! or about in it locally, so that a closed issue leaves the open ones without a provider call.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use mullion_schema::{
    error::PortError,
    id::NodeKey,
    ports::{ListQuery, Position},
    view::{Body, NodeView, StaleReason},
};

use super::{
    Engine, Scope,
    failure::{port_error, too_far},
    fetcher::Moment,
    integrations::Integration,
    listing::{Item, Known, Listing, MOST, placed},
    read_nodes::{NodeWant, Trust, node_type},
    readers::Reading,
};
use crate::{
    provider::{FetchWant, Keeping, ListRef, NodeRef, PageWant},
    store::{self, list::Window, node::StoredNode},
    tag::Tag,
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// How many provider pages one read may fetch: 1,000 items. What lies beyond is reached by paging on.
const PAGES_PER_READ: usize = 10;
/// The same while nothing of the page was found yet: it lies far behind what was read, or the list had to be read again.
const PAGES_TO_REACH: usize = 30;
/// The fields that lists are filtered by.
const FILTERED: [&str; 6] = ["state", "conclusion", "branch", "labels", "assignees", "completed"];
/// How many members are looked at in one go.
const CHUNK: usize = 200;

/// An item of a list, or why it could not be read.
pub(super) type Read = Result<Arc<NodeView>, PortError>;

/// A part of a list, and how it was come by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    pub(crate) items: Vec<(Position, Arc<NodeView>)>,
    pub(crate) has_next: bool,
    pub(crate) total: Option<i64>,
    /// When the window was last read or confirmed.
    pub(crate) refreshed_at: Option<DateTime<Utc>>,
    /// The provider could not be asked: what is here is the last known.
    pub(crate) failure: Option<PortError>,
    /// Items of the page are missing because of the failure.
    pub(crate) is_cut: bool,
}

impl Engine {
    /// Reads a page of a list.
    pub(crate) async fn read_list(&self, scope: &Scope, query: &ListQuery) -> Result<Listed, PortError> {
        self.read_list_while(scope, query, self.reading(scope, &query.list.integration)).await
    }

    /// The same for who has begun to read of its integration already.
    pub(super) async fn read_list_while(
        &self,
        scope: &Scope,
        query: &ListQuery,
        reading: Reading,
    ) -> Result<Listed, PortError> {
        let reading = Some(reading);
        let Some(integration) = self.directory.get(&scope.tenant, &query.list.integration).await? else {
            return Err(PortError::not_found("the integration"));
        };
        scope.record(Tag::list(&scope.tenant, &query.list));
        let mut reader = ListReader {
            engine: self,
            scope,
            integration,
            query,
            list: store::list::list_ref(&query.list),
            failure: None,
            lost: None,
            is_cut: false,
            pages: 0,
            restarted: false,
            reading,
        };
        let listed = reader.read().await;
        if reader.failure.is_some() || reader.lost.is_some() {
            scope.note_stale();
        }
        listed
    }
}

pub(super) struct ListReader<'a> {
    engine: &'a Engine,
    pub(super) scope: &'a Scope,
    pub(super) integration: Arc<Integration>,
    pub(super) query: &'a ListQuery,
    pub(super) list: ListRef,
    /// Why the list could not be read.
    failure: Option<UpstreamError>,
    /// Why an item of it could not be read.
    pub(super) lost: Option<PortError>,
    /// Items of the page are missing.
    pub(super) is_cut: bool,
    pages: usize,
    /// Whether the list was read again from its start because its cursor had expired.
    restarted: bool,
    /// While the store is looked into.
    reading: Option<Reading>,
}

impl ListReader<'_> {
    async fn read(&mut self) -> Result<Listed, PortError> {
        let noted = self.engine.fetcher.moment(&self.integration.id);
        let mut listing = self.listing().await?;
        let is_fresh = |listing: &Option<Arc<Listing>>| self.is_fresh(listing.as_ref().map(|listing| &listing.window));
        let mut fresh = is_fresh(&listing);
        if !fresh && self.engine.fetcher.is_shared() {
            // Another replica may have read it since.
            self.engine.cached_store.fetched(&self.integration.id);
            listing = self.listing().await?;
            fresh = is_fresh(&listing);
        }
        if fresh {
            self.reading = None;
        } else {
            if self.unstored().is_none() {
                self.failure = self.scope.failed_list(&self.query.list);
                if self.failure.is_none() {
                    self.fetch(None, noted, listing.is_some()).await;
                }
            }
            if let Some(unstored) = self.unstored() {
                return self.read_unstored(unstored).await;
            }
            match &self.failure {
                Some(error) => self.scope.note_failed_list(&self.query.list, error),
                None => listing = self.listing().await?,
            }
        }
        if let Some(error) = self.failure.as_ref().filter(|_| listing.is_none()) {
            // It was never read. Only the provider could tell which of the items known by other ways come first.
            return Err(port_error(&self.integration, error));
        }
        if let Some(listed) = listing.as_ref().and_then(|listing| self.at_hand(listing)) {
            return Ok(listed);
        }
        let window = listing.map(|listing| listing.window.clone());
        let listed = match (self.integration.keeping(&self.query.list), window) {
            (Keeping::Opaque, Some(window)) => self.read_opaque(window).await?,
            (Keeping::Window, window) => self.read_window(window).await?,
            (Keeping::Opaque, None) => Listed::default(),
        };
        let failure = self.failure.as_ref().map(|error| port_error(&self.integration, error));
        let withheld = listed.failure;
        let is_cut = self.is_cut || withheld.is_some();
        Ok(Listed { failure: failure.or_else(|| self.lost.clone()).or(withheld), is_cut, ..listed })
    }

    async fn listing(&self) -> Result<Option<Arc<Listing>>, PortError> {
        // Behind a cursor, the page may lie anywhere.
        let least = if self.query.after.is_some() { MOST } else { self.query.first + 1 };
        self.engine.listing(&self.integration, &self.query.list, least).await
    }

    /// The page, where everything that it shows is in memory and nothing has to be asked for.
    fn at_hand(&self, listing: &Listing) -> Option<Listed> {
        let filtered = !self.query.list.filter.is_empty();
        if self.failure.is_some() || !self.scope.takes_lists_at_hand() || (filtered && listing.has_unsettled()) {
            return None;
        }
        let (items, has_next) = match self.integration.keeping(&self.query.list) {
            Keeping::Opaque => self.opaque_at_hand(listing)?,
            Keeping::Window => self.window_at_hand(listing)?,
        };
        let total = match (self.integration.keeping(&self.query.list), listing.window.exhausted) {
            (Keeping::Window, true) if listing.complete && !listing.window.has_gaps => {
                Some(listing.count(listing.matching(|body| self.matches(body))))
            }
            _ => listing.window.total,
        };
        self.scope.record_all(items.iter().map(|(_, known)| known.tag.clone()));
        let items = items.into_iter().map(|(position, known)| (position, Arc::clone(&known.view))).collect();
        let failure = listing.window.has_gaps.then(|| withheld(&self.integration));
        let (is_cut, refreshed_at) = (failure.is_some(), Some(listing.window.fetched_at));
        Some(Listed { items, has_next, total, refreshed_at, failure, is_cut })
    }

    fn opaque_at_hand<'l>(&self, listing: &'l Listing) -> Option<(Vec<(Position, &'l Known)>, bool)> {
        let start = self.opaque_start();
        let goes_on = !listing.window.exhausted;
        if goes_on && listing.items.len() < start + self.query.first {
            return None;
        }
        let fresh = listing.fresh(&self.integration, &self.query.fields);
        let page = listing.items.iter().zip(fresh.iter()).skip(start).take(self.query.first);
        let trust = self.engine.trust(self.scope, &self.integration);
        let known: Option<Vec<&Known>> = page.map(|(item, fresh)| usable(trust, item, *fresh)).collect();
        let known = known?.into_iter().filter(|known| !known.is_gone()).enumerate();
        let items = known.map(|(index, known)| (opaque_position(start + index, &known.view.key.native_id), known));
        Some((items.collect(), goes_on || listing.items.len() > start + self.query.first))
    }

    fn window_at_hand<'l>(&self, listing: &'l Listing) -> Option<(Vec<(Position, &'l Known)>, bool)> {
        let window = &listing.window;
        let after = self.query.after.as_ref();
        let start = after.map_or(0, |after| listing.items.partition_point(|item| item.position <= *after));
        let fresh = listing.fresh(&self.integration, &self.query.fields);
        let matching = listing.matching(|body| self.matches(body));
        let mut items: Vec<(Position, &Known)> = Vec::with_capacity(self.query.first + 1);
        let mut covered = true;
        let trust = self.engine.trust(self.scope, &self.integration);
        for ((item, fresh), matches) in listing.items.iter().zip(fresh.iter()).zip(matching).skip(start) {
            covered = covers(Some(window), &item.position);
            if !covered || items.len() > self.query.first {
                break;
            }
            let known = usable(trust, item, *fresh)?;
            if *matches && !known.is_gone() {
                items.push((item.position.clone(), known));
            }
        }
        let full = items.len() > self.query.first;
        let at_end = !covered || listing.complete;
        let goes_on = !window.exhausted && window.next.is_some();
        // Where the window ends too early, the next page is read; where what is kept ends, the store is.
        if !full && (!at_end || (goes_on && items.len() < self.query.first)) {
            return None;
        }
        items.truncate(self.query.first);
        Some((items, full || goes_on))
    }

    async fn window(&self) -> Result<Option<Window>, PortError> {
        self.engine.cached_store.window(&self.scope.tenant, &self.query.list).await
    }

    fn is_fresh(&self, window: Option<&Window>) -> bool {
        window.is_some_and(|window| self.scope.trusts(&self.integration, window, self.engine.clock.now()))
    }

    /// Fetches a page. `known`: something is known that can be shown instead.
    async fn fetch(&mut self, cursor: Option<String>, noted: Moment, known: bool) {
        self.pages += 1;
        let page = PageWant { list: self.list.clone(), filter: self.query.list.filter.clone(), cursor };
        let fetch = self.engine.fetcher.fetch(&self.integration, FetchWant::Page(page), noted);
        self.reading = None;
        self.failure = self.engine.wait(self.scope, &self.integration, fetch, known).await.err();
    }

    /// Fetches the next page; the list from its start, where the provider no longer accepts the cursor.
    async fn read_on(&mut self, next: String) {
        let noted = self.engine.fetcher.moment(&self.integration.id);
        self.fetch(Some(next), noted, false).await;
        let expired = self.failure.as_ref().is_some_and(|error| error.kind == UpstreamErrorKind::CursorExpired);
        if self.failure.is_none() {
            // A page that is not in the store does not bring the list any further.
            self.failure = self.scope.lost_page(&self.list, &self.query.list.filter);
        }
        if expired && !self.restarted {
            self.restarted = true;
            let noted = self.engine.fetcher.moment(&self.integration.id);
            self.fetch(None, noted, false).await;
        }
    }

    /// The cursor to read on with, where the page needs it and the provider can be asked.
    fn next(&self, window: Option<&Window>, found: usize) -> Option<String> {
        let most = if found == 0 { PAGES_TO_REACH } else { PAGES_PER_READ };
        let more = self.failure.is_none() && found < self.query.first && self.pages < most;
        window.filter(|_| more)?.next.clone()
    }

    fn stale_because(&self) -> Option<StaleReason> {
        self.failure.as_ref().and_then(|error| error.kind.stale_reason())
    }

    async fn read_opaque(&mut self, mut window: Window) -> Result<Listed, PortError> {
        let start = self.opaque_start();
        let mut ids = node_refs(&self.integration, &window);
        while let Some(next) = self.next(Some(&window), ids.len().saturating_sub(start)) {
            self.read_on(next).await;
            let Some(read) = self.window().await? else { break };
            window = read;
            ids = node_refs(&self.integration, &window);
        }
        let count = ids.len();
        self.is_cut |= self.failure.is_some() && !window.exhausted && count < start + self.query.first;
        let ids: Vec<NodeRef> = ids.into_iter().skip(start).take(self.query.first).collect();
        let views = self.views(ids).await?.into_iter().enumerate();
        let page = views.map(|(index, (node, view))| (opaque_position(start + index, &node.native_id), view));
        Ok(Listed {
            items: self.shown(page),
            has_next: !window.exhausted || count > start + self.query.first,
            total: window.total,
            refreshed_at: Some(window.fetched_at),
            failure: window.has_gaps.then(|| withheld(&self.integration)),
            ..Listed::default()
        })
    }

    fn opaque_start(&self) -> usize {
        self.query.after.as_ref().and_then(|after| after.sort.parse::<usize>().ok()).map_or(0, |at| at + 1)
    }

    /// Walks the window's members in order until the page is full, reading more pages where the window ends too early.
    async fn read_window(&mut self, mut window: Option<Window>) -> Result<Listed, PortError> {
        let mut after = self.query.after.clone();
        let mut items: Vec<(Position, Read)> = Vec::new();
        loop {
            let members =
                self.engine.cached_store.members(&self.scope.tenant, &self.query.list, after.as_ref(), CHUNK).await?;
            let walked_all = members.len() < CHUNK;
            let mut covered = members;
            covered.retain(|member| covers(window.as_ref(), &member.position));
            let left_window = covered.len() < CHUNK;
            after = covered.last().map(|member| member.position.clone()).or(after);
            let covered = covered.into_iter().filter_map(|member| placed(&self.integration, member));
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
        Ok(Listed { items, has_next, total, refreshed_at, failure, ..Listed::default() })
    }

    async fn matching(&self, members: Vec<(Position, NodeRef)>) -> Result<Vec<(Position, Read)>, PortError> {
        let positions: BTreeMap<NodeRef, Position> =
            members.iter().map(|(position, node)| (node.clone(), position.clone())).collect();
        let keys: Vec<NodeKey> = members.iter().map(|(_, node)| self.key_of(node)).collect();
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

    fn key_of(&self, node: &NodeRef) -> NodeKey {
        NodeKey::new(&self.integration.id, node.type_name, Arc::clone(&node.native_id))
    }

    pub(super) fn matches(&self, body: &Body) -> bool {
        self.query.list.filter.is_empty()
            || self.integration.provider.matches(&self.list, &self.query.list.filter, body)
    }

    /// Loads items, in order. Those that are gone are left out.
    pub(super) async fn views(&self, nodes: Vec<NodeRef>) -> Result<Vec<(NodeRef, Read)>, PortError> {
        let wants: Vec<NodeWant> = nodes.iter().map(|node| (self.key_of(node), self.query.fields.clone())).collect();
        let mut loaded = self.engine.load_nodes(self.scope, wants.clone()).await;
        let stale_because = self.stale_because();
        let mut views = Vec::with_capacity(nodes.len());
        for (node, want) in nodes.into_iter().zip(wants) {
            let read = match loaded.remove(&want) {
                Some(Ok(Some(mut view))) => {
                    if let Some(reason) = stale_because {
                        Arc::make_mut(&mut view).freshness.outdate(reason);
                    }
                    Ok(view)
                }
                // Not the provider failed but something here, which the next item would meet too.
                Some(Err(error)) if error.provider.is_none() => return Err(error),
                Some(Err(error)) => Err(error),
                Some(Ok(None)) | None => continue,
            };
            self.scope.record(Tag::node(&self.scope.tenant, &want.0));
            views.push((node, read));
        }
        Ok(views)
    }

    /// The items of a page. Where one of them could not be read, it says so and the page is cut.
    pub(super) fn shown(&mut self, page: impl IntoIterator<Item = (Position, Read)>) -> Vec<(Position, Arc<NodeView>)> {
        let mut items = Vec::new();
        for (position, read) in page {
            match read {
                Ok(view) => {
                    if let Some(failure) = view.failure.as_ref().filter(|_| view.freshness.stale_because.is_some()) {
                        self.lost.get_or_insert_with(|| PortError::clone(failure));
                    }
                    items.push((position, view));
                }
                Err(error) => {
                    self.lost.get_or_insert(error);
                    self.is_cut = true;
                }
            }
        }
        items
    }

    /// How many there are in all: counted where all are known, else what the provider said.
    async fn total(&self, window: Option<&Window>) -> Result<Option<i64>, PortError> {
        let Some(window) = window else { return Ok(None) };
        if !window.exhausted || window.has_gaps {
            return Ok(window.total);
        }
        let members = self.engine.cached_store.members(&self.scope.tenant, &self.query.list, None, MOST).await?;
        if members.len() >= MOST {
            return Ok(window.total);
        }
        let keys: Vec<NodeKey> = members
            .into_iter()
            .filter_map(|member| placed(&self.integration, member))
            .map(|(_, node)| NodeKey::new(&self.integration.id, node.type_name, node.native_id))
            .collect();
        let mut stored = self.engine.cached_store.nodes(&self.scope.tenant, &keys).await?;
        if self.settle(&stored).await {
            stored = self.engine.cached_store.nodes(&self.scope.tenant, &keys).await?;
        }
        let count = stored.iter().flatten().filter(|node| !node.is_deleted() && self.matches(&node.body)).count();
        Ok(i64::try_from(count).ok())
    }
}

/// Items of the list are missing for good, which is no reason to read it again.
fn withheld(integration: &Integration) -> PortError {
    let name = integration.provider.descriptor().name;
    let error = UpstreamError::new(UpstreamErrorKind::Forbidden, "items of the list are withheld");
    let message = format!("{name} does not let the integration's token read some items of this list; they are missing");
    PortError { message, ..port_error(integration, &error) }
}

/// Whether a member lies in the part of the list that was read.
fn covers(window: Option<&Window>, position: &Position) -> bool {
    window.is_none_or(|window| {
        window.exhausted || window.boundary.as_ref().is_some_and(|boundary| position.sort <= *boundary)
    })
}

/// The node of an item, if it answers as it is.
fn usable(trust: Trust, item: &Item, fresh: bool) -> Option<&Known> {
    let known = item.known.as_ref()?;
    trust.suffices(&known.stored, || fresh).then_some(known)
}

/// Where an item stands in a list that is kept in the provider's order.
pub(super) fn opaque_position(index: usize, native_id: &str) -> Position {
    Position { sort: format!("{index:08}"), native_id: native_id.to_owned() }
}

/// The items of a list that is kept in the provider's order. Those of a type that this build does not know are left out.
pub(crate) fn node_refs(integration: &Integration, window: &Window) -> Vec<NodeRef> {
    let names = window.opaque.iter().flatten().filter_map(|name| name.split_once(':'));
    names
        .filter_map(|(type_name, native_id)| Some(NodeRef::new(node_type(integration, type_name)?.name, native_id)))
        .collect()
}
