//! The host on a small world of its own: a list of notes with webhooks and a handshake.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, Request, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ActError, Acted, ApiRequest, ApiResponse, CallOutcome, HandshakeAnswer, OutgoingWebhook, Rejection, Sandbox,
    delivery::Courier,
    host::{HostOptions, SandboxHost},
    journal::Journal,
};
use crate::clock::FixedClock;

#[derive(Default)]
struct Notes {
    mount: &'static str,
    name: &'static str,
    written: Mutex<Vec<String>>,
    targets: Mutex<Vec<String>>,
}

fn webhook(url: &str, body: &str) -> OutgoingWebhook {
    OutgoingWebhook {
        url: url.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        challenge: None,
    }
}

#[async_trait]
impl Sandbox for Notes {
    fn provider(&self) -> &'static str {
        self.name
    }

    fn mount(&self) -> &'static str {
        self.mount
    }

    async fn call(&self, now: DateTime<Utc>, request: ApiRequest) -> CallOutcome {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        match (request.method().as_str(), request.uri().path()) {
            ("POST", "/notes") => {
                self.written.lock().push(format!("{body} at {}", now.timestamp()));
                CallOutcome::answer(Response::new(Bytes::new()))
            }
            ("POST", "/hooks") => match request.extensions().get::<HandshakeAnswer>() {
                Some(HandshakeAnswer { answer: Some((StatusCode::OK, _)), .. }) => {
                    self.targets.lock().push(body);
                    CallOutcome::answer(Response::new(Bytes::new()))
                }
                Some(_) => CallOutcome::answer(Response::builder().status(403).body(Bytes::new()).unwrap()),
                None => {
                    let mut outcome = CallOutcome::answer(Response::new(Bytes::new()));
                    outcome.handshake = Some(webhook(&body, "handshake"));
                    outcome
                }
            },
            _ => CallOutcome::answer(Response::new(Bytes::from(request.uri().to_string()))),
        }
    }

    fn act(&self, now: DateTime<Utc>, action: &str, input: &Value) -> Result<Acted, ActError> {
        match action {
            "write" => {
                let text =
                    input["text"].as_str().ok_or_else(|| ActError::BadInput("`text` must be text".to_owned()))?;
                self.written.lock().push(format!("{text} at {}", now.timestamp()));
                let webhooks = self.targets.lock().iter().map(|url| webhook(url, text)).collect();
                Ok(Acted { result: json!({ "text": text }), webhooks })
            }
            "lose" => Err(ActError::NotFound("note 7".to_owned())),
            other => Err(ActError::Unknown(other.to_owned())),
        }
    }

    fn acts(&self) -> Vec<(&'static str, Value)> {
        vec![("write", json!({ "text": "hello" })), ("lose", json!({}))]
    }

    fn gentle(&self, n: u64) -> (&'static str, Value) {
        ("write", if n == 1 { json!({}) } else { json!({ "text": format!("gentle {n}") }) })
    }

    fn rejection(&self, _: DateTime<Utc>, _: &ApiRequest, rejection: Rejection) -> ApiResponse {
        Response::builder().status(429).body(Bytes::from(format!("{rejection:?}"))).unwrap()
    }

    fn add_webhook(&self, url: &str, _: &str) {
        self.targets.lock().push(url.to_owned());
    }
}

/// Answers 200, writes down what it carried; "…/down" cannot be reached.
#[derive(Default)]
struct Notebook(Mutex<Vec<String>>);

#[async_trait]
impl Courier for Notebook {
    async fn post(&self, webhook: OutgoingWebhook) -> Option<(StatusCode, HeaderMap, Bytes)> {
        tokio::task::yield_now().await;
        self.0.lock().push(format!("{} {}", webhook.url, String::from_utf8_lossy(&webhook.body)));
        (!webhook.url.ends_with("/down")).then(|| (StatusCode::OK, HeaderMap::new(), Bytes::new()))
    }
}

struct World {
    host: SandboxHost,
    notes: Arc<Notes>,
    courier: Arc<Notebook>,
    token: CancellationToken,
    tracker: TaskTracker,
}

async fn world(folder: Option<&std::path::Path>) -> World {
    let base = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let notes = Arc::new(Notes { mount: "/notes/api", name: "notes", ..Notes::default() });
    let outer = Arc::new(Notes { mount: "/notes", name: "outer", ..Notes::default() });
    let (courier, token, tracker) = (Arc::new(Notebook::default()), CancellationToken::new(), TaskTracker::new());
    let options = HostOptions {
        clock: Arc::new(FixedClock::at(base)),
        courier: courier.clone(),
        journals: folder.map(|folder| Journal::open(folder, "notes", 1, base).unwrap()).into_iter().collect(),
        tracker: tracker.clone(),
        token: token.clone(),
    };
    let host = SandboxHost::new(vec![notes.clone(), outer], options).await;
    World { host, notes, courier, token, tracker }
}

async fn send(world: &World, method: &str, uri: &str, body: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(uri).body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let response = world.host.handle(request).await;
    (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap().trim().to_owned())
}

async fn json(world: &World, method: &str, uri: &str, body: &str) -> (u16, Value) {
    let (status, body) = send(world, method, uri, body).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn the_longest_mount_wins_and_sees_a_relative_path() {
    let world = world(None).await;
    let table = [
        ("/notes/api/a/b?c=d", "/a/b?c=d", "notes"),
        ("/notes/api", "/", "notes"),
        ("/notes/apis?x", "/apis?x", "outer"),
    ];
    for (uri, relative, provider) in table {
        send(&world, "POST", "/_sandbox/stats/reset", "").await;
        assert_eq!(send(&world, "GET", uri, "").await, (200, relative.to_owned()));
        assert_eq!(json(&world, "GET", "/_sandbox/stats", "").await.1[provider]["total"], 1, "{uri}");
    }
    assert_eq!(send(&world, "GET", "/nowhere", "").await.0, 404);
    let stats = send(&world, "GET", "/_sandbox/stats", "").await.1;
    assert_eq!(stats, r#"{"notes":{"total":0,"paths":{}},"outer":{"total":1,"paths":{"GET /apis":1}}}"#);
}

#[tokio::test]
async fn an_act_answers_with_its_result_and_sends_its_webhooks_in_order() {
    let world = world(None).await;
    world.notes.add_webhook("http://a/up", "");
    world.notes.add_webhook("http://a/down", "");
    for n in 0..3 {
        let (status, body) = json(&world, "POST", "/_sandbox/notes/write", &format!(r#"{{"text":"{n}"}}"#)).await;
        assert_eq!((status, body), (200, json!({"result": {"text": n.to_string()}, "webhooks": 2})));
    }
    let (_, body) = json(&world, "POST", "/_sandbox/notes/write?wait=true", r#"{"text":"3"}"#).await;
    let statuses: Vec<&Value> = body["deliveries"].as_array().unwrap().iter().map(|each| &each["status"]).collect();
    assert_eq!(statuses, [&json!(200), &Value::Null]);
    let sent: Vec<String> = (0..4).flat_map(|n| [format!("http://a/up {n}"), format!("http://a/down {n}")]).collect();
    assert_eq!(*world.courier.0.lock(), sent);
    let log = json(&world, "GET", "/_sandbox/deliveries", "").await.1;
    assert_eq!(log["deliveries"].as_array().unwrap().len(), 8);
    let first = json!({"provider": "notes", "url": "http://a/up", "status": 200, "at": "2023-11-14T22:13:20.000Z"});
    assert_eq!(log["deliveries"][0], first);
}

#[tokio::test]
async fn a_webhook_can_be_set_up_over_the_control_api() {
    let world = world(None).await;
    let target = r#"{"url":"http://a/up","secret":"s"}"#;
    let (status, body) = json(&world, "POST", "/_sandbox/notes/webhooks", target).await;
    assert_eq!((status, body), (200, json!({"url": "http://a/up"})));
    json(&world, "POST", "/_sandbox/notes/write?wait=true", r#"{"text":"1"}"#).await;
    assert_eq!(*world.courier.0.lock(), ["http://a/up 1"]);
    assert_eq!(json(&world, "GET", "/_sandbox/notes/recorded", "").await.1, json!({"recorded": null}));
}

#[tokio::test]
async fn bad_control_requests_get_a_clear_error() {
    let world = world(None).await;
    let fault = |rest: &str| format!(r#"{{"provider":"notes","kind":"timeout",{rest}}}"#);
    let table = [
        ("POST", "/_sandbox/notes/write", "{".to_owned(), 400, "no JSON"),
        ("POST", "/_sandbox/notes/write", "[]".to_owned(), 400, "JSON object"),
        ("POST", "/_sandbox/notes/write", "\u{0}".to_owned(), 400, "no JSON"),
        ("POST", "/_sandbox/notes/write", String::new(), 400, "`text`"),
        ("POST", "/_sandbox/notes/write?wait=maybe", String::new(), 400, "`wait`"),
        ("POST", "/_sandbox/notes/write?later=1", String::new(), 400, "`later`"),
        ("POST", "/_sandbox/notes/lose", String::new(), 404, "note 7 is not in the sandbox's world"),
        ("POST", "/_sandbox/notes/sing", String::new(), 404, "there are write, lose"),
        ("POST", "/_sandbox/none/write", String::new(), 404, "there are notes, outer"),
        ("POST", "/_sandbox/none/webhooks", String::new(), 404, "there are notes, outer"),
        ("POST", "/_sandbox/notes/webhooks", "{}".to_owned(), 400, "`url`"),
        ("POST", "/_sandbox/notes/webhooks", r#"{"url":"nowhere","secret":""}"#.to_owned(), 400, "relative URL"),
        ("POST", "/_sandbox/notes/webhooks", r#"{"url":"ftp://a/","secret":""}"#.to_owned(), 400, "http"),
        ("GET", "/_sandbox/none/recorded", String::new(), 404, "there are notes, outer"),
        ("GET", "/_sandbox/notes/write", String::new(), 405, "GET"),
        ("GET", "/_sandbox/a/b/c", String::new(), 404, "/_sandbox"),
        ("POST", "/_sandbox/faults", String::new(), 400, "provider"),
        ("POST", "/_sandbox/faults", fault(r#""times":-1"#), 400, "-1"),
        ("POST", "/_sandbox/faults", fault(r#""times":0"#), 400, "`times`"),
        ("POST", "/_sandbox/faults", fault(r#""colour":1"#), 400, "colour"),
        ("POST", "/_sandbox/faults", r#"{"provider":"jira","kind":"timeout"}"#.to_owned(), 400, "notes, outer"),
        ("POST", "/_sandbox/faults", r#"{"provider":"notes","kind":"flood"}"#.to_owned(), 400, "flood"),
    ];
    for (method, uri, body, status, part) in table {
        let (answered, error) = json(&world, method, uri, &body).await;
        let message = error["error"]["message"].as_str().unwrap();
        assert!(answered == status && message.contains(part), "{method} {uri} {body}: {answered} {message}");
        let code = match status {
            400 => "BAD_USER_INPUT",
            404 => "NOT_FOUND",
            _ => "METHOD_NOT_ALLOWED",
        };
        assert_eq!(error["error"]["code"], code);
    }
}

#[tokio::test]
async fn faults_come_and_go() {
    let world = world(None).await;
    let input = r#"{"provider":"notes","kind":"rate_limit","path":"/b","times":1,"retryAfter":3}"#;
    let (status, fault) = json(&world, "POST", "/_sandbox/faults", input).await;
    assert_eq!((status, &fault["id"], &fault["times"]), (200, &json!(1), &json!(1)));
    assert_eq!(send(&world, "GET", "/notes/api/a", "").await.0, 200);
    assert_eq!(send(&world, "GET", "/notes/api/b", "").await, (429, "RateLimited { retry_after: 3 }".to_owned()));
    assert_eq!(send(&world, "GET", "/notes/api/b", "").await.0, 200);
    send(&world, "POST", "/_sandbox/faults", r#"{"provider":"notes","kind":"timeout","latencyMs":1}"#).await;
    assert_eq!(send(&world, "GET", "/notes/api/b", "").await.0, 504);
    assert_eq!(json(&world, "DELETE", "/_sandbox/faults", "").await.1, json!({"cleared": 1}));
    assert_eq!(json(&world, "GET", "/_sandbox/faults", "").await.1, json!({"faults": []}));
    assert_eq!(json(&world, "GET", "/_sandbox/stats", "").await.1["notes"]["total"], 4, "refused calls count too");
}

#[tokio::test]
async fn acts_and_writing_calls_survive_a_restart_without_webhooks() {
    let folder = tempfile::tempdir().unwrap();
    let first = world(Some(folder.path())).await;
    assert_eq!(send(&first, "POST", "/notes/api/hooks", "http://a/up").await.0, 200);
    assert_eq!(send(&first, "POST", "/notes/api/hooks", "http://a/down").await.0, 403);
    assert_eq!(*first.courier.0.lock(), ["http://a/up handshake", "http://a/down handshake"]);
    send(&first, "POST", "/_sandbox/notes/write", r#"{"text":"one"}"#).await;
    send(&first, "POST", "/notes/api/notes", "two").await;
    send(&first, "GET", "/notes/api/notes", "").await;
    send(&first, "POST", "/_sandbox/notes/write", "{}").await;
    let second = world(Some(folder.path())).await;
    assert_eq!(*second.notes.written.lock(), ["one at 1700000000", "two at 1700000000"]);
    assert_eq!(*second.notes.targets.lock(), ["http://a/up"]);
    assert!(second.courier.0.lock().is_empty());
}

#[tokio::test]
async fn gentle_traffic_takes_turns_and_gets_over_an_act_that_does_not_fit() {
    let world = world(None).await;
    let stop = CancellationToken::new();
    let watch = async {
        while world.notes.written.lock().len() < 3 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    tokio::join!(world.host.run_gentle(Duration::from_micros(10), stop.clone()), watch);
    let notes: Vec<String> = world.notes.written.lock().iter().take(3).cloned().collect();
    assert_eq!(notes, ["gentle 0 at 1700000000", "gentle 2 at 1700000000", "gentle 3 at 1700000000"]);
}

#[tokio::test]
async fn the_tasks_end_when_they_are_told_to() {
    let world = world(None).await;
    world.token.cancel();
    world.tracker.close();
    world.tracker.wait().await;
    world.notes.add_webhook("http://a/up", "");
    assert_eq!(send(&world, "POST", "/_sandbox/notes/write?wait=true", r#"{"text":"x"}"#).await.0, 503);
}

#[tokio::test]
async fn the_listing_tells_acts_with_examples_and_endpoints() {
    let (status, listing) = json(&world(None).await, "GET", "/_sandbox", "").await;
    assert_eq!(status, 200);
    let act = json!({"name": "write", "path": "/_sandbox/notes/write", "example": {"text": "hello"}});
    assert_eq!(listing["providers"][0]["acts"][0], act);
    assert_eq!(listing["endpoints"][0]["path"], "/_sandbox");
}
