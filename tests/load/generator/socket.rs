//! A client of `graphql-transport-ws`, the same for Mullion and for the limit.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, Utf8Bytes, client::IntoClientRequest as _, http::HeaderValue, protocol::WebSocketConfig},
};

/// Read buffer of a client: it is cleared for each read, so that a large one costs processor time.
const READ_BUFFER: usize = 4 * 1024;
/// Source addresses: a closed connection keeps its port for a minute, and few free ones take long to find.
const ADDRESSES: usize = 200;
const SNAPSHOT_END: &str = r#""SNAPSHOT_END""#;

/// An operation to send.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) query: String,
    pub(crate) variables: Value,
    /// Whether it answers with a snapshot; `activity` says nothing before something happens.
    pub(crate) snapshot: bool,
}

impl Operation {
    fn message(&self) -> String {
        let payload = json!({ "query": self.query, "variables": self.variables });
        json!({ "type": "subscribe", "id": "1", "payload": payload }).to_string()
    }
}

/// An open socket, acknowledged.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
}

/// The source address of a socket: several in turn, so that ports do not run out.
pub(crate) fn source(number: usize) -> Ipv4Addr {
    let address = u8::try_from(number % ADDRESSES).unwrap_or_default();
    Ipv4Addr::new(127, 0, 0, 2 + address)
}

impl Socket {
    /// Connects and waits until `connection_init` is acknowledged.
    pub(crate) async fn open(address: SocketAddr, source: Ipv4Addr, path: &str) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        let (stream, _) = client_async_with_config(request, stream, Some(config)).await?;
        let mut socket = Self { stream };
        socket.send(r#"{"type":"connection_init"}"#.to_owned()).await?;
        let answer = socket.text().await?;
        if !answer.contains("connection_ack") {
            bail!("no acknowledgement but {answer}");
        }
        Ok(socket)
    }

    /// Subscribes; the first answer. The snapshot is complete only after [`Self::snapshot_end`].
    pub(crate) async fn subscribe(&mut self, operation: &Operation) -> anyhow::Result<Option<Utf8Bytes>> {
        self.send(operation.message()).await?;
        if !operation.snapshot {
            return Ok(None);
        }
        let first = self.answer().await?;
        if first.contains(r#""errors":"#) {
            bail!("an answer with errors: {first}");
        }
        Ok(Some(first))
    }

    /// Until the snapshot is complete.
    pub(crate) async fn snapshot_end(&mut self) -> anyhow::Result<()> {
        while !self.answer().await?.contains(SNAPSHOT_END) {}
        Ok(())
    }

    /// Ends the subscription; the socket stays.
    pub(crate) async fn complete(&mut self) -> anyhow::Result<()> {
        self.send(r#"{"id":"1","type":"complete"}"#.to_owned()).await
    }

    /// The next answer of the subscription.
    pub(crate) async fn answer(&mut self) -> anyhow::Result<Utf8Bytes> {
        let text = self.text().await?;
        let kind = text.get(..text.len().min(40)).unwrap_or_default();
        if !kind.contains(r#""next""#) {
            bail!("an answer that is none: {text}");
        }
        Ok(text)
    }

    async fn text(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match self.stream.next().await.context("the socket ended")?? {
                Message::Text(text) if is_ping(&text) => self.send(r#"{"type":"pong"}"#.to_owned()).await?,
                Message::Text(text) => return Ok(text),
                Message::Close(frame) => bail!("the socket was closed: {frame:?}"),
                _ => {}
            }
        }
    }

    async fn send(&mut self, text: String) -> anyhow::Result<()> {
        Ok(self.stream.send(Message::text(text)).await?)
    }
}

/// The protocol's own ping, which is short and names its type first.
fn is_ping(text: &str) -> bool {
    text.len() < 300 && text.starts_with(r#"{"type":"ping""#)
}
