//! Connects integrations: a row, its provider's adapter, and a transport that holds its limiter, breaker and health.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::AtomicBool},
};

use async_trait::async_trait;
use mullion_entities::sealed::Sealed;
use mullion_schema::{
    error::PortError,
    id::{IntegrationId, TenantId},
};
use parking_lot::{Mutex, RwLock};
use url::Url;

use super::sockets::SOCKET_TOKEN;
use crate::{
    clock::Clock,
    error_chain::chain,
    provider::Provider,
    provider::Providers,
    reading::failed,
    reading::{
        directory::Connect,
        integrations::{Integration, PulseRules},
        internal,
    },
    secret::Secret,
    store::{self, Database, StoreError, catch_up::Pulse, integration::IntegrationStatus},
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
    rules: PulseRules,
    transports: Mutex<HashMap<IntegrationId, (Url, Arc<HttpTransport>)>>,
}

impl Connector {
    /// A connector.
    pub fn new(
        database: Database,
        vault: Vault,
        providers: Arc<Providers>,
        upstream: Upstream,
        (clock, rules): (Arc<dyn Clock>, PulseRules),
    ) -> Self {
        Self { database, vault, providers, upstream, clock, rules, transports: Mutex::default() }
    }

    /// The rules by which the integrations' pulses are judged.
    pub fn pulse_rules(&self) -> PulseRules {
        self.rules
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

    /// The provider of an integration that can be listened to, and a way there with the token for sockets: one of its own, so that
    /// neither's failures hold up the other.
    pub(crate) async fn listening(
        &self,
        tenant: &TenantId,
        id: &IntegrationId,
    ) -> Result<Option<(Arc<dyn Provider>, Connection)>, StoreError> {
        let Some(row) = self.database.integration(tenant, id).await? else { return Ok(None) };
        let Some(provider) = self.providers.get(row.provider.as_str()).filter(|known| known.listener().is_some())
        else {
            return Ok(None);
        };
        // Logged: to what has no address, nothing can be opened.
        let Ok(base_url) = base_url(&row, provider.as_ref()) else { return Ok(None) };
        let tokens = Arc::new(SocketToken(self.stored_token(tenant, id)));
        let key = provider.descriptor().key;
        let transport = self.upstream.transport(key, id.clone(), base_url.clone(), tokens);
        Ok(Some((Arc::clone(provider), self.connection(&row, base_url, transport))))
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
        let tokens = Arc::new(self.stored_token(tenant, id));
        let transport = self.upstream.transport(provider, id.clone(), base_url.clone(), tokens);
        transports.insert(id.clone(), (base_url.clone(), Arc::clone(&transport)));
        transport
    }

    fn stored_token(&self, tenant: &TenantId, id: &IntegrationId) -> StoredToken {
        StoredToken {
            database: self.database.clone(),
            vault: self.vault.clone(),
            tenant: tenant.clone(),
            integration: id.clone(),
        }
    }

    fn connection(
        &self,
        row: &store::integration::Integration,
        base_url: Url,
        transport: Arc<HttpTransport>,
    ) -> Connection {
        Connection {
            tenant: row.tenant.clone(),
            integration: row.id.clone(),
            base_url,
            scopes: row.draft.scopes.clone().into(),
            facts: Arc::new(row.draft.facts.clone()),
            clock: Arc::clone(&self.clock),
            transport,
        }
    }

    /// `None` where its provider is not in this build.
    fn integration(
        &self,
        row: &store::integration::Integration,
        (pulse, registered): (Pulse, HashSet<String>),
    ) -> Result<Option<Integration>, PortError> {
        let Some(provider) = self.providers.get(row.provider.as_str()).cloned() else { return Ok(None) };
        let base_url = base_url(row, provider.as_ref())?;
        let transport = self.transport_for(provider.descriptor().key, (&row.tenant, &row.id), &base_url);
        Ok(Some(Integration {
            tenant: row.tenant.clone(),
            id: row.id.clone(),
            created_at: row.created_at,
            provider,
            connection: self.connection(row, base_url, transport),
            user: row.draft.account_user.clone(),
            refused: AtomicBool::new(row.draft.status == IntegrationStatus::NeedsReconnect),
            pulse: Mutex::new(pulse),
            registered: RwLock::new(registered),
            rules: self.rules,
        }))
    }
}

/// The root of the API that an integration uses.
fn base_url(row: &store::integration::Integration, provider: &dyn Provider) -> Result<Url, PortError> {
    let base_url = row.draft.base_url.as_deref().unwrap_or(provider.descriptor().default_base_url);
    base_url.parse().map_err(|error| failed("a stored base URL is no URL", &error))
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, tenant: &TenantId, id: &IntegrationId) -> Result<Option<Arc<Integration>>, PortError> {
        let Some(row) = self.database.integration(tenant, id).await.map_err(internal)? else { return Ok(None) };
        let pulse = self.database.pulses(std::slice::from_ref(id)).await.map_err(internal)?.remove(id);
        let registered = self.database.registered_containers(std::slice::from_ref(id)).await.map_err(internal)?;
        let registered = registered.into_values().next().unwrap_or_default();
        // An integration without a row about its webhooks was not heard of yet.
        Ok(self.integration(&row, (pulse.unwrap_or_default(), registered))?.map(Arc::new))
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
        let row = self.database.integration(&self.tenant, &self.integration).await.map_err(|error| unread(&error))?;
        self.open("token", row.and_then(|row| row.draft.token))
    }
}

/// A token that was just given, for the one call that checks it.
pub(super) struct GivenToken(pub(super) Secret);

#[async_trait]
impl TokenSource for GivenToken {
    async fn token(&self) -> Result<Secret, UpstreamError> {
        Ok(self.0.clone())
    }
}

/// Opens the token that opens sockets.
struct SocketToken(StoredToken);

#[async_trait]
impl TokenSource for SocketToken {
    async fn token(&self) -> Result<Secret, UpstreamError> {
        let StoredToken { database, tenant, integration, .. } = &self.0;
        let sealed = database.socket_token(tenant, integration).await.map_err(|error| unread(&error))?;
        self.0.open(SOCKET_TOKEN, sealed)
    }
}

fn unread(error: &StoreError) -> UpstreamError {
    tracing::error!(error = %chain(error), "the token could not be read");
    UpstreamError::new(UpstreamErrorKind::Internal, "the token could not be read")
}

impl StoredToken {
    fn open(&self, column: &str, sealed: Option<Sealed>) -> Result<Secret, UpstreamError> {
        let gone = || UpstreamError::new(UpstreamErrorKind::AuthExpired, "the integration has no token");
        let place = Place { tenant: &self.tenant, integration: &self.integration, column };
        self.vault.open(place, &sealed.ok_or_else(gone)?).map_err(|error| {
            // The token may be as good as ever: to tell its owner to bring another one would lead astray.
            tracing::error!(
                error = %chain(&error),
                integration = %self.integration,
                "a stored token could not be opened: start the server with the encryption key that it was sealed with, or \
                 give the integration a new token with updateIntegration"
            );
            UpstreamError::new(UpstreamErrorKind::Internal, "the token could not be opened")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use mullion_schema::{
        error::ErrorCode,
        id::{IntegrationId, TenantId},
    };

    use super::Connector;
    use crate::{
        clock::FixedClock,
        reading::{directory::Connect as _, integrations::PulseRules, port_error},
        store::{
            Database, OpenOptions,
            integration::{IntegrationDraft, IntegrationStage, IntegrationStatus},
        },
        upstream::{AddressGuard, Jitter, Limits, NoObserver, Upstream, UpstreamErrorKind, UpstreamRequest},
        vault::{Place, Vault},
    };

    fn vault() -> Vault {
        let key = Vault::generate_key().expect("a key");
        Vault::new([key.expose_text().expect("text")]).expect("a vault")
    }

    #[tokio::test]
    async fn a_token_that_another_key_sealed_is_our_failure_and_not_the_accounts() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("mullion.db").display());
        let clock = Arc::new(FixedClock::at(DateTime::UNIX_EPOCH));
        let database = Database::open(&url, &OpenOptions::default(), clock.clone()).await.expect("a database");
        mullion_migrations::apply(database.migration_connection()).await.expect("tables");
        let (tenant, id) = (TenantId::from("acme"), IntegrationId::from("i1"));
        let place = Place { tenant: &tenant, integration: &id, column: "token" };
        let sealed = vault().seal(place, &"t0ken".into()).expect("sealed");
        let draft = IntegrationDraft {
            name: "An account".into(),
            base_url: None,
            account_name: None,
            account_user: None,
            scopes: Vec::new(),
            facts: serde_json::Map::new(),
            status: IntegrationStatus::Connected,
            stage: IntegrationStage::Prototype,
            token: Some(sealed),
            connected_at: None,
            expires_at: None,
        };
        let providers = crate::providers::all();
        let provider = *providers.keys().next().expect("a provider");
        database.create_tenant(&tenant, "Acme").await.expect("a tenant");
        database.create_integration(&tenant, &id, provider, draft).await.expect("an integration");
        let upstream = Upstream::new(
            AddressGuard::default(),
            Limits::default(),
            clock.clone(),
            Arc::new(NoObserver),
            Jitter::fixed(0.0),
        );
        let connector =
            Connector::new(database, vault(), Arc::new(providers), upstream, (clock, PulseRules::default()));
        let integration = connector.connect(&tenant, &id).await.expect("no failure").expect("an integration");
        let request = UpstreamRequest::get(integration.connection.base_url.clone(), "core");
        let error = integration.connection.send(request).await.expect_err("no token");
        assert_eq!(error.kind, UpstreamErrorKind::Internal);
        assert_eq!(port_error(&integration, &error).code, ErrorCode::InternalServerError);
    }
}
