//! Deliveries that are applied together: the same comes of them as of each alone, whatever they are and however they are grouped.

use std::fmt::Write as _;

use chrono::Duration;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRng, TestRunner},
};

use super::{
    bench::{Bench, FakeRules, issue, issue_ref},
    inbox::delivery,
    on_both_databases,
};
use crate::{
    change::{ActivityDraft, Change, NodeWrite, Version},
    store::{
        activity::Activity,
        apply::Batch,
        inbox::{APPLIED, WaitingDelivery},
    },
};

on_both_databases!(
    deliveries_do_together_what_they_do_one_by_one,
    what_is_repeated_or_replayed_among_others_is_known_for_each,
);

/// What a delivery says: an issue, its version, where it stands, its state; none: it was deleted.
type Said = (u8, i64, u8, Option<bool>);

fn said() -> impl Strategy<Value = Vec<Said>> {
    proptest::collection::vec((1_u8..5, 0_i64..6, 0_u8..3, proptest::option::weighted(0.85, any::<bool>())), 2..14)
}

fn change(bench: &Bench, (id, version, sort, open): Said) -> Change {
    let id = id.to_string();
    let write = match open {
        Some(open) => issue(&id, version, ["a", "b", "c"][usize::from(sort)], if open { "OPEN" } else { "CLOSED" }),
        None => NodeWrite::tombstone(issue_ref(&id), Version { at: version, rank: 0 }),
    };
    let activity = ActivityDraft {
        key: None,
        kind: "issues.edited".into(),
        actor: None,
        subject: Some(issue_ref(&id)),
        summary: format!("{version} {sort} {open:?}"),
        occurred_at: crate::clock::Clock::now(&bench.clock),
        containers: Vec::new(),
    };
    Change { writes: vec![write], activity: Some(activity), ..Change::default() }
}

fn batch(waiting: &WaitingDelivery, change: &Change) -> Batch {
    Batch::of_delivery(&waiting.id, waiting.delivery.received_at, vec![change.clone()])
}

impl Bench {
    /// Takes in a delivery for each change.
    async fn take_in(&self, name: &str, count: usize) -> Vec<WaitingDelivery> {
        for number in 0..count {
            self.clock.advance(Duration::seconds(1));
            let new = delivery(self, Some(&format!("{name}-{number}")), b"{}").await;
            self.db.insert_delivery(new).await.unwrap();
        }
        self.due().await
    }

    /// All that can be seen of the issues: their order and their nodes.
    async fn seen(&self) -> String {
        let mut seen = format!("{:?}", self.members(&self.issues()).await);
        for id in 1..5 {
            let node = self.node(&issue_ref(&id.to_string())).await;
            let node = node.map(|node| (node.body.clone(), node.is_stale(), node.is_deleted(), node.fetched_at()));
            write!(seen, "; {node:?}").unwrap();
        }
        seen
    }

    /// What people were told, in order, without ids.
    async fn told(&self) -> Vec<Activity> {
        let changes = self.db.changes_since(&self.tenant, 0, 1000).await.unwrap();
        let told = changes.into_iter().filter_map(|change| change.activity);
        told.map(|told| Activity { id: String::new(), position: 0, ..told }).collect()
    }
}

async fn deliveries_do_together_what_they_do_one_by_one(bench: Bench) {
    let config = Config::default();
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha));
    for round in 0..12 {
        let said = said().new_tree(&mut runner).unwrap().current();
        let size = (1_usize..8).new_tree(&mut runner).unwrap().current();
        let (one, other) = (Bench::like(&bench).await, Bench::like(&bench).await);
        let name = format!("round {round}, {said:?}, by {size}");
        for (bench, size) in [(&one, 1), (&other, size.max(2))] {
            let waiting = bench.take_in("d", said.len()).await;
            let changes: Vec<Change> = said.iter().map(|said| change(bench, *said)).collect();
            let batches: Vec<Batch> = waiting.iter().zip(&changes).map(|(one, change)| batch(one, change)).collect();
            for group in batches.chunks(size) {
                let applied = bench.db.apply_all(&bench.tenant, &bench.integration, &FakeRules, group.to_vec()).await;
                assert_eq!(applied.unwrap().repeated, vec![false; group.len()], "{name}");
            }
            assert!(bench.due().await.is_empty(), "{name}");
        }
        assert_eq!(one.seen().await, other.seen().await, "{name}");
        let (told, together) = (one.told().await, other.told().await);
        assert_eq!(told.len(), together.len(), "{name}");
        for (told, together) in told.into_iter().zip(together) {
            // Where a thing stands may be known from one that came later.
            let containers = if told.containers.is_empty() { Vec::new() } else { together.containers.clone() };
            assert_eq!(told, Activity { containers, ..together }, "{name}");
        }
    }
}

async fn what_is_repeated_or_replayed_among_others_is_known_for_each(bench: Bench) {
    let waiting = bench.take_in("d", 3).await;
    let changes: Vec<Change> = (1..4).map(|id| change(&bench, (id, 1, 0, Some(true)))).collect();
    let batches: Vec<Batch> = waiting.iter().zip(&changes).map(|(one, change)| batch(one, change)).collect();
    let apply = |batches: Vec<Batch>| bench.db.apply_all(&bench.tenant, &bench.integration, &FakeRules, batches);
    apply(vec![batches[1].clone()]).await.unwrap();
    let applied = apply(batches.clone()).await.unwrap();
    assert_eq!(applied.repeated, [false, true, false]);
    assert_eq!(applied.changes.len(), 2, "one for each that was not repeated");
    bench.db.replay_delivery(&bench.tenant, &waiting[0].id).await.unwrap();
    let again = apply(batches).await.unwrap();
    assert_eq!(again.repeated, [false, true, true]);
    assert!(again.changes.iter().all(|change| change.activity.is_none()), "people were told the first time");
    let info = bench.db.delivery(Some(&bench.tenant), &waiting[0].id).await.unwrap().unwrap();
    assert_eq!(info.state, APPLIED);
}
