//! Webhooks: a request is verified, stored, acknowledged; everything else happens after that.

mod answer;
mod deliveries;
mod endpoints;
#[cfg(test)]
mod fuzz;
mod gaps;
pub mod intake;
pub mod log;
mod observer;
mod queue;
mod secrets;
#[cfg(test)]
mod tests;
pub mod worker;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};

pub(crate) use self::secrets::ENDPOINT_SECRETS;
pub use self::{
    answer::WebhookAnswer,
    deliveries::{Deliveries, DeliveriesAnswer},
    gaps::Gaps,
    observer::InboxObserver,
    secrets::{endpoint_secrets, seal_secret},
};
use self::{
    answer::{NOT_STORED, PERHAPS_STORED, later, refused, unavailable},
    endpoints::Endpoints,
    intake::{Intake, IntakeError},
};

use crate::{
    clock::Clock,
    error_chain::chain,
    provider::{EndpointSecrets, Providers, Reception, Refusal, VerifiedDelivery, WebhookRequest},
    secret::Secret,
    store::{
        Database, StoreError,
        endpoint::{Endpoint, EndpointDraft},
        inbox::{Inserted, mark_socket, row::DeliveryRow},
    },
    trace_context::TraceContext,
    vault::Vault,
};

/// Takes webhook requests.
pub struct Inbox {
    database: Database,
    vault: Vault,
    providers: Arc<Providers>,
    endpoints: Endpoints,
    intake: Intake,
    gaps: Arc<Gaps>,
}

impl Inbox {
    /// An inbox; what it takes goes to disk through the intake.
    pub fn new(
        database: Database,
        vault: Vault,
        providers: Arc<Providers>,
        clock: Arc<dyn Clock>,
        intake: Intake,
    ) -> Self {
        let endpoints = Endpoints::new(database.clone(), clock);
        Self { database, vault, providers, endpoints, intake, gaps: Arc::default() }
    }

    /// The same; what it has to refuse is noted there.
    #[must_use]
    pub fn noting(self, gaps: Arc<Gaps>) -> Self {
        Self { gaps, ..self }
    }

    /// Takes nothing any more; what was taken is written.
    pub fn close(&self) {
        self.intake.close();
    }

    /// Bytes of what was acknowledged and is not in the database yet.
    pub fn log_bytes(&self) -> u64 {
        self.intake.log_bytes()
    }

    /// The longest body that an endpoint takes; `None` when there is no such endpoint.
    pub async fn limit(&self, provider: &str, path: &str) -> Option<usize> {
        let adapter = self.providers.get(provider)?;
        match self.endpoints.at(provider, path).await {
            Ok(Some(_)) => Some(adapter.descriptor().webhook_body_limit),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(error = %chain(&error), "an endpoint could not be read");
                // It may well exist: `receive` tells the provider to try again.
                Some(adapter.descriptor().webhook_body_limit)
            }
        }
    }

    /// Takes one request. A 2xx is answered only when the delivery is on disk.
    pub async fn receive(&self, provider: &str, path: &str, request: WebhookRequest) -> WebhookAnswer {
        let Some(adapter) = self.providers.get(provider) else {
            return WebhookAnswer::new(StatusCode::NOT_FOUND, "unknown");
        };
        let endpoint = match self.endpoints.at(provider, path).await {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => return WebhookAnswer::new(StatusCode::NOT_FOUND, "unknown"),
            Err(error) => {
                self.gaps.note(None);
                return unavailable(&error);
            }
        };
        let Ok(secrets) = endpoint_secrets(&self.vault, &endpoint) else {
            return later("failed", "5", NOT_STORED);
        };
        let known = EndpointSecrets { secrets, handshake_pending: endpoint.draft.handshake_pending };
        match adapter.receive(&request, &known) {
            Reception::Delivery(verified) => {
                let headers = kept(&request.headers, adapter.kept_headers());
                match self.store(&endpoint, verified, headers, request.received_at).await {
                    Ok(Inserted::New(_)) => WebhookAnswer::new(StatusCode::OK, "accepted"),
                    Ok(Inserted::Duplicate) => WebhookAnswer::new(StatusCode::OK, "duplicate"),
                    Err(IntakeError::Overloaded) => later("overloaded", "1", NOT_STORED),
                    Err(IntakeError::Closed) => later("failed", "5", NOT_STORED),
                    // Where a flush failed, nobody knows.
                    Err(IntakeError::Store(_)) => later("failed", "5", PERHAPS_STORED),
                }
            }
            Reception::Answer { status, headers, body } => WebhookAnswer { status, headers, body, result: "answered" },
            Reception::Handshake { secret, headers } => self.shake_hands(&endpoint, &secret, headers).await,
            Reception::Refused(refusal) => refused(refusal),
        }
    }

    /// Takes an event that came over a socket. It may be acknowledged when it is on disk, and not otherwise.
    pub async fn take(
        &self,
        endpoint: &Endpoint,
        verified: VerifiedDelivery,
        received_at: DateTime<Utc>,
    ) -> Result<Inserted, IntakeError> {
        let mut headers = HeaderMap::new();
        mark_socket(&mut headers);
        self.store(endpoint, verified, headers, received_at).await
    }

    async fn store(
        &self,
        endpoint: &Endpoint,
        mut verified: VerifiedDelivery,
        mut headers: HeaderMap,
        received_at: DateTime<Utc>,
    ) -> Result<Inserted, IntakeError> {
        // Its later effects are part of the same trace.
        if let Some(trace) = TraceContext::current() {
            trace.write(&mut headers);
        }
        // A webhook that was registered for a container tells of that alone.
        verified.subject = verified.subject.or_else(|| endpoint.draft.container.clone());
        let stored = match DeliveryRow::of(endpoint, &verified, &headers, received_at) {
            Ok(row) => self.intake.store(row).await,
            Err(error) => Err(IntakeError::Store(Arc::new(error))),
        };
        if let Err(error) = &stored {
            let (delivery, integration) = (verified.delivery_id.as_deref(), &endpoint.integration);
            if !matches!(error, IntakeError::Overloaded) {
                tracing::error!(error = %chain(error), deliveryId = delivery, %integration, "a delivery could not be stored");
            }
            // The provider may not try again.
            self.gaps.note(Some((&endpoint.tenant, &endpoint.integration)));
        }
        stored
    }

    /// Stores the secret before it is echoed. Only one handshake can win.
    async fn shake_hands(&self, endpoint: &Endpoint, secret: &Secret, headers: HeaderMap) -> WebhookAnswer {
        let Ok(sealed) = seal_secret(&self.vault, &endpoint.tenant, &endpoint.integration, secret) else {
            return later("failed", "5", NOT_STORED);
        };
        let change = |draft: &mut EndpointDraft| {
            let pending = draft.handshake_pending;
            draft.handshake_pending = false;
            draft.secrets = Some(sealed);
            pending
        };
        match self.database.update_endpoint(&endpoint.tenant, &endpoint.id, change).await {
            Ok(_) => WebhookAnswer { headers, ..WebhookAnswer::new(StatusCode::OK, "handshake") },
            Err(StoreError::Conflict) => refused(Refusal::NoHandshakePending),
            Err(error) => unavailable(&error),
        }
    }
}

fn kept(headers: &HeaderMap, names: &[&str]) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in names {
        if let (Ok(name), Some(value)) = (http::HeaderName::try_from(*name), headers.get(*name)) {
            kept.insert(name, value.clone());
        }
    }
    kept
}
