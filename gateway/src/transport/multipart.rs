//! Multipart subscriptions over HTTP, as Apollo Client's `HttpLink` asks for them: one response whose parts are the answers.
//!
//! The protocol is Apollo Router's (subscriptionSpec 1.0). Each part is followed by the next boundary at once: a client sees a part
//! only when it knows where it ends.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, future, stream};
use http::{HeaderValue, header};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    admission::{self, Place},
    engine::{Caller, LiveItem, ParsedOperation},
    error::RequestError,
};
use crate::http::{
    App,
    graphql::{Answers, subscribe},
    negotiate::Media,
};

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static(r#"multipart/mixed;boundary="graphql";subscriptionSpec=1.0"#);
const BEGINNING: Bytes = Bytes::from_static(b"\r\n--graphql");
const HEAD: &[u8] = b"\r\ncontent-type: application/json\r\n\r\n";
const BOUNDARY: &[u8] = b"\r\n--graphql";
const CLOSING: &[u8] = b"--\r\n";

/// Answers a subscription in parts.
pub async fn answer(app: Arc<App>, caller: Caller, operation: ParsedOperation, media: Media) -> Response {
    let Some(mut place) = app.admission.enter("multipart") else { return admission::full(&operation.request_id) };
    if !place.belongs_to(&caller.tenant) {
        return admission::full(&operation.request_id);
    }
    let frames = match subscribe(&app, &caller, operation).await {
        Ok(frames) => frames,
        Err(error) => return media.refused(&error),
    };
    let every = Duration::from_secs(app.live.event_stream_keep_alive_seconds);
    let mut heartbeat = tokio::time::interval_at(Instant::now() + every, every);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let parts = Parts { frames: Some(frames), heartbeat, caller, _token: app.tracker.token(), _place: place, app };
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        // For proxies that collect answers before they pass them on.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let first = stream::once(async { Ok::<_, std::convert::Infallible>(BEGINNING) });
    let rest = stream::unfold(parts, |mut parts| async move { Some((Ok(parts.next().await?), parts)) });
    (headers, Body::from_stream(first.chain(rest))).into_response()
}

struct Parts {
    app: Arc<App>,
    caller: Caller,
    /// `None` after the last one.
    frames: Option<Answers>,
    heartbeat: Interval,
    _token: TaskTrackerToken,
    _place: Place,
}

impl Parts {
    /// The next bytes: parts with the boundary behind them, the last one closed.
    async fn next(&mut self) -> Option<Bytes> {
        // Marks are for keep-alives that carry a cursor; these carry nothing.
        let mut items = self.frames.as_mut()?.filter(|item| future::ready(!matches!(item, LiveItem::Mark(_))));
        tokio::select! {
            () = self.app.shutdown.cancelled() => {
                self.frames = None;
                let wait = self.app.admission.retry_after_milliseconds();
                Some(fatal("the server restarts: subscribe again", "SERVER_RESTARTS", Some(wait)))
            }
            () = self.caller.revoked.cancelled() => {
                self.frames = None;
                Some(fatal("the API key was revoked", "UNAUTHENTICATED", None))
            }
            item = items.next() => match item {
                Some(LiveItem::Frame(frame)) => {
                    self.app.metrics.frames("multipart").inc();
                    Some(part(&[br#"{"payload":"#, &frame.payload, b"}"], BOUNDARY))
                }
                Some(LiveItem::Interrupted(error)) => {
                    self.frames = None;
                    Some(last(&error))
                }
                Some(LiveItem::Mark(_)) | None => {
                    self.frames = None;
                    Some(Bytes::from_static(CLOSING))
                }
            },
            _ = self.heartbeat.tick() => Some(part(&[b"{}"], BOUNDARY)),
        }
    }
}

fn part(body: &[&[u8]], boundary: &[u8]) -> Bytes {
    let length: usize = body.iter().map(|piece| piece.len()).sum();
    let mut part = BytesMut::with_capacity(HEAD.len() + length + boundary.len());
    part.put_slice(HEAD);
    for piece in body {
        part.put_slice(piece);
    }
    part.put_slice(boundary);
    part.freeze()
}

/// Errors that end the subscription, and the end.
fn last(error: &RequestError) -> Bytes {
    part(&[br#"{"payload":null,"errors":"#, &error.to_list(), b"}"], &[BOUNDARY, CLOSING].concat())
}

/// The same for an error that is not of the operation.
fn fatal(message: &str, code: &str, retry_after: Option<u64>) -> Bytes {
    let mut extensions = serde_json::json!({ "code": code });
    if let (Some(wait), Some(map)) = (retry_after, extensions.as_object_mut()) {
        map.insert("retryAfterMs".to_owned(), wait.into());
    }
    let body = serde_json::json!({ "payload": null, "errors": [{ "message": message, "extensions": extensions }] });
    part(&[body.to_string().as_bytes()], &[BOUNDARY, CLOSING].concat())
}

#[cfg(test)]
mod tests {
    use super::{fatal, part};

    #[test]
    fn each_part_ends_with_the_next_boundary() {
        let expected = b"\r\ncontent-type: application/json\r\n\r\n{\"payload\":{\"data\":1}}\r\n--graphql";
        assert_eq!(&part(&[br#"{"payload":"#, br#"{"data":1}"#, b"}"], super::BOUNDARY)[..], expected);
        let last = fatal("gone", "X", Some(5));
        assert!(last.ends_with(b"\"retryAfterMs\":5}}]}\r\n--graphql--\r\n"), "{last:?}");
    }
}
