//! The results of a fetch while the store takes nothing: those who asked for them are answered from them, and they are kept no
//! longer than that. The provider answered, so it is not to blame, and its answer is not thrown away.

use std::{collections::HashMap, sync::Arc};

use mullion_schema::{id::NodeKey, ports::Filter};

use super::integrations::Integration;
use crate::{
    provider::{FetchedPage, ListRef},
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
    /// The nodes as they would be after this batch; where they cannot be read either, as the batch brought them.
    pub(crate) async fn of(database: &Database, integration: &Integration, batch: Batch, error: UpstreamError) -> Self {
        let nodes = database.merged(&integration.tenant, &integration.id, &batch).await;
        let nodes = nodes.into_iter().map(|node| (node.key.clone(), Arc::new(node))).collect();
        Self { error, nodes, pages: batch.pages }
    }

    /// A node as it would be stored.
    pub(super) fn node(&self, key: &NodeKey) -> Option<&Arc<StoredNode>> {
        self.nodes.get(key)
    }

    /// The first page of a list.
    pub(super) fn first_page(&self, list: &ListRef, filter: &Filter) -> Option<&FetchedPage> {
        let mut pages = self.pages.iter();
        pages.find(|page| page.want.cursor.is_none() && page.want.list == *list && page.want.filter == *filter)
    }

    /// Whether it holds a page of a list behind its first.
    pub(super) fn has_later_page(&self, list: &ListRef, filter: &Filter) -> bool {
        let mut pages = self.pages.iter();
        pages.any(|page| page.want.cursor.is_some() && page.want.list == *list && page.want.filter == *filter)
    }
}
