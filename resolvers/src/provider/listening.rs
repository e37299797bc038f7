//! A provider's knowledge of the sockets over which it sends its events.

use async_trait::async_trait;
use url::Url;

use super::{reference::NodeRef, webhook::VerifiedDelivery};
use crate::upstream::{Connection, UpstreamError};

/// A provider that can be listened to, and its sockets.
#[async_trait]
pub trait Listening: Send + Sync {
    /// Asks where to connect to. `api` calls with the token for sockets.
    async fn open(&self, api: &Connection) -> Result<Url, UpstreamError>;

    /// The containers of which events come over it. Where some may be missing, they are looked for in each of these.
    async fn containers(&self, api: &Connection) -> Result<Vec<NodeRef>, UpstreamError>;

    /// Interprets a text that came over the socket. Pure and total.
    fn read(&self, text: &str) -> Frame;

    /// For people: how to come by a token that opens a socket, and what must be switched on for it. Where to give it is said after it.
    fn instructions(&self) -> &'static str;
}

/// The meaning of a text over a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The provider will send events from now on.
    Ready,
    /// An event.
    Delivery {
        /// The text that acknowledges it, once it is on disk.
        acknowledgement: String,
        /// The event. Its sender is certain: the socket was opened with the integration's token.
        delivery: VerifiedDelivery,
    },
    /// Nothing that is kept, but to be acknowledged.
    Acknowledge(String),
    /// This socket will be closed: another is to be opened now.
    Renew,
    /// This socket is of no use, and why; another is to be opened later.
    Dropped(&'static str),
    /// The provider will open no socket any more; what its owner has to do.
    Disabled(&'static str),
    /// Nothing to be done, and why.
    Ignored(&'static str),
}
