//! Follows the streams that other processes write: at each hint, and by looking at the heads, often while no hints get through.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Bus, Hint};
use crate::{engine::Announcer, store::Database, webhook::Wake};

/// How often the heads are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// While hints get through: they may be lost all the same.
    pub connected: Duration,
    /// While none do.
    pub alone: Duration,
}

/// Brings this process up to what the others wrote.
pub struct Follower {
    /// The streams.
    pub database: Database,
    /// Who tells this process.
    pub announcer: Arc<Announcer>,
    /// Where hints come from.
    pub bus: Arc<dyn Bus>,
    /// Who works the inbox here.
    pub wake: Wake,
    /// How often the heads are looked at without hints.
    pub looks: Looks,
}

impl Follower {
    /// Runs until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut looked = Instant::now();
        loop {
            let pause = if self.bus.is_connected() { self.looks.connected } else { self.looks.alone };
            tokio::select! {
                hint = self.bus.hear() => match hint {
                    Hint::Head { tenant, head } => self.announcer.follow(&tenant, head).await,
                    Hint::Inbox => self.wake.heard(),
                },
                () = tokio::time::sleep(pause.min(self.looks.alone)) => {}
                () = stop.cancelled() => return,
            }
            // Hints about one tenant must not keep the others from being looked at.
            if looked.elapsed() >= pause {
                self.look().await;
                looked = Instant::now();
            }
        }
    }

    async fn look(&self) {
        match self.database.heads().await {
            Ok(heads) => {
                for (tenant, head) in heads {
                    self.announcer.follow(&tenant, head).await;
                }
            }
            Err(error) => tracing::warn!(%error, "the heads of the streams could not be read"),
        }
    }
}
