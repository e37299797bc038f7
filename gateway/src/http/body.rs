//! Reads a request's body up to a limit, within a time.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use mullion_schema::error::ErrorCode;

use crate::transport::error::RequestError;

/// A refusal with its status.
pub type Refusal = (StatusCode, RequestError);

/// Reads a JSON body.
pub async fn read_json(headers: &HeaderMap, body: Body, limit: usize, time: Duration) -> Result<Bytes, Refusal> {
    if !is_json(headers) {
        let message = "send the body as `Content-Type: application/json` in UTF-8";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, RequestError::bad_input(message)));
    }
    let too_large = || {
        let message = format!("the body is larger than {limit} bytes");
        (StatusCode::PAYLOAD_TOO_LARGE, RequestError::new(ErrorCode::OperationTooComplex, message))
    };
    if announced_length(headers).is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match tokio::time::timeout(time, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, RequestError::bad_input("the body did not arrive in full"))),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, RequestError::bad_input("the body took too long to arrive"))),
    }
}

/// `Content-Length`, where it is one.
pub fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.to_string().contains("length limit exceeded") {
            return true;
        }
        source = cause.source();
    }
    false
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|part| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    json && utf8
}
