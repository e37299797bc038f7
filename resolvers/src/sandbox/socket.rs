//! Sockets of the stand-ins: what a provider's stand-in and the port that it is reached at tell each other of one.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::ApiResponse;

/// A socket that a client opened at a stand-in.
pub struct Conversation {
    /// The texts that the stand-in sends. When there will be no more, the socket is closed.
    pub texts: mpsc::UnboundedReceiver<String>,
    /// Its end of the socket.
    pub stand_in: Arc<dyn Converses>,
}

/// The answer to a request to open one.
pub enum Opening {
    /// It is open.
    Open(Conversation),
    /// It is refused.
    Refused(ApiResponse),
}

/// A stand-in's end of a socket.
pub trait Converses: Send + Sync {
    /// The client sent a text.
    fn hear(&self, now: DateTime<Utc>, text: &str);

    /// Time has passed: told several times a second.
    fn tick(&self, now: DateTime<Utc>);

    /// The socket is closed, whoever closed it.
    fn closed(&self, now: DateTime<Utc>);
}
