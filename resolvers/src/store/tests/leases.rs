//! Leases: fair shares, hand-over, and the fence that keeps out who was paused.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    bench::{Bench, FakeRules, issue, issue_ref, written},
    inbox::delivery,
    on_both_databases,
};
use crate::store::{
    Database, OpenOptions, StoreError,
    apply::Batch,
    lease::{Held, LANES, LEASE},
};

on_both_databases!(
    workers_share_the_lanes_fairly,
    the_lanes_of_a_dead_worker_are_taken_over_when_its_leases_run_out,
    a_worker_that_leaves_gives_its_lanes_back_at_once,
    what_a_paused_owner_applies_after_it_lost_its_lane_is_refused,
    a_chore_is_one_process_s_at_a_time,
    the_lanes_of_a_process_that_was_killed_are_free_for_the_next_one_at_once,
);

async fn the_lanes_of_a_process_that_was_killed_are_free_for_the_next_one_at_once(bench: Bench) {
    let open = async || {
        let options = OpenOptions { own_lease_clock: true, ..OpenOptions::default() };
        Database::open(&bench.url, &options, Arc::new(bench.clock.clone())).await.unwrap()
    };
    let killed = open().await;
    let of_killed = killed.worker_name().unwrap();
    assert_eq!(killed.beat(&of_killed, true).await.unwrap().lanes.len(), 64);
    let next = bench.db.worker_name().unwrap();
    if !bench.db.is_sqlite() {
        assert!(bench.db.other_workers(&next).await.unwrap());
        let held = bench.db.beat(&next, true).await.unwrap();
        assert_eq!((held.lanes.len(), held.workers), (0, 2), "who is connected keeps what it has");
        bench.db.leave(&next).await.unwrap();
    }
    // It gives nothing back: its connections end, and no more.
    killed.close().await.unwrap();
    while bench.db.other_workers(&next).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let held = bench.db.beat(&next, true).await.unwrap();
    assert_eq!((held.lanes.len(), held.workers), (64, 1));
    let late = open().await;
    let behind = late.beat(&of_killed, false).await.unwrap();
    assert!(behind.lanes.is_empty(), "it was no more than cut off, and begins anew");
    late.close().await.unwrap();
}

fn lanes(held: &Held) -> BTreeSet<i64> {
    held.lanes.iter().map(|(lane, _)| *lane).collect()
}

fn half_a_lease() -> chrono::Duration {
    chrono::Duration::from_std(LEASE / 2).unwrap()
}

async fn workers_share_the_lanes_fairly(bench: Bench) {
    assert_eq!(i64::try_from(bench.hold("a").await.lanes.len()).unwrap(), LANES, "one alone has all");
    assert!(bench.hold("b").await.lanes.is_empty(), "until the other gives some up");
    assert_eq!(bench.hold("a").await.lanes.len(), 32);
    let (a, b) = (bench.hold("a").await, bench.hold("b").await);
    assert_eq!((a.lanes.len(), b.lanes.len(), a.workers), (32, 32, 2));
    assert!(lanes(&a).is_disjoint(&lanes(&b)));
    bench.hold("c").await;
    let mut last = Vec::new();
    for _ in 0..2 {
        last = vec![bench.hold("a").await, bench.hold("b").await, bench.hold("c").await];
    }
    let counts: Vec<usize> = last.iter().map(|held| held.lanes.len()).collect();
    assert_eq!((counts.iter().sum::<usize>(), counts.iter().max()), (64, Some(&22)), "{counts:?}");
    let all: BTreeSet<i64> = last.iter().flat_map(lanes).collect();
    assert_eq!(all.len(), 64);
}

async fn the_lanes_of_a_dead_worker_are_taken_over_when_its_leases_run_out(bench: Bench) {
    let dead = bench.hold("dead").await;
    bench.clock.advance(half_a_lease());
    assert!(bench.hold("heir").await.lanes.is_empty(), "it may be alive");
    bench.clock.advance(half_a_lease());
    let heir = bench.hold("heir").await;
    assert_eq!(lanes(&heir), lanes(&dead));
    for ((_, old), (_, new)) in dead.lanes.iter().zip(&heir.lanes) {
        assert!(new.fence > old.fence);
    }
    let back = bench.hold("dead").await;
    assert!(back.lanes.is_empty(), "who comes back has to share");
    assert_eq!(bench.hold("heir").await.lanes.len(), 32);
    assert_eq!(bench.hold("dead").await.lanes.len(), 32);
}

async fn a_worker_that_leaves_gives_its_lanes_back_at_once(bench: Bench) {
    let gone = bench.hold("gone").await;
    bench.db.leave("gone").await.unwrap();
    let heir = bench.hold("heir").await;
    assert_eq!((lanes(&heir), heir.workers), (lanes(&gone), 1));
}

async fn what_a_paused_owner_applies_after_it_lost_its_lane_is_refused(bench: Bench) {
    bench.db.insert_delivery(delivery(&bench, Some("d1"), b"{}").await).await.unwrap();
    let waiting = bench.due().await.remove(0);
    let lease_of = |held: &Held| held.lanes.iter().find(|(lane, _)| *lane == waiting.lane).unwrap().1.clone();
    let paused = lease_of(&bench.hold("paused").await);
    bench.clock.advance(half_a_lease() * 2);
    let heir = lease_of(&bench.hold("heir").await);
    let batch =
        Batch::of_delivery(&waiting.id, waiting.delivery.received_at, written(vec![issue("1", 1, "a", "OPEN")]));
    let apply = |lease| bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch.clone().under(lease));
    assert!(matches!(apply(paused.clone()).await, Err(StoreError::LeaseLost)));
    assert!(bench.node(&issue_ref("1")).await.is_none(), "nothing of it was written");
    assert!(matches!(bench.db.park_delivery(&waiting, &paused, "x").await, Err(StoreError::LeaseLost)));
    assert!(matches!(bench.db.mark_ignored(&[(&waiting, &paused)], "x").await, Err(StoreError::LeaseLost)));
    let retry = bench.db.retry_delivery(&waiting, &paused, "x", waiting.delivery.received_at).await;
    assert!(matches!(retry, Err(StoreError::LeaseLost)));
    assert!(!apply(heir).await.unwrap().is_repeated());
    assert!(bench.node(&issue_ref("1")).await.is_some());
    assert!(matches!(apply(paused).await, Err(StoreError::LeaseLost)));
}

async fn a_chore_is_one_process_s_at_a_time(bench: Bench) {
    let time = Duration::from_mins(1);
    let take = |owner: &'static str| bench.db.take_lease("prune", owner, time);
    let first = take("a").await.unwrap().unwrap();
    assert!(take("b").await.unwrap().is_none());
    assert_eq!(take("a").await.unwrap().unwrap(), first, "its owner renews it");
    bench.clock.advance(chrono::Duration::seconds(60));
    let second = take("b").await.unwrap().unwrap();
    assert!(second.fence > first.fence);
    assert!(take("a").await.unwrap().is_none());
}
