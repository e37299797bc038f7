//! How a delivery came in. It travels among the kept headers, under names that no request can bring: of a request's headers only
//! those are kept that a provider names.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// Marks a delivery that was asked for because it did not come: it is no sign of life of a webhook.
const RECOVERED: HeaderName = HeaderName::from_static("mullion-recovered");
/// Marks a delivery that came over a socket.
const SOCKET: HeaderName = HeaderName::from_static("mullion-socket");

/// How a delivery came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliverySource {
    /// The provider sent a request.
    Webhook,
    /// Over a socket to the provider.
    Socket,
    /// It did not come, and was taken out of what the provider keeps.
    Log,
}

impl DeliverySource {
    /// As it is stored, and shown on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Socket => "socket",
            Self::Log => "log",
        }
    }

    /// As it was stored.
    pub(super) fn read(text: &str) -> Self {
        match text {
            "socket" => Self::Socket,
            "log" => Self::Log,
            _ => Self::Webhook,
        }
    }

    pub(super) fn of(headers: &HeaderMap) -> Self {
        if is_recovered(headers) {
            Self::Log
        } else if headers.contains_key(&SOCKET) {
            Self::Socket
        } else {
            Self::Webhook
        }
    }
}

/// Marks the headers of a delivery that was asked for because it did not come.
pub fn mark_recovered(headers: &mut HeaderMap) {
    headers.insert(RECOVERED, HeaderValue::from_static("1"));
}

/// Whether a delivery was asked for because it did not come.
pub fn is_recovered(headers: &HeaderMap) -> bool {
    headers.contains_key(&RECOVERED)
}

/// Marks the headers of a delivery that came over a socket.
pub fn mark_socket(headers: &mut HeaderMap) {
    headers.insert(SOCKET, HeaderValue::from_static("1"));
}
