//! All integrations that are listened to: finds them, begins with new ones, ends with those whose token is gone or another.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mullion_schema::id::IntegrationId;
use tokio::{sync::Notify, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use tracing::Instrument as _;

use super::{parts::Parts, watch::Watch};
use crate::{error_chain::chain, store::event_socket::EventSocket};

/// How often it is looked for changes that another replica made. One of this process is told at once.
const LOOK: Duration = Duration::from_secs(2);

/// Listens to all integrations that have a token for it.
#[derive(Clone)]
pub struct Listeners {
    parts: Arc<Parts>,
    changed: Arc<Notify>,
}

struct Watched {
    revision: i64,
    stop: CancellationToken,
}

impl Listeners {
    /// Listeners; `changed` tells that a token was given or taken away.
    pub fn new(parts: Parts, changed: Arc<Notify>) -> Self {
        Self { parts: Arc::new(parts), changed }
    }

    /// Listens until `stop` fires; what came until then is acknowledged.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut watched: HashMap<IntegrationId, Watched> = HashMap::new();
        if let Err(error) = self.parts.database.free_leases("socket").await {
            tracing::warn!(error = %chain(&error), "the holds of an earlier process could not be ended: they run out");
        }
        while !stop.is_cancelled() {
            match self.parts.database.event_sockets().await {
                Ok(sockets) => self.follow(sockets, &mut watched, &mut tasks, &stop),
                Err(error) => {
                    tracing::warn!(
                        error = %chain(&error),
                        "the sockets for events could not be read"
                    );
                }
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.changed.notified() => {}
                () = stop.cancelled() => {}
            }
            while let Some(ended) = tasks.try_join_next() {
                if ended.is_err_and(|error| error.is_panic()) {
                    // Nobody listens to that integration any more: all are begun anew by whoever runs this.
                    return;
                }
            }
        }
        while tasks.join_next().await.is_some() {}
        if let Err(error) = self.parts.database.leave(&self.parts.id).await {
            tracing::warn!(error = %chain(&error), "the sockets were not given back: others wait until the holds run out");
        }
    }

    fn follow(
        &self,
        sockets: Vec<EventSocket>,
        watched: &mut HashMap<IntegrationId, Watched>,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        watched.retain(|integration, known| {
            let same = |socket: &EventSocket| socket.integration == *integration && socket.revision == known.revision;
            let stays = sockets.iter().any(same);
            if !stays {
                known.stop.cancel();
            }
            stays
        });
        for socket in sockets {
            watched.entry(socket.integration.clone()).or_insert_with(|| {
                let known = Watched { revision: socket.revision, stop: stop.child_token() };
                let watch = Watch { parts: Arc::clone(&self.parts), socket };
                let span = tracing::error_span!("socket", tenant = %watch.socket.tenant, integration = %watch.socket.integration);
                tasks.spawn(watch.run(known.stop.clone()).instrument(span));
                known
            });
        }
    }
}
