//! Deliveries that are applied together: the same comes of them as of each alone, whatever they are and however they are grouped.

use std::fmt::Write as _;

use chrono::Duration;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRng, TestRunner},
};

use super::{
    bench::{Bench, FakeRules, issue, issue_ref, saying},
    inbox::{about, delivery},
    on_both_databases,
};
use crate::{
    provider::change::{ActivityDraft, Change, NodeWrite, Version},
    store::{
        activity::Activity,
        apply::Batch,
        inbox::{APPLIED, Arrived, IGNORED, Meant, RECEIVED, WaitingDelivery, row::DeliveryRow},
    },
};

on_both_databases!(
    deliveries_do_together_what_they_do_one_by_one,
    what_is_repeated_or_replayed_among_others_is_known_for_each,
    deliveries_do_on_arrival_what_they_do_one_by_one,
    on_arrival_what_was_there_or_stands_behind_another_is_left,
    on_arrival_what_follows_one_that_was_not_understood_waits_with_it,
    on_arrival_all_of_it_happens_or_nothing,
);

/// The content of a delivery: an issue, its version, its place in the list, whether it is open; `None`: it was deleted.
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
        kind: "issues.edited".into(),
        subject: Some(issue_ref(&id)),
        details: saying(format!("{version} {sort} {open:?}")),
        occurred_at: crate::clock::Clock::now(&bench.clock),
        ..ActivityDraft::default()
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

    /// The activities that people were told, in order, without ids.
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

/// A delivery on its way to the inbox: its id, its row.
type Coming = (String, DeliveryRow);

impl Bench {
    /// Deliveries that come in, one each second; `subject` is what each stays in order with.
    async fn coming(&self, named: &[(String, &str)]) -> Vec<Coming> {
        let mut rows = Vec::new();
        for (name, subject) in named {
            self.clock.advance(Duration::seconds(1));
            let new = about(subject, delivery(self, Some(name), b"{}").await);
            rows.push((self.db.new_id().unwrap(), new.row()));
        }
        rows
    }

    fn meant(&self, batches: Vec<Batch>, ignored: Vec<(String, &'static str)>) -> Meant {
        let (tenant, integration) = (self.tenant.clone(), self.integration.clone());
        Meant { tenant, integration, rules: Box::new(FakeRules), batches, ignored }
    }

    /// Stores and applies; each that is not ignored is about the issue of its place.
    async fn arrive(&self, rows: &[Coming], changes: &[Change]) -> Arrived {
        let waiting: Vec<_> = rows.iter().map(|(id, row)| row.waiting(id).unwrap()).collect();
        let batches = waiting.iter().zip(changes).map(|(one, change)| batch(one, change)).collect();
        let meant = vec![self.meant(batches, Vec::new())];
        self.db.insert_and_apply(rows.to_vec(), ("mark", "1".to_owned()), meant).await.unwrap()
    }

    async fn state_of(&self, id: &str) -> Option<String> {
        self.db.delivery(Some(&self.tenant), id).await.unwrap().map(|info| info.state)
    }
}

async fn deliveries_do_on_arrival_what_they_do_one_by_one(bench: Bench) {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    for round in 0..12 {
        let said = said().new_tree(&mut runner).unwrap().current();
        let size = (1_usize..8).new_tree(&mut runner).unwrap().current();
        let (one, other) = (Bench::like(&bench).await, Bench::like(&bench).await);
        let name = format!("round {round}, {said:?}, by {size}");
        let waiting = one.take_in("d", said.len()).await;
        for (waiting, said) in waiting.iter().zip(&said) {
            let batches = vec![batch(waiting, &change(&one, *said))];
            one.db.apply_all(&one.tenant, &one.integration, &FakeRules, batches).await.unwrap();
        }
        let named: Vec<_> = (0..said.len()).map(|number| (format!("d-{number}"), "all")).collect();
        let rows = other.coming(&named).await;
        let changes: Vec<Change> = said.iter().map(|said| change(&other, *said)).collect();
        for (rows, changes) in rows.chunks(size).zip(changes.chunks(size)) {
            let arrived = other.arrive(rows, changes).await;
            assert_eq!((arrived.settled.len(), arrived.waits), (rows.len(), false), "{name}");
        }
        assert!(other.due().await.is_empty(), "{name}");
        assert_eq!(one.seen().await, other.seen().await, "{name}");
        assert_eq!(one.told().await.len(), other.told().await.len(), "{name}");
        for (id, _) in rows {
            let info = other.db.delivery(Some(&other.tenant), &id).await.unwrap().unwrap();
            assert_eq!((info.state.as_str(), info.attempts, info.error), (APPLIED, 1, None), "{name}");
        }
    }
}

async fn on_arrival_what_was_there_or_stands_behind_another_is_left(bench: Bench) {
    let one = |name: &str, subject: &'static str| (name.to_owned(), subject);
    let changes: Vec<Change> = (1..5).map(|id| change(&bench, (id, 1, 0, Some(true)))).collect();
    let first = bench.coming(&[one("a", "web")]).await;
    bench.arrive(&first, &changes[..1]).await;
    // This one waits, as one does that is tried again.
    let waiting = bench.coming(&[one("b", "api")]).await;
    bench.db.insert_named(waiting.clone(), None).await.unwrap();
    let rows = bench.coming(&[one("a", "web"), one("c", "api"), one("d", "web"), one("e", "ops")]).await;
    let parts: Vec<_> = rows.iter().map(|(id, row)| row.waiting(id).unwrap()).collect();
    let batches = parts[..3].iter().zip(&changes[1..]).map(|(one, change)| batch(one, change)).collect();
    let meant = vec![bench.meant(batches, vec![(rows[3].0.clone(), "nobody asked")])];
    let arrived = bench.db.insert_and_apply(rows.clone(), ("mark", "2".to_owned()), meant).await.unwrap();
    assert!(arrived.waits, "what stands behind another");
    let settled: Vec<&str> = arrived.settled.iter().map(|(_, how)| *how).collect();
    assert_eq!(settled, ["ignored", "applied"]);
    let mut states = Vec::new();
    for (id, _) in &rows {
        states.push(bench.state_of(id).await);
    }
    let expected = [None, Some(RECEIVED), Some(APPLIED), Some(IGNORED)];
    assert_eq!(states, expected.map(|state| state.map(str::to_owned)));
    let due: Vec<String> = bench.due().await.into_iter().map(|waiting| waiting.id).collect();
    assert_eq!(due, [waiting[0].0.clone(), rows[1].0.clone()], "in order");
    assert!(bench.node(&issue_ref("2")).await.is_none(), "it was there before");
    assert!(bench.node(&issue_ref("3")).await.is_none(), "it waits");
    assert!(bench.node(&issue_ref("4")).await.is_some());
    assert_eq!(bench.db.setting("mark").await.unwrap().as_deref(), Some("2"));
}

async fn on_arrival_what_follows_one_that_was_not_understood_waits_with_it(bench: Bench) {
    let rows = bench.coming(&[("a".to_owned(), "web"), ("b".to_owned(), "web")]).await;
    let waiting = rows[1].1.waiting(&rows[1].0).unwrap();
    let meant = vec![bench.meant(vec![batch(&waiting, &change(&bench, (1, 1, 0, Some(true))))], Vec::new())];
    let arrived = bench.db.insert_and_apply(rows.clone(), ("mark", "1".to_owned()), meant).await.unwrap();
    assert!(arrived.waits && arrived.settled.is_empty() && arrived.applied.is_empty());
    let due: Vec<String> = bench.due().await.into_iter().map(|waiting| waiting.id).collect();
    assert_eq!(due, [rows[0].0.clone(), rows[1].0.clone()]);
}

async fn on_arrival_all_of_it_happens_or_nothing(bench: Bench) {
    let rows = bench.coming(&[("a".to_owned(), "web")]).await;
    let waiting = rows[0].1.waiting(&rows[0].0).unwrap();
    let batches = vec![batch(&waiting, &change(&bench, (1, 1, 0, Some(true))))];
    // An integration of another tenant: nothing is written for it.
    let meant = Meant { integration: bench.other_integration.clone(), ..bench.meant(batches, Vec::new()) };
    assert!(bench.db.insert_and_apply(rows.clone(), ("mark", "1".to_owned()), vec![meant]).await.is_err());
    assert_eq!((bench.state_of(&rows[0].0).await, bench.db.setting("mark").await.unwrap()), (None, None));
}
