//! The state machine of `graphql-transport-ws`: messages in, actions out, no I/O.

use std::{collections::HashSet, sync::Arc};

use mullion_resolvers::trace_context::TraceContext;
use mullion_schema::error::ErrorCode;
use serde::Deserialize;

use super::{
    close::{Close, code},
    message::Incoming,
};
use crate::operation::{errors::RequestError, params::Params};

/// The longest id of an operation, in bytes: it is held as long as the operation runs, and is in each of its messages. Clients
/// use numbers and UUIDs.
const LONGEST_ID: usize = 256;

/// The next action of the socket.
#[derive(Debug)]
pub(super) enum Action {
    /// Nothing.
    Nothing,
    /// Find out who holds this credential (`None`: none was sent), then acknowledge; and the client's trace, where it names one.
    Authenticate(Option<String>, Option<TraceContext>),
    /// Run an operation.
    Start(Arc<str>, Params),
    /// Tell that an operation was not run; it is not among the running ones.
    Refuse(Arc<str>, RequestError),
    /// Stop an operation.
    Cancel(String),
    /// Answer a ping with its payload.
    Pong(Option<String>),
    /// End the connection.
    Close(Close),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Authenticating,
    Ready,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Protocol {
    phase: Phase,
    running: HashSet<Arc<str>>,
    max_operations: usize,
}

#[derive(Deserialize)]
struct InitPayload {
    #[serde(default, alias = "Authorization")]
    authorization: Option<String>,
    /// As W3C Trace Context has it; anything else is no reason to refuse the client.
    #[serde(default)]
    traceparent: Option<serde_json::Value>,
}

impl InitPayload {
    fn trace(&self) -> Option<TraceContext> {
        TraceContext::parse(self.traceparent.as_ref()?.as_str()?)
    }
}

impl Protocol {
    pub(super) fn new(max_operations: usize) -> Self {
        Self { phase: Phase::Waiting, running: HashSet::new(), max_operations }
    }

    /// A text message.
    pub(super) fn text(&mut self, text: &str) -> Action {
        let Ok(message) = serde_json::from_str::<Incoming<'_>>(text) else {
            return Action::Close(Close::invalid("Invalid message received"));
        };
        match message.kind.as_str() {
            "connection_init" => self.init(&message),
            "subscribe" => self.subscribe(message),
            "complete" => match message.id {
                Some(id) if !id.is_empty() => {
                    self.running.remove(id.as_str());
                    Action::Cancel(id)
                }
                _ => Action::Close(Close::invalid("A complete message needs an id")),
            },
            "ping" => match object(&message) {
                Ok(payload) => Action::Pong(payload.map(str::to_owned)),
                Err(close) => Action::Close(close),
            },
            "pong" => object(&message).map_or_else(Action::Close, |_| Action::Nothing),
            _ => Action::Close(Close::invalid("Unexpected message type")),
        }
    }

    /// A binary message: the protocol has none.
    pub(super) fn binary() -> Action {
        Action::Close(Close::invalid("Binary messages are not part of the protocol"))
    }

    /// The time for `connection_init` is over.
    pub(super) fn init_timeout(&self) -> Option<Close> {
        let late = self.phase == Phase::Waiting;
        late.then(|| Close::new(code::INIT_TIMEOUT, "Connection initialisation timeout"))
    }

    /// The caller was let in.
    pub(super) fn authenticated(&mut self) {
        self.phase = Phase::Ready;
    }

    /// An operation ended by itself. `false`: the client had stopped it.
    pub(super) fn ended(&mut self, id: &str) -> bool {
        self.running.remove(id)
    }

    fn init(&mut self, message: &Incoming<'_>) -> Action {
        if self.phase != Phase::Waiting {
            return Action::Close(Close::new(code::TOO_MANY, "Too many initialisation requests"));
        }
        let payload = match object(message) {
            Ok(payload) => payload,
            Err(close) => return Action::Close(close),
        };
        let (authorization, trace) = match payload.map(serde_json::from_str::<InitPayload>) {
            None => (None, None),
            Some(Ok(payload)) => {
                let trace = payload.trace();
                (payload.authorization, trace)
            }
            Some(Err(_)) => return Action::Close(Close::invalid("payload.authorization must be a string")),
        };
        self.phase = Phase::Authenticating;
        Action::Authenticate(authorization, trace)
    }

    fn subscribe(&mut self, message: Incoming<'_>) -> Action {
        if self.phase != Phase::Ready {
            return Action::Close(Close::new(code::UNAUTHORIZED, "Unauthorized"));
        }
        let Some(id) = message.id.filter(|id| !id.is_empty()) else {
            return Action::Close(Close::invalid("A subscribe message needs an id"));
        };
        if id.len() > LONGEST_ID {
            return Action::Close(Close::invalid(format!("The id of an operation takes at most {LONGEST_ID} bytes")));
        }
        let Some(payload) = message.payload else {
            return Action::Close(Close::invalid("A subscribe message needs a payload"));
        };
        let params = match Params::from_json(payload.get().as_bytes()) {
            Ok(params) if params.query.is_some() || params.names_persisted() => params,
            Ok(_) => return Action::Close(Close::invalid("payload.query is missing")),
            Err(error) => {
                let reason = error.errors.into_iter().next().map_or_else(String::new, |entry| entry.message);
                return Action::Close(Close::invalid(format!("Invalid payload: {reason}")));
            }
        };
        if self.running.contains(id.as_str()) {
            return Action::Close(Close::new(code::DUPLICATE, format!("Subscriber for {id} already exists")));
        }
        let id: Arc<str> = id.into();
        if self.running.len() >= self.max_operations {
            let message = format!("this connection runs {} operations already", self.max_operations);
            return Action::Refuse(id, RequestError::new(ErrorCode::RateLimited, message));
        }
        self.running.insert(Arc::clone(&id));
        Action::Start(id, params)
    }
}

/// The payload, which is an object or absent.
fn object<'a>(message: &Incoming<'a>) -> Result<Option<&'a str>, Close> {
    match message.payload.map(|payload| payload.get().trim()) {
        None | Some("null") => Ok(None),
        Some(text) if text.starts_with('{') => Ok(Some(text)),
        Some(_) => Err(Close::invalid("A payload must be an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Protocol};

    /// An action in words.
    fn word(action: &Action) -> String {
        match action {
            Action::Nothing => "nothing".to_owned(),
            Action::Authenticate(key, trace) => {
                let trace = trace.map(|trace| format!(" in {trace}")).unwrap_or_default();
                format!("authenticate {}{trace}", key.as_deref().unwrap_or("-"))
            }
            Action::Start(id, _) => format!("start {id}"),
            Action::Refuse(id, error) => format!("refuse {id} {}", error.code),
            Action::Cancel(id) => format!("cancel {id}"),
            Action::Pong(payload) => format!("pong {}", payload.as_deref().unwrap_or("-")),
            Action::Close(close) => format!("close {}", close.code),
        }
    }

    fn check(messages: &[(&str, &str)]) {
        let mut protocol = Protocol::new(2);
        for (message, expected) in messages {
            let word = match *message {
                "(authenticated)" => {
                    protocol.authenticated();
                    continue;
                }
                "(binary)" => word(&Protocol::binary()),
                "(late)" => {
                    protocol.init_timeout().map_or("nothing".to_owned(), |close| format!("close {}", close.code))
                }
                text => word(&protocol.text(text)),
            };
            assert_eq!(word, *expected, "{message}");
        }
    }

    const INIT: (&str, &str) = (r#"{"type":"connection_init"}"#, "authenticate -");
    const READY: (&str, &str) = ("(authenticated)", "");

    #[test]
    fn a_connection_starts_with_init() {
        check(&[INIT, READY, (r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#, "start 1")]);
        check(&[(r#"{"type":"connection_init","payload":{"authorization":"Bearer k"}}"#, "authenticate Bearer k")]);
        check(&[(r#"{"type":"connection_init","payload":null}"#, "authenticate -")]);
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let init = format!(r#"{{"type":"connection_init","payload":{{"traceparent":"{trace}"}}}}"#);
        check(&[(&*init, &*format!("authenticate - in {trace}"))]);
        check(&[(r#"{"type":"connection_init","payload":{"traceparent":["?"]}}"#, "authenticate -")]);
        check(&[(r#"{"type":"connection_init","payload":"k"}"#, "close 4400")]);
        check(&[(r#"{"type":"connection_init","payload":{"authorization":1}}"#, "close 4400")]);
        check(&[(r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#, "close 4401")]);
        check(&[INIT, (r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#, "close 4401")]);
        check(&[INIT, (r#"{"type":"connection_init"}"#, "close 4429")]);
        check(&[INIT, READY, (r#"{"type":"connection_init"}"#, "close 4429")]);
        check(&[("(late)", "close 4408")]);
        check(&[INIT, ("(late)", "nothing")]);
    }

    #[test]
    fn pings_are_answered_at_any_time() {
        check(&[(r#"{"type":"ping"}"#, "pong -"), (r#"{"type":"ping","payload":{"a":1}}"#, r#"pong {"a":1}"#)]);
        check(&[(r#"{"type":"pong"}"#, "nothing"), (r#"{"type":"pong","payload":{}}"#, "nothing")]);
        check(&[(r#"{"type":"ping","payload":1}"#, "close 4400")]);
        check(&[(r#"{"type":"pong","payload":[]}"#, "close 4400")]);
    }

    #[test]
    fn invalid_messages_close_with_4400() {
        for text in [
            "",
            "{",
            "[]",
            "null",
            r#""connection_init""#,
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"start"}"#,
            r#"{"type":"next","id":"1","payload":{}}"#,
            r#"{"type":"connection_ack"}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"complete","id":1}"#,
            "(binary)",
        ] {
            check(&[INIT, READY, (text, "close 4400")]);
        }
        for text in [
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","id":""}"#,
            r#"{"type":"subscribe","id":1,"payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":"x"}}"#,
        ] {
            check(&[INIT, READY, (text, "close 4400")]);
        }
    }

    #[test]
    fn ids_are_unique_while_they_run_and_bounded() {
        let start = |id: &str| format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":"{{a}}"}}}}"#);
        let (one, two, three) = (start("1"), start("2"), start("3"));
        check(&[INIT, READY, (&one, "start 1"), (&one, "close 4409")]);
        let stop = r#"{"type":"complete","id":"1"}"#;
        check(&[INIT, READY, (&one, "start 1"), (stop, "cancel 1"), (&one, "start 1")]);
        check(&[INIT, READY, (&one, "start 1"), (&two, "start 2"), (&three, "refuse 3 RATE_LIMITED")]);
        let mut protocol = Protocol::new(1);
        protocol.text(INIT.0);
        protocol.authenticated();
        protocol.text(&one);
        assert!(protocol.ended("1"));
        assert!(!protocol.ended("1"));
        assert_eq!(word(&protocol.text(&one)), "start 1");
    }

    #[test]
    fn an_id_is_not_longer_than_clients_make_them() {
        let subscribe =
            |length| format!(r#"{{"type":"subscribe","id":"{}","payload":{{"query":"{{a}}"}}}}"#, "i".repeat(length));
        for (length, expected) in [(256, format!("start {}", "i".repeat(256))), (257, "close 4400".to_owned())] {
            check(&[INIT, READY, (&subscribe(length), &expected)]);
        }
    }
}
