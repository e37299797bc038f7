//! The workers: take stored deliveries of the lanes that this process holds, and apply them. Those that wait together share a
//! transaction, and its flush to disk; where that fails, each has one of its own.
//!
//! A lane is worked by one process at a time; a lease says which. So what shares an ordering key is applied in order of arrival,
//! whatever the number of replicas; what a replica held when it died, another takes over when the lease runs out. The lease is
//! checked where it counts: in the transaction that applies.

mod meaning;
#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt as _;
use mullion_schema::id::{IntegrationId, TenantId};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use self::meaning::Meaning;
use super::observer::InboxObserver;
use crate::bus::Wake;
use crate::{
    clock::Clock,
    error_chain::chain,
    inbox::Gaps,
    store::{
        Database, StoreError,
        inbox::WaitingDelivery,
        lease::{Held, Lease},
    },
    trace_context::TraceContext,
    upstream::Jitter,
};

/// Deliveries that are read in one go.
const CHUNK: usize = 256;
/// Deliveries that share a transaction: more would save little of the flush that they share.
const GROUP: usize = 128;
/// Bytes of bodies that do.
const GROUP_BYTES: usize = 4_000_000;
/// Without news, this one's lanes are looked into this often: for retries that are due, and for what is replayed by others.
const IDLE_ALONE: Duration = Duration::from_secs(1);
/// The same while there are other replicas, which store deliveries of our lanes: an index look-up, for want of news.
const IDLE_AMONG_OTHERS: Duration = Duration::from_millis(100);
/// How often leases are renewed: two beats may fail before they run out.
const BEAT: Duration = Duration::from_millis(1_500);
/// The first wait before another try; it doubles from try to try, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Does the work on deliveries.
#[async_trait]
pub trait Work: Send + Sync {
    /// Applies deliveries of one integration in order, all of them or none, each under the lease of its lane.
    async fn apply(&self, deliveries: &[LeasedDelivery]) -> Result<Vec<Done>, StoreError>;
}

/// A delivery that is worked on, and the lease of its lane.
#[derive(Debug, Clone)]
pub struct LeasedDelivery {
    /// The delivery.
    pub delivery: WaitingDelivery,
    /// The lease.
    pub lease: Lease,
}

/// The outcome of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is applied.
    Applied,
    /// It was applied before.
    Repeated,
    /// It is knowingly not used, and why.
    Ignored(&'static str),
}

/// How deliveries are worked.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A delivery that failed so often is parked.
    pub max_attempts: u32,
    /// Lanes that are worked at the same time.
    pub parallel: usize,
}

/// Works the inbox until it is told to stop.
#[derive(Clone)]
pub struct Worker {
    database: Database,
    work: Arc<dyn Work>,
    wake: Wake,
    observer: Arc<dyn InboxObserver>,
    clock: Arc<dyn Clock>,
    jitter: Jitter,
    gaps: Arc<Gaps>,
    rules: Rules,
    id: String,
}

/// The parts of the process that a worker relies on and reports to.
pub struct Surroundings {
    /// Tells that something waits.
    pub wake: Wake,
    /// Hears what came of it.
    pub observer: Arc<dyn InboxObserver>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Spreads retries.
    pub jitter: Jitter,
    /// Is told when another worker has gone.
    pub gaps: Arc<Gaps>,
}

/// Why nothing came of a delivery.
enum Failure {
    Store(StoreError),
    Said(String),
}

#[derive(Clone, Copy)]
enum After {
    Settled,
    /// It stays, and with it what is behind it.
    Stays,
    /// The lane is another's.
    Lost,
    /// The database is away: nothing is to be tried now.
    Outage,
}

/// Deliveries that are not to be tried now: those behind one that waits, and those in lanes of others.
#[derive(Default)]
struct HeldBack {
    orderings: HashSet<i64>,
    lanes: HashSet<i64>,
}

impl HeldBack {
    fn holds(&self, delivery: &WaitingDelivery) -> bool {
        self.orderings.contains(&delivery.ordering) || self.lanes.contains(&delivery.lane)
    }

    /// How many were settled: one or none.
    fn note(&mut self, delivery: &WaitingDelivery, after: After) -> usize {
        match after {
            After::Settled => return 1,
            After::Lost => self.lanes.insert(delivery.lane),
            After::Stays | After::Outage => self.orderings.insert(delivery.ordering),
        };
        0
    }
}

/// Groups of deliveries, each of one integration and in order. No order is lost: an ordering key belongs to one integration.
fn groups(taken: impl Iterator<Item = LeasedDelivery>) -> Vec<Vec<LeasedDelivery>> {
    let mut groups: Vec<Vec<LeasedDelivery>> = Vec::new();
    let mut open: HashMap<(TenantId, IntegrationId), (usize, usize)> = HashMap::new();
    for taken in taken {
        let delivery = &taken.delivery;
        let bytes = delivery.delivery.document.len();
        let whose = (delivery.tenant.clone(), delivery.integration.clone());
        let room = open.get_mut(&whose).and_then(|(index, filled)| {
            let group = groups.get_mut(*index)?;
            *filled += bytes;
            (group.len() < GROUP && *filled <= GROUP_BYTES).then_some(group)
        });
        if let Some(group) = room {
            group.push(taken);
        } else {
            open.insert(whose, (groups.len(), bytes));
            groups.push(vec![taken]);
        }
    }
    groups
}

impl Worker {
    /// A worker, with a name of its own.
    pub fn new(
        database: Database,
        work: Arc<dyn Work>,
        around: Surroundings,
        rules: Rules,
    ) -> Result<Self, StoreError> {
        let Surroundings { wake, observer, clock, jitter, gaps } = around;
        let id = database.worker_name()?;
        Ok(Self { database, work, wake, observer, clock, jitter, gaps, rules, id })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.id
    }

    /// Runs until `stop` fires; what is being applied then is finished, and the lanes are given back.
    ///
    /// It also ends when one of its parts does, once the others have finished what they are at: whoever runs it starts it again.
    pub async fn run(self, stop: CancellationToken) {
        let worker = Arc::new(self);
        let (tell, held) = watch::channel(Held::default());
        let mut loops = JoinSet::new();
        let stop = stop.child_token();
        for part in 0..worker.rules.parallel.max(1) {
            let (worker, held, stop) = (Arc::clone(&worker), held.clone(), stop.clone());
            loops.spawn(async move { worker.work_part(part, held, stop).await }.in_current_span());
        }
        let mut first = true;
        while !stop.is_cancelled() {
            first = !worker.beat(first, &tell).await && first;
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                _ = loops.join_next() => stop.cancel(),
                () = stop.cancelled() => {}
            }
        }
        while loops.join_next().await.is_some() {}
        if let Err(error) = worker.database.leave(&worker.id).await {
            tracing::warn!(error = %chain(&error), "the lanes were not given back: others wait until the leases run out");
        }
        worker.observer.held(0);
    }

    /// Renews what is held and takes a fair share; whether that worked. If not, what was held is worked on: the fence decides.
    async fn beat(&self, first: bool, tell: &watch::Sender<Held>) -> bool {
        match self.database.beat(&self.id, first).await {
            Ok(held) => {
                self.observer.held(held.lanes.len());
                tell.send_if_modified(|known| {
                    let changed = *known != held;
                    if held.workers < known.workers {
                        self.gaps.note_departure();
                    }
                    *known = held;
                    changed
                });
                true
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the lanes could not be renewed");
                false
            }
        }
    }

    async fn work_part(&self, part: usize, mut held: watch::Receiver<Held>, stop: CancellationToken) {
        let mut news = self.wake.listen();
        while !stop.is_cancelled() {
            news.borrow_and_update();
            let now = held.borrow_and_update().clone();
            let lanes: Vec<(i64, Lease)> =
                now.lanes.into_iter().skip(part).step_by(self.rules.parallel.max(1)).collect();
            let idle = if now.workers > 1 { IDLE_AMONG_OTHERS } else { IDLE_ALONE };
            let settled = self.work_off(&lanes, &stop).await.unwrap_or_else(|error| {
                tracing::error!(error = %chain(&error), "the inbox could not be read");
                0
            });
            if settled == 0 {
                tokio::select! {
                    result = news.changed() => if result.is_err() { return },
                    result = held.changed() => if result.is_err() { return },
                    () = tokio::time::sleep(idle) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// Settles some of what is due in these lanes; how many.
    async fn work_off(&self, lanes: &[(i64, Lease)], stop: &CancellationToken) -> Result<usize, StoreError> {
        let numbers: Vec<i64> = lanes.iter().map(|(lane, _)| *lane).collect();
        let lease_of = |lane: i64| lanes.iter().find(|(held, _)| *held == lane).map(|(_, lease)| lease.clone());
        let due = self.database.next_deliveries(&numbers, CHUNK).await?;
        let taken =
            due.into_iter().filter_map(|delivery| Some(LeasedDelivery { lease: lease_of(delivery.lane)?, delivery }));
        let mut settled = 0;
        let mut held_back = HeldBack::default();
        for mut group in groups(taken) {
            if stop.is_cancelled() {
                break;
            }
            group.retain(|taken| !held_back.holds(&taken.delivery));
            // Where the group fails together, each delivery is tried on its own below, and its failure noted there.
            if group.len() > 1
                && let Ok(Ok(done)) =
                    AssertUnwindSafe(self.work.apply(&group).instrument(span_of(&group))).catch_unwind().await
            {
                match self.finish_together(&group, done, &mut held_back).await {
                    Some(more) => settled += more,
                    None => return Ok(0),
                }
                continue;
            }
            for taken in &group {
                if held_back.holds(&taken.delivery) {
                    continue;
                }
                match self.settle(taken).instrument(span_of(std::slice::from_ref(taken))).await {
                    After::Outage => return Ok(0),
                    after => settled += held_back.note(&taken.delivery, after),
                }
            }
        }
        Ok(settled)
    }

    /// Writes what came of deliveries that were applied together; how many were settled. `None`: the database is away.
    async fn finish_together(
        &self,
        group: &[LeasedDelivery],
        done: Vec<Done>,
        held_back: &mut HeldBack,
    ) -> Option<usize> {
        let mut ignored: HashMap<&'static str, Vec<(&WaitingDelivery, &Lease)>> = HashMap::new();
        for (taken, done) in group.iter().zip(&done) {
            if let Done::Ignored(why) = done {
                ignored.entry(*why).or_default().push((&taken.delivery, &taken.lease));
            }
        }
        let mut settled = 0;
        let mut written = HashSet::new();
        for (why, deliveries) in ignored {
            // Where one of them stands in the way, each is written on its own.
            if self.database.mark_ignored(&deliveries, why).await.is_ok() {
                for (delivery, _) in &deliveries {
                    self.observer.settled(&delivery.provider, "ignored");
                }
                settled += deliveries.len();
                written.insert(why);
            }
        }
        for (taken, done) in group.iter().zip(done) {
            if matches!(done, Done::Ignored(why) if written.contains(why)) {
                continue;
            }
            match self.finish(taken, Ok(done)).await {
                After::Outage => return None,
                after => settled += held_back.note(&taken.delivery, after),
            }
        }
        Some(settled)
    }

    async fn settle(&self, taken: &LeasedDelivery) -> After {
        // A panic is a failure of this delivery, not the end of the worker.
        let applied = AssertUnwindSafe(self.work.apply(std::slice::from_ref(taken))).catch_unwind().await;
        let done = match applied {
            Ok(Ok(done)) => done.first().copied().ok_or_else(|| Failure::Said("nothing came of it".to_owned())),
            Ok(Err(error)) => Err(Failure::Store(error)),
            Err(_) => Err(Failure::Said("its interpretation broke off (a panic; the log has it)".to_owned())),
        };
        self.finish(taken, done).await
    }

    /// Writes what came of a delivery, where that is not written yet.
    async fn finish(&self, taken: &LeasedDelivery, done: Result<Done, Failure>) -> After {
        let LeasedDelivery { delivery, lease } = taken;
        let (result, after) = match done {
            Ok(Done::Applied) => (Ok("applied"), After::Settled),
            Ok(Done::Repeated) => (Ok("repeated"), After::Settled),
            Ok(Done::Ignored(why)) => {
                (self.database.mark_ignored(&[(delivery, lease)], why).await.map(|()| "ignored"), After::Settled)
            }
            Err(Failure::Store(StoreError::LeaseLost)) => (Err(StoreError::LeaseLost), After::Lost),
            Err(Failure::Store(error)) if error.is_outage() => (Err(error), After::Outage),
            Err(Failure::Store(error)) => {
                let error = chain(&error).to_string();
                self.failed(delivery, lease, &error).await
            }
            Err(Failure::Said(error)) => self.failed(delivery, lease, &error).await,
        };
        match result {
            Ok(result) => {
                self.observer.settled(&delivery.provider, result);
                after
            }
            Err(StoreError::LeaseLost) => {
                self.observer.settled(&delivery.provider, "lost");
                After::Lost
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), delivery = delivery.id, tenant = %delivery.tenant, "what became of a delivery could not be written");
                After::Outage
            }
        }
    }

    async fn failed(
        &self,
        delivery: &WaitingDelivery,
        lease: &Lease,
        error: &str,
    ) -> (Result<&'static str, StoreError>, After) {
        let tries = delivery.attempts + 1;
        if tries >= i64::from(self.rules.max_attempts) {
            tracing::error!(error, delivery = delivery.id, provider = delivery.provider, "a delivery was parked");
            return (self.database.park_delivery(delivery, lease, error).await.map(|()| "parked"), After::Settled);
        }
        tracing::warn!(error, delivery = delivery.id, provider = delivery.provider, "a delivery is tried again");
        let due = self.clock.now() + self.wait_after(delivery.attempts);
        (self.database.retry_delivery(delivery, lease, error, due).await.map(|()| "retried"), After::Stays)
    }

    /// Twice as long from try to try, and up to half as long again by chance, so that what failed together is not tried together.
    fn wait_after(&self, attempts: i64) -> chrono::Duration {
        let doubled = FIRST_WAIT.saturating_mul(1 << attempts.clamp(0, 16)).min(LONGEST_WAIT);
        chrono::Duration::from_std(doubled.mul_f64(1.0 + self.jitter.fraction() / 2.0)).unwrap_or_default()
    }
}

/// The span of deliveries that are applied together, in the traces of the requests that brought them.
fn span_of(group: &[LeasedDelivery]) -> tracing::Span {
    let Some(LeasedDelivery { delivery, .. }) = group.first() else { return tracing::Span::none() };
    let (tenant, integration) = (&delivery.tenant, &delivery.integration);
    let span = match group {
        [_] => tracing::error_span!("delivery", delivery = delivery.id, %tenant, %integration),
        group => tracing::error_span!("deliveries", count = group.len(), %tenant, %integration),
    };
    let headers = group.iter().map(|taken| &taken.delivery.delivery.headers);
    TraceContext::caused(&span, headers.filter_map(TraceContext::of_headers));
    span
}
