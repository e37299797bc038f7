//! Fetches from providers: all that is wanted in one tick in one batch, and each thing once however many executions want it.
//!
//! The runs are those of `cache::single_flight`, in a table of its own (docs/adr/0023): a run is joined by callers who ask for less
//! than it brings, not only by equal ones, and by those who looked into the store before it finished.

use std::{
    collections::{BTreeSet, HashMap},
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
};

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use mullion_schema::{
    id::IntegrationId,
    ports::{Filter, Lookup},
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use tracing::Instrument as _;

use super::{
    claims::{Claims, name_of},
    outcome::{Brought, FetchOutcome, Fetching, Progress},
    readers::Readers,
    sink::{Absorbed, Sink},
};
use crate::{
    cache::single_flight::{Abandoned, Follow, Lead, flight},
    provider::{FetchWant, Fetched, NodeRef, PageWant},
    reading::integrations::Integration,
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// How many finished fetches are remembered, so that a reader that looked into the store just before one finished does not
/// fetch the same again.
const REMEMBERED: usize = 4096;

/// The identity of a fetch, without the fields: a running fetch that asks for more answers one that asks for less.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Node(NodeRef),
    Lookup(Lookup),
    Page(PageWant),
}

struct Running {
    asks: BTreeSet<&'static str>,
    lists: Vec<(&'static str, Filter)>,
    outcome: Follow<FetchOutcome>,
    progress: watch::Receiver<Progress>,
    /// Which batch it runs in.
    batch: u64,
    /// The moment it finished, as a count of finished batches.
    finished: Option<u64>,
}

#[derive(Default)]
struct Lane {
    pending: Vec<Pending>,
    known: HashMap<Subject, Vec<Running>>,
    batches_started: u64,
    batches_finished: u64,
}

/// The fetches of all integrations.
pub(crate) struct Fetcher {
    lanes: Mutex<HashMap<IntegrationId, Lane>>,
    readers: Readers,
    sink: Arc<dyn Sink>,
    claims: Claims,
    tasks: TaskTracker,
}

/// A want with whoever waits for it.
struct Pending {
    want: FetchWant,
    /// Its name among replicas, where there are any.
    name: String,
    waiter: Lead<FetchOutcome>,
    progress: watch::Sender<Progress>,
}

/// A want that another replica fetches.
struct Elsewhere {
    pending: Pending,
    since: DateTime<Utc>,
}

/// A moment in an integration's fetches, noted before the store is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Fetcher {
    pub(crate) fn new(sink: Arc<dyn Sink>, claims: Claims, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self { lanes: Mutex::default(), readers: Readers::default(), sink, claims, tasks })
    }

    /// Whether other replicas fetch too, so that the store may know more than this process's memory.
    pub(crate) fn is_shared(&self) -> bool {
        self.claims.are_shared()
    }

    /// Those whom batches wait for.
    pub(in crate::reading) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// To be noted before caches and store are read for what may then be fetched.
    pub(crate) fn moment(&self, integration: &IntegrationId) -> Moment {
        Moment(self.lanes.lock().get(integration).map_or(0, |lane| lane.batches_finished))
    }

    /// Fetches one thing, or joins a fetch that brings it: one that runs, or one that finished after `noted`. It is begun by this
    /// call, not by the first poll.
    pub(in crate::reading) fn fetch(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        want: FetchWant,
        noted: Moment,
    ) -> Fetching {
        let (outcome, progress) = self.join(integration, want, noted);
        let end = async move { outcome.value().await.unwrap_or_else(|Abandoned| Err(broken())) }.boxed().shared();
        Fetching { end, progress }
    }

    fn join(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        want: FetchWant,
        noted: Moment,
    ) -> (Follow<FetchOutcome>, watch::Receiver<Progress>) {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(integration.id.clone()).or_default();
        let (subject, asks, lists) = split(&want);
        let runs = lane.known.entry(subject).or_default();
        runs.retain(|run| !run.outcome.is_abandoned());
        let joined = runs.iter().find(|run| {
            run.finished.is_none_or(|finished| finished > noted.0)
                && run.asks.is_superset(&asks)
                && lists.iter().all(|list| run.lists.contains(list))
        });
        if let Some(run) = joined {
            return (run.outcome.clone(), run.progress.clone());
        }
        let (waiter, outcome) = flight();
        let (progress, reached) = watch::channel(Progress::Gathering);
        let run = Running {
            asks,
            lists,
            outcome: outcome.clone(),
            progress: reached.clone(),
            batch: lane.batches_started,
            finished: None,
        };
        runs.push(run);
        let name = if self.claims.are_shared() { name_of(&want) } else { String::new() };
        lane.pending.push(Pending { want, name, waiter, progress });
        if lane.pending.len() == 1 {
            let (fetcher, integration) = (Arc::clone(self), Arc::clone(integration));
            self.tasks.spawn(async move { fetcher.run_batch(integration).await }.in_current_span());
        }
        (outcome, reached)
    }

    async fn run_batch(self: Arc<Self>, integration: Arc<Integration>) {
        self.readers.gather(&integration.tenant, &integration.id).await;
        let (batch, pending) = match self.lanes.lock().get_mut(&integration.id) {
            Some(lane) => {
                lane.batches_started += 1;
                (lane.batches_started - 1, std::mem::take(&mut lane.pending))
            }
            None => return,
        };
        let (ours, theirs) = self.share(&integration.id, pending).await;
        if !theirs.is_empty() {
            let (fetcher, integration) = (Arc::clone(&self), Arc::clone(&integration));
            self.tasks.spawn(async move { fetcher.follow(&integration, batch, theirs).await }.in_current_span());
        }
        self.run(&integration, batch, ours).await;
    }

    /// Which of these are ours to fetch, and which another replica fetches, since when.
    async fn share(&self, integration: &IntegrationId, pending: Vec<Pending>) -> (Vec<Pending>, Vec<Elsewhere>) {
        if !self.is_shared() {
            return (pending, Vec::new());
        }
        let names: Vec<String> = pending.iter().map(|pending| pending.name.clone()).collect();
        let claims = self.claims.take(integration, &names).await;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (pending, claimed_at) in pending.into_iter().zip(claims) {
            match claimed_at {
                None => ours.push(pending),
                Some(since) => theirs.push(Elsewhere { pending, since }),
            }
        }
        (ours, theirs)
    }

    /// Waits for what other replicas fetch, and fetches what they did not bring.
    async fn follow(&self, integration: &Arc<Integration>, batch: u64, theirs: Vec<Elsewhere>) {
        let names: Vec<String> = theirs.iter().map(|theirs| theirs.pending.name.clone()).collect();
        reach(theirs.iter().map(|theirs| &theirs.pending.progress), Progress::Asking);
        self.claims.wait(&integration.id, &names).await;
        reach(theirs.iter().map(|theirs| &theirs.pending.progress), Progress::Storing);
        let (mut brought, mut missing) = (Vec::new(), Vec::new());
        for Elsewhere { pending, since } in theirs {
            match self.claims.brought(integration, &pending.want, since).await {
                Some(fetched) => brought.push((pending, fetched)),
                None => missing.push(pending),
            }
        }
        tracing::debug!(brought = brought.len(), missing = missing.len(), "another replica fetched");
        let wants: Vec<FetchWant> = brought.iter().map(|(pending, _)| pending.want.clone()).collect();
        self.sink.doubt(integration, &wants);
        self.finish(&integration.id, batch, &wants.iter().map(|want| split(want).0).collect::<Vec<_>>());
        for (pending, fetched) in brought {
            let brought = Brought { found: fetched.found, refused: fetched.refused, unstored: None };
            pending.waiter.finish(Ok(Arc::new(brought)));
        }
        self.run(integration, batch, missing).await;
    }

    /// Fetches, stores what came, and answers whoever waits.
    async fn run(&self, integration: &Arc<Integration>, batch: u64, pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        let split_up = |pending: Pending| ((pending.want, pending.progress), (pending.name, pending.waiter));
        let (asked, answered): (Vec<_>, Vec<_>) = pending.into_iter().map(split_up).unzip();
        let (wants, progress): (Vec<FetchWant>, Vec<_>) = asked.into_iter().unzip();
        let (names, waiters): (Vec<String>, Vec<_>) = answered.into_iter().unzip();
        let subjects: Vec<Subject> = wants.iter().map(|want| split(want).0).collect();
        // A panic in the adapter, or in what stores its answers, ends these fetches only. The next ones begin anew.
        let asking = AssertUnwindSafe(self.ask_and_store(integration, wants, &progress)).catch_unwind().await;
        let mut outcomes = asking.unwrap_or_else(|_| {
            tracing::error!(integration = %integration.id, "a fetch panicked");
            Vec::new()
        });
        outcomes.resize_with(waiters.len(), || Err(broken()));
        self.claims.finish(&integration.id, &names).await;
        self.note_credential(integration, &outcomes).await;
        self.finish(&integration.id, batch, &subjects);
        for (waiter, outcome) in waiters.into_iter().zip(outcomes) {
            // Even if nobody waits any longer: the store has it all the same.
            waiter.finish(outcome);
        }
    }

    /// Asks the provider and stores what came: an outcome for each want, in order.
    async fn ask_and_store(
        &self,
        integration: &Arc<Integration>,
        wants: Vec<FetchWant>,
        progress: &[watch::Sender<Progress>],
    ) -> Vec<FetchOutcome> {
        let (sent_at, count) = (integration.connection.clock.now(), wants.len());
        reach(progress, Progress::Asking);
        let results = integration.provider.fetch(&integration.connection, wants.clone()).await;
        reach(progress, Progress::Storing);
        let mut fetched = Vec::new();
        let mut outcomes: Vec<Result<Brought, UpstreamError>> =
            wants.into_iter().zip(results).map(|(want, result)| slim(want, result?, &mut fetched)).collect();
        outcomes.resize_with(count, || {
            Err(UpstreamError::new(UpstreamErrorKind::Internal, "the provider's adapter gave too few answers"))
        });
        if !fetched.is_empty()
            && let Err(unstored) = self.sink.absorb(Arc::clone(integration), Absorbed { sent_at, fetched }).await
        {
            let unstored = Arc::new(unstored);
            outcomes.iter_mut().flatten().for_each(|brought| brought.unstored = Some(Arc::clone(&unstored)));
        }
        outcomes.into_iter().map(|outcome| outcome.map(Arc::new)).collect()
    }

    async fn note_credential(&self, integration: &Arc<Integration>, outcomes: &[FetchOutcome]) {
        let kinds = || outcomes.iter().map(|outcome| outcome.as_ref().err().map(|error| error.kind));
        let refused = kinds().any(|kind| kind == Some(UpstreamErrorKind::AuthExpired));
        let accepted = kinds().any(|kind| kind.is_none());
        if (refused || accepted) && integration.refused.swap(refused, Ordering::Relaxed) != refused {
            self.sink.credential(Arc::clone(integration), refused).await;
        }
    }

    /// Marks the runs of a batch finished and forgets the oldest ones.
    fn finish(&self, integration: &IntegrationId, batch: u64, subjects: &[Subject]) {
        let mut lanes = self.lanes.lock();
        let Some(lane) = lanes.get_mut(integration) else { return };
        lane.batches_finished += 1;
        let now = lane.batches_finished;
        for subject in subjects {
            let Some(runs) = lane.known.get_mut(subject) else { continue };
            runs.iter_mut().filter(|run| run.batch == batch).for_each(|run| run.finished = Some(now));
            runs.retain(|run| run.finished.is_none_or(|finished| finished == now));
        }
        if lane.known.len() > REMEMBERED {
            let goes_on = |run: &Running| run.finished.is_none() && !run.outcome.is_abandoned();
            lane.known.values_mut().for_each(|runs| runs.retain(goes_on));
            lane.known.retain(|_, runs| !runs.is_empty());
        }
    }
}

/// Tells those who wait for fetches how far these have come.
fn reach<'p>(fetches: impl IntoIterator<Item = &'p watch::Sender<Progress>>, progress: Progress) {
    for fetch in fetches {
        fetch.send_replace(progress);
    }
}

/// A fetch that panicked or whose task was ended: our fault, not the provider's.
fn broken() -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::Internal, "the fetch broke off")
}

/// The part of a fetch that its waiters need: its nodes go to the sink, only the references stay in memory.
fn slim(want: FetchWant, mut came: Fetched, fetched: &mut Vec<(FetchWant, Fetched)>) -> Result<Brought, UpstreamError> {
    let failure = came.failure.take();
    let brought = Brought { found: came.found.clone(), refused: came.refused.clone(), unstored: None };
    fetched.push((want, came));
    failure.map_or(Ok(brought), Err)
}

fn split(want: &FetchWant) -> (Subject, BTreeSet<&'static str>, Vec<(&'static str, Filter)>) {
    match want {
        FetchWant::Node { node, asks } => (Subject::Node(node.clone()), asks.clone(), Vec::new()),
        FetchWant::Lookup { lookup, asks, lists } => (Subject::Lookup(lookup.clone()), asks.clone(), lists.clone()),
        FetchWant::Page(page) => (Subject::Page(page.clone()), BTreeSet::new(), Vec::new()),
    }
}
