//! Operations over Server-Sent Events, one connection each (the graphql-sse protocol, distinct connections): `/graphql/stream`, and
//! `/graphql` where a client accepts them.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, stream, stream::BoxStream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mullion_schema::{error::ErrorCode, id::EventCursor};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    admission::{self, Place},
    engine::{Answer, Caller, LiveFrame, LiveItem, ParsedOperation},
    error::RequestError,
    params::{Origin, Params},
};
use crate::{
    document::OperationKind,
    http::{
        App, body,
        context::RequestId,
        graphql::{authenticate, execute, subscribe},
        negotiate::Media,
    },
};

const SILENCE: Bytes = Bytes::from_static(b":\n\n");
const COMPLETE: Bytes = Bytes::from_static(b"event: complete\ndata: \n\n");
/// The same for an `EventSource`, which asks again after every end. It sends the id with its next request, and is told by a 204 that
/// this was the last one (<https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model>).
const COMPLETE_FOR_GOOD: Bytes = Bytes::from_static(b"id: complete\nevent: complete\ndata: \n\n");
const COMPLETED: &str = "complete";

/// `POST /graphql/stream`
pub async fn post(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let caller = match authenticate(&app, &headers, &id).await {
        Ok(caller) => caller,
        Err(error) => return Media::GraphQlResponse.refused(&error),
    };
    let params = match body::read_json(&app, &headers, body).await {
        Ok(body) => Params::from_json(&body),
        Err((status, error)) => return Media::Json.with_status(status, &error.of_request(&id)),
    };
    Request { app, id, caller, is_get: false }.answer(&headers, params).await
}

/// `GET /graphql/stream`, as `EventSource` asks.
pub async fn get(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let caller = match authenticate(&app, &headers, &id).await {
        Ok(caller) => caller,
        Err(error) => return Media::GraphQlResponse.refused(&error),
    };
    if is_complete(&headers) {
        return StatusCode::NO_CONTENT.into_response();
    }
    let params = Params::from_query_string(query.as_deref().unwrap_or_default());
    Request { app, id, caller, is_get: true }.answer(&headers, params).await
}

struct Request {
    app: Arc<App>,
    id: Arc<str>,
    caller: Caller,
    is_get: bool,
}

impl Request {
    async fn answer(self, headers: &HeaderMap, params: Result<Params, RequestError>) -> Response {
        let Self { app, id, caller, is_get } = self;
        let (params, resume_after) = match (params.and_then(Params::with_document), resume_after(headers)) {
            (Ok(params), Ok(resume_after)) => (params, resume_after),
            (Err(error), _) | (_, Err(error)) => return bad_request(&error),
        };
        let operation = params.find(&app, &caller, Origin { request_id: Arc::clone(&id), resume_after }).await;
        respond(app, &id, caller, operation, is_get).await
    }
}

/// Answers an operation, or its refusal, as an event stream.
pub async fn respond(
    app: Arc<App>,
    request_id: &str,
    caller: Caller,
    operation: Result<ParsedOperation, RequestError>,
    is_get: bool,
) -> Response {
    let Some(mut place) = app.admission.enter("event_stream") else { return admission::full(request_id) };
    if !place.belongs_to(&caller.tenant) {
        return admission::full(request_id);
    }
    let resumes = operation.as_ref().is_ok_and(|operation| operation.resume_after.is_some());
    let frames = match operation {
        Ok(operation) if is_get && operation.kind == OperationKind::Mutation => return post_only(),
        Ok(operation) => frames(&app, &caller, operation).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &frames
        && error.code == ErrorCode::BadUserInput
        && resumes
        && !is_get
    {
        return bad_request(error);
    }
    // Errors travel as an event, too: a client that reads events shows them, where it would only see a failed request.
    let frames = frames.unwrap_or_else(|error| {
        stream::once(async move { LiveItem::Frame(LiveFrame::alone(error.to_body())) }).boxed()
    });
    let every = Duration::from_secs(app.live.event_stream_keep_alive_seconds);
    let mut keep_alive = tokio::time::interval_at(Instant::now() + every, every);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events {
        frames: Some(frames),
        mark: None,
        complete: if is_get { COMPLETE_FOR_GOOD } else { COMPLETE },
        keep_alive,
        caller,
        _token: app.tracker.token(),
        _place: place,
        app,
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        // For proxies that collect answers before they pass them on.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let first = stream::once(async { Ok::<_, std::convert::Infallible>(SILENCE) });
    let rest = stream::unfold(events, |mut events| async move { Some((Ok(events.next().await?), events)) });
    (headers, Body::from_stream(first.chain(rest))).into_response()
}

/// Whether an `EventSource` asks again although everything was told.
pub fn is_complete(headers: &HeaderMap) -> bool {
    headers.get("last-event-id").is_some_and(|id| id == COMPLETED)
}

/// `Last-Event-ID`. One that cannot be read is not as good as none: the stream would begin now, and what is between be lost.
pub fn resume_after(headers: &HeaderMap) -> Result<Option<String>, RequestError> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let cursor =
        value.to_str().map_err(|_| RequestError::bad_input("Last-Event-ID: not a cursor of your event stream"))?;
    Ok(Some(cursor.to_owned()))
}

fn bad_request(error: &RequestError) -> Response {
    Media::GraphQlResponse.with_status(StatusCode::BAD_REQUEST, error)
}

fn post_only() -> Response {
    let error = RequestError::bad_input("GET runs no mutations: send them by POST");
    let mut response = Media::GraphQlResponse.with_status(StatusCode::METHOD_NOT_ALLOWED, &error);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn frames(
    app: &App,
    caller: &Caller,
    operation: ParsedOperation,
) -> Result<BoxStream<'static, LiveItem>, RequestError> {
    if operation.kind == OperationKind::Subscription {
        return Ok(subscribe(app, caller, operation).await?.boxed());
    }
    match execute(app, caller, operation).await? {
        Answer::Result(payload) => Ok(stream::once(async { LiveItem::Frame(LiveFrame::alone(payload)) }).boxed()),
        Answer::Refused(error) => Err(error),
    }
}

struct Events {
    app: Arc<App>,
    caller: Caller,
    /// `None` after the last one.
    frames: Option<BoxStream<'static, LiveItem>>,
    /// Up to where everything was sent; `None` in the middle of snapshots.
    mark: Option<EventCursor>,
    /// The event that tells that nothing more comes.
    complete: Bytes,
    keep_alive: Interval,
    _token: TaskTrackerToken,
    _place: Place,
}

impl Events {
    /// The next bytes. An end without `complete` (shutdown) makes the client ask again; to one whose key was revoked that is told,
    /// as the answer to its operation: asking again would be refused.
    async fn next(&mut self) -> Option<Bytes> {
        let frames = self.frames.as_mut()?;
        loop {
            tokio::select! {
                () = self.app.shutdown.cancelled() => {
                    self.frames = None;
                    return Some(retry(self.app.admission.retry_after_milliseconds()));
                }
                () = self.caller.revoked.cancelled() => {
                    self.frames = None;
                    let error = RequestError::new(ErrorCode::Unauthenticated, "the API key was revoked");
                    let last = event(&LiveFrame::alone(error.to_body()));
                    return Some([&last, &self.complete[..]].concat().into());
                }
                item = frames.next() => match item {
                    None => {
                        self.frames = None;
                        return Some(self.complete.clone());
                    }
                    Some(LiveItem::Mark(mark)) => self.mark = Some(mark.cursor),
                    // An end without `complete`, as at a shutdown: the client asks again behind its last event.
                    Some(LiveItem::Interrupted(error)) => {
                        self.frames = None;
                        let told = event(&LiveFrame::alone(error.to_body()));
                        return Some([told, retry(self.app.admission.come_again_milliseconds())].concat().into());
                    }
                    Some(LiveItem::Frame(frame)) => {
                        self.mark = frame.cursor.clone().filter(|_| frame.through.is_some());
                        self.app.metrics.frames("event_stream").inc();
                        return Some(event(&frame));
                    }
                },
                _ = self.keep_alive.tick() => return Some(keep_alive(self.mark.as_ref())),
            }
        }
    }
}

/// An event without data sets the client's last event id and is not dispatched.
fn keep_alive(mark: Option<&EventCursor>) -> Bytes {
    mark.map_or(SILENCE, |cursor| format!(":\nid: {cursor}\n\n").into())
}

/// Tells an `EventSource` when to come back.
fn retry(milliseconds: u64) -> Bytes {
    format!("retry: {milliseconds}\n\n").into()
}

fn event(frame: &LiveFrame) -> Bytes {
    let cursor = frame.cursor.as_ref().map_or("", EventCursor::as_str);
    let mut event = BytesMut::with_capacity(frame.payload.len() + cursor.len() + 40);
    if !cursor.is_empty() {
        event.put_slice(b"id: ");
        event.put_slice(cursor.as_bytes());
        event.put_u8(b'\n');
    }
    event.put_slice(b"event: next\n");
    // Serialized JSON has no line breaks, unless somebody made it pretty.
    for line in frame.payload.split(|byte| *byte == b'\n') {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event.freeze()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{LiveFrame, event, keep_alive};

    #[test]
    fn events_carry_the_cursor_as_their_id() {
        let payload = Bytes::from_static(b"{\"data\":1}");
        let frame = LiveFrame { payload, cursor: Some("c1".into()), through: Some(1) };
        assert_eq!(&event(&frame)[..], b"id: c1\nevent: next\ndata: {\"data\":1}\n\n");
        let frame = LiveFrame::alone(Bytes::from_static(b"{\n}"));
        assert_eq!(&event(&frame)[..], b"event: next\ndata: {\ndata: }\n\n");
        assert_eq!(&keep_alive(Some(&"c2".into()))[..], b":\nid: c2\n\n");
        assert_eq!(&keep_alive(None)[..], b":\n\n");
    }
}
