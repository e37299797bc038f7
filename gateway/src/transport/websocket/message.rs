//! The messages of `graphql-transport-ws`. What leaves is put together around payload bytes that all sockets share.

use axum::extract::ws::Utf8Bytes;
use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

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
pub(super) fn ack() -> Utf8Bytes {
    Utf8Bytes::from_static(r#"{"type":"connection_ack"}"#)
}

/// A pong with the ping's payload.
pub(super) fn pong(payload: Option<&str>) -> Utf8Bytes {
    payload.map_or_else(
        || Utf8Bytes::from_static(r#"{"type":"pong"}"#),
        |payload| format!(r#"{{"type":"pong","payload":{payload}}}"#).into(),
    )
}

/// A ping that carries the current cursor.
pub(super) fn ping(cursor: &str) -> Utf8Bytes {
    serde_json::json!({ "type": "ping", "payload": { "cursor": cursor } }).to_string().into()
}

/// An answer.
pub(super) fn next(id: &str, payload: &Bytes) -> Option<Utf8Bytes> {
    with_payload(id, "next", payload)
}

/// The errors of an operation that was not executed.
pub(super) fn error(id: &str, errors: &Bytes) -> Option<Utf8Bytes> {
    with_payload(id, "error", errors)
}

/// The end of an operation.
pub(super) fn complete(id: &str) -> Utf8Bytes {
    serde_json::json!({ "id": id, "type": "complete" }).to_string().into()
}

/// `None` when the payload is not text, which a serialized answer always is.
fn with_payload(id: &str, kind: &str, payload: &Bytes) -> Option<Utf8Bytes> {
    let id = serde_json::to_string(id).ok()?;
    let mut frame = BytesMut::with_capacity(id.len() + payload.len() + 40);
    frame.put_slice(br#"{"id":"#);
    frame.put_slice(id.as_bytes());
    frame.put_slice(br#","type":""#);
    frame.put_slice(kind.as_bytes());
    frame.put_slice(br#"","payload":"#);
    frame.put_slice(payload);
    frame.put_u8(b'}');
    Utf8Bytes::try_from(frame.freeze()).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{complete, next, ping, pong};

    #[test]
    fn messages_are_json_whatever_the_id_holds() {
        let frame = next("a\"b\n", &Bytes::from_static(br#"{"data":null}"#)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&frame).unwrap();
        assert_eq!(value, serde_json::json!({"id": "a\"b\n", "type": "next", "payload": {"data": null}}));
        assert_eq!(complete("1").as_str(), r#"{"id":"1","type":"complete"}"#);
        assert_eq!(pong(Some("{}")).as_str(), r#"{"type":"pong","payload":{}}"#);
        assert_eq!(ping("c").as_str(), r#"{"type":"ping","payload":{"cursor":"c"}}"#);
    }
}
