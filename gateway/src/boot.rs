//! Where the parts meet: engine, stores and providers on one side, transports on the other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use axum::{Router, routing::get};
use mullion_resolvers::{
    bus::{Alone, Bus, nats::Nats},
    clock::{Clock, SystemClock},
    credentials::Credentials,
    secret::Secret,
    supervisor::Supervisor,
};
use mullion_schema::{
    id::TenantId,
    inputs::check,
    ports::{Role, ViewerView},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    backend::{self, Backend, Ingredients},
    banner,
    config::{Config, Limits, Live, encryption_key},
    data_folder::DataFolder,
    database,
    http::{App, Console, Parts, admin_router, console, guard::Guard, router},
    lifecycle,
    operation::{self, Pipeline, authenticate::Authenticator},
    readiness,
    reload::{self, Reload, Reloader},
    seed,
    stand_ins::{self, Traffic},
    telemetry::{Log, metrics::Metrics},
    terminal,
};

/// How long a command tries to tell the replicas of what it changed.
const HINT: Duration = Duration::from_secs(2);

/// The options that only `dev` has.
#[derive(Debug)]
pub struct DevOptions {
    /// How lively the stand-ins' world is.
    pub traffic: Traffic,
    /// The secret of the three webhook endpoints.
    pub webhook_secret: Secret,
}

/// The metrics, with those of the log.
fn metrics(log: &Log) -> Arc<Metrics> {
    let mut metrics = Metrics::with_providers(mullion_resolvers::providers::all().keys().copied());
    metrics.show_dropped_lines(log.dropped_lines());
    if let Some(traces) = log.traces() {
        metrics.show_dropped_spans(traces.dropped());
    }
    Arc::new(metrics)
}

/// Has the log tell of failures that repeat, and sends traces.
fn keep_telling(log: &Log, backend: &Backend, stop: &CancellationToken) {
    let (supervisor, tasks) = (&backend.supervisor, &backend.tasks);
    let (repeats, until) = (log.repeats(), stop.clone());
    supervisor.supervise(&tasks.clone().into(), "repeats", stop, move || {
        let (repeats, until) = (repeats.clone(), until.clone());
        async move { repeats.report_often(until).await }
    });
    let Some(traces) = log.traces() else { return };
    let (traces, until) = (traces.clone(), stop.clone());
    supervisor.supervise(&tasks.clone().into(), "traces", stop, move || {
        let (traces, until) = (traces.clone(), until.clone());
        async move { traces.export_often(until).await }
    });
}

/// Runs `dev` until a signal.
pub async fn dev(mut config: Config, options: DevOptions, log: &Log) -> anyhow::Result<()> {
    if config.live.max_sockets_per_tenant == Live::default().max_sockets_per_tenant {
        // There is one tenant only: it may have all.
        config.live.max_sockets_per_tenant = config.live.max_sockets;
    }
    if config.limits.max_processor_seconds_per_minute == Limits::default().max_processor_seconds_per_minute {
        config.limits.max_processor_seconds_per_minute = 0;
    }
    // Enough for one person, whatever it is.
    let _ = lifecycle::raise_open_files(config.live.max_sockets);
    let data = DataFolder::open(&config.database.data)?;
    let key = match &config.security.encryption_key {
        Some(key) => encryption_key(key.expose())?,
        None => data.encryption_key()?,
    };
    let stop = lifecycle::on_signal()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = metrics(log);
    metrics.process_started(clock.now());
    let supervisor = Supervisor::new(Arc::new(metrics.tasks.clone()));
    let listeners = lifecycle::bind_loopback(config.server.port, "--port")?;
    let sandbox_listeners = lifecycle::bind_loopback(config.sandbox.port, "--sandbox-port")?;
    let (port, sandbox_port) = (port_of(&listeners)?, port_of(&sandbox_listeners)?);
    let local: Url = format!("http://127.0.0.1:{port}").parse()?;
    let webhook_base = config.server.public_url.as_deref().map_or(Ok(local.clone()), str::parse)?;
    let database = database::open(&config, Arc::clone(&clock)).await?;
    database::migrate(&database).await?;
    database::check_key(&database, key).await?;
    let made = Ingredients {
        key,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        allow: vec![format!("127.0.0.1:{sandbox_port}"), format!("localhost:{sandbox_port}")],
        webhook_base: Some(webhook_base),
        bus: Arc::new(Alone),
        supervisor: supervisor.clone(),
        tasks: TaskTracker::new(),
    };
    let mut backend = backend::build(&config, database, made)?;
    let place = stand_ins::Place { data: data.path(), port: sandbox_port, seed: config.sandbox.seed };
    let world =
        stand_ins::open(place, &backend.core.providers, Arc::clone(&clock), backend.tasks.clone(), stop.clone())
            .await?;
    let seeded = seed::Parts {
        database: backend.core.database.clone(),
        vault: backend.core.vault.clone(),
        providers: Arc::clone(&backend.core.providers),
        clock: Arc::clone(&clock),
    };
    seed::seed(&seeded, &world.worlds, &options.webhook_secret).await?;
    for made in &world.worlds {
        let target = format!("{local}webhooks/{0}/{0}-dev", made.provider);
        made.sandbox.add_webhook(&target, options.webhook_secret.expose_text().unwrap_or_default());
    }
    keep_telling(log, &backend, &stop);
    backend.begin().await;
    backend.start(&stop);
    let guard = Guard::loopback(config.server.public_url.as_deref(), &config.server.allowed_origins);
    let everybody = Some(seed::everybody());
    let app = app(&config, &backend, Callers { guard, console: Some(console()), everybody }, &stop);
    let routes = router(&app, true);
    let mut all: Vec<_> = listeners.into_iter().map(|listener| (listener, routes.clone())).collect();
    all.extend(sandbox_listeners.into_iter().map(|listener| (listener, world.router())));
    if options.traffic == Traffic::Gentle {
        world.make_gentle_traffic(&backend.tasks, &stop);
    }
    banner::print(&banner::Facts { port, sandbox_port, providers: &backend.core.providers, data: data.path() });
    let served = lifecycle::serve(&app, all, stop, Duration::from_secs(config.server.shutdown_seconds)).await;
    drop((app, world));
    backend.finish().await;
    log.finish().await;
    served
}

/// The callers that are let in, and from where.
struct Callers {
    guard: Guard,
    console: Option<Console>,
    /// The one caller, where no key is asked for.
    everybody: Option<Arc<ViewerView>>,
}

/// The transports over a backend. The keys that are let in are looked after from now on.
fn app(config: &Config, backend: &Backend, callers: Callers, stop: &CancellationToken) -> Arc<App> {
    let (executor, core) = (&backend.executor, &backend.core);
    let epochs = Arc::clone(core.engine.epochs());
    let keys = Arc::new(Credentials::new(core.database.clone(), epochs, Arc::clone(&core.clock)));
    let (watching, until) = (Arc::clone(&keys), stop.clone());
    backend.supervisor.supervise(&backend.tasks.clone().into(), "key-watcher", stop, move || {
        let (watching, until) = (Arc::clone(&watching), until.clone());
        async move { watching.watch(until).await }
    });
    let parts = operation::Parts {
        rules: Arc::clone(executor) as _,
        execute: Arc::new(Arc::clone(executor)),
        follow: Arc::new(Arc::clone(executor)),
        authenticator: Authenticator::new(keys, callers.everybody),
        store: Arc::new(core.database.clone()),
        budgets: Arc::clone(executor.budgets()),
        clock: Arc::clone(&core.clock),
        metrics: Arc::clone(&backend.metrics),
        tasks: backend.tasks.clone(),
    };
    let parts = Parts {
        pipeline: Arc::new(Pipeline::new(config, parts)),
        webhooks: Arc::clone(&backend.inbox) as _,
        clock: Arc::clone(&core.clock),
        metrics: Arc::clone(&backend.metrics),
        guard: callers.guard,
        console: callers.console,
        checks: Arc::clone(&backend.checks),
        database: readiness::database_answers(core.database.clone()),
        tasks: backend.tasks.clone(),
        supervisor: backend.supervisor.clone(),
    };
    App::new(config, parts)
}

fn port_of(listeners: &[tokio::net::TcpListener]) -> anyhow::Result<u16> {
    Ok(listeners.first().context("no listener")?.local_addr()?.port())
}

/// Runs `serve` until a signal. `reload` is how its settings are read again at SIGHUP.
pub async fn serve(config: Config, reload: Reload, log: &Log) -> anyhow::Result<()> {
    let key = sealing_key(&config)?;
    let hangups = lifecycle::on_hangup()?;
    if let Some(files) = lifecycle::raise_open_files(config.live.max_sockets) {
        let sockets = config.live.max_sockets;
        tracing::warn!(
            files,
            sockets,
            "fewer files may be open than sockets are admitted: raise the limit (ulimit -n)"
        );
    }
    let stop = lifecycle::on_signal()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = metrics(log);
    metrics.process_started(clock.now());
    let (supervisor, tasks) = (Supervisor::new(Arc::new(metrics.tasks.clone())), TaskTracker::new());
    let database = database::open(&config, Arc::clone(&clock)).await?;
    database::check_durability(&database, config.webhooks.allow_unsafe_database).await?;
    database::prepare_schema(&config, &database).await?;
    database::check_key(&database, key).await?;
    let webhook_base = config.server.public_url.as_deref().map(str::parse).transpose()?;
    let bus: Arc<dyn Bus> = match &config.replicas.nats_url {
        Some(url) => {
            let restarts = metrics.bus_restarts.clone();
            let restarted = move || {
                restarts.inc();
            };
            let supervised = (&supervisor, &tasks.clone().into(), &stop);
            Nats::connect((url.expose(), &config.replicas.nats_prefix), restarted, supervised)
                .await
                .context("NATS cannot be used; check replicas.nats_url")?
        }
        None => Arc::new(Alone),
    };
    let made = Ingredients {
        key,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        allow: Vec::new(),
        webhook_base,
        bus,
        supervisor: supervisor.clone(),
        tasks,
    };
    let mut backend = backend::build(&config, database, made)?;
    keep_telling(log, &backend, &stop);
    backend.begin().await;
    backend.start(&stop);
    let guard = Guard::public(config.server.public_url.as_deref(), &config.server.allowed_origins);
    let console = config.server.console.then(console);
    let app = app(&config, &backend, Callers { guard, console, everybody: None }, &stop);
    let main = lifecycle::bind(SocketAddr::new(config.server.address, config.server.port), "server.port")?;
    let admin = lifecycle::bind(config.server.admin_address, "server.admin_address")?;
    let parts = reload::Parts { app: Arc::clone(&app), upstream: backend.core.upstream.clone() };
    let (reloader, until) = (Arc::new(Reloader::new(reload, parts, config.clone(), hangups)), stop.clone());
    backend.supervisor.supervise(&backend.tasks.clone().into(), "reloader", &stop, move || {
        let (reloader, until) = (Arc::clone(&reloader), until.clone());
        async move { reloader.run(until).await }
    });
    tracing::info!(address = %main.local_addr()?, admin = %admin.local_addr()?, "ready");
    let listeners = vec![(main, router(&app, false)), (admin, admin_router(&app))];
    let served = lifecycle::serve(&app, listeners, stop, Duration::from_secs(config.server.shutdown_seconds)).await;
    drop(app);
    backend.finish().await;
    log.finish().await;
    served
}

/// The key of `serve`, which has none of its own.
fn sealing_key(config: &Config) -> anyhow::Result<[u8; 32]> {
    let Some(key) = &config.security.encryption_key else { bail!("no encryption key") };
    Ok(encryption_key(key.expose())?)
}

/// Refuses what `serve` would refuse, and changes nothing. The settings themselves were checked when they were read.
pub async fn check(config: &Config) -> anyhow::Result<()> {
    let key = sealing_key(config)?;
    if !config.database.url.as_ref().is_some_and(|url| url.expose().starts_with("postgres")) {
        return database::check_file(config);
    }
    let database = database::open(config, Arc::new(SystemClock)).await?;
    database::check(config, &database, key).await?;
    database.close().await.context("the database was not closed properly")
}

/// Brings the database's schema up to date.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let database = database::open(config, Arc::new(SystemClock)).await?;
    database::migrate(&database).await?;
    database.close().await.context("the database was not closed properly")
}

/// The SDL.
pub fn schema(federation: bool) -> String {
    if federation { mullion_schema::build::federation_sdl() } else { mullion_schema::build::sdl() }
}

/// Runs the stand-ins until a signal.
pub async fn sandbox(config: &Config, traffic: Traffic) -> anyhow::Result<()> {
    let data = DataFolder::open(&config.database.data)?;
    let stop = lifecycle::on_signal()?;
    let tasks = TaskTracker::new();
    let listeners = lifecycle::bind_loopback(config.sandbox.port, "--port")?;
    let port = port_of(&listeners)?;
    let providers = mullion_resolvers::providers::all();
    let place = stand_ins::Place { data: data.path(), port, seed: config.sandbox.seed };
    let world = stand_ins::open(place, &providers, Arc::new(SystemClock), tasks.clone(), stop.clone()).await?;
    if traffic == Traffic::Gentle {
        world.make_gentle_traffic(&tasks, &stop);
    }
    banner::print_sandbox(port, &providers);
    let mut servers = tokio::task::JoinSet::new();
    for listener in listeners {
        let (router, stop) = (world.router(), stop.clone());
        servers.spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await }).await
        });
    }
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// Makes an API key, and the tenant if it is new. The key, in clear only here.
pub async fn key_create(config: &Config, tenant: &str, name: &str, role: Role) -> anyhow::Result<String> {
    let fit = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if tenant.is_empty() || tenant.len() > 64 || !tenant.chars().all(fit) {
        bail!("a tenant's name is 1 to 64 letters, digits, hyphens, underscores and dots: `{tenant}` is not");
    }
    let name = check::title("--name", name).map_err(|refused| anyhow::anyhow!(refused.message))?;
    let database = database::open(config, Arc::new(SystemClock)).await?;
    database::prepare_schema(config, &database).await?;
    let id = tenant.into();
    database.create_tenant(&id, tenant).await.context("the tenant cannot be made")?;
    let (_, secret) = database.create_api_key(&id, &name, &role.to_string()).await.context("the key cannot be made")?;
    Ok(secret.expose_text().unwrap_or_default().to_owned())
}

/// A line for each API key: id, tenant, name, role, when it was made and last used.
pub async fn key_list(config: &Config, tenant: Option<&str>) -> anyhow::Result<Vec<String>> {
    let database = database::open_existing(config, Arc::new(SystemClock)).await?;
    let mut lines = Vec::new();
    for known in database.tenants().await? {
        if tenant.is_some_and(|tenant| tenant != known.id.as_str()) {
            continue;
        }
        for key in database.api_keys(&known.id).await? {
            let used =
                key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {}", at.format("%F")));
            let state = if key.revoked_at.is_some() { "revoked" } else { "active" };
            let made = key.created_at.format("%F");
            lines.push(format!(
                "{}  {}  {}  {}  {state}  made {made}  {used}  {}…",
                key.id, known.id, key.name, key.role, key.prefix
            ));
        }
    }
    Ok(lines)
}

/// Revokes an API key by its id.
pub async fn key_revoke(config: &Config, id: &str) -> anyhow::Result<()> {
    let database = database::open_existing(config, Arc::new(SystemClock)).await?;
    for tenant in database.tenants().await? {
        if let Some(revoked) = database.revoke_api_key(&tenant.id, id).await? {
            hint(config, &tenant.id, revoked.change.position).await;
            return Ok(());
        }
    }
    bail!("there is no active key {id}; `mullion key list` shows them")
}

/// Tells the replicas of a change. Without it they find the change at their next look, within seconds.
async fn hint(config: &Config, tenant: &TenantId, head: i64) {
    let Some(url) = &config.replicas.nats_url else { return };
    let told =
        tokio::time::timeout(HINT, Nats::tell_once(url.expose(), &config.replicas.nats_prefix, tenant, head)).await;
    if !matches!(told, Ok(Ok(()))) {
        terminal::note("NATS does not answer: the replicas notice within a few seconds");
    }
}

/// The console: its page says so itself where its assets are not in the binary.
fn console() -> Console {
    Console { page: console::page, assets: || Router::new().route("/console/{*path}", get(console::asset)) }
}
