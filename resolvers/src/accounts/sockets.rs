//! Sockets of integrations that are listened to: their tokens, and how they stand.

use async_trait::async_trait;
use mullion_schema::{
    enums,
    error::{ErrorCode, PortError},
    id::{IntegrationId, TenantId},
};

use crate::{
    answers::Services,
    provider::Provider,
    reading::internal,
    store::event_socket::{EventSocket, SocketState},
    upstream::{Connection, UpstreamErrorKind},
};

/// Where the token for a socket is sealed.
pub(super) const SOCKET_TOKEN: &str = "socket";

/// What accounts do with sockets.
#[async_trait]
pub(super) trait Sockets {
    /// Asks the provider whether it would open a socket for a token, before anything is stored.
    async fn check_socket_token(&self, provider: &dyn Provider, api: &Connection) -> Result<(), PortError>;

    /// Whether events come over a socket, so that no webhook has to be registered.
    async fn listens(&self, tenant: &TenantId, integration: &IntegrationId) -> Result<bool, PortError>;
}

/// Refuses a token for sockets where there are none.
pub(super) fn offers_sockets(provider: &dyn Provider) -> Result<(), PortError> {
    let name = provider.descriptor().name;
    let refused = || PortError::bad_input(format!("appToken: {name} sends no events over sockets; it takes webhooks"));
    provider.listener().map(|_| ()).ok_or_else(refused)
}

#[async_trait]
impl Sockets for Services {
    async fn check_socket_token(&self, provider: &dyn Provider, api: &Connection) -> Result<(), PortError> {
        let name = provider.descriptor().name;
        let Some(listening) = provider.listener() else { return offers_sockets(provider) };
        match listening.open(api).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind {
                UpstreamErrorKind::AuthExpired
                | UpstreamErrorKind::Forbidden
                | UpstreamErrorKind::Rejected
                | UpstreamErrorKind::NotFound => Err(PortError::bad_input(format!(
                    "appToken: {name} does not accept it ({}); {}, and give it again as appToken",
                    error.message,
                    listening.instructions()
                ))),
                // It is no worse for that: the socket is opened when there is quota again.
                UpstreamErrorKind::RateLimited => Ok(()),
                _ => {
                    Err(PortError::new(ErrorCode::ProviderUnavailable, format!("{name} does not answer as it should")))
                }
            },
        }
    }

    async fn listens(&self, tenant: &TenantId, integration: &IntegrationId) -> Result<bool, PortError> {
        let socket = self.database.event_socket(tenant, integration).await.map_err(internal)?;
        Ok(socket.is_some_and(|socket| socket.state != SocketState::Failed))
    }
}

/// How a socket stands, in the graph's words.
pub(super) fn state_of(socket: &EventSocket) -> enums::SocketState {
    match socket.state {
        SocketState::Connecting => enums::SocketState::Connecting,
        SocketState::Open => enums::SocketState::Open,
        SocketState::Failed => enums::SocketState::Failed,
    }
}
