//! Dashboards whose widgets take long, come and go: a widget holds up no other, a cursor tells no more than was sent, and nothing is
//! kept of widgets that are gone.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};
use mullion_schema::{
    enums::UpdateReason,
    id::{DashboardId, EventCursor, TenantId, WidgetId},
    ports::{ActivitySource, ActivityView, LiveInput, LivePlan, WatchedId},
};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Frame, Frames, Item, LiveHub, LiveRules, Rendered, Run, Subscribe, Unreadable};
use crate::{
    cache::epochs::Epochs,
    live::End,
    store::{activity::Activity, stream::AppliedChange},
    tag::Tag,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A dashboard. Its widgets have letters for names, since the cursors here are digits.
struct Board {
    tenant: TenantId,
    epochs: Epochs,
    /// The text that each widget shows.
    widgets: Mutex<HashMap<String, usize>>,
    deleted: AtomicBool,
    log: Mutex<Vec<AppliedChange>>,
    /// Widgets whose executions wait until they are let through.
    gates: Mutex<HashMap<String, watch::Sender<bool>>>,
}

impl Board {
    fn new(widgets: &[&str]) -> Arc<Self> {
        let board = Self {
            tenant: "t".into(),
            epochs: Epochs::default(),
            widgets: Mutex::new(widgets.iter().map(|id| ((*id).to_owned(), 0)).collect()),
            deleted: AtomicBool::new(false),
            log: Mutex::default(),
            gates: Mutex::default(),
        };
        board.epochs.start(&board.tenant, 0);
        Arc::new(board)
    }

    fn subscribe(self: &Arc<Self>, hub: &Arc<LiveHub>, after: Option<i64>) -> Frames {
        let plan = LivePlan::Dashboard { id: "d".into(), after: None, throttle_ms: 0 };
        hub.subscribe(Subscribe { run: Arc::clone(self) as Arc<dyn Run>, plan, after }).unwrap()
    }

    /// The executions of a widget wait from now on.
    fn hold(&self, id: &str) {
        self.gates.lock().entry(id.to_owned()).or_insert_with(|| watch::channel(false).0);
    }

    /// They go on.
    fn let_through(&self, id: &str) {
        if let Some(gate) = self.gates.lock().remove(id) {
            gate.send_replace(true);
        }
    }

    fn set(&self, hub: &LiveHub, id: &str, value: usize) {
        self.widgets.lock().insert(id.to_owned(), value);
        self.publish(hub, vec![self.shown(id)]);
    }

    fn add(&self, hub: &LiveHub, id: &str) {
        self.widgets.lock().insert(id.to_owned(), 0);
        self.publish(hub, vec![self.row("Dashboard", "d"), self.row("Widget", id)]);
    }

    fn remove(&self, hub: &LiveHub, id: &str) {
        self.widgets.lock().remove(id);
        self.publish(hub, vec![self.row("Dashboard", "d"), self.row("Widget", id)]);
    }

    /// Deletes the dashboard with its widgets, as one change.
    fn delete(&self, hub: &LiveHub) {
        self.deleted.store(true, Ordering::SeqCst);
        let widgets = std::mem::take(&mut *self.widgets.lock());
        let rows = widgets.keys().map(|id| self.row("Widget", id));
        self.publish(hub, rows.chain([self.row("Dashboard", "d")]).collect());
    }

    fn publish(&self, hub: &LiveHub, tags: Vec<Tag>) {
        let position = i64::try_from(self.log.lock().len()).unwrap() + 1;
        let change = AppliedChange { position, tags, activity: None };
        self.log.lock().push(change.clone());
        self.epochs.advance(&self.tenant, position, &change.tags);
        hub.publish(&self.tenant, &[change]);
    }

    fn row(&self, type_name: &'static str, id: &str) -> Tag {
        Tag::own(&self.tenant, type_name, id)
    }

    fn shown(&self, id: &str) -> Tag {
        self.row("Shown", id)
    }
}

#[async_trait]
impl Run for Board {
    fn sharing_key(&self) -> Arc<str> {
        "the same for all".into()
    }

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    async fn render(&self, input: LiveInput, _: Option<chrono::Duration>) -> Result<Rendered, Unreadable> {
        let noted = self.head().await?;
        let mut shown = "-".to_owned();
        let mut tags = HashSet::new();
        if let Some(id) = input.widget.as_ref().map(WidgetId::as_str) {
            let value = self.widgets.lock().get(id).copied();
            shown = value.map_or_else(|| id.to_owned(), |value| format!("{id}={}", "x".repeat(value)));
            tags.insert(self.shown(id));
            let gate = self.gates.lock().get(id).map(watch::Sender::subscribe);
            if let (Some(mut gate), false) = (gate, input.reason == UpdateReason::Removed) {
                let _ = gate.wait_for(|open| *open).await;
            }
            tokio::task::yield_now().await;
        }
        let digest = *blake3::hash(shown.as_bytes()).as_bytes();
        let payload = format!("{} {shown}", <&'static str>::from(input.reason)).into();
        Ok(Rendered {
            payload,
            digest,
            tags,
            noted,
            failed: false,
            stale: false,
            changes_with_time: false,
            background_fetches: None,
        })
    }

    fn is_current(&self, noted: i64, tags: &HashSet<Tag>) -> bool {
        self.epochs.is_current(&self.tenant, noted, tags)
    }

    async fn widgets(&self, _: &DashboardId) -> Result<Option<Vec<WidgetId>>, Unreadable> {
        if self.deleted.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let mut ids: Vec<WidgetId> = self.widgets.lock().keys().map(|id| id.as_str().into()).collect();
        ids.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        Ok(Some(ids))
    }

    async fn is_deleted(&self, id: &WatchedId) -> Result<bool, Unreadable> {
        Ok(matches!(id, WatchedId::Own { id, .. } if !self.widgets.lock().contains_key(id)))
    }

    async fn head(&self) -> Result<i64, Unreadable> {
        Ok(self.epochs.head(&self.tenant).unwrap_or_default())
    }

    async fn changes_since(&self, position: i64, limit: u64) -> Result<Option<Vec<AppliedChange>>, Unreadable> {
        let limit = usize::try_from(limit).unwrap();
        Ok(Some(self.log.lock().iter().filter(|change| change.position > position).take(limit).cloned().collect()))
    }

    async fn is_silent(&self, _: &HashSet<Tag>) -> Result<bool, Unreadable> {
        Ok(false)
    }

    async fn reach_store(&self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn cursor(&self, position: i64) -> EventCursor {
        position.to_string().into()
    }

    async fn activities(&self, _: &[Arc<Activity>]) -> Vec<Arc<ActivityView>> {
        Vec::new()
    }

    fn admits(&self, _: &ActivitySource, _: &Activity) -> bool {
        false
    }
}

fn hub() -> Arc<LiveHub> {
    let rules = LiveRules { reread: Duration::from_hours(1), together: Duration::ZERO, ..LiveRules::default() };
    LiveHub::new(TaskTracker::new(), rules)
}

fn text(frame: &Frame) -> String {
    String::from_utf8(frame.payload.to_vec()).unwrap()
}

/// The next frame: its text, and its cursor.
async fn next(frames: &mut Frames) -> (String, String) {
    let next = async {
        loop {
            if let Item::Frame(frame) = frames.next().await.unwrap().unwrap() {
                return (text(&frame), frame.cursor.as_str().to_owned());
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("nothing comes")
}

async fn texts(frames: &mut Frames, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(next(frames).await.0);
    }
    texts
}

/// A subscription that is past its beginning.
async fn begun(board: &Arc<Board>, hub: &Arc<LiveHub>) -> Frames {
    let mut frames = board.subscribe(hub, None);
    while next(&mut frames).await.0 != "SNAPSHOT_END -" {}
    frames
}

/// Waits until an operation has come to keep so many slots.
async fn kept(hub: &Arc<LiveHub>, slots: usize) {
    let kept = async {
        while hub.operation(1).unwrap().slots() != slots {
            tokio::task::yield_now().await;
        }
    };
    let kept = tokio::time::timeout(PATIENCE, kept).await;
    assert!(kept.is_ok(), "{} are kept instead of {slots}", hub.operation(1).unwrap().slots());
}

#[tokio::test]
async fn a_subscription_to_a_dashboard_ends_when_the_removal_of_its_last_widget_was_told() {
    for widgets in [&[][..], &["a"], &["a", "b", "c"]] {
        let (board, hub) = (Board::new(widgets), hub());
        let mut frames = begun(&board, &hub).await;
        board.delete(&hub);
        let mut removed = texts(&mut frames, widgets.len()).await;
        removed.sort();
        let expected: Vec<String> = widgets.iter().map(|id| format!("REMOVED {id}")).collect();
        assert_eq!(removed, expected);
        let end = async {
            loop {
                match frames.next().await {
                    Some(Ok(Item::Watermark(_))) => {}
                    other => return other,
                }
            }
        };
        let end = tokio::time::timeout(PATIENCE, end).await.expect("the subscription stays open");
        assert_eq!(end, Some(Err(End::Completed)));
        assert_eq!(frames.next().await, None);
    }
}

#[tokio::test]
async fn the_widgets_that_are_known_are_sent_while_another_is_waited_for() {
    let (board, hub) = (Board::new(&["a", "b", "c"]), hub());
    board.hold("b");
    let mut frames = board.subscribe(&hub, None);
    // Whichever is done first is sent first.
    let mut known = texts(&mut frames, 2).await;
    known.sort();
    assert_eq!(known, ["SNAPSHOT a=", "SNAPSHOT c="]);
    assert!(next(&mut frames).now_or_never().is_none(), "not all is told yet");
    board.let_through("b");
    assert_eq!(texts(&mut frames, 2).await, ["SNAPSHOT b=", "SNAPSHOT_END -"]);
}

#[tokio::test]
async fn a_widget_that_takes_long_delays_no_event_of_another_and_holds_the_cursor_back() {
    let (board, hub) = (Board::new(&["a", "b"]), hub());
    let mut frames = begun(&board, &hub).await;
    board.set(&hub, "a", 1);
    assert_eq!(next(&mut frames).await, ("CHANGED a=x".to_owned(), "1".to_owned()));
    board.hold("b");
    board.set(&hub, "b", 1);
    for value in 2..5 {
        board.set(&hub, "a", value);
        let told = next(&mut frames).await;
        assert_eq!(told, (format!("CHANGED a={}", "x".repeat(value)), "1".to_owned()), "b is not told yet");
    }
    board.let_through("b");
    assert_eq!(next(&mut frames).await.0, "CHANGED b=x");
    board.set(&hub, "a", 5);
    assert_eq!(next(&mut frames).await, ("CHANGED a=xxxxx".to_owned(), "6".to_owned()));
}

#[tokio::test]
async fn a_widget_that_is_added_and_takes_long_delays_no_event_of_another() {
    let (board, hub) = (Board::new(&["a"]), hub());
    let mut frames = begun(&board, &hub).await;
    board.hold("n");
    board.add(&hub, "n");
    kept(&hub, 2).await;
    board.set(&hub, "a", 1);
    assert_eq!(next(&mut frames).await, ("CHANGED a=x".to_owned(), "0".to_owned()));
    board.let_through("n");
    assert_eq!(next(&mut frames).await.0, "CONFIGURED n=");
}

#[tokio::test]
async fn a_subscriber_is_sent_no_removal_of_a_widget_that_it_never_saw() {
    let (board, hub) = (Board::new(&["a"]), hub());
    let (mut first, mut stalled) = (begun(&board, &hub).await, begun(&board, &hub).await);
    for _ in 0..3 {
        board.add(&hub, "n");
        assert_eq!(next(&mut first).await.0, "CONFIGURED n=");
        board.remove(&hub, "n");
        assert_eq!(next(&mut first).await.0, "REMOVED n");
    }
    let mut late = begun(&board, &hub).await;
    board.set(&hub, "a", 1);
    for frames in [&mut first, &mut stalled, &mut late] {
        assert_eq!(next(frames).await.0, "CHANGED a=x", "nothing else before it");
    }
}

#[tokio::test]
async fn nothing_is_kept_of_widgets_that_are_gone_once_those_who_saw_them_were_told() {
    let (board, hub) = (Board::new(&["a"]), hub());
    let (mut reads, _stalled) = (begun(&board, &hub).await, begun(&board, &hub).await);
    for _ in 0..100 {
        board.add(&hub, "n");
        assert_eq!(next(&mut reads).await.0, "CONFIGURED n=");
        board.remove(&hub, "n");
        assert_eq!(next(&mut reads).await.0, "REMOVED n");
        kept(&hub, 1).await;
    }
    // A widget that both saw is kept until both were sent its removal, or have left.
    for leaves in [false, true] {
        let mut other = begun(&board, &hub).await;
        board.add(&hub, "n");
        for frames in [&mut reads, &mut other] {
            assert_eq!(next(frames).await.0, "CONFIGURED n=");
        }
        board.remove(&hub, "n");
        assert_eq!(next(&mut reads).await.0, "REMOVED n");
        kept(&hub, 2).await;
        if leaves {
            drop(other);
        } else {
            assert_eq!(next(&mut other).await.0, "REMOVED n");
        }
        kept(&hub, 1).await;
    }
}

const WIDGETS: [&str; 4] = ["a", "b", "c", "d"];

/// The texts that a subscriber was sent of each widget, and those that the widgets held at each position.
#[derive(Clone)]
struct Told {
    seen: Vec<usize>,
    history: Vec<Vec<usize>>,
    /// The cursor that came last, and what had been seen with it.
    resume: Option<(i64, Vec<usize>)>,
}

impl Told {
    fn hear(&mut self, item: &Item) -> Result<(), TestCaseError> {
        if let Item::Frame(frame) = item {
            let cursor: i64 = frame.cursor.as_str().parse().unwrap();
            prop_assert_eq!(frame.watermark, (cursor >= 0).then_some(cursor), "it can be resumed after");
            if let Some((widget, value)) = text(frame).split_once(' ').unwrap().1.split_once('=') {
                self.seen["abcd".find(widget).unwrap()] = value.len();
            }
            self.resume = Some((cursor, self.seen.clone()));
        }
        let Some(watermark) = item.watermark() else { return Ok(()) };
        let since = &self.history[usize::try_from(watermark).unwrap()..];
        for (widget, seen) in self.seen.iter().enumerate() {
            let held = since.iter().any(|widgets| widgets[widget] == *seen);
            prop_assert!(held, "{item:?}, but {seen} of {widget} is older: {:?}", self.history);
        }
        Ok(())
    }

    /// Follows until everything is seen as it is now.
    async fn catch_up(&mut self, frames: &mut Frames) -> Result<(), TestCaseError> {
        let last = self.history.last().unwrap().clone();
        let caught_up = async {
            while self.seen != last {
                self.hear(&frames.next().await.unwrap().unwrap())?;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, caught_up).await.expect("a change was missed")
    }
}

proptest! {
    /// Widgets hang and go on, in any order; each value is set once, so that it tells when it was set.
    #[test]
    fn no_cursor_tells_more_than_was_sent_and_whoever_resumes_misses_nothing(
        steps in prop::collection::vec((0usize..4, 0usize..9), 1..40),
        leaves in 0usize..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (board, hub) = (Board::new(&WIDGETS), hub());
            let mut told = Told { seen: vec![0; 4], history: vec![vec![0; 4]], resume: None };
            let mut frames = board.subscribe(&hub, None);
            let mut resumes = None;
            for (number, (widget, what)) in steps.into_iter().enumerate() {
                match what {
                    // It reads some of what is there; it reads all; something runs; a widget hangs, or goes on; or changes.
                    0 => if let Some(item) = frames.next().now_or_never() {
                        told.hear(&item.unwrap().unwrap())?;
                    },
                    1 => while let Some(item) = frames.next().now_or_never() {
                        told.hear(&item.unwrap().unwrap())?;
                    },
                    2 | 3 => for _ in 0..=widget {
                        tokio::task::yield_now().await;
                    },
                    4 => board.hold(WIDGETS[widget]),
                    5 => board.let_through(WIDGETS[widget]),
                    _ => {
                        let mut widgets = told.history.last().unwrap().clone();
                        widgets[widget] = number + 1;
                        told.history.push(widgets);
                        board.set(&hub, WIDGETS[widget], number + 1);
                    }
                }
                if number <= leaves {
                    resumes = told.resume.clone().or(resumes);
                }
            }
            for widget in WIDGETS {
                board.let_through(widget);
            }
            told.catch_up(&mut frames).await?;
            let Some((cursor, seen)) = resumes else { return Ok(()) };
            let mut resumed = Told { seen, ..told.clone() };
            resumed.catch_up(&mut board.subscribe(&hub, Some(cursor))).await?;
            // On another process, whose operation begins anew.
            let mut elsewhere = Told { seen: told.resume.clone().unwrap().1, ..told.clone() };
            elsewhere.catch_up(&mut board.subscribe(&self::hub(), Some(told.resume.unwrap().0))).await
        })?;
    }
}
