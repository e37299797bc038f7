//! A webhook request on its way through a provider's folder: as it came, verified, and as it is stored.

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};

use crate::secret::Secret;

/// A webhook request as it came in.
#[derive(Debug, Clone)]
pub struct WebhookRequest {
    /// All headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub body: Bytes,
    /// When its last byte came.
    pub received_at: DateTime<Utc>,
}

/// The secrets of a webhook endpoint.
#[derive(Clone, Default)]
pub struct EndpointSecrets {
    /// Accepted secrets, the current one first (two during a rotation). Empty: nothing can be verified, everything is refused.
    pub secrets: Vec<Secret>,
    /// Whether a registration is pending, so that a handshake may set the secret.
    pub handshake_pending: bool,
}

impl fmt::Debug for EndpointSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSecrets").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// The verdict on a webhook request: pure, no I/O.
#[derive(Debug)]
pub enum Reception {
    /// Verified: to be stored, then acknowledged.
    Delivery(VerifiedDelivery),
    /// Verified, and answered without being stored (Slack's `url_verification`).
    Answer {
        /// Usually 200.
        status: StatusCode,
        /// `Content-Type` and the like.
        headers: HeaderMap,
        /// The body.
        body: Bytes,
    },
    /// A handshake that sets the endpoint's secret (Asana's `X-Hook-Secret`), only while one is pending; answered with `headers`.
    Handshake {
        /// The secret to store, before the answer is given.
        secret: Secret,
        /// Headers of the 200.
        headers: HeaderMap,
    },
    /// Refused.
    Refused(Refusal),
}

/// A delivery that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDelivery {
    /// The key to dedupe on: the provider's delivery id; `None`: the hash of the body.
    pub delivery_id: Option<String>,
    /// The event's name: `issues.closed`, `message`, `task.changed`, as far as it can be told cheaply; for metrics and lists.
    pub event: String,
    /// The repository or channel that it is about: deliveries of one subject stay in order. `None`: it stays in order with all
    /// deliveries of the container that its endpoint was registered for, or else of its integration.
    pub subject: Option<String>,
    /// The JSON document (taken out of a form where it came in one): stored, and given to `interpret`.
    pub document: Bytes,
}

/// Why a webhook request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 401
    #[error("the signature is missing or wrong; check the webhook's secret")]
    BadSignature,
    /// 401
    #[error("the request's timestamp is too far from the present")]
    BadTimestamp,
    /// 400
    #[error("the body is not a JSON object in UTF-8")]
    NotJson,
    /// 400
    #[error("a header that names the event is missing")]
    MissingEvent,
    /// 415
    #[error("the content type is not supported; send application/json")]
    UnsupportedType,
    /// 403: a handshake while no registration is pending.
    #[error("no registration is pending at this endpoint")]
    NoHandshakePending,
}

/// A stored delivery, for interpretation.
#[derive(Debug, Clone)]
pub struct StoredDelivery {
    /// As [`VerifiedDelivery::event`].
    pub event: String,
    /// The headers that `Provider::kept_headers` names.
    pub headers: HeaderMap,
    /// The JSON document.
    pub document: Bytes,
    /// When it came in.
    pub received_at: DateTime<Utc>,
}

/// A webhook that was registered at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredWebhook {
    /// The provider's id of it.
    pub external_id: String,
}
