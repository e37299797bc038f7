//! Live operations over a stand-in for the executor: what is sent, how often it is executed, and the race between an execution
//! and the registration of its tags.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt as _;
use mullion_schema::{
    id::{DashboardId, EventCursor, TenantId, WidgetId},
    ports::{ActivitySource, ActivityView, LiveInput, LivePlan, WatchedId},
};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::{Frame, Frames, LiveHub, Rendered, Run, Subscribe};
use crate::{
    cache::epochs::Epochs,
    store::{activity::Activity, stream::AppliedChange},
    tag::Tag,
};

/// A graph of one widget whose answer is a text.
struct World {
    tenant: TenantId,
    epochs: Epochs,
    shown: Mutex<String>,
    executions: AtomicUsize,
    /// Executions that asked for values of some freshness.
    rereads: AtomicUsize,
    silent: bool,
    log: Mutex<Vec<AppliedChange>>,
    /// Happens in the middle of the next execution, after it has read.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl World {
    fn new() -> Arc<Self> {
        Self::over(false)
    }

    /// A world whose integration has webhooks, or is silent.
    fn over(silent: bool) -> Arc<Self> {
        let world = Self {
            tenant: "t".into(),
            epochs: Epochs::default(),
            shown: Mutex::new("first".into()),
            executions: AtomicUsize::new(0),
            rereads: AtomicUsize::new(0),
            silent,
            log: Mutex::default(),
            meanwhile: Mutex::default(),
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
        let position = i64::try_from(self.log.lock().len()).unwrap() + 1;
        let change = AppliedChange { position, tags: vec![self.tag()], activity: None };
        self.log.lock().push(change.clone());
        self.epochs.advance(&self.tenant, position, &change.tags);
        hub.publish(&self.tenant, &[change]);
    }

    fn subscribe(self: &Arc<Self>, hub: &Arc<LiveHub>, after: Option<i64>) -> Frames {
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
        "the same for all".into()
    }

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    async fn render(&self, input: LiveInput, max_age: Option<chrono::Duration>) -> Rendered {
        self.rereads.fetch_add(usize::from(max_age.is_some()), Ordering::SeqCst);
        let noted = self.head().await;
        let shown = if input.widget.is_some() { self.shown.lock().clone() } else { "-".to_owned() };
        if input.widget.is_some() {
            self.executions.fetch_add(1, Ordering::SeqCst);
            if let Some(happen) = self.meanwhile.lock().take() {
                happen();
            }
        }
        let digest = *blake3::hash(shown.as_bytes()).as_bytes();
        let payload = format!("{} {shown}", <&'static str>::from(input.reason)).into();
        Rendered { payload, digest, tags: HashSet::from([self.tag()]), noted }
    }

    fn is_current(&self, noted: i64, tags: &HashSet<Tag>) -> bool {
        self.epochs.is_current(&self.tenant, noted, tags)
    }

    async fn widgets(&self, _: &DashboardId) -> Option<Vec<WidgetId>> {
        None
    }

    async fn is_deleted(&self, _: &WatchedId) -> bool {
        false
    }

    async fn head(&self) -> i64 {
        self.epochs.head(&self.tenant).unwrap_or_default()
    }

    async fn changes_since(&self, position: i64, _: u64) -> Option<Vec<AppliedChange>> {
        Some(self.log.lock().iter().filter(|change| change.position > position).cloned().collect())
    }

    async fn is_silent(&self, _: &HashSet<Tag>) -> bool {
        self.silent
    }

    fn cursor(&self, position: i64) -> EventCursor {
        position.to_string().into()
    }

    fn activity(&self, _: &Activity) -> Arc<ActivityView> {
        panic!("no activity happens here")
    }

    fn admits(&self, _: &ActivitySource, _: &Activity) -> bool {
        true
    }
}

fn hub() -> Arc<LiveHub> {
    LiveHub::new(TaskTracker::new(), Duration::from_hours(1))
}

async fn next(frames: &mut Frames) -> (String, String) {
    let Frame { payload, cursor } = frames.next().await.unwrap().unwrap();
    (String::from_utf8(payload.to_vec()).unwrap(), cursor.as_str().to_owned())
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
    *world.meanwhile.lock() = Some(Box::new(move || changed.change(&told, "second")));
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
async fn many_who_ask_the_same_share_one_execution_for_each_change() {
    let (world, hub) = (World::new(), hub());
    let mut all: Vec<Frames> = (0..500).map(|_| world.subscribe(&hub, None)).collect();
    for frames in &mut all {
        texts(frames, 2).await;
    }
    assert_eq!(hub.operations(), 1);
    let before = world.executions();
    world.change(&hub, "second");
    for frames in &mut all {
        assert_eq!(next(frames).await.0, "CHANGED second");
    }
    assert_eq!(world.executions() - before, 1);
    drop(all);
    assert_eq!(hub.operations(), 0, "the last one to leave takes the operation along");
}

#[tokio::test]
async fn what_is_silent_is_read_again_however_busy_the_rest_is() {
    let (world, hub) = (World::over(true), LiveHub::new(TaskTracker::new(), Duration::from_millis(50)));
    let mut frames = world.subscribe(&hub, None);
    texts(&mut frames, 2).await;
    // Woken again as soon as it is done, it would never come to sleep for as long as that.
    let busy = async {
        while world.rereads.load(Ordering::SeqCst) == 0 {
            let before = world.executions();
            world.change(&hub, "the same");
            while world.executions() == before {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), busy).await.expect("it was not read again");
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
