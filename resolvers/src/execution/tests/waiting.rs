//! A tenant whose mutations wait for a database that another program has locked.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::join_all};
use serde_json::{Value, json};

use super::stage::{Unobserved, admin_of, operation, parts_of, roomy};
use crate::{
    execution::{Executed, Executor, Limits},
    reading::tests::bench::World,
};

/// Longer than anything takes but the wait for the writer.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn mutations_that_wait_for_the_writer_do_not_keep_their_tenant_from_reading() {
    let world = World::new().await;
    let limits = Limits { executions: 2, ..roomy() };
    let executor = Executor::new(parts_of(&world.services), limits, Arc::new(Unobserved));
    let caller = admin_of(&world.tenant);
    let locked = world.store.open_transaction().await;
    let mutations: Vec<_> = (0..6)
        .map(|number| {
            let (executor, caller) = (Arc::clone(&executor), caller.clone());
            let text = "mutation ($name: String!) { createDashboard(input: { name: $name }) { dashboard { id } } }";
            let mutation = operation(text, json!({ "name": format!("Wall {number}") }));
            tokio::spawn(async move { executor.mutation(&caller, mutation).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let query = executor.query(&caller, operation("{ dashboards(first: 1) { totalCount } }", json!({})));
    let answer = tokio::time::timeout(PATIENCE, query).await.expect("it waits for mutations");
    assert_eq!(read(answer), json!({ "data": { "dashboards": { "totalCount": 0 } } }));
    assert!(mutations.iter().all(|mutation| !mutation.is_finished()), "they wait for the writer");
    drop(locked);
    let done = join_all(mutations).map(|all| all.into_iter().map(|done| read(done.unwrap())).collect::<Vec<_>>()).await;
    assert!(done.iter().all(|answer| answer["errors"].is_null()), "{done:?}");
}

fn read(executed: Executed) -> Value {
    match executed {
        Executed::Answer { bytes, .. } => serde_json::from_slice(&bytes).unwrap(),
        Executed::Refused(errors) => panic!("{errors:?}"),
    }
}
