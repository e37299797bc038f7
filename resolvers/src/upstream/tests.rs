//! The transport against a hand-written server on a socket: what it sends, repeats, keeps and refuses.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::DateTime;
use mullion_schema::id::IntegrationId;
use opentelemetry::{Context, trace::TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tracing::{
    Event, Instrument as _, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    layer::{self, SubscriberExt as _},
    registry::LookupSpan,
};
use url::Url;

use super::{
    AddressGuard, CircuitState, HttpTransport, Jitter, Limits, NoObserver, QuotaReading, TokenSource, Transport,
    Upstream, UpstreamError, UpstreamErrorKind, UpstreamRequest, UpstreamResponse, UsageLog,
};
use crate::{clock::FixedClock, secret::Secret, trace_context::TraceContext};

struct Token;

#[async_trait]
impl TokenSource for Token {
    async fn token(&self) -> Result<Secret, UpstreamError> {
        Ok("t0ken".into())
    }
}

/// A server that gives these answers one after the other, the last one again and again, and remembers the requests.
struct Server {
    url: Url,
    requests: Arc<Mutex<Vec<String>>>,
    at_once: Arc<AtomicUsize>,
}

impl Server {
    async fn answering(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/api/", listener.local_addr().expect("an address")).parse().expect("a URL");
        let (requests, at_once) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let server = Self { url, requests: Arc::clone(&requests), at_once: Arc::clone(&at_once) };
        let running = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (requests, at_once, running) = (requests.clone(), at_once.clone(), running.clone());
                tokio::spawn(async move {
                    let request = read_head(&mut stream).await;
                    at_once.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let number = {
                        let mut requests = requests.lock();
                        requests.push(request);
                        requests.len() - 1
                    };
                    let answer = answers[number.min(answers.len() - 1)];
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    if answer == "HANG" {
                        tokio::time::sleep(Duration::from_mins(1)).await;
                    }
                    stream.write_all(&to_wire(answer)).await.ok();
                });
            }
        });
        server
    }

    fn count(&self) -> usize {
        self.requests.lock().len()
    }

    fn get(&self, path: &str) -> UpstreamRequest {
        UpstreamRequest::get(self.url.join(path).expect("a URL"), "core")
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// `200|Header: value|body`: the first part is the status, the last the body.
fn to_wire(answer: &str) -> Vec<u8> {
    let parts: Vec<&str> = answer.split('|').collect();
    let (status, body) = (parts[0], parts[parts.len() - 1]);
    let headers: String = parts[1..parts.len() - 1].iter().flat_map(|header| [header, "\r\n"]).collect();
    format!("HTTP/1.1 {status} X\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

fn transport_with(server: &Server, limits: Limits) -> (FixedClock, Arc<HttpTransport>) {
    let clock = FixedClock::at(DateTime::UNIX_EPOCH);
    let guard = AddressGuard::new(["127.0.0.1"]);
    let upstream = Upstream::new(guard, limits, Arc::new(clock.clone()), Arc::new(NoObserver), Jitter::fixed(0.0));
    (clock, upstream.transport("acme", "i1".into(), server.url.clone(), Arc::new(Token)))
}

fn transport(server: &Server) -> Arc<HttpTransport> {
    transport_with(server, Limits::default()).1
}

#[tokio::test]
async fn a_call_carries_the_token_and_our_name() {
    let server = Server::answering(&["200|{}"]).await;
    let response = transport(&server).send(server.get("user")).await.expect("an answer");
    assert_eq!(&response.body[..], b"{}");
    let request = server.requests.lock()[0].to_lowercase();
    assert!(request.starts_with("get /api/user http/1.1"), "{request}");
    assert!(request.contains("authorization: bearer t0ken\r\n"), "{request}");
    assert!(request.contains(concat!("user-agent: mullion/", env!("CARGO_PKG_VERSION"), "\r\n")), "{request}");
}

/// Takes the spans of traces.
#[derive(Debug)]
struct Untaken;

impl SpanProcessor for Untaken {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test]
async fn a_call_within_a_trace_names_a_span_of_its_own_and_no_other_call_names_one() {
    let server = Server::answering(&["200|{}"]).await;
    let transport = transport(&server);
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let provider = SdkTracerProvider::builder().with_span_processor(Untaken).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    {
        let _traced = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let span = tracing::error_span!("execution");
        TraceContext::parse(&format!("00-{trace}-{parent}-01")).expect("a trace").adopt(&span);
        transport.send(server.get("user")).instrument(span).await.expect("an answer");
    }
    transport.send(server.get("user")).await.expect("an answer");
    let requests = server.requests.lock();
    let named = |request: &str| {
        let header = request.lines().find_map(|line| line.strip_prefix("traceparent: "))?.trim().to_owned();
        Some(header.split('-').map(str::to_owned).collect::<Vec<_>>())
    };
    let first = named(&requests[0]).expect("a trace");
    assert_eq!((&*first[1], &*first[3]), (trace, "01"));
    assert_ne!(first[2], parent);
    assert_eq!(named(&requests[1]), None);
}

/// The lines about failed calls, each with the id of its request.
#[derive(Clone, Default)]
struct FailedCalls(Arc<Mutex<Vec<(String, String)>>>);

#[derive(Default)]
struct Line(BTreeMap<&'static str, String>);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for FailedCalls {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        let mut line = Line::default();
        attributes.record(&mut line);
        context.span(id).expect("the span").extensions_mut().insert(line);
    }

    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.0.get("message").is_none_or(|message| message != "a call to a provider failed") {
            return;
        }
        let mut spans = context.event_scope(event).into_iter().flatten();
        let request = spans.find_map(|span| span.extensions().get::<Line>()?.0.get("requestId").cloned());
        self.0.lock().push((request.unwrap_or_default(), line.0["error"].clone()));
    }
}

#[tokio::test]
async fn each_failed_call_is_logged_with_its_cause_and_its_request() {
    let server = Server::answering(&["500|", "500|", "401|", "404|", "401|"]).await;
    let (transport, calls) = (transport(&server), FailedCalls::default());
    {
        let _logged = tracing::subscriber::set_default(tracing_subscriber::registry().with(calls.clone()));
        for request in ["r-1", "r-2", "r-3", "r-4", "r-5"] {
            let mut call = server.get("user");
            call.repeatable = false;
            let span = tracing::error_span!("request", requestId = request);
            drop(transport.send(call).instrument(span).await);
        }
    }
    let (down, refused) = ("the provider answered 500", "the credential is not accepted");
    let remembered = "the credential was not accepted a moment ago";
    let expected = [("r-1", down), ("r-2", down), ("r-3", refused), ("r-4", remembered), ("r-5", remembered)];
    assert_eq!(*calls.0.lock(), expected.map(|(request, cause)| (request.to_owned(), cause.to_owned())));
}

#[tokio::test]
async fn what_may_be_repeated_is_repeated_and_nothing_else() {
    type Case = (&'static [&'static str], bool, usize, Result<u16, UpstreamErrorKind>);
    let cases: &[Case] = &[
        (&["503|", "502|", "200|ok"], true, 3, Ok(200)),
        (&["504|", "504|", "504|", "200|ok"], true, 3, Err(UpstreamErrorKind::Down)),
        (&["503|Retry-After: 0|", "200|ok"], true, 2, Ok(200)),
        (&["503|Retry-After: 60|", "200|ok"], true, 1, Err(UpstreamErrorKind::Down)),
        (&["503|", "200|ok"], false, 1, Err(UpstreamErrorKind::Down)),
        (&["500|", "200|ok"], true, 2, Ok(200)),
        (&["500|", "200|ok"], false, 1, Err(UpstreamErrorKind::Down)),
        (&["501|", "200|ok"], true, 1, Err(UpstreamErrorKind::Down)),
        (&["200|oops", "200|ok"], true, 2, Ok(200)),
        (&["200|oops", "200|ok"], false, 1, Ok(200)),
        (&["429|Retry-After: 1|", "200|ok"], true, 1, Ok(429)),
        (&["404|{}"], true, 1, Ok(404)),
    ];
    for (answers, repeatable, calls, expected) in cases {
        let server = Server::answering(answers).await;
        let oops = |response: &UpstreamResponse| (&response.body[..] == b"oops").then_some(UpstreamErrorKind::Down);
        let mut request = server.get("x").failing_by(oops);
        request.repeatable = *repeatable;
        let outcome = transport(&server).send(request).await;
        assert_eq!(outcome.map(|r| r.status.as_u16()).map_err(|e| e.kind), *expected, "{answers:?}");
        assert_eq!(server.count(), *calls, "{answers:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_an_outage_and_opens_the_circuit() {
    let mut server = Server::answering(&["200|ok"]).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    server.url = format!("http://{}/", closed.local_addr().expect("an address")).parse().expect("a URL");
    drop(closed);
    let down = transport(&server);
    // Three attempts, then two, and the circuit opens between them.
    assert_eq!(down.send(server.get("x")).await.expect_err("down").kind, UpstreamErrorKind::Down);
    down.send(server.get("x")).await.expect_err("down or paused");
    assert_eq!(down.circuit(), CircuitState::Open);
    let error = down.send(server.get("x")).await.expect_err("paused");
    assert_eq!(error.kind, UpstreamErrorKind::CircuitOpen);
    assert!(error.retry_after.is_some());
    assert!(down.health().last_error.expect("an error").contains("could not be reached"));
}

#[tokio::test]
async fn an_etag_is_sent_again_and_a_304_is_answered_from_the_copy() {
    let server =
        Server::answering(&["200|ETag: \"a\"|X-Remaining: 9|first", "304|X-Remaining: 8|", "200|ETag: \"b\"|second"])
            .await;
    let transport = transport(&server);
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let response = transport.send(server.get("runs").revalidate()).await.expect("an answer");
        bodies.push((response.status.as_u16(), response.headers.get("x-remaining").cloned(), response.body));
    }
    let value = |text: &'static str| Some(http::HeaderValue::from_static(text));
    assert_eq!(
        bodies,
        [(200, value("9"), "first".into()), (200, value("8"), "first".into()), (200, None, "second".into())]
    );
    let requests = server.requests.lock();
    assert!(!requests[0].contains("if-none-match"));
    assert!(requests[1].contains("if-none-match: \"a\""), "{}", requests[1]);
}

#[tokio::test]
async fn a_redirect_to_another_host_and_a_foreign_link_are_refused() {
    let server = Server::answering(&["302|Location: http://localhost:9/|"]).await;
    let transport = transport(&server);
    let error = transport.send(server.get("x")).await.expect_err("refused");
    assert_eq!(error.kind, UpstreamErrorKind::AddressRefused);
    let foreign = UpstreamRequest::get("https://evil.example/x".parse().expect("a URL"), "core");
    assert_eq!(transport.send(foreign).await.expect_err("refused").kind, UpstreamErrorKind::AddressRefused);
    assert_eq!(server.count(), 1);
    assert_eq!(transport.circuit(), CircuitState::Closed);
}

#[tokio::test]
async fn a_redirect_at_home_is_followed() {
    let server = Server::answering(&["301|Location: /api/y|", "200|moved"]).await;
    let response = transport(&server).send(server.get("x")).await.expect("an answer");
    assert_eq!(&response.body[..], b"moved");
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_refused() {
    let clock = Arc::new(FixedClock::at(DateTime::UNIX_EPOCH));
    let limits = Limits { timeout: Duration::from_secs(2), ..Limits::default() };
    let upstream = Upstream::new(AddressGuard::default(), limits, clock, Arc::new(NoObserver), Jitter::fixed(0.0));
    for base in ["https://localhost/", "https://127.0.0.1:4001/", "http://api.github.com/"] {
        let base: Url = base.parse().expect("a URL");
        let transport = upstream.transport("acme", "i1".into(), base.clone(), Arc::new(Token));
        let error = transport.send(UpstreamRequest::get(base, "core")).await.expect_err("refused");
        assert_eq!(error.kind, UpstreamErrorKind::AddressRefused, "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_too_late_is_an_error() {
    let server = Server::answering(&["200|0123456789"]).await;
    let (_, small) = transport_with(&server, Limits { body_bytes: 9, ..Limits::default() });
    assert_eq!(small.send(server.get("x")).await.expect_err("large").kind, UpstreamErrorKind::Rejected);
    let server = Server::answering(&["HANG"]).await;
    let (_, hasty) = transport_with(&server, Limits { timeout: Duration::from_millis(100), ..Limits::default() });
    assert_eq!(hasty.send(server.get("x")).await.expect_err("late").kind, UpstreamErrorKind::Timeout);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn while_a_quota_is_known_to_be_used_up_nothing_that_draws_on_it_leaves() {
    let server = Server::answering(&["200|ok"]).await;
    let (clock, transport) = transport_with(&server, Limits::default());
    let quota = |remaining, resets_at| QuotaReading { bucket: "core", limit: None, remaining, resets_at };
    let reset = DateTime::from_timestamp(60, 0);
    transport.quota(quota(Some(0), reset));
    let error = transport.send(server.get("x")).await.expect_err("refused");
    assert_eq!((error.kind, error.retry_after), (UpstreamErrorKind::RateLimited, Some(Duration::from_mins(1))));
    let revalidated = transport.send(server.get("x").revalidate()).await;
    assert_eq!(revalidated.expect_err("refused").kind, UpstreamErrorKind::RateLimited);
    assert_eq!((server.count(), transport.health().calls), (0, 0));
    assert!(transport.send(server.get("x").drawing_on("other")).await.is_ok(), "another quota");
    clock.advance(chrono::Duration::seconds(60));
    assert!(transport.send(server.get("x")).await.is_ok(), "it is full again");
    for unclear in [quota(Some(0), None), quota(None, DateTime::from_timestamp(999, 0)), quota(Some(1), reset)] {
        transport.quota(unclear.clone());
        assert!(transport.send(server.get("x")).await.is_ok(), "{unclear:?}");
    }
}

/// The uses, in order.
#[derive(Default)]
struct Uses(Mutex<Vec<(&'static str, i64)>>);

impl UsageLog for Uses {
    fn used(&self, _: &IntegrationId, bucket: &'static str, units: i64) {
        self.0.lock().push((bucket, units));
    }
}

#[tokio::test]
async fn every_call_that_the_provider_took_on_is_counted() {
    let answers = &["200|ok", "502|", "304|", "429|", "404|{}"];
    let server = Server::answering(answers).await;
    let (clock, uses) = (FixedClock::at(DateTime::UNIX_EPOCH), Arc::new(Uses::default()));
    let guard = AddressGuard::new(["127.0.0.1"]);
    let upstream = Upstream::new(guard, Limits::default(), Arc::new(clock), Arc::new(NoObserver), Jitter::fixed(0.0));
    let upstream = upstream.with_usage_log(Arc::clone(&uses) as _);
    let transport = upstream.transport("acme", "i1".into(), server.url.clone(), Arc::new(Token));
    for units in [4, 1, 1, 1, 1] {
        let mut request = server.get("x").using(units);
        request.repeatable = false;
        let _whatever_came = transport.send(request).await;
    }
    transport.used("graphql", 3);
    assert_eq!(*uses.0.lock(), [("core", 4), ("core", 1), ("core", 1), ("graphql", 3)]);
}

#[tokio::test]
async fn calls_take_turns_and_quotas_are_remembered() {
    let server = Server::answering(&["200|ok"]).await;
    let (_, transport) = transport_with(&server, Limits { concurrency: 2, ..Limits::default() });
    let calls = (0..6).map(|_| transport.send(server.get("x")));
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
    assert!(server.at_once.load(Ordering::SeqCst) <= 2);
    let quota = QuotaReading { bucket: "graphql", limit: Some(5000), remaining: Some(4999), resets_at: None };
    transport.quota(quota.clone());
    let health = transport.health();
    assert_eq!((health.calls, health.success_rate), (6, Some(1.0)));
    assert_eq!(health.quotas, [quota]);
}

#[tokio::test]
async fn an_answer_that_is_a_failure_counts_as_one_whatever_its_status() {
    for (answer, failing) in [
        ("200|{}", None),
        ("404|{}", None),
        ("400|{}", Some(UpstreamErrorKind::Rejected)),
        ("402|{}", Some(UpstreamErrorKind::Rejected)),
        ("403|{}", Some(UpstreamErrorKind::Forbidden)),
        ("418|{}", Some(UpstreamErrorKind::Rejected)),
        ("429|{}", Some(UpstreamErrorKind::RateLimited)),
        ("304|", Some(UpstreamErrorKind::Down)),
        ("302|Location: /elsewhere|", Some(UpstreamErrorKind::Down)),
    ] {
        let server = Server::answering(vec![answer].leak()).await;
        let transport = transport(&server);
        transport.send(server.get("x").revalidate()).await.expect("an answer");
        let reading = transport.health();
        assert_eq!(reading.failing.map(|failing| failing.kind), failing, "{answer}");
        assert_eq!(reading.last_error.is_some(), failing.is_some(), "{answer}");
        let sentence = reading.last_error.unwrap_or_else(|| "The".to_owned());
        assert!(sentence.starts_with("The ") || sentence == "The", "{sentence}");
    }
}

/// A token that is changed.
struct Changing(Mutex<&'static str>);

#[async_trait]
impl TokenSource for Changing {
    async fn token(&self) -> Result<Secret, UpstreamError> {
        Ok((*self.0.lock()).into())
    }
}

#[tokio::test]
async fn a_refused_token_is_not_sent_again_except_once_a_minute_and_a_new_one_is_used_at_once() {
    let server = Server::answering(&["401|{}", "401|{}", "200|{}"]).await;
    let clock = FixedClock::at(DateTime::UNIX_EPOCH);
    let (guard, limits) = (AddressGuard::new(["127.0.0.1"]), Limits::default());
    let upstream = Upstream::new(guard, limits, Arc::new(clock.clone()), Arc::new(NoObserver), Jitter::fixed(0.0));
    let token = Arc::new(Changing(Mutex::new("old")));
    let transport = upstream.transport("acme", "i1".into(), server.url.clone(), Arc::clone(&token) as _);
    let ask = async || transport.send(server.get("x")).await.map(|r| r.status.as_u16()).map_err(|error| error.kind);
    assert_eq!(ask().await, Ok(401));
    for _ in 0..60 {
        assert_eq!(ask().await, Err(UpstreamErrorKind::AuthExpired));
    }
    assert_eq!(server.count(), 1, "no query costs a call");
    clock.advance(chrono::Duration::seconds(60));
    let (one, other) = tokio::join!(ask(), ask());
    assert_eq!([one, other].iter().filter(|outcome| **outcome == Ok(401)).count(), 1, "one of them tries it");
    assert_eq!(server.count(), 2);
    *token.0.lock() = "new";
    assert_eq!((ask().await, ask().await), (Ok(200), Ok(200)));
    assert_eq!((server.count(), transport.health().calls), (4, 4));
}

#[tokio::test]
async fn a_token_that_is_accepted_again_is_used_as_before() {
    let server = Server::answering(&["401|{}", "200|{}"]).await;
    let (clock, transport) = transport_with(&server, Limits::default());
    transport.send(server.get("x")).await.expect("an answer");
    transport.send(server.get("x")).await.expect_err("refused");
    // A clock that is set back makes nobody wait longer.
    clock.advance(-chrono::Duration::hours(1));
    for _ in 0..3 {
        assert_eq!(transport.send(server.get("x")).await.expect("an answer").status.as_u16(), 200);
    }
}
