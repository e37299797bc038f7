//! `POST /webhooks/{provider}/{endpoint}`: takes a delivery's bytes within its limits. Their meaning is decided behind it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    body::{Body, HttpBody},
    extract::{FromRequestParts, Path, Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use mullion_resolvers::{
    inbox::{Inbox, WebhookAnswer},
    provider::WebhookRequest,
};
use serde::Deserialize;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{
    App,
    body::{self, announced_length, collect, is_packed, is_utf8},
    budget::Share,
    context,
};
use crate::{operation::DATABASE_PATIENCE, shielded::Shielded};

/// How long storing a delivery may take: GitHub gives up after 10 s.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The text of a 503 about the delivery.
const NOT_STORED: &str = "the delivery was not stored: send it again\n";
/// The same where that is not known.
const PERHAPS_STORED: &str =
    "the delivery may have been stored: send it again, under the same delivery id it counts once\n";

/// Receives deliveries: the [`Inbox`], and the stand-in of tests.
#[async_trait]
pub trait ReceiveDeliveries: Send + Sync {
    /// The longest body that this endpoint takes; `None` when there is no such endpoint.
    async fn limit(&self, provider: &str, endpoint: &str) -> Option<usize>;

    /// Verifies and stores one delivery. The answer is given when it is on disk.
    async fn receive(&self, provider: &str, endpoint: &str, request: WebhookRequest) -> WebhookAnswer;
}

#[async_trait]
impl ReceiveDeliveries for Inbox {
    async fn limit(&self, provider: &str, endpoint: &str) -> Option<usize> {
        Self::limit(self, provider, endpoint).await
    }

    async fn receive(&self, provider: &str, endpoint: &str, request: WebhookRequest) -> WebhookAnswer {
        Self::receive(self, provider, endpoint, request).await
    }
}

/// The endpoint that a delivery is sent to.
#[derive(Debug, Clone, Deserialize)]
struct Address {
    /// `github`
    provider: String,
    /// The endpoint of one integration.
    endpoint: String,
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

async fn take(app: &App, address: Address, headers: HeaderMap, body: Body) -> Response {
    let Address { provider, endpoint } = address;
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
    let mut share = Share::none(&app.budget, &endpoint, limit);
    let announced = announced_length(&headers);
    let body = match read(body, announced, limit, &mut share, app.webhook_timeout).await {
        Ok(body) => body,
        Err(failure) => {
            let (status, result) = match failure {
                Failure::Body(body::Failure::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
                Failure::Body(body::Failure::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                Failure::Body(body::Failure::Broken) => (StatusCode::BAD_REQUEST, "broken"),
                Failure::Body(body::Failure::Stalled) | Failure::Slow => (StatusCode::REQUEST_TIMEOUT, "slow"),
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
    let request = WebhookRequest { headers, body, received_at: app.clock.now() };
    // A provider that hangs up, or a patience that ends, does not cut off a write that has begun: when the provider sends the
    // delivery again, it is a duplicate.
    let (webhooks, name) = (Arc::clone(&app.webhooks), provider.clone());
    let received = async move { webhooks.receive(&name, &endpoint, request).await };
    let received = Shielded::new(received.in_current_span(), &app.tasks);
    let Ok(answer) = timeout(STORE_PATIENCE, received).await else {
        return unanswered(app, &provider, PERHAPS_STORED);
    };
    app.metrics.delivery(&provider, answer.result);
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
