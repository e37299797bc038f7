//! Removing integrations: hidden at once, deleted in bounded steps, taken up again by whoever comes next.

use std::sync::Arc;

use chrono::Duration;
use sea_orm::{ConnectionTrait, Statement};

use super::{
    bench::{Bench, issue, written},
    on_both_databases,
    stream::told,
};
use crate::store::{
    Database, OpenOptions, StoreError,
    activity::ActivityFilter,
    endpoint::EndpointDraft,
    removal::{ROWS_AT_A_TIME, Removal},
};

on_both_databases!(
    an_integration_is_hidden_at_once_and_goes_in_bounded_steps,
    a_removal_that_was_cut_off_is_taken_up_again,
    two_replicas_may_remove_the_same_integration,
    what_is_written_late_is_removed_too,
    every_table_with_rows_of_integrations_is_known,
);

/// Rows of each of the large tables.
const MANY: i64 = 3_000;
const TABLES: [&str; 12] = [
    "endpoint",
    "node",
    "member",
    "list_window",
    "catch_up",
    "claim",
    "quota",
    "quota_use",
    "pending_activity",
    "presence",
    "delivery",
    "delivery_body",
];

impl Bench {
    /// How many rows a table has.
    pub(super) async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        let connection = self.db.migration_connection();
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    async fn rows(&self) -> i64 {
        let mut rows = 0;
        for table in TABLES {
            rows += self.count(table).await;
        }
        rows
    }

    /// Fills every table with rows of an integration.
    async fn fill(&self, tenant: &str, integration: &str, many: i64) {
        let names = format!("'{tenant}', '{integration}'");
        let empty = if self.file.is_some() { "x'00'" } else { "'\\x00'::bytea" };
        for (table, columns, values) in [
            (
                "endpoint",
                "tenant, integration, id, path, provider, handshake_pending, created_at",
                format!("{names}, '{integration}' || i, '{integration}' || i, 'fake', false, 0"),
            ),
            (
                "node",
                "tenant, integration, native_id, type_name, body, stamps, fetched_at, source",
                format!("{names}, 'N' || i, 'FakeIssue', '{{}}', '{{}}', 0, 'FETCH'"),
            ),
            (
                "member",
                "tenant, integration, list, native_id, type_name, sort",
                format!("{names}, 'L', 'N' || i, 'FakeIssue', ''"),
            ),
            (
                "list_window",
                "tenant, integration, list, filter, exhausted, fetched_at",
                format!("{names}, 'L' || i, '', true, 0"),
            ),
            ("catch_up", "integration, subject, wanted_at, failures", format!("'{integration}', 'S' || i, 0, 0")),
            (
                "claim",
                "integration, subject, owner, since, expires_at",
                format!("'{integration}', 'S' || i, 'o', 0, 0"),
            ),
            ("quota", "integration, bucket, told_at", format!("'{integration}', 'B' || i, 0")),
            ("quota_use", "integration, bucket, day, used", format!("'{integration}', 'B' || i, 0, 1")),
            (
                "pending_activity",
                "tenant, integration, position, due_at, acts, partial, activity",
                format!("{names}, i, 0, '[]', false, '{{}}'"),
            ),
            ("presence", "integration, replica, expires_at", format!("'{integration}', 'R' || i, 0")),
            (
                "delivery",
                "tenant, integration, id, endpoint, provider, dedupe_key, source, event, headers, received_at, size, ordering, lane, state, attempts, due_at",
                format!(
                    "{names}, '{integration}' || i, '{integration}1', 'fake', 'K' || i, '', '', '', 0, 1, 0, 0, 'APPLIED', 0, 0"
                ),
            ),
            ("delivery_body", "id, body", format!("'{integration}' || i, {empty}")),
        ] {
            let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})");
            self.behind_its_back(&format!("{numbers} INSERT INTO {table} ({columns}) SELECT {values} FROM n")).await;
        }
    }

    async fn removal(&self) -> Removal {
        self.db.removals().await.unwrap().pop().unwrap()
    }

    /// Works until there is nothing more to do now; how many steps that took.
    async fn remove(&self) -> usize {
        let mut steps = 1;
        let mut removal = self.removal().await;
        while self.db.remove_some(&mut removal).await.unwrap() {
            steps += 1;
        }
        steps
    }
}

async fn an_integration_is_hidden_at_once_and_goes_in_bounded_steps(bench: Bench) {
    let (db, tenant, id) = (&bench.db, &bench.tenant, &bench.integration);
    bench.fill("umbrella", "i-umbrella", 2).await;
    let others = bench.rows().await;
    bench.deliver(vec![told("issues.opened", "R1")]).await;
    bench.fill("acme", "i-acme", MANY).await;
    let before = bench.rows().await;
    let deleted = db.delete_integration(tenant, id).await.unwrap();
    assert_eq!(bench.rows().await, before, "the first step deletes no rows");
    assert_eq!((deleted.value, deleted.change.position), (id.clone(), bench.head().await));
    assert_eq!((db.integration(tenant, id).await.unwrap(), db.integrations(tenant).await.unwrap()), (None, vec![]));
    assert_eq!(
        (db.endpoint_at("fake", "i-acme1").await.unwrap(), db.endpoints(tenant, id).await.unwrap()),
        (None, vec![])
    );
    assert_eq!(
        db.connected_integrations().await.unwrap(),
        [(bench.other_tenant.clone(), bench.other_integration.clone())]
    );
    for refused in [
        db.create_endpoint(tenant, id, None, EndpointDraft::default()).await.map(drop),
        db.update_integration(tenant, id, None, |_| ()).await.map(drop),
        db.delete_integration(tenant, id).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    }
    let mut removal = bench.removal().await;
    let mut rows = before;
    loop {
        let more = db.remove_some(&mut removal).await.unwrap();
        let left = bench.rows().await;
        assert!(rows - left <= i64::try_from(ROWS_AT_A_TIME).unwrap(), "{} rows in one step", rows - left);
        rows = left;
        if !more {
            break;
        }
    }
    assert_eq!(rows, others, "the rest is the other integration's");
    let activities = db.activities(tenant, &ActivityFilter::default(), None, 10).await.unwrap();
    assert_eq!(activities.len(), 1, "activities stay");
    // The mark stays until nothing that was under way can write any more.
    assert_eq!(db.removals().await.unwrap().len(), 1);
    bench.clock.advance(Duration::minutes(5));
    bench.remove().await;
    assert_eq!((db.removals().await.unwrap().len(), bench.count("integration").await), (0, 1));
}

async fn a_removal_that_was_cut_off_is_taken_up_again(bench: Bench) {
    bench.fill("acme", "i-acme", MANY).await;
    bench.db.delete_integration(&bench.tenant, &bench.integration).await.unwrap();
    let mut removal = bench.removal().await;
    for polls in 1..=4 {
        bench.db.remove_some(&mut removal).await.unwrap();
        // This step is dropped somewhere in its middle.
        let mut step = Box::pin(bench.db.remove_some(&mut removal));
        for _ in 0..polls {
            if futures::poll!(&mut step).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(step);
    }
    assert!(bench.count("node").await > 0);
    let options = OpenOptions { own_lease_clock: true, ..OpenOptions::default() };
    let next = Database::open(&bench.url, &options, Arc::new(bench.clock.clone())).await.unwrap();
    let mut taken_up = next.removals().await.unwrap().pop().unwrap();
    while next.remove_some(&mut taken_up).await.unwrap() {}
    assert_eq!(bench.rows().await, 0);
    bench.clock.advance(Duration::minutes(5));
    bench.remove().await;
    assert_eq!(bench.db.removals().await.unwrap().len(), 0);
    next.close().await.unwrap();
}

async fn two_replicas_may_remove_the_same_integration(bench: Bench) {
    bench.fill("acme", "i-acme", MANY).await;
    bench.db.delete_integration(&bench.tenant, &bench.integration).await.unwrap();
    bench.clock.advance(Duration::minutes(5));
    tokio::join!(bench.remove(), bench.remove());
    assert_eq!((bench.rows().await, bench.db.removals().await.unwrap().len()), (0, 0));
}

async fn what_is_written_late_is_removed_too(bench: Bench) {
    bench.fill("acme", "i-acme", 10).await;
    bench.db.delete_integration(&bench.tenant, &bench.integration).await.unwrap();
    bench.remove().await;
    assert_eq!(bench.rows().await, 0);
    // Writes of webhooks and fetches are refused; a row that is written without asking for the integration is swept.
    let batch = crate::store::apply::Batch::of_delivery("d", bench.tick(), written(vec![issue("1", 1, "a", "OPEN")]));
    let refused = bench.db.apply(&bench.tenant, &bench.integration, &super::bench::FakeRules, batch).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    bench.behind_its_back("INSERT INTO quota (integration, bucket, told_at) VALUES ('i-acme', 'late', 0)").await;
    bench.clock.advance(Duration::minutes(5));
    bench.remove().await;
    assert_eq!((bench.rows().await, bench.db.removals().await.unwrap().len()), (0, 0));
}

/// A table that is added later must be removed from, or stay for a reason.
async fn every_table_with_rows_of_integrations_is_known(bench: Bench) {
    /// The tenant's history.
    const STAY: [&str; 1] = ["change"];
    /// Deleted in the first step: one row at most.
    const AT_ONCE: [&str; 1] = ["event_socket"];
    let sql = if bench.file.is_some() {
        "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'integration' WHERE m.type = 'table'"
    } else {
        "SELECT CAST(table_name AS text) FROM information_schema.columns \
         WHERE table_schema = 'public' AND column_name = 'integration'"
    };
    let connection = bench.db.migration_connection();
    let found = connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await.unwrap();
    assert!(found.len() > 5);
    for row in found {
        let name: String = row.try_get_by_index(0).unwrap();
        let known = TABLES.iter().chain(&STAY).chain(&AT_ONCE).any(|known| *known == name);
        assert!(known, "{name} has rows of integrations: add it to store/removal.rs and to this test");
    }
}
