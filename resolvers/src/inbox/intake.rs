//! The way onto disk: deliveries that come while the last flush runs share the next one, so that the rate is bound by flushes times
//! group and not by one flush each. What waits for it is bounded; beyond that, a delivery is refused at once and the provider sends
//! it again.
//!
//! On SQLite they go to a log of our own (`log/`), and from there to the inbox's table; elsewhere to the table, in one transaction.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    log::{self, Backlog, Log, Transfer},
    worker::Outcome,
};
use crate::{
    bus::Wake,
    error_chain::chain,
    store::{
        Database, StoreError,
        inbox::{Inserted, NewDelivery, row::DeliveryRow},
    },
};

/// Deliveries that share a transaction, at most: beyond it, sharing saves nothing more and the first wait for the last.
const GROUP: usize = 512;
/// Bytes of them, packed, after which no more is added.
const GROUP_BYTES: usize = 4_000_000;
/// An integration has no more of the room than one part in so many.
const PARTS: usize = 4;
/// Deliveries that are in the log and known by heart, so that one that comes again is not written again.
const REMEMBERED: usize = 65_536;

/// How much may wait to be written.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Deliveries.
    pub deliveries: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// Bytes of the log that are not in the inbox yet.
    pub log_bytes: u64,
}

/// Why a delivery is not on disk.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntakeError {
    /// Too much waits already.
    #[error("too many deliveries wait to be stored")]
    Overloaded,
    /// The process stops.
    #[error("the inbox is closed")]
    Closed,
    /// The database failed; the same for all that shared the transaction.
    #[error("a group of deliveries could not be stored")]
    Store(#[source] Arc<StoreError>),
}

/// Where deliveries are handed in.
#[derive(Debug)]
pub struct Intake {
    /// Nothing once it is closed.
    queue: Mutex<Option<mpsc::Sender<Waiting>>>,
    held: Arc<Mutex<Held>>,
    room: Room,
    backlog: Backlog,
    remembered: Option<Mutex<Remembered>>,
}

/// A delivery that waits to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) row: DeliveryRow,
    pub(super) asker: Asker,
}

/// Who waits for the answer, and the room that is taken until then.
#[derive(Debug)]
pub(super) struct Asker {
    answer: oneshot::Sender<Result<Inserted, IntakeError>>,
    _share: Share,
}

/// Bytes that wait, in all and of each integration.
#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    of: HashMap<String, usize>,
}

/// What one delivery takes of the room; given back when it is dropped.
#[derive(Debug)]
struct Share {
    held: Arc<Mutex<Held>>,
    integration: String,
    bytes: usize,
}

impl Share {
    /// Nothing where there is no room, or where the integration has a quarter of it already: a flood of one leaves room for the
    /// others. A delivery may be larger than that: it is taken when nothing else waits.
    fn take(held: &Arc<Mutex<Held>>, integration: &str, bytes: usize, room: usize) -> Option<Self> {
        let mut waiting = held.lock();
        let own = waiting.of.get(integration).copied().unwrap_or(0);
        let fits = waiting.bytes + bytes <= room && own + bytes <= room / PARTS || waiting.bytes == 0;
        if !fits {
            return None;
        }
        waiting.bytes += bytes;
        waiting.of.insert(integration.to_owned(), own + bytes);
        Some(Self { held: Arc::clone(held), integration: integration.to_owned(), bytes })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        held.bytes = held.bytes.saturating_sub(self.bytes);
        if let Some(own) = held.of.get_mut(&self.integration) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                held.of.remove(&self.integration);
            }
        }
    }
}

/// The newest deliveries of the log.
#[derive(Debug, Default)]
struct Remembered {
    known: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl Remembered {
    fn add(&mut self, fingerprint: [u8; 16]) {
        if self.known.insert(fingerprint) {
            self.order.push_back(fingerprint);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// A delivery and those behind it that can share its flush.
pub(super) fn with_others(first: Waiting, queue: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let mut bytes = first.row.bytes();
    let mut group = vec![first];
    while group.len() < GROUP
        && bytes < GROUP_BYTES
        && let Ok(next) = queue.try_recv()
    {
        bytes += next.row.bytes();
        group.push(next);
    }
    group
}

/// Tells a group what became of it. Whoever went away is not told; it is stored all the same.
pub(super) fn tell(group: Vec<Asker>, stored: Result<Vec<Inserted>, StoreError>) {
    match stored {
        Ok(inserted) => {
            for (asker, inserted) in group.into_iter().zip(inserted) {
                let _ = asker.answer.send(Ok(inserted));
            }
        }
        Err(error) => {
            let count = group.len();
            // Those who wait for the answer log it, each for its own delivery.
            tracing::debug!(error = %chain(&error), count, "deliveries could not be stored");
            let error = Arc::new(error);
            for asker in group {
                let _ = asker.answer.send(Err(IntakeError::Store(Arc::clone(&error))));
            }
        }
    }
}

/// Writes to the inbox's table: to be run in a task, one clone at a time.
#[derive(Clone)]
pub struct Writer {
    database: Database,
    queue: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>,
    wake: Wake,
    outcome: Arc<dyn Outcome>,
}

impl Intake {
    /// An intake that writes to the inbox's table, and its writer.
    pub fn new(database: Database, room: Room, wake: Wake, outcome: Arc<dyn Outcome>) -> (Self, Writer) {
        let (sender, queue) = mpsc::channel(room.deliveries.max(1));
        let intake = Self::over(sender, room, Backlog::default(), None);
        (intake, Writer { database, queue: Arc::new(queue.into()), wake, outcome })
    }

    /// An intake that writes to a log, and what takes deliveries from there to the inbox.
    pub fn logged(
        database: &Database,
        room: Room,
        log: Log,
        (wake, outcome): (Wake, Arc<dyn Outcome>),
    ) -> io::Result<(Self, Transfer)> {
        let (sender, queue) = mpsc::channel(room.deliveries.max(1));
        let intake = Self::over(sender, room, log.backlog(), Some(Mutex::default()));
        let transfer = Transfer::new(&log, database.clone(), (wake, Arc::clone(&outcome)));
        log::append(log, database.clone(), queue, outcome)?;
        Ok((intake, transfer))
    }

    fn over(queue: mpsc::Sender<Waiting>, room: Room, backlog: Backlog, remembered: Option<Mutex<Remembered>>) -> Self {
        Self { queue: Mutex::new(Some(queue)), held: Arc::default(), room, backlog, remembered }
    }

    /// Stores a delivery; answers when it is on disk, or refused. Who does not wait for the answer does not keep it from being
    /// stored. Of a log, not every duplicate is recognised here: the inbox knows them all.
    pub async fn store(&self, delivery: &NewDelivery) -> Result<Inserted, IntakeError> {
        let row = DeliveryRow::of(delivery).map_err(|error| IntakeError::Store(Arc::new(error)))?;
        let Some(remembered) = &self.remembered else { return self.hand_in(row).await };
        let fingerprint = row.fingerprint();
        if remembered.lock().known.contains(&fingerprint) {
            return Ok(Inserted::Duplicate);
        }
        if self.backlog.bytes() > self.room.log_bytes {
            return Err(IntakeError::Overloaded);
        }
        let inserted = self.hand_in(row).await?;
        remembered.lock().add(fingerprint);
        Ok(inserted)
    }

    async fn hand_in(&self, row: DeliveryRow) -> Result<Inserted, IntakeError> {
        let share =
            Share::take(&self.held, row.integration(), row.held(), self.room.bytes).ok_or(IntakeError::Overloaded)?;
        let (answer, told) = oneshot::channel();
        let queue = self.queue.lock().clone().ok_or(IntakeError::Closed)?;
        let asker = Asker { answer, _share: share };
        queue.try_send(Waiting { row, asker }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IntakeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => IntakeError::Closed,
        })?;
        drop(queue);
        told.await.unwrap_or(Err(IntakeError::Closed))
    }

    /// Takes nothing any more; what waits is still written.
    pub fn close(&self) {
        self.queue.lock().take();
    }

    /// Bytes of the log that are not in the inbox yet.
    pub(super) fn log_bytes(&self) -> u64 {
        self.backlog.bytes()
    }

    /// How many wait to be written.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }
}

impl Writer {
    /// Writes until the intake is closed or gone, and all that waited then.
    pub async fn run(self) {
        let mut queue = self.queue.lock().await;
        while let Some(first) = queue.recv().await {
            let group = with_others(first, &mut queue);
            self.flush(group).await;
        }
    }

    async fn flush(&self, group: Vec<Waiting>) {
        let began = Instant::now();
        let (rows, askers): (Vec<_>, Vec<_>) = group.into_iter().map(|waiting| (waiting.row, waiting.asker)).unzip();
        let stored = self.database.insert_rows(rows).await;
        if let Ok(inserted) = &stored {
            self.outcome.flushed(inserted.len(), began.elapsed());
            if inserted.iter().any(|inserted| matches!(inserted, Inserted::New(_))) {
                self.wake.wake();
            }
        }
        tell(askers, stored);
    }
}
