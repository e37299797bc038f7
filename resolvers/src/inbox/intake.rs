//! The way onto disk: deliveries that come while the last flush runs share the next one, so that the rate is bound by flushes times
//! group and not by one flush each. The queue for it is bounded; beyond that, a delivery is refused at once and the provider
//! sends it again.
//!
//! On SQLite they go to a log of our own (`log/`), and from there to the inbox's table; elsewhere to the table, in one transaction.

use std::{
    collections::{HashSet, VecDeque},
    io,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

pub use super::queue::IntakeError;
use super::{
    log::{self, Backlog, Log, Transfer},
    observer::InboxObserver,
    queue::{QueuedDelivery, RoomInUse, answer, group_of},
};
use crate::{
    bus::Wake,
    store::{
        Database,
        inbox::{Inserted, row::DeliveryRow},
    },
};

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

/// Where deliveries are handed in.
#[derive(Debug)]
pub struct Intake {
    /// Nothing once it is closed.
    queue: Mutex<Option<mpsc::Sender<QueuedDelivery>>>,
    held: Arc<Mutex<RoomInUse>>,
    room: Room,
    backlog: Backlog,
    remembered: Option<Mutex<Remembered>>,
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

/// Writes to the inbox's table: to be run in a task, one clone at a time.
#[derive(Clone)]
pub struct Writer {
    database: Database,
    queue: Arc<tokio::sync::Mutex<mpsc::Receiver<QueuedDelivery>>>,
    wake: Wake,
    observer: Arc<dyn InboxObserver>,
}

impl Intake {
    /// An intake that writes to the inbox's table, and its writer.
    pub fn new(database: Database, room: Room, wake: Wake, observer: Arc<dyn InboxObserver>) -> (Self, Writer) {
        let (sender, queue) = mpsc::channel(room.deliveries.max(1));
        let intake = Self::over(sender, room, Backlog::default(), None);
        (intake, Writer { database, queue: Arc::new(queue.into()), wake, observer })
    }

    /// An intake that writes to a log, and what takes deliveries from there to the inbox.
    pub fn logged(
        database: &Database,
        room: Room,
        log: Log,
        wake: Wake,
        observer: Arc<dyn InboxObserver>,
    ) -> io::Result<(Self, Transfer)> {
        let (sender, queue) = mpsc::channel(room.deliveries.max(1));
        let intake = Self::over(sender, room, log.backlog(), Some(Mutex::default()));
        let transfer = Transfer::new(&log, database.clone(), wake, Arc::clone(&observer));
        log::append(log, database.clone(), queue, observer)?;
        Ok((intake, transfer))
    }

    fn over(
        queue: mpsc::Sender<QueuedDelivery>,
        room: Room,
        backlog: Backlog,
        remembered: Option<Mutex<Remembered>>,
    ) -> Self {
        Self { queue: Mutex::new(Some(queue)), held: Arc::default(), room, backlog, remembered }
    }

    /// Stores a delivery; answers when it is on disk, or refused. It is stored even if nobody waits for the answer any more. With
    /// a log, not every duplicate is recognised here: the inbox knows them all.
    pub async fn store(&self, row: DeliveryRow) -> Result<Inserted, IntakeError> {
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
        let (queued, answer) = QueuedDelivery::new(row, &self.held, self.room.bytes).ok_or(IntakeError::Overloaded)?;
        let queue = self.queue.lock().clone().ok_or(IntakeError::Closed)?;
        queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IntakeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => IntakeError::Closed,
        })?;
        drop(queue);
        answer.await.unwrap_or(Err(IntakeError::Closed))
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
            let group = group_of(first, &mut queue);
            self.flush(group).await;
        }
    }

    async fn flush(&self, group: Vec<QueuedDelivery>) {
        let began = Instant::now();
        let (rows, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|queued| (queued.row, queued.answer)).unzip();
        let stored = self.database.insert_rows(rows).await;
        if let Ok(inserted) = &stored {
            self.observer.flushed(inserted.len(), began.elapsed());
            if inserted.iter().any(|inserted| matches!(inserted, Inserted::New(_))) {
                self.wake.wake();
            }
        }
        answer(answers, stored);
    }
}
