//! Operations as the hub has them: found by what they watch, and gone when they break.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::StreamExt as _;
use mullion_schema::ports::{LivePlan, WatchedId};

use super::{Frames, Item, LiveHub, Run, Subscribe, World, hub, next, texts};
use crate::tag::Tag;

#[tokio::test]
async fn an_operation_that_panics_ends_for_its_subscribers_and_the_next_one_goes_on() {
    let (world, hub) = (World::new(), hub());
    let mut frames = world.subscribe(&hub, None);
    texts(&mut frames, 2).await;
    world.meanwhile.lock().push_back(Box::new(|| panic!("on purpose")));
    world.change(&hub, "second");
    let ended = async { while frames.next().await.unwrap().is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("nobody is told that it has ended");
    let mut again = world.subscribe(&hub, Some(0));
    assert_eq!(texts(&mut again, 2).await, ["SNAPSHOT second", "SNAPSHOT_END -"]);
}

#[tokio::test]
async fn the_operations_that_watch_a_tag_are_found_by_it_within_their_tenant() {
    let (world, other, hub) = (World::new(), World::of("other", "another"), hub());
    let mut all = [world.subscribe(&hub, None), world.subscribe(&hub, None), other.subscribe(&hub, None)];
    for frames in &mut all {
        texts(frames, 2).await;
    }
    let of = |tags: &[Tag], most| hub.watching(&world.tenant, &tags.iter().cloned().collect(), most);
    assert_eq!(of(&[world.tag(), other.tag()], 10), [(None, 2)], "both share one");
    assert_eq!(of(&[other.tag()], 10), []);
    assert_eq!(of(&[world.tag()], 0), []);
    drop(all);
    assert_eq!(of(&[world.tag()], 10), []);
}

/// Watches a cell, from when its operation has begun.
async fn watch_cell(world: &Arc<World>, hub: &Arc<LiveHub>) -> Frames {
    let ids = vec![WatchedId::Own { type_name: "Cell".into(), id: "0".into() }];
    let run = Arc::clone(world) as Arc<dyn Run>;
    let plan = LivePlan::Nodes { ids, after: None };
    let mut frames = hub.subscribe(Subscribe { run, plan, after: None }).unwrap();
    let begun = frames.next().await;
    assert!(matches!(begun, Some(Ok(Item::Watermark(_)))), "{begun:?}");
    frames
}

async fn told(frames: &mut Frames) -> String {
    let told = tokio::time::timeout(Duration::from_secs(20), next(frames)).await;
    told.expect("nothing is told any more").0
}

#[tokio::test]
async fn a_node_that_was_deleted_and_comes_back_is_told_again_to_those_who_were_there_and_those_who_came() {
    let (world, hub) = (World::new(), hub());
    *world.cells.lock() = vec![1];
    let set_deleted = |deleted| {
        world.deleted.store(deleted, Ordering::SeqCst);
        world.set(&hub, 0, 1);
    };
    let mut first = watch_cell(&world, &hub).await;
    set_deleted(true);
    assert_eq!(told(&mut first).await, "CHANGED deleted");
    let mut second = watch_cell(&world, &hub).await;
    assert_eq!(hub.operations(), 1, "they share it");
    set_deleted(false);
    world.set(&hub, 0, 2);
    for frames in [&mut first, &mut second] {
        while told(frames).await != "CHANGED a=xx" {}
    }
}
