//! Changes that come out of order, from another process, or after the log was cut, on both databases.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::Announcer;
use crate::{
    bus::{Bus, Hint},
    cache::epochs::Epochs,
    live::{LiveHub, LiveRules},
    provider::change::Change,
    store::{
        faults::Which,
        stream::AppliedChange,
        tests::{
            bench::{Bench, issue},
            on_both_databases,
        },
    },
    tag::Tag,
};

on_both_databases!(
    changes_are_announced_in_order_whatever_order_they_come_in,
    another_process_follows_the_log,
    a_process_that_was_away_for_longer_than_the_log_trusts_nothing,
    changes_in_front_that_cannot_be_read_outdate_everything,
);

/// Keeps what is told.
#[derive(Default)]
struct Told(Mutex<Vec<Hint>>);

#[async_trait]
impl Bus for Told {
    fn tell(&self, hint: Hint) {
        self.0.lock().push(hint);
    }

    async fn hear(&self) -> Hint {
        std::future::pending().await
    }

    fn is_connected(&self) -> bool {
        true
    }
}

/// One process and what it keeps in memory.
struct Process {
    epochs: Arc<Epochs>,
    told: Arc<Told>,
    announcer: Announcer,
}

impl Process {
    fn of(bench: &Bench) -> Self {
        let (epochs, told) = (Arc::new(Epochs::default()), Arc::new(Told::default()));
        let hub = LiveHub::new(TaskTracker::new(), LiveRules::default());
        let bus = Arc::clone(&told) as Arc<dyn Bus>;
        let announcer = Announcer::new(bench.db.clone(), Arc::clone(&epochs), hub, bus);
        Self { epochs, told, announcer }
    }

    /// Whether what was read of the changed node is current; its list is in all of the changes.
    fn is_current(&self, bench: &Bench, noted: i64, change: &AppliedChange) -> bool {
        self.epochs.is_current(&bench.tenant, noted, change.tags.first())
    }
}

/// One change for each of these issues, one transaction each.
async fn changes(bench: &Bench, ids: &[&str]) -> Vec<AppliedChange> {
    let mut all = Vec::new();
    for id in ids {
        let change = Change { writes: vec![issue(id, 1, "new", "open")], ..Change::default() };
        all.extend(bench.deliver(vec![change]).await.changes);
    }
    all
}

async fn changes_are_announced_in_order_whatever_order_they_come_in(bench: Bench) {
    let process = Process::of(&bench);
    process.announcer.start(&bench.tenant).await.unwrap();
    let first = process.epochs.head(&bench.tenant).unwrap();
    let changes = changes(&bench, &["1", "2", "3"]).await;
    let [one, two, three] = changes.as_slice() else { panic!("three issues, but {changes:?}") };
    // The task of the third is the quickest. A reader that notes the head after it must not take the old values of the first two
    // for current.
    process.announcer.announce(&bench.tenant, std::slice::from_ref(three)).await;
    assert_eq!(process.epochs.head(&bench.tenant), Some(first + 3));
    for (change, position) in [(one, first + 1), (two, first + 2), (three, first + 3)] {
        assert!(!process.is_current(&bench, position - 1, change), "{change:?}");
        assert!(process.is_current(&bench, position, change), "{change:?}");
    }
    for late in [two, one, three] {
        process.announcer.announce(&bench.tenant, std::slice::from_ref(late)).await;
    }
    assert_eq!(process.epochs.head(&bench.tenant), Some(first + 3));
    assert!(process.is_current(&bench, first + 1, one), "an epoch does not rise again");
    assert_eq!(process.told.0.lock().len(), 4);
}

async fn another_process_follows_the_log(bench: Bench) {
    let (writes, reads, idle) = (Process::of(&bench), Process::of(&bench), Process::of(&bench));
    writes.announcer.start(&bench.tenant).await.unwrap();
    reads.announcer.start(&bench.tenant).await.unwrap();
    let noted = reads.epochs.head(&bench.tenant).unwrap();
    let changes = changes(&bench, &["1", "2"]).await;
    writes.announcer.announce(&bench.tenant, &changes).await;
    let hint = writes.told.0.lock().pop().unwrap();
    let (tenant, head) = (bench.tenant.clone(), noted + 2);
    assert_eq!(hint, Hint::Head { tenant: tenant.clone(), head });
    assert!(reads.is_current(&bench, noted, &changes[0]), "nobody has told it yet");
    reads.announcer.follow(&tenant, head).await.unwrap();
    assert_eq!(reads.epochs.head(&bench.tenant), Some(noted + 2));
    assert!(!reads.is_current(&bench, noted, &changes[0]) && !reads.is_current(&bench, noted, &changes[1]));
    assert!(reads.told.0.lock().is_empty(), "what was heard is not told on");
    // A hint that promises more than there is brings nothing, and ends.
    reads.announcer.follow(&tenant, head + 50).await.unwrap();
    assert_eq!(reads.epochs.head(&bench.tenant), Some(noted + 2));
    idle.announcer.follow(&tenant, head).await.unwrap();
    assert_eq!(idle.epochs.head(&bench.tenant), None, "nobody asked for this tenant there");
}

async fn a_process_that_was_away_for_longer_than_the_log_trusts_nothing(bench: Bench) {
    let away = Process::of(&bench);
    away.announcer.start(&bench.tenant).await.unwrap();
    let noted = away.epochs.head(&bench.tenant).unwrap();
    changes(&bench, &["1", "2"]).await;
    bench.db.prune_changes(&bench.tenant, bench.tick(), i64::MAX).await.unwrap();
    let kept = changes(&bench, &["3"]).await;
    away.announcer.follow(&bench.tenant, noted + 3).await.unwrap();
    assert_eq!(away.epochs.head(&bench.tenant), Some(noted + 3));
    let quiet = Tag::own(&bench.tenant, "Widget", "of which nothing is known");
    assert!(!away.epochs.is_current(&bench.tenant, noted, [&quiet]));
    assert!(away.epochs.is_current(&bench.tenant, noted + 3, &kept[0].tags));
}

async fn changes_in_front_that_cannot_be_read_outdate_everything(bench: Bench) {
    let process = Process::of(&bench);
    process.announcer.start(&bench.tenant).await.unwrap();
    let first = process.epochs.head(&bench.tenant).unwrap();
    let changes = changes(&bench, &["1", "2"]).await;
    let [one, two] = changes.as_slice() else { panic!("two issues, but {changes:?}") };
    let quiet = Tag::own(&bench.tenant, "Widget", "of which nothing is known");
    bench.db.faults().fail(Which::Touching("change"), 1);
    process.announcer.announce(&bench.tenant, std::slice::from_ref(two)).await;
    assert_eq!(bench.db.faults().stop(), 1);
    assert_eq!(process.epochs.head(&bench.tenant), Some(first + 2));
    for tag in one.tags.iter().chain([&quiet]) {
        assert!(!process.epochs.is_current(&bench.tenant, first, [tag]), "{tag:?} was read before");
        assert!(process.epochs.is_current(&bench.tenant, first + 2, [tag]));
    }
    process.announcer.announce(&bench.tenant, std::slice::from_ref(one)).await;
    assert_eq!(process.epochs.head(&bench.tenant), Some(first + 2));
}
