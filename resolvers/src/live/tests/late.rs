//! Answers that did not wait for a fetch: they are made again when it ends.

use futures::FutureExt as _;

use super::{World, hub, next, texts};

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
