//! Whether the process lives, whether it wants traffic, and its metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use serde_json::json;
use tokio::time::timeout;

use super::App;

/// Whether traffic is welcome: from the end of the start to the beginning of the end.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Traffic is welcome, or no longer.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether it is.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

pub(super) fn router(app: &Arc<App>) -> Router {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(Arc::clone(app))
}

async fn live() -> Response {
    Json(json!({ "status": "live" })).into_response()
}

/// How long the database may take to answer: whoever asks is about to give up, too.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks what no request can do without, and no provider: providers may be away while everything else is served. The answer names
/// each part that is not well (`reasons`); `reason` is the first of them.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut reasons = app.checks.failing();
    if app.shutdown.is_cancelled() {
        reasons.insert("server", "the server ends".to_owned());
    } else if !app.readiness.get() {
        reasons.insert("server", "the server has not started yet".to_owned());
    } else {
        let looked = timeout(PATIENCE, app.database.look()).await;
        if let Err(reason) = looked.unwrap_or_else(|_| Err("the database does not answer".to_owned())) {
            reasons.entry("database").or_insert(reason);
        }
    }
    let Some(reason) = reasons.values().next() else { return Json(json!({ "status": "ready" })).into_response() };
    let answer = json!({ "status": "not ready", "reason": reason, "reasons": reasons });
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    app.metrics.quota.forget_reset(app.clock.now());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.encode()).into_response()
}
