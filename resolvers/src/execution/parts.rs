//! The parts of a process that operations are executed over.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::{clock::Clock, live::LiveHub, ports::Rooms, reading::Engine, store::Database};

/// The parts of a process that operations are executed over.
pub struct Parts {
    /// Answers the ports.
    pub rooms: Arc<Rooms>,
    /// The database.
    pub database: Database,
    /// Reads the providers' nodes.
    pub engine: Arc<Engine>,
    /// Live operations.
    pub hub: Arc<LiveHub>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where executions run.
    pub tasks: TaskTracker,
}
