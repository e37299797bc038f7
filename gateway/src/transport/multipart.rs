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
use mullion_resolvers::{execution::Caller, live::Item};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    Connections,
    admission::{self, Place},
    negotiate::Media,
};
use crate::operation::{
    Request,
    errors::RequestError,
    subscribe::{Answers, Failure},
};

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static(r#"multipart/mixed;boundary="graphql";subscriptionSpec=1.0"#);
const BEGINNING: Bytes = Bytes::from_static(b"\r\n--graphql");
const HEAD: &[u8] = b"\r\ncontent-type: application/json\r\n\r\n";
const BOUNDARY: &[u8] = b"\r\n--graphql";
const CLOSING: &[u8] = b"--\r\n";

/// Answers a subscription in parts.
pub async fn answer(shared: Arc<Connections>, caller: Caller, request: Request, media: Media) -> Response {
    let id = &request.origin.request_id;
    let Some(mut place) = shared.admission.enter("multipart") else { return admission::full(id) };
    if !place.belongs_to(caller.tenant()) {
        return admission::full(id);
    }
    let answers = match shared.pipeline.subscribe(&caller, request).await {
        Ok(answers) => answers,
        Err(error) => return media.refused(&error),
    };
    let every = Duration::from_secs(shared.live.event_stream_keep_alive_seconds);
    let mut heartbeat = tokio::time::interval_at(Instant::now() + every, every);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let parts =
        Parts { answers: Some(answers), heartbeat, caller, _token: shared.tracker.token(), _place: place, shared };
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
    shared: Arc<Connections>,
    caller: Caller,
    /// `None` after the last one.
    answers: Option<Answers>,
    heartbeat: Interval,
    _token: TaskTrackerToken,
    _place: Place,
}

impl Parts {
    /// The next bytes: parts with the boundary behind them, the last one closed.
    async fn next(&mut self) -> Option<Bytes> {
        // Marks are for keep-alives that carry a cursor; these carry nothing.
        let mut items = self.answers.as_mut()?.filter(|item| future::ready(!matches!(item, Ok(Item::Watermark(_)))));
        tokio::select! {
            () = self.shared.shutdown.cancelled() => {
                self.answers = None;
                let wait = self.shared.admission.retry_after_milliseconds();
                Some(fatal("the server restarts: subscribe again", "SERVER_RESTARTS", Some(wait)))
            }
            () = self.caller.revoked() => {
                self.answers = None;
                Some(fatal("the API key was revoked", "UNAUTHENTICATED", None))
            }
            item = items.next() => match item {
                Some(Ok(Item::Frame(frame))) => Some(self.answer(&frame.payload)),
                // The stream ends behind it.
                Some(Err(Failure::Over(error))) => Some(self.answer(&error.to_body())),
                Some(Err(Failure::Interrupted(error))) => {
                    self.answers = None;
                    Some(last(&error.with_retry_after(self.shared.admission.come_again_milliseconds())))
                }
                Some(Ok(Item::Watermark(_))) | None => {
                    self.answers = None;
                    Some(Bytes::from_static(CLOSING))
                }
            },
            _ = self.heartbeat.tick() => Some(part(&[b"{}"], BOUNDARY)),
        }
    }

    fn answer(&self, payload: &[u8]) -> Bytes {
        self.shared.metrics.frames("multipart").inc();
        part(&[br#"{"payload":"#, payload, b"}"], BOUNDARY)
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
