//! What a fetch brought while the store takes nothing: those who asked for it are answered from it, and it is kept no longer than
//! that. The provider answered, so it is not to blame, and its answer is not thrown away.

use std::{collections::HashMap, sync::Arc};

use mullion_schema::{
    error::PortError,
    id::NodeKey,
    ports::{Filter, Position},
    view::Body,
};

use super::{
    Engine, Scope,
    failure::port_error,
    fetcher::Outcome,
    integrations::Integration,
    read_lists::{ListReader, Listed, Read, opaque_position},
};
use crate::{
    provider::{FetchedPage, Keeping, ListRef, NodeRef},
    store::{Database, apply::Batch, node::StoredNode},
    upstream::UpstreamError,
};

/// A batch that could not be written, as it would be in the store.
#[derive(Debug)]
pub struct Unstored {
    /// Why it was not written.
    pub error: UpstreamError,
    nodes: HashMap<NodeKey, Arc<StoredNode>>,
    pages: Vec<FetchedPage>,
}

impl Unstored {
    /// What nodes would be after this batch; of those that cannot be read either, what the batch brought.
    pub(crate) async fn of(database: &Database, integration: &Integration, batch: Batch, error: UpstreamError) -> Self {
        let nodes = database.merged(&integration.tenant, &integration.id, &batch).await;
        let nodes = nodes.into_iter().map(|node| (node.key.clone(), Arc::new(node))).collect();
        Self { error, nodes, pages: batch.pages }
    }

    /// The first page of a list.
    fn first_page(&self, list: &ListRef, filter: &Filter) -> Option<&FetchedPage> {
        let mut pages = self.pages.iter();
        pages.find(|page| page.want.cursor.is_none() && page.want.list == *list && page.want.filter == *filter)
    }

    /// Whether it holds a page of a list behind its first.
    fn goes_on(&self, list: &ListRef, filter: &Filter) -> bool {
        let mut pages = self.pages.iter();
        pages.any(|page| page.want.cursor.is_some() && page.want.list == *list && page.want.filter == *filter)
    }
}

impl Scope {
    /// Keeps what a fetch brought for this execution, if it is nowhere else.
    pub(super) fn note_outcome(&self, outcome: &Outcome) {
        if let Ok(brought) = outcome
            && let Some(unstored) = &brought.unstored
        {
            self.note_stale();
            self.unstored.lock().push(Arc::clone(unstored));
        }
    }

    /// The first page of a list that was fetched for this execution and not stored, with why it was not.
    pub(super) fn unstored_page(&self, list: &ListRef, filter: &Filter) -> Option<(FetchedPage, UpstreamError)> {
        let unstored = self.unstored.lock();
        let mut found = unstored.iter().rev();
        found.find_map(|unstored| Some((unstored.first_page(list, filter)?.clone(), unstored.error.clone())))
    }

    /// Why a later page of a list is not in the store, although it was fetched.
    pub(super) fn lost_page(&self, list: &ListRef, filter: &Filter) -> Option<UpstreamError> {
        let unstored = self.unstored.lock();
        unstored.iter().find(|unstored| unstored.goes_on(list, filter)).map(|unstored| unstored.error.clone())
    }

    fn unstored_node(&self, key: &NodeKey) -> Option<Arc<StoredNode>> {
        self.unstored.lock().iter().rev().find_map(|unstored| unstored.nodes.get(key).cloned())
    }

    fn has_unstored(&self) -> bool {
        !self.unstored.lock().is_empty()
    }
}

impl Engine {
    /// The nodes with these keys as they are stored, or as they were fetched for this execution and could not be stored.
    pub(super) async fn known_nodes(
        &self,
        scope: &Scope,
        keys: &[NodeKey],
    ) -> Result<Vec<Option<Arc<StoredNode>>>, PortError> {
        let stored = self.cached_store.nodes(&scope.tenant, keys).await;
        if !scope.has_unstored() {
            return stored;
        }
        let unstored = keys.iter().map(|key| scope.unstored_node(key));
        match stored {
            Ok(stored) => Ok(unstored.zip(stored).map(|(unstored, stored)| unstored.or(stored)).collect()),
            // Everything that is wanted is here.
            Err(error) => unstored.map(|node| node.map(Some).ok_or_else(|| error.clone())).collect(),
        }
    }
}

impl ListReader<'_> {
    /// The first page of the list, where it was fetched for this execution and could not be stored.
    pub(super) fn unstored(&self) -> Option<(FetchedPage, UpstreamError)> {
        self.scope.unstored_page(&self.list, &self.query.list.filter)
    }

    /// The page that is wanted, as far as it is in the first that the provider gave. What lies behind that is not known here.
    pub(super) async fn read_unstored(
        &mut self,
        (page, error): (FetchedPage, UpstreamError),
    ) -> Result<Listed, PortError> {
        let keeping = self.integration.keeping(&self.query.list);
        let views = self.views(page.items).await?;
        let places = views.into_iter().enumerate().filter_map(|(index, (node, read))| {
            let position = match (keeping, &read) {
                (Keeping::Opaque, _) | (_, Err(_)) => opaque_position(index, &node.native_id),
                (Keeping::Window, Ok(view)) if self.matches(&view.body) => self.place_of(&node, &view.body)?,
                (Keeping::Window, Ok(_)) => return None,
            };
            Some((position, read))
        });
        let mut items: Vec<(Position, Read)> = places.collect();
        if keeping == Keeping::Window {
            items.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        items.retain(|(position, _)| self.query.after.as_ref().is_none_or(|after| position > after));
        let has_next = page.next.is_some() || items.len() > self.query.first;
        self.is_cut = page.next.is_some() && items.len() < self.query.first;
        items.truncate(self.query.first);
        let items = self.shown(items);
        let failure = self.is_cut.then(|| self.lost.take().unwrap_or_else(|| port_error(&self.integration, &error)));
        Ok(Listed { items, has_next, total: page.total, failure, is_cut: self.is_cut, ..Listed::default() })
    }

    /// Where an item stands in the list.
    fn place_of(&self, node: &NodeRef, body: &Body) -> Option<Position> {
        let mut places = self.integration.provider.memberships(node, body).into_iter();
        let (_, sort) = places.find(|(list, _)| *list == self.list)?;
        Some(Position { sort, native_id: node.native_id.as_ref().to_owned() })
    }
}
