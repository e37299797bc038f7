//! The inbox: nothing twice, nothing lost, bodies as they came.

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    bench::{Bench, FakeRules, issue, issue_ref, written},
    on_both_databases,
    stream::told,
};
use crate::{
    clock::Clock,
    provider::VerifiedDelivery,
    store::{
        Database, StoreError,
        activity::ActivityFilter,
        apply::Batch,
        endpoint::{Endpoint, EndpointDraft},
        inbox::{
            APPLIED, DeliverySource, Inserted, PARKED, RECEIVED, WaitingDelivery, list::DeliveryFilter, mark_recovered,
            mark_socket, row::DeliveryRow,
        },
        lease::{Held, Lease},
    },
};

on_both_databases!(
    a_delivery_is_stored_once_and_reads_back_as_it_came,
    a_delivery_is_applied_once_with_what_it_means,
    settled_and_postponed_deliveries_are_not_handed_out,
    a_delivery_that_waits_holds_back_only_what_shares_its_key,
    a_group_larger_than_a_statement_is_stored_whole,
    a_parked_delivery_is_listed_without_its_body_and_replayed_from_zero,
    a_replayed_delivery_ends_in_the_same_state_and_tells_nobody_again,
    deliveries_are_listed_newest_first_by_every_condition,
    a_delivery_is_listed_with_how_it_came_in,
    what_came_of_a_delivery_is_found_by_its_id,
);

/// A delivery that is to be stored.
#[derive(Clone)]
pub(crate) struct TestDelivery {
    pub(crate) endpoint: Endpoint,
    pub(crate) verified: VerifiedDelivery,
    pub(crate) headers: HeaderMap,
    pub(crate) received_at: DateTime<Utc>,
}

impl TestDelivery {
    pub(crate) fn row(&self) -> DeliveryRow {
        DeliveryRow::of(&self.endpoint, &self.verified, &self.headers, self.received_at).unwrap()
    }
}

impl Database {
    pub(crate) async fn insert_delivery(&self, delivery: TestDelivery) -> Result<Inserted, StoreError> {
        Ok(self.insert_deliveries(vec![delivery]).await?.remove(0))
    }

    pub(crate) async fn insert_deliveries(&self, deliveries: Vec<TestDelivery>) -> Result<Vec<Inserted>, StoreError> {
        self.insert_rows(deliveries.iter().map(TestDelivery::row).collect()).await
    }
}

pub(crate) async fn delivery(bench: &Bench, id: Option<&str>, body: &[u8]) -> TestDelivery {
    let endpoints = bench.db.endpoints(&bench.tenant, &bench.integration).await.unwrap();
    let endpoint = match endpoints.into_iter().next() {
        Some(endpoint) => endpoint,
        None => {
            bench.db.create_endpoint(&bench.tenant, &bench.integration, None, EndpointDraft::default()).await.unwrap()
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-fake-event"), HeaderValue::from_static("issues"));
    TestDelivery {
        endpoint,
        verified: VerifiedDelivery {
            delivery_id: id.map(str::to_owned),
            event: "issues.closed".into(),
            subject: None,
            document: Bytes::copy_from_slice(body),
        },
        headers,
        received_at: bench.tick(),
    }
}

/// The same, in order with what is of the same subject.
pub(crate) fn about(subject: &str, mut delivery: TestDelivery) -> TestDelivery {
    delivery.verified.subject = Some(subject.to_owned());
    delivery
}

async fn a_delivery_is_stored_once_and_reads_back_as_it_came(bench: Bench) {
    let body = b"{\"nul\":\"\0\"}";
    let many = vec![
        delivery(&bench, Some("d1"), body).await,
        delivery(&bench, Some("d1"), b"{}").await,
        delivery(&bench, None, b"{\"a\":1}").await,
        delivery(&bench, None, b"{\"a\":1}").await,
        delivery(&bench, None, b"{\"a\":2}").await,
    ];
    let received_at = many[0].received_at;
    let inserted = bench.db.insert_deliveries(many).await.unwrap();
    let fresh = |inserted: &Inserted| matches!(inserted, Inserted::New(_));
    assert_eq!(inserted.iter().map(fresh).collect::<Vec<_>>(), [true, false, true, false, true]);
    assert_eq!(bench.db.insert_delivery(delivery(&bench, Some("d1"), body).await).await.unwrap(), Inserted::Duplicate);
    let waiting = bench.due().await;
    let ids: Vec<_> = waiting.iter().map(|waiting| Inserted::New(waiting.id.clone())).collect();
    assert_eq!(ids, [inserted[0].clone(), inserted[2].clone(), inserted[4].clone()]);
    assert_eq!(waiting[0].delivery.document.as_ref(), body);
    assert_eq!(waiting[0].delivery.headers["x-fake-event"], "issues");
    assert_eq!(waiting[0].delivery.received_at, received_at);
    let state = bench.db.inbox_state().await.unwrap();
    assert_eq!((state.counts["received"], state.oldest_waiting), (3, Some(received_at)));
    let integration = bench.db.integration(&bench.tenant, &bench.integration).await.unwrap().unwrap();
    assert!(integration.last_delivery_at.is_some());
}

async fn a_delivery_is_applied_once_with_what_it_means(bench: Bench) {
    bench.db.insert_delivery(delivery(&bench, Some("d1"), b"{}").await).await.unwrap();
    let waiting = bench.due().await.remove(0);
    let changes = written(vec![issue("1", 1, "a", "OPEN")]);
    let batch = Batch::of_delivery(&waiting.id, waiting.delivery.received_at, changes);
    let apply = || bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch.clone());
    let (one, two) = tokio::join!(apply(), apply());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.is_repeated() != two.is_repeated(), "exactly one of two workers applies it");
    assert_eq!(one.head, two.head.max(one.head));
    assert!(bench.node(&issue_ref("1")).await.is_some());
    assert!(bench.due().await.is_empty());
    let info = bench.db.delivery(Some(&bench.tenant), &waiting.id).await.unwrap().unwrap();
    assert_eq!((info.state.as_str(), info.attempts), (APPLIED, 1));
}

/// The lease of a delivery's lane, for a worker that holds all.
fn lease_of<'a>(held: &'a Held, delivery: &WaitingDelivery) -> &'a Lease {
    held.lanes.iter().find(|(lane, _)| *lane == delivery.lane).map(|(_, lease)| lease).unwrap()
}

async fn settled_and_postponed_deliveries_are_not_handed_out(bench: Bench) {
    let held = bench.hold("w").await;
    for id in ["d1", "d2", "d3", "d4"] {
        let new = about(id, delivery(&bench, Some(id), b"{}").await);
        bench.db.insert_delivery(new).await.unwrap();
    }
    let waiting = bench.due().await;
    let [ignored, parked, retried, left] = waiting.as_slice() else { panic!("four") };
    bench.db.mark_ignored(&[(ignored, lease_of(&held, ignored))], "a ping").await.unwrap();
    bench.db.park_delivery(parked, lease_of(&held, parked), "no").await.unwrap();
    let later = bench.clock.now() + Duration::seconds(5);
    bench.db.retry_delivery(retried, lease_of(&held, retried), "busy", later).await.unwrap();
    let ids = |rows: Vec<WaitingDelivery>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(bench.due().await).join(" "), left.id);
    let info = bench.db.delivery(None, &retried.id).await.unwrap().unwrap();
    assert_eq!((info.next_attempt_at, info.error.as_deref()), (Some(later), Some("busy")));
    bench.clock.set(later);
    let again = bench.due().await;
    assert_eq!(again[0].attempts, 1);
    assert_eq!(ids(again), [retried.id.clone(), left.id.clone()]);
    let state = bench.db.inbox_state().await.unwrap();
    assert_eq!((state.counts[RECEIVED], state.counts[PARKED]), (2, 1));
}

async fn a_delivery_that_waits_holds_back_only_what_shares_its_key(bench: Bench) {
    let held = bench.hold("w").await;
    // So many that some of other repositories share the lane.
    let mut stored = Vec::new();
    for index in 0..200 {
        let repository = if index % 4 == 0 { "web".to_owned() } else { format!("r{index}") };
        let new = delivery(&bench, Some(&format!("d{index}")), b"{}").await;
        stored.push(about(&repository, new));
    }
    bench.db.insert_deliveries(stored).await.unwrap();
    let waiting = bench.due().await;
    let web = waiting[0].clone();
    assert!(waiting.iter().any(|other| other.lane == web.lane && other.ordering != web.ordering));
    let later = bench.clock.now() + Duration::seconds(5);
    bench.db.retry_delivery(&web, lease_of(&held, &web), "busy", later).await.unwrap();
    let due = bench.due().await;
    assert!(due.iter().all(|other| other.ordering != web.ordering), "what is behind it waits");
    let others = |rows: &[WaitingDelivery]| rows.iter().filter(|row| row.ordering != web.ordering).count();
    assert_eq!(others(&due), 150, "all others go on");
    bench.clock.set(later);
    assert_eq!(bench.due().await[0].id, web.id, "then it is the first again");
}

async fn a_group_larger_than_a_statement_is_stored_whole(bench: Bench) {
    let mut many = Vec::new();
    for index in 0..77 {
        many.push(delivery(&bench, Some(&format!("d{}", index % 70)), b"{}").await);
    }
    let inserted = bench.db.insert_deliveries(many).await.unwrap();
    let new = inserted.iter().filter(|inserted| matches!(inserted, Inserted::New(_))).count();
    assert_eq!((inserted.len(), new), (77, 70));
    assert!(inserted[..70].iter().all(|inserted| matches!(inserted, Inserted::New(_))), "the first of two is new");
}

async fn a_parked_delivery_is_listed_without_its_body_and_replayed_from_zero(bench: Bench) {
    let held = bench.hold("w").await;
    bench.db.insert_delivery(delivery(&bench, Some("d1"), b"{\"a\":1}").await).await.unwrap();
    let waiting = bench.due().await.remove(0);
    let lease = lease_of(&held, &waiting);
    bench.db.retry_delivery(&waiting, lease, "once", bench.clock.now()).await.unwrap();
    bench.db.park_delivery(&waiting, lease, "twice\0").await.unwrap();
    let parked = DeliveryFilter { states: Some(vec![PARKED.to_owned()]), ..DeliveryFilter::default() };
    let listed = bench.db.deliveries(&parked, None, 10).await.unwrap().remove(0);
    assert_eq!((listed.id.as_str(), listed.attempts, listed.size), (waiting.id.as_str(), 2, 7));
    assert_eq!(listed.error.as_deref(), Some("twice\u{fffd}"));
    assert_eq!(listed.delivery_id.as_deref(), Some("d1"));
    let foreign = bench.db.replay_delivery(&bench.other_tenant, &waiting.id).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));
    let replayed = bench.db.replay_delivery(&bench.tenant, &waiting.id).await.unwrap();
    assert_eq!((replayed.state.as_str(), replayed.attempts, replayed.error), (RECEIVED, 0, None));
    assert_eq!(bench.due().await[0].id, waiting.id);
}

async fn a_replayed_delivery_ends_in_the_same_state_and_tells_nobody_again(bench: Bench) {
    bench.db.insert_delivery(delivery(&bench, Some("d1"), b"{}").await).await.unwrap();
    let waiting = bench.due().await.remove(0);
    let mut changes = written(vec![issue("1", 1, "a", "OPEN")]);
    changes[0].activity = Some(told("issues.opened", "R1").activity.unwrap());
    let apply = async || {
        let batch = Batch::of_delivery(&waiting.id, waiting.delivery.received_at, changes.clone());
        bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch).await.unwrap()
    };
    apply().await;
    let newer = bench.deliver(written(vec![issue("1", 2, "a", "CLOSED")])).await;
    let (before, head) = (bench.node(&issue_ref("1")).await.unwrap(), newer.head);
    bench.db.replay_delivery(&bench.tenant, &waiting.id).await.unwrap();
    let again = apply().await;
    assert!(!again.is_repeated());
    assert_eq!((again.head, again.changes.len()), (head, 0), "nothing is told");
    assert_eq!(bench.node(&issue_ref("1")).await.unwrap().body, before.body);
    let activities = bench.db.activities(&bench.tenant, &ActivityFilter::default(), None, 10).await.unwrap();
    assert_eq!(activities.len(), 1);
    assert_eq!(bench.db.delivery(None, &waiting.id).await.unwrap().unwrap().state, APPLIED);
}

async fn what_came_of_a_delivery_is_found_by_its_id(bench: Bench) {
    let mut ids = Vec::new();
    for (number, name) in [(1, "d1"), (2, "d2")] {
        bench.deliver(written(vec![issue("9", number, name, "OPEN")])).await;
        bench.db.insert_delivery(about(name, delivery(&bench, Some(name), b"{}").await)).await.unwrap();
        let waiting = bench.due().await.remove(0);
        let mut changes = written(vec![issue(name, 1, "a", "OPEN")]);
        changes[0].activity = told("issues.opened", name).activity;
        let batch = Batch::of_delivery(&waiting.id, waiting.delivery.received_at, changes);
        let applied = bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch.clone()).await.unwrap();
        bench.deliver(written(vec![issue("9", number + 10, name, "CLOSED")])).await;
        ids.push((waiting.id, applied.changes, batch));
    }
    let effects = async |tenant, id: &str| {
        let changes = bench.db.changes_of_delivery(tenant, id, 10).await.unwrap();
        (changes, bench.db.activities_of_delivery(tenant, id, 10).await.unwrap())
    };
    for (id, applied, batch) in &ids {
        for _ in 0..2 {
            let (changes, activities) = effects(&bench.tenant, id).await;
            assert_eq!(&changes, applied);
            let told: Vec<_> = applied.iter().filter_map(|change| change.activity.clone()).collect();
            assert_eq!((activities.len(), &activities), (1, &told));
            assert_eq!(effects(&bench.other_tenant, id).await, (Vec::new(), Vec::new()));
            // Again after a replay, from which nothing comes.
            bench.db.replay_delivery(&bench.tenant, id).await.unwrap();
            bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch.clone()).await.unwrap();
        }
    }
    assert_eq!(effects(&bench.tenant, "unknown").await, (Vec::new(), Vec::new()));
}

async fn deliveries_are_listed_newest_first_by_every_condition(bench: Bench) {
    let mut times = Vec::new();
    for (index, event) in ["issues.opened", "issues.closed", "issues_x", "push"].into_iter().enumerate() {
        let mut new = delivery(&bench, Some(&format!("d{index}")), b"{}").await;
        new.verified.event = event.to_owned();
        times.push(new.received_at);
        bench.db.insert_delivery(new).await.unwrap();
    }
    let tenant = || DeliveryFilter { tenant: Some(bench.tenant.clone()), ..DeliveryFilter::default() };
    let some = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    for (filter, expected) in [
        (tenant(), &["push", "issues_x", "issues.closed", "issues.opened"][..]),
        (DeliveryFilter { tenant: Some(bench.other_tenant.clone()), ..tenant() }, &[]),
        (DeliveryFilter { events: some(&["issues"]), ..tenant() }, &["issues.closed", "issues.opened"]),
        (DeliveryFilter { events: some(&["issues.opened", "push"]), ..tenant() }, &["push", "issues.opened"]),
        (DeliveryFilter { events: some(&[]), ..tenant() }, &[]),
        (DeliveryFilter { providers: some(&["else"]), ..tenant() }, &[]),
        (DeliveryFilter { integrations: Some(vec![bench.other_integration.clone()]), ..tenant() }, &[]),
        (DeliveryFilter { states: some(&[APPLIED, PARKED]), ..tenant() }, &[]),
        (DeliveryFilter { states: some(&[]), ..tenant() }, &[]),
        (DeliveryFilter { received_after: Some(times[2]), ..tenant() }, &["push", "issues_x"]),
        (DeliveryFilter { received_before: Some(times[1]), ..tenant() }, &["issues.opened"]),
    ] {
        let found = bench.db.deliveries(&filter, None, 10).await.unwrap();
        assert_eq!(found.iter().map(|info| info.event.as_str()).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    let first = bench.db.deliveries(&tenant(), None, 2).await.unwrap();
    let rest = bench.db.deliveries(&tenant(), Some(&first[1].id), 2).await.unwrap();
    assert_eq!(rest.iter().map(|info| info.event.as_str()).collect::<Vec<_>>(), ["issues.closed", "issues.opened"]);
}

async fn a_delivery_is_listed_with_how_it_came_in(bench: Bench) {
    type Mark = fn(&mut HeaderMap);
    let ways: [(&str, DeliverySource, Option<Mark>); 3] = [
        ("d1", DeliverySource::Webhook, None),
        ("d2", DeliverySource::Socket, Some(mark_socket)),
        ("d3", DeliverySource::Log, Some(mark_recovered)),
    ];
    for (id, source, mark) in ways {
        let mut new = delivery(&bench, Some(id), b"{}").await;
        if let Some(mark) = mark {
            mark(&mut new.headers);
        }
        bench.db.insert_delivery(new).await.unwrap();
        bench.db.insert_delivery(delivery(&bench, Some(id), b"{}").await).await.unwrap();
        let listed = bench.db.deliveries(&DeliveryFilter::default(), None, 1).await.unwrap();
        assert_eq!((listed[0].delivery_id.as_deref(), listed[0].source), (Some(id), source));
    }
}
