//! The store's suite, the same on SQLite and PostgreSQL: every case is written once and runs on both.

pub(crate) mod bench;
mod catch_up;
mod check;
mod claims;
mod connecting;
mod counts;
mod durability;
mod event_sockets;
pub(crate) mod inbox;
mod laws;
mod leases;
mod lists;
mod nodes;
mod own;
mod pending;
mod persisted_queries;
mod pool;
mod removals;
mod retention;
mod stream;
mod together;

/// Makes a test on each database of every case.
macro_rules! on_both_databases {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(crate::store::tests::bench::Bench::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(crate::store::tests::bench::Bench::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;
