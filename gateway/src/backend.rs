//! The one place where the resolvers' parts are put together.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mullion_migrations::Migrator;
use mullion_resolvers::{
    accounts::{Connector, QuotaUses, SharedQuotas},
    activity::{Cursors, releaser::Releaser},
    answers::{Rows, Services},
    background::Background,
    budget::ExecutionBudgets,
    bus::{Bus, Wake},
    cache::{epochs::Epochs, nodes::NodeCache},
    changes::{
        Announcer, Applier,
        follower::{Follower, Looks},
    },
    clock::Clock,
    error_chain::chain,
    execution::{self, Executor},
    inbox::{Gaps, Inbox, worker::Worker},
    listen::{self, Ear, Listeners},
    live::{LiveHub, LiveRules},
    provider::Providers,
    reading::{CachedStore, Claims, Directory, Engine, EngineParts},
    reconcile::Reconciler,
    store::{
        Database,
        inbox::{PARKED, RECEIVED},
    },
    supervisor::Supervisor,
    upstream::{AddressGuard, Jitter, Limits, Observer, Upstream},
    vault::Vault,
};
use sea_orm_migration::MigratorTrait;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    behind::Behind,
    bridge::{Counters, Doors},
    config::{self, Config},
    housekeeping::Housekeeper,
    inbound::{self, Taker},
    readiness::{self, Checks},
    reconciling,
    telemetry::metrics::Metrics,
};

/// How often what lies in tables is counted for metrics.
const MEASURING: Duration = Duration::from_secs(15);

/// How long the end waits for whoever writes to the database: another program may hold its lock for ever.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// How often the streams' heads are looked at although hints about them get through: one may be lost.
const LOOK_CONNECTED: Duration = Duration::from_secs(5);

/// How often, and how long at most, it is looked whether the database has what the last process left in the inbox's log.
const TAKEN: Duration = Duration::from_millis(20);
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// What answers behind the transports.
pub struct Backend {
    /// Executes operations.
    pub executor: Arc<Executor>,
    /// Takes deliveries.
    pub doors: Arc<Doors>,
    inbox: Arc<Inbox>,
    /// Where tasks run: to be closed and waited for at the end.
    pub tasks: TaskTracker,
    /// The runtimes of the inbox, and of the streams and the live operations.
    behind: Behind,
    taker: Option<Taker>,
    worker: Option<Worker>,
    listeners: Option<Listeners>,
    follower: Option<Follower>,
    reconciler: Option<Arc<Reconciler>>,
    metrics: Arc<Metrics>,
    housekeeper: Housekeeper,
    /// Keeps running what runs beside requests.
    pub supervisor: Supervisor,
    /// Whether the parts are well.
    pub checks: Arc<Checks>,
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
    /// What other processes over the same database tell and are told.
    pub bus: Arc<dyn Bus>,
    /// Keeps background tasks running.
    pub supervisor: Supervisor,
    /// The tasks that the end of the process waits for.
    pub tasks: TaskTracker,
}

/// Brings the database's schema up to date.
pub async fn migrate(database: &Database) -> anyhow::Result<()> {
    Migrator::up(database.migration_connection(), None)
        .await
        .context("the database's schema cannot be brought up to date")
}

/// Brings the database's schema up to date where the settings let it, otherwise refuses one that is not.
pub async fn prepare_schema(config: &Config, database: &Database) -> anyhow::Result<()> {
    if config.database.migrate { migrate(database).await } else { check_schema(database).await }
}

/// Refuses a database whose schema is older than this version's.
async fn check_schema(database: &Database) -> anyhow::Result<()> {
    if is_outdated(database).await? {
        anyhow::bail!(
            "the database's schema is not up to date, and database.migrate is false: run `mullion migrate` first"
        );
    }
    Ok(())
}

async fn is_outdated(database: &Database) -> anyhow::Result<bool> {
    let pending = Migrator::get_pending_migrations_read_only(database.migration_connection()).await;
    Ok(!pending.context("the version of the database's schema cannot be read")?.is_empty())
}

/// Refuses a key that is not the one that the database's secrets are sealed with: nothing could be opened, and what is sealed from
/// now on could not be opened with the right one.
pub async fn check_key(database: &Database, key: [u8; 32]) -> anyhow::Result<()> {
    if is_its_key(database, key).await? {
        return Ok(());
    }
    Ok(database.set_setting(FINGERPRINT, &fingerprint(key)).await?)
}

/// The row of the database that tells its encryption key from others.
const FINGERPRINT: &str = "fingerprint of the encryption key";

fn fingerprint(key: [u8; 32]) -> String {
    blake3::keyed_hash(&key, FINGERPRINT.as_bytes()).to_hex().to_string()
}

/// Refuses a key of another database; `false` where the database has none yet.
async fn is_its_key(database: &Database, key: [u8; 32]) -> anyhow::Result<bool> {
    match database.setting(FINGERPRINT).await? {
        Some(known) if known != fingerprint(key) => anyhow::bail!(
            "this database's secrets are sealed with another encryption key: set MULLION_ENCRYPTION_KEY to the one it was begun with"
        ),
        known => Ok(known.is_some()),
    }
}

/// Refuses what `serve` would refuse of a database, and writes nothing.
pub async fn check(config: &Config, database: &Database, key: [u8; 32]) -> anyhow::Result<()> {
    check_durability(database, config.webhooks.allow_unsafe_database).await?;
    if !config.database.migrate {
        check_schema(database).await?;
    } else if is_outdated(database).await? {
        // There may be no table to look into yet; `serve` would make it.
        return Ok(());
    }
    is_its_key(database, key).await.map(drop)
}

/// Refuses a database that may lose what it says is committed: providers would be told that a delivery is safe which is not.
pub async fn check_durability(database: &Database, allowed: bool) -> anyhow::Result<()> {
    let found = database.unsafe_settings().await.context("the database's settings cannot be read")?.join(", ");
    if found.is_empty() {
        return Ok(());
    }
    if allowed {
        tracing::warn!(
            settings = found,
            "the database may lose acknowledged deliveries (webhooks.allow_unsafe_database)"
        );
        return Ok(());
    }
    anyhow::bail!(
        "PostgreSQL runs with {found}: a power failure would lose deliveries that were acknowledged to their providers. \
         Turn it on in postgresql.conf, or for this user with `ALTER ROLE … RESET synchronous_commit`; \
         or, where that may happen, set webhooks.allow_unsafe_database = true"
    )
}

/// Puts the parts together.
pub fn build(config: &Config, database: Database, made: Ingredients) -> anyhow::Result<Backend> {
    let Ingredients { key, clock, metrics, allow, webhook_base, bus, supervisor, tasks } = made;
    let behind = Behind::new(&tasks)?;
    let vault = Vault::new([STANDARD.encode(key).as_str()]).context("the encryption key cannot be used")?;
    let providers: Arc<Providers> = Arc::new(mullion_resolvers::providers::all());
    let counters = Arc::new(Counters::new(Arc::clone(&metrics)));
    let upstream = upstream(&config.upstream, &allow, Arc::clone(&clock), Arc::clone(&counters) as _);
    let quota_uses = Arc::new(QuotaUses::new(database.clone(), tasks.clone(), Arc::clone(&clock)));
    let upstream = upstream.with_etag_bytes(config.cache.etag_bytes).with_usage_log(Arc::clone(&quota_uses) as _);
    let (upstream, claims) = among_replicas(&database, &tasks, upstream)?;
    let epochs = Arc::new(Epochs::default());
    // Lists get half as much as the nodes, and both no more than is said.
    let nodes = NodeCache::new(config.cache.node_bytes / 3 * 2);
    let cached_store = Arc::new(CachedStore::new(database.clone(), nodes, Arc::clone(&epochs)));
    let hub = LiveHub::new(behind.tasks().clone(), live_rules(config));
    let connector = Arc::new(Connector::new(
        database.clone(),
        vault.clone(),
        Arc::clone(&providers),
        upstream.clone(),
        (Arc::clone(&clock), reconciling::pulse_rules(config)),
    ));
    let directory =
        Arc::new(Directory::new(Arc::clone(&connector) as _, Arc::clone(&cached_store), Arc::clone(&epochs)));
    let own = Announcer::new(database.clone(), Arc::clone(&epochs), Arc::clone(&hub), Arc::clone(&bus));
    let announcer = Arc::new(own);
    let applier = Arc::new(Applier::new(Arc::clone(&cached_store), Arc::clone(&announcer)));
    let rows = Rows::new(&epochs);
    let engine = Engine::new(EngineParts {
        cached_store,
        directory,
        sink: Arc::clone(&applier) as _,
        claims,
        epochs,
        clock: Arc::clone(&clock),
        tasks: tasks.clone(),
    });
    let engine = Arc::new(engine.with_patience(Duration::from_millis(config.upstream.patience_milliseconds)));
    let cursors = Cursors::new(&vault);
    let wake = Wake::new(Arc::clone(&bus));
    let (intake, taker) = inbound::intake(&config.webhooks, &database, (wake.clone(), Arc::clone(&counters) as _))?;
    let gaps = Arc::<Gaps>::default();
    let inbox = Inbox::new(database.clone(), vault.clone(), Arc::clone(&providers), Arc::clone(&clock), intake);
    let inbox = Arc::new(inbox.noting(Arc::clone(&gaps)));
    let follower = (!database.is_sqlite()).then(|| follower(config, &database, announcer, (bus, &wake)));
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
        wake: wake.clone(),
        sockets: Arc::default(),
        quota_uses,
        unknown_words: Arc::clone(&counters) as _,
        tasks: tasks.clone(),
    });
    let (taker, worker) =
        inbound::hands(&services, taker, (wake, Arc::clone(&counters) as _, Arc::clone(&gaps)), &config.webhooks)?;
    let around = (gaps, Arc::clone(&counters) as _, worker.name().to_owned());
    let reconciler = Some(Arc::new(reconciling::reconciler(config, &services, around, &allow)?));
    let listeners = Some(listeners(&services, &inbox, Arc::clone(&counters) as _)?);
    let housekeeper = Housekeeper::new(services.database.clone(), config)?;
    let checks = Arc::new(Checks::new(readiness::checks(&services.database, &supervisor), metrics.tasks.clone()));
    let executor = Executor::new(services, executions(config), counters);
    Ok(Backend {
        executor,
        doors: Arc::new(Doors::new(Arc::clone(&inbox), Arc::clone(&metrics), tasks.clone())),
        inbox,
        tasks,
        behind,
        taker: Some(taker),
        worker: Some(worker),
        listeners,
        follower,
        reconciler,
        metrics,
        housekeeper,
        supervisor,
        checks,
    })
}

/// Follows what other replicas write.
fn follower(
    config: &Config,
    database: &Database,
    announcer: Arc<Announcer>,
    (bus, wake): (Arc<dyn Bus>, &Wake),
) -> Follower {
    let alone = Duration::from_millis(config.replicas.poll_milliseconds);
    let looks = Looks { connected: LOOK_CONNECTED.max(alone), alone };
    Follower { database: database.clone(), announcer, bus, wake: wake.clone(), looks }
}

/// So many tenants may have as many live runs at a time as one may.
const LIVE_TENANTS: usize = 4;

/// How much may be executed.
fn executions(config: &Config) -> execution::Limits {
    let of_tenant = config.limits.max_concurrent_live_executions;
    execution::Limits {
        response_bytes: config.cache.response_bytes,
        answer_bytes: config.limits.max_answer_bytes,
        executions: config.limits.max_concurrent_executions,
        live: execution::LiveLimits { tenant: of_tenant, all: of_tenant.saturating_mul(LIVE_TENANTS) },
        // Who comes to it later would have too little time left, and would not be told why.
        patience: Duration::from_secs(config.server.request_timeout_seconds) / 2,
        budgets: ExecutionBudgets {
            held_bytes: config.limits.max_held_bytes_per_tenant,
            time: Some(Duration::from_secs(config.limits.max_processor_seconds_per_minute))
                .filter(|time| !time.is_zero()),
        },
    }
}

/// How live operations are run.
fn live_rules(config: &Config) -> LiveRules {
    LiveRules {
        reread: Duration::from_secs(config.live.poll_seconds),
        replayed: i64::try_from(config.live.replay_changes).unwrap_or(i64::MAX),
        operations: config.live.max_operations_per_tenant,
        subscriptions: config.live.max_subscriptions_per_tenant,
        ..LiveRules::default()
    }
}

/// The way to the providers.
fn upstream(
    config: &config::Upstream,
    allow: &[String],
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
) -> Upstream {
    let limits = Limits {
        concurrency: config.max_concurrency,
        timeout: Duration::from_secs(config.timeout_seconds),
        ..Limits::default()
    };
    let guard = AddressGuard::new(config.allow.iter().chain(allow));
    Upstream::new(guard, limits, clock, observer, Jitter::random())
}

/// What the replicas tell each other of their calls. SQLite has one process; over PostgreSQL there may be others.
fn among_replicas(database: &Database, tasks: &TaskTracker, upstream: Upstream) -> anyhow::Result<(Upstream, Claims)> {
    if database.is_sqlite() {
        return Ok((upstream, Claims::alone()));
    }
    let quotas = SharedQuotas { database: database.clone(), tasks: tasks.clone() };
    Ok((upstream.with_board(Arc::new(quotas)), Claims::shared(database.clone())?))
}

/// Who listens to providers that send their events over a socket.
fn listeners(services: &Services, inbox: &Arc<Inbox>, ear: Arc<dyn Ear>) -> anyhow::Result<Listeners> {
    let parts = listen::Parts {
        id: services.database.new_id().context("no id can be made")?,
        database: services.database.clone(),
        connector: Arc::clone(&services.connector),
        upstream: services.upstream.clone(),
        applier: Arc::clone(&services.applier),
        inbox: Arc::clone(inbox),
        ear,
        clock: Arc::clone(&services.clock),
        jitter: Jitter::random(),
    };
    Ok(Listeners::new(parts, Arc::clone(&services.sockets)))
}

impl Backend {
    /// Notes that this process was not there until now; before anything is started, and anybody answered.
    pub async fn begin(&self) {
        if let Some(reconciler) = &self.reconciler {
            reconciler.begin().await;
        }
    }

    /// Starts what runs beside requests.
    pub fn start(&mut self, stop: &CancellationToken) {
        let (inbox, live) = (self.behind.inbox().clone(), self.behind.tasks().clone());
        let supervisor = self.supervisor.clone();
        if let Some(taker) = self.taker.take() {
            supervisor.supervise(&inbox, "taker", stop, move || taker.clone().run());
        }
        if let Some(worker) = self.worker.take() {
            let until = stop.clone();
            supervisor.supervise(&inbox, "worker", stop, move || worker.clone().run(until.clone()));
        }
        if let Some(listeners) = self.listeners.take() {
            let until = stop.clone();
            supervisor.supervise(&live, "listeners", stop, move || listeners.clone().run(until.clone()));
        }
        let (releaser, until) = (Releaser::new(Arc::clone(self.executor.services())), stop.clone());
        supervisor.supervise(&live, "releaser", stop, move || Arc::clone(&releaser).run(until.clone()));
        if let Some(follower) = self.follower.take() {
            let until = stop.clone();
            supervisor.supervise(&live, "follower", stop, move || follower.clone().run(until.clone()));
        }
        self.start_reconciler(&live, stop);
        let others = Background::from(self.tasks.clone());
        let (services, metrics) = (Arc::clone(self.executor.services()), Arc::clone(&self.metrics));
        let (housekeeper, kept, until) = (self.housekeeper.clone(), Arc::clone(&services), stop.clone());
        supervisor.supervise(&others, "housekeeper", stop, move || {
            let (housekeeper, kept, until) = (housekeeper.clone(), Arc::clone(&kept), until.clone());
            async move { housekeeper.run(kept.clock.as_ref(), &until).await }
        });
        let (database, until) = (services.database.clone(), stop.clone());
        supervisor.supervise(&others, "database-watch", stop, move || {
            let (database, until) = (database.clone(), until.clone());
            async move { database.watch(until).await }
        });
        let (checks, until) = (Arc::clone(&self.checks), stop.clone());
        supervisor.supervise(&others, "checks", stop, move || {
            let (checks, until) = (Arc::clone(&checks), until.clone());
            async move { checks.run(until).await }
        });
        let (inbox, until) = (Arc::clone(&self.inbox), stop.clone());
        supervisor.supervise(&others, "measurer", stop, move || {
            let (services, metrics) = (Arc::clone(&services), Arc::clone(&metrics));
            measure_often(services, metrics, Arc::clone(&inbox), until.clone())
        });
    }

    fn start_reconciler(&mut self, live: &Background, stop: &CancellationToken) {
        let Some(reconciler) = self.reconciler.take() else { return };
        let (inbox, until) = (Arc::clone(&self.inbox), stop.clone());
        self.supervisor.supervise(live, "reconciler", stop, move || {
            let (reconciler, inbox, until) = (Arc::clone(&reconciler), Arc::clone(&inbox), until.clone());
            async move {
                // What lies in the log is not missing.
                let taken = async {
                    while inbox.log_bytes() > 0 {
                        tokio::time::sleep(TAKEN).await;
                    }
                };
                let _ = tokio::time::timeout(TAKEN_WITHIN, taken).await;
                reconciler.run(until).await;
            }
        });
    }

    /// Waits for what still runs, then closes the database.
    pub async fn finish(self) {
        self.doors.close();
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.is_err() {
            tracing::debug!("tasks were left behind");
        }
        let closed = tokio::time::timeout(CLOSED_WITHIN, self.executor.services().database.close()).await;
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %chain(&error), "the database was not closed properly"),
            // What is committed is read from SQLite's own log when the database is opened next.
            Err(_) => {
                tracing::warn!("the database is locked by another program and was left as it is: nothing is lost");
            }
        }
    }
}

async fn measure_often(services: Arc<Services>, metrics: Arc<Metrics>, inbox: Arc<Inbox>, stop: CancellationToken) {
    loop {
        metrics.inbox_log.set(i64::try_from(inbox.log_bytes()).unwrap_or(i64::MAX));
        measure(&services, &metrics).await;
        tokio::select! {
            () = tokio::time::sleep(MEASURING) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn measure(services: &Services, metrics: &Metrics) {
    metrics.live_operations.set(i64::try_from(services.hub.operations()).unwrap_or(i64::MAX));
    if let Ok(inbox) = services.database.inbox_state().await {
        let lag = inbox.oldest_waiting.map(|oldest| services.clock.now() - oldest);
        let count = |state| inbox.counts.get(state).and_then(|count| i64::try_from(*count).ok()).unwrap_or(0);
        metrics.inbox_waiting.set(count(RECEIVED));
        metrics.inbox_parked.set(count(PARKED));
        metrics.inbox_lag.set(lag.and_then(|lag| lag.to_std().ok()).map_or(0.0, |lag| lag.as_secs_f64()));
    }
}
