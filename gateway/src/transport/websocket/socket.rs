//! Drives one WebSocket: feeds the protocol, runs the operations, sends what they answer. One task, no locks, no timer of its own
//! once it is initialised.

use std::{
    collections::HashMap,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, AbortHandle, Abortable, BoxStream, SelectAll},
};
use mullion_schema::id::EventCursor;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    GOODBYE,
    budget::Budget,
    frame::{Decoded, Message},
    marks::{self, Reach},
    message,
    outbox::{Frame, Outbox},
    protocol::{Action, Close, Protocol, code},
    wire::{Heard, Wire},
};
use crate::{
    document::OperationKind,
    http::{
        App,
        context::new_id,
        graphql::{execute, strip_bearer, subscribe},
    },
    telemetry::live::Limit,
    transport::{
        admission::Place,
        engine::{Answer, AuthError, Caller, LiveItem, LiveMark, ParsedOperation},
        error::RequestError,
        keep_alive::{Tick, Ticks},
        params::{Origin, Params},
    },
};

/// Pings without any answer after which the other side is gone.
const UNANSWERED_PINGS: u32 = 3;
/// Bytes of replies that may wait for a client that has not said who it is: one for the longest message, and a little.
const MOST_FOR_STRANGERS: usize = 128 * 1024;
/// Who does not read may still come to it, and learn why it was closed.
const GOODBYE_TO_THE_SLOW: Duration = Duration::from_secs(10);

enum Event {
    /// An answer; and how far everything was told with it.
    Next(Bytes, Option<LiveMark>),
    Mark(LiveMark),
    Error(Bytes),
    Complete,
}

impl From<LiveItem> for Event {
    fn from(item: LiveItem) -> Self {
        match item {
            LiveItem::Mark(mark) => Self::Mark(mark),
            LiveItem::Frame(frame) => {
                let through = frame.through.zip(frame.cursor);
                Self::Next(frame.payload, through.map(|(position, cursor)| LiveMark { position, cursor }))
            }
        }
    }
}

type Events = BoxStream<'static, (Arc<str>, Event)>;

/// Why the loop ends.
enum End {
    /// We close.
    Close(Close),
    /// The other side closes, with this code.
    Closed(Option<u16>),
    /// Nobody is there.
    Gone,
}

/// An operation that runs.
struct Running {
    handle: AbortHandle,
    /// Of a subscription: how far it has come.
    reach: Option<Reach>,
}

/// What may happen, one at a time.
enum Happening {
    Tick(Tick),
    Revoked,
    InitLate,
    Told(Result<Caller, AuthError>),
    Event(Arc<str>, Event),
    Heard(Heard),
}

/// The state of one connection.
pub(super) struct Socket {
    app: Arc<App>,
    place: Place,
    /// The key of the upgrade's `Authorization` header, for clients that can set one.
    key: Option<String>,
    protocol: Protocol,
    caller: Option<Caller>,
    asked: Option<BoxFuture<'static, Result<Caller, AuthError>>>,
    events: SelectAll<Events>,
    running: HashMap<Arc<str>, Running>,
    budget: Budget,
    frames: Counter,
    unanswered: u32,
    /// What had left at the last tick, while something waits.
    taken: Option<u64>,
}

impl Socket {
    pub(super) fn new(app: Arc<App>, key: Option<String>, place: Place) -> Self {
        Self {
            protocol: Protocol::new(app.live.max_operations_per_socket),
            budget: Budget::new(app.live.max_messages_per_second, Instant::now()),
            frames: app.metrics.frames("websocket"),
            app,
            place,
            key,
            caller: None,
            asked: None,
            events: SelectAll::new(),
            running: HashMap::new(),
            unanswered: 0,
            taken: None,
        }
    }

    /// Runs until either side ends it.
    pub(super) async fn run<W: AsyncRead + AsyncWrite + Unpin>(mut self, mut wire: Wire<W>) {
        let app = Arc::clone(&self.app);
        match self.drive(&mut wire).await {
            End::Gone => {}
            End::Closed(code) => {
                let answer = code.map_or_else(Frame::empty_close, |code| Frame::close(&Close::new(code, "")));
                drop(self);
                wire.say_goodbye(answer, GOODBYE).await;
            }
            End::Close(close) => {
                app.metrics.live.closed(close.code);
                // Its subscriptions end now, not after the goodbye.
                drop(self);
                let patience = if close.code == code::UNREAD { GOODBYE_TO_THE_SLOW } else { GOODBYE };
                wire.say_goodbye(Frame::close(&close), patience).await;
            }
        }
    }

    async fn drive<W: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<W>) -> End {
        let mut ticks: Ticks = self.app.keep_alive.join();
        if ticks.is_over() {
            return self.shutdown();
        }
        let init = Duration::from_millis(self.app.live.init_timeout_milliseconds);
        let mut late: Option<Pin<Box<Sleep>>> = Some(Box::pin(tokio::time::sleep(init)));
        let mut revoked: Pin<&mut Option<WaitForCancellationFutureOwned>> = pin!(None);
        loop {
            let room = wire.outbox.has_room() && !self.events.is_empty();
            // Events before the connection: what is ready is written with one call.
            let happening = tokio::select! {
                biased;
                tick = ticks.next() => Happening::Tick(tick),
                Some(()) = maybe(revoked.as_mut().as_pin_mut()), if revoked.is_some() => Happening::Revoked,
                Some(()) = maybe(late.as_mut()), if late.is_some() => Happening::InitLate,
                Some(told) = maybe(self.asked.as_mut()), if self.asked.is_some() => Happening::Told(told),
                Some((id, event)) = self.events.next(), if room => Happening::Event(id, event),
                heard = std::future::poll_fn(|cx| wire.poll(cx)) => Happening::Heard(heard),
            };
            if let Happening::Told(Ok(caller)) = &happening {
                late = None;
                revoked.set(Some(caller.revoked.clone().cancelled_owned()));
            } else if let Happening::InitLate = &happening {
                late = None;
            }
            if let Err(end) = self.handle(&mut wire.outbox, happening) {
                return end;
            }
        }
    }

    fn handle(&mut self, outbox: &mut Outbox, happening: Happening) -> Result<(), End> {
        match happening {
            Happening::Tick(Tick::Shutdown) => Err(self.shutdown()),
            Happening::Tick(Tick::KeepAlive) => self.tick(outbox),
            Happening::Revoked => Err(End::Close(Close::new(code::FORBIDDEN, "The API key was revoked"))),
            Happening::InitLate => match self.protocol.init_timeout() {
                Some(close) => Err(self.met(Limit::InitTimeout, close)),
                None => Ok(()),
            },
            Happening::Told(told) => {
                self.asked = None;
                self.told(outbox, told)
            }
            Happening::Event(id, event) => {
                self.event(outbox, &id, event);
                Ok(())
            }
            Happening::Heard(heard) => self.heard(outbox, heard),
        }
    }

    fn told(&mut self, outbox: &mut Outbox, told: Result<Caller, AuthError>) -> Result<(), End> {
        match told {
            Ok(caller) => {
                if !self.place.belongs_to(&caller.tenant) {
                    let most = self.app.live.max_sockets_per_tenant;
                    let reason = format!("Try again later: the tenant has {most} open sockets");
                    return Err(End::Close(Close::new(code::TRY_AGAIN, reason)));
                }
                self.caller = Some(caller);
                self.protocol.authenticated();
                self.reply(outbox, message::ack())
            }
            Err(AuthError::Unavailable) => {
                Err(End::Close(Close::new(code::TRY_AGAIN, "Try again later: the key could not be checked")))
            }
            Err(error) => Err(End::Close(Close::new(code::FORBIDDEN, format!("Forbidden: {error}")))),
        }
    }

    fn heard(&mut self, outbox: &mut Outbox, heard: Heard) -> Result<(), End> {
        let frame = match heard {
            Heard::Frame(frame) => frame,
            Heard::Sent => return Ok(()),
            Heard::Gone => return Err(End::Gone),
            Heard::Broken(close) if close.code == code::TOO_BIG => return Err(self.met(Limit::MessageBytes, close)),
            Heard::Broken(close) => return Err(End::Close(close)),
        };
        self.unanswered = 0;
        if !self.budget.take(Instant::now()) {
            let reason = format!("Too many messages: {} a second are allowed", self.app.live.max_messages_per_second);
            return Err(self.met(Limit::Messages, Close::new(code::TOO_MANY, reason)));
        }
        let action = match frame {
            Decoded::Message(Message::Text(text)) => self.protocol.text(&text),
            Decoded::Message(Message::Binary) => Protocol::binary(),
            Decoded::Message(Message::Ping(payload)) => {
                let most = self.most_replies();
                let fits = outbox.push_pong(Frame::pong(&payload), most);
                return if fits { Ok(()) } else { Err(self.unread(most)) };
            }
            Decoded::Message(Message::Pong) | Decoded::Part => Action::Nothing,
            Decoded::Message(Message::Close(code)) => return Err(End::Closed(code)),
        };
        self.act(outbox, action)
    }

    fn act(&mut self, outbox: &mut Outbox, action: Action) -> Result<(), End> {
        match action {
            Action::Nothing => Ok(()),
            Action::Close(close) => Err(End::Close(close)),
            Action::Pong(payload) => self.reply(outbox, message::pong(payload.as_deref())),
            Action::Cancel(id) => {
                self.cancel(&id);
                Ok(())
            }
            Action::Authenticate(authorization) => {
                self.authenticate(authorization);
                Ok(())
            }
            Action::Start(id, params) => {
                self.start(&id, params);
                Ok(())
            }
            Action::Refuse(id, error) => {
                self.app.metrics.live.hit(Limit::Operations);
                self.reply(outbox, message::error(&id, error.to_list()))
            }
        }
    }

    /// Sends what the client asked for by a message: of that it can ask for more than it reads.
    fn reply(&self, outbox: &mut Outbox, frame: Frame) -> Result<(), End> {
        let most = self.most_replies();
        if outbox.push_reply(frame, most) { Ok(()) } else { Err(self.unread(most)) }
    }

    /// How many bytes of replies may wait: little, as long as nobody knows whose they are.
    fn most_replies(&self) -> usize {
        let most = self.app.live.max_queued_bytes;
        if self.caller.is_some() { most } else { most.min(MOST_FOR_STRANGERS) }
    }

    fn unread(&self, most: usize) -> End {
        let reason = format!("Too much is unread: {most} bytes of replies may wait");
        self.met(Limit::QueuedBytes, Close::new(code::UNREAD, reason))
    }

    fn met(&self, limit: Limit, close: Close) -> End {
        self.app.metrics.live.hit(limit);
        End::Close(close)
    }

    fn shutdown(&self) -> End {
        let hint = serde_json::json!({ "retryAfterMs": self.app.admission.retry_after_milliseconds() });
        End::Close(Close::new(code::GOING_AWAY, hint.to_string()))
    }

    fn authenticate(&mut self, authorization: Option<String>) {
        let engine = Arc::clone(&self.app.engine);
        // A value without the scheme is not the key: the contract knows one form, the header's.
        let key = match authorization {
            Some(value) => Some(strip_bearer(&value).unwrap_or_default().to_owned()),
            None => self.key.take(),
        };
        self.asked = Some(async move { engine.authenticate(key.as_deref()).await }.boxed());
    }

    fn start(&mut self, id: &Arc<str>, params: Params) {
        let (events, kind) = match self.open(params) {
            Ok(opened) => opened,
            Err(error) => {
                let events = stream::once(async move { Event::Error(error.to_list()) });
                (events.boxed(), OperationKind::Query)
            }
        };
        let (handle, registration) = AbortHandle::new_pair();
        let named = Arc::clone(id);
        let events = events.map(move |event| (Arc::clone(&named), event));
        self.events.push(Abortable::new(events, registration).boxed());
        let reach = (kind == OperationKind::Subscription).then(Reach::default);
        self.running.insert(Arc::clone(id), Running { handle, reach });
        self.app.metrics.live.socket_operations.inc();
    }

    fn open(&self, params: Params) -> Result<(BoxStream<'static, Event>, OperationKind), RequestError> {
        let request_id = new_id(&*self.app.clock);
        let Some(caller) = self.caller.clone() else { return Err(RequestError::internal(&request_id)) };
        let origin = Origin { request_id, resume_after: None };
        let operation = params.prepare(&self.app.documents, origin)?;
        if operation.kind == OperationKind::Subscription {
            let app = Arc::clone(&self.app);
            let begin = async move {
                match subscribe(&app, &caller, operation).await {
                    Ok(frames) => {
                        let end = stream::once(async { Event::Complete });
                        frames.map(Event::from).chain(end).boxed()
                    }
                    Err(error) => stream::once(async move { Event::Error(error.to_list()) }).boxed(),
                }
            };
            return Ok((begin.boxed().flatten_stream().boxed(), OperationKind::Subscription));
        }
        let kind = operation.kind;
        Ok((once(Arc::clone(&self.app), caller, operation), kind))
    }

    fn cancel(&mut self, id: &str) {
        if let Some(running) = self.running.remove(id) {
            running.handle.abort();
            self.app.metrics.live.socket_operations.dec();
        }
    }

    fn event(&mut self, outbox: &mut Outbox, id: &str, event: Event) {
        match event {
            Event::Next(payload, through) => {
                self.frames.inc();
                outbox.push(message::next(id, payload));
                // It leaves before every ping that comes later.
                if let Some(reach) = self.reach(id) {
                    reach.event(through);
                }
            }
            Event::Mark(mark) => {
                if let Some(reach) = self.reach(id) {
                    reach.mark(mark);
                }
            }
            Event::Error(errors) => {
                self.forget(id);
                outbox.push(message::error(id, errors));
            }
            Event::Complete => {
                self.forget(id);
                outbox.push(message::complete(id));
            }
        }
    }

    fn reach(&mut self, id: &str) -> Option<&mut Reach> {
        self.running.get_mut(id)?.reach.as_mut()
    }

    fn forget(&mut self, id: &str) {
        self.protocol.ended(id);
        // The stream may have more to say (an error is followed by nothing), so it is stopped, not only forgotten.
        self.cancel(id);
    }

    /// A period has passed: is somebody there, and does it read? Then it is pinged.
    fn tick(&mut self, outbox: &mut Outbox) -> Result<(), End> {
        let taken = (!outbox.is_empty()).then(|| outbox.taken());
        if taken.is_some() && self.taken == taken {
            let seconds = self.app.live.ping_seconds;
            let reason = format!("Too much is unread: nothing was read for {seconds} seconds");
            return Err(self.met(Limit::Stalled, Close::new(code::UNREAD, reason)));
        }
        self.taken = taken;
        if self.caller.is_none() {
            return Ok(());
        }
        self.unanswered += 1;
        if self.unanswered > UNANSWERED_PINGS {
            return Err(End::Close(Close::new(code::GOING_AWAY, "Pings were not answered")));
        }
        let cursor = marks::least(self.running.values().filter_map(|running| running.reach.as_ref()));
        self.reply(outbox, message::ping(cursor.map(EventCursor::as_str)))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let running = i64::try_from(self.running.len()).unwrap_or(i64::MAX);
        self.app.metrics.live.socket_operations.dec_by(running);
    }
}

/// Waits for what there is; for nothing, `None` at once.
async fn maybe<F: Future + Unpin>(future: Option<F>) -> Option<F::Output> {
    Some(future?.await)
}

/// A query or a mutation: one answer, then the end.
fn once(app: Arc<App>, caller: Caller, operation: ParsedOperation) -> BoxStream<'static, Event> {
    let answered = async move {
        match execute(&app, &caller, operation).await {
            Ok(Answer::Result(body)) => vec![Event::Next(body, None), Event::Complete],
            Ok(Answer::Refused(error)) | Err(error) => vec![Event::Error(error.to_list())],
        }
    };
    answered.map(stream::iter).flatten_stream().boxed()
}
