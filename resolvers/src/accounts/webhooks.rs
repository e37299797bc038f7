//! Webhook endpoints of integrations: their secrets, and their registration at the providers.

use mullion_schema::{
    error::{ErrorCode, PortError},
    id::{IntegrationId, TenantId},
    ports,
};
use url::Url;

use crate::{
    error_chain::chain,
    inbox::{endpoint_secrets, seal_secret},
    provider::{NodeRef, Provider},
    reading::{failed, integrations::Integration, internal},
    secret::Secret,
    store::{
        Database,
        endpoint::{Endpoint, EndpointDraft},
        integration,
    },
    upstream::UpstreamErrorKind,
    vault::Vault,
};

/// Bytes of a secret that is generated here.
const SECRET_BYTES: usize = 32;

/// Registers webhooks at the providers.
pub struct Webhooks {
    /// The database.
    pub database: Database,
    /// Opens and seals the endpoints' secrets.
    pub vault: Vault,
    /// Where providers reach us: `{base}/webhooks/…`. `None`: nowhere.
    pub base: Option<Url>,
}

impl Webhooks {
    /// Where providers reach an endpoint, where they can.
    pub(super) fn url(&self, provider: &str, path: &str) -> Option<Url> {
        let address = self.base.as_ref()?.join(&format!("webhooks/{provider}/{path}"));
        // A path of letters and digits fits any base; it would be shown as an integration that nobody can reach.
        address
            .inspect_err(|error| tracing::error!(error = %chain(&error), "the address of a webhook endpoint is no URL"))
            .ok()
    }

    /// Creates webhooks for containers at the provider, in place of those that were registered for them before. The secret, where
    /// it was generated for them just now.
    pub(super) async fn register(
        &self,
        integration: &Integration,
        row: &integration::Integration,
        containers: &[NodeRef],
    ) -> Result<Option<ports::Secret>, PortError> {
        if self.base.is_none() {
            return Err(PortError::bad_input(
                "nobody knows at which address providers reach this server: start it with server.public_url (MULLION_PUBLIC_URL; `dev`: \
                --public-url)",
            ));
        }
        if integration.provider.secret_by_handshake() {
            for container in containers {
                self.register_by_handshake(integration, container).await?;
            }
            return Ok(None);
        }
        let endpoint = default_endpoint(&self.database, &row.tenant, &row.id).await?;
        let known = endpoint_secrets(&self.vault, &endpoint)?.into_iter().next();
        let generated = if known.is_none() { Some(new_secret()?) } else { None };
        if let Some(secret) = &generated {
            self.set_secret(&endpoint, secret).await?;
        }
        let secret = known.or_else(|| generated.clone()).ok_or_else(PortError::internal)?;
        let target = self.url(&endpoint.provider, &endpoint.path).ok_or_else(PortError::internal)?;
        for container in containers {
            let earlier = self.registered(integration, container).await?;
            let id = self.create_at_provider(integration, container, &target, &secret).await?;
            let draft = EndpointDraft {
                external_id: Some(id.clone()),
                container: Some(container.to_string()),
                ..EndpointDraft::default()
            };
            // Only to know what to delete at the provider: deliveries come in at the default endpoint.
            self.database.create_endpoint(&row.tenant, &row.id, None, draft).await.map_err(internal)?;
            self.replace(integration, earlier, &id).await?;
        }
        Ok(generated.as_ref().and_then(shown))
    }

    /// Deletes what was registered at the provider, as far as it lets us: a disconnect does not fail for that. It fails when it is not
    /// known what was registered.
    pub(super) async fn unregister_all(&self, integration: &Integration) -> Result<(), PortError> {
        let endpoints = self.database.endpoints(&integration.tenant, &integration.id).await.map_err(internal)?;
        for external_id in endpoints.iter().filter_map(|endpoint| endpoint.draft.external_id.as_deref()) {
            unregister(integration, external_id).await;
        }
        Ok(())
    }

    /// Registers a container's webhook anew, because the provider disabled or deleted the one that was registered.
    pub(crate) async fn repair(&self, integration: &Integration, container: NodeRef) -> Result<(), PortError> {
        let row = self.database.integration(&integration.tenant, &integration.id).await.map_err(internal)?;
        let row = row.ok_or_else(|| PortError::not_found("the integration"))?;
        self.register(integration, &row, std::slice::from_ref(&container)).await.map(drop)
    }

    /// Where a provider is to send the deliveries of an endpoint; `None`: it cannot reach us.
    pub(crate) fn target(&self, endpoint: &Endpoint) -> Option<Url> {
        self.url(&endpoint.provider, &endpoint.path)
    }

    /// Where the deliveries of a container come in: at an endpoint of its own, or at the integration's.
    pub(crate) fn endpoint_for<'a>(
        integration: &Integration,
        endpoints: &'a [Endpoint],
        container: &str,
    ) -> Option<&'a Endpoint> {
        let own = endpoints.iter().find(|endpoint| endpoint.draft.container.as_deref() == Some(container));
        let default = || endpoints.iter().find(|endpoint| endpoint.draft.container.is_none());
        own.filter(|_| integration.provider.secret_by_handshake()).or_else(default)
    }

    async fn set_secret(&self, endpoint: &Endpoint, secret: &Secret) -> Result<(), PortError> {
        let sealed = seal_secret(&self.vault, &endpoint.tenant, &endpoint.integration, secret)?;
        let change = |draft: &mut EndpointDraft| {
            draft.secrets = Some(sealed);
            true
        };
        self.database.update_endpoint(&endpoint.tenant, &endpoint.id, change).await.map_err(internal)?;
        Ok(())
    }

    /// Each such webhook has an endpoint of its own, whose secret comes by a handshake while the creating call is open.
    async fn register_by_handshake(&self, integration: &Integration, container: &NodeRef) -> Result<(), PortError> {
        let draft = EndpointDraft {
            handshake_pending: true,
            container: Some(container.to_string()),
            ..EndpointDraft::default()
        };
        let (tenant, database) = (&integration.tenant, &self.database);
        let earlier = self.registered(integration, container).await?;
        let endpoint = database.create_endpoint(tenant, &integration.id, None, draft).await.map_err(internal)?;
        let target = self.url(&endpoint.provider, &endpoint.path).ok_or_else(PortError::internal)?;
        match self.create_at_provider(integration, container, &target, &Secret::from("")).await {
            Ok(external_id) => {
                let id = external_id.clone();
                let change = |draft: &mut EndpointDraft| {
                    draft.external_id = Some(external_id);
                    draft.handshake_pending = false;
                    true
                };
                database.update_endpoint(tenant, &endpoint.id, change).await.map_err(internal)?;
                self.replace(integration, earlier, &id).await
            }
            Err(error) => {
                // Nothing came of it: no door stays open for a handshake.
                database.delete_endpoint(tenant, &endpoint.id).await.map_err(internal)?;
                Err(error)
            }
        }
    }

    /// The endpoints that were registered for a container before.
    async fn registered(&self, integration: &Integration, container: &NodeRef) -> Result<Vec<Endpoint>, PortError> {
        let (name, database) = (container.to_string(), &self.database);
        let mut endpoints = database.endpoints(&integration.tenant, &integration.id).await.map_err(internal)?;
        endpoints.retain(|endpoint| {
            endpoint.draft.container.as_ref() == Some(&name) && endpoint.draft.external_id.is_some()
        });
        Ok(endpoints)
    }

    /// Takes earlier registrations away, now that there is a new one: twice registered, everything would be told twice. Where the
    /// provider renewed the webhook that it had, only our note of it is doubled.
    async fn replace(&self, integration: &Integration, earlier: Vec<Endpoint>, by: &str) -> Result<(), PortError> {
        for endpoint in earlier {
            match endpoint.draft.external_id.as_deref() {
                Some(external_id) if external_id != by => unregister(integration, external_id).await,
                _ => {}
            }
            self.database.delete_endpoint(&integration.tenant, &endpoint.id).await.map_err(internal)?;
        }
        Ok(())
    }

    async fn create_at_provider(
        &self,
        integration: &Integration,
        container: &NodeRef,
        target: &Url,
        secret: &Secret,
    ) -> Result<String, PortError> {
        let name = integration.provider.descriptor().name;
        let created = integration.provider.register_webhook(&integration.connection, container, target, secret).await;
        match created {
            Some(Ok(webhook)) => Ok(webhook.external_id),
            None => Err(PortError::bad_input(format!(
                "{name}'s API cannot register webhooks for this: {}",
                integration.provider.webhook_instructions()
            ))),
            Some(Err(error)) => Err(match error.kind {
                UpstreamErrorKind::Rejected
                | UpstreamErrorKind::Forbidden
                | UpstreamErrorKind::PlanRequired
                | UpstreamErrorKind::NotFound => PortError::new(
                    ErrorCode::ProviderError,
                    format!("{name} refused to create the webhook: {}", error.message),
                ),
                _ => crate::reading::port_error(integration, &error),
            }),
        }
    }
}

async fn unregister(integration: &Integration, external_id: &str) {
    if let Err(error) = integration.provider.unregister_webhook(&integration.connection, external_id).await {
        tracing::warn!(
            error = %chain(&error),
            integration = %integration.id,
            webhook = external_id,
            "a webhook could not be deleted at the provider; delete it there"
        );
    }
}

async fn default_endpoint(
    database: &Database,
    tenant: &TenantId,
    integration: &IntegrationId,
) -> Result<Endpoint, PortError> {
    let endpoints = database.endpoints(tenant, integration).await.map_err(internal)?;
    let default = endpoints.into_iter().find(|endpoint| endpoint.draft.container.is_none());
    default.ok_or_else(|| {
        let message = "the integration has no webhook endpoint: updateIntegration gives it one";
        PortError::new(ErrorCode::NotFound, message)
    })
}

/// The secret of a new integration's default endpoint: the one that was given, or one that is generated, which is then shown once.
pub(super) fn first_secret(
    provider: &dyn Provider,
    given: Option<Secret>,
) -> Result<(Option<Secret>, Option<ports::Secret>), PortError> {
    match given {
        None if provider.generates_secret() => {
            let generated = new_secret()?;
            let told = shown(&generated);
            Ok((Some(generated), told))
        }
        given => Ok((given, None)),
    }
}

/// A generated secret, for its owner; it is text.
fn shown(secret: &Secret) -> Option<ports::Secret> {
    secret.expose_text().map(|text| ports::Secret::new(text.to_owned()))
}

fn new_secret() -> Result<Secret, PortError> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| failed("no random bytes", &error))?;
    Ok(Secret::from(hex::encode(bytes)))
}
