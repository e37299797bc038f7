//! The HTTP side of the gateway: its routes, and what stands before and behind them.

pub mod body;
pub mod budget;
pub mod console;
pub mod context;
pub mod graphql;
pub mod guard;
pub mod health;
pub mod negotiate;
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

use self::{budget::Budget, guard::Guard, health::Readiness, webhooks::Webhooks};
use crate::{
    config::{Config, Live, Server},
    document::Documents,
    readiness::Checks,
    telemetry::metrics::Metrics,
    transport::{admission::Admission, engine::Engine, keep_alive::KeepAlive, persisted::PersistedQueries, sse},
};

/// How long the database may take for what every request asks of it, its key or its endpoint: Slack gives up after 3 s.
pub(crate) const DATABASE_PATIENCE: Duration = Duration::from_millis(2500);

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

/// What the engine's side brings.
pub struct Parts {
    /// Executes operations.
    pub engine: Arc<dyn Engine>,
    /// Takes deliveries.
    pub webhooks: Arc<dyn Webhooks>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// Who may ask from where.
    pub guard: Guard,
    /// The console, where it is shown.
    pub console: Option<Console>,
    /// The checks of readiness beside that of the engine.
    pub checks: Arc<Checks>,
    /// Keeps background tasks running.
    pub supervisor: Supervisor,
}

/// What all handlers share.
pub struct App {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) webhooks: Arc<dyn Webhooks>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) console: Option<Console>,
    pub(crate) checks: Arc<Checks>,
    pub(crate) documents: Documents,
    pub(crate) persisted: PersistedQueries,
    pub(crate) server: Server,
    pub(crate) live: Live,
    /// Of deliveries.
    pub(crate) budget: Arc<Budget>,
    /// Of GraphQL requests.
    pub(crate) bodies: Arc<Budget>,
    pub(crate) webhook_timeout: Duration,
    pub(crate) admission: Arc<Admission>,
    pub(crate) keep_alive: KeepAlive,
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
        let tracker = TaskTracker::new();
        let app = Arc::new(Self {
            documents: Documents::new(
                (config.limits.clone(), config.cache.document_bytes),
                Arc::clone(&parts.metrics),
                Arc::clone(&parts.engine),
                tracker.clone(),
            ),
            persisted: PersistedQueries::new(&config.persisted),
            engine: parts.engine,
            webhooks: parts.webhooks,
            clock: parts.clock,
            guard: Arc::new(parts.guard),
            console: parts.console,
            checks: parts.checks,
            admission: Admission::new(&config.live, Arc::clone(&parts.metrics)),
            metrics: parts.metrics,
            server: config.server.clone(),
            live: config.live.clone(),
            budget: Arc::new(Budget::new(config.webhooks.max_bytes_in_flight)),
            bodies: Arc::new(Budget::new(config.server.max_bytes_in_flight)),
            webhook_timeout: Duration::from_secs(config.webhooks.read_timeout_seconds),
            keep_alive: KeepAlive::new(Duration::from_secs(config.live.ping_seconds)),
            readiness: Readiness::default(),
            shutdown: CancellationToken::new(),
            tracker,
        });
        let (turned, shutdown) = (Arc::clone(&app), app.shutdown.clone());
        let tracker = app.tracker.clone().into();
        parts.supervisor.supervise(&tracker, "keep-alive", &app.shutdown, move || {
            let (turned, shutdown) = (Arc::clone(&turned), shutdown.clone());
            async move { turned.keep_alive.turn(shutdown).await }
        });
        app
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
    let mut routes = compressed.route("/graphql/stream", get(sse::get).post(sse::post)).with_state(Arc::clone(app));
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
