//! The only door out to a provider: limits, retries, breaker, ETags, address guards and quota are here, so none can be skipped.

mod board;
mod breaker;
mod clients;
mod connection;
mod error;
mod etags;
mod guard;
mod health;
mod http;
mod refusal;
mod retry;
mod socket;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use mullion_schema::id::IntegrationId;
use url::Url;

pub use board::{QuotaBoard, UsageLog};
pub use breaker::{Breaker, CircuitState, Permit};
pub use clients::{client_of_operator, install_crypto_provider};
pub use connection::{
    Connection, FailureIn, QuotaReading, Transport, UpstreamRequest, UpstreamResponse, by_status, not_json,
};
pub use error::{UpstreamError, UpstreamErrorKind};
pub use etags::EtagStore;
pub use guard::{AddressGuard, GuardClass, is_public};
pub use health::{CallReport, Failing, HealthReading, NoObserver, Observer};
pub use http::{HttpTransport, Limits, TokenSource};
pub use retry::{Jitter, retry_after};
pub use socket::{Heard, Socket};

use crate::clock::Clock;

/// Bytes of answers that are kept with their ETags where nothing else is said.
const ETAG_BYTES: u64 = 64 << 20;

/// Makes the transports of integrations. One for the process; cheap to clone.
#[derive(Clone)]
pub struct Upstream(Arc<http::Shared>);

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("guard", &self.0.guard).finish_non_exhaustive()
    }
}

impl Upstream {
    /// A factory. `guard` holds `upstream.allow`.
    pub fn new(
        guard: AddressGuard,
        limits: Limits,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        jitter: Jitter,
    ) -> Self {
        let (clients, etags) = (clients::Clients::new(), EtagStore::new(ETAG_BYTES));
        Self(Arc::new(http::Shared {
            guard,
            clients,
            etags,
            clock,
            observer,
            jitter,
            limits,
            board: None,
            usage: None,
        }))
    }

    /// The same, with so many bytes for answers that are kept with their ETags, over all integrations.
    #[must_use]
    pub fn with_etag_bytes(self, bytes: u64) -> Self {
        Self(Arc::new(http::Shared { etags: EtagStore::new(bytes), ..(*self.0).clone() }))
    }

    /// The same, for one of several replicas: they tell each other of quotas.
    #[must_use]
    pub fn with_board(self, board: Arc<dyn QuotaBoard>) -> Self {
        Self(Arc::new(http::Shared { board: Some(board), ..(*self.0).clone() }))
    }

    /// The same, with somebody who counts what is used of quotas.
    #[must_use]
    pub fn with_usage_log(self, usage: Arc<dyn UsageLog>) -> Self {
        Self(Arc::new(http::Shared { usage: Some(usage), ..(*self.0).clone() }))
    }

    /// The transport of one integration: keep it as long as the integration, for its breaker, limiter and health live in it.
    pub fn transport(
        &self,
        provider: &'static str,
        integration: IntegrationId,
        base_url: Url,
        tokens: Arc<dyn TokenSource>,
    ) -> Arc<HttpTransport> {
        Arc::new(HttpTransport::new(Arc::clone(&self.0), provider, integration, base_url, tokens))
    }

    /// The guard, to check a base URL before it is stored.
    pub fn guard(&self) -> &AddressGuard {
        &self.0.guard
    }

    /// Opens a socket at an address that the provider behind `base_url` gave. `limit`: larger messages end it.
    pub async fn open_socket(&self, base_url: &Url, address: &Url, limit: usize) -> Result<Socket, UpstreamError> {
        socket::open(&self.0, base_url, address, limit).await
    }

    /// Forgets the kept answers of an integration that is removed or reconnected.
    pub fn forget(&self, integration: &IntegrationId) {
        self.0.etags.forget(integration);
    }
}
