//! The log: what was acknowledged is in the inbox once and in order, whatever breaks off in between.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

mod files;

use std::{collections::BTreeSet, fs, io::ErrorKind, sync::Arc};

use async_trait::async_trait;
use mullion_schema::id::{IntegrationId, TenantId};
use parking_lot::Mutex;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRng, TestRunner},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{
    Interpreter, Log,
    broken::Broken,
    record::{self, Record, Unread},
};
use crate::{
    bus::Wake,
    inbox::{
        intake::{Intake, IntakeError, Room},
        worker::tests::Counted,
    },
    store::{
        apply::{Applied, Batch, Rules},
        inbox::{APPLIED, Inserted, Meant, RECEIVED, WaitingDelivery, list::DeliveryFilter, row::DeliveryRow},
        tests::{
            bench::{Bench, FakeRules, issue, written},
            inbox::delivery,
            on_both_databases,
        },
    },
};

on_both_databases!(
    what_is_handed_in_is_in_the_inbox_once_and_in_order,
    what_comes_again_is_not_written_again,
    what_a_dying_process_left_is_taken_over_and_its_segments_go,
    what_was_not_written_to_its_end_is_left_out_and_what_follows_is_not,
    a_damaged_delivery_is_left_out_alone_and_its_segment_is_kept,
    a_large_delivery_holds_up_nobody_in_the_log,
    deliveries_stay_in_the_log_while_the_database_fails,
    a_log_that_is_too_long_lets_nothing_in,
    what_is_understood_on_the_way_is_applied_and_told_as_it_is_stored,
    what_cannot_be_understood_or_applied_on_the_way_is_stored_to_be_worked,
    a_panic_while_it_is_told_stops_nothing,
    what_lies_before_a_damaged_end_is_not_lost_when_the_database_fails,
    any_sequence_of_deliveries_deaths_and_torn_ends_stores_what_was_acknowledged_once_in_order,
);

const ROOM: Room = Room { deliveries: 1_000, bytes: 10_000_000, log_bytes: 10_000_000 };

/// A process with a log.
struct Process {
    intake: Arc<Intake>,
    transfer: Option<super::Transfer>,
}

impl Process {
    fn start(bench: &Bench, folder: &TempDir, room: Room) -> Self {
        // The thread of one that was dropped may still be ending.
        let log = loop {
            match Log::open(folder.path(), &bench.db.new_id().unwrap()) {
                Ok(log) => break log,
                Err(error) => assert_eq!(error.kind(), ErrorKind::ResourceBusy, "{error}"),
            }
        };
        let observer = Arc::new(Counted::default());
        let (intake, transfer) = Intake::logged(&bench.db, room, log, Wake::default(), observer).unwrap();
        Self { intake: Arc::new(intake), transfer: Some(transfer) }
    }

    /// The same with somebody who understands what comes.
    fn understanding(bench: &Bench, folder: &TempDir, interpreter: &Arc<FakeInterpreter>) -> Self {
        let mut process = Self::start(bench, folder, ROOM);
        let transfer = process.transfer.take().unwrap().understanding(Arc::clone(interpreter) as _);
        process.transfer = Some(transfer);
        process
    }

    async fn acknowledge(&self, bench: &Bench, ids: &[String]) {
        for id in ids {
            let new = delivery(bench, Some(id), format!("{{\"is\":\"{id}\"}}").as_bytes()).await;
            assert!(matches!(self.intake.store(new.row()).await, Ok(Inserted::New(_))), "{id}");
        }
    }

    fn transferring(&mut self) -> JoinHandle<()> {
        tokio::spawn(self.transfer.take().unwrap().run())
    }

    /// Ends after all was taken to the inbox.
    async fn stop(mut self) {
        let task = self.transferring();
        self.intake.close();
        task.await.unwrap();
    }
}

/// Understands each delivery as an issue of its own; goes wrong as told.
struct FakeInterpreter {
    bench: (TenantId, IntegrationId),
    /// Whether this one breaks off, leaves something out, or names what is not there.
    wrong: Mutex<Option<Wrong>>,
    told: Mutex<Vec<i64>>,
}

#[derive(Clone, Copy)]
enum Wrong {
    Panics,
    PanicsWhileItIsApplied,
    PanicsAfterwards,
    LeavesOut,
    NamesNobody,
}

impl FakeInterpreter {
    fn new(bench: &Bench) -> Arc<Self> {
        let bench = (bench.tenant.clone(), bench.integration.clone());
        Arc::new(Self { bench, wrong: Mutex::default(), told: Mutex::default() })
    }
}

#[async_trait]
impl Interpreter for FakeInterpreter {
    async fn interpret(&self, deliveries: &[WaitingDelivery]) -> Vec<Meant> {
        let wrong = *self.wrong.lock();
        assert!(!matches!(wrong, Some(Wrong::Panics)), "this one is told to");
        if matches!(wrong, Some(Wrong::LeavesOut)) {
            return Vec::new();
        }
        let batches = deliveries.iter().map(|waiting| {
            let written = written(vec![issue(&waiting.id, 1, "a", "OPEN")]);
            Batch::of_delivery(&waiting.id, waiting.delivery.received_at, written)
        });
        let (tenant, mut integration) = self.bench.clone();
        if matches!(wrong, Some(Wrong::NamesNobody)) {
            integration = "nobody".into();
        }
        let rules: Box<dyn Rules> = match wrong {
            Some(Wrong::PanicsWhileItIsApplied) => Box::new(Broken),
            _ => Box::new(FakeRules),
        };
        vec![Meant { tenant, integration, rules, batches: batches.collect(), ignored: Vec::new() }]
    }

    async fn announce(&self, _: &TenantId, applied: &Applied) {
        assert!(!matches!(*self.wrong.lock(), Some(Wrong::PanicsAfterwards)), "this one is told to");
        self.told.lock().push(applied.head);
    }
}

/// The states of all deliveries, oldest first.
async fn states(bench: &Bench) -> Vec<String> {
    let mut found = bench.db.deliveries(&DeliveryFilter::default(), None, 10_000).await.unwrap();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.into_iter().map(|info| info.state).collect()
}

/// The provider's ids in the inbox, in the order in which they are worked.
async fn inbox(bench: &Bench) -> Vec<String> {
    let mut found = bench.db.deliveries(&DeliveryFilter::default(), None, 10_000).await.unwrap();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.into_iter().filter_map(|info| info.delivery_id).collect()
}

fn ids(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|index| format!("d{index:05}")).collect()
}

fn segments(folder: &TempDir) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    segments.sort();
    segments
}

async fn what_is_handed_in_is_in_the_inbox_once_and_in_order(bench: Bench) {
    let folder = TempDir::new().unwrap();
    let process = Process::start(&bench, &folder, ROOM);
    process.acknowledge(&bench, &ids(0, 20)).await;
    process.stop().await;
    assert_eq!(inbox(&bench).await, ids(0, 20));
    let bodies: Vec<_> = bench.due().await.into_iter().map(|waiting| waiting.delivery.document).collect();
    assert_eq!(bodies[7].as_ref(), b"{\"is\":\"d00007\"}");
    Process::start(&bench, &folder, ROOM).stop().await;
    assert_eq!(inbox(&bench).await, ids(0, 20), "and not twice");
}

async fn what_comes_again_is_not_written_again(bench: Bench) {
    let folder = TempDir::new().unwrap();
    let process = Process::start(&bench, &folder, ROOM);
    process.acknowledge(&bench, &ids(0, 1)).await;
    let size = || segments(&folder).iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
    let before = size();
    let again = delivery(&bench, Some("d00000"), b"{\"is\":\"d00000\"}").await;
    assert!(matches!(process.intake.store(again.row()).await, Ok(Inserted::Duplicate)));
    assert_eq!(size(), before);
    process.stop().await;
    // The next process does not know it by heart; the inbox does.
    let process = Process::start(&bench, &folder, ROOM);
    assert!(process.intake.store(again.row()).await.is_ok());
    process.stop().await;
    assert_eq!(inbox(&bench).await, ids(0, 1));
}

async fn what_a_dying_process_left_is_taken_over_and_its_segments_go(bench: Bench) {
    let folder = TempDir::new().unwrap();
    for part in 0..3 {
        // Dies before anything is taken to the inbox.
        Process::start(&bench, &folder, ROOM).acknowledge(&bench, &ids(part * 10, part * 10 + 10)).await;
    }
    assert_eq!(segments(&folder).len(), 3);
    let process = Process::start(&bench, &folder, ROOM);
    process.acknowledge(&bench, &ids(30, 40)).await;
    process.stop().await;
    assert_eq!(inbox(&bench).await, ids(0, 40));
    assert_eq!(segments(&folder).len(), 1, "only the one in use");
}

async fn what_was_not_written_to_its_end_is_left_out_and_what_follows_is_not(bench: Bench) {
    let folder = TempDir::new().unwrap();
    Process::start(&bench, &folder, ROOM).acknowledge(&bench, &ids(0, 3)).await;
    let torn = segments(&folder).remove(0);
    let whole = fs::read(&torn).unwrap();
    fs::write(&torn, &whole[..whole.len() - 5]).unwrap();
    let process = Process::start(&bench, &folder, ROOM);
    process.acknowledge(&bench, &ids(3, 5)).await;
    process.stop().await;
    assert_eq!(inbox(&bench).await, ["d00000", "d00001", "d00003", "d00004"]);
}

async fn a_damaged_delivery_is_left_out_alone_and_its_segment_is_kept(bench: Bench) {
    let folder = TempDir::new().unwrap();
    Process::start(&bench, &folder, ROOM).acknowledge(&bench, &ids(0, 3)).await;
    let damaged = segments(&folder).remove(0);
    let mut bytes = fs::read(&damaged).unwrap();
    let second = bytes.windows(6).position(|window| window == b"d00001").unwrap();
    bytes[second] = b'x';
    fs::write(&damaged, &bytes).unwrap();
    Process::start(&bench, &folder, ROOM).stop().await;
    assert_eq!(inbox(&bench).await, ["d00000", "d00002"]);
    assert!(damaged.with_extension("damaged").exists());
    let folder = TempDir::new().unwrap();
    Process::start(&bench, &folder, ROOM).acknowledge(&bench, &ids(3, 5)).await;
    let damaged = segments(&folder).remove(0);
    fs::write(&damaged, [&[0xff; 20][..], &fs::read(&damaged).unwrap()].concat()).unwrap();
    Process::start(&bench, &folder, ROOM).stop().await;
    assert_eq!(inbox(&bench).await, ["d00000", "d00002"], "nobody knows where the next begins");
    assert!(damaged.with_extension("damaged").exists());
}

async fn a_large_delivery_holds_up_nobody_in_the_log(bench: Bench) {
    let (folder, interpreter) = (TempDir::new().unwrap(), FakeInterpreter::new(&bench));
    let mut process = Process::understanding(&bench, &folder, &interpreter);
    let body = format!("{{\"is\":\"{}\"}}", "x".repeat(2_000_000));
    let mut large = delivery(&bench, Some("large"), body.as_bytes()).await;
    // It belongs to another lane.
    large.verified.subject = Some("elsewhere".into());
    assert!(matches!(process.intake.store(large.row()).await, Ok(Inserted::New(_))));
    process.acknowledge(&bench, &ids(0, 1)).await;
    let task = process.transferring();
    process.intake.close();
    task.await.unwrap();
    let waiting: Vec<usize> = bench.due().await.iter().map(|waiting| waiting.delivery.document.len()).collect();
    assert_eq!(waiting, [body.len()], "whoever works the inbox takes it, and the other is applied");
}

async fn deliveries_stay_in_the_log_while_the_database_fails(bench: Bench) {
    let folder = TempDir::new().unwrap();
    bench.behind_its_back("ALTER TABLE delivery RENAME TO gone").await;
    let mut process = Process::start(&bench, &folder, ROOM);
    process.acknowledge(&bench, &ids(0, 2)).await;
    let mut transfer = process.transfer.take().unwrap();
    let mut at = None;
    assert!(transfer.step(&mut at).await.is_err());
    assert!(transfer.step(&mut at).await.is_err());
    bench.behind_its_back("ALTER TABLE gone RENAME TO delivery").await;
    assert!(transfer.step(&mut at).await.unwrap());
    assert!(!transfer.step(&mut at).await.unwrap());
    assert_eq!(inbox(&bench).await, ids(0, 2));
}

async fn a_log_that_is_too_long_lets_nothing_in(bench: Bench) {
    let folder = TempDir::new().unwrap();
    let mut process = Process::start(&bench, &folder, Room { log_bytes: 100, ..ROOM });
    process.acknowledge(&bench, &ids(0, 1)).await;
    let next = delivery(&bench, Some("d00001"), b"{}").await;
    assert!(matches!(process.intake.store(next.row()).await, Err(IntakeError::Overloaded)));
    let mut transfer = process.transfer.take().unwrap();
    assert!(transfer.step(&mut None).await.unwrap());
    assert!(matches!(process.intake.store(next.row()).await, Ok(Inserted::New(_))), "there is room again");
}

async fn what_is_understood_on_the_way_is_applied_and_told_as_it_is_stored(bench: Bench) {
    let (folder, interpreter) = (TempDir::new().unwrap(), FakeInterpreter::new(&bench));
    let mut process = Process::understanding(&bench, &folder, &interpreter);
    process.acknowledge(&bench, &ids(0, 3)).await;
    let (mut transfer, mut at) = (process.transfer.take().unwrap(), None);
    assert!(transfer.step(&mut at).await.unwrap());
    assert_eq!(states(&bench).await, [APPLIED; 3]);
    let head = bench.head().await;
    assert_eq!(*interpreter.told.lock(), [head]);
    assert!(!transfer.step(&mut at).await.unwrap());
    assert!(bench.due().await.is_empty(), "nobody has to work them");
}

async fn what_cannot_be_understood_or_applied_on_the_way_is_stored_to_be_worked(bench: Bench) {
    let (folder, interpreter) = (TempDir::new().unwrap(), FakeInterpreter::new(&bench));
    let mut process = Process::understanding(&bench, &folder, &interpreter);
    let (mut transfer, mut at) = (process.transfer.take().unwrap(), None);
    let wrongs = [Wrong::Panics, Wrong::PanicsWhileItIsApplied, Wrong::LeavesOut, Wrong::NamesNobody];
    for (turn, wrong) in wrongs.into_iter().enumerate() {
        *interpreter.wrong.lock() = Some(wrong);
        process.acknowledge(&bench, &ids(turn, turn + 1)).await;
        while transfer.step(&mut at).await.unwrap() {}
        assert_eq!(states(&bench).await, vec![RECEIVED; turn + 1]);
    }
    *interpreter.wrong.lock() = None;
    process.acknowledge(&bench, &ids(4, 5)).await;
    while transfer.step(&mut at).await.unwrap() {}
    assert_eq!(states(&bench).await, [RECEIVED; 5], "behind those that wait");
    assert_eq!(interpreter.told.lock().len(), 0);
}

async fn a_panic_while_it_is_told_stops_nothing(bench: Bench) {
    let (folder, interpreter) = (TempDir::new().unwrap(), FakeInterpreter::new(&bench));
    let process = Process::understanding(&bench, &folder, &interpreter);
    *interpreter.wrong.lock() = Some(Wrong::PanicsAfterwards);
    process.acknowledge(&bench, &ids(0, 3)).await;
    process.stop().await;
    assert_eq!(states(&bench).await, [APPLIED; 3]);
}

async fn what_lies_before_a_damaged_end_is_not_lost_when_the_database_fails(bench: Bench) {
    let (folder, interpreter) = (TempDir::new().unwrap(), FakeInterpreter::new(&bench));
    Process::start(&bench, &folder, ROOM).acknowledge(&bench, &ids(0, 300)).await;
    let torn = segments(&folder).remove(0);
    fs::write(&torn, [&fs::read(&torn).unwrap()[..], &[7; 90]].concat()).unwrap();
    let mut process = Process::understanding(&bench, &folder, &interpreter);
    process.acknowledge(&bench, &ids(300, 301)).await;
    let (mut transfer, mut at) = (process.transfer.take().unwrap(), None);
    bench.behind_its_back("ALTER TABLE delivery RENAME TO gone").await;
    assert!(transfer.step(&mut at).await.is_err());
    bench.behind_its_back("ALTER TABLE gone RENAME TO delivery").await;
    assert!(transfer.step(&mut at).await.unwrap(), "the first group; the next is read in the meantime");
    bench.behind_its_back("ALTER TABLE delivery RENAME TO gone").await;
    assert!(transfer.step(&mut at).await.is_err());
    bench.behind_its_back("ALTER TABLE gone RENAME TO delivery").await;
    while transfer.step(&mut at).await.unwrap() {}
    assert_eq!(inbox(&bench).await, ids(0, 301));
    assert!(torn.with_extension("damaged").exists());
}

/// A step of a random run.
#[derive(Debug, Clone)]
enum Step {
    Come(usize),
    Transfer,
    /// The process dies, having written some bytes of the next delivery.
    Die(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..5).prop_map(Step::Come),
        3 => Just(Step::Transfer),
        2 => (0_usize..40).prop_map(Step::Die),
    ]
}

async fn any_sequence_of_deliveries_deaths_and_torn_ends_stores_what_was_acknowledged_once_in_order(bench: Bench) {
    let rng = TestRng::deterministic_rng(Config::default().rng_algorithm);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut come = 0;
    let folder = TempDir::new().unwrap();
    delivery(&bench, None, b"{}").await;
    let before = bench.head().await;
    for _ in 0..8 {
        let steps = proptest::collection::vec(step(), 5..25).new_tree(&mut runner).unwrap().current();
        let interpreter = FakeInterpreter::new(&bench);
        let mut process = Process::understanding(&bench, &folder, &interpreter);
        let mut at = None;
        for step in &steps {
            match step {
                Step::Come(count) => {
                    process.acknowledge(&bench, &ids(come, come + count)).await;
                    come += count;
                }
                Step::Transfer => {
                    process.transfer.as_mut().unwrap().step(&mut at).await.unwrap();
                }
                Step::Die(bytes) => {
                    drop(process);
                    let last = segments(&folder).pop().unwrap();
                    let torn = [fs::read(&last).unwrap(), vec![7; *bytes]].concat();
                    fs::write(&last, torn).unwrap();
                    (process, at) = (Process::understanding(&bench, &folder, &interpreter), None);
                }
            }
        }
        process.stop().await;
        assert_eq!(inbox(&bench).await, ids(0, come), "{steps:?}");
        assert_eq!(states(&bench).await, vec![APPLIED; come], "{steps:?}");
        assert_eq!(bench.head().await, before + i64::try_from(come).unwrap(), "each changed something once");
    }
}

async fn row(bench: &Bench, body: &[u8]) -> DeliveryRow {
    delivery(bench, Some("d1"), body).await.row()
}

#[tokio::test]
async fn a_record_reads_back_and_a_damaged_one_does_not() {
    let bench = Bench::sqlite().await;
    let row = row(&bench, "{\"title\":\"Grüße\"}".repeat(50).as_bytes()).await;
    let id = bench.db.new_id().unwrap();
    let mut bytes = Vec::new();
    record::write(&mut bytes, &id, &row).unwrap();
    let size = bytes.len();
    let whole = Record { id: id.clone(), row: row.clone(), size };
    assert_eq!(record::read(&bytes), Ok(whole));
    let mut two = bytes.clone();
    record::write(&mut two, &id, &row).unwrap();
    assert_eq!(record::read(&two), Ok(Record { id, row, size }), "the first of two");
    for length in 0..size {
        assert!(matches!(record::read(&bytes[..length]), Err(Unread::Part(whole)) if whole > length), "{length}");
    }
    let mut refused = BTreeSet::new();
    for place in 0..size {
        bytes[place] ^= 0x20;
        if record::read(&bytes).is_err() {
            refused.insert(place);
        }
        bytes[place] ^= 0x20;
    }
    assert_eq!(refused.len(), size, "each damaged byte is found");
}

#[test]
fn the_last_segment_is_the_newest_when_the_clock_was_set_back() {
    let folder = TempDir::new().unwrap();
    for name in ["5", "3", "4", "6"] {
        drop(Log::open(folder.path(), name).unwrap());
    }
    let names: Vec<_> = segments(&folder).iter().map(|path| path.file_stem().unwrap().to_owned()).collect();
    assert_eq!(names, ["5", "50", "500", "6"]);
    let folder = TempDir::new().unwrap();
    for name in ["01KZZZZZZZZZZZZZZZZZZZZZZX", "01AAAAAAAAAAAAAAAAAAAAAAAA"] {
        drop(Log::open(folder.path(), name).unwrap());
    }
    assert_eq!(segments(&folder)[1].file_stem().unwrap(), "01KZZZZZZZZZZZZZZZZZZZZZZY", "and names do not grow");
}

#[test]
fn a_folder_has_one_process_at_a_time() {
    let folder = TempDir::new().unwrap();
    let log = Log::open(folder.path(), "a").unwrap();
    let second = Log::open(folder.path(), "b").map(|_| ()).unwrap_err();
    assert!(second.to_string().contains("in use by another process"), "{second}");
    drop(log);
    assert!(Log::open(folder.path(), "c").is_ok());
}
