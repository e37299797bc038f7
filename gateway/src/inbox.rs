//! The way of deliveries behind the webhook endpoints: the intake, who takes them on from there, and who works what waits.

use std::sync::Arc;

use anyhow::Context;
use mullion_resolvers::{
    answers::Services,
    reconcile::Gaps,
    store::Database,
    upstream::Jitter,
    webhook::{
        Wake,
        intake::{Intake, Room, Writer},
        log::{Log, Transfer},
        worker::{self, Meaning, Outcome, Surroundings, Worker},
    },
};

use crate::{config::Webhooks, data_folder};

/// Takes deliveries on from the intake.
#[derive(Clone)]
pub(crate) enum Taker {
    /// Writes them to the table.
    Table(Writer),
    /// Takes them there from the log.
    Log(Transfer),
}

impl Taker {
    /// Runs until nothing comes any more.
    pub(crate) async fn run(self) {
        match self {
            Self::Table(writer) => writer.run().await,
            Self::Log(transfer) => transfer.run().await,
        }
    }
}

/// The way into the inbox: on SQLite through a log beside its file.
pub(crate) fn intake(
    config: &Webhooks,
    database: &Database,
    (wake, outcome): (Wake, Arc<dyn Outcome>),
) -> anyhow::Result<(Intake, Taker)> {
    let room = Room { deliveries: config.max_queued, bytes: config.max_queued_bytes, log_bytes: config.max_log_bytes };
    let Some(file) = database.file() else {
        let (intake, writer) = Intake::new(database.clone(), room, wake, outcome);
        return Ok((intake, Taker::Table(writer)));
    };
    let folder = data_folder::inbox_folder(file);
    let name = database.new_id().context("no id can be made")?;
    let log = Log::open(&folder, &name).context("the inbox's log cannot be opened")?;
    let (intake, transfer) =
        Intake::logged(database, room, log, (wake, outcome)).context("the inbox's log cannot be written")?;
    Ok((intake, Taker::Log(transfer)))
}

/// Who takes deliveries on, understanding them where that is possible, and who works what waits.
pub(crate) fn hands(
    services: &Arc<Services>,
    taker: Taker,
    (wake, outcome, gaps): (Wake, Arc<dyn Outcome>, Arc<Gaps>),
    webhooks: &Webhooks,
) -> anyhow::Result<(Taker, Worker)> {
    let meaning = Arc::new(Meaning(Arc::clone(services)));
    let taker = match taker {
        Taker::Log(transfer) => Taker::Log(transfer.understanding(Arc::clone(&meaning) as _)),
        Taker::Table(writer) => Taker::Table(writer),
    };
    let around = Surroundings { wake, outcome, clock: Arc::clone(&services.clock), jitter: Jitter::random(), gaps };
    // One reads and interprets while the other writes: there is one writer.
    let parallel = if services.database.is_sqlite() { 2 } else { webhooks.workers };
    let rules = worker::Rules { max_attempts: webhooks.max_attempts, parallel };
    let worker = Worker::new(services.database.clone(), meaning, around, rules).context("no worker can be made")?;
    Ok((taker, worker))
}
