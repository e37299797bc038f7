//! The parts that listening is made from.

use std::sync::Arc;

use crate::{
    accounts::Connector,
    changes::Applier,
    clock::Clock,
    inbox::Inbox,
    store::Database,
    upstream::{Jitter, Upstream},
};

/// Counts what comes over sockets. The metrics are of the gateway, which depends on this crate.
pub trait SocketObserver: Send + Sync {
    /// An event came, with this result: `accepted`, `duplicate`, `overloaded` or `failed`.
    fn heard(&self, provider: &'static str, result: &'static str);
}

/// The parts that listening is made from.
pub struct Parts {
    /// The database.
    pub database: Database,
    /// Knows the integrations.
    pub connector: Arc<Connector>,
    /// The way to the providers.
    pub upstream: Upstream,
    /// Tells who watches how a socket stands.
    pub applier: Arc<Applier>,
    /// Where events go.
    pub inbox: Arc<Inbox>,
    /// Counts what comes.
    pub observer: Arc<dyn SocketObserver>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness of waits.
    pub jitter: Jitter,
    /// The name of this process, as holds know it.
    pub id: String,
}
