//! Integrations: the tenant's accounts at the providers, their state, and the changes of them.

mod connector;
mod health;
mod quotas;
mod room;
mod sockets;
#[cfg(test)]
mod tests;
mod view;
mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mullion_entities::sealed::Sealed;
use mullion_schema::{
    enums::{CircuitState, HealthState},
    error::{ErrorCode, PortError},
    id::{IntegrationId, NodeReference},
    ports::{
        self, Change, Connected, HealthView, IntegrationChanges, IntegrationView, NewIntegration, Page, PageRequest,
        ProviderView, QuotaView, Source,
    },
};
use url::Url;

pub use self::{
    connector::Connector,
    quotas::{QuotaUses, SharedQuotas},
    room::Accounts,
    webhooks::Webhooks,
};
use self::{
    connector::GivenToken,
    sockets::{SOCKET_TOKEN, check_socket_token, offers_sockets, state_of},
    view::{integration_view, position_of, provider_view},
    webhooks::first_secret,
};
use crate::{
    cache::kept::{NewEntry, ROW_BYTES},
    inbox::ENDPOINT_SECRETS,
    provider::{Account, NodeRef, Provider},
    reading::{Scope, failed, integrations::Integration, internal},
    secret::Secret,
    store::{
        self,
        connect::{ConnectionChanges, NewConnection},
        event_socket::SocketState,
        integration::{self, IntegrationDraft, IntegrationStage},
    },
    tag::Tag,
    upstream::{self, Connection, UpstreamErrorKind},
    vault::Place,
};

/// Answers for one execution.
pub struct AccountsAnswer {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) scope: Arc<Scope>,
}

impl AccountsAnswer {
    async fn rows(&self) -> Result<Vec<integration::Integration>, PortError> {
        self.scope.record(Tag::own_list(&self.scope.tenant, "integrations"));
        self.accounts.database.integrations(&self.scope.tenant).await.map_err(internal)
    }

    async fn row(&self, id: &IntegrationId) -> Result<Option<integration::Integration>, PortError> {
        self.scope.record(Tag::own(&self.scope.tenant, "Integration", id.as_str()));
        self.accounts.database.integration(&self.scope.tenant, id).await.map_err(internal)
    }

    /// All of the tenant, oldest first, from memory where they are there. A caller that shows one records it.
    async fn views(&self) -> Result<Arc<[Arc<IntegrationView>]>, PortError> {
        let tenant = &self.scope.tenant;
        self.scope.record(Tag::own_list(tenant, "integrations"));
        let load = async || {
            let noted = self.accounts.engine.head(tenant).await?;
            let mut views = Vec::new();
            for row in self.rows().await? {
                views.push(self.view_of(row).await?);
            }
            let value: Arc<[Arc<IntegrationView>]> = views.into();
            let own = value.iter().map(|view| Tag::own(tenant, "Integration", view.id.as_str()));
            let tags = own.chain([Tag::own_list(tenant, "integrations")]).collect();
            let bytes = value.len() * ROW_BYTES;
            Ok(NewEntry { noted, tags, value, bytes, keep: true })
        };
        self.accounts.kept.get_or_read(tenant, &(), load).await
    }

    async fn view(&self, row: integration::Integration) -> Result<Arc<IntegrationView>, PortError> {
        self.scope.record(Tag::own(&self.scope.tenant, "Integration", row.id.as_str()));
        self.view_of(row).await
    }

    async fn view_of(&self, row: integration::Integration) -> Result<Arc<IntegrationView>, PortError> {
        let endpoints = self.accounts.database.endpoints(&row.tenant, &row.id).await.map_err(internal)?;
        let default = endpoints.into_iter().find(|endpoint| endpoint.draft.container.is_none());
        let webhook_url = default.and_then(|endpoint| self.accounts.webhooks.url(&endpoint.provider, &endpoint.path));
        Ok(Arc::new(self.shown(row, webhook_url)))
    }

    /// The integration as it was just written, without another look at the database: a committed write is told
    /// whatever fails after it.
    fn written(&self, connected: store::connect::Connected) -> Arc<IntegrationView> {
        let store::connect::Connected { integration, endpoint } = connected;
        self.scope.record(Tag::own(&self.scope.tenant, "Integration", integration.id.as_str()));
        let webhook_url = self.accounts.webhooks.url(&endpoint.provider, &endpoint.path);
        Arc::new(self.shown(integration, webhook_url))
    }

    fn shown(&self, row: integration::Integration, webhook_url: Option<Url>) -> IntegrationView {
        let is_known = self.accounts.providers.contains_key(row.provider.as_str());
        integration_view(row, is_known, webhook_url)
    }

    async fn ready(&self, id: &IntegrationId) -> Result<Arc<Integration>, PortError> {
        let found = self.accounts.engine.directory().get(&self.scope.tenant, id).await?;
        found.ok_or_else(|| PortError::not_found("the integration"))
    }

    fn provider_named(&self, key: &str) -> Result<Arc<dyn Provider>, PortError> {
        let known = || self.accounts.providers.keys().copied().collect::<Vec<_>>().join(", ");
        let provider = self.accounts.providers.get(key).cloned();
        provider.ok_or_else(|| PortError::bad_input(format!("provider: there is no `{key}`; there are {}", known())))
    }

    /// Asks the provider who a token belongs to, before anything is stored.
    async fn identify(
        &self,
        provider: &dyn Provider,
        id: &IntegrationId,
        base_url: &Url,
        token: &Secret,
    ) -> Result<Account, PortError> {
        let connection = self.connection_with(provider, id, base_url, token);
        let name = provider.descriptor().name;
        provider.identify(&connection).await.map_err(|error| match error.kind {
            UpstreamErrorKind::AuthExpired | UpstreamErrorKind::Forbidden => {
                PortError::bad_input(format!("token: {name} does not accept it"))
            }
            UpstreamErrorKind::NotFound | UpstreamErrorKind::Rejected => {
                PortError::bad_input(format!("baseUrl: there is no {name} API there"))
            }
            UpstreamErrorKind::AddressRefused => PortError::bad_input(format!("baseUrl: {}", error.message)),
            UpstreamErrorKind::RateLimited => PortError::new(
                ErrorCode::ProviderRateLimited,
                format!("{name}'s quota is used up; try again after it resets"),
            ),
            _ => PortError::new(ErrorCode::ProviderUnavailable, format!("{name} does not answer as it should")),
        })
    }

    /// A way to the provider with a token that is not stored.
    fn connection_with(
        &self,
        provider: &dyn Provider,
        id: &IntegrationId,
        base_url: &Url,
        token: &Secret,
    ) -> Connection {
        let tokens = Arc::new(GivenToken(token.clone()));
        Connection {
            tenant: self.scope.tenant.clone(),
            integration: id.clone(),
            base_url: base_url.clone(),
            scopes: Arc::default(),
            facts: Arc::default(),
            clock: Arc::clone(&self.accounts.clock),
            transport: self.accounts.upstream.transport(
                provider.descriptor().key,
                id.clone(),
                base_url.clone(),
                tokens,
            ),
        }
    }

    /// Asks the provider whether it would open a socket for a token.
    async fn check_app_token(
        &self,
        provider: &dyn Provider,
        id: &IntegrationId,
        base_url: &Url,
        token: Change<mullion_schema::ports::Secret>,
    ) -> Result<Change<Secret>, PortError> {
        Ok(match token {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(token) => {
                let token = Secret::from(token.reveal());
                let connection = self.connection_with(provider, id, base_url, &token);
                check_socket_token(provider, &connection).await?;
                Change::Set(token)
            }
        })
    }

    fn seal(&self, id: &IntegrationId, column: &str, token: &Secret) -> Result<Sealed, PortError> {
        let place = Place { tenant: &self.scope.tenant, integration: id, column };
        self.accounts.vault.seal(place, token).map_err(|error| failed("a token could not be sealed", &error))
    }

    /// Seals what is set, and nothing else.
    fn sealed(&self, id: &IntegrationId, column: &str, token: Change<Secret>) -> Result<Change<Sealed>, PortError> {
        Ok(match token {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(token) => Change::Set(self.seal(id, column, &token)?),
        })
    }

    async fn announce(&self, change: &crate::store::stream::AppliedChange) {
        self.accounts.applier.announce(&self.scope.tenant, std::slice::from_ref(change)).await;
    }
}

#[async_trait]
impl ports::Accounts for AccountsAnswer {
    fn providers(&self) -> Vec<Arc<ProviderView>> {
        self.accounts.providers.values().map(|provider| Arc::new(provider_view(provider.as_ref()))).collect()
    }

    async fn integrations(
        &self,
        provider: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Arc<IntegrationView>>, PortError> {
        let rows = self.rows().await?;
        let mut rows: Vec<_> =
            rows.into_iter().filter(|row| provider.is_none_or(|provider| row.provider == provider)).collect();
        rows.sort_by_key(position_of);
        // A count that does not fit is left out, which the graph allows; it cannot come to that.
        let total = i64::try_from(rows.len()).ok();
        let start = page.after.as_ref().map_or(0, |after| rows.partition_point(|row| position_of(row) <= *after));
        let has_next = rows.len() > start + page.first;
        let mut items = Vec::new();
        for row in rows.into_iter().skip(start).take(page.first) {
            items.push((position_of(&row), self.view(row).await?));
        }
        Ok(Page { items, has_next, total })
    }

    async fn integration(&self, id: &IntegrationId) -> Result<Option<Arc<IntegrationView>>, PortError> {
        let kept = self.accounts.kept.get(&self.scope.tenant, ());
        if let Some(view) = kept.and_then(|views| views.iter().find(|view| view.id == *id).cloned()) {
            self.scope.record(Tag::own(&self.scope.tenant, "Integration", id.as_str()));
            return Ok(Some(view));
        }
        match self.row(id).await? {
            Some(row) => self.view(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn of_provider(&self, provider: &str) -> Result<Vec<Arc<IntegrationView>>, PortError> {
        let mut found = Vec::new();
        for row in self.rows().await?.into_iter().filter(|row| row.provider == provider) {
            found.push(self.view(row).await?);
        }
        Ok(found)
    }

    async fn feeding(&self, source: &Source) -> Result<Vec<Arc<IntegrationView>>, PortError> {
        let named: Option<Vec<IntegrationId>> = match source {
            Source::Activity(activity) => activity.integrations.clone(),
            _ => source.containers().map(|nodes| nodes.iter().map(|node| node.integration.clone()).collect()),
        };
        let providers = match source {
            Source::WorkItems(items) => items.filter.providers.clone(),
            Source::Activity(activity) => activity.providers.clone(),
            _ => None,
        };
        let feeds = |view: &&Arc<IntegrationView>| {
            named.as_ref().is_none_or(|ids| ids.contains(&view.id))
                && providers.as_ref().is_none_or(|keys| keys.contains(&view.provider))
        };
        let found: Vec<_> = self.views().await?.iter().filter(feeds).cloned().collect();
        self.scope.record_all(found.iter().map(|view| Tag::own(&self.scope.tenant, "Integration", view.id.as_str())));
        Ok(found)
    }

    async fn health(&self, id: &IntegrationId) -> Result<HealthView, PortError> {
        // It is of this moment: nothing tells when it is another.
        self.scope.note_stale();
        let row = self.row(id).await?.ok_or_else(|| PortError::not_found("the integration"))?;
        let transport = self.accounts.connector.transport(id);
        // One that was not used since the start has no readings: its state is UNKNOWN.
        let reading = transport.as_ref().map(|transport| transport.health()).unwrap_or_default();
        let circuit = transport.map_or(upstream::CircuitState::Closed, |transport| transport.circuit());
        let refused = row.draft.status == integration::IntegrationStatus::NeedsReconnect;
        let state = health::state_of(circuit, &reading, refused, self.accounts.clock.now());
        let pulse = self.accounts.database.pulses(std::slice::from_ref(id)).await.map_err(internal)?.remove(id);
        let rules = self.accounts.connector.pulse_rules();
        // It was removed meanwhile where it has no pulse.
        let webhook_state = rules.state(&pulse.unwrap_or_default(), self.accounts.clock.now());
        let socket = self.accounts.database.event_socket(&self.scope.tenant, id).await.map_err(internal)?;
        let failed = socket.as_ref().is_some_and(|socket| socket.state == SocketState::Failed);
        let state = if failed && state != HealthState::Down { HealthState::Degraded } else { state };
        let checked_at = reading.last_success_at.max(reading.last_error_at);
        Ok(HealthView {
            state,
            checked_at,
            success_rate: reading.success_rate,
            latency_p50_ms: reading.p50.map(|latency| latency.as_secs_f64() * 1000.0),
            latency_p95_ms: reading.p95.map(|latency| latency.as_secs_f64() * 1000.0),
            last_error: reading.last_error.or(row.last_error.map(|(message, _)| message)),
            last_delivery_at: row.last_delivery_at,
            webhook_state,
            circuit: match circuit {
                upstream::CircuitState::Closed => CircuitState::Closed,
                upstream::CircuitState::HalfOpen => CircuitState::HalfOpen,
                upstream::CircuitState::Open => CircuitState::Open,
            },
            socket_state: socket.as_ref().map(state_of),
            socket_error: socket.and_then(|socket| socket.message),
        })
    }

    async fn quota(&self, id: &IntegrationId) -> Result<Vec<QuotaView>, PortError> {
        // Every call changes it, and no call says so.
        self.scope.note_stale();
        self.row(id).await?.ok_or_else(|| PortError::not_found("the integration"))?;
        let reading = self.accounts.connector.transport(id).map(|transport| transport.health()).unwrap_or_default();
        let mut used = self.accounts.quota_uses.today(id).await.map_err(internal)?;
        let now = self.accounts.clock.now();
        // A number that does not fit the graph's Int is not known to clients.
        let int = |value: Option<i64>| value.and_then(|value| i32::try_from(value).ok());
        let views = reading.quotas.into_iter().map(|quota| QuotaView {
            name: quota.bucket.to_owned(),
            limit: int(quota.limit),
            remaining: int(quota.left(now)),
            resets_at: quota.resets_at,
            used_today: int(used.remove(quota.bucket)).unwrap_or(0),
        });
        let mut views: Vec<_> = views.collect();
        // Providers that tell nothing of a quota until it is used up are counted all the same.
        views.extend(used.into_iter().map(|(name, units)| QuotaView {
            name,
            limit: None,
            remaining: None,
            resets_at: None,
            used_today: int(Some(units)).unwrap_or(i32::MAX),
        }));
        views.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(views)
    }

    async fn connect(&self, new: NewIntegration) -> Result<Connected, PortError> {
        let provider = self.provider_named(&new.provider)?;
        let descriptor = provider.descriptor();
        let base_url = match &new.base_url {
            Some(url) => url.clone(),
            None => {
                descriptor.default_base_url.parse().map_err(|error| failed("a default base URL is no URL", &error))?
            }
        };
        let guard = self.accounts.upstream.guard();
        guard.check(&base_url).map_err(|error| PortError::bad_input(format!("baseUrl: {}", error.message)))?;
        let id: IntegrationId = self.accounts.database.new_id().map_err(internal)?.into();
        let token = Secret::from(new.token.reveal());
        if new.app_token.is_some() {
            offers_sockets(provider.as_ref())?;
        }
        let account = self.identify(provider.as_ref(), &id, &base_url, &token).await?;
        let app_token = new.app_token.map_or(Change::Keep, Change::Set);
        let app_token = self.check_app_token(provider.as_ref(), &id, &base_url, app_token).await?;
        let draft = IntegrationDraft {
            name: new.name,
            base_url: new.base_url.map(Into::into),
            stage: IntegrationStage::Production,
            token: Some(self.seal(&id, "token", &token)?),
            ..connected(account, self.accounts.clock.now())
        };
        let given = new.webhook_secret.map(|secret| Secret::from(secret.reveal()));
        let (secret, generated) = first_secret(provider.as_ref(), given)?;
        let secret = secret.map(|secret| self.seal(&id, ENDPOINT_SECRETS, &secret)).transpose()?;
        let socket_token = match app_token {
            Change::Set(token) => Some(self.seal(&id, SOCKET_TOKEN, &token)?),
            Change::Keep | Change::Clear => None,
        };
        let listens = socket_token.is_some();
        let new = NewConnection { draft, path: None, secret, socket_token };
        let made = self.accounts.database.connect_integration(&self.scope.tenant, &id, descriptor.key, new).await;
        let made = made.map_err(internal)?;
        self.announce(&made.change).await;
        if listens {
            self.accounts.socket_tokens.notify_one();
        }
        Ok(Connected { integration: self.written(made.value), webhook_secret: generated })
    }

    async fn update(&self, id: &IntegrationId, changes: IntegrationChanges) -> Result<Arc<IntegrationView>, PortError> {
        let row = self.row(id).await?.ok_or_else(|| PortError::not_found("the integration"))?;
        let mut renewed = None;
        let mut app_token = Change::Keep;
        if changes.token.is_some() || changes.app_token != Change::Keep {
            let provider = self.provider_named(&row.provider)?;
            let base_url = row.draft.base_url.as_deref().unwrap_or(provider.descriptor().default_base_url);
            let base_url = base_url.parse().map_err(|error| failed("a stored base URL is no URL", &error))?;
            if let Some(token) = changes.token {
                let token = Secret::from(token.reveal());
                let account = self.identify(provider.as_ref(), id, &base_url, &token).await?;
                renewed = Some((self.seal(id, "token", &token)?, connected(account, self.accounts.clock.now())));
            }
            app_token = self.check_app_token(provider.as_ref(), id, &base_url, changes.app_token).await?;
        }
        let has_token = renewed.is_some();
        let change = |draft: &mut IntegrationDraft| {
            if let Some(name) = changes.name {
                draft.name = name;
            }
            if let Some((token, account)) = renewed {
                let kept = (draft.name.clone(), draft.base_url.clone(), draft.stage);
                *draft =
                    IntegrationDraft { name: kept.0, base_url: kept.1, stage: kept.2, token: Some(token), ..account };
            }
        };
        let secret = match changes.webhook_secret {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(secret) => Change::Set(Secret::from(secret.reveal())),
        };
        let others = ConnectionChanges {
            secret: self.sealed(id, ENDPOINT_SECRETS, secret)?,
            socket_token: self.sealed(id, SOCKET_TOKEN, app_token)?,
        };
        let has_socket_token = others.socket_token != Change::Keep;
        let expected = changes.expected_updated_at;
        let written =
            self.accounts.database.change_connection(&self.scope.tenant, id, expected, (change, others)).await;
        let written = written.map_err(internal)?;
        if has_token {
            // A new token starts with a clean slate: no open circuit, no answers that another account was given.
            self.accounts.connector.forget(id);
        }
        self.announce(&written.change).await;
        if has_socket_token {
            self.accounts.socket_tokens.notify_one();
        }
        Ok(self.written(written.value))
    }

    async fn register_webhooks(
        &self,
        id: &IntegrationId,
        containers: Vec<NodeReference>,
    ) -> Result<Connected, PortError> {
        let row = self.row(id).await?.ok_or_else(|| PortError::not_found("the integration"))?;
        let integration = self.ready(id).await?;
        let mut nodes = Vec::new();
        for container in containers {
            let known =
                integration.provider.descriptor().types.iter().find(|known| known.name == &*container.type_name);
            match known.filter(|_| container.integration == *id) {
                Some(known) => nodes.push(NodeRef::new(known.name, container.native_id)),
                None => return Err(PortError::not_found("a container")),
            }
        }
        if self.accounts.listens(&self.scope.tenant, id).await? {
            // All of the account's events come already: there is nothing to register.
            return Ok(Connected { integration: self.view(row).await?, webhook_secret: None });
        }
        let webhook_secret = self.accounts.webhooks.register(&integration, &row, &nodes).await?;
        Ok(Connected { integration: self.view(row).await?, webhook_secret })
    }

    async fn disconnect(&self, id: &IntegrationId) -> Result<(), PortError> {
        if let Some(integration) = self.accounts.engine.directory().get(&self.scope.tenant, id).await? {
            self.accounts.webhooks.unregister_all(&integration).await?;
        }
        let deleted = self.accounts.database.delete_integration(&self.scope.tenant, id).await.map_err(internal)?;
        self.accounts.connector.forget(id);
        self.announce(&deleted.change).await;
        Ok(())
    }
}

/// An account as its provider described it, as fields of its row.
fn connected(account: Account, now: DateTime<Utc>) -> IntegrationDraft {
    IntegrationDraft {
        account_name: Some(account.name),
        account_user: account.user.map(|user| user.to_string()),
        scopes: account.scopes,
        facts: account.facts,
        status: integration::IntegrationStatus::Connected,
        connected_at: Some(now),
        name: String::new(),
        base_url: None,
        stage: IntegrationStage::Production,
        token: None,
        expires_at: None,
    }
}
