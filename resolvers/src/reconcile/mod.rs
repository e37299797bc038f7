//! Reconciliation: gaps in what webhooks told are found, and filled. On start, after an outage and at intervals each integration of
//! interest is looked at: are its webhooks in order at the provider, and did anything happen that was not delivered?
//!
//! Among several replicas, a lease decides which one does it for an integration. Missing deliveries go the way of all others,
//! through the inbox, which recognises those that came after all. `docs/adr/0015-reconciliation.md` gives the reasons.

mod missed;
mod round;
mod schedule;
mod subjects;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use mullion_schema::id::{IntegrationId, TenantId};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::schedule::Rules;
use self::schedule::{Schedule, Standing, Turn, span};
use tracing::Instrument as _;

use crate::{
    accounts::{Connector, Webhooks},
    bus::Wake,
    changes::Applier,
    clock::Clock,
    error_chain::chain,
    inbox::Gaps,
    live::LiveHub,
    reading::Engine,
    reading::integrations::Integration,
    store::Database,
    store::{StoreError, catch_up::Pulse},
    upstream::{CircuitState, Jitter},
};

/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(500);
/// How often pulses are read, which other replicas write too.
const PULSES: Duration = Duration::from_secs(2);
/// How often replicas tell each other what is watched at them.
const PRESENCE: Duration = Duration::from_secs(10);
/// How often integrations are looked for that nobody watches.
const ALL: Duration = Duration::from_mins(1);
/// How long an integration is this process's after the last of its containers was looked at.
const LEASE: Duration = Duration::from_secs(20);
/// A round is broken off after this.
const LONGEST: Duration = Duration::from_mins(1);
/// Rounds at a time.
const ROUNDS: usize = 4;
/// The wait before a look at something newly watched: by then enough is known of it.
const NEW: Duration = Duration::from_secs(2);

/// A tenant and one of its integrations.
type Whose = (TenantId, IntegrationId);

/// Counts what came of it. The metrics are of the gateway, which depends on this crate.
pub trait ReconcileObserver: Send + Sync {
    /// A round over an integration: `complete`, `partial` or `failed`.
    fn round(&self, provider: &str, result: &'static str);

    /// So many deliveries had not come.
    fn recovered(&self, provider: &str, deliveries: usize);

    /// A webhook was not in order at the provider: `repaired` or `failed`.
    fn repaired(&self, provider: &str, result: &'static str);
}

/// The services that a reconciler works with.
pub struct Parts {
    /// The database.
    pub database: Database,
    /// Knows the integrations.
    pub engine: Arc<Engine>,
    /// Writes what is read, and announces it.
    pub applier: Arc<Applier>,
    /// Live operations.
    pub hub: Arc<LiveHub>,
    /// Knows how the providers answer.
    pub connector: Arc<Connector>,
    /// Registers webhooks anew.
    pub webhooks: Arc<Webhooks>,
    /// Tells the inbox's workers that something waits.
    pub wake: Wake,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The parts of the process that a reconciler hears from and reports to.
pub struct Surroundings {
    /// Knows what is watched.
    pub watch: Arc<LiveHub>,
    /// Knows what was refused.
    pub gaps: Arc<Gaps>,
    /// For metrics.
    pub observer: Arc<dyn ReconcileObserver>,
    /// Spreads what would else happen together.
    pub jitter: Jitter,
    /// The name of this process's worker: another that is alive was there while this process was not.
    pub worker: String,
}

/// Looks after the integrations until it is told to stop.
pub struct Reconciler {
    parts: Parts,
    around: Surroundings,
    rules: Rules,
    /// Beginnings of addresses of providers that stand still while this process does: its own stand-ins.
    ours: Vec<String>,
    name: String,
    schedule: Mutex<Schedule>,
    /// The integrations that are watched at any replica.
    present: Mutex<HashSet<IntegrationId>>,
}

impl Reconciler {
    /// A reconciler with a name of its own. Providers whose addresses begin like `ours` were down when this process was.
    pub fn new(parts: Parts, around: Surroundings, rules: Rules, ours: Vec<String>) -> Result<Self, StoreError> {
        let name = parts.database.new_id()?;
        let (schedule, present) = (Mutex::default(), Mutex::default());
        Ok(Self { parts, around, rules, ours, name, schedule, present })
    }

    /// Runs until `stop` fires; then others may have what it had.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let this = self;
        let mut rounds = JoinSet::new();
        let mut running: HashMap<tokio::task::Id, Whose> = HashMap::new();
        let (mut unwatched, mut looked_at): (Vec<Whose>, Option<DateTime<Utc>>) = (Vec::new(), None);
        let mut pulses_at: Option<DateTime<Utc>> = None;
        let mut presence_at: Option<DateTime<Utc>> = None;
        this.process_came_or_went();
        while !stop.is_cancelled() {
            let now = this.parts.clock.now();
            this.take_gaps().await;
            if this.around.gaps.take_departure() {
                this.process_came_or_went();
            }
            if pulses_at.is_none_or(|at| now - at >= span(PULSES)) {
                this.take_pulses().await;
                pulses_at = Some(now);
            }
            if presence_at.is_none_or(|at| now - at >= span(PRESENCE)) {
                this.share_presence().await;
                presence_at = Some(now);
            }
            if this.rules.unwatched.is_some() && looked_at.is_none_or(|at| now - at >= span(ALL)) {
                match this.parts.database.connected_integrations().await {
                    Ok(connected) => (unwatched, looked_at) = (connected, Some(now)),
                    // Those that were found last stay; it is tried again with the next turn.
                    Err(error) => {
                        tracing::debug!(error = %chain(&error), "it could not be read which integrations there are");
                    }
                }
            }
            let busy: HashSet<Whose> = running.values().cloned().collect();
            let free = ROUNDS.saturating_sub(running.len());
            for (integration, Turn { whose, only_new }) in this.next(now, &unwatched, &busy, free).await {
                let worker = Arc::clone(&this);
                let span = tracing::error_span!("round", tenant = %integration.tenant, integration = %integration.id);
                let task = rounds.spawn(async move { worker.look_at(&integration, only_new).await }.instrument(span));
                running.insert(task.id(), whose);
            }
            tokio::select! {
                Some(ended) = rounds.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    running.remove(&id);
                }
                () = tokio::time::sleep(TICK) => {}
                () = stop.cancelled() => {}
            }
        }
        rounds.shutdown().await;
        if let Err(error) = this.parts.database.leave(&this.name).await {
            tracing::debug!(error = %chain(&error), "the integrations were not given back");
        }
    }

    /// Schedules a look for deliveries that a proxy dropped meanwhile. This process's stand-ins send nothing through a proxy.
    fn process_came_or_went(&self) {
        if self.ours.is_empty() {
            self.schedule.lock().note_change(self.parts.clock.now());
        }
    }

    /// This process was not there until now. If no other was either, anything may have been missed. To be noted before anybody is
    /// answered.
    pub async fn begin(&self) {
        let database = &self.parts.database;
        if let Err(error) = database.free_leases("reconcile").await {
            tracing::debug!(error = %chain(&error), "the leases of an earlier process could not be ended: they run out");
        }
        let among_others = database.other_workers(&self.around.worker).await.unwrap_or_else(|error| {
            // Where it cannot be told, it counts as alone: what is suspect without a reason is only read again.
            tracing::debug!(error = %chain(&error), "it could not be read whether other processes run");
            false
        });
        if !among_others && let Err(error) = database.suspect_all(&self.ours).await {
            tracing::warn!(error = %chain(&error), "it could not be noted that there was a gap");
            self.around.gaps.note(None);
        }
    }

    /// Notes for all processes what was refused here.
    async fn take_gaps(&self) {
        let noted = self.around.gaps.take();
        if !noted.any && noted.of.is_empty() {
            return;
        }
        let done = async {
            if noted.any {
                self.parts.database.suspect_all(&[]).await?;
            }
            for (_, id) in &noted.of {
                self.parts.database.suspect(id).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = done.await {
            tracing::debug!(error = %chain(&error), "it could not be noted yet that deliveries were refused");
            self.around.gaps.put_back(noted);
        } else {
            self.take_pulses().await;
        }
    }

    /// Brings what this process has in memory of the integrations' webhooks up to date. Where an integration may have missed
    /// something, all that is watched of it is read again.
    pub(super) async fn take_pulses(&self) {
        let ready = self.parts.engine.directory().ready();
        let ids: Vec<IntegrationId> = ready.iter().map(|integration| integration.id.clone()).collect();
        let database = &self.parts.database;
        let read = futures::try_join!(database.pulses(&ids), database.registered_containers(&ids));
        let (pulses, mut registered) = match read {
            Ok(read) => read,
            Err(error) => {
                // The pulses in memory stay; they are read again in a moment.
                tracing::debug!(error = %chain(&error), "it could not be read how the webhooks do");
                return;
            }
        };
        for integration in ready {
            let Some(pulse) = pulses.get(&integration.id) else { continue };
            *integration.registered.write() = registered.remove(&integration.id).unwrap_or_default();
            if integration.take_pulse(*pulse) {
                self.parts.hub.reread(&integration.tenant, &integration.id);
            }
        }
    }

    /// Tells the other replicas what is watched here, and hears what is watched there. On SQLite there are none.
    async fn share_presence(&self) {
        let database = &self.parts.database;
        if database.is_sqlite() {
            return;
        }
        // Without an answer nothing is told: others would take what is watched here for unwatched.
        let Some(watched) = self.watched().await else { return };
        let here: Vec<IntegrationId> = watched.into_keys().map(|(_, id)| id).collect();
        if let Err(error) = database.note_presence(&self.name, &here).await {
            tracing::debug!(error = %chain(&error), "it could not be noted what is watched");
        }
        match database.present().await {
            Ok(present) => *self.present.lock() = present.into_iter().collect(),
            Err(error) => tracing::debug!(error = %chain(&error), "it could not be read what is watched elsewhere"),
        }
    }

    /// The integrations to look at now, as far as slots are free: as a whole, or only containers that were not looked at before.
    async fn next(
        &self,
        now: DateTime<Utc>,
        unwatched: &[Whose],
        busy: &HashSet<Whose>,
        free: usize,
    ) -> Vec<(Arc<Integration>, Turn)> {
        // Without an answer nothing is begun, and nothing forgotten of what was begun before.
        let Some(watched) = self.watched().await else { return Vec::new() };
        // Integrations that are watched at another replica and not here are left to that one, which knows what is watched.
        let present = self.present.lock().clone();
        let looks_at_all = self.schedule.lock().looks_at_all(now);
        let nobodys = unwatched.iter().filter(|(_, id)| looks_at_all || !present.contains(id));
        let all: HashSet<&Whose> = watched.keys().chain(nobodys).collect();
        let (mut integrations, mut standings) = (HashMap::new(), HashMap::new());
        for whose in all.iter().copied().filter(|whose| !busy.contains(*whose)) {
            let directory = self.parts.engine.directory();
            // One that cannot be read now has its turn later; the cause was logged.
            let Ok(Some(integration)) = directory.get(&whose.0, &whose.1).await else { continue };
            let pulse: Pulse = *integration.pulse.lock();
            let standing = Standing {
                pulse,
                state: integration.rules.state(&pulse, now),
                tags: watched.get(whose).copied(),
                paused: self.is_paused(&whose.1),
                jitter: self.around.jitter.fraction(),
            };
            integrations.insert(whose, integration);
            standings.insert(whose.clone(), standing);
        }
        let mut schedule = self.schedule.lock();
        schedule.keep(&all);
        let turns = schedule.next(now, &self.rules, &standings, free);
        turns.into_iter().filter_map(|turn| Some((integrations.remove(&turn.whose)?, turn))).collect()
    }

    /// The integrations that somebody watches, and how many tags of each. `None`: they cannot be read.
    async fn watched(&self) -> Option<HashMap<Whose, usize>> {
        let mut watched: HashMap<Whose, usize> = self.around.watch.watched().into_iter().collect();
        for tenant in self.around.watch.followed() {
            let rows = self.parts.database.integrations(&tenant).await;
            let rows = rows.inspect_err(
                |error| tracing::debug!(error = %chain(&error), "a tenant's integrations could not be read"),
            );
            let Ok(rows) = rows else { return None };
            for row in rows {
                watched.entry((tenant.clone(), row.id)).or_insert(0);
            }
        }
        Some(watched)
    }

    /// Whether calls to a provider are paused, because it did not answer.
    fn is_paused(&self, id: &IntegrationId) -> bool {
        let transport = self.parts.connector.transport(id);
        transport.is_some_and(|transport| transport.circuit() != CircuitState::Closed)
    }
}
