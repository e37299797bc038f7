//! The opening handshake of RFC 6455: which requests become a WebSocket, and what they are answered.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};

use super::SUBPROTOCOL;

/// RFC 6455, section 1.3.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that may become a WebSocket.
#[derive(Debug)]
pub struct Upgrade {
    connection: OnUpgrade,
    accept: HeaderValue,
    /// Whether the client offers our subprotocol.
    pub(super) spoken: bool,
}

/// Why a request that asks for an upgrade does not become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not an upgrade to a WebSocket, or one that is not complete.
    Malformed,
    /// Another version than 13.
    Version,
}

impl Upgrade {
    /// Takes the upgrade out of a request. `None`: it asks for none.
    pub fn take(parts: &mut Parts) -> Option<Result<Self, Refusal>> {
        let headers = &parts.headers;
        headers.contains_key(header::UPGRADE).then_some(())?;
        let whole = parts.version == Version::HTTP_11
            && parts.method == Method::GET
            && lists(headers, &header::UPGRADE, "websocket")
            && lists(headers, &header::CONNECTION, "upgrade");
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        let Some(key) = key.filter(|key| whole && STANDARD.decode(key).is_ok_and(|key| key.len() == 16)) else {
            return Some(Err(Refusal::Malformed));
        };
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Some(Err(Refusal::Version));
        }
        let accept =
            HeaderValue::from_str(&STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize()));
        let spoken = lists(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let connection = parts.extensions.remove::<OnUpgrade>();
        Some(match (connection, accept) {
            (Some(connection), Ok(accept)) => Ok(Self { connection, accept, spoken }),
            _ => Err(Refusal::Malformed),
        })
    }

    /// The answer that switches protocols, and the connection that there will be behind it.
    pub(super) fn accept(self) -> (Response, OnUpgrade) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        if self.spoken {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        (response, self.connection)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "this is no handshake of a WebSocket\n").into_response(),
            Self::Version => {
                let headers = [(header::SEC_WEBSOCKET_VERSION, "13")];
                (StatusCode::UPGRADE_REQUIRED, headers, "the WebSocket version is 13\n").into_response()
            }
        }
    }
}

/// Whether a header lists a token, among others and in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Refusal, Upgrade};

    fn refusal(change: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Option<Refusal> {
        let request = Request::get("/graphql")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-protocol", "graphql-transport-ws");
        let (mut parts, ()) = change(request).body(()).unwrap().into_parts();
        Upgrade::take(&mut parts).and_then(Result::err)
    }

    #[test]
    fn only_a_whole_handshake_is_taken() {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        // Without the connection behind it (there is none in a test) even a good one is refused, after its version.
        let good = |request: http::request::Builder| request.header("sec-websocket-key", KEY);
        assert_eq!(refusal(|request| good(request).header("sec-websocket-version", "13")), Some(Refusal::Malformed));
        assert_eq!(refusal(|request| good(request).header("sec-websocket-version", "8")), Some(Refusal::Version));
        assert_eq!(refusal(good), Some(Refusal::Version));
        assert_eq!(refusal(|request| request.header("sec-websocket-key", "c2hvcnQ=")), Some(Refusal::Malformed));
        let (mut parts, ()) = Request::get("/graphql").body(()).unwrap().into_parts();
        assert!(Upgrade::take(&mut parts).is_none());
    }
}
