//! The parts that answers about accounts share.

use std::sync::Arc;

use mullion_schema::{
    error::PortError,
    id::{IntegrationId, TenantId},
    ports::IntegrationView,
};
use tokio::sync::Notify;

use super::{connector::Connector, quotas::QuotaUses, webhooks::Webhooks};
use crate::{
    cache::kept::Kept,
    changes::Applier,
    clock::Clock,
    provider::Providers,
    reading::{Engine, internal},
    store::{Database, event_socket::SocketState},
    upstream::Upstream,
    vault::Vault,
};

/// The accounts of all tenants.
pub struct Accounts {
    pub(crate) database: Database,
    pub(crate) vault: Vault,
    pub(crate) engine: Arc<Engine>,
    pub(crate) applier: Arc<Applier>,
    pub(crate) providers: Arc<Providers>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) upstream: Upstream,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) webhooks: Arc<Webhooks>,
    /// Notified when a token for a socket is given or taken away.
    pub(crate) socket_tokens: Arc<Notify>,
    pub(crate) quota_uses: Arc<QuotaUses>,
    /// All integrations of a tenant, oldest first.
    pub(crate) kept: Kept<(), Arc<[Arc<IntegrationView>]>>,
}

impl Accounts {
    /// Whether events come over a socket, so that no webhook has to be registered.
    pub(super) async fn listens(&self, tenant: &TenantId, integration: &IntegrationId) -> Result<bool, PortError> {
        let socket = self.database.event_socket(tenant, integration).await.map_err(internal)?;
        Ok(socket.is_some_and(|socket| socket.state != SocketState::Failed))
    }
}
