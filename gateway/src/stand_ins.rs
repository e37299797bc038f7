//! The stand-ins of the providers on a port of their own: their world is kept in the data folder.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts as _, State, WebSocketUpgrade},
    middleware,
};
use bytes::Bytes;
use clap::ValueEnum;
use http::{Request, Response, StatusCode};
use mullion_resolvers::{
    answers::Services,
    clock::Clock,
    provider::Providers,
    sandbox::{
        Sandbox,
        delivery::HttpCourier,
        host::{HostOptions, SandboxHost},
        journal::Journal,
        socket::Opening,
    },
    upstream::{
        Connection, QuotaReading, Transport, UpstreamError, UpstreamErrorKind, UpstreamRequest, UpstreamResponse,
    },
};
use mullion_schema::id::{IntegrationId, TenantId};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How lively the stand-ins' world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Traffic {
    /// Nothing happens unless somebody makes it happen.
    Off,
    /// Something happens every few seconds.
    Gentle,
}

use crate::{
    http::guard::{self, Guard},
    stand_in_socket,
};

/// Time between acts of the gentle traffic.
const GENTLE: Duration = Duration::from_secs(4);
/// Longest body of a request to a stand-in.
const BODY: usize = 32 << 20;

/// The stand-ins of a data folder.
pub struct StandIns {
    /// Answers their port.
    pub host: Arc<SandboxHost>,
    /// Each provider's stand-in, by the provider's key, with the seed and the birth of its world.
    pub worlds: Vec<World>,
}

/// One stand-in.
pub struct World {
    /// The provider's key.
    pub provider: &'static str,
    /// The stand-in.
    pub sandbox: Arc<dyn Sandbox>,
    /// The seed of its world.
    pub seed: u64,
    /// When its world was made.
    pub base: chrono::DateTime<chrono::Utc>,
    /// Where its API is.
    pub api_root: String,
}

/// Where the stand-ins are, and which worlds they have.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The folder with the data of `dev`.
    pub data: &'a Path,
    /// The port of all stand-ins.
    pub port: u16,
    /// The seed of a new world.
    pub seed: u64,
}

/// Makes the stand-ins of all providers, or finds their worlds again.
pub async fn open(
    place: Place<'_>,
    providers: &Providers,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    token: CancellationToken,
) -> anyhow::Result<StandIns> {
    let Place { data, port, seed } = place;
    let folder = data.join("sandbox");
    let mut journals = Vec::new();
    let mut worlds = Vec::new();
    for (key, provider) in providers {
        let opened = Journal::open(&folder, key, seed, clock.now()).with_context(|| {
            format!("the world of the {key} stand-in cannot be opened; remove {}", folder.display())
        })?;
        let mount = provider.sandbox(opened.seed, opened.base, String::new()).mount();
        let api_root = format!("http://127.0.0.1:{port}{}", mount.trim_end_matches('/'));
        let sandbox = provider.sandbox(opened.seed, opened.base, api_root.clone());
        worlds.push(World { provider: key, sandbox, seed: opened.seed, base: opened.base, api_root });
        journals.push(opened);
    }
    let courier = Arc::new(HttpCourier::direct().context("webhooks cannot be sent")?);
    let sandboxes = worlds.iter().map(|world| Arc::clone(&world.sandbox)).collect();
    let host = SandboxHost::new(sandboxes, HostOptions { clock, courier, journals, tracker, token }).await;
    Ok(StandIns { host: Arc::new(host), worlds })
}

impl World {
    /// A way into the stand-in that opens no socket and is not counted: for what is asked while the world is set up.
    pub fn connection(
        &self,
        services: &Services,
        tenant: &TenantId,
        integration: &IntegrationId,
    ) -> anyhow::Result<Connection> {
        let base_url: url::Url = self.api_root.parse().context("the stand-in's address is no URL")?;
        Ok(Connection {
            tenant: tenant.clone(),
            integration: integration.clone(),
            transport: Arc::new(Direct {
                sandbox: Arc::clone(&self.sandbox),
                clock: Arc::clone(&services.clock),
                base_url: base_url.clone(),
            }),
            base_url,
            scopes: Arc::default(),
            facts: Arc::default(),
            clock: Arc::clone(&services.clock),
        })
    }
}

/// Calls a stand-in in process.
struct Direct {
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<dyn Clock>,
    base_url: url::Url,
}

#[async_trait]
impl Transport for Direct {
    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        let wrong = |_| UpstreamError::new(UpstreamErrorKind::Rejected, "not a request of this API");
        let path = request.url.path().strip_prefix(self.base_url.path().trim_end_matches('/')).unwrap_or_default();
        let uri = match request.url.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let (content_type, body) = request.body.unwrap_or(("application/json", Bytes::new()));
        let mut call = Request::builder()
            .method(request.method)
            .uri(uri)
            .header("authorization", "Bearer sandbox-token")
            .header("content-type", content_type)
            .body(body)
            .map_err(wrong)?;
        call.headers_mut().extend(request.headers);
        let response = self.sandbox.call(self.clock.now(), call).await.response;
        let (parts, body) = response.into_parts();
        Ok(UpstreamResponse { status: parts.status, headers: parts.headers, body })
    }

    fn quota(&self, _: QuotaReading) {}
}

impl StandIns {
    /// Lets things happen every few seconds until `stop` fires.
    pub fn make_gentle_traffic(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let (host, stop) = (Arc::clone(&self.host), stop.clone());
        tasks.spawn(async move { host.run_gentle(GENTLE, stop).await });
    }

    /// The routes of their port.
    pub fn router(&self) -> Router {
        let guard = Arc::new(Guard::loopback(None, &[]));
        Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.host))
            .layer(middleware::from_fn_with_state(guard, guard::check))
    }
}

async fn answer(State(host): State<Arc<SandboxHost>>, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    if let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        return match host.converse(Request::from_parts(parts, Bytes::new())) {
            Opening::Open(conversation) => {
                upgrade.on_upgrade(move |socket| stand_in_socket::serve(host, socket, conversation))
            }
            Opening::Refused(refused) => refused.map(Body::from),
        };
    }
    let Ok(body) = axum::body::to_bytes(body, BODY).await else {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return refused;
    };
    let answer: Response<Bytes> = host.handle(Request::from_parts(parts, body)).await;
    answer.map(Body::from)
}
