//! The answers to requests of providers.

use http::{HeaderMap, StatusCode, header};

use crate::{error_chain::chain, provider::Refusal, store::StoreError};

/// The text of a 503 about the delivery.
pub(super) const NOT_STORED: &str = "the delivery was not stored: send it again\n";
/// The same where that is not known.
pub(super) const PERHAPS_STORED: &str =
    "the delivery may have been stored: send it again, under the same delivery id it counts once\n";

/// The answer to a request of a provider.
#[derive(Debug, Clone)]
pub struct WebhookAnswer {
    /// The status.
    pub status: StatusCode,
    /// Headers, such as an echoed handshake secret.
    pub headers: HeaderMap,
    /// The body, such as an echoed challenge.
    pub body: bytes::Bytes,
    /// For metrics: `accepted`, `duplicate`, `bad_signature`, …
    pub result: &'static str,
}

impl WebhookAnswer {
    pub(super) fn new(status: StatusCode, result: &'static str) -> Self {
        Self { status, headers: HeaderMap::new(), body: bytes::Bytes::new(), result }
    }

    fn saying(status: StatusCode, result: &'static str, message: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
        Self { status, headers, body: message.to_owned().into(), result }
    }
}

/// The answer to a request that is refused.
pub(super) fn refused(refusal: Refusal) -> WebhookAnswer {
    let (status, result) = match refusal {
        Refusal::BadSignature => (StatusCode::UNAUTHORIZED, "bad_signature"),
        Refusal::BadTimestamp => (StatusCode::UNAUTHORIZED, "bad_timestamp"),
        Refusal::NotJson => (StatusCode::BAD_REQUEST, "not_json"),
        Refusal::MissingEvent => (StatusCode::BAD_REQUEST, "missing_event"),
        Refusal::UnsupportedType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type"),
        Refusal::NoHandshakePending => (StatusCode::FORBIDDEN, "no_handshake"),
    };
    WebhookAnswer::saying(status, result, &refusal.to_string())
}

/// Nothing was stored, and the provider is asked to try again.
pub(super) fn unavailable(error: &StoreError) -> WebhookAnswer {
    tracing::error!(error = %chain(error), "a delivery could not be stored");
    later("failed", "5", NOT_STORED)
}

/// The provider is asked to try again after so many seconds.
pub(super) fn later(result: &'static str, seconds: &'static str, message: &str) -> WebhookAnswer {
    let mut answer = WebhookAnswer::saying(StatusCode::SERVICE_UNAVAILABLE, result, message);
    answer.headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static(seconds));
    answer
}
