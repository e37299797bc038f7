//! Socket Mode: apps that opened sockets get the workspace's events there. <https://docs.slack.dev/apis/events-api/using-socket-mode>
//!
//! Up to 10 sockets; each event goes to one of them, and again, to whichever, when it is not acknowledged. Sockets are no part of the
//! world: after a restart there are none.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Duration, Utc};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::identity::APP_ID;
use crate::sandbox::fields;
use crate::sandbox::socket::{Conversation, Converses};

/// As many as Slack lets an app have.
const MOST: usize = 10;
/// A ticket opens one socket, soon.
const TICKET_LIVES: Duration = Duration::seconds(30);
/// How long a socket lives, and one that was opened with `debug_reconnects=true`.
const SOCKET_LIVES: Duration = Duration::seconds(18_060);
const DEBUGGED_LIVES: Duration = Duration::seconds(360);
/// The time that an app is given from the first word that a socket will be closed.
const WARNING: Duration = Duration::seconds(10);
/// An event that is not acknowledged within this is sent again,
const ANSWER_WITHIN: Duration = Duration::seconds(3);
/// so often.
const RETRIES: u32 = 3;

/// All sockets of the app.
#[derive(Debug, Default)]
pub(super) struct Sockets(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tickets: BTreeMap<String, DateTime<Utc>>,
    open: Vec<Open>,
    /// Events that are not acknowledged, oldest first.
    waiting: VecDeque<Envelope>,
    /// Numbers tickets, sockets and envelopes.
    last: u64,
    /// Acknowledgements that are to be lost.
    lost: u64,
    /// Whether there ever was a socket: then events wait for the next one.
    used: bool,
}

#[derive(Debug)]
struct Open {
    number: u64,
    texts: mpsc::UnboundedSender<String>,
    ends_at: DateTime<Utc>,
    warned: bool,
}

#[derive(Debug)]
struct Envelope {
    id: String,
    payload: Value,
    attempt: u32,
    timeouts: u32,
    /// Over which socket, and when.
    sent: Option<(u64, DateTime<Utc>)>,
}

/// One socket's end here.
struct Socket {
    number: u64,
    all: Arc<Sockets>,
}

impl Sockets {
    /// A ticket for a socket.
    pub(super) fn ticket(&self, now: DateTime<Utc>) -> String {
        let mut state = self.0.lock();
        let ticket = format!("{:08x}-{:016x}", state.number(), now.timestamp_micros());
        state.tickets.retain(|_, until| *until > now);
        state.tickets.insert(ticket.clone(), now + TICKET_LIVES);
        ticket
    }

    /// Opens a socket; `None`: the ticket is none, was used, or is too old.
    pub(super) fn open(self: &Arc<Self>, now: DateTime<Utc>, ticket: &str, debugged: bool) -> Option<Conversation> {
        let mut state = self.0.lock();
        state.tickets.remove(ticket).filter(|until| *until > now)?;
        let number = state.number();
        let (sender, texts) = mpsc::unbounded_channel();
        let socket = Socket { number, all: Arc::clone(self) };
        if state.open.len() < MOST {
            let lives = if debugged { DEBUGGED_LIVES } else { SOCKET_LIVES };
            let connections = state.open.len() + 1;
            say(&sender, &hello(connections, lives));
            state.open.push(Open { number, texts: sender, ends_at: now + lives, warned: false });
            state.used = true;
            state.send_waiting(now);
        } else {
            say(&sender, &disconnect("too_many_websockets"));
        }
        Some(Conversation { texts, stand_in: Arc::new(socket) })
    }

    /// Sends an event over one of the sockets; `false`: the app has none, so it is for `subscribed` to get it over HTTP. An app that
    /// has no address gets it over its next socket.
    pub(super) fn offer(&self, now: DateTime<Utc>, payload: &Value, subscribed: bool) -> bool {
        let mut state = self.0.lock();
        if state.open.is_empty() && (subscribed || !state.used) {
            return false;
        }
        let id = state.envelope_id(now);
        state.waiting.push_back(Envelope { id, payload: payload.clone(), attempt: 0, timeouts: 0, sent: None });
        state.send_waiting(now);
        true
    }

    /// Tells all sockets that they will be closed; how many there were.
    pub(super) fn disconnect(&self, now: DateTime<Utc>, reason: &str) -> usize {
        let mut state = self.0.lock();
        let count = state.open.len();
        for open in &mut state.open {
            say(&open.texts, &disconnect(reason));
            open.warned = true;
            open.ends_at = open.ends_at.min(now + WARNING);
        }
        if reason == "link_disabled" {
            state.open.clear();
        }
        count
    }

    /// Cuts all sockets without a word; how many there were.
    pub(super) fn cut(&self) -> usize {
        std::mem::take(&mut self.0.lock().open).len()
    }

    /// The next acknowledgements are lost on their way. Without a socket, as after a restart, there are none to lose.
    pub(super) fn lose(&self, acknowledgements: u64) {
        let mut state = self.0.lock();
        if !state.open.is_empty() {
            state.lost += acknowledgements;
        }
    }

    /// For `GET /_sandbox/slack/recorded`.
    pub(super) fn describe(&self) -> Value {
        let state = self.0.lock();
        json!({ "sockets": state.open.len(), "unacknowledged": state.waiting.len() })
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn envelope_id(&mut self, now: DateTime<Utc>) -> String {
        let (number, time) = (self.number(), now.timestamp_micros());
        format!("{:08x}-{:04x}-4000-8000-{time:012x}", number & 0xffff_ffff, number >> 32)
    }

    /// Sends what was not sent, or over a socket that is gone, or long ago.
    fn send_waiting(&mut self, now: DateTime<Utc>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain_mut(|envelope| self.send(now, envelope));
        self.waiting = waiting;
    }

    /// Sends one if it is time; whether it is to be kept.
    fn send(&mut self, now: DateTime<Utc>, envelope: &mut Envelope) -> bool {
        if let Some((number, at)) = envelope.sent {
            if self.open.iter().any(|open| open.number == number) {
                if now - at < ANSWER_WITHIN {
                    return true;
                }
                envelope.timeouts += 1;
            }
            if envelope.timeouts > RETRIES {
                return false;
            }
            envelope.sent = None;
            envelope.attempt += 1;
            envelope.id = self.envelope_id(now);
        }
        // One after the other; to those that will be closed only when there is no other.
        let turn = usize::try_from(self.last).unwrap_or(0);
        let fresh: Vec<&Open> = self.open.iter().filter(|open| !open.warned).collect();
        let all: Vec<&Open> = if fresh.is_empty() { self.open.iter().collect() } else { fresh };
        if let Some(open) = all.get(turn % all.len().max(1)) {
            say(&open.texts, &envelope.text());
            envelope.sent = Some((open.number, now));
        }
        true
    }

    fn hear(&mut self, text: &str) {
        let Ok(said) = serde_json::from_str::<Value>(text) else { return };
        let Some(id) = said.get("envelope_id").and_then(Value::as_str) else { return };
        if self.lost > 0 {
            self.lost -= 1;
            return;
        }
        self.waiting.retain(|envelope| envelope.id != id);
    }

    fn tick(&mut self, now: DateTime<Utc>) {
        self.open.retain_mut(|open| {
            if now + WARNING >= open.ends_at && !open.warned {
                open.warned = true;
                say(&open.texts, &disconnect("warning"));
            }
            if now >= open.ends_at {
                say(&open.texts, &disconnect("refresh_requested"));
            }
            now < open.ends_at
        });
        self.send_waiting(now);
    }
}

impl Envelope {
    fn text(&self) -> Value {
        json!({
            "envelope_id": self.id,
            "payload": self.payload,
            "type": "events_api",
            "accepts_response_payload": false,
            "retry_attempt": self.attempt,
            "retry_reason": if self.attempt == 0 { "" } else { "timeout" },
        })
    }
}

impl Converses for Socket {
    fn hear(&self, _now: DateTime<Utc>, text: &str) {
        self.all.0.lock().hear(text);
    }

    fn tick(&self, now: DateTime<Utc>) {
        self.all.0.lock().tick(now);
    }

    fn closed(&self, now: DateTime<Utc>) {
        let mut state = self.all.0.lock();
        state.open.retain(|open| open.number != self.number);
        state.send_waiting(now);
    }
}

fn say(texts: &mpsc::UnboundedSender<String>, text: &Value) {
    // An app that closed the socket is told nothing more.
    let _ = texts.send(text.to_string());
}

fn debug_info() -> Value {
    json!({ "host": "applink-sandbox" })
}

fn hello(connections: usize, lives: Duration) -> Value {
    let mut info = debug_info();
    fields::extend(&mut info, json!({ "build_number": 1, "approximate_connection_time": lives.num_seconds() }));
    json!({
        "type": "hello",
        "num_connections": connections,
        "debug_info": info,
        "connection_info": { "app_id": APP_ID },
    })
}

fn disconnect(reason: &str) -> Value {
    json!({ "type": "disconnect", "reason": reason, "debug_info": debug_info() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + milliseconds).unwrap()
    }

    fn opened(sockets: &Arc<Sockets>, now: DateTime<Utc>) -> Conversation {
        let ticket = sockets.ticket(now);
        sockets.open(now, &ticket, false).unwrap()
    }

    fn said(conversation: &mut Conversation) -> Vec<Value> {
        let mut texts = Vec::new();
        while let Ok(text) = conversation.texts.try_recv() {
            texts.push(serde_json::from_str(&text).unwrap());
        }
        texts
    }

    fn kinds(conversation: &mut Conversation) -> Vec<String> {
        let word = |text: &Value| text["reason"].as_str().or(text["type"].as_str()).unwrap().to_owned();
        said(conversation).iter().map(word).collect()
    }

    #[test]
    fn a_ticket_opens_one_socket_soon_and_ten_are_the_most() {
        let sockets = Arc::new(Sockets::default());
        let ticket = sockets.ticket(at(0));
        assert!(sockets.open(at(30_000), &ticket, false).is_none(), "too late");
        let ticket = sockets.ticket(at(0));
        let mut open = vec![sockets.open(at(29_999), &ticket, false).unwrap()];
        assert!(sockets.open(at(29_999), &ticket, false).is_none(), "used");
        open.extend((1..10).map(|_| opened(&sockets, at(0))));
        let mut over = opened(&sockets, at(0));
        assert_eq!(kinds(&mut over), ["too_many_websockets"]);
        assert!(over.texts.is_closed(), "and it is closed");
        open.remove(0).stand_in.closed(at(0));
        assert_eq!(kinds(&mut opened(&sockets, at(0))), ["hello"]);
    }

    #[test]
    fn an_event_goes_to_one_socket_and_again_until_it_is_acknowledged() {
        let sockets = Arc::new(Sockets::default());
        let event = json!({ "event_id": "Ev1" });
        assert!(!sockets.offer(at(0), &event, false), "there are no sockets");
        let (mut one, mut other) = (opened(&sockets, at(0)), opened(&sockets, at(0)));
        assert!(sockets.offer(at(0), &event, true));
        let events = |one: &mut Conversation, other: &mut Conversation| {
            let all = said(one).into_iter().chain(said(other));
            all.filter(|text| text["type"] == "events_api").collect::<Vec<_>>()
        };
        let first = events(&mut one, &mut other);
        assert_eq!(first.len(), 1);
        assert_eq!((&first[0]["payload"], &first[0]["retry_attempt"]), (&event, &json!(0)));
        one.stand_in.tick(at(2_999));
        assert!(events(&mut one, &mut other).is_empty());
        one.stand_in.tick(at(3_000));
        let again = events(&mut one, &mut other);
        assert_eq!(
            (again.len(), &again[0]["retry_attempt"], &again[0]["retry_reason"]),
            (1, &json!(1), &json!("timeout"))
        );
        let acknowledge =
            |text: &Value| one.stand_in.hear(at(3_000), &json!({ "envelope_id": text["envelope_id"] }).to_string());
        acknowledge(&first[0]);
        assert_eq!(sockets.describe()["unacknowledged"], 1, "that envelope was given up");
        acknowledge(&again[0]);
        assert_eq!(sockets.describe()["unacknowledged"], 0);
    }

    #[test]
    fn what_a_closed_socket_left_goes_over_the_next_one() {
        let sockets = Arc::new(Sockets::default());
        let one = opened(&sockets, at(0));
        sockets.offer(at(0), &json!({ "event_id": "Ev1" }), false);
        one.stand_in.closed(at(10));
        assert!(sockets.offer(at(20), &json!({ "event_id": "Ev2" }), false), "it waits");
        assert!(!sockets.offer(at(20), &json!({ "event_id": "Ev3" }), true), "there is an address for it");
        let mut other = opened(&sockets, at(30));
        let ids: Vec<Value> = said(&mut other).iter().map(|text| text["payload"]["event_id"].clone()).collect();
        assert_eq!(ids, [Value::Null, json!("Ev1"), json!("Ev2")]);
    }

    #[test]
    fn sockets_end_with_a_warning_and_on_demand() {
        let sockets = Arc::new(Sockets::default());
        let ticket = sockets.ticket(at(0));
        let mut debugged = sockets.open(at(0), &ticket, true).unwrap();
        debugged.stand_in.tick(at(349_999));
        assert_eq!(kinds(&mut debugged), ["hello"]);
        debugged.stand_in.tick(at(350_000));
        assert_eq!(kinds(&mut debugged), ["warning"]);
        debugged.stand_in.tick(at(360_000));
        assert_eq!(kinds(&mut debugged), ["refresh_requested"]);
        assert!(debugged.texts.is_closed());
        let mut one = opened(&sockets, at(0));
        assert_eq!(sockets.disconnect(at(0), "refresh_requested"), 1);
        assert_eq!(kinds(&mut one), ["hello", "refresh_requested"]);
        let mut other = opened(&sockets, at(1));
        for number in 0..3 {
            sockets.offer(at(2), &json!({ "event_id": number }), false);
        }
        assert_eq!((said(&mut one).len(), said(&mut other).len()), (0, 4), "the fresh one is preferred");
        assert_eq!(sockets.disconnect(at(3), "link_disabled"), 2);
        assert!(one.texts.is_closed() && other.texts.is_closed());
    }
}
