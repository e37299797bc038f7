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
use futures::{FutureExt, Stream, StreamExt, stream::BoxStream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mullion_schema::error::ErrorCode;
use tokio::time::timeout;

use super::{App, DATABASE_PATIENCE, body, context::RequestId, negotiate::Media, negotiate::wants_page};
use crate::{
    document::OperationKind,
    transport::{
        engine::{Answer, AuthError, Caller, LiveFrame, LiveItem, ParsedOperation},
        error::RequestError,
        multipart,
        params::{Origin, Params},
        websocket,
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
    let Some(media) = Media::accepted(&headers) else { return not_acceptable() };
    let caller = match authenticate(&app, &headers).await {
        Ok(caller) => caller,
        Err(error) => return media.refused(&error),
    };
    let params = match body::read_json(&app, &headers, body).await {
        Ok(body) => Params::from_json(&body).and_then(with_query),
        Err((status, error)) => return media.with_status(status, &error),
    };
    match params {
        Ok(params) => Request { app, id, media, caller }.run(params, &headers, false).await,
        Err(error) => media.with_status(StatusCode::BAD_REQUEST, &error),
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
        Some(Ok(upgrade)) => return websocket::accept(app, &headers, upgrade),
        Some(Err(refusal)) => return refusal.into_response(),
        None => {}
    }
    if wants_page(&headers) {
        return match &app.console {
            Some(console) => (console.page)(),
            None => Redirect::to("/").into_response(),
        };
    }
    let Some(media) = Media::accepted(&headers) else { return not_acceptable() };
    let caller = match authenticate(&app, &headers).await {
        Ok(caller) => caller,
        Err(error) => return media.refused(&error),
    };
    match Params::from_query_string(query.as_deref().unwrap_or_default()).and_then(with_query) {
        Ok(params) => Request { app, id, media, caller }.run(params, &headers, true).await,
        Err(error) => media.with_status(StatusCode::BAD_REQUEST, &error),
    }
}

/// A request without a document is not well-formed, whatever media type it asks for.
fn with_query(params: Params) -> Result<Params, RequestError> {
    let persisted = params.extensions.as_ref().is_some_and(|extensions| extensions.contains_key("persistedQuery"));
    if params.query.is_none() && !persisted {
        return Err(RequestError::bad_input("`query` is missing: send the document in it"));
    }
    Ok(params)
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
pub(crate) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller, RequestError> {
    let given = headers.contains_key(header::AUTHORIZATION);
    let key = bearer(headers).or(given.then_some(""));
    let checked = timeout(DATABASE_PATIENCE, app.engine.authenticate(key)).await;
    checked.unwrap_or(Err(AuthError::Unavailable)).map_err(RequestError::from)
}

struct Request {
    app: Arc<App>,
    id: Arc<str>,
    media: Media,
    caller: Caller,
}

impl Request {
    async fn run(self, params: Params, headers: &HeaderMap, is_get: bool) -> Response {
        let Self { app, id, media, caller } = self;
        let origin = Origin { request_id: Arc::clone(&id), resume_after: None };
        let operation = match params.prepare(&app.documents, origin) {
            Ok(operation) => operation,
            Err(error) => return media.refused(&error),
        };
        if is_get && operation.kind != OperationKind::Query {
            let mut response = media.with_status(
                StatusCode::METHOD_NOT_ALLOWED,
                &RequestError::bad_input("GET runs queries only: send mutations by POST"),
            );
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        if operation.kind == OperationKind::Subscription {
            if multipart::is_accepted(headers) {
                return multipart::answer(app, caller, operation, media).await;
            }
            let message = "subscriptions run over WebSocket at /graphql, as an event stream at /graphql/stream, \
                or in parts: Accept: multipart/mixed;subscriptionSpec=1.0, application/json";
            return media.refused(&RequestError::bad_input(message));
        }
        match execute(&app, &caller, operation).await {
            Ok(answer) => media.answer(&answer),
            Err(error) => media.with_status(StatusCode::GATEWAY_TIMEOUT, &error),
        }
    }
}

/// Executes within the request's time; an error says that it was over.
pub(crate) async fn execute(app: &App, caller: &Caller, operation: ParsedOperation) -> Result<Answer, RequestError> {
    let id = Arc::clone(&operation.request_id);
    let time = app.request_timeout();
    let execution = AssertUnwindSafe(app.engine.execute(caller, operation)).catch_unwind();
    match tokio::time::timeout(time, execution).await {
        Ok(Ok(answer)) => Ok(answer),
        // The panic's own message was logged by its hook.
        Ok(Err(_)) => {
            tracing::error!(id = %id, "an operation panicked");
            Ok(Answer::Refused(RequestError::internal(&id)))
        }
        Err(_) => {
            tracing::warn!(id = %id, seconds = time.as_secs(), "an operation took too long");
            let message = format!("the operation took longer than {} seconds", time.as_secs());
            Err(RequestError::new(ErrorCode::InternalServerError, message).with_request_id(&id))
        }
    }
}

/// Starts a subscription. A panic is an error of this one, and nothing else.
pub(crate) async fn subscribe(app: &App, caller: &Caller, operation: ParsedOperation) -> Result<Answers, RequestError> {
    app.metrics.execution("subscription");
    let id = Arc::clone(&operation.request_id);
    let begun = AssertUnwindSafe(app.engine.subscribe(caller, operation)).catch_unwind().await;
    let begun = begun.unwrap_or_else(|_| {
        tracing::error!(%id, "a subscription panicked");
        Err(RequestError::internal(&id))
    });
    Ok(Answers { items: Some(begun?), id })
}

/// What a subscription answers. A panic ends it with an error, and nothing else.
pub(crate) struct Answers {
    /// `None` after a panic.
    items: Option<BoxStream<'static, LiveItem>>,
    id: Arc<str>,
}

impl Stream for Answers {
    type Item = LiveItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LiveItem>> {
        let Some(items) = &mut self.items else { return Poll::Ready(None) };
        catch_unwind(AssertUnwindSafe(|| items.poll_next_unpin(cx))).unwrap_or_else(|_| {
            self.items = None;
            tracing::error!(id = %self.id, "a subscription panicked");
            Poll::Ready(Some(LiveItem::Frame(LiveFrame::alone(RequestError::internal(&self.id).to_body()))))
        })
    }
}

fn not_acceptable() -> Response {
    let message = "answers are application/json or application/graphql-response+json\n";
    (StatusCode::NOT_ACCEPTABLE, message).into_response()
}
