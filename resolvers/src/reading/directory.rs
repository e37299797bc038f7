//! The directory of integrations: rows made ready for use, and kept until they change.

use std::{collections::HashMap, hash::BuildHasher as _, sync::Arc};

use async_trait::async_trait;
use foldhash::fast::RandomState;
use mullion_schema::{
    error::PortError,
    id::{IntegrationId, TenantId},
};
use parking_lot::RwLock;

use super::{cached_store::CachedStore, integrations::Integration};
use crate::{cache::epochs::Epochs, tag::Tag};

/// Reads an integration's row and connects it to its provider.
#[async_trait]
pub trait Connect: Send + Sync {
    /// One integration of a tenant; `None` when the tenant has none with this id, or its provider is not in this build.
    async fn connect(&self, tenant: &TenantId, id: &IntegrationId) -> Result<Option<Arc<Integration>>, PortError>;

    /// The ids of all integrations of a tenant.
    async fn ids(&self, tenant: &TenantId) -> Result<Vec<IntegrationId>, PortError>;
}

/// An integration that is ready for use.
struct Ready {
    /// The head that was noted before the row was read.
    noted: i64,
    tag: Tag,
    integration: Arc<Integration>,
}

/// Integrations that are ready for use, by tenant and id.
pub struct Directory {
    connect: Arc<dyn Connect>,
    cached_store: Arc<CachedStore>,
    epochs: Arc<Epochs>,
    ready: RwLock<HashMap<(TenantId, IntegrationId), Ready, RandomState>>,
    /// One at a time makes an integration ready; whoever else wants it waits for that, and not for most others.
    connecting: Vec<tokio::sync::Mutex<()>>,
}

/// Integrations that may be made ready at the same time.
const AT_A_TIME: usize = 64;

impl Directory {
    /// An empty directory.
    pub fn new(connect: Arc<dyn Connect>, cached_store: Arc<CachedStore>, epochs: Arc<Epochs>) -> Self {
        let connecting = (0..AT_A_TIME).map(|_| tokio::sync::Mutex::default()).collect();
        Self { connect, cached_store, epochs, ready: RwLock::default(), connecting }
    }

    /// One integration, if it is ready for use.
    pub fn at_hand(&self, tenant: &TenantId, id: &IntegrationId) -> Option<Arc<Integration>> {
        let ready = self.ready.read();
        let Ready { noted, tag, integration } = ready.get(&(tenant.clone(), id.clone()))?;
        self.epochs.is_current(tenant, *noted, [tag]).then(|| Arc::clone(integration))
    }

    /// One integration; `None` for unknown and foreign ones alike.
    pub async fn get(&self, tenant: &TenantId, id: &IntegrationId) -> Result<Option<Arc<Integration>>, PortError> {
        if let Some(integration) = self.at_hand(tenant, id) {
            return Ok(Some(integration));
        }
        let name = (tenant.clone(), id.clone());
        let turn = usize::try_from(self.ready.read().hasher().hash_one(&name)).unwrap_or_default() % AT_A_TIME;
        let _turn = match self.connecting.get(turn) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        if let Some(integration) = self.at_hand(tenant, id) {
            return Ok(Some(integration));
        }
        let noted = self.cached_store.head(tenant).await?;
        let Some(integration) = self.connect.connect(tenant, id).await? else {
            self.ready.write().remove(&name);
            return Ok(None);
        };
        let tag = Tag::own(tenant, "Integration", id.as_str());
        self.ready.write().insert(name, Ready { noted, tag, integration: Arc::clone(&integration) });
        Ok(Some(integration))
    }

    /// All that are ready for use at the moment.
    pub fn ready(&self) -> Vec<Arc<Integration>> {
        self.ready.read().values().map(|ready| Arc::clone(&ready.integration)).collect()
    }

    /// All integrations of a tenant.
    pub async fn all(&self, tenant: &TenantId) -> Result<Vec<Arc<Integration>>, PortError> {
        let mut all = Vec::new();
        for id in self.connect.ids(tenant).await? {
            all.extend(self.get(tenant, &id).await?);
        }
        Ok(all)
    }
}
