//! A database that may lose what it committed is recognised.

use sea_orm::ConnectionTrait;

use super::{bench::Bench, on_both_databases};
use crate::store::{Database, OpenOptions};

on_both_databases!(a_database_that_does_not_flush_its_commits_is_recognised);

async fn a_database_that_does_not_flush_its_commits_is_recognised(bench: Bench) {
    for (value, expected) in [("off", !bench.db.is_sqlite()), ("on", false), ("local", false)] {
        if !bench.db.is_sqlite() {
            let name = bench.url.rsplit('/').next().unwrap();
            let set = format!("ALTER DATABASE {name} SET synchronous_commit = {value}");
            bench.db.migration_connection().execute_unprepared(&set).await.unwrap();
        }
        let clock = std::sync::Arc::new(bench.clock.clone());
        let anew = Database::open(&bench.url, &OpenOptions::default(), clock).await.unwrap();
        let found = anew.unsafe_settings().await.unwrap();
        assert_eq!(found.contains(&"synchronous_commit = off".to_owned()), expected, "{value}: {found:?}");
        anew.close().await.unwrap();
    }
}
