//! Live activities: every one once and in order, whoever else is how far back.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{FutureExt as _, StreamExt as _};

use super::{Frames, Item, World, hub, next};

#[tokio::test]
async fn followers_get_every_activity_once_and_in_order_wherever_they_start() {
    let (world, hub) = (World::new(), hub());
    for number in 0..1_200 {
        world.happen(&hub, if number % 3 == 0 { "wanted" } else { "other" });
    }
    let mut newest = world.follow(&hub, Some(1_190));
    assert_eq!(next(&mut newest).await.1, "1192");
    for after in [0, 1, 599, 1_190] {
        let mut frames = world.follow(&hub, Some(after));
        for expected in (1..=1_200).filter(|position| *position > after && position % 3 == 1) {
            assert_eq!(next(&mut frames).await.1, expected.to_string());
        }
    }
}

#[tokio::test]
async fn a_follower_far_back_delays_nobody_and_shares_what_is_rendered() {
    let (world, hub) = (World::new(), hub());
    for _ in 0..20 {
        world.happen(&hub, "wanted");
    }
    let mut quick = world.follow(&hub, Some(20));
    world.happen(&hub, "wanted");
    assert_eq!(next(&mut quick).await.1, "21");
    let held = world.beginning.lock().await;
    let mut behind: Vec<Frames> = (0..50).map(|_| world.follow(&hub, Some(0))).collect();
    for frames in &mut behind {
        assert!(next(frames).now_or_never().is_none(), "the beginning cannot be read yet");
    }
    world.happen(&hub, "wanted");
    assert_eq!(next(&mut quick).await.1, "22");
    drop(held);
    let before = world.asides.load(Ordering::SeqCst);
    for frames in &mut behind {
        for expected in 1..=22 {
            assert_eq!(next(frames).await.1, expected.to_string());
        }
    }
    assert!(world.asides.load(Ordering::SeqCst) - before <= 22, "each was rendered for each follower");
}

#[tokio::test]
async fn who_is_far_ahead_of_the_others_is_told_what_comes_next_at_once() {
    let (world, hub) = (World::new(), hub());
    let mut slow = world.follow(&hub, Some(0));
    assert!(next(&mut slow).now_or_never().is_none());
    for _ in 0..2_300 {
        world.happen(&hub, "other");
    }
    let mut late = world.follow(&hub, None);
    assert!(next(&mut late).now_or_never().is_none());
    world.happen(&hub, "wanted");
    let told = tokio::time::timeout(Duration::from_secs(20), next(&mut late)).await.expect("it waits for more news");
    assert_eq!(told.1, "2301");
    assert_eq!(next(&mut slow).await.1, "2301");
}

#[tokio::test]
async fn who_comes_first_and_far_back_makes_nobody_wait_for_what_it_is_told() {
    let (world, hub) = (World::new(), hub());
    for _ in 0..2_300 {
        world.happen(&hub, "wanted");
    }
    let mut far_back = world.follow(&hub, Some(0));
    assert_eq!(next(&mut far_back).await.1, "1");
    let mut late = world.follow(&hub, Some(2_299));
    let before = world.asides.load(Ordering::SeqCst);
    assert_eq!(next(&mut late).await.1, "2300");
    assert!(world.asides.load(Ordering::SeqCst) - before <= 500, "what the other is told was rendered first");
    for expected in 2..=2_300 {
        assert_eq!(next(&mut far_back).await.1, expected.to_string());
    }
}

#[tokio::test]
async fn what_passes_no_filter_wakes_nobody_for_long() {
    let (world, hub) = (World::new(), hub());
    let mut frames = world.follow(&hub, None);
    assert!(next(&mut frames).now_or_never().is_none());
    let reads = || world.reads.load(Ordering::SeqCst);
    let before = reads();
    for _ in 0..100 {
        world.happen(&hub, "other");
        assert!(next(&mut frames).now_or_never().is_none());
    }
    assert_eq!(reads(), before);
    world.happen(&hub, "wanted");
    assert_eq!(next(&mut frames).await.1, "101");
    // But its position moves along, so that it does not age out.
    let before = reads();
    for _ in 0..600 {
        world.happen(&hub, "other");
        assert!(next(&mut frames).now_or_never().is_none());
    }
    assert!((2..10).contains(&(reads() - before)), "{}", reads() - before);
    assert_eq!(hub.operations(), 1);
    drop(frames);
    assert_eq!(hub.operations(), 0);
}

#[tokio::test]
async fn a_follower_that_looks_through_changes_not_for_it_is_told_how_far_it_has_come() {
    let (world, hub) = (World::new(), hub());
    for number in 0..3_000 {
        world.happen(&hub, if number == 2_999 { "wanted" } else { "other" });
    }
    let mut newest = world.follow(&hub, Some(3_000));
    assert_eq!(newest.next().await.unwrap().unwrap().watermark(), Some(3_000));
    let mut behind = world.follow(&hub, Some(0));
    for expected in [500, 1_000, 1_500, 2_000, 2_500] {
        let item = behind.next().await.unwrap().unwrap();
        assert!(matches!(&item, Item::Watermark(mark) if mark.position == expected), "{item:?}");
    }
    assert_eq!(next(&mut behind).await.1, "3000");
}
