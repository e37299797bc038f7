//! Follows the streams that other processes write: at each hint, and by looking at the heads, often while no hints get through.

use std::{sync::Arc, time::Duration};

use mullion_schema::id::TenantId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::announcer::Announcer;
use crate::{
    bus::Wake,
    bus::{Bus, Hint},
    error_chain::chain,
    store::Database,
};

/// How often the heads are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// While hints get through: they may be lost all the same.
    pub connected: Duration,
    /// While none do.
    pub alone: Duration,
}

/// So long after hints did not get through, they do not count as getting through: some were lost before the others were heard again.
const SETTLES: Duration = Duration::from_secs(1);

/// Brings this process up to what the others wrote.
#[derive(Clone)]
pub struct Follower {
    /// The streams.
    pub database: Database,
    /// Tells this process of changes.
    pub announcer: Arc<Announcer>,
    /// Where hints come from.
    pub bus: Arc<dyn Bus>,
    /// Wakes those who work the inbox here.
    pub wake: Wake,
    /// How often the heads are looked at without hints.
    pub looks: Looks,
}

impl Follower {
    /// Runs until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let (mut looked, mut behind, mut alone) = (Instant::now(), false, None);
        loop {
            if !self.bus.is_connected() {
                alone = Some(Instant::now());
            }
            // No hint comes a second time for a stream that could not be read: it is looked at again soon.
            let soon = behind || alone.is_some_and(|alone| alone.elapsed() < SETTLES);
            let pause = if soon { self.looks.alone } else { self.looks.connected };
            tokio::select! {
                hint = self.bus.hear() => match hint {
                    Hint::Head { tenant, head } => behind |= !self.follow(&tenant, head).await,
                    Hint::Inbox => self.wake.heard(),
                },
                () = tokio::time::sleep(pause.min(self.looks.alone)) => {}
                () = stop.cancelled() => return,
            }
            // Hints about one tenant must not keep the others from being looked at.
            if looked.elapsed() >= pause {
                behind = !self.look().await;
                looked = Instant::now();
            }
        }
    }

    /// Looks at all streams; whether all could be read.
    async fn look(&self) -> bool {
        let heads = match self.database.heads().await {
            Ok(heads) => heads,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the heads of the streams could not be read");
                return false;
            }
        };
        let mut all = true;
        for (tenant, head) in heads {
            all &= self.follow(&tenant, head).await;
        }
        all
    }

    /// Follows a stream; whether it could be read.
    async fn follow(&self, tenant: &TenantId, head: i64) -> bool {
        let followed = self.announcer.follow(tenant, head).await;
        followed
            .inspect_err(|error| {
                tracing::error!(
                    error = %chain(error),
                    "the stream could not be read; it is tried again"
                );
            })
            .is_ok()
    }
}
