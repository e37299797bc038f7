//! Workers over a store: order, crashes, parking, and that everything happens once, on both databases.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use chrono::Duration;
use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRng, TestRunner},
};
use tokio_util::sync::CancellationToken;

use super::{CHUNK, Done, GROUP, InboxObserver, LeasedDelivery, Rules, Surroundings, Wake, Work, Worker};
use crate::{
    clock::FixedClock,
    provider::change::{ActivityDraft, Change},
    store::{
        Database, StoreError,
        activity::ActivityFilter,
        apply::Batch,
        inbox::{PARKED, RECEIVED, WaitingDelivery, list::DeliveryFilter},
        lease::Held,
        tests::{
            bench::{Bench, FakeRules, issue, issue_ref, outage, saying},
            inbox::{about, delivery},
            on_both_databases,
        },
    },
    upstream::Jitter,
};

on_both_databases!(
    any_interleaving_of_groups_workers_and_crashes_applies_everything_once_in_order,
    a_delivery_that_always_fails_is_parked_and_tried_anew_when_it_is_replayed,
    a_panic_parks_its_delivery_and_the_others_are_applied,
    an_outage_is_no_delivery_s_fault,
    a_worker_that_runs_applies_what_comes_and_gives_its_lanes_back,
    a_worker_with_a_part_that_panicked_ends_and_goes_on_when_it_is_started_again,
);

/// Applies deliveries whose body is `issue version`, and goes wrong as told.
#[derive(Default)]
struct FakeWork {
    database: Option<Database>,
    /// Deliveries, by body, that fail so often still.
    failing: Mutex<BTreeMap<String, usize>>,
    outage: Mutex<bool>,
    /// Bodies in the order in which they were applied.
    applied: Mutex<Vec<String>>,
    /// Deliveries that shared a transaction, at most.
    largest: AtomicUsize,
}

#[async_trait]
impl Work for FakeWork {
    async fn apply(&self, deliveries: &[LeasedDelivery]) -> Result<Vec<Done>, StoreError> {
        let (mut done, mut batches, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for taken in deliveries {
            match self.meaning(&taken.delivery, deliveries.len() == 1)? {
                Some((body, batch)) => {
                    done.push(Done::Applied);
                    bodies.push(body);
                    batches.push(batch.under(taken.lease.clone()));
                }
                None => done.push(Done::Ignored("nobody asked")),
            }
        }
        let Some(LeasedDelivery { delivery, .. }) = deliveries.first().filter(|_| !batches.is_empty()) else {
            return Ok(done);
        };
        let database = self.database.as_ref().unwrap();
        let applied = database.apply_all(&delivery.tenant, &delivery.integration, &FakeRules, batches).await?;
        self.largest.fetch_max(deliveries.len(), Ordering::Relaxed);
        let written = done.iter_mut().filter(|done| **done == Done::Applied);
        for ((done, repeated), body) in written.zip(applied.repeated).zip(bodies) {
            if repeated {
                *done = Done::Repeated;
            } else {
                self.applied.lock().push(body);
            }
        }
        Ok(done)
    }
}

impl FakeWork {
    /// The meaning of a delivery; `None`: it is ignored. A failure counts only where it has a transaction of its own.
    fn meaning(&self, delivery: &WaitingDelivery, alone: bool) -> Result<Option<(String, Batch)>, StoreError> {
        let body = String::from_utf8(delivery.delivery.document.to_vec()).unwrap();
        if *self.outage.lock() {
            return Err(outage());
        }
        assert!(!body.starts_with("panic"), "this one is told to");
        if body == "ignore" {
            return Ok(None);
        }
        if let Some(left) = self.failing.lock().get_mut(&body).filter(|left| **left > 0) {
            *left -= usize::from(alone);
            return Err(StoreError::Conflict);
        }
        let (id, version) = body.split_once(' ').unwrap();
        let change = Change {
            writes: vec![issue(id, version.parse().unwrap(), "a", version)],
            activity: Some(ActivityDraft {
                kind: "issues.edited".into(),
                subject: Some(issue_ref(id)),
                details: saying(body.clone()),
                occurred_at: delivery.delivery.received_at,
                ..ActivityDraft::default()
            }),
            ..Change::default()
        };
        let batch = Batch::of_delivery(&delivery.id, delivery.delivery.received_at, vec![change]);
        Ok(Some((body, batch)))
    }
}

#[derive(Default)]
pub(crate) struct Counted(Mutex<BTreeMap<&'static str, usize>>);

impl Counted {
    pub(crate) fn of(&self, name: &str) -> usize {
        self.0.lock().get(name).copied().unwrap_or(0)
    }

    /// Has the next thing that is told panic.
    pub(crate) fn panic_once(&self) {
        self.0.lock().insert("to panic", 1);
    }

    fn may_panic(&self) {
        assert!(self.0.lock().remove("to panic").is_none(), "it is told to");
    }
}

impl InboxObserver for Counted {
    fn settled(&self, _: &str, result: &'static str) {
        self.may_panic();
        *self.0.lock().entry(result).or_default() += 1;
    }

    fn flushed(&self, deliveries: usize, _: std::time::Duration) {
        self.may_panic();
        *self.0.lock().entry("flushes").or_default() += 1;
        *self.0.lock().entry("flushed").or_default() += deliveries;
    }

    fn held(&self, lanes: usize) {
        self.0.lock().insert("lanes", lanes);
    }
}

struct Scene {
    bench: Bench,
    work: Arc<FakeWork>,
    counted: Arc<Counted>,
    wake: Wake,
}

impl Scene {
    fn new(bench: Bench) -> Self {
        let work = FakeWork { database: Some(bench.db.clone()), ..FakeWork::default() };
        Self { bench, work: Arc::new(work), counted: Arc::default(), wake: Wake::default() }
    }

    fn worker(&self) -> Worker {
        let around = Surroundings {
            wake: self.wake.clone(),
            observer: Arc::clone(&self.counted) as _,
            clock: Arc::new(self.bench.clock.clone()),
            jitter: Jitter::fixed(0.0),
            gaps: Arc::default(),
        };
        let rules = Rules { max_attempts: 3, parallel: 2 };
        Worker::new(self.bench.db.clone(), Arc::clone(&self.work) as _, around, rules).unwrap()
    }

    async fn store(&self, deliveries: &[(&str, &str)]) {
        let mut many = Vec::new();
        for (subject, body) in deliveries {
            let new = delivery(&self.bench, Some(&format!("{subject} {body}")), body.as_bytes()).await;
            many.push(about(subject, new));
        }
        self.bench.db.insert_deliveries(many).await.unwrap();
    }

    /// Works until nothing is due any more.
    async fn work_off(&self, worker: &Worker, held: &Held) {
        let stop = CancellationToken::new();
        while worker.work_off(&held.lanes, &stop).await.unwrap() > 0 {}
    }

    async fn listed(&self, state: &str) -> Vec<String> {
        let filter = DeliveryFilter { states: Some(vec![state.to_owned()]), ..DeliveryFilter::default() };
        let found = self.bench.db.deliveries(&filter, None, 1000).await.unwrap();
        found.into_iter().filter_map(|info| info.delivery_id).collect()
    }

    fn clock(&self) -> &FixedClock {
        &self.bench.clock
    }
}

/// A step of a random run.
#[derive(Debug, Clone)]
enum Step {
    /// Deliveries come in together: subjects; each is the next version of its issue. Some come twice.
    Come(Vec<(u8, bool)>),
    /// A worker beats.
    Beat(usize),
    /// A worker works off some, by the leases that it last heard of.
    Work(usize),
    /// Time passes, in half leases.
    Wait(u8),
    /// A worker is killed, and another takes its place: leases stay with the dead.
    Crash(usize),
    /// The next try of an issue's newest delivery fails.
    Fail(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => proptest::collection::vec((0_u8..5, any::<bool>()), 1..8).prop_map(Step::Come),
        3 => (0_usize..3).prop_map(Step::Beat),
        5 => (0_usize..3).prop_map(Step::Work),
        2 => (1_u8..4).prop_map(Step::Wait),
        1 => (0_usize..3).prop_map(Step::Crash),
        1 => (0_u8..5).prop_map(Step::Fail),
    ]
}

async fn any_interleaving_of_groups_workers_and_crashes_applies_everything_once_in_order(bench: Bench) {
    let scene = Scene::new(bench);
    let mut versions: BTreeMap<u8, i64> = BTreeMap::new();
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(Config::default().rng_algorithm));
    for _ in 0..12 {
        let steps = proptest::collection::vec(step(), 10..40).new_tree(&mut runner).unwrap().current();
        run(&scene, &mut versions, &steps).await;
    }
    let applied = scene.work.applied.lock().clone();
    assert_eq!(applied.iter().collect::<BTreeSet<_>>().len(), applied.len(), "each once");
    assert_eq!(applied.len(), usize::try_from(versions.values().sum::<i64>()).unwrap(), "all of them");
    for (subject, version) in &versions {
        let of_subject: Vec<&String> = applied.iter().filter(|body| body.starts_with(&format!("{subject} "))).collect();
        let in_order: Vec<String> = (1..=*version).map(|version| format!("{subject} {version}")).collect();
        assert_eq!(of_subject, in_order.iter().collect::<Vec<_>>(), "in order of arrival");
        let state = scene.bench.node(&issue_ref(&subject.to_string())).await.unwrap();
        assert_eq!(state.body["state"], version.to_string());
    }
    assert!(scene.work.largest.load(Ordering::Relaxed) > 1, "what waited together shared a transaction");
    let (tenant, filter): (&TenantId, _) = (&scene.bench.tenant, ActivityFilter::default());
    let told = scene.bench.db.activities(tenant, &filter, None, 10_000).await.unwrap();
    assert_eq!(told.len(), applied.len(), "each is told once");
}

async fn run(scene: &Scene, versions: &mut BTreeMap<u8, i64>, steps: &[Step]) {
    let mut workers: Vec<(Worker, Held)> = (0..3).map(|_| (scene.worker(), Held::default())).collect();
    let stop = CancellationToken::new();
    for step in steps {
        match step {
            Step::Come(many) => {
                let mut coming = Vec::new();
                for (subject, twice) in many {
                    let version = versions.entry(*subject).or_default();
                    *version += 1;
                    let (name, body) = (subject.to_string(), format!("{subject} {version}"));
                    coming.extend(std::iter::repeat_n((name, body), if *twice { 2 } else { 1 }));
                }
                let coming: Vec<_> = coming.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect();
                scene.store(&coming).await;
            }
            Step::Beat(index) => {
                let (worker, held) = &mut workers[*index];
                *held = scene.bench.db.beat(&worker.id, false).await.unwrap();
            }
            Step::Work(index) => {
                let (worker, held) = &workers[*index];
                worker.work_off(&held.lanes, &stop).await.unwrap();
            }
            Step::Wait(halves) => scene.clock().advance(Duration::milliseconds(2_500) * i32::from(*halves)),
            Step::Crash(index) => workers[*index] = (scene.worker(), Held::default()),
            Step::Fail(subject) => {
                let version = versions.get(subject).copied().unwrap_or(0);
                scene.work.failing.lock().insert(format!("{subject} {version}"), 1);
            }
        }
    }
    // In the end one is left, and gets all.
    scene.clock().advance(Duration::minutes(10));
    let last = scene.worker();
    while !scene.listed(RECEIVED).await.is_empty() {
        let held = scene.bench.db.beat(&last.id, false).await.unwrap();
        scene.work_off(&last, &held).await;
        scene.clock().advance(Duration::seconds(4));
    }
    scene.bench.db.leave(&last.id).await.unwrap();
}

async fn a_delivery_that_always_fails_is_parked_and_tried_anew_when_it_is_replayed(bench: Bench) {
    let scene = Scene::new(bench);
    let worker = scene.worker();
    let held = scene.bench.hold(&worker.id).await;
    scene.store(&[("web", "1 1"), ("web", "1 2"), ("api", "2 1")]).await;
    scene.work.failing.lock().insert("1 1".into(), 3);
    scene.work_off(&worker, &held).await;
    assert_eq!(*scene.work.applied.lock(), ["2 1"], "what is behind it waits, all else goes on");
    scene.clock().advance(Duration::milliseconds(999));
    scene.work_off(&worker, &held).await;
    assert_eq!(scene.counted.of("retried"), 1, "a second is not over");
    scene.clock().advance(Duration::milliseconds(1));
    scene.work_off(&worker, &held).await;
    scene.clock().advance(Duration::seconds(2));
    scene.work_off(&worker, &held).await;
    assert_eq!((scene.counted.of("retried"), scene.counted.of("parked")), (2, 1));
    assert_eq!(*scene.work.applied.lock(), ["2 1", "1 2"], "then the next is tried");
    let filter = DeliveryFilter { states: Some(vec![PARKED.to_owned()]), ..DeliveryFilter::default() };
    let parked = scene.bench.db.deliveries(&filter, None, 10).await.unwrap().remove(0);
    assert_eq!((parked.attempts, parked.error.as_deref()), (3, Some("it was changed in the meantime")));
    scene.bench.db.replay_delivery(&scene.bench.tenant, &parked.id).await.unwrap();
    scene.work.failing.lock().insert("1 1".into(), 2);
    for _ in 0..3 {
        scene.work_off(&worker, &held).await;
        scene.clock().advance(Duration::seconds(2));
    }
    assert_eq!(scene.listed(PARKED).await, Vec::<String>::new(), "it had all its tries again");
    assert_eq!(scene.work.applied.lock().last().unwrap(), "1 1");
    assert_eq!(scene.bench.node(&issue_ref("1")).await.unwrap().body["state"], "2", "newer wins all the same");
}

async fn a_panic_parks_its_delivery_and_the_others_are_applied(bench: Bench) {
    let scene = Scene::new(bench);
    let worker = scene.worker();
    let held = scene.bench.hold(&worker.id).await;
    scene.store(&[("web", "panic now"), ("web", "1 1"), ("api", "ignore"), ("api", "2 1")]).await;
    for _ in 0..4 {
        scene.work_off(&worker, &held).await;
        scene.clock().advance(Duration::seconds(9));
    }
    assert_eq!((scene.listed(PARKED).await, scene.counted.of("ignored")), (vec!["web panic now".to_owned()], 1));
    assert_eq!(*scene.work.applied.lock(), ["2 1", "1 1"]);
}

async fn an_outage_is_no_delivery_s_fault(bench: Bench) {
    let scene = Scene::new(bench);
    let worker = scene.worker();
    let held = scene.bench.hold(&worker.id).await;
    scene.store(&[("web", "1 1")]).await;
    *scene.work.outage.lock() = true;
    for _ in 0..10 {
        scene.work_off(&worker, &held).await;
    }
    let due = scene.bench.due().await;
    assert_eq!((due.len(), due[0].attempts), (1, 0));
    *scene.work.outage.lock() = false;
    scene.work_off(&worker, &held).await;
    assert_eq!(*scene.work.applied.lock(), ["1 1"]);
}

async fn a_worker_that_runs_applies_what_comes_and_gives_its_lanes_back(bench: Bench) {
    let scene = Scene::new(bench);
    let stop = CancellationToken::new();
    let running = tokio::spawn(scene.worker().run(stop.clone()));
    let many: Vec<(String, String)> =
        (0..2 * CHUNK).map(|index| (format!("r{}", index % 7), format!("{} {index}", index % 7))).collect();
    for group in many.chunks(30) {
        let group: Vec<_> = group.iter().map(|(subject, body)| (subject.as_str(), body.as_str())).collect();
        scene.store(&group).await;
        scene.wake.wake();
    }
    while scene.work.applied.lock().len() < many.len() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    assert!(scene.work.largest.load(Ordering::Relaxed) <= GROUP);
    let heir = scene.bench.hold("heir").await;
    assert_eq!((heir.lanes.len(), heir.workers), (64, 1), "at once");
}

async fn a_worker_with_a_part_that_panicked_ends_and_goes_on_when_it_is_started_again(bench: Bench) {
    let scene = Scene::new(bench);
    let (worker, stop) = (scene.worker(), CancellationToken::new());
    scene.counted.panic_once();
    scene.store(&[("web", "1 1"), ("app", "2 1")]).await;
    worker.clone().run(stop.clone()).await;
    assert!(!stop.is_cancelled(), "it ended of itself");
    let running = tokio::spawn(worker.run(stop.clone()));
    while !scene.bench.due().await.is_empty() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    let mut applied = scene.work.applied.lock().clone();
    applied.sort_unstable();
    assert_eq!(applied, ["1 1", "2 1"], "each of them once");
}
