//! Sockets to providers: through the same door as calls, so under the same guard, name resolution and TLS.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use http::{StatusCode, header};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};
use url::Url;

use super::{
    clients::told,
    error::{UpstreamError, UpstreamErrorKind},
    guard::refused,
    http::Shared,
};

/// Time for the way to the provider and its answer.
const OPENING: Duration = Duration::from_secs(10);
/// Time for what is sent to leave.
const SENDING: Duration = Duration::from_secs(10);
/// Time for the other side to say goodbye too.
const CLOSING: Duration = Duration::from_secs(2);
/// The bytes that are read at once.
const READ_BUFFER: usize = 16 << 10;

/// An open socket.
pub struct Socket(WebSocketStream<reqwest::Upgraded>);

/// A message that came over a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A text.
    Text(String),
    /// Bytes of this number.
    Binary(usize),
    /// A ping, which is answered already, or a pong: the other side is alive.
    Life,
}

/// Opens a socket. The provider names its address, so it must lie at the host of the integration or below that.
pub(super) async fn open(shared: &Shared, base: &Url, address: &Url, limit: usize) -> Result<Socket, UpstreamError> {
    let address = as_http(base, address)?;
    let class = shared.guard.check_named(&address, ("the socket's address", "wss"))?;
    let key = generate_key();
    let request = shared
        .clients
        .of_sockets(class)?
        .get(address)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key);
    let late = |_| UpstreamError::new(UpstreamErrorKind::Timeout, "the provider did not open the socket in time");
    let response = timeout(OPENING, request.send()).await.map_err(late)?.map_err(told)?;
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS
        || accepted.is_none_or(|accepted| accepted.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes())
    {
        let message = format!("the provider opened no socket (HTTP {})", response.status().as_u16());
        return Err(UpstreamError::new(UpstreamErrorKind::Down, message));
    }
    let upgraded = timeout(OPENING, response.upgrade()).await.map_err(late)?.map_err(told)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    Ok(Socket(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await))
}

/// The address as the guard and the client know it, if it may be called.
fn as_http(base: &Url, address: &Url) -> Result<Url, UpstreamError> {
    let scheme = match address.scheme() {
        "wss" => "https",
        "ws" => "http",
        _ => return Err(refused("the socket's address must begin with wss://")),
    };
    let mut url = address.clone();
    url.set_scheme(scheme).map_err(|()| refused("the socket's address must begin with wss://"))?;
    let (Some(home), Some(host)) = (base.host_str(), url.host_str()) else {
        return Err(refused("the socket's address names no host"));
    };
    let below = host.strip_suffix(home).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if below { Ok(url) } else { Err(refused("the socket's address leads away from the integration's host")) }
}

impl Socket {
    /// The next thing that came; `None`: the other side closed it. A caller that stops waiting loses nothing.
    pub async fn hear(&mut self) -> Option<Result<Heard, UpstreamError>> {
        Some(match self.0.next().await? {
            Ok(Message::Text(text)) => Ok(Heard::Text(text.as_str().to_owned())),
            Ok(Message::Binary(bytes)) => Ok(Heard::Binary(bytes.len())),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(Heard::Life),
            Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => return None,
            Err(error) => Err(broken(&error)),
        })
    }

    /// Sends a text.
    pub async fn say(&mut self, text: String) -> Result<(), UpstreamError> {
        self.send(Message::text(text)).await
    }

    /// Asks for a sign of life.
    pub async fn ping(&mut self) -> Result<(), UpstreamError> {
        self.send(Message::Ping(Vec::new().into())).await
    }

    /// Says goodbye, and waits a little for the answer.
    pub async fn close(mut self) {
        let goodbye = async {
            if self.0.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.0.next().await {}
            }
        };
        // A peer that does not answer is left.
        let _ = timeout(CLOSING, goodbye).await;
    }

    async fn send(&mut self, message: Message) -> Result<(), UpstreamError> {
        let late = |_| UpstreamError::new(UpstreamErrorKind::Timeout, "the provider does not read from the socket");
        timeout(SENDING, self.0.send(message)).await.map_err(late)?.map_err(|error| broken(&error))
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}

fn broken(error: &Error) -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::Down, format!("the socket broke: {error}"))
}

#[cfg(test)]
mod tests {
    use super::as_http;

    #[test]
    fn a_socket_lies_at_the_integration_s_host_or_below_it() {
        for (base, address, expected) in [
            (
                "https://chat.example/api/",
                "wss://wss-primary.chat.example/link/?ticket=1",
                Some("https://wss-primary.chat.example/link/?ticket=1"),
            ),
            ("https://chat.example/api/", "wss://chat.example/link", Some("https://chat.example/link")),
            ("http://127.0.0.1:4001/chat", "ws://127.0.0.1:4001/chat/link", Some("http://127.0.0.1:4001/chat/link")),
            ("https://chat.example/api/", "wss://evilchat.example/link", None),
            ("https://chat.example/api/", "wss://chat.example.evil.example/link", None),
            ("https://chat.example/api/", "https://chat.example/link", None),
            ("https://chat.example/api/", "wss://10.0.0.1/link", None),
        ] {
            let url = as_http(&base.parse().expect("a URL"), &address.parse().expect("a URL")).ok();
            assert_eq!(url.as_ref().map(url::Url::as_str), expected, "{address}");
        }
    }
}
