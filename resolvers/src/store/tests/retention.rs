//! Retention: what is old or too much goes, a little at a time; what waits never does.

use chrono::Duration;

use super::{
    bench::{Bench, FakeRules},
    inbox::delivery,
    on_both_databases,
    stream::told,
};
use crate::{
    clock::Clock,
    store::{
        activity::ActivityFilter,
        apply::Batch,
        inbox::{
            list::DeliveryFilter,
            prune::{Excess, Pruned},
        },
    },
};

on_both_databases!(
    settled_deliveries_go_by_age_and_what_waits_stays,
    the_oldest_settled_deliveries_go_when_there_are_too_many_bytes,
    the_newest_changes_stay_and_the_floor_is_the_last_that_went,
);

async fn store(bench: &Bench, id: usize, settled: bool) {
    bench.db.insert_delivery(delivery(bench, Some(&id.to_string()), b"0123456789").await).await.unwrap();
    if settled {
        let waiting = bench.due().await.pop().unwrap();
        let batch = Batch::of_delivery(&waiting.id, waiting.delivery.received_at, Vec::new());
        bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch).await.unwrap();
    }
}

async fn left(bench: &Bench) -> Vec<String> {
    let left = bench.db.deliveries(&DeliveryFilter::default(), None, 1000).await.unwrap();
    left.into_iter().filter_map(|info| info.delivery_id).collect()
}

async fn settled_deliveries_go_by_age_and_what_waits_stays(bench: Bench) {
    store(&bench, 0, false).await;
    for id in 1..=3 {
        store(&bench, id, true).await;
    }
    bench.clock.advance(Duration::hours(1));
    let before = Excess::Before(bench.clock.now());
    bench.clock.advance(Duration::seconds(1));
    store(&bench, 4, true).await;
    assert_eq!(bench.db.prune_deliveries(before).await.unwrap(), Pruned { rows: 3, bytes: 30 });
    assert_eq!(bench.db.prune_deliveries(before).await.unwrap(), Pruned::default());
    assert_eq!(left(&bench).await, ["4", "0"]);
}

async fn the_oldest_settled_deliveries_go_when_there_are_too_many_bytes(bench: Bench) {
    for id in 0..6 {
        store(&bench, id, id != 0).await;
    }
    assert_eq!(bench.db.inbox_bytes().await.unwrap(), 60);
    assert_eq!(bench.db.prune_deliveries(Excess::Bytes(25)).await.unwrap(), Pruned { rows: 3, bytes: 30 });
    assert_eq!(left(&bench).await, ["5", "4", "0"]);
    assert_eq!(bench.db.inbox_bytes().await.unwrap(), 30);
}

async fn the_newest_changes_stay_and_the_floor_is_the_last_that_went(bench: Bench) {
    for _ in 0..5 {
        bench.deliver(vec![told("push", "R1")]).await;
    }
    let (never, head) = (bench.clock.now() - Duration::days(1), bench.head().await);
    assert_eq!(bench.db.prune_changes(&bench.tenant, never, head).await.unwrap(), 0);
    assert_eq!(bench.db.prune_changes(&bench.tenant, never, 2).await.unwrap(), u64::try_from(head).unwrap() - 2);
    assert_eq!(bench.db.oldest_position(&bench.tenant).await.unwrap(), head - 2);
    let left = bench.db.changes_since(&bench.tenant, head - 2, 10).await.unwrap();
    assert_eq!(left.iter().map(|change| change.position).collect::<Vec<_>>(), [head - 1, head]);
    let activities = bench.db.activities(&bench.tenant, &ActivityFilter::default(), None, 9).await.unwrap();
    assert_eq!(activities.len(), 2);
    bench.deliver(vec![told("push", "R1")]).await;
    assert_eq!(bench.head().await, head + 1, "positions go on");
}
