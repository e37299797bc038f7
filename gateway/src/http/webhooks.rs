//! `POST /webhooks/{provider}/{endpoint}`: takes a delivery's bytes within its limits. What they mean is decided behind the seam.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    body::{Body, HttpBody},
    extract::{FromRequestParts, Path, Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::time::timeout;

use super::{
    App, DATABASE_PATIENCE,
    body::{self, announced_length, collect, is_packed, is_utf8},
    budget::Share,
    context,
};

/// How long storing a delivery may take: GitHub gives up after 10 s.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The text of a 503 about the delivery.
const NOT_STORED: &str = "the delivery was not stored: send it again\n";
/// The same where that is not known.
const PERHAPS_STORED: &str =
    "the delivery may have been stored: send it again, under the same delivery id it counts once\n";

/// What the provider is told.
#[derive(Debug, Clone)]
pub struct WebhookAnswer {
    /// The status.
    pub status: StatusCode,
    /// Headers, such as an echoed handshake secret.
    pub headers: HeaderMap,
    /// The body, such as an echoed challenge.
    pub body: Bytes,
}

impl WebhookAnswer {
    /// A status, and nothing else.
    pub fn status(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }
}

/// Takes deliveries: verifies, stores, answers.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// The longest body that this endpoint takes; `None` when there is no such endpoint.
    async fn limit(&self, provider: &str, endpoint: &str) -> Option<usize>;

    /// Takes one delivery. The answer is given when it is on disk.
    async fn receive(&self, delivery: Delivery) -> WebhookAnswer;
}

/// A delivery, as it came.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `github`
    pub provider: String,
    /// The endpoint of one integration.
    pub endpoint: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The raw bytes, which are what is signed.
    pub body: Bytes,
    /// When it arrived.
    pub now: DateTime<Utc>,
}

enum Failure {
    Body(body::Failure),
    Slow,
}

/// The route, of all methods, with what surrounds it: layers, of which each is made anew for each request, take as long as the
/// signature of a delivery. Pages have no business here, so none is told whether it may ask.
pub async fn receive(State(app): State<Arc<App>>, request: Request) -> Response {
    context::around(&app, request, |request| guarded(&app, request)).await
}

async fn guarded(app: &App, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(refused) = app.guard.refusal(&parts) {
        return refused;
    }
    if parts.method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response();
    }
    match Path::from_request_parts(&mut parts, &()).await {
        Ok(Path(address)) => take(app, address, parts.headers, body).await,
        Err(odd) => odd.into_response(),
    }
}

async fn take(app: &App, (provider, endpoint): (String, String), headers: HeaderMap, body: Body) -> Response {
    // Before the body is read: whoever does not know an endpoint costs nothing.
    let Ok(limit) = timeout(DATABASE_PATIENCE, app.webhooks.limit(&provider, &endpoint)).await else {
        return unanswered(app, &provider, NOT_STORED);
    };
    let Some(limit) = limit else {
        return (StatusCode::NOT_FOUND, "there is no such webhook endpoint\n").into_response();
    };
    if !is_utf8(&headers) || is_packed(&headers) {
        app.metrics.delivery(&provider, "unsupported");
        let message = "send the body in UTF-8, without a Content-Encoding\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    let mut share = Share::none(&app.budget);
    let announced = announced_length(&headers);
    let body = match read(body, announced, limit, &mut share, app.webhook_timeout).await {
        Ok(body) => body,
        Err(failure) => {
            let (status, result) = match failure {
                Failure::Body(body::Failure::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
                Failure::Body(body::Failure::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                Failure::Body(body::Failure::Broken) => (StatusCode::BAD_REQUEST, "broken"),
                Failure::Slow => (StatusCode::REQUEST_TIMEOUT, "slow"),
            };
            app.metrics.delivery(&provider, result);
            let mut response = status.into_response();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                *response.body_mut() = Body::from("the delivery was not stored, too many arrive: send it again\n");
                response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("5"));
            }
            return response;
        }
    };
    let delivery = Delivery { provider, endpoint, headers, body, now: app.clock.now() };
    let known = delivery.provider.clone();
    // Written all the same: when the provider sends it again, it is a duplicate.
    let Ok(answer) = timeout(STORE_PATIENCE, app.webhooks.receive(delivery)).await else {
        return unanswered(app, &known, PERHAPS_STORED);
    };
    drop(share);
    (answer.status, answer.headers, answer.body).into_response()
}

/// The database does not answer: the provider is told before it gives up, and tries again.
fn unanswered(app: &App, provider: &str, message: &'static str) -> Response {
    app.metrics.delivery(provider, "failed");
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], message).into_response()
}

async fn read(
    body: Body,
    announced: Option<usize>,
    limit: usize,
    share: &mut Share,
    time: Duration,
) -> Result<Bytes, Failure> {
    let expected = announced.or_else(|| body.size_hint().exact().and_then(|hint| usize::try_from(hint).ok()));
    if expected.is_some_and(|length| length > limit) {
        return Err(Failure::Body(body::Failure::TooLarge));
    }
    let read = timeout(time, collect(body, limit, share)).await.map_err(|_| Failure::Slow)?;
    Ok(read.map_err(Failure::Body)?.freeze())
}
