//! One socket: hears, stores, acknowledges. Each event is acknowledged when it is on disk, and not otherwise: then the provider sends
//! it again.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    parts::Parts,
    session::{News, Number},
    storing::Storing,
};
use crate::{
    error_chain::chain,
    inbox::intake::IntakeError,
    provider::listening::{Frame, Listening},
    provider::{Provider, VerifiedDelivery},
    store::{endpoint::Endpoint, inbox::Inserted},
    upstream::{Connection, Heard, Socket, UpstreamError, UpstreamErrorKind},
};

/// Bytes that a message may hold beyond the event in it.
const AROUND: usize = 64 << 10;
/// Time from the opening until the provider says that it will send events.
const GREETING: Duration = Duration::from_secs(15);
/// A socket over which nothing came for so long is asked for a sign of life,
const SILENCE: Duration = Duration::from_secs(20);
/// and given up when none came for as long again.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long a socket that goes must have brought nothing: what the provider sent before it knew of the next one still comes.
const QUIET: Duration = Duration::from_millis(300);
/// A socket that goes goes, however much it brings.
const FAREWELL: Duration = Duration::from_secs(10);

/// When a socket is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// Not yet.
    Stays,
    /// When it brings nothing more.
    WhenQuiet,
    /// When what it brought is acknowledged.
    Now,
}

/// A socket to be opened, and all that it needs.
pub(super) struct Link {
    pub(super) parts: Arc<Parts>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) connection: Connection,
    pub(super) number: Number,
    pub(super) tell: mpsc::Sender<(Number, News, Option<Duration>)>,
    pub(super) going: watch::Receiver<Going>,
}

/// An open socket, and what goes on there.
struct Open<'a> {
    link: &'a Link,
    listening: &'a dyn Listening,
    endpoint: &'a Endpoint,
    socket: Socket,
    storing: Storing<'a>,
    heard_at: Instant,
    brought_at: Instant,
    asked: bool,
    ready: bool,
    /// Since when it goes, and how.
    goes: Option<(Instant, Going)>,
}

/// Why a socket ended that had to.
enum End {
    /// It was told to go.
    Gone,
    /// The news.
    Because(News),
}

impl Link {
    /// Opens the socket after a wait, and serves it until it ends.
    pub(super) async fn run(mut self, wait: Duration) {
        tokio::select! {
            () = sleep(wait) => {}
            _ = self.going.changed() => return,
        }
        let (news, asked) = match self.serve().await {
            Ok(End::Gone) => (News::Closed("it was replaced".to_owned()), None),
            Ok(End::Because(news)) => (news, None),
            Err(error) => (self.told(&error), error.retry_after),
        };
        self.tell(news, asked).await;
    }

    async fn tell(&self, news: News, asked: Option<Duration>) {
        // Nobody listens when all of it ends.
        let _ = self.tell.send((self.number, news, asked)).await;
    }

    /// The news that a failure to open it amounts to.
    fn told(&self, error: &UpstreamError) -> News {
        match (error.kind, self.provider.listener()) {
            (
                UpstreamErrorKind::AuthExpired
                | UpstreamErrorKind::Forbidden
                | UpstreamErrorKind::Rejected
                | UpstreamErrorKind::NotFound
                | UpstreamErrorKind::AddressRefused,
                Some(listening),
            ) => {
                let (why, how) = (&error.message, listening.instructions());
                News::Refused(format!("{why}; {how}, and give it as appToken with updateIntegration"))
            }
            _ => News::Closed(error.message.clone()),
        }
    }

    async fn serve(&self) -> Result<End, UpstreamError> {
        let Some(listening) = self.provider.listener() else {
            return Ok(End::Because(News::Refused("the provider offers no sockets".to_owned())));
        };
        let endpoint = self.endpoint().await?;
        let address = listening.open(&self.connection).await?;
        let limit = self.provider.descriptor().webhook_body_limit + AROUND;
        let socket = self.parts.upstream.open_socket(&self.connection.base_url, &address, limit).await?;
        let now = Instant::now();
        let open = Open {
            link: self,
            listening,
            endpoint: &endpoint,
            socket,
            storing: Storing::default(),
            heard_at: now,
            brought_at: now,
            asked: false,
            ready: false,
            goes: None,
        };
        open.run(self.going.clone()).await
    }

    /// Where its events count as come in: there, too, a webhook that tells the same is a duplicate.
    async fn endpoint(&self) -> Result<Endpoint, UpstreamError> {
        let Connection { tenant, integration, .. } = &self.connection;
        let endpoints = self.parts.database.endpoints(tenant, integration).await.map_err(|error| {
            tracing::warn!(error = %chain(&error), "an endpoint could not be read");
            UpstreamError::new(UpstreamErrorKind::Internal, "the integration's endpoint could not be read")
        })?;
        let default = endpoints.into_iter().find(|endpoint| endpoint.draft.container.is_none());
        default.ok_or_else(|| UpstreamError::new(UpstreamErrorKind::Internal, "the integration has no endpoint yet"))
    }
}

impl Open<'_> {
    async fn run(mut self, mut going: watch::Receiver<Going>) -> Result<End, UpstreamError> {
        loop {
            if let Some(end) = self.ended() {
                self.socket.close().await;
                return Ok(end);
            }
            let (due, deaf) = (self.due(), !self.storing.has_room());
            tokio::select! {
                heard = self.socket.hear(), if self.storing.has_room() => {
                    let Some(heard) = heard else { return Ok(self.cut_off()) };
                    if let Some(end) = self.hear(heard?).await? {
                        return Ok(end);
                    }
                }
                Some(acknowledgement) = self.storing.next() => {
                    if let Some(text) = acknowledgement {
                        self.socket.say(text).await?;
                    }
                    if deaf {
                        // It was us who did not listen.
                        self.heard_at = Instant::now();
                    }
                }
                _ = going.changed(), if self.goes.is_none_or(|(_, going)| going != Going::Now) => {
                    // A socket whose owner is gone goes, too.
                    let how = if going.has_changed().is_err() { Going::Now } else { *going.borrow_and_update() };
                    self.goes = Some((self.goes.map_or_else(Instant::now, |(since, _)| since), how));
                }
                () = sleep_until(due) => self.in_silence().await?,
            }
        }
    }

    /// Whether it may be closed.
    fn ended(&self) -> Option<End> {
        let (since, how) = self.goes?;
        let now = Instant::now();
        let quiet = how == Going::Now || now >= self.brought_at.max(since) + QUIET;
        let over = now >= since + FAREWELL;
        (over || (quiet && self.storing.is_empty())).then_some(End::Gone)
    }

    fn cut_off(&self) -> End {
        if self.goes.is_some() {
            End::Gone
        } else {
            End::Because(News::Closed("the provider closed the socket".into()))
        }
    }

    /// When something is to be done although nothing came.
    fn due(&self) -> Instant {
        // While it is not read, it cannot be told whether it is silent.
        let heard_at = if self.storing.has_room() { self.heard_at } else { Instant::now() };
        let silence = heard_at + if self.asked { SILENCE + PATIENCE } else { SILENCE };
        let greeting = if self.ready { silence } else { self.brought_at + GREETING };
        let goes = self.goes.map(|(since, _)| (self.brought_at.max(since) + QUIET).min(since + FAREWELL));
        // A socket that goes and still stores something is looked at when that is done, or at the last.
        let goes = match (goes, self.goes) {
            (Some(_), Some((since, _))) if !self.storing.is_empty() => Some(since + FAREWELL),
            (goes, _) => goes,
        };
        silence.min(greeting).min(goes.unwrap_or(silence))
    }

    async fn in_silence(&mut self) -> Result<(), UpstreamError> {
        let now = Instant::now();
        if !self.storing.has_room() {
            self.heard_at = now;
        }
        let late = |message: &str| Err(UpstreamError::new(UpstreamErrorKind::Timeout, message));
        if !self.ready && now >= self.brought_at + GREETING {
            return late("the provider did not begin to send events");
        }
        if self.asked && now >= self.heard_at + SILENCE + PATIENCE {
            return late("the socket is dead: not even a ping was answered");
        }
        if !self.asked && now >= self.heard_at + SILENCE {
            self.asked = true;
            self.socket.ping().await?;
        }
        Ok(())
    }

    async fn hear(&mut self, heard: Heard) -> Result<Option<End>, UpstreamError> {
        self.heard_at = Instant::now();
        self.asked = false;
        let frame = match heard {
            Heard::Life => return Ok(None),
            Heard::Binary(_) => Frame::Ignored("it is binary"),
            Heard::Text(text) => self.listening.read(&text),
        };
        match frame {
            Frame::Ready => {
                self.ready = true;
                self.link.tell(News::Ready, None).await;
            }
            Frame::Delivery { acknowledgement, delivery } => self.store(acknowledgement, delivery),
            Frame::Acknowledge(text) => self.socket.say(text).await?,
            Frame::Renew => self.link.tell(News::Renew, None).await,
            Frame::Dropped(why) => return Ok(Some(End::Because(News::Closed(why.to_owned())))),
            Frame::Disabled(why) => {
                self.settle().await?;
                return Ok(Some(End::Because(News::Disabled(why.to_owned()))));
            }
            Frame::Ignored(why) => {
                tracing::debug!(integration = %self.link.connection.integration, why, "a message of a socket was ignored");
            }
        }
        Ok(None)
    }

    /// Acknowledges what is being stored, before the socket is left.
    async fn settle(&mut self) -> Result<(), UpstreamError> {
        while let Some(acknowledgement) = self.storing.next().await {
            if let Some(text) = acknowledgement {
                self.socket.say(text).await?;
            }
        }
        Ok(())
    }

    fn store(&mut self, acknowledgement: String, delivery: VerifiedDelivery) {
        self.brought_at = self.heard_at;
        let Link { parts, provider, .. } = self.link;
        let endpoint = self.endpoint;
        let received_at = parts.clock.now();
        let bytes = delivery.document.len() + acknowledgement.len();
        self.storing.push(bytes, async move {
            let stored = parts.inbox.take(endpoint, delivery, received_at).await;
            let (result, acknowledged) = match stored {
                Ok(Inserted::New(_)) => ("accepted", true),
                Ok(Inserted::Duplicate) => ("duplicate", true),
                Err(IntakeError::Overloaded) => ("overloaded", false),
                Err(IntakeError::Closed | IntakeError::Store(_)) => ("failed", false),
            };
            parts.observer.heard(provider.descriptor().key, result);
            acknowledged.then_some(acknowledgement)
        });
    }
}
