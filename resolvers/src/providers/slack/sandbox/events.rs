//! The Events API: wraps what happened, signs it as Slack does, and leaves it in the outbox for every subscription.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    identity::{APP_ID, BOT_USER, TEAM_ID},
    model::{Subscription, Ts, World},
    render::event_id,
};
use crate::sandbox::{OutgoingWebhook, fields};

/// Slack's deprecated verification token, sent along to this day.
const VERIFICATION_TOKEN: &str = "ZZZZZZWSxiZZZ2yIvs3peJ";

impl World {
    /// Tells an event over one of the app's sockets, or else to all subscriptions. `event` is without its `event_ts`, which is `at`.
    pub(super) fn emit(&mut self, now: DateTime<Utc>, at: Ts, mut event: Value) {
        fields::set(&mut event, "event_ts", at.to_string());
        self.last_event += 1;
        let id = event_id(self.last_event, Ts::at(now));
        let envelope = json!({
            "token": VERIFICATION_TOKEN,
            "team_id": TEAM_ID,
            "context_team_id": TEAM_ID,
            "context_enterprise_id": null,
            "api_app_id": APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": id,
            "event_time": now.timestamp(),
            "authorizations": [{
                "enterprise_id": null,
                "team_id": TEAM_ID,
                "user_id": BOT_USER,
                "is_bot": true,
                "is_enterprise_install": false,
            }],
            "is_ext_shared_channel": false,
            "event_context": format!("4-{id}"),
        });
        if !self.sockets.offer(now, &envelope, !self.subscriptions.is_empty()) {
            self.send_to_all(now, &envelope);
        }
    }

    /// The handshake of Slack's settings page: the target must answer with the challenge.
    pub(super) fn emit_url_verification(&mut self, now: DateTime<Utc>, challenge: &str) {
        let body = json!({ "token": VERIFICATION_TOKEN, "challenge": challenge, "type": "url_verification" });
        self.send(now, &body, Some(challenge));
    }

    fn send_to_all(&mut self, now: DateTime<Utc>, body: &Value) {
        self.send(now, body, None);
    }

    fn send(&mut self, now: DateTime<Utc>, body: &Value, challenge: Option<&str>) {
        let body = Bytes::from(body.to_string());
        let challenge = challenge.map(str::to_owned);
        let sign = |subscription: &Subscription| OutgoingWebhook {
            challenge: challenge.clone(),
            ..webhook(subscription, now, &body)
        };
        let webhooks: Vec<OutgoingWebhook> = self.subscriptions.iter().map(sign).collect();
        self.outbox.extend(webhooks);
    }
}

fn webhook(subscription: &Subscription, now: DateTime<Utc>, body: &Bytes) -> OutgoingWebhook {
    let timestamp = now.timestamp();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static("Slackbot 1.0 (+https://api.slack.com/robots)"));
    headers.insert(HeaderName::from_static("x-slack-request-timestamp"), HeaderValue::from(timestamp));
    if let Ok(signature) = HeaderValue::try_from(signature(&subscription.secret, timestamp, body)) {
        headers.insert(HeaderName::from_static("x-slack-signature"), signature);
    }
    OutgoingWebhook { url: subscription.url.clone(), headers, body: body.clone(), challenge: None }
}

/// `v0=` and the HMAC of `v0:{timestamp}:{body}`.
/// <https://docs.slack.dev/authentication/verifying-requests-from-slack>
fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_that_slack_makes() {
        let documented = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
            &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
            &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
            &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let table = [
            (
                "test-secret",
                1_700_000_000,
                r#"{"id":1,"t":"héllo"}"#,
                "v0=4b20157dd51fa41a6d016e5fc316a565c3be1c0b1d43442ef088a49f0d8bd048",
            ),
            (
                "8f742231b10e8888abcd99yyyzzz85a5",
                1_531_420_618,
                documented,
                "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            ),
        ];
        for (secret, timestamp, body, expected) in table {
            assert_eq!(signature(secret, timestamp, body.as_bytes()), expected);
        }
    }
}
