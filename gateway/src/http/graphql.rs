//! `/graphql`: GraphQL over HTTP by POST and GET, the WebSocket upgrade, and a browser's page.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mullion_resolvers::execution::Caller;

use super::{App, body, context::RequestId, guard};
use crate::{
    operation::{Origin, errors::RequestError, params::Params},
    transport::{
        multipart,
        negotiate::{Media, Stream, wants_page},
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
    let caller = match app.pipeline.authenticate_request(&headers, &id).await {
        Ok(caller) => caller,
        Err(error) => return accepted.media().refused(&error),
    };
    let params = match body::read_json(&app, caller.tenant(), &headers, body).await {
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
        Some(Ok(upgrade)) => return websocket::accept(Arc::clone(&app.connections), &headers, upgrade, &id),
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
    let caller = match app.pipeline.authenticate_request(&headers, &id).await {
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
        let origin = Origin { request_id: Arc::clone(&id), resume_after };
        let request = app.pipeline.find(params, &caller, origin).await;
        let streams = |request| {
            let asked = sse::Asked { caller: caller.clone(), request, request_id: Arc::clone(&id), is_get };
            asked.respond(Arc::clone(&app.connections))
        };
        if has_events && accepted.single.is_none() {
            return streams(request).await;
        }
        let request = match request {
            Ok(request) => request,
            Err(error) => return media.refused(&error),
        };
        let kind = request.operation.kind();
        let is_stream = kind == OperationType::Subscription;
        if is_stream && has_events {
            return streams(Ok(request)).await;
        }
        if is_get && kind != OperationType::Query {
            return post_only(media);
        }
        match accepted.stream {
            Some(_) if is_stream => multipart::answer(Arc::clone(&app.connections), caller, request, media).await,
            None if is_stream => media.refused(&RequestError::bad_input(SUBSCRIPTIONS)),
            _ if accepted.single.is_none() => not_acceptable(),
            _ => match app.pipeline.run(&caller, request).await {
                Ok(answer) => media.answer(answer),
                Err(error) => media.refused(&error),
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

fn not_acceptable() -> Response {
    let message = "an answer is application/json or application/graphql-response+json: accept one of them. \
        Subscriptions are text/event-stream or multipart/mixed;subscriptionSpec=1.0, or run over WebSocket (graphql-transport-ws)\n";
    (StatusCode::NOT_ACCEPTABLE, message).into_response()
}
