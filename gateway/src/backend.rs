//! The one place where the resolvers' parts are put together.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use mullion_resolvers::{
    accounts::{QuotaUses, SharedQuotas, Webhooks},
    activity::releaser::Releaser,
    background::Background,
    budget::ExecutionBudgets,
    bus::{Bus, Wake},
    changes::{
        Announcer,
        follower::{Follower, Looks},
    },
    clock::Clock,
    error_chain::chain,
    execution::{self, Executor},
    inbox::{
        Gaps, Inbox,
        worker::{Meaning, Worker},
    },
    listen::{self, Listeners, SocketObserver},
    live::{LiveHub, LiveRules},
    reading::Claims,
    reconcile::Reconciler,
    store::{
        Database,
        inbox::{PARKED, RECEIVED},
    },
    supervisor::Supervisor,
    upstream::{AddressGuard, Jitter, Limits, Observer, Upstream},
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    config::{self, Config},
    core::{Core, Outside, RoomParts, core},
    housekeeping::Housekeeper,
    inbox::{self, Consumer},
    readiness::{self, Checks},
    reconciling,
    runtimes::Runtimes,
    telemetry::{counters::Counters, metrics::Metrics},
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

/// The parts that answer behind the transports.
pub struct Backend {
    /// Executes operations.
    pub executor: Arc<Executor>,
    /// The parts that the rooms share.
    pub core: Core,
    /// Receives deliveries.
    pub inbox: Arc<Inbox>,
    /// Where tasks run: to be closed and waited for at the end.
    pub tasks: TaskTracker,
    /// The runtimes of the inbox, and of the streams and the live operations.
    runtimes: Runtimes,
    consumer: Option<Consumer>,
    worker: Option<Worker>,
    listeners: Option<Listeners>,
    releaser: Arc<Releaser>,
    follower: Option<Follower>,
    reconciler: Option<Arc<Reconciler>>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    housekeeper: Housekeeper,
    /// Keeps running what runs beside requests.
    pub supervisor: Supervisor,
    /// Whether the parts are well.
    pub checks: Arc<Checks>,
}

/// The ingredients of a backend beside the configuration.
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
    /// The way to the other processes over the same database.
    pub bus: Arc<dyn Bus>,
    /// Keeps background tasks running.
    pub supervisor: Supervisor,
    /// The tasks that the end of the process waits for.
    pub tasks: TaskTracker,
}

/// Puts the parts together.
pub fn build(config: &Config, database: Database, made: Ingredients) -> anyhow::Result<Backend> {
    let Ingredients { key, clock, metrics, allow, webhook_base, bus, supervisor, tasks } = made;
    let runtimes = Runtimes::new(&tasks)?;
    let counters = Arc::new(Counters::new(Arc::clone(&metrics)));
    let quota_uses = Arc::new(QuotaUses::new(database.clone(), tasks.clone(), Arc::clone(&clock)));
    let upstream = upstream(&config.upstream, &allow, Arc::clone(&clock), Arc::clone(&counters) as _);
    let upstream = upstream.with_etag_bytes(config.cache.etag_bytes).with_usage_log(Arc::clone(&quota_uses) as _);
    let (upstream, claims) = among_replicas(&database, &tasks, upstream)?;
    let hub = LiveHub::new(runtimes.live().clone(), live_rules(config));
    let outside = Outside { key, clock, upstream, hub, bus: Arc::clone(&bus), claims, tasks: tasks.clone() };
    let (core, announcer) = core(config, database, outside)?;
    let gaps = Arc::<Gaps>::default();
    let deliveries = inbox::Parts {
        wake: core.wake.clone(),
        observer: Arc::clone(&counters) as _,
        gaps: Arc::clone(&gaps),
        clock: Arc::clone(&core.clock),
    };
    let (intake, consumer) = inbox::intake(&config.webhooks, &core.database, &deliveries)?;
    let providers = Arc::clone(&core.providers);
    let inbox = Inbox::new(core.database.clone(), core.vault.clone(), providers, Arc::clone(&core.clock), intake);
    let inbox = Arc::new(inbox.noting(Arc::clone(&gaps)));
    let follower =
        (!core.database.is_sqlite()).then(|| follower(config, &core.database, announcer, bus, core.wake.clone()));
    let meaning = Meaning { engine: Arc::clone(&core.engine), applier: Arc::clone(&core.applier) };
    let (consumer, worker) = inbox::workers(meaning, &core.database, consumer, deliveries, &config.webhooks)?;
    let webhooks = Webhooks { database: core.database.clone(), vault: core.vault.clone(), base: webhook_base };
    let webhooks = Arc::new(webhooks);
    let parts = reconciling::Parts { gaps, observer: Arc::clone(&counters) as _, worker: worker.name().to_owned() };
    let rounds = core.for_reconciler(Arc::clone(&webhooks));
    let reconciler = Some(Arc::new(reconciling::reconciler(config, rounds, parts, &allow)?));
    let socket_tokens = Arc::<Notify>::default();
    let listeners = listeners(&core, &inbox, Arc::clone(&counters) as _, Arc::clone(&socket_tokens))?;
    let housekeeper = Housekeeper::new(core.database.clone(), config)?;
    let checks = Arc::new(Checks::new(readiness::checks(&core.database, &supervisor), metrics.tasks.clone()));
    let rooms =
        core.rooms(RoomParts { webhooks, socket_tokens, quota_uses, unknown_words: Arc::clone(&counters) as _ });
    let activities = Arc::clone(&rooms.activities);
    let releaser = Releaser::new(activities, Arc::clone(&core.applier), Arc::clone(&core.hub), tasks.clone());
    let executor = Executor::new(core.for_executor(rooms, tasks.clone()), executions(config), counters);
    Ok(Backend {
        executor,
        core,
        inbox,
        tasks,
        runtimes,
        consumer: Some(consumer),
        worker: Some(worker),
        listeners: Some(listeners),
        releaser,
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
    bus: Arc<dyn Bus>,
    wake: Wake,
) -> Follower {
    let alone = Duration::from_millis(config.replicas.poll_milliseconds);
    let looks = Looks { connected: LOOK_CONNECTED.max(alone), alone };
    Follower { database: database.clone(), announcer, bus, wake, looks }
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
        // A request that gets its turn later would have too little time left, and would not be told why.
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

/// The quotas and claims that replicas share. SQLite has one process; over PostgreSQL there may be others.
fn among_replicas(database: &Database, tasks: &TaskTracker, upstream: Upstream) -> anyhow::Result<(Upstream, Claims)> {
    if database.is_sqlite() {
        return Ok((upstream, Claims::alone()));
    }
    let quotas = SharedQuotas { database: database.clone(), tasks: tasks.clone() };
    Ok((upstream.with_board(Arc::new(quotas)), Claims::shared(database.clone())?))
}

/// The listeners to providers that send their events over a socket.
fn listeners(
    core: &Core,
    inbox: &Arc<Inbox>,
    observer: Arc<dyn SocketObserver>,
    socket_tokens: Arc<Notify>,
) -> anyhow::Result<Listeners> {
    let parts = listen::Parts {
        id: core.database.new_id().context("no id can be made")?,
        database: core.database.clone(),
        connector: Arc::clone(&core.connector),
        upstream: core.upstream.clone(),
        applier: Arc::clone(&core.applier),
        inbox: Arc::clone(inbox),
        observer,
        clock: Arc::clone(&core.clock),
        jitter: Jitter::random(),
    };
    Ok(Listeners::new(parts, socket_tokens))
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
        let (inbox, live) = (self.runtimes.inbox().clone(), self.runtimes.live().clone());
        let supervisor = self.supervisor.clone();
        if let Some(consumer) = self.consumer.take() {
            supervisor.supervise(&inbox, "taker", stop, move || consumer.clone().run());
        }
        if let Some(worker) = self.worker.take() {
            let until = stop.clone();
            supervisor.supervise(&inbox, "worker", stop, move || worker.clone().run(until.clone()));
        }
        if let Some(listeners) = self.listeners.take() {
            let until = stop.clone();
            supervisor.supervise(&live, "listeners", stop, move || listeners.clone().run(until.clone()));
        }
        let (releaser, until) = (Arc::clone(&self.releaser), stop.clone());
        supervisor.supervise(&live, "releaser", stop, move || Arc::clone(&releaser).run(until.clone()));
        if let Some(follower) = self.follower.take() {
            let until = stop.clone();
            supervisor.supervise(&live, "follower", stop, move || follower.clone().run(until.clone()));
        }
        self.start_reconciler(&live, stop);
        let others = Background::from(self.tasks.clone());
        let (housekeeper, clock, until) = (self.housekeeper.clone(), Arc::clone(&self.core.clock), stop.clone());
        supervisor.supervise(&others, "housekeeper", stop, move || {
            let (housekeeper, clock, until) = (housekeeper.clone(), Arc::clone(&clock), until.clone());
            async move { housekeeper.run(clock.as_ref(), &until).await }
        });
        let (database, until) = (self.core.database.clone(), stop.clone());
        supervisor.supervise(&others, "database-watch", stop, move || {
            let (database, until) = (database.clone(), until.clone());
            async move { database.watch(until).await }
        });
        let (checks, until) = (Arc::clone(&self.checks), stop.clone());
        supervisor.supervise(&others, "checks", stop, move || {
            let (checks, until) = (Arc::clone(&checks), until.clone());
            async move { checks.run(until).await }
        });
        let (measured, until) = (self.measured(), stop.clone());
        supervisor.supervise(&others, "measurer", stop, move || {
            let (measured, until) = (measured.clone(), until.clone());
            async move { measured.measure_often(until).await }
        });
    }

    fn start_reconciler(&mut self, live: &Background, stop: &CancellationToken) {
        let Some(reconciler) = self.reconciler.take() else { return };
        let (inbox, until) = (Arc::clone(&self.inbox), stop.clone());
        self.supervisor.supervise(live, "reconciler", stop, move || {
            let (reconciler, inbox, until) = (Arc::clone(&reconciler), Arc::clone(&inbox), until.clone());
            async move {
                // Deliveries that lie in the log are not missing.
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

    fn measured(&self) -> Measured {
        Measured {
            database: self.core.database.clone(),
            hub: Arc::clone(&self.core.hub),
            inbox: Arc::clone(&self.inbox),
            clock: Arc::clone(&self.core.clock),
            metrics: Arc::clone(&self.metrics),
        }
    }

    /// Waits for what still runs, then closes the database.
    pub async fn finish(self) {
        self.inbox.close();
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.is_err() {
            tracing::debug!("tasks were left behind");
        }
        let closed = tokio::time::timeout(CLOSED_WITHIN, self.core.database.close()).await;
        match closed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %chain(&error), "the database was not closed properly"),
            // SQLite reads committed data from its own log when the database is opened next.
            Err(_) => {
                tracing::warn!("the database is locked by another program and was left as it is: nothing is lost");
            }
        }
    }
}

/// The parts that are measured at intervals.
#[derive(Clone)]
struct Measured {
    database: Database,
    hub: Arc<LiveHub>,
    inbox: Arc<Inbox>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Measured {
    async fn measure_often(&self, stop: CancellationToken) {
        loop {
            self.metrics.inbox_log.set(i64::try_from(self.inbox.log_bytes()).unwrap_or(i64::MAX));
            self.measure().await;
            tokio::select! {
                () = tokio::time::sleep(MEASURING) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn measure(&self) {
        let metrics = &self.metrics;
        metrics.live_operations.set(i64::try_from(self.hub.operations()).unwrap_or(i64::MAX));
        if let Ok(inbox) = self.database.inbox_state().await {
            let lag = inbox.oldest_waiting.map(|oldest| self.clock.now() - oldest);
            let count = |state| inbox.counts.get(state).and_then(|count| i64::try_from(*count).ok()).unwrap_or(0);
            metrics.inbox_waiting.set(count(RECEIVED));
            metrics.inbox_parked.set(count(PARKED));
            metrics.inbox_lag.set(lag.and_then(|lag| lag.to_std().ok()).map_or(0.0, |lag| lag.as_secs_f64()));
        }
    }
}
