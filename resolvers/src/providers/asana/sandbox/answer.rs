//! Asana's answers: the envelope, its errors, and its refusals.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::sandbox::{ApiRequest, ApiResponse, Rejection};

const HELP: &str = "For more information on API status codes and how to handle them, read the docs on errors: \
                    https://developers.asana.com/docs/errors";

/// A successful answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn ok(data: Value) -> Self {
        let body = Map::from_iter([("data".to_owned(), data)]);
        Self { status: StatusCode::OK, body: Value::Object(body) }
    }

    pub(super) fn created(data: Value) -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok(data) }
    }

    /// The answer of writing calls that have nothing to show.
    pub(super) fn empty() -> Self {
        Self::ok(json!({}))
    }
}

/// An error as Asana says it.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, body: json!({ "errors": [{ "message": message.into(), "help": HELP }] }) }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn missing(what: &str) -> Self {
        Self::bad(format!("{what}: Missing input"))
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Not Authorized")
    }

    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "No matching route for request")
    }

    /// A gid that names nothing: what cannot be a gid at all is the caller's mistake, the rest is not there.
    pub(super) fn unknown(what: &str, gid: &str) -> Self {
        let digits = !gid.is_empty() && gid.bytes().all(|byte| byte.is_ascii_digit());
        match (digits, gid.len() >= 10) {
            (true, true) => Self::new(StatusCode::NOT_FOUND, format!("{what}: Unknown object: {gid}")),
            (true, false) => Self::new(StatusCode::NOT_FOUND, format!("{what}: Not a recognized ID: {gid}")),
            _ => Self::bad(format!("{what}: Not a recognized ID: {gid}")),
        }
    }

    /// The answer to a sync token that is missing or too old: with a fresh one.
    pub(super) fn fresh_sync(sync: &str) -> Self {
        let message = "Sync token invalid or too old. If you are attempting to keep resources in sync, you must fetch the full \
                       dataset for this query now and use the new sync token for the next sync.";
        let body = json!({ "errors": [{ "message": message }], "sync": sync });
        Self { status: StatusCode::PRECONDITION_FAILED, body }
    }
}

/// Writes the answer.
pub(super) fn respond(outcome: Result<Reply, ApiError>) -> ApiResponse {
    let (status, body) = match outcome {
        Ok(reply) => (reply.status, reply.body),
        Err(error) => (error.status, error.body),
    };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache, no-store, must-revalidate"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"Asana\""));
    }
    response
}

/// A status with its complaint: of the call, or of each part of a batch.
fn failed(request: &ApiRequest, code: &str) -> ApiResponse {
    let status = code.parse::<u16>().ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::BAD_REQUEST);
    let error = ApiError::new(status, status.canonical_reason().unwrap_or("Failed"));
    let batch = (request.uri().path() == "/batch").then(|| serde_json::from_slice::<Value>(request.body()).ok());
    let Some(batch) = batch.flatten() else { return respond(Err(error)) };
    let actions = batch.pointer("/data/actions").and_then(Value::as_array).map_or(0, Vec::len);
    let part = json!({ "status_code": status.as_u16(), "headers": {}, "body": error.body });
    respond(Ok(Reply::ok(Value::Array(vec![part; actions]))))
}

/// How Asana refuses.
pub(super) fn refuse(request: &ApiRequest, rejection: Rejection) -> ApiResponse {
    match rejection {
        Rejection::Forbidden => respond(Err(ApiError::new(StatusCode::FORBIDDEN, "Forbidden"))),
        Rejection::InvalidPageToken => {
            let message = "offset: Your pagination token has expired.";
            respond(Err(ApiError::new(StatusCode::BAD_REQUEST, message)))
        }
        Rejection::Error { code } => failed(request, &code),
        Rejection::RateLimited { retry_after } => {
            let message = "You have made too many requests recently. Please, be chill.";
            let mut response = respond(Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, message)));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            response
        }
        Rejection::ServerError => {
            let body = json!({ "errors": [{ "message": "Server Error", "phrase": "6 sad squid snuggle softly" }] });
            respond(Err(ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, body }))
        }
        Rejection::Unauthorized => respond(Err(ApiError::unauthorized())),
    }
}
