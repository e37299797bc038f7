//! Drives one WebSocket: feeds the protocol, runs the operations, sends what they answer. One task, no locks.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, AbortHandle, Abortable, BoxStream, SelectAll},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout};

use super::{
    message,
    protocol::{Action, Close, Protocol, code},
};
use crate::{
    document::OperationKind,
    http::{
        App,
        context::new_id,
        graphql::{execute, strip_bearer, subscribe},
    },
    transport::{
        engine::{Answer, AuthError, Caller, ParsedOperation},
        error::RequestError,
        params::{Origin, Params},
    },
};

/// Whoever does not read for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Pings without any answer after which the other side is gone.
const UNANSWERED_PINGS: u32 = 3;
const CURSOR_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a close frame may take to be answered.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long a connection that is broken is held open after the close frame.
const LINGER: Duration = Duration::from_secs(1);

enum Event {
    Next(Bytes),
    Error(Bytes),
    Complete,
}

type Events = BoxStream<'static, (Arc<str>, Event)>;
/// Why the loop ends: with a close frame, or without, because nobody is there.
type End = Option<Close>;

/// What may happen, one at a time.
enum Happening {
    Message(Option<Result<Message, axum::Error>>),
    Authenticated(Result<Caller, AuthError>),
    Event(Arc<str>, Event),
    InitLate,
    Ping,
    Revoked,
    Shutdown,
}

/// The state of one connection.
pub(super) struct Socket {
    app: Arc<App>,
    /// The key of the upgrade's `Authorization` header, for clients that can set one.
    key: Option<String>,
    protocol: Protocol,
    caller: Option<Caller>,
    authenticating: Option<BoxFuture<'static, Result<Caller, AuthError>>>,
    events: SelectAll<Events>,
    running: HashMap<Arc<str>, AbortHandle>,
    ping: Interval,
    unanswered: u32,
}

impl Socket {
    pub(super) fn new(app: Arc<App>, key: Option<String>) -> Self {
        let every = Duration::from_secs(app.live.ping_seconds);
        let mut ping = tokio::time::interval_at(Instant::now() + every, every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            protocol: Protocol::new(app.live.max_operations_per_socket),
            app,
            key,
            caller: None,
            authenticating: None,
            events: SelectAll::new(),
            running: HashMap::new(),
            ping,
            unanswered: 0,
        }
    }

    /// Runs until either side ends it.
    pub(super) async fn run(mut self, mut socket: WebSocket) {
        let _open = self.app.metrics.socket("websocket");
        let init = Duration::from_millis(self.app.live.init_timeout_milliseconds);
        let mut late = pin!(tokio::time::sleep(init).fuse());
        let shutdown = self.app.shutdown.clone();
        let end = loop {
            let revoked = self.caller.as_ref().map(|caller| caller.revoked.clone());
            let happening = tokio::select! {
                () = shutdown.cancelled() => Happening::Shutdown,
                () = async { revoked.as_ref()?.cancelled().await; Some(()) }.map(|_| ()), if revoked.is_some() => Happening::Revoked,
                () = &mut late => Happening::InitLate,
                result = async { self.authenticating.as_mut()?.await.into() }, if self.authenticating.is_some() => {
                    match result { Some(result) => Happening::Authenticated(result), None => continue }
                }
                message = socket.recv() => Happening::Message(message),
                Some((id, event)) = self.events.next(), if !self.events.is_empty() => Happening::Event(id, event),
                _ = self.ping.tick() => Happening::Ping,
            };
            if let Err(end) = self.handle(&mut socket, happening).await {
                break end;
            }
        };
        if let Some(close) = end {
            refuse(socket, close).await;
        }
    }

    async fn handle(&mut self, socket: &mut WebSocket, happening: Happening) -> Result<(), End> {
        match happening {
            Happening::Shutdown => Err(Some(Close::new(code::GOING_AWAY, "The server restarts: connect again"))),
            Happening::Revoked => Err(Some(Close::new(code::FORBIDDEN, "The API key was revoked"))),
            Happening::InitLate => self.protocol.init_timeout().map_or(Ok(()), |close| Err(Some(close))),
            Happening::Authenticated(result) => {
                self.authenticating = None;
                match result {
                    Ok(caller) => {
                        self.caller = Some(caller);
                        self.protocol.authenticated();
                        send(socket, message::ack()).await
                    }
                    Err(AuthError::Unavailable) => Err(Some(Close::new(code::INTERNAL, "Try again later"))),
                    Err(error) => Err(Some(Close::new(code::FORBIDDEN, format!("Forbidden: {error}")))),
                }
            }
            Happening::Message(message) => self.message(socket, message).await,
            Happening::Event(id, event) => self.event(socket, &id, event).await,
            Happening::Ping => self.send_ping(socket).await,
        }
    }

    async fn message(
        &mut self,
        socket: &mut WebSocket,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<(), End> {
        self.unanswered = 0;
        let action = match message {
            Some(Ok(Message::Text(text))) => self.protocol.text(&text),
            Some(Ok(Message::Binary(_))) => Protocol::binary(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Action::Nothing,
            Some(Ok(Message::Close(_))) => {
                // Reading on sends the answer to the close frame.
                let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
                return Err(None);
            }
            None => return Err(None),
            Some(Err(error)) => return Err(broken(&error)),
        };
        match action {
            Action::Nothing => Ok(()),
            Action::Close(close) => Err(Some(close)),
            Action::Pong(payload) => send(socket, message::pong(payload.as_deref())).await,
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
            Action::Refuse(id, error) => send_payload(socket, message::error(&id, &error.to_list())).await,
        }
    }

    fn authenticate(&mut self, authorization: Option<String>) {
        let engine = Arc::clone(&self.app.engine);
        // A value without the scheme is not the key: the contract knows one form, the header's.
        let key = match authorization {
            Some(value) => Some(strip_bearer(&value).unwrap_or_default().to_owned()),
            None => self.key.take(),
        };
        self.authenticating = Some(async move { engine.authenticate(key.as_deref()).await }.boxed());
    }

    fn start(&mut self, id: &Arc<str>, params: Params) {
        let events = match self.open(params) {
            Ok(events) => events,
            Err(error) => stream::once(async move { Event::Error(error.to_list()) }).boxed(),
        };
        let (handle, registration) = AbortHandle::new_pair();
        let named = Arc::clone(id);
        let events = events.map(move |event| (Arc::clone(&named), event));
        self.events.push(Abortable::new(events, registration).boxed());
        self.running.insert(Arc::clone(id), handle);
    }

    fn open(&self, params: Params) -> Result<BoxStream<'static, Event>, RequestError> {
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
                        frames.map(|frame| Event::Next(frame.payload)).chain(end).boxed()
                    }
                    Err(error) => stream::once(async move { Event::Error(error.to_list()) }).boxed(),
                }
            };
            return Ok(stream::once(begin).flatten().boxed());
        }
        Ok(once(Arc::clone(&self.app), caller, operation))
    }

    fn cancel(&mut self, id: &str) {
        if let Some(handle) = self.running.remove(id) {
            handle.abort();
        }
    }

    async fn event(&mut self, socket: &mut WebSocket, id: &str, event: Event) -> Result<(), End> {
        match event {
            Event::Next(payload) => {
                self.app.metrics.frame("websocket");
                send_payload(socket, message::next(id, &payload)).await
            }
            Event::Error(errors) => {
                self.forget(id);
                send_payload(socket, message::error(id, &errors)).await
            }
            Event::Complete => {
                self.forget(id);
                send(socket, message::complete(id)).await
            }
        }
    }

    fn forget(&mut self, id: &str) {
        self.protocol.ended(id);
        // The stream may have more to say (an error is followed by nothing), so it is stopped, not only forgotten.
        self.cancel(id);
    }

    async fn send_ping(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        let Some(caller) = self.caller.clone() else { return Ok(()) };
        self.unanswered += 1;
        if self.unanswered > UNANSWERED_PINGS {
            return Err(Some(Close::new(code::GOING_AWAY, "Pings were not answered")));
        }
        match timeout(CURSOR_TIMEOUT, self.app.engine.head_cursor(&caller)).await {
            Ok(cursor) => send(socket, message::ping(&cursor)).await,
            Err(_) => Ok(()),
        }
    }
}

/// A query or a mutation: one answer, then the end.
fn once(app: Arc<App>, caller: Caller, operation: ParsedOperation) -> BoxStream<'static, Event> {
    let answered = async move {
        match execute(&app, &caller, operation).await {
            Ok(Answer::Result(body)) => vec![Event::Next(body), Event::Complete],
            Ok(Answer::Refused(error)) | Err(error) => vec![Event::Error(error.to_list())],
        }
    };
    answered.map(stream::iter).flatten_stream().boxed()
}

/// What a broken frame means. The library's error is of a version that is not ours, so that its words tell which it is; a test
/// sends a frame of each kind.
fn broken(error: &axum::Error) -> End {
    let text = error.to_string();
    if text.contains("without closing handshake") {
        return None;
    }
    let kinds = [
        ("Space limit exceeded", code::TOO_BIG, "The message is too big"),
        ("UTF-8", code::NO_TEXT, "A text message must be UTF-8"),
        ("WebSocket protocol error", code::PROTOCOL, "Not a WebSocket frame as RFC 6455 has it"),
    ];
    let kind = kinds.into_iter().find(|(words, ..)| text.contains(words));
    kind.map(|(_, code, reason)| Close::new(code, reason))
}

async fn send(socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), End> {
    match timeout(SEND_TIMEOUT, socket.send(Message::Text(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(None),
    }
}

async fn send_payload(socket: &mut WebSocket, text: Option<Utf8Bytes>) -> Result<(), End> {
    match text {
        Some(text) => send(socket, text).await,
        None => Err(Some(Close::new(code::INTERNAL, "Internal error"))),
    }
}

/// Sends the close frame and waits a moment for the other side's, so that it is not lost.
pub(super) async fn refuse(mut socket: WebSocket, close: Close) {
    let frame = CloseFrame { code: close.code, reason: close.reason.as_ref().into() };
    let goodbye = async {
        if socket.send(Message::Close(Some(frame))).await.is_err() {
            return;
        }
        while let Some(Ok(message)) = socket.recv().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
        }
        // After a broken frame nothing more can be read. What lies unread would reset the connection when it is dropped, and take
        // the close frame with it: the other side is given time to read that.
        tokio::time::sleep(LINGER).await;
    };
    // Whoever does not answer is left.
    let _ = timeout(GOODBYE, goodbye).await;
}
