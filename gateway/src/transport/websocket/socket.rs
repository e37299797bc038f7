//! Drives one WebSocket: feeds the protocol, runs the operations, sends what they answer. One task, no locks, no timer of its own
//! once it is initialised.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_graphql::parser::types::OperationType;
use futures::FutureExt;
use mullion_resolvers::{execution::Caller, trace_context::TraceContext};
use mullion_schema::{error::ErrorCode, id::EventCursor};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tracing::Instrument as _;

use super::{
    GOODBYE,
    budget::Budget,
    close::{Close, code},
    frame::{Decoded, Message},
    message,
    operations::{Operations, Outgoing, Source},
    outbox::{Frame, Outbox},
    progress,
    protocol::{Action, Protocol},
    signals::{Signal, Signals},
    wakers::{READER, Wakers},
    wire::{Heard, Wire},
};
use crate::{
    operation::{
        Origin, Request,
        authenticate::{AuthError, strip_bearer},
        errors::RequestError,
        params::Params,
    },
    telemetry::live::Limit,
    transport::{Connections, admission::Place, keep_alive::Tick},
};

/// Pings without any answer after which the other side is gone.
const UNANSWERED_PINGS: u32 = 3;
/// Bytes of replies that may wait for a client that has not said who it is: one for the longest message, and a little.
const MOST_FOR_STRANGERS: usize = 128 * 1024;
/// A client that does not read may still come to it, and learn why it was closed.
const GOODBYE_TO_THE_SLOW: Duration = Duration::from_secs(10);

/// Events of operations that are taken before what is there is sent.
const MOST_EVENTS: usize = 64;
/// Turns of one socket before others have theirs.
const MOST_TURNS: usize = 32;

/// Why it ends.
enum End {
    /// We close.
    Close(Close),
    /// The other side closes, with this code.
    Closed(Option<u16>),
    /// Nobody is there.
    Gone,
}

/// The state of one connection.
pub(super) struct Socket {
    shared: Arc<Connections>,
    place: Place,
    /// The key of the upgrade's `Authorization` header, for clients that can set one.
    key: Option<String>,
    /// The client's trace, of its `connection_init` or of the upgrade.
    trace: Option<TraceContext>,
    protocol: Protocol,
    caller: Option<Caller>,
    wakers: Arc<Wakers>,
    signals: Signals,
    operations: Operations,
    /// Wakes the socket when there is something to read; and whether there may be.
    reader: Waker,
    readable: bool,
    budget: Budget,
    frames: Counter,
    unanswered: u32,
    /// The bytes that had left at the last tick, while something waits.
    taken: Option<u64>,
}

impl Socket {
    pub(super) fn new(shared: Arc<Connections>, place: Place) -> Self {
        let wakers = Arc::new(Wakers::default());
        let init = Duration::from_millis(shared.live.init_timeout_milliseconds);
        Self {
            signals: Signals::new(Arc::clone(&wakers), shared.keep_alive.join(), init),
            operations: Operations::new(Arc::clone(&wakers)),
            reader: wakers.waker(READER),
            readable: true,
            wakers,
            protocol: Protocol::new(shared.live.max_operations_per_socket),
            budget: Budget::new(shared.live.max_messages_per_second, Instant::now()),
            frames: shared.metrics.frames("websocket"),
            shared,
            place,
            key: None,
            trace: None,
            caller: None,
            unanswered: 0,
            taken: None,
        }
    }

    /// The same for a client whose upgrade named its key, or its trace.
    pub(super) fn with_client(mut self, key: Option<String>, trace: Option<TraceContext>) -> Self {
        (self.key, self.trace) = (key, trace);
        self
    }

    /// Runs until either side ends it.
    pub(super) async fn run<W: AsyncRead + AsyncWrite + Unpin>(mut self, mut wire: Wire<W>) {
        let shared = Arc::clone(&self.shared);
        match poll_fn(|cx| self.poll(cx, &mut wire)).await {
            End::Gone => {}
            End::Closed(code) => {
                let answer = code.map_or_else(Frame::empty_close, |code| Frame::close(&Close::new(code, "")));
                drop(self);
                wire.say_goodbye(answer, GOODBYE).await;
            }
            End::Close(close) => {
                shared.metrics.live.closed(close.code);
                // Its subscriptions end now, not after the goodbye.
                drop(self);
                let patience = if close.code == code::UNREAD { GOODBYE_TO_THE_SLOW } else { GOODBYE };
                wire.say_goodbye(Frame::close(&close), patience).await;
            }
        }
    }

    fn poll<W: AsyncRead + AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<W>) -> Poll<End> {
        let woken = self.wakers.take(cx);
        self.signals.wake(woken);
        self.operations.wake(woken);
        self.readable |= woken & READER != 0;
        for _ in 0..MOST_TURNS {
            match self.turn(cx, wire) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(end) => return Poll::Ready(end),
            }
        }
        // The others' turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes in what has happened. Whether there may be more at once.
    fn turn<W: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire<W>,
    ) -> Result<bool, End> {
        while let Some(signal) = self.signals.poll() {
            self.signal(&mut wire.outbox, signal)?;
        }
        // Events before the connection: what is ready is written with one call.
        for _ in 0..MOST_EVENTS {
            if !wire.outbox.has_room() {
                break;
            }
            let Some(outgoing) = self.operations.poll(cx) else { break };
            self.send(&mut wire.outbox, outgoing);
        }
        wire.flush(cx).map_err(|_| End::Gone)?;
        // Input is looked at even while there is always something to send.
        if self.readable {
            if let Poll::Ready(heard) = wire.poll(&mut Context::from_waker(&self.reader)) {
                self.heard(&mut wire.outbox, heard)?;
                return Ok(true);
            }
            self.readable = false;
        }
        Ok(wire.outbox.has_room() && self.operations.is_due())
    }

    fn signal(&mut self, outbox: &mut Outbox, signal: Signal) -> Result<(), End> {
        match signal {
            Signal::Tick(Tick::Shutdown) => Err(self.shutdown()),
            Signal::Tick(Tick::KeepAlive) => self.tick(outbox),
            Signal::Revoked => Err(End::Close(Close::new(code::FORBIDDEN, "The API key was revoked"))),
            Signal::InitLate => match self.protocol.init_timeout() {
                Some(close) => Err(self.met(Limit::InitTimeout, close)),
                None => Ok(()),
            },
            Signal::Authenticated(caller) => self.authenticated(outbox, caller),
        }
    }

    fn authenticated(&mut self, outbox: &mut Outbox, caller: Result<Caller, AuthError>) -> Result<(), End> {
        match caller {
            Ok(caller) => {
                if !self.place.belongs_to(caller.tenant()) {
                    let most = self.shared.live.max_sockets_per_tenant;
                    let reason = format!("Try again later: the tenant has {most} open sockets");
                    return Err(End::Close(Close::new(code::TRY_AGAIN, reason)));
                }
                self.signals.let_in(caller.clone());
                self.caller = Some(caller);
                self.protocol.authenticated();
                self.reply(outbox, message::ack())
            }
            Err(AuthError::Unavailable) => {
                let (id, code) = (self.shared.pipeline.new_id(), ErrorCode::ServiceUnavailable);
                tracing::warn!(requestId = %id, "a socket was closed because its API key could not be checked");
                let reason = format!("Try again later: the key could not be checked ({code}, request {id})");
                Err(End::Close(Close::new(code::TRY_AGAIN, reason)))
            }
            Err(error) => Err(End::Close(Close::new(code::FORBIDDEN, format!("Forbidden: {error}")))),
        }
    }

    fn heard(&mut self, outbox: &mut Outbox, heard: Heard) -> Result<(), End> {
        let frame = match heard {
            Heard::Frame(frame) => frame,
            Heard::Gone => return Err(End::Gone),
            Heard::Broken(close) if close.code == code::TOO_BIG => return Err(self.met(Limit::MessageBytes, close)),
            Heard::Broken(close) => return Err(End::Close(close)),
        };
        self.unanswered = 0;
        if !self.budget.take(Instant::now()) {
            let reason =
                format!("Too many messages: {} a second are allowed", self.shared.live.max_messages_per_second);
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
                if self.operations.stop(&id) {
                    self.shared.metrics.live.socket_operations.dec();
                }
                Ok(())
            }
            Action::Authenticate(authorization, trace) => {
                self.trace = trace.or(self.trace);
                self.authenticate(authorization);
                Ok(())
            }
            Action::Start(id, params) => {
                let source = self.open(params).unwrap_or_else(Source::Refused);
                self.operations.start(id, source);
                self.shared.metrics.live.socket_operations.inc();
                Ok(())
            }
            Action::Refuse(id, error) => {
                self.shared.metrics.live.hit(Limit::Operations);
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
        let most = self.shared.live.max_queued_bytes;
        if self.caller.is_some() { most } else { most.min(MOST_FOR_STRANGERS) }
    }

    fn unread(&self, most: usize) -> End {
        let reason = format!("Too much is unread: {most} bytes of replies may wait");
        self.met(Limit::QueuedBytes, Close::new(code::UNREAD, reason))
    }

    fn met(&self, limit: Limit, close: Close) -> End {
        self.shared.metrics.live.hit(limit);
        End::Close(close)
    }

    fn shutdown(&self) -> End {
        let hint = serde_json::json!({ "retryAfterMs": self.shared.admission.retry_after_milliseconds() });
        End::Close(Close::new(code::GOING_AWAY, hint.to_string()))
    }

    fn authenticate(&mut self, authorization: Option<String>) {
        let pipeline = Arc::clone(&self.shared.pipeline);
        // A value without the scheme is not the key: the contract knows one form, the header's.
        let key = match authorization {
            Some(value) => Some(strip_bearer(&value).unwrap_or_default().to_owned()),
            None => self.key.take(),
        };
        self.signals.ask(async move { pipeline.authenticate(key.as_deref()).await }.boxed());
    }

    fn open(&self, params: Params) -> Result<Source, RequestError> {
        let pipeline = &self.shared.pipeline;
        let request_id = pipeline.new_id();
        let Some(caller) = self.caller.clone() else { return Err(RequestError::internal(&request_id)) };
        let origin = Origin { request_id, resume_after: None };
        let (shared, trace) = (Arc::clone(&self.shared), self.trace);
        let Some(document) = pipeline.document_at_once(&params, &caller) else {
            let find = async move {
                let request = shared.pipeline.find(params, &caller, origin).await?;
                Ok(begin(shared, caller, request, trace))
            };
            return Ok(Source::Finding(find.boxed()));
        };
        let request = pipeline.select(params, &caller, document, origin)?;
        Ok(begin(shared, caller, request, trace))
    }

    fn send(&mut self, outbox: &mut Outbox, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Nothing => {}
            Outgoing::Next(frame) => {
                self.frames.inc();
                outbox.push(frame);
            }
            Outgoing::Last(id, frame) => {
                self.ended(&id);
                outbox.push(frame);
            }
            Outgoing::Interrupted(id, error) => {
                self.ended(&id);
                let error = error.with_retry_after(self.shared.admission.come_again_milliseconds());
                outbox.push(message::error(&id, error.to_list()));
            }
        }
    }

    fn ended(&mut self, id: &str) {
        self.protocol.ended(id);
        self.shared.metrics.live.socket_operations.dec();
    }

    /// A period has passed: is somebody there, and does it read? Then it is pinged.
    fn tick(&mut self, outbox: &mut Outbox) -> Result<(), End> {
        let taken = (!outbox.is_empty()).then(|| outbox.taken());
        if taken.is_some() && self.taken == taken {
            let seconds = self.shared.live.ping_seconds;
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
        let cursor = progress::resumable(self.operations.progress());
        self.reply(outbox, message::ping(cursor.map(EventCursor::as_str)))
    }
}

fn begin(shared: Arc<Connections>, caller: Caller, request: Request, trace: Option<TraceContext>) -> Source {
    let span = tracing::error_span!("request", requestId = &*request.origin.request_id, route = "websocket");
    if let Some(client) = trace {
        client.adopt(&span);
    }
    if request.operation.kind() == OperationType::Subscription {
        Source::Subscribing(async move { shared.pipeline.subscribe(&caller, request).await }.instrument(span).boxed())
    } else {
        Source::Executing(async move { shared.pipeline.run(&caller, request).await }.instrument(span).boxed())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let running = i64::try_from(self.operations.len()).unwrap_or(i64::MAX);
        self.shared.metrics.live.socket_operations.dec_by(running);
    }
}
