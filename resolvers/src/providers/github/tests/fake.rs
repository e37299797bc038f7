//! A transport that remembers requests and answers GraphQL from a table of objects.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    clock::FixedClock,
    upstream::{Connection, QuotaReading, Transport, UpstreamError, UpstreamRequest, UpstreamResponse},
};

/// Answers a request with a status, headers and a body.
type Answer = Box<dyn Fn(&UpstreamRequest, &Value) -> (u16, Vec<(&'static str, &'static str)>, Value) + Send + Sync>;

/// The transport.
pub(super) struct Fake {
    answer: Answer,
    pub(super) requests: Mutex<Vec<(String, Value)>>,
    pub(super) quotas: Mutex<Vec<QuotaReading>>,
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let body = request.body.as_ref().and_then(|(_, body)| serde_json::from_slice(body).ok()).unwrap_or(Value::Null);
        let line = format!("{} {}", request.method, &request.url[url::Position::BeforePath..]);
        let (status, headers, answer) = (self.answer)(&request, &body);
        self.requests.lock().push((line, body));
        let headers: HeaderMap = headers
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let status = StatusCode::from_u16(status).expect("a status");
        Ok(UpstreamResponse { status, headers, body: Bytes::from(answer.to_string()) })
    }

    fn quota(&self, quota: QuotaReading) {
        self.quotas.lock().push(quota);
    }
}

impl Fake {
    /// A transport and a connection over it.
    pub(super) fn answering(
        answer: impl Fn(&UpstreamRequest, &Value) -> (u16, Vec<(&'static str, &'static str)>, Value) + Send + Sync + 'static,
    ) -> (Arc<Self>, Connection) {
        let fake = Arc::new(Self { answer: Box::new(answer), requests: Mutex::default(), quotas: Mutex::default() });
        let connection = Connection {
            tenant: "t1".into(),
            integration: "i1".into(),
            base_url: "https://api.github.com/".parse().expect("a URL"),
            scopes: Arc::new([]),
            facts: Arc::default(),
            clock: Arc::new(FixedClock::at(DateTime::from_timestamp(1_700_000_000, 0).expect("a time"))),
            transport: Arc::clone(&fake) as Arc<dyn Transport>,
        };
        (fake, connection)
    }

    /// The same with one body for everything.
    pub(super) fn saying(body: Value) -> (Arc<Self>, Connection) {
        Self::answering(move |_, _| (200, Vec::new(), body.clone()))
    }

    /// Methods and paths, in order.
    pub(super) fn lines(&self) -> Vec<String> {
        self.requests.lock().iter().map(|(line, _)| line.clone()).collect()
    }

    /// The documents, in order.
    pub(super) fn documents(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests.iter().filter_map(|(_, body)| Some(body.get("query")?.as_str()?.to_owned())).collect()
    }
}
