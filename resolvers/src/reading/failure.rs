//! Failures of providers and of the store, as clients may see them.

use mullion_schema::error::{ErrorCode, PortError, ProviderContext};

use super::integrations::Integration;
use crate::{
    error_chain::chain,
    store::StoreError,
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// The contract's code and a message that says what to do.
pub(crate) fn port_error(integration: &Integration, error: &UpstreamError) -> PortError {
    let descriptor = integration.provider.descriptor();
    let name = descriptor.name;
    let (code, message) = match error.kind {
        // No fault of the provider's, and nothing that clients could do about it.
        UpstreamErrorKind::Internal => return PortError::internal(),
        UpstreamErrorKind::RateLimited => (
            ErrorCode::ProviderRateLimited,
            format!("{name}'s quota is used up; the next try makes sense after it resets"),
        ),
        UpstreamErrorKind::AuthExpired => (
            ErrorCode::ProviderAuthExpired,
            format!("{name} no longer accepts the integration's token; give it a new one with updateIntegration"),
        ),
        UpstreamErrorKind::Forbidden => (
            ErrorCode::ProviderError,
            format!("{name} does not let the integration's token read this; check its scopes"),
        ),
        UpstreamErrorKind::PlanRequired => {
            (ErrorCode::ProviderError, format!("{name} gives this only to accounts with a paid plan"))
        }
        UpstreamErrorKind::NotFound => (ErrorCode::NotFound, format!("{name} does not know this")),
        UpstreamErrorKind::Rejected => (ErrorCode::ProviderError, format!("{name} refused the request")),
        UpstreamErrorKind::CursorExpired => (
            ErrorCode::ProviderError,
            format!("{name} no longer accepts the place at which the list goes on; try again in a moment"),
        ),
        UpstreamErrorKind::Down => (ErrorCode::ProviderUnavailable, format!("{name} does not answer as it should")),
        UpstreamErrorKind::Timeout => (ErrorCode::ProviderUnavailable, format!("{name} did not answer in time")),
        UpstreamErrorKind::CircuitOpen => {
            (ErrorCode::ProviderUnavailable, format!("calls to {name} are paused after repeated failures"))
        }
        UpstreamErrorKind::AddressRefused => (
            ErrorCode::ProviderUnavailable,
            "the integration's base URL leads to an address that is not allowed; see upstream.allow".to_owned(),
        ),
    };
    let provider = ProviderContext {
        provider: descriptor.key,
        integration: integration.id.clone(),
        retry_after: error.retry_after.map(|after| after.as_secs().max(1)),
    };
    PortError { provider: Some(provider), ..PortError::new(code, message) }
}

/// The provider refused the token when it was last used.
pub(crate) fn token_refused(integration: &Integration) -> PortError {
    port_error(integration, &UpstreamError::new(UpstreamErrorKind::AuthExpired, "the provider refused the token"))
}

/// The page lies too far behind the items read to be reached. Those items stay, so that the next try gets further.
pub(super) fn too_far(integration: &Integration) -> PortError {
    let error = UpstreamError::new(UpstreamErrorKind::Down, "the page lies too far behind what was read");
    PortError {
        message: "the list was read a part of the way to this page; try again to go on".into(),
        ..port_error(integration, &error)
    }
}

/// Items of the list are missing for good, which is no reason to read it again.
pub(super) fn withheld(integration: &Integration) -> PortError {
    let name = integration.provider.descriptor().name;
    let error = UpstreamError::new(UpstreamErrorKind::Forbidden, "items of the list are withheld");
    let message = format!("{name} does not let the integration's token read some items of this list; they are missing");
    PortError { message, ..port_error(integration, &error) }
}

/// Logs what happened; the client learns only that it did.
pub(crate) fn internal(error: StoreError) -> PortError {
    match error {
        StoreError::NotFound => PortError::not_found("it"),
        StoreError::Conflict => {
            PortError::new(ErrorCode::Conflict, "it was changed in the meantime; read it again and repeat the change")
        }
        StoreError::Full(most) => PortError::bad_input(most),
        StoreError::Taken(what) => PortError::new(ErrorCode::Conflict, format!("this {what} is taken")),
        error => {
            tracing::error!(error = %chain(&error), "the store failed");
            if error.is_unavailable() { PortError::unavailable() } else { PortError::internal() }
        }
    }
}

/// Logs a failure whose cause must not reach clients.
pub(crate) fn failed(message: &'static str, error: &(dyn std::error::Error + 'static)) -> PortError {
    tracing::error!(error, "{message}");
    PortError::internal()
}
