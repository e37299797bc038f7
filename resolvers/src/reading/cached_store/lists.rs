//! Reads lists through their cache: each is read from the store once for all who want it at the same time.

use std::sync::Arc;

use mullion_schema::{
    error::PortError,
    id::NodeKey,
    ports::{List, Position},
};

use super::{
    CachedStore,
    cached_list::{CachedItem, CachedList, ListedNode},
    derived::DerivedFacts,
};
use crate::{
    cache::epochs::Head,
    provider::{Keeping, NodeRef},
    reading::{
        integrations::Integration,
        list_items::{known_item, opaque_items, opaque_position},
        node_view::node_view,
    },
    store::list::Window,
    tag::Tag,
};

/// How many members are read at first of a list that goes on at the provider; all of one that was read to its end.
const FEW_ITEMS: usize = 200;
/// How many members are kept of a list at most: what lies beyond is read page by page.
pub(in crate::reading) const MOST_ITEMS: usize = 1_000;

/// The result of reading a list from the store.
#[derive(Clone)]
pub(super) enum StoredList {
    /// It is kept.
    Cached(Arc<CachedList>),
    /// It was never read at the provider, as far as the store told at a head and after so many fetches.
    Nothing(Head, u64),
}

impl CachedStore {
    /// A list with at least so many items, or all that are kept; `None`: it was never read.
    pub(in crate::reading) async fn list(
        &self,
        integration: &Integration,
        list: &List,
        least: usize,
    ) -> Result<Option<Arc<CachedList>>, PortError> {
        let tenant = &integration.tenant;
        let reaches = |cached: &Arc<CachedList>| cached.complete || cached.items.len() >= least.min(MOST_ITEMS);
        let look = || self.lists.get(tenant, list).filter(reaches).map(|cached| Ok(StoredList::Cached(cached)));
        let accepts = |read: &Result<StoredList, PortError>| match read {
            // A list that another caller read is in memory: whether it is current and reaches far enough is
            // looked at there.
            Ok(StoredList::Cached(_)) => false,
            Ok(StoredList::Nothing(noted, fetches)) => {
                let tag = Tag::list(tenant, list);
                *fetches == self.lists.fetches(&list.integration) && self.epochs.is_current(tenant, *noted, [&tag])
            }
            Err(_) => true,
        };
        let read = async || self.read_list(integration, list, least).await;
        match self.list_reads.share((tenant.clone(), list.clone()), look, accepts, read).await? {
            StoredList::Cached(cached) => Ok(Some(cached)),
            StoredList::Nothing(..) => Ok(None),
        }
    }

    /// Reads a list from the store, and keeps it.
    async fn read_list(&self, integration: &Integration, list: &List, least: usize) -> Result<StoredList, PortError> {
        let tenant = &integration.tenant;
        let fetches = self.lists.fetches(&list.integration);
        let noted = self.head(tenant).await?;
        let Some(window) = self.window(tenant, list).await? else { return Ok(StoredList::Nothing(noted, fetches)) };
        let (items, complete) = self.items_of(integration, list, &window, least).await?;
        let items = self.with_nodes(integration, items).await?;
        let cached = Arc::new(CachedList::new(window, items, complete, fetches));
        self.lists.put(tenant, list, noted, Arc::clone(&cached));
        Ok(StoredList::Cached(cached))
    }

    /// The items of a list from its start on, and whether these are all.
    async fn items_of(
        &self,
        integration: &Integration,
        list: &List,
        window: &Window,
        least: usize,
    ) -> Result<(Vec<(Position, NodeRef)>, bool), PortError> {
        if integration.keeping(list) == Keeping::Opaque {
            let nodes = opaque_items(integration, window).into_iter().enumerate();
            let positioned = |(index, node): (usize, NodeRef)| (opaque_position(index, &node.native_id), node);
            return Ok((nodes.map(positioned).collect(), true));
        }
        let limit = if window.exhausted || least > FEW_ITEMS { MOST_ITEMS } else { FEW_ITEMS };
        let members = self.members(&integration.tenant, list, None, limit).await?;
        let complete = members.len() < limit;
        Ok((members.into_iter().filter_map(|member| known_item(integration, member)).collect(), complete))
    }

    /// These items with what the store has of their nodes.
    async fn with_nodes(
        &self,
        integration: &Integration,
        items: Vec<(Position, NodeRef)>,
    ) -> Result<Vec<CachedItem>, PortError> {
        let keys: Vec<NodeKey> = items.iter().map(|(_, node)| integration.key_of(node)).collect();
        let stored = self.nodes(&integration.tenant, &keys).await?;
        let items = items.into_iter().zip(keys).zip(stored).map(|(((position, node), key), stored)| {
            let loaded = stored.map(|stored| ListedNode {
                view: Arc::new(node_view(&key, &stored, false, None)),
                tag: Tag::node(&integration.tenant, &key),
                facts: DerivedFacts::default(),
                stored,
            });
            CachedItem { position, node, loaded }
        });
        Ok(items.collect())
    }
}
