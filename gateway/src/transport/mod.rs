//! How answers leave, and for how long their connections live: what HTTP, WebSocket, event streams and parts have in common.

pub mod admission;
pub mod keep_alive;
pub mod multipart;
pub mod negotiate;
pub mod sse;
pub mod websocket;

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{admission::Admission, keep_alive::KeepAlive};
use crate::{config::Live, operation::Pipeline, telemetry::metrics::Metrics};

/// The state that all sockets and streams share.
pub struct Connections {
    /// From requests to answers.
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) live: Live,
    pub(crate) admission: Arc<Admission>,
    pub(crate) keep_alive: KeepAlive,
    /// Fires when the process ends: sockets say goodbye.
    pub(crate) shutdown: CancellationToken,
    /// Open sockets and streams, so that the end can wait for them.
    pub(crate) tracker: TaskTracker,
}

impl Connections {
    /// None is open yet.
    pub fn new(live: &Live, pipeline: Arc<Pipeline>, metrics: Arc<Metrics>) -> Self {
        Self {
            pipeline,
            live: live.clone(),
            admission: Admission::new(live, Arc::clone(&metrics)),
            metrics,
            keep_alive: KeepAlive::new(Duration::from_secs(live.ping_seconds)),
            shutdown: CancellationToken::new(),
            tracker: TaskTracker::new(),
        }
    }
}

#[cfg(test)]
mod tests;
