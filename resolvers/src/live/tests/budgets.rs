//! Budgets of tenants: how many live operations and subscriptions each has, and whose bytes are held how long.

use std::{sync::Arc, time::Duration};

use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::{World, hub, next, texts};
use crate::{
    budget::Budget,
    live::{Frames, LiveHub, LiveRules},
};

/// More than anything but the answer has here.
const BIG: usize = 10_000;

fn hub_with(operations: usize, subscriptions: usize) -> Arc<LiveHub> {
    LiveHub::new(TaskTracker::new(), LiveRules { operations, subscriptions, ..LiveRules::default() })
}

/// A subscription, as soon as there is room for it.
async fn admitted(world: &Arc<World>, hub: &Arc<LiveHub>) -> Frames {
    let there_is_room = async {
        loop {
            match world.try_subscribe(hub, None) {
                Ok(frames) => return frames,
                Err(_) => yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), there_is_room).await.expect("nothing was given back")
}

#[tokio::test]
async fn a_tenant_that_has_all_its_operations_is_refused_others_until_one_has_ended() {
    let hub = hub_with(2, 100);
    let [one, another, more] = ["one", "another", "more"].map(|key| World::of("t", key));
    let (mut watched, followed) = (one.subscribe(&hub, None), another.follow(&hub, None));
    texts(&mut watched, 2).await;
    for refused in [more.try_subscribe(&hub, None), more.try_follow(&hub, None)] {
        assert_eq!(refused.err(), Some(Budget::Operations));
    }
    let shared = (one.try_subscribe(&hub, None), another.try_follow(&hub, None));
    assert!(shared.0.is_ok() && shared.1.is_ok(), "they share what runs");
    let foreign = World::of("other", "one");
    texts(&mut foreign.subscribe(&hub, None), 2).await;
    drop((watched, followed));
    assert!(more.try_subscribe(&hub, None).is_err(), "others still follow");
    drop(shared);
    texts(&mut admitted(&more, &hub).await, 2).await;
}

#[tokio::test]
async fn a_tenant_that_has_all_its_subscriptions_is_refused_more_even_of_what_runs() {
    let hub = hub_with(100, 3);
    let world = World::of("t", "one");
    let mut all: Vec<Frames> = (0..2).map(|_| world.subscribe(&hub, None)).collect();
    all.push(world.follow(&hub, None));
    for refused in [world.try_subscribe(&hub, None), world.try_follow(&hub, None)] {
        assert_eq!(refused.err(), Some(Budget::Subscriptions));
    }
    assert!(World::of("other", "one").try_subscribe(&hub, None).is_ok());
    // Before it was ever polled, too.
    all.pop();
    assert!(world.try_subscribe(&hub, None).is_ok());
}

#[tokio::test]
async fn an_operation_whose_run_panics_is_given_back() {
    let hub = hub_with(1, 100);
    let (broken, sound) = (World::of("t", "broken"), World::of("t", "sound"));
    broken.meanwhile.lock().push_back(Box::new(|| panic!("as it happens")));
    let _frames = broken.subscribe(&hub, None);
    assert_eq!(sound.try_subscribe(&hub, None).err(), Some(Budget::Operations));
    texts(&mut admitted(&sound, &hub).await, 2).await;
}

#[tokio::test]
async fn the_bytes_of_an_answer_are_held_until_every_subscriber_has_taken_them_or_has_left() {
    let (world, hub) = (World::new(), hub());
    let (mut quick, mut slow) = (world.subscribe(&hub, None), world.subscribe(&hub, None));
    for frames in [&mut quick, &mut slow] {
        texts(frames, 2).await;
    }
    let held = || world.held.held(&world.tenant);
    for leaves in [false, true] {
        let shown = if leaves { "y" } else { "x" }.repeat(BIG);
        world.change(&hub, &shown);
        assert!(next(&mut quick).await.0.ends_with(&shown));
        assert!(held() >= BIG, "one has not taken it");
        if leaves {
            drop(std::mem::replace(&mut slow, Box::pin(futures::stream::empty())));
        } else {
            next(&mut slow).await;
        }
        assert!(held() < BIG, "{} bytes are left, leaves: {leaves}", held());
    }
    // One that comes later is told what is not in memory any more.
    let mut late = world.subscribe(&hub, None);
    assert_eq!(next(&mut late).await.0, format!("SNAPSHOT {}", "y".repeat(BIG)));
    world.change(&hub, "third");
    for frames in [&mut quick, &mut late] {
        while !next(frames).await.0.ends_with("third") {}
    }
}

#[tokio::test]
async fn a_snapshot_is_held_for_those_who_come_together_and_not_for_ever() {
    let rules = LiveRules { snapshot: Duration::from_millis(500), ..LiveRules::default() };
    let (world, hub) = (World::new(), LiveHub::new(TaskTracker::new(), rules));
    world.shown.lock().push_str(&"x".repeat(BIG));
    let mut all: Vec<Frames> = (0..10).map(|_| world.subscribe(&hub, None)).collect();
    for frames in &mut all {
        texts(frames, 2).await;
    }
    assert_eq!(world.executions(), 1);
    let forgotten = async {
        while world.held.held(&world.tenant) >= BIG {
            yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), forgotten).await.expect("it is held for ever");
    texts(&mut world.subscribe(&hub, None), 2).await;
    assert_eq!(world.executions(), 2, "it was made again");
    world.change(&hub, "other");
    for frames in &mut all {
        assert_eq!(next(frames).await.0, "CHANGED other");
    }
}
