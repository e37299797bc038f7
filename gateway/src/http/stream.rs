//! `/graphql/stream`: operations as event streams (the graphql-sse protocol, distinct connections).

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use mullion_resolvers::execution::Caller;

use super::{App, body, context::RequestId};
use crate::{
    operation::{Origin, errors::RequestError, params::Params},
    transport::{negotiate::Media, sse},
};

/// `POST /graphql/stream`
pub async fn post(
    State(app): State<Arc<App>>,
    Extension(RequestId(id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let caller = match app.pipeline.authenticate_request(&headers, &id).await {
        Ok(caller) => caller,
        Err(error) => return Media::GraphQlResponse.refused(&error),
    };
    let params = match body::read_json(&app, caller.tenant(), &headers, body).await {
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
    let caller = match app.pipeline.authenticate_request(&headers, &id).await {
        Ok(caller) => caller,
        Err(error) => return Media::GraphQlResponse.refused(&error),
    };
    if sse::is_complete(&headers) {
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
        let (params, resume_after) = match (params.and_then(Params::with_document), sse::resume_after(headers)) {
            (Ok(params), Ok(resume_after)) => (params, resume_after),
            (Err(error), _) | (_, Err(error)) => {
                return Media::GraphQlResponse.with_status(StatusCode::BAD_REQUEST, &error);
            }
        };
        let origin = Origin { request_id: Arc::clone(&id), resume_after };
        let request = app.pipeline.find(params, &caller, origin).await;
        sse::Asked { caller, request, request_id: id, is_get }.respond(Arc::clone(&app.connections)).await
    }
}
