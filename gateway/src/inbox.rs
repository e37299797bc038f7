//! The inbox behind the webhook endpoints: the intake, the consumer that takes deliveries on from there, and the worker of those
//! that wait.

use std::sync::Arc;

use anyhow::Context;
use mullion_resolvers::{
    bus::Wake,
    clock::Clock,
    inbox::{
        Gaps, InboxObserver,
        intake::{Intake, Room, Writer},
        log::{Log, Transfer},
        worker::{self, Meaning, Surroundings, Worker},
    },
    store::Database,
    upstream::Jitter,
};

use crate::{config::Webhooks, data_folder};

/// The parts of the process that deliveries have to do with.
pub(crate) struct Parts {
    /// Wakes the worker.
    pub(crate) wake: Wake,
    /// Counts what comes of deliveries.
    pub(crate) observer: Arc<dyn InboxObserver>,
    /// Notes deliveries that may have been missed.
    pub(crate) gaps: Arc<Gaps>,
    /// The clock.
    pub(crate) clock: Arc<dyn Clock>,
}

/// Takes deliveries on from the intake.
#[derive(Clone)]
pub(crate) enum Consumer {
    /// Writes them to the table.
    Table(Writer),
    /// Takes them there from the log.
    Log(Transfer),
}

impl Consumer {
    /// Runs until nothing comes any more.
    pub(crate) async fn run(self) {
        match self {
            Self::Table(writer) => writer.run().await,
            Self::Log(transfer) => transfer.run().await,
        }
    }
}

/// The way into the inbox: on SQLite through a log beside its file.
pub(crate) fn intake(config: &Webhooks, database: &Database, parts: &Parts) -> anyhow::Result<(Intake, Consumer)> {
    let room = Room { deliveries: config.max_queued, bytes: config.max_queued_bytes, log_bytes: config.max_log_bytes };
    let (wake, observer) = (parts.wake.clone(), Arc::clone(&parts.observer));
    let Some(file) = database.file() else {
        let (intake, writer) = Intake::new(database.clone(), room, wake, observer);
        return Ok((intake, Consumer::Table(writer)));
    };
    let folder = data_folder::inbox_folder(file);
    let name = database.new_id().context("no id can be made")?;
    let log = Log::open(&folder, &name).context("the inbox's log cannot be opened")?;
    let (intake, transfer) =
        Intake::logged(database, room, log, wake, observer).context("the inbox's log cannot be written")?;
    Ok((intake, Consumer::Log(transfer)))
}

/// The consumer, which interprets deliveries where that is possible, and the worker.
pub(crate) fn workers(
    meaning: Meaning,
    database: &Database,
    consumer: Consumer,
    parts: Parts,
    webhooks: &Webhooks,
) -> anyhow::Result<(Consumer, Worker)> {
    let meaning = Arc::new(meaning);
    let consumer = match consumer {
        Consumer::Log(transfer) => Consumer::Log(transfer.understanding(Arc::clone(&meaning) as _)),
        Consumer::Table(writer) => Consumer::Table(writer),
    };
    let Parts { wake, observer, gaps, clock } = parts;
    let around = Surroundings { wake, observer, clock, jitter: Jitter::random(), gaps };
    // One reads and interprets while the other writes: there is one writer.
    let parallel = if database.is_sqlite() { 2 } else { webhooks.workers };
    let rules = worker::Rules { max_attempts: webhooks.max_attempts, parallel };
    let worker = Worker::new(database.clone(), meaning, around, rules).context("no worker can be made")?;
    Ok((consumer, worker))
}
