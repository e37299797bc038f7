//! Where the parts meet: engine, stores and providers on one side, transports on the other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::bail;
use axum::{Router, routing::get};
use mullion_resolvers::{
    clock::{Clock, SystemClock},
    secret::Secret,
};

use crate::{
    cli::dev::Traffic,
    config::{Config, encryption_key},
    data_folder::DataFolder,
    http::{App, Console, Parts, admin_router, console, guard::Guard, router, webhooks::Webhooks},
    lifecycle,
    telemetry::metrics::Metrics,
    transport::engine::{Engine, Role},
};

/// What only `dev` knows.
#[derive(Debug)]
pub struct DevOptions {
    /// How lively the stand-ins' world is.
    pub traffic: Traffic,
    /// Of the three webhook endpoints.
    pub webhook_secret: Secret,
}

/// What answers behind the transports.
pub struct Backend {
    /// Executes operations.
    pub engine: Arc<dyn Engine>,
    /// Takes deliveries.
    pub webhooks: Arc<dyn Webhooks>,
}

/// Runs `dev` until a signal.
pub async fn dev(config: Config, options: DevOptions) -> anyhow::Result<()> {
    let data = DataFolder::open(&config.database.data)?;
    let key = match &config.security.encryption_key {
        Some(key) => encryption_key(key)?,
        None => data.encryption_key()?,
    };
    let stop = lifecycle::on_signal()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::default());
    let backend = backend(&config, key, &metrics).await?;
    let guard = Guard::loopback(config.server.public_url.as_deref(), &config.server.allowed_origins);
    let parts =
        Parts { engine: backend.engine, webhooks: backend.webhooks, clock, metrics, guard, console: Some(console()) };
    let app = App::new(&config, parts);
    let listeners = lifecycle::bind_loopback(config.server.port).await?;
    let port = listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(0, |address| address.port());
    tracing::info!(port, traffic = ?options.traffic, data = %data.path().display(), "ready");
    let router = router(&app, true);
    let listeners = listeners.into_iter().map(|listener| (listener, router.clone())).collect();
    lifecycle::serve(&app, listeners, stop, Duration::from_secs(config.server.shutdown_seconds)).await
}

/// Runs `serve` until a signal.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let Some(key) = &config.security.encryption_key else { bail!("no encryption key") };
    let key = encryption_key(key)?;
    let stop = lifecycle::on_signal()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::default());
    let backend = backend(&config, key, &metrics).await?;
    let guard = Guard::public(config.server.public_url.as_deref(), &config.server.allowed_origins);
    let console = config.server.console.then(console);
    let parts = Parts { engine: backend.engine, webhooks: backend.webhooks, clock, metrics, guard, console };
    let app = App::new(&config, parts);
    let main = lifecycle::bind(SocketAddr::new(config.server.address, config.server.port)).await?;
    let admin = lifecycle::bind(config.server.admin_address).await?;
    tracing::info!(address = ?main.local_addr().ok(), admin = ?admin.local_addr().ok(), "ready");
    let listeners = vec![(main, router(&app, false)), (admin, admin_router(&app))];
    lifecycle::serve(&app, listeners, stop, Duration::from_secs(config.server.shutdown_seconds)).await
}

/// Brings the database's schema up to date.
pub async fn migrate(_config: &Config) -> anyhow::Result<()> {
    unwired().await
}

/// The SDL.
pub fn schema(_federation: bool) -> anyhow::Result<String> {
    bail!("this build has no engine yet")
}

/// Runs the stand-ins until a signal.
pub async fn sandbox(_config: &Config, _traffic: Traffic) -> anyhow::Result<()> {
    unwired().await
}

/// Makes an API key, and the tenant if it is new. The key, in clear only here.
pub async fn key_create(_config: &Config, _tenant: &str, _name: &str, _role: Role) -> anyhow::Result<String> {
    unwired().await
}

/// A line for each API key: id, tenant, name, role, when it was made and last used.
pub async fn key_list(_config: &Config, _tenant: Option<&str>) -> anyhow::Result<Vec<String>> {
    unwired().await
}

/// Revokes an API key by its id.
pub async fn key_revoke(_config: &Config, _id: &str) -> anyhow::Result<()> {
    unwired().await
}

/// Stands where the engine will be.
fn unwired<T>() -> std::future::Ready<anyhow::Result<T>> {
    std::future::ready(Err(anyhow::anyhow!("this build has no engine yet")))
}

/// The engine and what it stands on.
async fn backend(_config: &Config, _key: [u8; 32], _metrics: &Arc<Metrics>) -> anyhow::Result<Backend> {
    unwired().await
}

/// The console: its page says so itself where its assets are not in the binary.
fn console() -> Console {
    Console { page: console::page, assets: || Router::new().route("/console/{*path}", get(console::asset)) }
}
