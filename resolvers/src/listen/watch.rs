//! One integration's listening in one replica: waits until it holds the integration's socket, opens it, and lets go of it.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use tracing::Instrument as _;

use super::{
    link::{Going, Link},
    pace::Pace,
    parts::Parts,
    session::{News, Number, Order, Session},
};
use crate::{
    provider::Provider,
    store::{
        StoreError,
        event_socket::{EventSocket, SocketState},
        lease::Lease,
    },
    upstream::Connection,
};

/// How often the hold is renewed, or tried to get: two beats may fail before it runs out.
const BEAT: Duration = Duration::from_millis(1_500);
/// Time for sockets to be closed when it all ends.
const GOODBYE: Duration = Duration::from_secs(4);
/// News of sockets that may wait.
const NEWS: usize = 16;

/// An integration's provider, and the way there with the token for sockets.
type Connected = (Arc<dyn Provider>, Connection);
type Shown = (SocketState, Option<String>);

/// An integration that is listened to.
pub(super) struct Watch {
    pub(super) parts: Arc<Parts>,
    pub(super) socket: EventSocket,
}

impl Watch {
    /// Listens whenever this replica holds the socket, until it is told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.parts.database.hold_socket(&self.socket.integration, &self.parts.id).await {
                // A panic ends a socket, not the listening.
                Ok(Some(lease)) => {
                    if AssertUnwindSafe(self.hold(&lease, &stop)).catch_unwind().await.is_err() {
                        tracing::error!(integration = %self.socket.integration, "a socket broke off (a panic; the log has it)");
                    }
                }
                Ok(None) => {}
                Err(error) => warn(&error, "a socket could not be held"),
            }
            tokio::select! {
                () = sleep(BEAT) => {}
                () = stop.cancelled() => {}
            }
        }
        if let Err(error) = self.parts.database.socket_left(&self.socket.integration).await {
            warn(&error, "it could not be noted that a socket was left");
        }
    }

    /// Listens until the hold is lost, or told to stop.
    async fn hold(&self, lease: &Lease, stop: &CancellationToken) {
        let EventSocket { tenant, integration, .. } = &self.socket;
        let connected = match self.parts.connector.listening(tenant, integration).await {
            Ok(Some(connected)) => connected,
            Ok(None) => return,
            Err(error) => return warn(&error, "an integration could not be read"),
        };
        let end = stop.child_token();
        let (show, mut shown) = watch::channel((SocketState::Connecting, None));
        let listening = self.listen(connected, &show, &end);
        tokio::pin!(listening);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted: Option<Shown> = None;
        loop {
            let now = shown.borrow_and_update().clone();
            if noted.as_ref() != Some(&now) && self.note(lease, &now, &end).await {
                noted = Some(now);
            }
            tokio::select! {
                () = &mut listening => break,
                _ = shown.changed() => {}
                _ = beat.tick() => self.renew(lease, &end).await,
            }
        }
        if stop.is_cancelled() {
            self.note(lease, &(SocketState::Connecting, None), &end).await;
        }
    }

    /// Without the database nothing is acknowledged, so a hold that cannot be renewed is kept until another one takes it.
    async fn renew(&self, lease: &Lease, end: &CancellationToken) {
        match self.parts.database.hold_socket(&self.socket.integration, &self.parts.id).await {
            Ok(Some(renewed)) if renewed.fence == lease.fence => {}
            Ok(_) => end.cancel(),
            Err(error) => warn(&error, "the hold on a socket could not be renewed"),
        }
    }

    /// Notes how it stands; whether that worked.
    async fn note(&self, lease: &Lease, (state, message): &Shown, end: &CancellationToken) -> bool {
        match self.parts.database.note_socket(lease, &self.socket, *state, message.as_deref()).await {
            Ok(noted) => {
                if let Some(noted) = noted {
                    self.doubt_what_was_missed(*state).await;
                    self.parts.applier.announce(&self.socket.tenant, &[noted.change]).await;
                }
                true
            }
            Err(StoreError::LeaseLost) => {
                end.cancel();
                true
            }
            Err(error) => {
                warn(&error, "how a socket stands could not be noted");
                false
            }
        }
    }

    /// Events that happened while no socket was open did not come, so everything read before is read again.
    async fn doubt_what_was_missed(&self, state: SocketState) {
        if state == SocketState::Open
            && let Err(error) = self.parts.database.suspect(&self.socket.integration).await
        {
            warn(&error, "what a closed socket missed could not be noted");
        }
    }

    /// Keeps a socket open until the end.
    async fn listen(&self, connected: Connected, show: &watch::Sender<Shown>, end: &CancellationToken) {
        let (tell, mut news) = mpsc::channel(NEWS);
        let mut links = Links { watch: self, connected, tell, tasks: JoinSet::new(), known: HashMap::new() };
        let (mut session, mut pace) = (Session::default(), Pace::default());
        let mut orders = session.begin();
        loop {
            for order in orders.drain(..) {
                match order {
                    Order::Open(number) => links.open(number, pace.wait(Instant::now(), self.parts.jitter.fraction())),
                    Order::Retire(number) => links.retire(number),
                    Order::Show(state, message) => {
                        self.log(state, message.as_deref());
                        show.send_replace((state, message));
                    }
                }
            }
            tokio::select! {
                () = end.cancelled() => break,
                Some((number, news, asked)) = news.recv() => {
                    match &news {
                        News::Ready => pace.opened(),
                        News::Closed(_) => pace.failed(asked),
                        _ => {}
                    }
                    links.forget(number, &news);
                    orders = session.hear(number, news);
                }
                // A socket whose task broke off leaves no news: all begins anew.
                Some(Err(_)) = links.tasks.join_next() => break,
            }
        }
        links.leave().await;
    }

    fn log(&self, state: SocketState, message: Option<&str>) {
        let integration = &self.socket.integration;
        match (state, message) {
            (SocketState::Failed, message) => {
                tracing::error!(%integration, message, "the socket for events stays closed");
            }
            (SocketState::Connecting, Some(message)) => {
                tracing::warn!(%integration, message, "the socket for events is opened again");
            }
            (state, _) => tracing::info!(%integration, %state, "the socket for events"),
        }
    }
}

/// The sockets of an integration, each in a task.
struct Links<'a> {
    watch: &'a Watch,
    connected: Connected,
    tell: mpsc::Sender<(Number, News, Option<Duration>)>,
    tasks: JoinSet<()>,
    known: HashMap<Number, watch::Sender<Going>>,
}

impl Links<'_> {
    fn open(&mut self, number: Number, wait: Duration) {
        let (going, told) = watch::channel(Going::Stays);
        let link = Link {
            parts: Arc::clone(&self.watch.parts),
            provider: Arc::clone(&self.connected.0),
            connection: self.connected.1.clone(),
            number,
            tell: self.tell.clone(),
            going: told,
        };
        self.known.insert(number, going);
        self.tasks.spawn(link.run(wait).in_current_span());
    }

    fn retire(&mut self, number: Number) {
        if let Some(going) = self.known.get(&number) {
            going.send_replace(Going::WhenQuiet);
        }
    }

    fn forget(&mut self, number: Number, news: &News) {
        if !matches!(news, News::Ready | News::Renew) {
            self.known.remove(&number);
        }
    }

    async fn leave(mut self) {
        for going in self.known.values() {
            going.send_replace(Going::Now);
        }
        // Their last news are for nobody.
        drop(self.tell);
        if timeout(GOODBYE, async { while self.tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::debug!("sockets were left behind");
        }
    }
}

fn warn(error: &(dyn std::error::Error + 'static), what: &'static str) {
    tracing::warn!(error, "{what}");
}
