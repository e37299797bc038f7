//! The log whose files, folder or database somebody deletes while it is written to.

use std::{fs, io::ErrorKind};

use tempfile::TempDir;

use super::{Log, Process, ROOM, ids, inbox, segments};
use crate::{
    inbox::intake::IntakeError,
    store::tests::{bench::Bench, inbox::delivery, on_both_databases},
};

on_both_databases!(
    a_segment_that_somebody_deletes_takes_nothing_more_and_loses_nothing,
    a_folder_that_somebody_deletes_is_made_anew,
);

async fn a_segment_that_somebody_deletes_takes_nothing_more_and_loses_nothing(bench: Bench) {
    let folder = TempDir::new().unwrap();
    let process = Process::start(&bench, &folder, ROOM);
    process.acknowledge(&bench, &ids(0, 1)).await;
    fs::remove_file(segments(&folder).remove(0)).unwrap();
    process.acknowledge(&bench, &ids(1, 3)).await;
    process.stop().await;
    Process::start(&bench, &folder, ROOM).stop().await;
    assert_eq!(inbox(&bench).await, ids(0, 3));
}

async fn a_folder_that_somebody_deletes_is_made_anew(bench: Bench) {
    let folder = TempDir::new().unwrap();
    let mut process = Process::start(&bench, &folder, ROOM);
    let task = process.transferring();
    process.acknowledge(&bench, &ids(0, 2)).await;
    fs::remove_dir_all(folder.path()).unwrap();
    process.acknowledge(&bench, &ids(2, 4)).await;
    let other = Log::open(folder.path(), &bench.db.new_id().unwrap());
    assert_eq!(other.err().map(|error| error.kind()), Some(ErrorKind::ResourceBusy), "it is locked again");
    while process.intake.log_bytes() > 0 {
        tokio::task::yield_now().await;
    }
    process.intake.close();
    task.await.unwrap();
    assert_eq!(inbox(&bench).await, ids(0, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_another_process_has_meanwhile_takes_nothing() {
    let (bench, folder) = (Bench::sqlite().await, TempDir::new().unwrap());
    let process = Process::start(&bench, &folder, ROOM);
    fs::remove_dir_all(folder.path()).unwrap();
    let other = Process::start(&bench, &folder, ROOM);
    let new = delivery(&bench, Some("d"), b"{}").await;
    assert!(matches!(process.intake.store(new.row()).await, Err(IntakeError::Store(_))));
    other.acknowledge(&bench, &ids(0, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_whose_database_is_gone() {
    let (bench, folder) = (Bench::sqlite().await, TempDir::new().unwrap());
    bench.db.check().await.unwrap();
    let process = Process::start(&bench, &folder, ROOM);
    process.acknowledge(&bench, &ids(0, 1)).await;
    let file = bench.file.as_ref().unwrap();
    fs::rename(file, file.with_extension("away")).unwrap();
    let new = delivery(&bench, Some("d"), b"{}").await;
    assert!(matches!(process.intake.store(new.row()).await, Err(IntakeError::Store(_))));
    fs::rename(file.with_extension("away"), file).unwrap();
    process.acknowledge(&bench, &ids(1, 2)).await;
    process.stop().await;
    assert_eq!(inbox(&bench).await, ids(0, 2));
}
