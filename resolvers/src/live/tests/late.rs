//! Answers that are made again without a change: when a fetch ends that they did not wait for, or because nobody tells what changes.

use std::{sync::atomic::Ordering, time::Duration};

use futures::FutureExt as _;

use super::{World, hub, hub_that_rereads, next, texts};

#[tokio::test]
async fn an_answer_is_made_again_when_the_fetch_ends_that_it_did_not_wait_for() {
    let (world, hub) = (World::new(), hub());
    let (fetched, fetch) = tokio::sync::oneshot::channel::<()>();
    world.late.lock().push_back(fetch.map(drop).boxed().shared());
    let mut frames = world.subscribe(&hub, None);
    assert_eq!(texts(&mut frames, 2).await, ["SNAPSHOT first", "SNAPSHOT_END -"]);
    // Nothing tells of it: the fetch has brought what was known.
    "no longer stale".clone_into(&mut world.shown.lock());
    fetched.send(()).unwrap();
    assert_eq!(next(&mut frames).await.0, "CHANGED no longer stale");
}

#[tokio::test]
async fn a_subscriber_that_is_shown_something_stale_is_told_when_it_no_longer_is() {
    let (world, hub) = (World::new(), hub());
    let mut first = world.subscribe(&hub, None);
    texts(&mut first, 2).await;
    world.change(&hub, "current");
    next(&mut first).await;
    let (fetched, fetch) = tokio::sync::oneshot::channel::<()>();
    world.late.lock().push_back(fetch.map(drop).boxed().shared());
    "stale".clone_into(&mut world.shown.lock());
    let mut second = world.subscribe(&hub, None);
    assert_eq!(texts(&mut second, 2).await, ["SNAPSHOT stale", "SNAPSHOT_END -"]);
    "current".clone_into(&mut world.shown.lock());
    fetched.send(()).unwrap();
    assert_eq!(next(&mut second).await.0, "CHANGED current");
}

#[tokio::test]
async fn an_answer_that_changes_with_time_is_made_again_although_nothing_happens() {
    let (world, hub) = (World::new(), hub_that_rereads(Duration::from_millis(5)));
    world.changes_with_time.store(true, Ordering::SeqCst);
    let mut frames = world.subscribe(&hub, None);
    assert_eq!(texts(&mut frames, 2).await, ["SNAPSHOT first", "SNAPSHOT_END -"]);
    "an hour later".clone_into(&mut world.shown.lock());
    assert_eq!(next(&mut frames).await.0, "CHANGED an hour later");
    assert_eq!(world.rereads.load(Ordering::SeqCst), 0, "it needs nothing newer from the providers");
}

#[tokio::test]
async fn what_is_silent_is_read_again_however_busy_the_rest_is() {
    let (world, hub) = (World::over(true), hub_that_rereads(Duration::from_millis(50)));
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
