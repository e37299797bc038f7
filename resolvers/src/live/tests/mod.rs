//! Live operations over a stand-in for the executor: what is sent, how often it is executed, and the race between an execution
//! and the registration of its tags.

mod boards;
mod budgets;
mod followers;
mod late;
mod operations;
mod watermarks;

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use mullion_schema::{
    id::{DashboardId, EventCursor, TenantId, WidgetId},
    ports::{ActivitySource, ActivityView, LiveInput, LivePlan, WatchedId},
};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio_util::task::TaskTracker;

use super::{Frame, Frames, Item, LiveHub, LiveRules, Rendered, Retry, Run, Subscribe, Unreadable};
use crate::{
    budget::{Budget, Tally, held},
    cache::epochs::Epochs,
    reading::BackgroundFetches,
    store::{activity::Activity, stream::AppliedChange},
    tag::Tag,
};

/// A graph of one widget whose answer is a text.
struct World {
    tenant: TenantId,
    /// The sharing key of this world's subscriptions.
    key: Arc<str>,
    /// The bytes of its answers that somebody holds.
    held: Arc<Tally>,
    epochs: Epochs,
    shown: Mutex<String>,
    executions: AtomicUsize,
    /// So many executions fail before another one succeeds.
    failing: AtomicUsize,
    /// Executions that asked for values of some freshness.
    rereads: AtomicUsize,
    /// Whether the answers change as time passes.
    changes_with_time: AtomicBool,
    silent: bool,
    /// The cells are deleted.
    deleted: AtomicBool,
    log: Mutex<Vec<AppliedChange>>,
    /// Happens in the middle of the next executions, one in each.
    meanwhile: Mutex<VecDeque<Box<dyn FnOnce() + Send>>>,
    /// The fetches that the next executions do not wait for.
    late: Mutex<VecDeque<BackgroundFetches>>,
    /// Where it is not empty: the first tells which of the others is shown.
    cells: Mutex<Vec<usize>>,
    /// Renderings of activities, and of what tells that the snapshots are all.
    asides: AtomicUsize,
    /// How often the stream was read; held, nothing is read of its beginning.
    reads: AtomicUsize,
    /// How many changes each of them asked for at most.
    limits: Mutex<Vec<u64>>,
    beginning: tokio::sync::Mutex<()>,
}

impl World {
    fn new() -> Arc<Self> {
        Self::over(false)
    }

    /// A world of a tenant, which shares nothing with those that have another key.
    fn of(tenant: &str, key: &str) -> Arc<Self> {
        let mut world = Self::over(false);
        let made = Arc::get_mut(&mut world).unwrap();
        (made.tenant, made.key) = (tenant.into(), key.into());
        world.epochs.start(&world.tenant, 0);
        world
    }

    /// With webhooks, or silent.
    fn over(silent: bool) -> Arc<Self> {
        let world = Self {
            tenant: "t".into(),
            key: "the same for all".into(),
            held: Arc::new(Tally::new(usize::MAX)),
            epochs: Epochs::default(),
            shown: Mutex::new("first".into()),
            executions: AtomicUsize::new(0),
            failing: AtomicUsize::new(0),
            rereads: AtomicUsize::new(0),
            changes_with_time: AtomicBool::new(false),
            silent,
            deleted: AtomicBool::new(false),
            log: Mutex::default(),
            meanwhile: Mutex::default(),
            late: Mutex::default(),
            cells: Mutex::default(),
            asides: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            limits: Mutex::default(),
            beginning: tokio::sync::Mutex::default(),
        };
        world.epochs.start(&world.tenant, 0);
        Arc::new(world)
    }

    fn tag(&self) -> Tag {
        Tag::own(&self.tenant, "Thing", "1")
    }

    /// Changes what is shown, as the applier would: stream, epochs, hub.
    fn change(&self, hub: &LiveHub, shown: &str) {
        shown.clone_into(&mut self.shown.lock());
        self.publish(hub, self.tag(), None);
    }

    /// Sets a cell, as the applier would.
    fn set(&self, hub: &LiveHub, cell: usize, value: usize) {
        self.cells.lock()[cell] = value;
        self.publish(hub, self.cell_tag(cell), None);
    }

    /// Something of a kind happens.
    fn happen(&self, hub: &LiveHub, kind: &str) {
        let activity = Activity {
            id: "a".to_owned(),
            position: 0,
            integration: "i".into(),
            provider: "p".to_owned(),
            kind: kind.to_owned(),
            actor: None,
            subject: None,
            summary: String::new(),
            details: None,
            containers: Vec::new(),
            occurred_at: chrono::DateTime::UNIX_EPOCH,
            received_at: chrono::DateTime::UNIX_EPOCH,
            pending: false,
        };
        self.publish(hub, Tag::own(&self.tenant, "Nothing", "1"), Some(activity));
    }

    fn publish(&self, hub: &LiveHub, tag: Tag, activity: Option<Activity>) {
        let position = i64::try_from(self.log.lock().len()).unwrap() + 1;
        let activity = activity.map(|activity| Activity { position, ..activity });
        let change = AppliedChange { position, tags: vec![tag], activity };
        self.log.lock().push(change.clone());
        self.epochs.advance(&self.tenant, position, &change.tags);
        hub.publish(&self.tenant, &[change]);
    }

    fn cell_tag(&self, cell: usize) -> Tag {
        Tag::own(&self.tenant, "Cell", &cell.to_string())
    }

    /// A cell as a node: its name and what it holds, without digits, as cursors have them here.
    fn cell(&self, number: &str) -> (String, HashSet<Tag>) {
        let cell: usize = number.parse().unwrap();
        let value = "x".repeat(self.cells.lock()[cell]);
        (format!("{}={value}", ["a", "b", "c", "d"][cell]), HashSet::from([self.cell_tag(cell)]))
    }

    /// The text that is shown now, and the tags it was read under.
    fn read(&self) -> (String, HashSet<Tag>) {
        let cells = self.cells.lock();
        match cells.first() {
            None => (self.shown.lock().clone(), HashSet::from([self.tag()])),
            Some(at) => (cells[*at].to_string(), HashSet::from([self.cell_tag(0), self.cell_tag(*at)])),
        }
    }

    fn follow(self: &Arc<Self>, hub: &Arc<LiveHub>, after: Option<i64>) -> Frames {
        self.try_follow(hub, after).unwrap()
    }

    fn try_follow(self: &Arc<Self>, hub: &Arc<LiveHub>, after: Option<i64>) -> Result<Frames, Budget> {
        let filter = ActivitySource { kinds: Some(vec!["wanted".to_owned()]), ..ActivitySource::default() };
        let plan = LivePlan::Activity { filter, after: None };
        hub.subscribe(Subscribe { run: Arc::clone(self) as Arc<dyn Run>, plan, after })
    }

    fn subscribe(self: &Arc<Self>, hub: &Arc<LiveHub>, after: Option<i64>) -> Frames {
        self.try_subscribe(hub, after).unwrap()
    }

    fn try_subscribe(self: &Arc<Self>, hub: &Arc<LiveHub>, after: Option<i64>) -> Result<Frames, Budget> {
        let plan = LivePlan::Widget { id: "w".into(), after: None, throttle_ms: 0 };
        hub.subscribe(Subscribe { run: Arc::clone(self) as Arc<dyn Run>, plan, after })
    }

    fn executions(&self) -> usize {
        self.executions.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Run for World {
    fn sharing_key(&self) -> Arc<str> {
        Arc::clone(&self.key)
    }

    fn hold(&self, payload: Bytes) -> Bytes {
        let share = self.held.force(&self.tenant, payload.len());
        held(payload, Arc::new(share))
    }

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    async fn render(&self, input: LiveInput, max_age: Option<chrono::Duration>) -> Result<Rendered, Unreadable> {
        let is_slot = input.widget.is_some() || input.node.is_some();
        let one_less = |left: usize| left.checked_sub(1);
        if is_slot && self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            tokio::task::yield_now().await;
            return Err(Unreadable);
        }
        self.rereads.fetch_add(usize::from(max_age.is_some()), Ordering::SeqCst);
        let noted = self.head().await?;
        let (mut shown, tags) = match &input.node {
            // As the graph does, it reads nothing of a node that is deleted.
            Some(_) if input.deleted => ("deleted".to_owned(), HashSet::new()),
            Some(WatchedId::Own { id, .. }) => self.cell(id),
            _ => self.read(),
        };
        if is_slot {
            self.executions.fetch_add(1, Ordering::SeqCst);
            let meanwhile = self.meanwhile.lock().pop_front();
            if let Some(happen) = meanwhile {
                happen();
            }
            tokio::task::yield_now().await;
        } else {
            self.asides.fetch_add(1, Ordering::SeqCst);
            shown = input.activity.map_or_else(|| "-".to_owned(), |activity| activity.cursor.to_string());
        }
        let digest = *blake3::hash(shown.as_bytes()).as_bytes();
        let payload = self.hold(format!("{} {shown}", <&'static str>::from(input.reason)).into());
        let late = self.late.lock().pop_front();
        let (stale, changes_with_time) = (late.is_some(), self.changes_with_time.load(Ordering::SeqCst));
        Ok(Rendered { payload, digest, tags, noted, failed: false, stale, changes_with_time, background_fetches: late })
    }

    fn is_current(&self, noted: i64, tags: &HashSet<Tag>) -> bool {
        self.epochs.is_current(&self.tenant, noted, tags)
    }

    async fn widgets(&self, _: &DashboardId) -> Result<Option<Vec<WidgetId>>, Unreadable> {
        Ok(None)
    }

    async fn is_deleted(&self, _: &WatchedId) -> Result<bool, Unreadable> {
        Ok(self.deleted.load(Ordering::SeqCst))
    }

    async fn head(&self) -> Result<i64, Unreadable> {
        Ok(self.epochs.head(&self.tenant).unwrap_or_default())
    }

    async fn changes_since(&self, position: i64, limit: u64) -> Result<Option<Vec<AppliedChange>>, Unreadable> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.limits.lock().push(limit);
        if position == 0 {
            drop(self.beginning.lock().await);
        }
        let limit = usize::try_from(limit).unwrap();
        Ok(Some(self.log.lock().iter().filter(|change| change.position > position).take(limit).cloned().collect()))
    }

    async fn is_silent(&self, _: &HashSet<Tag>) -> Result<bool, Unreadable> {
        Ok(self.silent)
    }

    async fn reach_store(&self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn cursor(&self, position: i64) -> EventCursor {
        position.to_string().into()
    }

    async fn activities(&self, activities: &[Arc<Activity>]) -> Vec<Arc<ActivityView>> {
        let view = |activity: &Arc<Activity>| {
            Arc::new(ActivityView {
                id: activity.id.as_str().into(),
                cursor: self.cursor(activity.position),
                provider: activity.provider.clone(),
                integration: None,
                kind: activity.kind.clone(),
                actor: None,
                subject: None,
                summary: String::new(),
                occurred_at: activity.occurred_at,
                received_at: activity.received_at,
            })
        };
        activities.iter().map(view).collect()
    }

    fn admits(&self, filter: &ActivitySource, activity: &Activity) -> bool {
        filter.kinds.as_ref().is_none_or(|kinds| kinds.contains(&activity.kind))
    }
}

fn hub() -> Arc<LiveHub> {
    hub_that_rereads(Duration::from_hours(1))
}

fn hub_that_rereads(reread: Duration) -> Arc<LiveHub> {
    LiveHub::new(TaskTracker::new(), LiveRules { reread, ..LiveRules::default() })
}

async fn next(frames: &mut Frames) -> (String, String) {
    loop {
        if let Item::Frame(Frame { payload, cursor, .. }) = frames.next().await.unwrap().unwrap() {
            return (String::from_utf8(payload.to_vec()).unwrap(), cursor.as_str().to_owned());
        }
    }
}

async fn texts(frames: &mut Frames, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(next(frames).await.0);
    }
    texts
}

#[tokio::test]
async fn first_comes_the_state_then_its_end_then_what_changes() {
    let (world, hub) = (World::new(), hub());
    let mut frames = world.subscribe(&hub, None);
    assert_eq!(texts(&mut frames, 2).await, ["SNAPSHOT first", "SNAPSHOT_END -"]);
    world.change(&hub, "second");
    assert_eq!(next(&mut frames).await, ("CHANGED second".to_owned(), "1".to_owned()));
}

#[tokio::test]
async fn a_change_between_execution_and_registration_is_not_missed() {
    let (world, hub) = (World::new(), hub());
    let (changed, told) = (Arc::clone(&world), Arc::clone(&hub));
    // The execution has read "first"; its tags are not registered yet, so the hub cannot find it.
    world.meanwhile.lock().push_back(Box::new(move || changed.change(&told, "second")));
    let mut frames = world.subscribe(&hub, None);
    // As the snapshot or as a change, but it must come.
    let seen = async { while !next(&mut frames).await.0.ends_with("second") {} };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the change was missed");
    assert!(world.executions() >= 2, "the first execution was not the last");
}

#[tokio::test]
async fn what_differs_in_nothing_is_not_sent() {
    let (world, hub) = (World::new(), hub());
    let mut frames = world.subscribe(&hub, None);
    texts(&mut frames, 2).await;
    world.change(&hub, "first");
    world.change(&hub, "other");
    assert_eq!(next(&mut frames).await.0, "CHANGED other");
}

#[tokio::test]
async fn ten_thousand_who_ask_the_same_share_one_execution_for_each_change() {
    let (world, hub) = (World::new(), hub());
    let mut all: Vec<Frames> = (0..10_000).map(|_| world.subscribe(&hub, None)).collect();
    for frames in &mut all {
        texts(frames, 2).await;
    }
    assert_eq!(hub.operations(), 1);
    let asides = world.asides.load(Ordering::SeqCst);
    assert_eq!((world.executions(), asides), (1, 1), "they share the snapshot and its end");
    for (number, shown) in ["second", "third", "fourth"].into_iter().enumerate() {
        world.change(&hub, shown);
        for frames in &mut all {
            assert_eq!(next(frames).await.0, format!("CHANGED {shown}"));
        }
        assert_eq!(world.executions(), number + 2);
    }
    drop(all);
    assert_eq!(hub.operations(), 0, "the last one to leave takes the operation along");
}

#[tokio::test]
async fn who_resumes_gets_what_changed_since_and_nothing_else() {
    let (world, hub) = (World::new(), hub());
    let mut frames = world.subscribe(&hub, None);
    texts(&mut frames, 2).await;
    world.change(&hub, "second");
    let (_, cursor) = next(&mut frames).await;
    let mut up_to_date = world.subscribe(&hub, Some(cursor.parse().unwrap()));
    assert_eq!(texts(&mut up_to_date, 1).await, ["SNAPSHOT_END -"]);
    let mut behind = world.subscribe(&hub, Some(0));
    assert_eq!(texts(&mut behind, 2).await, ["SNAPSHOT second", "SNAPSHOT_END -"]);
}

#[tokio::test]
async fn a_subscriber_that_resumes_over_too_many_changes_gets_the_state_and_reads_no_more_than_one() {
    let world = World::new();
    let rules = LiveRules { replayed: 100, ..LiveRules::default() };
    let hub = LiveHub::new(TaskTracker::new(), rules);
    let mut frames = world.subscribe(&hub, None);
    texts(&mut frames, 2).await;
    for _ in 0..100 {
        world.happen(&hub, "other");
    }
    let mut few = world.subscribe(&hub, Some(0));
    assert_eq!(texts(&mut few, 1).await, ["SNAPSHOT_END -"], "nothing that it shows has changed");
    world.happen(&hub, "other");
    let limits = std::mem::take(&mut *world.limits.lock());
    assert!(limits.iter().all(|limit| *limit > 1), "{limits:?}");
    let mut many = world.subscribe(&hub, Some(0));
    assert_eq!(texts(&mut many, 2).await, ["SNAPSHOT first", "SNAPSHOT_END -"]);
    assert_eq!(*world.limits.lock(), [1], "only whether the position is still kept");
}

#[tokio::test]
async fn a_slow_subscriber_skips_to_the_newest_state() {
    let (world, hub) = (World::new(), hub());
    let mut slow = world.subscribe(&hub, None);
    let mut quick = world.subscribe(&hub, None);
    texts(&mut slow, 2).await;
    texts(&mut quick, 2).await;
    for shown in ["a", "b", "c"] {
        world.change(&hub, shown);
        assert_eq!(next(&mut quick).await.0, format!("CHANGED {shown}"));
    }
    assert_eq!(next(&mut slow).await.0, "CHANGED c");
}

#[tokio::test]
async fn changes_while_an_execution_runs_collapse_into_one_more() {
    let (world, hub) = (World::new(), hub());
    let mut frames = world.subscribe(&hub, None);
    texts(&mut frames, 2).await;
    let before = world.executions();
    let (changed, told) = (Arc::clone(&world), Arc::clone(&hub));
    world.meanwhile.lock().push_back(Box::new(move || {
        for shown in ["3", "4", "5", "6"] {
            changed.change(&told, shown);
        }
    }));
    world.change(&hub, "2");
    while next(&mut frames).await.0 != "CHANGED 6" {}
    assert_eq!(world.executions() - before, 2);
}

proptest! {
    /// Cell 0 tells which other one is shown, so that each answer is read from other tags than the one before.
    #[test]
    fn no_change_is_missed_whenever_it_comes(
        steps in prop::collection::vec((0usize..4, 1usize..4, 0usize..3), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (world, hub) = (World::new(), hub());
            *world.cells.lock() = vec![1, 1, 1, 1];
            let mut frames = world.subscribe(&hub, None);
            let mut shown = next(&mut frames).await.0;
            next(&mut frames).await;
            for (cell, value, when) in steps {
                let (changed, told) = (Arc::clone(&world), Arc::clone(&hub));
                match when {
                    // Now; in the middle of an execution, which then has read what was before; now, and then something runs.
                    0 => world.set(&hub, cell, value),
                    1 => world.meanwhile.lock().push_back(Box::new(move || changed.set(&told, cell, value))),
                    _ => {
                        world.set(&hub, cell, value);
                        tokio::task::yield_now().await;
                    }
                }
            }
            // Changes that waited for an execution that never came happen now.
            let rest: Vec<_> = world.meanwhile.lock().drain(..).collect();
            for happen in rest {
                happen();
            }
            let expected = world.read().0;
            let caught_up = async {
                while shown.split(' ').next_back() != Some(&expected) {
                    shown = next(&mut frames).await.0;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), caught_up).await.expect("a change was missed");
        });
    }
}
