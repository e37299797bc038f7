//! The stream: positions without gaps under concurrency, activities, retention.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::Duration;
use mullion_schema::id::IntegrationId;

use super::{
    bench::{Bench, FakeRules, issue, issue_ref, saying, start, written},
    on_both_databases,
};
use crate::{
    clock::Clock,
    provider::{
        NodeRef,
        change::{ActivityDraft, Change, NodeWrite, Version},
    },
    store::{
        activity::ActivityFilter,
        apply::{Batch, Source},
    },
};

on_both_databases!(
    positions_never_skip_or_go_back_under_eight_concurrent_appliers,
    activities_are_found_newest_first_by_every_filter,
    an_activity_whose_event_names_no_container_belongs_where_its_subject_stands,
    removed_changes_leave_a_floor,
);

async fn positions_never_skip_or_go_back_under_eight_concurrent_appliers(bench: Bench) {
    let bench = Arc::new(bench);
    let first = bench.head().await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (bench, done) = (bench.clone(), done.clone());
        async move {
            let mut seen = first;
            loop {
                let last_round = done.load(Ordering::SeqCst);
                let changes = bench.db.changes_since(&bench.tenant, seen, 1000).await.unwrap();
                for change in changes {
                    assert_eq!(change.position, seen + 1, "a reader never sees a position before the one below it");
                    seen = change.position;
                }
                if last_round {
                    return seen;
                }
            }
        }
    });
    let appliers: Vec<_> = (0..8)
        .map(|applier| {
            let bench = bench.clone();
            tokio::spawn(async move {
                for round in 0..10_i64 {
                    let mut batch = Batch::of_fetch(start());
                    batch.source = Source::Webhook;
                    let shared = issue("shared", applier * 100 + round, "m", &format!("{applier}/{round}"));
                    let own = issue(&format!("own-{applier}"), round + 1, "a", &format!("{round}"));
                    batch.changes = vec![written(vec![own]).remove(0), written(vec![shared]).remove(0)];
                    let applied = bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch).await.unwrap();
                    assert_eq!(applied.head, applied.changes.last().unwrap().position);
                }
            })
        })
        .collect();
    for applier in appliers {
        applier.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    assert_eq!(seen, bench.head().await);
    assert!(seen >= first + 80, "every own issue changed every time");
    assert_eq!(bench.node(&issue_ref("shared")).await.unwrap().body["state"], "7/9");
    let heads = bench.db.heads().await.unwrap();
    assert!(heads.contains(&(bench.tenant.clone(), seen)));
}

async fn an_activity_whose_event_names_no_container_belongs_where_its_subject_stands(bench: Bench) {
    let about = |kind: &str, stale: &[&str], subject: NodeRef| {
        let mut change = told(kind, "unused");
        change.stale = stale.iter().map(|id| issue_ref(id)).collect();
        let activity = change.activity.as_mut().unwrap();
        (activity.containers, activity.subject) = (Vec::new(), Some(subject));
        change
    };
    bench.deliver(written(vec![issue("known", 1, "a", "OPEN")])).await;
    let mut deleted = about("deleted", &[], issue_ref("known"));
    deleted.writes.push(NodeWrite::tombstone(issue_ref("known"), Version { at: 2, rank: 0 }));
    bench.deliver(vec![about("changed", &["known"], issue_ref("known"))]).await;
    bench.deliver(vec![about("commented", &["known"], NodeRef::new("FakeUser", "a comment on it"))]).await;
    bench.deliver(vec![about("unheard", &["unknown"], issue_ref("unknown"))]).await;
    bench.deliver(vec![deleted]).await;
    let repository = NodeRef::new("FakeRepo", "R1").to_string();
    let filter =
        ActivityFilter { containers: Some(vec![(bench.integration.clone(), repository)]), ..ActivityFilter::default() };
    let found = bench.db.activities(&bench.tenant, &filter, None, 10).await.unwrap();
    let kinds: Vec<&str> = found.iter().map(|activity| activity.kind.as_str()).collect();
    assert_eq!(kinds, ["deleted", "commented", "changed"]);
}

pub(crate) fn told(kind: &str, container: &str) -> Change {
    let activity = ActivityDraft {
        kind: kind.into(),
        actor: Some(NodeRef::new("FakeUser", "U1")),
        subject: Some(issue_ref("1")),
        details: saying(format!("{kind}\u{0} happened")),
        occurred_at: start(),
        containers: vec![NodeRef::new("FakeRepo", container), NodeRef::new("FakeRepo", container)],
        ..ActivityDraft::default()
    };
    Change { activity: Some(activity), ..Change::default() }
}

async fn activities_are_found_newest_first_by_every_filter(bench: Bench) {
    let applied = bench.deliver(vec![told("issues.opened", "R1"), told("push", "R2"), told("push", "R1")]).await;
    let all = applied.changes.iter().map(|change| change.activity.clone().unwrap()).collect::<Vec<_>>();
    assert_eq!(all.len(), 3);
    let mine = bench.integration.clone();
    let texts = |values: &[&str]| Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
    let repository = |id: &str| (mine.clone(), format!("FakeRepo:{id}"));
    let none = ActivityFilter::default;
    let cases: Vec<(ActivityFilter, Vec<usize>)> = vec![
        (none(), vec![2, 1, 0]),
        (ActivityFilter { kinds: texts(&["push"]), ..none() }, vec![2, 1]),
        (ActivityFilter { kinds: texts(&[]), ..none() }, vec![]),
        (ActivityFilter { providers: texts(&["fake"]), ..none() }, vec![2, 1, 0]),
        (ActivityFilter { providers: texts(&["else"]), ..none() }, vec![]),
        (ActivityFilter { containers: Some(vec![repository("R1")]), ..none() }, vec![2, 0]),
        (ActivityFilter { integrations: Some(vec![IntegrationId::from("else")]), ..none() }, vec![]),
        (
            ActivityFilter {
                containers: Some(vec![repository("R2")]),
                kinds: texts(&["push"]),
                integrations: Some(vec![mine.clone()]),
                ..none()
            },
            vec![1],
        ),
    ];
    for (filter, expected) in cases {
        let found = bench.db.activities(&bench.tenant, &filter, None, 10).await.unwrap();
        let expected: Vec<_> = expected.into_iter().map(|index| all[index].clone()).collect();
        assert_eq!(found, expected, "{filter:?}");
        let admitted: Vec<_> = all.iter().rev().filter(|activity| filter.admits(activity)).cloned().collect();
        assert_eq!(admitted, expected, "{filter:?}");
    }
    let before = bench.db.activities(&bench.tenant, &none(), Some(all[2].position), 1).await.unwrap();
    assert_eq!(before, [all[1].clone()]);
    assert_eq!(bench.db.activity(&bench.tenant, &all[0].id).await.unwrap().as_ref(), Some(&all[0]));
    assert_eq!(bench.db.activity(&bench.other_tenant, &all[0].id).await.unwrap(), None);
    assert_eq!(all[0].summary, "issues.opened\u{fffd} happened");
}

async fn removed_changes_leave_a_floor(bench: Bench) {
    bench.deliver(vec![told("push", "R1")]).await;
    let old = bench.head().await;
    assert_eq!(bench.db.oldest_position(&bench.tenant).await.unwrap(), 0);
    bench.clock.advance(Duration::hours(1));
    let limit = bench.clock.now();
    bench.deliver(vec![told("push", "R1")]).await;
    let all = i64::MAX;
    assert!(bench.db.prune_changes(&bench.tenant, limit, all).await.unwrap() > 0);
    assert_eq!(bench.db.oldest_position(&bench.tenant).await.unwrap(), old);
    assert_eq!(bench.head().await, old + 1);
    let left = bench.db.changes_since(&bench.tenant, old, 10).await.unwrap();
    assert_eq!(left.iter().map(|change| change.position).collect::<Vec<_>>(), [old + 1]);
    assert_eq!(bench.db.prune_changes(&bench.tenant, limit, all).await.unwrap(), 0);
}
