//! The pool of connections under callers that hang up: no number of queries that were cut off takes it away from the others.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::{sync::mpsc, time::Duration};

use futures::{FutureExt as _, future::join_all, poll};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::sync::oneshot;

use super::{
    bench::{Bench, FakeRules, issue, written},
    on_both_databases,
};
use crate::store::{Database, api_key::key_hash, apply::Batch};

on_both_databases!(
    queries_that_were_cut_off_do_not_wedge_the_pool,
    transactions_that_were_cut_off_do_not_wedge_the_pool,
    a_read_that_nobody_polls_holds_up_no_other,
    a_read_of_a_runtime_that_is_busy_holds_up_no_other,
    keys_endpoints_and_readiness_do_not_wait_for_a_flood_of_reads
);

/// Longer than any query takes; only a pool that is wedged lets it pass.
const PATIENCE: Duration = Duration::from_secs(20);
const CUT_OFF: usize = 400;

/// Takes a while, on both databases, and has many rows to be read.
const HEAVY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n";

/// Runs a query for so many turns, then drops it wherever it is.
async fn cut_off<T>(query: impl Future<Output = T>, turns: usize) {
    let mut query = Box::pin(query);
    for _ in 0..turns {
        if poll!(&mut query).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Spread over waiting, starting, running and reading.
fn turns(number: usize) -> usize {
    1 + (number * number) % 97
}

async fn answers(bench: &Bench) {
    let normal = tokio::time::timeout(PATIENCE, bench.db.ping()).await;
    normal.expect("the pool is wedged").expect("an answer");
    let many = join_all((0..16).map(|_| bench.db.heads()));
    let many = tokio::time::timeout(PATIENCE, many).await.expect("some of the pool's connections are lost");
    assert!(many.iter().all(Result::is_ok));
}

async fn queries_that_were_cut_off_do_not_wedge_the_pool(bench: Bench) {
    let heavy = |db: Database| async move {
        let reader = &db.0.reader;
        let statement = Statement::from_string(reader.get_database_backend(), HEAVY);
        drop(reader.query_all_raw(statement).await);
    };
    for round in 0..10 {
        // Some in tasks that are aborted while other threads run them, some dropped where they stand.
        let running: Vec<_> = (0..CUT_OFF / 10).map(|_| tokio::spawn(heavy(bench.db.clone()))).collect();
        let dropped = (0..CUT_OFF / 10).map(|number| cut_off(heavy(bench.db.clone()), turns(number + round)));
        join_all(dropped).await;
        for (number, task) in running.into_iter().enumerate() {
            for _ in 0..turns(number + round) {
                tokio::task::yield_now().await;
            }
            task.abort();
        }
        answers(&bench).await;
    }
}

async fn transactions_that_were_cut_off_do_not_wedge_the_pool(bench: Bench) {
    let apply = |number: usize| {
        let mut batch = Batch::of_fetch(bench.tick());
        batch.changes = written(vec![issue(&format!("n{number}"), 1, "a", "OPEN")]);
        bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch)
    };
    join_all((0..CUT_OFF).map(|number| cut_off(apply(number), turns(number)))).await;
    let written = tokio::time::timeout(PATIENCE, apply(CUT_OFF)).await;
    written.expect("the writers are wedged").expect("it is written");
    for number in 0..CUT_OFF {
        cut_off(apply(number), turns(number) % 23).await;
    }
    let written = tokio::time::timeout(PATIENCE, apply(CUT_OFF + 1)).await;
    written.expect("the writers are wedged").expect("it is written");
    answers(&bench).await;
}

/// As an execution of many parts does while the processors are busy: it is not polled, although it has its turn.
async fn a_read_that_nobody_polls_holds_up_no_other(bench: Bench) {
    let turns = bench.db.0.reader.turns();
    let connections = turns.free();
    let held: Vec<_> = std::iter::from_fn(|| turns.try_take()).collect();
    let mut unpolled: Vec<_> = (0..2 * connections).map(|_| bench.db.heads().boxed()).collect();
    for read in &mut unpolled {
        assert!(poll!(read).is_pending());
    }
    drop(unpolled.pop());
    drop(held);
    let other = tokio::time::timeout(PATIENCE, bench.db.heads()).await;
    other.expect("it waits for reads that nobody polls").expect("an answer");
    assert!(join_all(unpolled).await.iter().all(Result::is_ok));
}

/// As live operations do, which have a runtime of their own.
async fn a_read_of_a_runtime_that_is_busy_holds_up_no_other(bench: Bench) {
    let connections = bench.db.0.reader.turns().free();
    let (done, is_done) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let db = bench.db.clone();
    let busy = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let reads = (0..2 * connections).map(|_| db.heads().boxed());
            // Some may have their answer by then, and are not polled again.
            let mut waiting = Vec::new();
            for mut read in reads {
                if poll!(&mut read).is_pending() {
                    waiting.push(read);
                }
            }
            begun.send(()).unwrap();
            // Its only thread computes, and polls nothing.
            is_done.recv().unwrap();
            assert!(join_all(waiting).await.iter().all(Result::is_ok));
        });
    });
    has_begun.await.unwrap();
    let other = tokio::time::timeout(PATIENCE, bench.db.heads()).await;
    done.send(()).unwrap();
    other.expect("it waits for reads of the busy runtime").expect("an answer");
    tokio::task::spawn_blocking(|| busy.join()).await.unwrap().unwrap();
}

async fn keys_endpoints_and_readiness_do_not_wait_for_a_flood_of_reads(bench: Bench) {
    let (_, key) = bench.db.create_api_key(&bench.tenant, "a key", "viewer").await.unwrap();
    let turns = bench.db.0.reader.turns();
    let _held: Vec<_> = std::iter::from_fn(|| turns.try_take()).collect();
    let essential = async {
        bench.db.ping().await.unwrap();
        assert!(bench.db.accepted_key(&key_hash(&key)).await.unwrap().is_some());
        assert!(bench.db.endpoint_at("fake", "nowhere").await.unwrap().is_none());
    };
    tokio::time::timeout(PATIENCE, essential).await.expect("they wait for other reads");
}
