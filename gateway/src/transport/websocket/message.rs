//! The messages of `graphql-transport-ws`. They are put around payload bytes that all sockets share.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::outbox::Frame;

/// A message as it comes: the payload is looked at when the type is known.
#[derive(Debug, Deserialize)]
pub(super) struct Incoming<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default, borrow)]
    pub(super) payload: Option<&'a RawValue>,
}

/// `{"type":"connection_ack"}`
pub(super) fn ack() -> Frame {
    whole(r#"{"type":"connection_ack"}"#)
}

/// A pong with the ping's payload.
pub(super) fn pong(payload: Option<&str>) -> Frame {
    match payload {
        None => whole(r#"{"type":"pong"}"#),
        Some(payload) => whole(&format!(r#"{{"type":"pong","payload":{payload}}}"#)),
    }
}

/// A ping, with a cursor that nothing is behind, where there is one.
pub(super) fn ping(cursor: Option<&str>) -> Frame {
    match cursor {
        None => whole(r#"{"type":"ping"}"#),
        Some(cursor) => whole(&serde_json::json!({ "type": "ping", "payload": { "cursor": cursor } }).to_string()),
    }
}

/// The bytes that all answers of an operation begin with.
pub(super) struct Beginning(Box<[u8]>);

impl Beginning {
    pub(super) fn of(id: &str) -> Self {
        Self(before_payload(id, "next").into_bytes().into())
    }

    /// An answer.
    pub(super) fn next(&self, payload: Bytes) -> Frame {
        Frame::text(&self.0, payload, b"}")
    }
}

/// The errors of an operation that was not executed.
pub(super) fn error(id: &str, errors: Bytes) -> Frame {
    Frame::text(before_payload(id, "error").as_bytes(), errors, b"}")
}

/// The end of an operation.
pub(super) fn complete(id: &str) -> Frame {
    whole(&serde_json::json!({ "id": id, "type": "complete" }).to_string())
}

fn whole(text: &str) -> Frame {
    Frame::text(text.as_bytes(), Bytes::new(), b"")
}

fn before_payload(id: &str, kind: &str) -> String {
    let id = serde_json::Value::from(id);
    format!(r#"{{"id":{id},"type":"{kind}","payload":"#)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Beginning, Frame, complete, ping, pong};

    /// The text of a short frame.
    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.to_vec().split_off(2)).unwrap()
    }

    #[test]
    fn messages_are_json_whatever_the_id_holds() {
        let frame = Beginning::of("a\"b\n").next(Bytes::from_static(br#"{"data":null}"#));
        let value: serde_json::Value = serde_json::from_str(&text(&frame)).unwrap();
        assert_eq!(value, serde_json::json!({"id": "a\"b\n", "type": "next", "payload": {"data": null}}));
        assert_eq!(text(&complete("1")), r#"{"id":"1","type":"complete"}"#);
        assert_eq!(text(&pong(Some("{}"))), r#"{"type":"pong","payload":{}}"#);
        assert_eq!(text(&ping(None)), r#"{"type":"ping"}"#);
        assert_eq!(text(&ping(Some("c"))), r#"{"type":"ping","payload":{"cursor":"c"}}"#);
    }
}
