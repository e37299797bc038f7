//! The surroundings of each request: its id, its span in the log, its time in the metrics.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Version, header};
use hyper::body::{Frame, SizeHint};
use mullion_resolvers::{clock::Clock, trace_context::TraceContext};
use tracing::Instrument;

use super::{App, REQUEST_ID};
use crate::{
    operation::{errors::RequestError, request_id},
    telemetry::labels::RequestLabels,
    transport::negotiate::Media,
};

/// A request's id: the client's own where it is fit for a log, otherwise a new one.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

const LONGEST_ID: usize = 64;

/// Gives the request its id, and the answer too.
pub(super) async fn wrap(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    around(&app, request, |request| next.run(request)).await
}

/// The same around whatever answers.
pub(super) async fn around<A: Future<Output = Response> + Send>(
    app: &App,
    mut request: Request,
    answer: impl FnOnce(Request) -> A + Send,
) -> Response {
    let started = Instant::now();
    let closable = request.version() < Version::HTTP_2 && has_body(request.headers());
    let id = id_of(request.headers(), &*app.clock);
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let span = tracing::error_span!("request", requestId = &*id, method = request.method().as_str(), route);
    if let Some(caller) = TraceContext::of_headers(request.headers()) {
        caller.adopt(&span);
    }
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let read = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&read);
    let request = request.map(|body| Body::new(Noted { body, read: noted }));
    let answered = AssertUnwindSafe(answer(request).instrument(span.clone())).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("a request panicked"));
        Media::Json.refused(&RequestError::internal(&id))
    });
    let took = started.elapsed();
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(status, milliseconds = took.as_millis(), "answered"));
    app.metrics.request_latency.get_or_create(&RequestLabels { route, status }).observe(took.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if closable && !read.load(Ordering::Acquire) {
        // The connection ends with an unread body; a client that is not told would send its next request into it.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// A body that notes when it has been read to its end.
struct Noted {
    body: Body,
    read: Arc<AtomicBool>,
}

impl HttpBody for Noted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || matches!(frame, Some(Ok(_))) && self.body.is_end_stream() {
            self.read.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn id_of(headers: &HeaderMap, clock: &dyn Clock) -> Arc<str> {
    let fit = |id: &&str| {
        !id.is_empty()
            && id.len() <= LONGEST_ID
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(fit) {
        Some(id) => id.into(),
        None => request_id::new(clock),
    }
}
