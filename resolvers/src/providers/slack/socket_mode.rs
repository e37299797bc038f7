//! Socket Mode: how Slack is listened to, for those who have no public address.
//!
//! <https://docs.slack.dev/apis/events-api/using-socket-mode>

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use url::Url;

use super::{
    Slack, client, directory,
    names::CHANNEL,
    values::{object, text},
    webhook,
};
use crate::{
    json::read_object,
    provider::{
        NodeRef,
        listening::{Frame, Listening},
    },
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

const DISABLED: &str = "Socket Mode was switched off: switch it on in the app's settings at api.slack.com/apps (Socket Mode), then \
    give the app-level token again as appToken with updateIntegration; or remove it (appToken: null) and use webhooks";

#[async_trait]
impl Listening for Slack {
    async fn open(&self, api: &Connection) -> Result<Url, UpstreamError> {
        let answer = client::post(api, "apps.connections.open").await?;
        let url = text(&answer, "url").and_then(|url| url.parse().ok());
        url.ok_or_else(|| UpstreamError::new(UpstreamErrorKind::Down, "apps.connections.open did not tell an address"))
    }

    async fn containers(&self, api: &Connection) -> Result<Vec<NodeRef>, UpstreamError> {
        let channels = directory::channels(api, "users.conversations", &[("exclude_archived", "true")]).await?;
        let ids = channels.iter().filter_map(|channel| text(channel, "id"));
        Ok(ids.map(|id| NodeRef::new(CHANNEL, id)).collect())
    }

    fn read(&self, text: &str) -> Frame {
        read(text)
    }

    fn instructions(&self) -> &'static str {
        "in the app's settings at api.slack.com/apps, switch Socket Mode on, and make an app-level token (xapp-…) with the \
         scope connections:write under Basic Information"
    }
}

fn read(frame: &str) -> Frame {
    let Some(frame) = read_object(frame.as_bytes()) else { return Frame::Ignored("it is no JSON object") };
    match text(&frame, "type") {
        Some("hello") => Frame::Ready,
        Some("disconnect") => match text(&frame, "reason") {
            Some("link_disabled") => Frame::Disabled(DISABLED),
            Some("too_many_websockets") => Frame::Dropped(
                "the app has as many sockets open as Slack lets it have (10): close those of other programs",
            ),
            // `warning`, `refresh_requested`, and what may be added: the socket will be closed, and another may be opened.
            _ => Frame::Renew,
        },
        kind => envelope(&frame, kind),
    }
}

fn envelope(frame: &Value, kind: Option<&str>) -> Frame {
    let Some(id) = text(frame, "envelope_id") else { return Frame::Ignored("it is of no known kind") };
    let acknowledgement = json!({ "envelope_id": id }).to_string();
    // Commands and interactions are for apps that answer: nobody here does.
    match object(frame, "payload").filter(|_| kind == Some("events_api")) {
        Some(payload) => {
            let document = Bytes::from(payload.to_string());
            Frame::Delivery { acknowledgement, delivery: webhook::delivery(payload, document) }
        }
        None => Frame::Acknowledge(acknowledgement),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;
    use crate::provider::{VerifiedDelivery, listening::Frame};

    #[test]
    fn frames_mean_what_slack_documents() {
        let hello = json!({"type": "hello", "connection_info": {"app_id": "A1"}, "num_connections": 1});
        assert_eq!(read(&hello.to_string()), Frame::Ready);
        let reason =
            |reason: &str| read(&json!({"type": "disconnect", "reason": reason, "debug_info": {}}).to_string());
        assert_eq!(reason("warning"), Frame::Renew);
        assert_eq!(reason("refresh_requested"), Frame::Renew);
        assert_eq!(reason("something_new"), Frame::Renew);
        assert!(matches!(reason("link_disabled"), Frame::Disabled(_)));
        assert!(matches!(reason("too_many_websockets"), Frame::Dropped(_)));
        let command =
            json!({"type": "slash_commands", "envelope_id": "e1", "payload": {}, "accepts_response_payload": true});
        assert_eq!(read(&command.to_string()), Frame::Acknowledge(r#"{"envelope_id":"e1"}"#.into()));
        let bare = json!({"type": "events_api", "envelope_id": "e2"});
        assert_eq!(read(&bare.to_string()), Frame::Acknowledge(r#"{"envelope_id":"e2"}"#.into()));
        for odd in ["", "{", "[]", "null", "7", "{}", r#"{"type":"events_api","payload":{}}"#, r#"{"type":7}"#] {
            assert!(matches!(read(odd), Frame::Ignored(_)), "{odd}");
        }
    }

    #[test]
    fn an_event_is_the_delivery_that_a_webhook_would_have_brought() {
        let payload = json!({
            "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event_time": 1,
            "event": {"type": "message", "subtype": "message_changed", "channel": "C1", "ts": "1.000000"},
        });
        let frame = json!({
            "envelope_id": "e1", "payload": payload, "type": "events_api",
            "accepts_response_payload": false, "retry_attempt": 1, "retry_reason": "timeout",
        });
        let delivery = VerifiedDelivery {
            delivery_id: Some("Ev1".into()),
            event: "message.message_changed".into(),
            subject: Some("C1".into()),
            document: payload.to_string().into(),
        };
        let acknowledgement = r#"{"envelope_id":"e1"}"#.to_owned();
        assert_eq!(read(&frame.to_string()), Frame::Delivery { acknowledgement, delivery });
    }
}
