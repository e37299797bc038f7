//! The inbox: nothing twice, nothing lost, bodies as they came.

use bytes::Bytes;
use chrono::Duration;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    bench::{Bench, FakeRules, issue, issue_ref, written},
    on_both_databases,
};
use crate::{
    clock::Clock,
    provider::VerifiedDelivery,
    store::{
        apply::Batch,
        endpoint::EndpointDraft,
        inbox::{Inserted, NewDelivery},
    },
};

on_both_databases!(
    a_delivery_is_stored_once_and_reads_back_as_it_came,
    a_delivery_is_applied_once_with_what_it_means,
    settled_and_postponed_deliveries_are_not_handed_out,
);

async fn delivery(bench: &Bench, id: Option<&str>, body: &[u8]) -> NewDelivery {
    let endpoints = bench.db.endpoints(&bench.tenant, &bench.integration).await.unwrap();
    let endpoint = match endpoints.into_iter().next() {
        Some(endpoint) => endpoint,
        None => {
            bench.db.create_endpoint(&bench.tenant, &bench.integration, None, EndpointDraft::default()).await.unwrap()
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-fake-event"), HeaderValue::from_static("issues"));
    NewDelivery {
        endpoint: endpoint.id,
        tenant: bench.tenant.clone(),
        integration: bench.integration.clone(),
        provider: endpoint.provider,
        verified: VerifiedDelivery {
            delivery_id: id.map(str::to_owned),
            event: "issues.closed".into(),
            document: Bytes::copy_from_slice(body),
        },
        headers,
        received_at: bench.tick(),
    }
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
    let waiting = bench.db.next_deliveries(10).await.unwrap();
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
    let waiting = bench.db.next_deliveries(10).await.unwrap().remove(0);
    let changes = written(vec![issue("1", 1, "a", "OPEN")]);
    let batch = Batch::of_delivery(&waiting.id, waiting.delivery.received_at, changes);
    let apply = || bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch.clone());
    let (one, two) = tokio::join!(apply(), apply());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.repeated != two.repeated, "exactly one of two workers applies it");
    assert_eq!(one.head, two.head.max(one.head));
    assert!(bench.node(&issue_ref("1")).await.is_some());
    assert!(bench.db.next_deliveries(10).await.unwrap().is_empty());
    assert_eq!(bench.db.inbox_state().await.unwrap().counts["applied"], 1);
}

async fn settled_and_postponed_deliveries_are_not_handed_out(bench: Bench) {
    for id in ["d1", "d2", "d3", "d4"] {
        bench.db.insert_delivery(delivery(&bench, Some(id), b"{}").await).await.unwrap();
    }
    let waiting = bench.db.next_deliveries(10).await.unwrap();
    bench.db.mark_ignored(&waiting[0].id, "a ping").await.unwrap();
    bench.db.mark_failed(&waiting[1].id, "no").await.unwrap();
    let later = bench.clock.now() + Duration::seconds(5);
    bench.db.retry_delivery(&waiting[2].id, "busy", later).await.unwrap();
    let due = |rows: Vec<crate::store::inbox::WaitingDelivery>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(due(bench.db.next_deliveries(10).await.unwrap()), [waiting[3].id.clone()]);
    bench.clock.set(later);
    let again = bench.db.next_deliveries(10).await.unwrap();
    assert_eq!(again[0].attempts, 1);
    assert_eq!(due(again), [waiting[2].id.clone(), waiting[3].id.clone()]);
    assert_eq!(bench.db.prune_deliveries(later).await.unwrap(), 2);
}
