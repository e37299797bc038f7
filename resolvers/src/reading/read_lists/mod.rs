//! Reads lists: pages come from the provider once, and from then on a list is evaluated over the node store.
//!
//! A window is the part of a list that was read: from its start down to a boundary, or all of it. A changed node moves in, out
//! or about in it locally, so that a closed issue leaves the open ones without a provider call.

mod from_memory;
mod from_store;
mod unstored;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use mullion_schema::{
    error::PortError,
    ports::{ListQuery, Position},
    view::{Body, NodeView, StaleReason},
};

use super::{
    Engine,
    cached_store::{cached_list::CachedList, lists::MOST_ITEMS},
    failure::port_error,
    fetches::{fetcher::Moment, readers::Reading},
    integrations::Integration,
    read_nodes::NodeWant,
    scope::Scope,
};
use crate::{
    provider::{FetchWant, Keeping, ListRef, NodeRef, PageWant},
    store::{self, list::Window},
    tag::Tag,
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// An item of a list, or why it could not be read.
type ReadItem = Result<Arc<NodeView>, PortError>;

/// A part of a list, and how it was come by.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListPart {
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
    pub(crate) async fn read_list(&self, scope: &Scope, query: &ListQuery) -> Result<ListPart, PortError> {
        self.read_list_while(scope, query, self.reading(scope, &query.list.integration)).await
    }

    /// The same for who has begun to read of its integration already.
    pub(super) async fn read_list_while(
        &self,
        scope: &Scope,
        query: &ListQuery,
        reading: Reading,
    ) -> Result<ListPart, PortError> {
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

/// One read of a list.
struct ListReader<'a> {
    engine: &'a Engine,
    scope: &'a Scope,
    integration: Arc<Integration>,
    query: &'a ListQuery,
    list: ListRef,
    /// Why the list could not be read.
    failure: Option<UpstreamError>,
    /// Why an item of it could not be read.
    lost: Option<PortError>,
    /// Items of the page are missing.
    is_cut: bool,
    pages: usize,
    /// Whether the list was read again from its start because its cursor had expired.
    restarted: bool,
    /// While the store is looked into.
    reading: Option<Reading>,
}

impl ListReader<'_> {
    async fn read(&mut self) -> Result<ListPart, PortError> {
        let noted = self.engine.fetcher.moment(&self.integration.id);
        let mut cached = self.cached_list().await?;
        let is_fresh = |cached: &Option<Arc<CachedList>>| self.is_fresh(cached.as_ref().map(|cached| &cached.window));
        let mut fresh = is_fresh(&cached);
        if !fresh && self.engine.fetcher.is_shared() {
            // Another replica may have read it since.
            self.engine.cached_store.fetched(&self.integration.id);
            cached = self.cached_list().await?;
            fresh = is_fresh(&cached);
        }
        if fresh {
            self.reading = None;
        } else {
            if self.unstored_page().is_none() {
                self.failure = self.scope.fetches.failed_list(&self.query.list);
                if self.failure.is_none() {
                    self.fetch(None, noted, cached.is_some()).await;
                }
            }
            if let Some((page, error)) = self.unstored_page() {
                return self.read_unstored(page, &error).await;
            }
            match &self.failure {
                Some(error) => self.scope.fetches.note_failed_list(&self.query.list, error),
                None => cached = self.cached_list().await?,
            }
        }
        // A list that was never read: only the provider could tell which of the items known by other ways come first. And where
        // the provider does not know the list, it does not know the items either: what is left of them would look like all.
        let is_lost = |error: &&UpstreamError| cached.is_none() || error.kind == UpstreamErrorKind::NotFound;
        if let Some(error) = self.failure.as_ref().filter(is_lost) {
            return Err(port_error(&self.integration, error));
        }
        if let Some(listed) = cached.as_ref().and_then(|cached| self.page_in_memory(cached)) {
            return Ok(listed);
        }
        let window = cached.map(|cached| cached.window.clone());
        let listed = match (self.integration.keeping(&self.query.list), window) {
            (Keeping::Opaque, Some(window)) => self.read_opaque(window).await?,
            (Keeping::Window, window) => self.read_window(window).await?,
            (Keeping::Opaque, None) => ListPart::default(),
        };
        let failure = self.failure.as_ref().map(|error| port_error(&self.integration, error));
        let withheld = listed.failure;
        let is_cut = self.is_cut || withheld.is_some();
        Ok(ListPart { failure: failure.or_else(|| self.lost.clone()).or(withheld), is_cut, ..listed })
    }

    async fn cached_list(&self) -> Result<Option<Arc<CachedList>>, PortError> {
        // Behind a cursor, the page may lie anywhere.
        let least = if self.query.after.is_some() { MOST_ITEMS } else { self.query.first + 1 };
        self.engine.cached_store.list(&self.integration, &self.query.list, least).await
    }

    async fn window(&self) -> Result<Option<Window>, PortError> {
        self.engine.cached_store.window(&self.scope.tenant, &self.query.list).await
    }

    fn is_fresh(&self, window: Option<&Window>) -> bool {
        let limit = || self.engine.list_age_limit(self.scope, &self.integration, &self.query.list);
        window.is_some_and(|window| limit().admits_list(window))
    }

    /// Fetches a page. `known`: something is known that can be shown instead.
    async fn fetch(&mut self, cursor: Option<String>, noted: Moment, known: bool) {
        self.pages += 1;
        let page = PageWant { list: self.list.clone(), filter: self.query.list.filter.clone(), cursor };
        let fetch = self.engine.fetcher.fetch(&self.integration, FetchWant::Page(page), noted);
        self.reading = None;
        self.failure = self.engine.wait(self.scope, &self.integration, fetch, known).await.err();
    }

    fn stale_because(&self) -> Option<StaleReason> {
        self.failure.as_ref().and_then(|error| error.kind.stale_reason())
    }

    fn matches(&self, body: &Body) -> bool {
        self.query.list.filter.is_empty()
            || self.integration.provider.matches(&self.list, &self.query.list.filter, body)
    }

    /// Loads items, in order. Those that are gone are left out.
    async fn views(&self, nodes: Vec<NodeRef>) -> Result<Vec<(NodeRef, ReadItem)>, PortError> {
        let wants: Vec<NodeWant> =
            nodes.iter().map(|node| (self.integration.key_of(node), self.query.fields.clone())).collect();
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
    fn shown(&mut self, page: impl IntoIterator<Item = (Position, ReadItem)>) -> Vec<(Position, Arc<NodeView>)> {
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
}

/// Whether a member lies in the part of the list that was read.
fn covers(window: Option<&Window>, position: &Position) -> bool {
    window.is_none_or(|window| {
        window.exhausted || window.boundary.as_ref().is_some_and(|boundary| position.sort <= *boundary)
    })
}
