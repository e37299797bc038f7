//! The secrets of webhook endpoints, sealed.

use mullion_entities::sealed::Sealed;
use mullion_schema::{
    error::PortError,
    id::{IntegrationId, TenantId},
};

use crate::{
    reading::failed,
    secret::Secret,
    store::endpoint::Endpoint,
    vault::{Place, Vault},
};

/// The column of the endpoints' secrets.
pub(crate) const ENDPOINT_SECRETS: &str = "secrets";

/// The secrets of an endpoint, opened for the verification of one request.
pub fn endpoint_secrets(vault: &Vault, endpoint: &Endpoint) -> Result<Vec<Secret>, PortError> {
    let Some(sealed) = &endpoint.draft.secrets else { return Ok(Vec::new()) };
    let opened = vault
        .open(place(&endpoint.tenant, &endpoint.integration), sealed)
        .map_err(|error| failed("an endpoint's secret could not be opened", &error))?;
    Ok(vec![opened])
}

/// Seals an endpoint's secret.
pub fn seal_secret(
    vault: &Vault,
    tenant: &TenantId,
    integration: &IntegrationId,
    secret: &Secret,
) -> Result<Sealed, PortError> {
    vault.seal(place(tenant, integration), secret).map_err(|error| failed("a secret could not be sealed", &error))
}

fn place<'a>(tenant: &'a TenantId, integration: &'a IntegrationId) -> Place<'a> {
    Place { tenant, integration, column: ENDPOINT_SECRETS }
}
