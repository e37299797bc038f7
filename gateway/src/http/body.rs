//! Reads a request's body up to a limit, within a time, and within what all bodies together and those of its tenant may take.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use mullion_schema::{error::ErrorCode, id::TenantId};
use tokio::time::timeout;

use super::{
    App,
    budget::{SMALL, Share},
};
use crate::operation::errors::RequestError;

/// A refusal with its status.
pub type Refusal = (StatusCode, RequestError);

/// When a client whose body found no room may send it again.
const RETRY_AFTER: u32 = 5;
/// How long a large body may pause: it takes room from others of its tenant or endpoint.
const LONGEST_PAUSE: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(5) };

/// Why a body is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is longer than its limit.
    TooLarge,
    /// All bodies together take all the room there is, or those of this tenant or endpoint their share.
    Busy,
    /// It made no progress.
    Stalled,
    /// It did not arrive in full.
    Broken,
}

/// A body, and its part of the bytes that may be in memory.
#[derive(Debug)]
pub struct Received {
    bytes: BytesMut,
    _share: Share,
}

impl std::ops::Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a JSON body from a tenant. Ask who sends it first: a body costs memory.
pub async fn read_json(app: &App, tenant: &TenantId, headers: &HeaderMap, body: Body) -> Result<Received, Refusal> {
    if !is_json(headers) || !is_utf8(headers) || is_packed(headers) {
        let message = "send the body as `Content-Type: application/json` in UTF-8, without a `Content-Encoding`";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, RequestError::bad_input(message)));
    }
    let limit = app.server.max_body_bytes;
    if announced_length(headers).is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let share = Share::none(&app.bodies, tenant.as_str(), limit);
    timeout(app.request_timeout(), read(body, limit, share)).await.unwrap_or_else(|_| Err(too_slow()))
}

async fn read(body: Body, limit: usize, mut share: Share) -> Result<Received, Refusal> {
    match collect(body, limit, &mut share).await {
        Ok(bytes) => Ok(Received { bytes, _share: share }),
        Err(Failure::TooLarge) => Err(too_large(limit)),
        Err(Failure::Stalled) => Err(too_slow()),
        Err(Failure::Broken) => {
            Err((StatusCode::BAD_REQUEST, RequestError::bad_input("the body did not arrive in full")))
        }
        Err(Failure::Busy) => {
            let message = "too many bodies arrive at once: try again later";
            Err((StatusCode::SERVICE_UNAVAILABLE, RequestError::unavailable(message, RETRY_AFTER)))
        }
    }
}

/// Collects a body of at most `limit` bytes. Only what came counts: whoever announces much and sends nothing takes the room of
/// nobody.
pub(super) async fn collect(body: Body, limit: usize, share: &mut Share) -> Result<BytesMut, Failure> {
    let mut bytes = BytesMut::new();
    let mut chunks = body.into_data_stream();
    // One whose length was announced has its end with its last byte, and is not waited for once more.
    while !chunks.is_end_stream()
        && let Some(chunk) = next(&mut chunks, bytes.len()).await?
    {
        let length = bytes.len() + chunk.len();
        if length > limit {
            return Err(Failure::TooLarge);
        }
        if !share.grow_to(length) {
            drop(bytes);
            share.give_back();
            return Err(pass_by(chunks, limit.saturating_sub(length)).await);
        }
        if bytes.capacity() < length {
            let rest = usize::try_from(chunks.size_hint().lower()).unwrap_or(usize::MAX);
            bytes.reserve(chunk.len() + rest.min(length));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The next bytes of a body of which so many are here.
async fn next(chunks: &mut BodyDataStream, here: usize) -> Result<Option<Bytes>, Failure> {
    let next = chunks.next();
    let chunk =
        if here > SMALL { timeout(LONGEST_PAUSE, next).await.map_err(|_| Failure::Stalled)? } else { next.await };
    chunk.transpose().map_err(|_| Failure::Broken)
}

/// Reads the rest of a body that finds no room, and keeps nothing of it. A client that is still sending when the connection is closed
/// may never see the answer (<https://www.rfc-editor.org/rfc/rfc9112#section-9.6>).
async fn pass_by(mut chunks: BodyDataStream, mut rest: usize) -> Failure {
    while let Some(Ok(chunk)) = chunks.next().await {
        match rest.checked_sub(chunk.len()) {
            Some(less) => rest = less,
            None => return Failure::TooLarge,
        }
    }
    Failure::Busy
}

fn too_slow() -> Refusal {
    (StatusCode::REQUEST_TIMEOUT, RequestError::bad_input("the body took too long to arrive"))
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the body is larger than {limit} bytes");
    (StatusCode::PAYLOAD_TOO_LARGE, RequestError::new(ErrorCode::OperationTooComplex, message))
}

/// `Content-Length`, where it is one.
pub fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = content_type(headers).and_then(|text| text.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether the body is said to be compressed. It is not unpacked: a few bytes may become very many.
pub fn is_packed(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.into_iter().any(|encoding| !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// The names of UTF-8, and of a charset that is a part of it.
const UTF8: [&str; 3] = ["utf-8", "utf8", "us-ascii"];

/// Whether the body is not said to be in another charset than UTF-8.
pub fn is_utf8(headers: &HeaderMap) -> bool {
    let mut parts = content_type(headers).unwrap_or_default().split(';').skip(1);
    parts.all(|part| match part.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            UTF8.iter().any(|name| value.eq_ignore_ascii_case(name))
        }
        _ => true,
    })
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}
