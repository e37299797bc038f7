//! The HTTP side of the gateway: its routes, and what stands before and behind them.

pub mod body;
pub mod budget;
pub mod console;
pub mod context;
pub mod graphql;
pub mod guard;
pub mod health;
pub mod stream;
pub mod webhooks;

use std::{sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    response::Response,
    routing::{any, get},
};
use http::{HeaderName, Method, header};
use mullion_resolvers::{clock::Clock, supervisor::Supervisor};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{DefaultPredicate, NotForContentType},
    },
    cors::{AllowOrigin, CorsLayer},
};

use self::{budget::Budget, guard::Guard, health::Readiness, webhooks::ReceiveDeliveries};
use crate::{
    config::{Config, Server},
    operation::Pipeline,
    readiness::{Check, Checks},
    telemetry::metrics::Metrics,
    transport::Connections,
};

/// Where a request's id is told.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers that pages may send, whatever is configured.
const OWN_HEADERS: [HeaderName; 5] =
    [header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("last-event-id"), REQUEST_ID];

/// The console's page and the routes of its assets.
#[derive(Clone)]
pub struct Console {
    /// Answers `GET /` and a browser's `GET /graphql`.
    pub page: fn() -> Response,
    /// The assets.
    pub assets: fn() -> Router,
}

/// The parts of the process that the routes lead to.
pub struct Parts {
    /// From requests to answers.
    pub pipeline: Arc<Pipeline>,
    /// Receives deliveries.
    pub webhooks: Arc<dyn ReceiveDeliveries>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// Decides which requests are let in, from where.
    pub guard: Guard,
    /// The console, where it is shown.
    pub console: Option<Console>,
    /// The checks of readiness that run in the background.
    pub checks: Arc<Checks>,
    /// The check that is made whenever readiness is asked for. It may hang.
    pub database: Check,
    /// The tasks that the end of the process waits for.
    pub tasks: TaskTracker,
    /// Keeps background tasks running.
    pub supervisor: Supervisor,
}

/// The state that all handlers share.
pub struct App {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) webhooks: Arc<dyn ReceiveDeliveries>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) console: Option<Console>,
    pub(crate) checks: Arc<Checks>,
    pub(crate) database: Check,
    /// Where deliveries are stored whose senders hung up.
    pub(crate) tasks: TaskTracker,
    pub(crate) server: Server,
    /// The bytes of deliveries.
    pub(crate) budget: Arc<Budget>,
    /// The bytes of GraphQL requests.
    pub(crate) bodies: Arc<Budget>,
    pub(crate) webhook_timeout: Duration,
    /// Whether traffic is welcome.
    pub readiness: Readiness,
    /// Fires when the process ends: sockets say goodbye.
    pub shutdown: CancellationToken,
    /// Open sockets and streams, so that the end can wait for them.
    pub tracker: TaskTracker,
}

impl App {
    /// Puts the parts together.
    pub fn new(config: &Config, parts: Parts) -> Arc<Self> {
        parts.metrics.live.show_limits(&config.live, &config.limits);
        let connections =
            Arc::new(Connections::new(&config.live, Arc::clone(&parts.pipeline), Arc::clone(&parts.metrics)));
        let (shutdown, tracker) = (connections.shutdown.clone(), connections.tracker.clone());
        let (turned, until) = (Arc::clone(&connections), shutdown.clone());
        parts.supervisor.supervise(&tracker.clone().into(), "keep-alive", &shutdown, move || {
            let (turned, until) = (Arc::clone(&turned), until.clone());
            async move { turned.keep_alive.turn(until).await }
        });
        Arc::new(Self {
            pipeline: parts.pipeline,
            connections,
            webhooks: parts.webhooks,
            clock: parts.clock,
            guard: Arc::new(parts.guard),
            console: parts.console,
            checks: parts.checks,
            database: parts.database,
            tasks: parts.tasks,
            metrics: parts.metrics,
            server: config.server.clone(),
            budget: Arc::new(Budget::new(config.webhooks.max_bytes_in_flight)),
            bodies: Arc::new(Budget::new(config.server.max_bytes_in_flight)),
            webhook_timeout: Duration::from_secs(config.webhooks.read_timeout_seconds),
            readiness: Readiness::default(),
            shutdown,
            tracker,
        })
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.server.request_timeout_seconds)
    }
}

/// The routes of the main port. `with_admin`: `/health` and `/metrics` too, as in `dev`; `serve` has them elsewhere.
pub fn router(app: &Arc<App>, with_admin: bool) -> Router {
    let compressed =
        Router::new().route("/graphql", get(graphql::get).post(graphql::post)).route("/", get(graphql::page)).layer(
            // A stream whose parts wait for a block of the compressor would not be live.
            CompressionLayer::new()
                .gzip(true)
                .br(true)
                .quality(CompressionLevel::Fastest)
                .compress_when(DefaultPredicate::new().and(NotForContentType::const_new("multipart/mixed"))),
        );
    let mut routes =
        compressed.route("/graphql/stream", get(stream::get).post(stream::post)).with_state(Arc::clone(app));
    if let Some(console) = &app.console {
        routes = routes.merge((console.assets)());
    }
    if with_admin {
        routes = routes.merge(admin_router(app));
    }
    // From the inside out: what is added last sees a request first.
    let routes = routes
        .layer(cors(app))
        .layer(middleware::from_fn_with_state(Arc::clone(&app.guard), guard::check))
        .layer(middleware::from_fn_with_state(Arc::clone(app), context::wrap));
    let webhooks = Router::new().route("/webhooks/{provider}/{endpoint}", any(webhooks::receive));
    // In this order: the answer to unknown paths is that of whoever is merged into the other, with what surrounds it.
    webhooks.with_state(Arc::clone(app)).merge(routes)
}

/// The routes of the admin address.
pub fn admin_router(app: &Arc<App>) -> Router {
    health::router(app).merge(Router::new().route("/metrics", get(health::metrics)).with_state(Arc::clone(app)))
}

fn cors(app: &Arc<App>) -> CorsLayer {
    let guard = Arc::clone(&app.guard);
    // The configuration was checked: each is the name of a header.
    let configured = app.server.allowed_headers.iter().filter_map(|name| name.parse().ok());
    let allowed = AllowOrigin::predicate(move |origin, request| guard.allows_origin(origin, &request.headers));
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(OWN_HEADERS.into_iter().chain(configured).collect::<Vec<_>>())
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
        .max_age(Duration::from_mins(10))
}

#[cfg(test)]
mod tests;
