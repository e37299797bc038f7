//! Watermarks: what keep-alives tell is never ahead of what was told.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _};
use mullion_schema::ports::{LivePlan, WatchedId};
use proptest::prelude::*;
use tokio_util::task::TaskTracker;

use super::{
    Frame, Frames, Item, LiveHub, LiveRules, Retry, Run, Subscribe, World, hub, hub_that_rereads, next, texts,
};

const CELLS: usize = 4;

/// The items that are there without waiting.
fn ready(frames: &mut Frames) -> Vec<Item> {
    std::iter::from_fn(|| frames.next().now_or_never()).map(|item| item.unwrap().unwrap()).collect()
}

/// Waits for a mark alone.
async fn mark(frames: &mut Frames) -> i64 {
    loop {
        if let Item::Watermark(mark) = frames.next().await.unwrap().unwrap() {
            assert_eq!(mark.cursor.as_str(), mark.position.to_string());
            return mark.position;
        }
    }
}

#[tokio::test]
async fn who_follows_what_does_not_happen_is_told_now_and_then_how_far_that_goes() {
    let (world, hub) = (World::new(), hub());
    world.happen(&hub, "other");
    let mut frames = world.follow(&hub, None);
    assert_eq!(mark(&mut frames).await, 1, "where it begins");
    let mut told = Vec::new();
    for _ in 0..600 {
        world.happen(&hub, "other");
        told.extend(ready(&mut frames));
    }
    let told: Vec<i64> = told.iter().filter_map(Item::watermark).collect();
    assert_eq!(told.len(), 2, "not for each change: {told:?}");
    assert!(told.is_sorted() && told[1] > 500, "{told:?}");
}

#[tokio::test]
async fn a_follower_that_is_behind_is_told_no_mark_before_the_last_of_its_backlog() {
    let (world, hub) = (World::new(), hub());
    for _ in 0..700 {
        world.happen(&hub, "wanted");
    }
    let mut newest = world.follow(&hub, Some(700));
    assert_eq!(mark(&mut newest).await, 700);
    let mut behind = world.follow(&hub, Some(0));
    for expected in 1..=700 {
        let item = behind.next().await.unwrap().unwrap();
        assert!(matches!(item, Item::Frame(_)) && item.watermark() == Some(expected), "{expected}: {item:?}");
    }
}

#[tokio::test]
async fn who_watches_what_stays_the_same_is_told_how_far_that_goes() {
    let (world, hub) = (World::new(), hub_that_rereads(Duration::from_millis(5)));
    let mut frames = world.subscribe(&hub, None);
    texts(&mut frames, 2).await;
    // Nothing that it shows.
    for _ in 0..3 {
        world.happen(&hub, "other");
    }
    while mark(&mut frames).await < 3 {}
    world.change(&hub, "second");
    assert_eq!(next(&mut frames).await, ("CHANGED second".to_owned(), "4".to_owned()));
}

#[test]
fn a_frame_that_is_told_with_another_cursor_holds_that() {
    let payload = br#"{"data":{"nodeUpdated":{"cursor":"old"}},"extensions":{"cursor":"old"}}"#.as_slice().into();
    let told = Frame { payload, cursor: "old".into(), watermark: Some(1) };
    let frame = told.retold(&*World::new(), "new".into(), None);
    let payload = br#"{"data":{"nodeUpdated":{"cursor":"new"}},"extensions":{"cursor":"new"}}"#.as_slice().into();
    assert_eq!(frame, Frame { payload, cursor: "new".into(), watermark: None });
}

/// The value of each cell that a subscriber to all of them was told last, and the values they held at each position.
struct Told {
    seen: Vec<usize>,
    history: Vec<Vec<usize>>,
}

impl Told {
    /// Takes in an item: whatever it says to have told was told.
    fn hear(&mut self, item: &Item) -> Result<(), TestCaseError> {
        if let Item::Frame(frame) = item {
            let cursor: i64 = frame.cursor.as_str().parse().unwrap();
            prop_assert_eq!(frame.watermark, (cursor >= 0).then_some(cursor), "it can be resumed after");
            let text = String::from_utf8(frame.payload.to_vec()).unwrap();
            let (cell, value) = text.split_once(' ').unwrap().1.split_once('=').unwrap();
            self.seen["abcd".find(cell).unwrap()] = value.len();
        }
        let Some(watermark) = item.watermark() else { return Ok(()) };
        let since = &self.history[usize::try_from(watermark).unwrap()..];
        for (cell, seen) in self.seen.iter().enumerate() {
            let held = since.iter().any(|cells| cells[cell] == *seen);
            prop_assert!(held, "{item:?}, but {seen} of {cell} is older: {:?}", self.history);
        }
        Ok(())
    }
}

fn watch_cells(world: &Arc<World>, hub: &Arc<LiveHub>) -> Frames {
    let ids = (0..CELLS).map(|cell| WatchedId::Own { type_name: "Cell".into(), id: cell.to_string() });
    let plan = LivePlan::Nodes { ids: ids.collect(), after: None };
    hub.subscribe(Subscribe { run: Arc::clone(world) as Arc<dyn Run>, plan, after: None }).unwrap()
}

proptest! {
    /// Each value is set once, so that it tells when it was set. Some executions fail, and are done again.
    #[test]
    fn nothing_is_said_to_be_told_before_it_was(
        steps in prop::collection::vec((0usize..CELLS, 0usize..7), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let moment = Duration::from_micros(1);
            let retry = Retry { first: moment, longest: moment, attempts: u32::MAX };
            let rules = LiveRules { reread: moment, retry, ..LiveRules::default() };
            let (world, hub) = (World::new(), LiveHub::new(TaskTracker::new(), rules));
            *world.cells.lock() = vec![0; CELLS];
            let mut told = Told { seen: vec![0; CELLS], history: vec![vec![0; CELLS]] };
            let mut frames = watch_cells(&world, &hub);
            told.hear(&frames.next().await.unwrap().unwrap())?;
            for (number, (cell, what)) in steps.into_iter().enumerate() {
                match what {
                    // It reads some of what is there; it reads all; something runs; executions fail; else something changes.
                    0 => if let Some(item) = frames.next().now_or_never() {
                        told.hear(&item.unwrap().unwrap())?;
                    },
                    1 => for item in ready(&mut frames) {
                        told.hear(&item)?;
                    },
                    2 => tokio::task::yield_now().await,
                    3 => {
                        world.failing.fetch_add(1 + cell, Ordering::SeqCst);
                    }
                    _ => {
                        let mut cells = told.history.last().unwrap().clone();
                        cells[cell] = number + 1;
                        told.history.push(cells);
                        world.set(&hub, cell, number + 1);
                    }
                }
            }
            let last = told.history.last().unwrap().clone();
            let caught_up = async {
                while told.seen != last {
                    told.hear(&frames.next().await.unwrap().unwrap())?;
                }
                Ok::<_, TestCaseError>(())
            };
            tokio::time::timeout(Duration::from_secs(20), caught_up).await.expect("a change was missed")
        })?;
    }
}
