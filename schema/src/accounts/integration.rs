//! Integrations, their health and their quotas.

#![expect(clippy::unused_async, reason = "errors below asynchronous fields keep their own path")]

use std::{borrow::Cow, sync::Arc};

use async_graphql::{Context, ID, Object, SimpleObject};

use super::provider::Provider;
use crate::{
    cost::Items,
    enums::{CircuitState, HealthState, IntegrationStatus, SocketState, Stage, WebhookState},
    error::PortError,
    id::{GlobalId, IntegrationId},
    ports::{HealthView, IntegrationView, QuotaView},
    scalars::{Time, WebUrl},
    table::{Item, Many, ports},
};

/// An integration.
#[derive(Clone)]
pub struct Integration(pub Arc<IntegrationView>);

/// An integration that a node or a row names, so that it must be there.
pub async fn integration_of(ctx: &Context<'_>, id: &IntegrationId) -> Result<Integration, PortError> {
    let found = ports(ctx)?.accounts.integration(id).await?;
    found.map(Integration).ok_or_else(|| PortError::not_found("the integration"))
}

/// An integration that a row names, if it is still connected.
pub async fn connected_integration(
    ctx: &Context<'_>,
    id: Option<&IntegrationId>,
) -> Option<Result<Integration, PortError>> {
    let ports = match ports(ctx) {
        Ok(ports) => ports,
        Err(error) => return Some(Err(error)),
    };
    ports.accounts.integration(id?).await.map(|found| found.map(Integration)).transpose()
}

impl Item for Integration {
    fn stem() -> Cow<'static, str> {
        Cow::Borrowed("Integration")
    }
}

/// One of your accounts at a provider.
#[Object]
impl Integration {
    /// Opaque, global and stable.
    async fn id(&self) -> ID {
        GlobalId::own("Integration", self.0.id.as_str()).encode().into()
    }

    /// The provider.
    async fn provider(&self, ctx: &Context<'_>) -> Result<Provider, PortError> {
        Provider::of(ctx, &self.0.provider)
    }

    /// The name you gave it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The account's name at the provider.
    async fn account_name(&self) -> Option<&str> {
        self.0.account_name.as_deref()
    }

    /// Where it stands.
    async fn status(&self) -> IntegrationStatus {
        self.0.status
    }

    /// How far it has come. `PRODUCTION` for each that was connected with a token; others come with sign-in.
    async fn stage(&self) -> Stage {
        self.0.stage
    }

    /// The scopes of its token, where the provider tells.
    #[graphql(directive = Items::apply(20))]
    async fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// When it was connected.
    async fn connected_at(&self) -> Option<Time> {
        self.0.connected_at.map(Time)
    }

    /// When its token expires. Null for tokens that were given by hand, whose providers do not say; it comes with sign-in.
    async fn expires_at(&self) -> Option<Time> {
        self.0.expires_at.map(Time)
    }

    /// Where the provider is to send its webhooks. Webhooks that were registered from here may go elsewhere.
    async fn webhook_url(&self) -> Option<WebUrl> {
        self.0.webhook_url.clone().map(WebUrl)
    }

    /// When its settings last changed: `expectedUpdatedAt` of an update.
    async fn updated_at(&self) -> Time {
        self.0.updated_at.into()
    }

    /// How its calls and webhooks do.
    async fn health(&self, ctx: &Context<'_>) -> Result<IntegrationHealth, PortError> {
        Ok(ports(ctx)?.accounts.health(&self.0.id).await?.into())
    }

    /// The rest of the provider's quotas.
    #[graphql(directive = Items::apply(5))]
    async fn quota(&self, ctx: &Context<'_>) -> Result<Many<QuotaBucket>, PortError> {
        Ok(ports(ctx)?.accounts.quota(&self.0.id).await?.into_iter().map(QuotaBucket::from).collect())
    }
}

/// How an integration does.
#[derive(Debug, Clone, SimpleObject)]
pub struct IntegrationHealth {
    /// In one word.
    state: HealthState,
    /// When the provider was last called.
    checked_at: Option<Time>,
    /// Successful calls by all calls of the last window, 0 to 1.
    success_rate: Option<f64>,
    /// Half of the calls of the last window took at most this long, in milliseconds.
    #[graphql(name = "latencyP50Ms")]
    latency_p50_ms: Option<f64>,
    /// 95 of a hundred calls of the last window took at most this long, in milliseconds.
    #[graphql(name = "latencyP95Ms")]
    latency_p95_ms: Option<f64>,
    /// The last error: of a call of this process, otherwise the one that was noted when the provider refused the token or could not
    /// be asked for what its webhooks did not tell. It stays when all is well again; `state` says how it is now.
    last_error: Option<String>,
    /// When a webhook last came in, or an event over the socket: its signature was right, and it was stored. One that had come before
    /// counts too; handshakes, challenges and what had to be fetched (`WebhookDelivery.source` is `LOG`) do not. To about a second.
    last_delivery_at: Option<Time>,
    /// Whether changes come by webhooks, and what is done where they do not.
    webhook_state: WebhookState,
    /// Whether calls go through.
    circuit: CircuitState,
    /// How the socket stands that events come over in place of webhooks. Null: there is none, because no `appToken` was given.
    socket_state: Option<SocketState>,
    /// The reason why the socket is not open, and what to do.
    socket_error: Option<String>,
}

impl From<HealthView> for IntegrationHealth {
    fn from(view: HealthView) -> Self {
        Self {
            state: view.state,
            checked_at: view.checked_at.map(Time),
            success_rate: view.success_rate,
            latency_p50_ms: view.latency_p50_ms,
            latency_p95_ms: view.latency_p95_ms,
            last_error: view.last_error,
            last_delivery_at: view.last_delivery_at.map(Time),
            webhook_state: view.webhook_state,
            circuit: view.circuit,
            socket_state: view.socket_state,
            socket_error: view.socket_error,
        }
    }
}

/// One of a provider's quotas.
#[derive(Debug, Clone, SimpleObject)]
pub struct QuotaBucket {
    /// Which.
    name: String,
    /// How much there is in all, where the provider tells.
    limit: Option<i32>,
    /// How much is left, where the provider tells.
    remaining: Option<i32>,
    /// When it is full again.
    resets_at: Option<Time>,
    /// How much of it was used through this integration today (UTC), as it was counted here: calls, or points where the provider counts
    /// points. Other programs' use of the same account is not in it.
    used_today: i32,
}

impl From<QuotaView> for QuotaBucket {
    fn from(view: QuotaView) -> Self {
        Self {
            name: view.name,
            limit: view.limit,
            remaining: view.remaining,
            resets_at: view.resets_at.map(Time),
            used_today: view.used_today,
        }
    }
}
