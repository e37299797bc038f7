//! Health: what the process says of itself, to probes.

use std::{sync::atomic::Ordering, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{gateway, get};
use crate::{fake, http::router};

#[tokio::test]
async fn readiness_asks_the_database_and_does_not_wait_for_it() {
    let gateway = gateway().await;
    for (health, status, reason) in [
        (fake::BROKEN, StatusCode::SERVICE_UNAVAILABLE, "the database does not answer"),
        (fake::HANGING, StatusCode::SERVICE_UNAVAILABLE, "the database does not answer"),
        (fake::WELL, StatusCode::OK, "ready"),
    ] {
        gateway.stand_in.health.store(health, Ordering::Release);
        let asked = timeout(Duration::from_secs(10), get(&gateway, "/health/ready")).await.unwrap();
        assert_eq!(asked.0, status, "{}", asked.1);
        assert!(asked.1.contains(reason), "{}", asked.1);
        assert_eq!(get(&gateway, "/health/live").await.0, StatusCode::OK);
    }
    gateway.app.readiness.set(false);
    let (status, body) = get(&gateway, "/health/ready").await;
    assert_eq!((status, body.contains("not started")), (StatusCode::SERVICE_UNAVAILABLE, true), "{body}");
}

#[tokio::test]
async fn readiness_names_the_background_task_that_keeps_ending() {
    let gateway = gateway().await;
    let stop = CancellationToken::new();
    let begin = || async { panic!("on purpose") };
    gateway.supervisor.supervise(&TaskTracker::new().into(), "worker", &stop, begin);
    let asked = async || {
        tokio::task::yield_now().await;
        gateway.app.checks.round().await;
        get(&gateway, "/health/ready").await
    };
    let failing = async {
        loop {
            let (status, body) = asked().await;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                return body;
            }
        }
    };
    let body = timeout(Duration::from_secs(20), failing).await.expect("it stays ready");
    let body: Value = serde_json::from_str(&body).unwrap();
    let reason = "background tasks keep ending: worker; the log says why";
    assert_eq!((&body["reason"], &body["reasons"]), (&json!(reason), &json!({ "tasks": reason })));
    stop.cancel();
}

#[tokio::test]
async fn health_follows_readiness() {
    let gateway = gateway().await;
    assert_eq!(get(&gateway, "/health/live").await.0, StatusCode::OK);
    assert_eq!(get(&gateway, "/health/ready").await.0, StatusCode::OK);
    assert!(get(&gateway, "/metrics").await.1.contains("mullion_request_seconds"));
    gateway.app.shutdown.cancel();
    assert_eq!(get(&gateway, "/health/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&gateway, "/health/live").await.0, StatusCode::OK);
    for path in ["/metrics", "/health/live"] {
        let request = Request::get(path).header(header::HOST, "localhost").body(Body::empty()).unwrap();
        let response = router(&gateway.app, false).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
