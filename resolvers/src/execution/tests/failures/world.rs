//! A stand-in behind a port, and a process that calls it: accounts are connected as needed, each with nothing known of it.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::{Variables, parser::parse_query};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::Duration as Span;
use http::{HeaderMap, Request, Response, StatusCode};
use mullion_schema::id::{GlobalId, IntegrationId};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    execution::{
        Executed, Executor, Operation,
        tests::stage::{admin_of, executor_over},
    },
    reading::tests::bench::services_over,
    sandbox::{
        OutgoingWebhook,
        delivery::Courier,
        host::{HostOptions, SandboxHost},
    },
    store::tests::bench::{Bench, draft},
    upstream::{AddressGuard, Limits},
    vault::Place,
};

/// A call that takes longer is given up. Good calls take far less, also on a busy machine.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// How long a call is waited for where an older value is known.
const PATIENCE: Duration = Duration::from_secs(1);

/// Nobody is sent webhooks.
struct Nowhere;

#[async_trait]
impl Courier for Nowhere {
    async fn post(&self, _: OutgoingWebhook) -> Option<(StatusCode, HeaderMap, Bytes)> {
        None
    }
}

/// One provider's stand-in and the process.
pub(super) struct World {
    pub(super) store: Bench,
    pub(super) provider: &'static str,
    executor: Arc<Executor>,
    host: Arc<SandboxHost>,
    base_url: String,
    accounts: AtomicUsize,
}

/// An account of which the process knows nothing yet.
pub(super) struct Account {
    id: IntegrationId,
}

impl World {
    pub(super) async fn new(provider: &'static str) -> Self {
        let store = Bench::sqlite().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let adapter = crate::providers::all().remove(provider).unwrap();
        let base = store.tick();
        let mount = adapter.sandbox(1, base, String::new()).mount();
        let base_url = format!("{root}{mount}");
        let options = HostOptions {
            clock: Arc::new(store.clock.clone()),
            courier: Arc::new(Nowhere),
            journals: Vec::new(),
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
        };
        let host = Arc::new(SandboxHost::new(vec![adapter.sandbox(1, base, base_url.clone())], options).await);
        tokio::spawn(serve(listener, Arc::clone(&host)));
        let limits = Limits { timeout: TIMEOUT, ..Limits::default() };
        let services = services_over(
            &store,
            Arc::new(crate::providers::all()),
            (AddressGuard::new(["127.0.0.1"]), limits),
            PATIENCE,
        );
        let executor = executor_over(services);
        Self { store, provider, executor, host, base_url, accounts: AtomicUsize::new(0) }
    }

    /// Connects another account of the same provider.
    pub(super) async fn account(&self) -> Account {
        let id: IntegrationId = format!("account-{}", self.accounts.fetch_add(1, Ordering::Relaxed)).as_str().into();
        let place = Place { tenant: &self.store.tenant, integration: &id, column: "token" };
        let token = self.executor.services().vault.seal(place, &"a-token-that-is-good".into()).unwrap();
        let draft = crate::store::integration::IntegrationDraft {
            base_url: Some(self.base_url.clone()),
            token: Some(token),
            scopes: Vec::new(),
            ..draft("An account")
        };
        let (tenant, db) = (&self.store.tenant, &self.store.db);
        db.create_integration(tenant, &id, self.provider, draft).await.unwrap();
        Account { id }
    }

    /// Puts a fault in force, or ends all.
    pub(super) async fn control(&self, method: &str, body: Value) {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri("/_sandbox/faults").body(body).unwrap();
        let answer = self.host.handle(request).await;
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.body());
    }

    /// The provider is well again, and the process has had time to see that: pauses and quotas are over.
    pub(super) async fn heal(&self) {
        self.control("DELETE", Value::Null).await;
        self.store.clock.advance(Span::seconds(90));
    }

    /// Asks the account's root for a selection; gives what is below it, and the errors.
    pub(super) async fn ask(&self, account: &Account, selection: &str) -> Answer {
        let text = format!("query ($id: ID!) {{ {}(integrationId: $id) {{ {selection} }} }}", self.provider);
        let document = parse_query(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let id = GlobalId::own("Integration", account.id.as_str()).encode();
        let operation = Operation {
            text: text.as_str().into(),
            document: Arc::new(document),
            name: None,
            variables: Variables::from_json(json!({ "id": id })),
        };
        match self.executor.query(&admin_of(&self.store.tenant), operation).await {
            Executed::Answer { bytes, .. } => {
                let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
                let errors = answer["errors"].as_array().cloned().unwrap_or_default();
                Answer { data: answer["data"][self.provider].take(), errors }
            }
            Executed::Refused(errors) => panic!("{errors:?}: {text}"),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) data: Value,
    pub(super) errors: Vec<Value>,
}

async fn serve(listener: TcpListener, host: Arc<SandboxHost>) {
    while let Ok((stream, _)) = listener.accept().await {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            let _client_may_be_gone = answer(stream, &host).await;
        });
    }
}

/// One request, and its answer.
async fn answer(mut stream: TcpStream, host: &SandboxHost) -> std::io::Result<()> {
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    let response: Response<Bytes> = host.handle(request).await;
    let mut head = format!("HTTP/1.1 {} X\r\n", response.status().as_u16());
    for (name, value) in response.headers() {
        write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default()).unwrap();
    }
    write!(head, "connection: close\r\ncontent-length: {}\r\n\r\n", response.body().len()).unwrap();
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(response.body()).await?;
    stream.shutdown().await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Request<Bytes>>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut request = Request::builder().method(first.next().unwrap_or_default()).uri(first.next().unwrap_or_default());
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap_or(0);
        }
        request = request.header(name, value);
    }
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    Ok(request.body(Bytes::copy_from_slice(&bytes[end..])).ok())
}
