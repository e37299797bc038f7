//! The port of providers and integrations: the tenant's accounts, their state, and the changes of them.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use url::Url;

use super::{Change, Page, PageRequest, Source};
use crate::{
    enums::{CircuitState, HealthState, IntegrationStatus, SocketState, Stage, WebhookState},
    error::PortError,
    id::{IntegrationId, NodeReference},
};

/// A provider that this build knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the graph's Provider")]
pub struct ProviderView {
    pub key: String,
    pub name: String,
    pub stage: Stage,
    pub documentation_url: Option<Url>,
    pub oauth: bool,
    pub webhooks: bool,
    pub node_types: Vec<String>,
}

/// An integration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the graph's Integration")]
pub struct IntegrationView {
    pub id: IntegrationId,
    /// The provider's key; the provider may no longer be in this build.
    pub provider: String,
    pub name: String,
    pub account_name: Option<String>,
    pub status: IntegrationStatus,
    pub stage: Stage,
    pub scopes: Vec<String>,
    pub connected_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub webhook_url: Option<Url>,
    pub updated_at: DateTime<Utc>,
}

/// How an integration does.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields of the graph's IntegrationHealth")]
pub struct HealthView {
    pub state: HealthState,
    pub checked_at: Option<DateTime<Utc>>,
    /// The part of the last window's calls that succeeded, 0 to 1.
    pub success_rate: Option<f64>,
    pub latency_p50_ms: Option<f64>,
    pub latency_p95_ms: Option<f64>,
    pub last_error: Option<String>,
    pub last_delivery_at: Option<DateTime<Utc>>,
    pub webhook_state: WebhookState,
    pub circuit: CircuitState,
    /// The state of the socket that events come over, where there is one.
    pub socket_state: Option<SocketState>,
    /// The reason why it is not open, and what to do.
    pub socket_error: Option<String>,
}

/// One of a provider's quotas.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the graph's QuotaBucket")]
pub struct QuotaView {
    pub name: String,
    pub limit: Option<i32>,
    pub remaining: Option<i32>,
    pub resets_at: Option<DateTime<Utc>>,
    pub used_today: i32,
}

/// A token or a webhook secret on its way from an input to the vault. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Gives it away, in clear.
    pub fn reveal(self) -> String {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An integration to connect with a token that the caller holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIntegration {
    /// The provider's key, known to this build.
    pub provider: String,
    /// Its name for people.
    pub name: String,
    /// The token.
    pub token: Secret,
    /// The secret that the provider signs with; `None`: generated where the provider lets us.
    pub webhook_secret: Option<Secret>,
    /// The token that opens the socket that events come over; `None`: they come as webhooks.
    pub app_token: Option<Secret>,
    /// Another address of the provider's API. Whether it may be called is checked behind the port.
    pub base_url: Option<Url>,
}

/// An integration that was connected.
#[derive(Debug, Clone)]
pub struct Connected {
    /// As it is now.
    pub integration: Arc<IntegrationView>,
    /// Only when it was generated here, only this once.
    pub webhook_secret: Option<Secret>,
}

/// A change of an integration; `None` leaves a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntegrationChanges {
    /// New name.
    pub name: Option<String>,
    /// New token; the ids of all nodes stay.
    pub token: Option<Secret>,
    /// New webhook secret; cleared: deliveries are refused.
    pub webhook_secret: Change<Secret>,
    /// New token for the socket that events come over; cleared: it is closed.
    pub app_token: Change<Secret>,
    /// When the row has another time by now: `CONFLICT`.
    pub expected_updated_at: Option<DateTime<Utc>>,
}

/// Providers of this build and integrations of the caller's tenant.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// All providers, by key.
    fn providers(&self) -> Vec<Arc<ProviderView>>;

    /// One provider; `None` when this build does not know it.
    fn provider(&self, key: &str) -> Option<Arc<ProviderView>> {
        self.providers().into_iter().find(|provider| provider.key == key)
    }

    /// A page of integrations by name, of one provider where `provider` is given.
    async fn integrations(
        &self,
        provider: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Arc<IntegrationView>>, PortError>;

    /// One integration.
    async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<IntegrationView>>, PortError>;

    /// Every integration of a provider, by name: what an omitted `integrationId` is resolved from (none, one or several).
    async fn of_provider(&self, provider: &str) -> Result<Vec<Arc<IntegrationView>>, PortError>;

    /// The integrations that a widget's source draws on, by name.
    async fn feeding(&self, source: &Source) -> Result<Vec<Arc<IntegrationView>>, PortError>;

    /// How an integration does.
    async fn health(&self, id: &IntegrationId) -> Result<HealthView, PortError>;

    /// The rest of its quotas.
    async fn quota(&self, id: &IntegrationId) -> Result<Vec<QuotaView>, PortError>;

    /// Connects an account.
    async fn connect(&self, new: NewIntegration) -> Result<Connected, PortError>;

    /// Changes an integration.
    async fn update(&self, id: &IntegrationId, changes: IntegrationChanges) -> Result<Arc<IntegrationView>, PortError>;

    /// Registers webhooks for these containers at the provider.
    async fn register_webhooks(
        &self,
        id: &IntegrationId,
        containers: Vec<NodeReference>,
    ) -> Result<Connected, PortError>;

    /// Disconnects an account and forgets its token.
    async fn disconnect(&self, id: &IntegrationId) -> Result<(), PortError>;
}
