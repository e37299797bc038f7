//! The one place where the resolvers' parts are put together.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mullion_migrations::Migrator;
use mullion_resolvers::{
    answers::{Connector, Cursors, Providers, Rows, Services},
    cache::{epochs::Epochs, nodes::NodeCache},
    clock::Clock,
    engine::{Applier, Directory, Engine, Shelf},
    execution::Executor,
    live::LiveHub,
    store::{Database, OpenOptions},
    upstream::{AddressGuard, Jitter, Limits, Upstream},
    vault::Vault,
    webhook::{Inbox, worker::Worker},
};
use sea_orm_migration::MigratorTrait;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    bridge::{Counters, Doors},
    config::Config,
    telemetry::metrics::Metrics,
};

/// How often what lies in tables is counted for metrics, and what is old is removed.
const HOUSEKEEPING: Duration = Duration::from_secs(15);

/// What answers behind the transports.
pub struct Backend {
    /// Executes operations.
    pub executor: Arc<Executor>,
    /// Takes deliveries.
    pub doors: Arc<Doors>,
    /// Where tasks run: to be closed and waited for at the end.
    pub tasks: TaskTracker,
    worker: Option<Worker>,
    metrics: Arc<Metrics>,
    retention: chrono::Duration,
}

/// What a backend is made from beside the configuration.
pub struct Ingredients {
    /// The vault's key.
    pub key: [u8; 32],
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// Hosts that may be called beside those of `upstream.allow`: the stand-ins.
    pub allow: Vec<String>,
    /// Where providers reach us.
    pub webhook_base: Option<Url>,
}

/// Opens the database that the configuration names; the SQLite file of the data folder where it names none.
pub async fn open_database(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Database> {
    let url = if let Some(url) = &config.database.url {
        url.clone()
    } else {
        let folder = &config.database.data;
        std::fs::create_dir_all(folder)
            .with_context(|| format!("the data folder {} cannot be made", folder.display()))?;
        format!("sqlite://{}", folder.join("mullion.db").display())
    };
    let options = OpenOptions { max_connections: config.database.max_connections, ..OpenOptions::default() };
    Database::open(&url, &options, clock).await.context("the database cannot be opened; check database.url")
}

/// Brings the database's schema up to date.
pub async fn migrate(database: &Database) -> anyhow::Result<()> {
    Migrator::up(database.migration_connection(), None)
        .await
        .context("the database's schema cannot be brought up to date")
}

/// Refuses a key that is not the one that the database's secrets are sealed with: nothing could be opened, and what is sealed from
/// now on could not be opened with the right one.
pub async fn check_key(database: &Database, key: [u8; 32]) -> anyhow::Result<()> {
    const FINGERPRINT: &str = "fingerprint of the encryption key";
    let fingerprint = blake3::keyed_hash(&key, FINGERPRINT.as_bytes()).to_hex().to_string();
    match database.setting(FINGERPRINT).await? {
        Some(known) if known != fingerprint => anyhow::bail!(
            "this database's secrets are sealed with another encryption key: set MULLION_ENCRYPTION_KEY to the one it was begun with"
        ),
        Some(_) => Ok(()),
        None => Ok(database.set_setting(FINGERPRINT, &fingerprint).await?),
    }
}

/// Puts the parts together.
pub fn build(config: &Config, database: Database, made: Ingredients) -> anyhow::Result<Backend> {
    let Ingredients { key, clock, metrics, allow, webhook_base } = made;
    let tasks = TaskTracker::new();
    let vault = Vault::new([STANDARD.encode(key).as_str()]).context("the encryption key cannot be used")?;
    let providers: Arc<Providers> = Arc::new(mullion_resolvers::providers::all());
    let counters = Arc::new(Counters::new(Arc::clone(&metrics)));
    let limits = Limits {
        concurrency: config.upstream.max_concurrency,
        timeout: Duration::from_secs(config.upstream.timeout_seconds),
        ..Limits::default()
    };
    let guard = AddressGuard::new(config.upstream.allow.iter().chain(&allow));
    let upstream = Upstream::new(guard, limits, Arc::clone(&clock), Arc::clone(&counters) as _, Jitter::random());
    let epochs = Arc::new(Epochs::default());
    let nodes = NodeCache::new(config.cache.node_bytes);
    let shelf = Arc::new(Shelf::new(database.clone(), nodes, Arc::clone(&epochs)));
    let hub = LiveHub::new(tasks.clone(), Duration::from_secs(config.live.poll_seconds));
    let applier = Arc::new(Applier::new(Arc::clone(&shelf), Arc::clone(&epochs), Arc::clone(&hub)));
    let connector = Arc::new(Connector::new(
        database.clone(),
        vault.clone(),
        Arc::clone(&providers),
        upstream.clone(),
        Arc::clone(&clock),
    ));
    let directory = Arc::new(Directory::new(Arc::clone(&connector) as _, Arc::clone(&shelf), Arc::clone(&epochs)));
    let rows = Rows::new(&epochs);
    let engine =
        Arc::new(Engine::new(shelf, directory, Arc::clone(&applier), epochs, (Arc::clone(&clock), tasks.clone())));
    let cursors = Cursors::new(&vault);
    let work = Arc::new(Notify::new());
    let inbox = Inbox::new(database.clone(), vault.clone(), Arc::clone(&providers), Arc::clone(&work));
    let services = Arc::new(Services {
        database,
        vault,
        engine,
        rows,
        applier,
        hub,
        providers,
        connector,
        upstream,
        cursors,
        clock,
        webhook_base,
        tasks: tasks.clone(),
    });
    let worker = Worker::new(Arc::clone(&services), work, Arc::clone(&counters) as _);
    let executor = Executor::new(services, config.cache.response_bytes, counters);
    let doors = Arc::new(Doors::new(inbox, Arc::clone(&metrics), tasks.clone()));
    let retention = chrono::Duration::days(i64::try_from(config.live.retention_days).unwrap_or(i64::MAX / 2));
    Ok(Backend { executor, doors, tasks, worker: Some(worker), metrics, retention })
}

impl Backend {
    /// Starts what runs beside requests.
    pub fn start(&mut self, stop: &CancellationToken) {
        if let Some(worker) = self.worker.take() {
            self.tasks.spawn(worker.run(stop.clone()));
        }
        let (services, metrics) = (Arc::clone(self.executor.services()), Arc::clone(&self.metrics));
        let (stop, retention) = (stop.clone(), self.retention);
        self.tasks.spawn(async move {
            loop {
                measure(&services, &metrics).await;
                prune(&services, retention).await;
                tokio::select! {
                    () = tokio::time::sleep(HOUSEKEEPING) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Waits for what still runs, then closes the database.
    pub async fn finish(self) {
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.is_err() {
            tracing::debug!("tasks were left behind");
        }
        if let Err(error) = self.executor.services().database.close().await {
            tracing::warn!(%error, "the database was not closed properly");
        }
    }
}

async fn measure(services: &Services, metrics: &Metrics) {
    metrics.live_operations.set(i64::try_from(services.hub.operations()).unwrap_or(i64::MAX));
    if let Ok(inbox) = services.database.inbox_state().await {
        let lag = inbox.oldest_waiting.map(|oldest| services.clock.now() - oldest);
        metrics.inbox_lag.set(lag.and_then(|lag| lag.to_std().ok()).map_or(0.0, |lag| lag.as_secs_f64()));
    }
}

async fn prune(services: &Services, retention: chrono::Duration) {
    let before = services.clock.now() - retention;
    let Ok(heads) = services.database.heads().await else { return };
    for (tenant, _) in heads {
        if let Err(error) = services.database.prune_changes(&tenant, before).await {
            tracing::warn!(%error, "the stream was not pruned");
        }
    }
    if let Err(error) = services.database.prune_deliveries(before).await {
        tracing::warn!(%error, "the inbox was not pruned");
    }
}
