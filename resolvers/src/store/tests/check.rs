//! A database whose files are deleted, replaced, emptied or locked while it is open.

use std::{fs, path::PathBuf, pin::pin, time::Duration};

use sea_orm::{DbErr, RuntimeErr};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{bench::Bench, on_both_databases};
use crate::store::{DatabaseFault, StoreError};

on_both_databases!(a_database_in_order_has_no_fault,);

async fn a_database_in_order_has_no_fault(bench: Bench) {
    for _ in 0..3 {
        assert_eq!((bench.db.check().await, bench.db.fault()), (Ok(()), None));
        bench.db.set_setting("other", "").await.unwrap();
    }
}

fn beside(bench: &Bench, suffix: &str) -> PathBuf {
    let mut name = bench.file.clone().unwrap().into_os_string();
    name.push(suffix);
    name.into()
}

async fn refuses_writes(bench: &Bench, fault: DatabaseFault) {
    let refused = bench.db.set_setting("lost", "").await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreliable(found) if found == fault), "{refused:?}");
    assert!(refused.is_unavailable(), "it may be well again in a moment");
    assert_eq!((bench.db.fault(), bench.db.check().await), (Some(fault), Err(fault)));
}

#[tokio::test]
async fn a_file_that_is_deleted_or_moved_away_takes_no_writes_until_it_is_back() {
    for suffix in ["", "-wal", "-shm"] {
        let bench = Bench::sqlite().await;
        bench.db.check().await.unwrap();
        let (file, away) = (beside(&bench, suffix), beside(&bench, ".away"));
        fs::rename(&file, &away).unwrap();
        refuses_writes(&bench, DatabaseFault::Deleted).await;
        assert!(bench.db.setting("lost").await.unwrap().is_none(), "what is known can be read");
        fs::rename(&away, &file).unwrap();
        bench.db.check().await.unwrap();
        bench.db.set_setting("kept", "").await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_takes_no_writes() {
    let (bench, other) = (Bench::sqlite().await, Bench::sqlite().await);
    bench.db.check().await.unwrap();
    fs::rename(other.file.as_ref().unwrap(), bench.file.as_ref().unwrap()).unwrap();
    refuses_writes(&bench, DatabaseFault::Replaced).await;
}

#[tokio::test]
async fn a_file_that_is_emptied_is_damaged() {
    for content in [&b""[..], &[0x5a; 8192]] {
        let bench = Bench::sqlite().await;
        bench.db.check().await.unwrap();
        // So that nothing of it is in SQLite's own log.
        bench.behind_its_back("PRAGMA wal_checkpoint(TRUNCATE)").await;
        let file = fs::OpenOptions::new().write(true).open(bench.file.as_ref().unwrap()).unwrap();
        file.set_len(0).unwrap();
        std::io::Write::write_all(&mut &file, content).unwrap();
        assert_eq!(bench.db.check().await, Err(DatabaseFault::Damaged));
        refuses_writes(&bench, DatabaseFault::Damaged).await;
    }
}

#[tokio::test]
async fn a_file_that_another_program_has_locked_is_locked_as_long_as_it_is() {
    let bench = Bench::sqlite().await;
    bench.db.check().await.unwrap();
    let other = rusqlite::Connection::open(bench.file.as_ref().unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let stop = CancellationToken::new();
    let (mut watch, mut faults) = (pin!(bench.db.watch(stop.clone())), Vec::new());
    while faults.last() != Some(&None) {
        // It looks by its own clock.
        let _ = timeout(Duration::from_millis(20), &mut watch).await;
        let found = bench.db.fault();
        if faults.last().copied().flatten() != found || (found.is_none() && !faults.is_empty()) {
            faults.push(found);
            if found.is_some() {
                other.execute_batch("ROLLBACK").unwrap();
            }
        }
    }
    assert_eq!(faults, [Some(DatabaseFault::Locked), None]);
    stop.cancel();
    watch.await;
}

#[tokio::test]
async fn a_failure_that_says_that_the_file_is_damaged_stops_all_writes() {
    let bench = Bench::sqlite().await;
    let failure = |text: &str| StoreError::Database(DbErr::Exec(RuntimeErr::Internal(text.to_owned())));
    bench.db.note_failure(&failure("(code: 13) database or disk is full"));
    assert_eq!(bench.db.fault(), None, "it says nothing of the next write");
    bench.db.note_failure(&failure("(code: 267) database disk image is malformed"));
    refuses_writes(&bench, DatabaseFault::Damaged).await;
}
