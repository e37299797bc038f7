//! Operations over Server-Sent Events, one connection each (the graphql-sse protocol, distinct connections): `/graphql/stream`, and
//! `/graphql` where a client accepts them.

use std::{sync::Arc, time::Duration};

use async_graphql::parser::types::OperationType;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mullion_resolvers::{execution::Caller, live::Item};
use mullion_schema::{error::ErrorCode, id::EventCursor};
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

const SILENCE: Bytes = Bytes::from_static(b":\n\n");
const COMPLETE: Bytes = Bytes::from_static(b"event: complete\ndata: \n\n");
/// The same for an `EventSource`, which asks again after every end. It sends the id with its next request, and is told by a 204 that
/// this was the last one (<https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model>).
const COMPLETE_FOR_GOOD: Bytes = Bytes::from_static(b"id: complete\nevent: complete\ndata: \n\n");
const COMPLETED: &str = "complete";

/// A request that is to be answered as an event stream.
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    /// The request, or its refusal.
    pub(crate) request: Result<Request, RequestError>,
    pub(crate) request_id: Arc<str>,
    /// Whether it is a GET, as an `EventSource` sends it.
    pub(crate) is_get: bool,
}

impl Asked {
    /// Answers the request, or its refusal.
    pub(crate) async fn respond(self, shared: Arc<Connections>) -> Response {
        let Self { caller, request, request_id, is_get } = self;
        let Some(mut place) = shared.admission.enter("event_stream") else { return admission::full(&request_id) };
        if !place.belongs_to(caller.tenant()) {
            return admission::full(&request_id);
        }
        let resumes = request.as_ref().is_ok_and(|request| request.origin.resume_after.is_some());
        let answers = match request {
            Ok(request) if is_get && request.operation.kind() == OperationType::Mutation => return post_only(),
            Ok(request) => Source::of(&shared, &caller, request).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &answers
            && error.code == ErrorCode::BadUserInput
            && resumes
            && !is_get
        {
            return Media::GraphQlResponse.with_status(StatusCode::BAD_REQUEST, error);
        }
        // Errors travel as an event, too: a client that reads events shows them, where it would only see a failed request.
        let answers = answers.unwrap_or_else(|error| Source::One(Some(error.to_body())));
        let every = Duration::from_secs(shared.live.event_stream_keep_alive_seconds);
        let mut keep_alive = tokio::time::interval_at(Instant::now() + every, every);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let events = Events {
            answers: Some(answers),
            resumable: None,
            complete: if is_get { COMPLETE_FOR_GOOD } else { COMPLETE },
            keep_alive,
            caller,
            _token: shared.tracker.token(),
            _place: place,
            shared,
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

fn post_only() -> Response {
    let error = RequestError::bad_input("GET runs no mutations: send them by POST");
    let mut response = Media::GraphQlResponse.with_status(StatusCode::METHOD_NOT_ALLOWED, &error);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// Where the answers come from.
enum Source {
    /// There is one, of a query or a mutation, or the errors of one that was refused.
    One(Option<Bytes>),
    Subscription(Answers),
}

impl Source {
    async fn of(shared: &Connections, caller: &Caller, request: Request) -> Result<Self, RequestError> {
        if request.operation.kind() == OperationType::Subscription {
            return Ok(Self::Subscription(shared.pipeline.subscribe(caller, request).await?));
        }
        Ok(Self::One(Some(shared.pipeline.run(caller, request).await?)))
    }

    async fn next(&mut self) -> Option<Answered> {
        match self {
            Self::One(answer) => answer.take().map(Answered::One),
            Self::Subscription(answers) => answers.next().await.map(Answered::OfSubscription),
        }
    }
}

/// An answer of a source.
enum Answered {
    One(Bytes),
    OfSubscription(Result<Item, Failure>),
}

struct Events {
    shared: Arc<Connections>,
    caller: Caller,
    /// `None` after the last one.
    answers: Option<Source>,
    /// Up to where everything was sent; `None` in the middle of snapshots.
    resumable: Option<EventCursor>,
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
        let answers = self.answers.as_mut()?;
        loop {
            tokio::select! {
                () = self.shared.shutdown.cancelled() => {
                    self.answers = None;
                    return Some(retry(self.shared.admission.retry_after_milliseconds()));
                }
                () = self.caller.revoked() => {
                    self.answers = None;
                    let error = RequestError::new(ErrorCode::Unauthenticated, "the API key was revoked");
                    return Some([&event(None, &error.to_body()), &self.complete[..]].concat().into());
                }
                answered = answers.next() => match answered {
                    None => {
                        self.answers = None;
                        return Some(self.complete.clone());
                    }
                    Some(Answered::OfSubscription(Ok(Item::Watermark(watermark)))) => self.resumable = Some(watermark.cursor),
                    // An end without `complete`, as at a shutdown: the client asks again behind its last event.
                    Some(Answered::OfSubscription(Err(Failure::Interrupted(error)))) => {
                        self.answers = None;
                        let admission = &self.shared.admission;
                        let error = error.with_retry_after(admission.come_again_milliseconds());
                        let last = event(None, &error.to_body());
                        return Some([last, retry(admission.come_again_milliseconds())].concat().into());
                    }
                    Some(Answered::OfSubscription(Ok(Item::Frame(frame)))) => {
                        self.shared.metrics.frames("event_stream").inc();
                        let next = event(Some(&frame.cursor), &frame.payload);
                        self.resumable = frame.watermark.map(|_| frame.cursor);
                        return Some(next);
                    }
                    Some(Answered::OfSubscription(Err(Failure::Over(error)))) => return Some(self.alone(&error.to_body())),
                    Some(Answered::One(answer)) => return Some(self.alone(&answer)),
                },
                _ = self.keep_alive.tick() => return Some(keep_alive(self.resumable.as_ref())),
            }
        }
    }

    /// An answer that is no part of the event stream of the tenant.
    fn alone(&mut self, payload: &[u8]) -> Bytes {
        self.resumable = None;
        self.shared.metrics.frames("event_stream").inc();
        event(None, payload)
    }
}

/// An event without data sets the client's last event id and is not dispatched.
fn keep_alive(cursor: Option<&EventCursor>) -> Bytes {
    cursor.map_or(SILENCE, |cursor| format!(":\nid: {cursor}\n\n").into())
}

/// Tells an `EventSource` when to come back.
fn retry(milliseconds: u64) -> Bytes {
    format!("retry: {milliseconds}\n\n").into()
}

/// An event with an answer and, of a subscription's, the position behind it.
fn event(cursor: Option<&EventCursor>, payload: &[u8]) -> Bytes {
    let cursor = cursor.map_or("", EventCursor::as_str);
    let mut event = BytesMut::with_capacity(payload.len() + cursor.len() + 40);
    if !cursor.is_empty() {
        event.put_slice(b"id: ");
        event.put_slice(cursor.as_bytes());
        event.put_u8(b'\n');
    }
    event.put_slice(b"event: next\n");
    // Serialized JSON has no line breaks, unless somebody made it pretty.
    for line in payload.split(|byte| *byte == b'\n') {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event.freeze()
}

#[cfg(test)]
mod tests {
    use super::{event, keep_alive};

    #[test]
    fn events_carry_the_cursor_as_their_id() {
        assert_eq!(&event(Some(&"c1".into()), b"{\"data\":1}")[..], b"id: c1\nevent: next\ndata: {\"data\":1}\n\n");
        assert_eq!(&event(None, b"{\n}")[..], b"event: next\ndata: {\ndata: }\n\n");
        assert_eq!(&keep_alive(Some(&"c2".into()))[..], b":\nid: c2\n\n");
        assert_eq!(&keep_alive(None)[..], b":\n\n");
    }
}
