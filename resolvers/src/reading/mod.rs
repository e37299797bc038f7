//! Reads of the providers' nodes: from caches, store and providers, in that order; each answer's tags are recorded.
//!
//! The modules stand on one another in this order: integrations and their failures; stored items and nodes as they are shown; what one
//! execution records; the store with its caches; the directory; fetches; then the reads of nodes, lists and look-ups; the session of
//! one execution; and on top the work items of many containers.

mod age_limit;
mod cached_store;
mod complete_list;
mod coverage;
pub mod directory;
mod failure;
mod fetch_record;
mod fetches;
pub mod integrations;
mod list_items;
mod lookup_lists;
mod node_view;
mod patience;
mod read_lists;
mod read_lookups;
mod read_nodes;
mod scope;
pub mod session;
#[cfg(test)]
pub(crate) mod tests;
mod unstored;
mod work;

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use mullion_schema::{
    error::PortError,
    id::{IntegrationId, NodeKey, TenantId},
};

use self::fetches::{
    fetcher::Fetcher,
    readers::{Arriving, Reading},
};
pub use self::{
    cached_store::CachedStore,
    directory::Directory,
    fetch_record::BackgroundFetches,
    fetches::{
        claims::Claims,
        sink::{Absorbed, Sink},
    },
    scope::Scope,
    unstored::Unstored,
};
pub(crate) use self::{
    failure::{failed, internal, port_error, token_refused},
    lookup_lists::lookup_page,
    work::all_containers,
};
use crate::{cache::epochs::Epochs, clock::Clock};

/// Everything that reads and writes of the providers' nodes go through.
pub struct Engine {
    pub(crate) cached_store: Arc<CachedStore>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
    /// How long a fetch is waited for where an older value is known.
    patience: Duration,
}

/// The parts that an engine is made of.
pub struct EngineParts {
    /// The store with its caches.
    pub cached_store: Arc<CachedStore>,
    /// The integrations.
    pub directory: Arc<Directory>,
    /// Writes what is fetched.
    pub sink: Arc<dyn Sink>,
    /// Shares fetches with other replicas.
    pub claims: Claims,
    /// The epochs of what is kept in memory.
    pub epochs: Arc<Epochs>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The fetches run in these.
    pub tasks: TaskTracker,
}

impl Engine {
    /// An engine of these parts.
    pub fn new(parts: EngineParts) -> Self {
        let EngineParts { cached_store, directory, sink, claims, epochs, clock, tasks } = parts;
        let fetcher = Fetcher::new(sink, claims, tasks.clone());
        Self { cached_store, directory, fetcher, epochs, clock, tasks, patience: patience::PATIENCE }
    }

    /// The integrations.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The tenant's head, to be noted before anything is read for an answer that is kept.
    pub async fn head(&self, tenant: &TenantId) -> Result<i64, PortError> {
        self.cached_store.head(tenant).await
    }

    /// The epochs.
    pub fn epochs(&self) -> &Arc<Epochs> {
        &self.epochs
    }

    /// Whether a node was deleted at the provider, or the provider does not know it any more.
    pub async fn is_deleted(&self, tenant: &TenantId, key: &NodeKey) -> Result<bool, PortError> {
        let stored = self.cached_store.nodes(tenant, std::slice::from_ref(key)).await?;
        Ok(stored.into_iter().flatten().next().is_some_and(|node| node.is_deleted() || node.is_unknown()))
    }

    /// Announces an execution: batches of its tenant wait until it has read something.
    pub(crate) fn arriving(&self, tenant: &TenantId) -> Arriving {
        self.fetcher.readers().arriving(tenant)
    }

    /// Announces a read of an integration: its batches wait for it.
    fn reading(&self, scope: &Scope, integration: &IntegrationId) -> Reading {
        scope.note_read();
        self.fetcher.readers().reading(integration)
    }
}
