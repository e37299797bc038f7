//! A connection to a sandbox without a socket, which notes the calls.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use mullion_schema::ports::Filter;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    clock::{Clock as _, FixedClock},
    provider::{FetchWant, Fetched, ListRef, NodeRef, PageWant, Provider as _},
    providers::asana::{Asana, sandbox::AsanaSandbox},
    sandbox::{CallOutcome, HandshakeAnswer, OutgoingWebhook, Rejection, Sandbox as _},
    upstream::{Connection, QuotaReading, Transport, UpstreamError, UpstreamRequest, UpstreamResponse},
};

const ROOT: &str = "http://127.0.0.1:4001/asana/api/1.0";

/// Calls the sandbox. Handshakes are echoed, as the gateway does while a registration is pending.
pub(super) struct InProcess {
    sandbox: Arc<AsanaSandbox>,
    clock: FixedClock,
    calls: Mutex<Vec<String>>,
    pub(super) quotas: Mutex<Vec<QuotaReading>>,
    /// Refuses the next calls so.
    pub(super) refuse: Mutex<Option<Rejection>>,
    pub(super) webhooks: Mutex<Vec<OutgoingWebhook>>,
    /// Answers instead of the sandbox, by method and path.
    pub(super) answer: Mutex<Option<Answer>>,
    /// Calls that turned out to have failed.
    pub(super) failed: Mutex<usize>,
}

/// Status and body.
pub(super) type Answer = Box<dyn Fn(&str) -> Option<(u16, Value)> + Send>;

impl InProcess {
    async fn call(&self, request: http::Request<Bytes>) -> CallOutcome {
        let outcome = self.sandbox.call(self.clock.now(), request.clone()).await;
        let Some(sent) = outcome.handshake else { return outcome };
        let answer = Some((http::StatusCode::OK, sent.headers.clone()));
        self.webhooks.lock().push(sent.clone());
        let mut request = request;
        request.extensions_mut().insert(HandshakeAnswer { sent, answer });
        self.sandbox.call(self.clock.now(), request).await
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let path =
            request.url[url::Position::BeforePath..].strip_prefix("/asana/api/1.0").expect("the mount").to_owned();
        let line = format!("{} {path}", request.method);
        self.calls.lock().push(line.clone());
        let answer = self.answer.lock().as_ref().and_then(|answer| answer(&line));
        if let Some((status, body)) = answer {
            let status = http::StatusCode::from_u16(status).expect("a status");
            return Ok(UpstreamResponse { status, headers: http::HeaderMap::new(), body: body.to_string().into() });
        }
        let mut call = http::Request::builder().method(request.method).uri(path).header("authorization", "Bearer t");
        if let Some((content_type, _)) = &request.body {
            call = call.header("content-type", *content_type);
        }
        let call = call.body(request.body.map_or_else(Bytes::new, |(_, body)| body)).expect("a request");
        let refuse = self.refuse.lock().clone();
        let response = match refuse {
            Some(rejection) => self.sandbox.rejection(self.clock.now(), &call, rejection),
            None => self.call(call).await.response,
        };
        let (head, body) = response.into_parts();
        Ok(UpstreamResponse { status: head.status, headers: head.headers, body })
    }

    fn failed(&self, _failure: &UpstreamError) {
        *self.failed.lock() += 1;
    }

    fn quota(&self, quota: QuotaReading) {
        self.quotas.lock().push(quota);
    }
}

/// A seeded world and a connection to it.
pub(super) struct World {
    pub(super) sandbox: Arc<AsanaSandbox>,
    pub(super) transport: Arc<InProcess>,
    pub(super) api: Connection,
}

pub(super) fn base() -> DateTime<Utc> {
    "2026-03-02T09:00:00Z".parse().expect("a time")
}

pub(super) fn world() -> World {
    let sandbox = Arc::new(AsanaSandbox::seeded(1, base(), ROOT.to_owned()));
    let clock = FixedClock::at(base());
    let transport = Arc::new(InProcess {
        sandbox: Arc::clone(&sandbox),
        clock: clock.clone(),
        calls: Mutex::default(),
        quotas: Mutex::default(),
        refuse: Mutex::default(),
        webhooks: Mutex::default(),
        answer: Mutex::default(),
        failed: Mutex::default(),
    });
    let api = Connection {
        tenant: "t1".into(),
        integration: "i1".into(),
        base_url: ROOT.parse().expect("a URL"),
        scopes: Arc::from([]),
        facts: Arc::default(),
        clock: Arc::new(clock),
        transport: transport.clone(),
    };
    World { sandbox, transport, api }
}

impl World {
    /// The calls since the last time, without their queries.
    pub(super) fn calls(&self) -> Vec<String> {
        let calls = std::mem::take(&mut *self.transport.calls.lock());
        calls.into_iter().map(|call| call.split('?').next().unwrap_or_default().to_owned()).collect()
    }

    /// The calls since the last time.
    pub(super) fn whole_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.transport.calls.lock())
    }

    pub(super) fn fetch(&self, wants: Vec<FetchWant>) -> Vec<Result<Fetched, UpstreamError>> {
        futures::executor::block_on(Asana.fetch(&self.api, wants))
    }

    /// From now on, calls come to what `answer` says, by method and path.
    pub(super) fn answering(&self, answer: impl Fn(&str) -> Option<(u16, Value)> + Send + 'static) {
        *self.transport.answer.lock() = Some(Box::new(answer));
    }

    /// The sandbox's own answer.
    pub(super) fn ask(&self, path: &str) -> Value {
        let request = http::Request::get(path).header("authorization", "Bearer t").body(Bytes::new());
        let outcome = futures::executor::block_on(self.sandbox.call(base(), request.expect("a request")));
        serde_json::from_slice::<Value>(outcome.response.body()).expect("JSON")["data"].take()
    }

    /// Connected: the facts are as `identify` learns them.
    pub(super) fn connected(mut self) -> Self {
        let account = futures::executor::block_on(Asana.identify(&self.api)).expect("an account");
        self.api.facts = Arc::new(account.facts);
        self.calls();
        self
    }

    pub(super) fn gids(&self, path: &str) -> Vec<String> {
        let records = self.ask(path);
        let records = records.as_array().expect("a list");
        records.iter().map(|record| record["gid"].as_str().expect("a gid").to_owned()).collect()
    }

    /// Acts, and gives the webhook that the sandbox sends of it.
    pub(super) fn act(&self, action: &str, input: &Value) -> Vec<OutgoingWebhook> {
        self.sandbox.act(base(), action, input).expect("an act").webhooks
    }

    /// A project with its tasks in the provider's order.
    pub(super) fn project(&self) -> (String, Vec<String>) {
        let project = self.sandbox.projects().remove(0).0;
        let tasks = self.gids(&format!("/tasks?project={project}"));
        (project, tasks)
    }
}

pub(super) fn node(type_name: &'static str, id: &str, asks: &[&'static str]) -> FetchWant {
    FetchWant::Node { node: NodeRef::new(type_name, id), asks: asks.iter().copied().collect() }
}

pub(super) fn list(parent: Option<(&'static str, &str)>, name: &'static str) -> ListRef {
    ListRef { parent: parent.map(|(type_name, id)| NodeRef::new(type_name, id)), name }
}

pub(super) fn page(list: ListRef, filter: &[(&'static str, &str)]) -> FetchWant {
    let filter: Filter = filter.iter().map(|(name, value)| (*name, vec![(*value).to_owned()])).collect();
    FetchWant::Page(PageWant { list, filter, cursor: None })
}

/// An event as JSON, alone in a delivery.
pub(super) fn delivered(event: &Value) -> Bytes {
    Bytes::from(json!({ "events": [event] }).to_string())
}
