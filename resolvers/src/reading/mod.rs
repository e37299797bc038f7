//! The engine: answers reads from caches, store and providers, in that order, and records what each answer was read from.

mod cached_store;
mod claims;
pub mod directory;
mod failure;
mod fetcher;
pub mod integrations;
mod listing;
mod patience;
mod read_lists;
mod read_nodes;
mod readers;
mod scope;
pub mod session;
#[cfg(test)]
pub(crate) mod tests;
mod unstored;
mod whole;
mod work;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use mullion_schema::{error::PortError, id::TenantId};

use self::fetcher::Fetcher;
pub use self::{
    cached_store::CachedStore,
    claims::Claims,
    directory::Directory,
    fetcher::{Absorbed, Sink},
    scope::Late,
    scope::Scope,
    unstored::Unstored,
};
pub(crate) use self::{
    cached_store::internal,
    failure::{failed, port_error},
    session::lookup_page,
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
    patience: std::time::Duration,
}

impl Engine {
    /// An engine whose fetches are written by `applier`, and shared with other replicas by `claims`.
    pub fn new(
        cached_store: Arc<CachedStore>,
        directory: Arc<Directory>,
        (applier, claims): (Arc<dyn Sink>, Claims),
        epochs: Arc<Epochs>,
        (clock, tasks): (Arc<dyn Clock>, TaskTracker),
    ) -> Self {
        let fetcher = Fetcher::new(applier, claims, tasks.clone());
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
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Whether a node was deleted at the provider, or the provider does not know it any more.
    pub async fn is_deleted(&self, tenant: &TenantId, key: &mullion_schema::id::NodeKey) -> Result<bool, PortError> {
        let stored = self.cached_store.nodes(tenant, std::slice::from_ref(key)).await?;
        Ok(stored.into_iter().flatten().next().is_some_and(|node| node.is_deleted() || node.is_unknown()))
    }
}
