//! Operations as the hub has them: found by what they watch, and gone when they break.

use std::time::Duration;

use futures::StreamExt as _;

use super::{World, hub, texts};
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
