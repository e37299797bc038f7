//! A transport that counts calls and answers from the sandbox, or from a table.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    clock::{Clock, FixedClock},
    providers::slack::sandbox::SlackSandbox,
    sandbox::Sandbox,
    upstream::{Connection, QuotaReading, Transport, UpstreamError, UpstreamRequest, UpstreamResponse},
};

/// Answers instead of the sandbox: status, `Retry-After`, body.
type Answer = Box<dyn Fn(&UpstreamRequest) -> Option<(u16, Option<u64>, Value)> + Send + Sync>;

/// The transport.
pub(super) struct Fake {
    pub(super) sandbox: Arc<SlackSandbox>,
    pub(super) clock: FixedClock,
    answer: Answer,
    calls: Mutex<Vec<(&'static str, String)>>,
    pub(super) quotas: Mutex<Vec<QuotaReading>>,
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        self.calls.lock().push((request.operation, request.url.query().unwrap_or_default().to_owned()));
        // Calls that run at once overlap.
        tokio::task::yield_now().await;
        if let Some((status, wait, body)) = (self.answer)(&request) {
            let wait = wait.map(|wait| (http::header::RETRY_AFTER, HeaderValue::from(wait)));
            let status = StatusCode::from_u16(status).expect("a status");
            return Ok(UpstreamResponse {
                status,
                headers: wait.into_iter().collect(),
                body: Bytes::from(body.to_string()),
            });
        }
        let path = request.url.path().strip_prefix("/slack/api").expect("below the base URL");
        let uri = request.url.query().map_or(path.to_owned(), |query| format!("{path}?{query}"));
        let asked = http::Request::builder().uri(uri).header("authorization", "Bearer xoxb-1").body(Bytes::new());
        let outcome = self.sandbox.call(self.clock.now(), asked.expect("a request")).await;
        let (parts, body) = outcome.response.into_parts();
        Ok(UpstreamResponse { status: parts.status, headers: parts.headers, body })
    }

    fn quota(&self, quota: QuotaReading) {
        self.quotas.lock().push(quota);
    }
}

pub(super) fn base() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

impl Fake {
    /// A sandbox behind a connection that knows its workspace.
    pub(super) fn new() -> (Arc<Self>, Connection) {
        Self::answering(|_| None)
    }

    /// The same, with other answers to some calls.
    pub(super) fn answering(
        answer: impl Fn(&UpstreamRequest) -> Option<(u16, Option<u64>, Value)> + Send + Sync + 'static,
    ) -> (Arc<Self>, Connection) {
        let sandbox = Arc::new(SlackSandbox::seeded(1, base(), "http://127.0.0.1:4001/slack/api".to_owned()));
        let clock = FixedClock::at(base());
        let fake = Arc::new(Self {
            sandbox,
            clock: clock.clone(),
            answer: Box::new(answer),
            calls: Mutex::default(),
            quotas: Mutex::default(),
        });
        let facts = serde_json::json!({ "team_id": "T0ACME0001", "team": "Acme", "url": "https://acme.slack.com/" });
        let connection = Connection {
            tenant: "t1".into(),
            integration: "i1".into(),
            base_url: "http://127.0.0.1:4001/slack/api/".parse().expect("a URL"),
            scopes: Arc::new([]),
            facts: Arc::new(facts.as_object().cloned().expect("an object")),
            clock: Arc::new(clock),
            transport: Arc::clone(&fake) as Arc<dyn Transport>,
        };
        (fake, connection)
    }

    /// The methods that were called since the last time.
    pub(super) fn methods(&self) -> Vec<&'static str> {
        let mut methods: Vec<&'static str> = self.calls.lock().drain(..).map(|(method, _)| method).collect();
        methods.sort_unstable();
        methods
    }

    /// Time passes.
    pub(super) fn later(&self, seconds: i64) {
        self.clock.advance(chrono::Duration::seconds(seconds));
    }
}
