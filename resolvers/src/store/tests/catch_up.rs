//! Catching up: what may be missing, how far logs were read, and nothing told twice.

use std::collections::HashSet;

use serde_json::json;

use super::{bench::Bench, inbox::delivery, on_both_databases, stream::told};
use crate::{
    provider::change::Change,
    store::{
        catch_up::{Mark, Pulse, Round},
        endpoint::EndpointDraft,
        inbox::mark_recovered,
    },
};

on_both_databases!(
    a_pulse_says_what_rounds_came_to,
    a_gap_is_of_all_but_those_that_are_spared,
    a_mark_stays_until_nobody_wants_it_any_more,
    what_was_asked_for_is_known_and_no_sign_of_life,
    what_is_heard_of_in_two_ways_is_told_once,
);

async fn pulse(bench: &Bench) -> Pulse {
    let pulses = bench.db.pulses(std::slice::from_ref(&bench.integration)).await.unwrap();
    pulses.get(&bench.integration).copied().unwrap()
}

async fn a_pulse_says_what_rounds_came_to(bench: Bench) {
    assert_eq!(pulse(&bench).await, Pulse::default());
    let first = bench.tick();
    bench
        .db
        .finish_round(&bench.integration, Some(Round { covered: true, proven: true, suspect: true }))
        .await
        .unwrap();
    let all = Pulse {
        caught_up_at: Some(first),
        covered_at: Some(first),
        proven_at: Some(first),
        suspect_at: Some(first),
        ..Pulse::default()
    };
    assert_eq!(pulse(&bench).await, all);
    bench.tick();
    for failures in 1..=2 {
        bench.db.finish_round(&bench.integration, None).await.unwrap();
        assert_eq!(pulse(&bench).await, Pulse { failures, ..all });
    }
    let second = bench.tick();
    bench.db.finish_round(&bench.integration, Some(Round::default())).await.unwrap();
    assert_eq!(pulse(&bench).await, Pulse { caught_up_at: Some(second), covered_at: None, ..all });
    let draft = EndpointDraft { external_id: Some("7".into()), ..EndpointDraft::default() };
    bench.db.create_endpoint(&bench.tenant, &bench.integration, None, draft).await.unwrap();
    assert!(pulse(&bench).await.registered);
    bench.db.finish_round(&"gone".into(), Some(Round::default())).await.unwrap();
    assert!(bench.db.pulses(&["gone".into()]).await.unwrap().is_empty());
}

async fn a_gap_is_of_all_but_those_that_are_spared(bench: Bench) {
    let now = bench.tick();
    let change = |draft: &mut crate::store::integration::IntegrationDraft| {
        draft.base_url = Some("http://127.0.0.1:1/fake".into());
    };
    bench.db.update_integration(&bench.tenant, &bench.integration, None, change).await.unwrap();
    bench.db.suspect_all(&["http://127.0.0.1:1/".into(), "http://localhost:1/".into()]).await.unwrap();
    assert_eq!(pulse(&bench).await.suspect_at, None);
    bench.db.suspect_all(&["http://127.0.0.1:2/".into()]).await.unwrap();
    assert_eq!(pulse(&bench).await.suspect_at, Some(now));
    let later = bench.tick();
    bench.db.suspect(&bench.integration).await.unwrap();
    assert_eq!(pulse(&bench).await.suspect_at, Some(later));
}

async fn a_mark_stays_until_nobody_wants_it_any_more(bench: Bench) {
    let at = bench.tick();
    let mark = |subject: &str, number: i64| Mark {
        subject: subject.into(),
        mark: Some(json!({ "upTo": number })),
        caught_up_at: Some(at),
        wanted_at: at,
    };
    for (subject, number) in [("FakeRepo:1", 1), ("FakeRepo:2", 1), ("FakeRepo:1", 2)] {
        bench.db.keep_mark(&bench.integration, &mark(subject, number)).await.unwrap();
    }
    bench.db.finish_round(&bench.integration, Some(Round::default())).await.unwrap();
    let marks = |mut found: Vec<Mark>| {
        found.sort_by(|one, other| one.subject.cmp(&other.subject));
        found
    };
    let found = marks(bench.db.marks(&bench.integration).await.unwrap());
    assert_eq!(found, [mark("FakeRepo:1", 2), mark("FakeRepo:2", 1)]);
    bench.db.forget_marks(&bench.integration, at).await.unwrap();
    assert_eq!(bench.db.marks(&bench.integration).await.unwrap().len(), 2);
    bench.db.forget_marks(&bench.integration, bench.tick()).await.unwrap();
    assert!(bench.db.marks(&bench.integration).await.unwrap().is_empty());
    assert!(pulse(&bench).await.caught_up_at.is_some(), "that of the integration is no mark");
    bench.db.delete_integration(&bench.tenant, &bench.integration).await.unwrap();
}

async fn what_was_asked_for_is_known_and_no_sign_of_life(bench: Bench) {
    let mut asked_for = delivery(&bench, Some("d1"), b"{}").await;
    mark_recovered(&mut asked_for.headers);
    let endpoint = asked_for.endpoint.clone();
    bench.db.insert_delivery(asked_for).await.unwrap();
    assert_eq!(pulse(&bench).await.last_delivery_at, None);
    let came = delivery(&bench, Some("d2"), b"{}").await;
    let at = came.received_at;
    bench.db.insert_delivery(came).await.unwrap();
    assert_eq!(pulse(&bench).await.last_delivery_at, Some(at));
    let ids = ["d1", "d2", "d3"].map(str::to_owned);
    assert_eq!(bench.db.unknown_deliveries(&endpoint.id, &ids).await.unwrap(), HashSet::from(["d3".to_owned()]));
}

async fn what_is_heard_of_in_two_ways_is_told_once(bench: Bench) {
    let keyed = |key: &str| {
        let mut change = told("task.added", "R1");
        if let Some(activity) = &mut change.activity {
            activity.key = Some(key.into());
        }
        change
    };
    let activities = |changes: Vec<Change>| {
        let bench = &bench;
        async move { bench.deliver(changes).await.changes.iter().filter(|change| change.activity.is_some()).count() }
    };
    assert_eq!(activities(vec![keyed("a"), keyed("b"), keyed("a")]).await, 2);
    assert_eq!(activities(vec![keyed("b")]).await, 0);
    assert_eq!(activities(vec![keyed("c"), told("task.added", "R1")]).await, 2, "without a key it is told");
    let adding_nothing = |key: &str, unless: &str| {
        let mut change = keyed(key);
        if let Some(activity) = &mut change.activity {
            activity.unless = vec![unless.into()];
        }
        change
    };
    assert_eq!(
        activities(vec![adding_nothing("started", "done"), keyed("done")]).await,
        2,
        "the later one adds something"
    );
    assert_eq!(activities(vec![adding_nothing("late", "done")]).await, 0);
    let keys = ["a", "b", "c", "d"].map(str::to_owned);
    let untold = bench.db.untold(&bench.tenant, &bench.integration, &keys).await.unwrap();
    assert_eq!(untold, HashSet::from(["d".to_owned()]));
    let elsewhere = bench.db.untold(&bench.tenant, &"other".into(), &keys).await.unwrap();
    assert_eq!(elsewhere.len(), 4, "another integration's");
}
