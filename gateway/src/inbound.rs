//! The way of deliveries behind the webhook endpoints: the intake, who takes them on from there, and who works what waits.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use mullion_resolvers::{
    store::Database,
    webhook::{
        Wake,
        intake::{Intake, Room, Writer},
        log::{Log, Transfer},
        worker::{self, Meaning, Outcome, Surroundings, Worker},
    },
};

use crate::config::Webhooks;

/// Who takes deliveries on from the intake.
pub(crate) enum Taker {
    /// Writes them to the table.
    Table(Writer),
    /// Takes them there from the log.
    Log(Transfer),
}

impl Taker {
    /// The same; what can be understood on the way is applied as it is stored.
    pub(crate) fn understanding(self, meaning: &Arc<Meaning>) -> Self {
        match self {
            Self::Log(transfer) => Self::Log(transfer.understanding(Arc::clone(meaning) as _)),
            Self::Table(writer) => Self::Table(writer),
        }
    }

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
    let mut folder = file.as_os_str().to_owned();
    folder.push("-inbox");
    let name = database.new_id().context("no id can be made")?;
    let log = Log::open(Path::new(&folder), &name).context("the inbox's log cannot be opened")?;
    let (intake, transfer) =
        Intake::logged(database, room, log, (wake, outcome)).context("the inbox's log cannot be written")?;
    Ok((intake, Taker::Log(transfer)))
}

/// Who works the inbox.
pub(crate) fn worker(
    database: &Database,
    meaning: Arc<Meaning>,
    around: Surroundings,
    webhooks: &Webhooks,
) -> anyhow::Result<Worker> {
    // One reads and interprets while the other writes: there is one writer.
    let parallel = if database.is_sqlite() { 2 } else { webhooks.workers };
    let rules = worker::Rules { max_attempts: webhooks.max_attempts, parallel };
    Worker::new(database.clone(), meaning, around, rules).context("no worker can be made")
}
