//! Connects integrations: a row, its provider's adapter, and a transport that holds its limiter, breaker and health.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use async_trait::async_trait;
use mullion_schema::{
    error::PortError,
    id::{IntegrationId, TenantId},
};
use parking_lot::Mutex;
use url::Url;

use super::Providers;
use crate::{
    clock::Clock,
    engine::{directory::Connect, integrations::Integration, internal},
    secret::Secret,
    store::{self, Database, integration::IntegrationStatus},
    upstream::{Connection, HttpTransport, TokenSource, Upstream, UpstreamError, UpstreamErrorKind},
    vault::{Place, Vault},
};

/// Makes integrations ready for use.
pub struct Connector {
    database: Database,
    vault: Vault,
    providers: Arc<Providers>,
    upstream: Upstream,
    clock: Arc<dyn Clock>,
    transports: Mutex<HashMap<IntegrationId, (Url, Arc<HttpTransport>)>>,
}

impl Connector {
    /// A connector.
    pub fn new(
        database: Database,
        vault: Vault,
        providers: Arc<Providers>,
        upstream: Upstream,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { database, vault, providers, upstream, clock, transports: Mutex::default() }
    }

    /// The transport of an integration, where it was used since the start: its health and circuit.
    pub fn transport(&self, id: &IntegrationId) -> Option<Arc<HttpTransport>> {
        self.transports.lock().get(id).map(|(_, transport)| Arc::clone(transport))
    }

    /// Forgets a transport: the integration is gone, or has a new token.
    pub fn forget(&self, id: &IntegrationId) {
        self.transports.lock().remove(id);
        self.upstream.forget(id);
    }

    fn transport_for(
        &self,
        provider: &'static str,
        (tenant, id): (&TenantId, &IntegrationId),
        base_url: &Url,
    ) -> Arc<HttpTransport> {
        let mut transports = self.transports.lock();
        if let Some((known, transport)) = transports.get(id)
            && known == base_url
        {
            return Arc::clone(transport);
        }
        let tokens = Arc::new(StoredToken {
            database: self.database.clone(),
            vault: self.vault.clone(),
            tenant: tenant.clone(),
            integration: id.clone(),
        });
        let transport = self.upstream.transport(provider, id.clone(), base_url.clone(), tokens);
        transports.insert(id.clone(), (base_url.clone(), Arc::clone(&transport)));
        transport
    }

    fn integration(&self, row: &store::integration::Integration) -> Option<Integration> {
        let provider = Arc::clone(self.providers.get(row.provider.as_str())?);
        let base_url = row.draft.base_url.as_deref().unwrap_or(provider.descriptor().default_base_url);
        let base_url: Url = base_url.parse().ok()?;
        let transport = self.transport_for(provider.descriptor().key, (&row.tenant, &row.id), &base_url);
        Some(Integration {
            tenant: row.tenant.clone(),
            id: row.id.clone(),
            provider,
            connection: Connection {
                tenant: row.tenant.clone(),
                integration: row.id.clone(),
                base_url,
                scopes: row.draft.scopes.clone().into(),
                facts: Arc::new(row.draft.facts.clone()),
                clock: Arc::clone(&self.clock),
                transport,
            },
            user: row.draft.account_user.clone(),
            refused: AtomicBool::new(row.draft.status == IntegrationStatus::NeedsReconnect),
            last_delivery_at: Mutex::new(row.last_delivery_at),
        })
    }
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, tenant: &TenantId, id: &IntegrationId) -> Result<Option<Arc<Integration>>, PortError> {
        let row = self.database.integration(tenant, id).await.map_err(internal)?;
        Ok(row.and_then(|row| self.integration(&row)).map(Arc::new))
    }

    async fn ids(&self, tenant: &TenantId) -> Result<Vec<IntegrationId>, PortError> {
        let rows = self.database.integrations(tenant).await.map_err(internal)?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}

/// Opens the stored token for each call.
struct StoredToken {
    database: Database,
    vault: Vault,
    tenant: TenantId,
    integration: IntegrationId,
}

#[async_trait]
impl TokenSource for StoredToken {
    async fn token(&self) -> Result<Secret, UpstreamError> {
        let gone = || UpstreamError::new(UpstreamErrorKind::AuthExpired, "the integration has no token");
        let row = self.database.integration(&self.tenant, &self.integration).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the token could not be read");
            UpstreamError::new(UpstreamErrorKind::Down, "the token could not be read")
        })?;
        let sealed = row.and_then(|row| row.draft.token).ok_or_else(gone)?;
        let place = Place { tenant: &self.tenant, integration: &self.integration, column: "token" };
        self.vault.open(place, &sealed).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the token could not be opened");
            UpstreamError::new(UpstreamErrorKind::AuthExpired, "the token could not be opened")
        })
    }
}
