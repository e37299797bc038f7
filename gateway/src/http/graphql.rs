//! `/graphql`: GraphQL over HTTP by POST and GET, the WebSocket upgrade, and a browser's page.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use futures::{FutureExt, StreamExt, stream::BoxStream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mullion_schema::error::ErrorCode;
use tokio::time::timeout;

use super::{
    App, DATABASE_PATIENCE, body,
    context::RequestId,
    guard,
    negotiate::{Media, Stream, wants_page},
};
use crate::{
    document::OperationKind,
    transport::{
        admission::Admission,
        engine::{Answer, AuthError, Caller, LiveFrame, LiveItem, ParsedOperation},
        error::RequestError,
        multipart,
        params::{Origin, Params},
        sse, websocket,
    },
};

/// `GET /`: the console, where it is shown.
pub async fn page(State(app): State<Arc<App>>) -> Response {
    match &app.console {
        Some(console) => (console.page)(),
        None => (StatusCode::NOT_FOUND, "GraphQL is at /graphql\n").into_response(),
    }
}

/// `POST /graphql`
pub async fn post(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(accepted) = Accepted::of(&headers) else { return not_acceptable() };
    let caller = match authenticate(&app, &headers, &id).await {
        Ok(caller) => caller,
        Err(error) => return accepted.media().refused(&error),
    };
    let params = match body::read_json(&app, &headers, body).await {
        Ok(body) => Params::from_json(&body).and_then(Params::with_document),
        Err((status, error)) => return accepted.media().with_status(status, &error.of_request(&id)),
    };
    match params {
        Ok(params) => Request { app, id, accepted, caller, is_get: false }.run(params, &headers).await,
        Err(error) => accepted.media().with_status(StatusCode::BAD_REQUEST, &error),
    }
}

/// `GET /graphql`: a query, the upgrade to a WebSocket, or the console for a browser.
pub async fn get(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    websocket::Asked(upgrade): websocket::Asked,
) -> Response {
    match upgrade {
        Some(Ok(upgrade)) => return websocket::accept(app, &headers, upgrade, &id),
        Some(Err(refusal)) => return refusal.into_response(),
        None => {}
    }
    if wants_page(&headers) {
        return match &app.console {
            Some(console) => (console.page)(),
            None => Redirect::to("/").into_response(),
        };
    }
    let Some(accepted) = Accepted::of(&headers) else { return not_acceptable() };
    let caller = match authenticate(&app, &headers, &id).await {
        Ok(caller) => caller,
        Err(error) => return accepted.media().refused(&error),
    };
    if !app.server.allow_get && !guard::shows_a_preflight(&headers) {
        let message = "a GET needs a header that proves that a page of another site did not send it: \
            `apollo-require-preflight` or `x-requested-with` with any value, or `Content-Type: application/json`; \
            or send the operation by POST; server.allow_get lets plain GETs pass";
        return accepted.media().with_status(StatusCode::BAD_REQUEST, &RequestError::bad_input(message));
    }
    match Params::from_query_string(query.as_deref().unwrap_or_default()).and_then(Params::with_document) {
        Ok(params) => Request { app, id, accepted, caller, is_get: true }.run(params, &headers).await,
        Err(error) => accepted.media().with_status(StatusCode::BAD_REQUEST, &error),
    }
}

/// The formats that a client takes.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    /// For one answer.
    single: Option<Media>,
    /// For the answers of a subscription; where `single` is none, an event stream also brings one answer.
    stream: Option<Stream>,
}

impl Accepted {
    /// `None`: nothing that we have.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let accepted = Self { single: Media::accepted(headers), stream: Stream::accepted(headers) };
        (accepted.single.is_some() || accepted.stream.is_some()).then_some(accepted)
    }

    /// The format of a refusal: there is always one.
    fn media(self) -> Media {
        self.single.unwrap_or(Media::GraphQlResponse)
    }
}

/// The key of `Authorization: Bearer KEY`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    strip_bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// The key behind the scheme, which is not case-sensitive.
pub(crate) fn strip_bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The key that a request carries: with another scheme it is no key of ours, not none.
pub(crate) async fn authenticate(app: &App, headers: &HeaderMap, id: &str) -> Result<Caller, RequestError> {
    let given = headers.contains_key(header::AUTHORIZATION);
    let key = bearer(headers).or(given.then_some(""));
    let checked = timeout(DATABASE_PATIENCE, app.engine.authenticate(key)).await;
    checked.unwrap_or(Err(AuthError::Unavailable)).map_err(|error| RequestError::from(error).of_request(id))
}

struct Request {
    app: Arc<App>,
    id: Arc<str>,
    accepted: Accepted,
    caller: Caller,
    is_get: bool,
}

impl Request {
    async fn run(self, params: Params, headers: &HeaderMap) -> Response {
        let Self { app, id, accepted, caller, is_get } = self;
        let media = accepted.media();
        let has_events = accepted.stream == Some(Stream::Events);
        if is_get && has_events && sse::is_complete(headers) {
            return StatusCode::NO_CONTENT.into_response();
        }
        let resume_after = match sse::resume_after(headers) {
            Ok(resume_after) => resume_after.filter(|_| has_events),
            Err(error) if has_events => return media.with_status(StatusCode::BAD_REQUEST, &error),
            // Nothing is resumed where nothing streams.
            Err(_) => None,
        };
        let operation = params.find(&app, &caller, Origin { request_id: Arc::clone(&id), resume_after }).await;
        if has_events && accepted.single.is_none() {
            return sse::respond(app, &id, caller, operation, is_get).await;
        }
        let operation = match operation {
            Ok(operation) => operation,
            Err(error) => return media.refused(&error),
        };
        let is_stream = operation.kind == OperationKind::Subscription;
        if is_stream && has_events {
            return sse::respond(app, &id, caller, Ok(operation), is_get).await;
        }
        if is_get && operation.kind != OperationKind::Query {
            return post_only(media);
        }
        match accepted.stream {
            Some(_) if is_stream => multipart::answer(app, caller, operation, media).await,
            None if is_stream => media.refused(&RequestError::bad_input(SUBSCRIPTIONS)),
            _ if accepted.single.is_none() => not_acceptable(),
            _ => match execute(&app, &caller, operation).await {
                Ok(answer) => media.answer(&answer),
                Err(error) => media.with_status(StatusCode::GATEWAY_TIMEOUT, &error),
            },
        }
    }
}

fn post_only(media: Media) -> Response {
    let error = RequestError::bad_input("GET runs queries only: send mutations by POST");
    let mut response = media.with_status(StatusCode::METHOD_NOT_ALLOWED, &error);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// Where subscriptions run.
const SUBSCRIPTIONS: &str = "subscriptions run over WebSocket at /graphql, as an event stream (Accept: text/event-stream), \
    or in parts (Accept: multipart/mixed;subscriptionSpec=1.0, application/json)";

/// Executes within the request's time; an error says that it was over.
pub(crate) async fn execute(app: &App, caller: &Caller, operation: ParsedOperation) -> Result<Answer, RequestError> {
    let id = Arc::clone(&operation.request_id);
    let time = app.request_timeout();
    let execution = AssertUnwindSafe(app.engine.execute(caller, operation)).catch_unwind();
    match tokio::time::timeout(time, execution).await {
        Ok(Ok(answer)) => Ok(answer),
        // The panic's own message was logged by its hook.
        Ok(Err(_)) => {
            tracing::error!("an operation panicked");
            Ok(Answer::Refused(RequestError::internal(&id)))
        }
        Err(_) => {
            tracing::warn!(seconds = time.as_secs(), "an operation took too long");
            let message = format!(
                "the operation took longer than {} seconds (`server.request_timeout_seconds`); a mutation may have been done",
                time.as_secs()
            );
            Err(RequestError::new(ErrorCode::RequestTimeout, message).with_request_id(&id))
        }
    }
}

/// Starts a subscription. A panic is an error of this one, and nothing else.
pub(crate) async fn subscribe(app: &App, caller: &Caller, operation: ParsedOperation) -> Result<Answers, RequestError> {
    app.metrics.execution("subscription");
    let id = Arc::clone(&operation.request_id);
    let begun = AssertUnwindSafe(app.engine.subscribe(caller, operation)).catch_unwind().await;
    let begun = begun.unwrap_or_else(|_| {
        tracing::error!("a subscription panicked");
        Err(RequestError::internal(&id))
    });
    Ok(Answers { items: Some(begun?), id, admission: Arc::clone(&app.admission) })
}

/// What a subscription answers. A panic ends it with an error, and nothing else.
pub(crate) struct Answers {
    /// `None` after a panic.
    items: Option<BoxStream<'static, LiveItem>>,
    id: Arc<str>,
    /// Knows when a client whose subscription is interrupted may come again.
    admission: Arc<Admission>,
}

impl futures::Stream for Answers {
    type Item = LiveItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LiveItem>> {
        let Some(items) = &mut self.items else { return Poll::Ready(None) };
        let item = catch_unwind(AssertUnwindSafe(|| items.poll_next_unpin(cx))).unwrap_or_else(|_| {
            self.items = None;
            tracing::error!(requestId = %self.id, "a subscription panicked");
            Poll::Ready(Some(LiveItem::Frame(LiveFrame::alone(RequestError::internal(&self.id).to_body()))))
        });
        match item {
            Poll::Ready(Some(LiveItem::Interrupted(error))) => {
                let error = error.with_request_id(&self.id).with_retry_after(self.admission.come_again_milliseconds());
                Poll::Ready(Some(LiveItem::Interrupted(error)))
            }
            item => item,
        }
    }
}

fn not_acceptable() -> Response {
    let message = "an answer is application/json or application/graphql-response+json: accept one of them. \
        Subscriptions are text/event-stream or multipart/mixed;subscriptionSpec=1.0, or run over WebSocket (graphql-transport-ws)\n";
    (StatusCode::NOT_ACCEPTABLE, message).into_response()
}
