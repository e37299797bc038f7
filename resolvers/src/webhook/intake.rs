//! The way onto disk: one task writes all deliveries of this process, those that came while the last flush ran in one transaction,
//! so that the rate is bound by flushes times group and not by one flush each. What waits for it is bounded; beyond that, a
//! delivery is refused at once and the provider sends it again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Wake, worker::Outcome};
use crate::store::{
    Database, StoreError,
    inbox::{Inserted, NewDelivery},
};

/// Deliveries that share a transaction, at most: beyond it, sharing saves nothing more and the first wait for the last.
const GROUP: usize = 512;

/// How much may wait to be written.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Deliveries.
    pub deliveries: usize,
    /// Bytes of them.
    pub bytes: usize,
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
    queue: mpsc::Sender<Waiting>,
    bytes: Arc<AtomicUsize>,
    room: Room,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Waiting {
    delivery: NewDelivery,
    share: Share,
    answer: oneshot::Sender<Result<Inserted, IntakeError>>,
}

/// Bytes that wait; given back when it is dropped.
#[derive(Debug)]
struct Share {
    of: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// The writing end: to be run in a task.
pub struct Writer {
    database: Database,
    queue: mpsc::Receiver<Waiting>,
    wake: Wake,
    outcome: Arc<dyn Outcome>,
    closing: CancellationToken,
}

impl Intake {
    /// An intake and its writer.
    pub fn new(database: Database, room: Room, wake: Wake, outcome: Arc<dyn Outcome>) -> (Self, Writer) {
        let (queue, receiver) = mpsc::channel(room.deliveries.max(1));
        let closing = CancellationToken::new();
        let writer = Writer { database, queue: receiver, wake, outcome, closing: closing.clone() };
        (Self { queue, bytes: Arc::default(), room, closing }, writer)
    }

    /// Stores a delivery; answers when it is on disk, or refused. Who does not wait for the answer does not keep it from being
    /// stored.
    pub async fn store(&self, delivery: NewDelivery) -> Result<Inserted, IntakeError> {
        let share = self.share(delivery.bytes()).ok_or(IntakeError::Overloaded)?;
        let (answer, told) = oneshot::channel();
        self.queue.try_send(Waiting { delivery, share, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IntakeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => IntakeError::Closed,
        })?;
        told.await.unwrap_or(Err(IntakeError::Closed))
    }

    /// Takes nothing any more; what waits is still written.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// How many wait to be written.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// One delivery may be larger than the room: it is taken when nothing else waits.
    fn share(&self, bytes: usize) -> Option<Share> {
        let room = self.room.bytes;
        let fits = |waiting: usize| (waiting == 0 || waiting + bytes <= room).then_some(waiting + bytes);
        self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(Share { of: Arc::clone(&self.bytes), bytes })
    }
}

impl Writer {
    /// Writes until the intake is closed or gone, and all that waited then.
    pub async fn run(mut self) {
        let mut group = Vec::new();
        let mut closed = false;
        loop {
            let came = tokio::select! {
                came = self.queue.recv_many(&mut group, GROUP) => came,
                () = self.closing.cancelled(), if !closed => {
                    self.queue.close();
                    closed = true;
                    continue;
                }
            };
            if came == 0 {
                return;
            }
            self.flush(std::mem::take(&mut group)).await;
        }
    }

    async fn flush(&self, group: Vec<Waiting>) {
        let began = Instant::now();
        let mut deliveries = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        for Waiting { delivery, share, answer } in group {
            deliveries.push(delivery);
            answers.push((answer, share));
        }
        let count = deliveries.len();
        match self.database.insert_deliveries(deliveries).await {
            Ok(inserted) => {
                self.outcome.flushed(count, began.elapsed());
                if inserted.iter().any(|inserted| matches!(inserted, Inserted::New(_))) {
                    self.wake.wake();
                }
                for ((answer, _), inserted) in answers.into_iter().zip(inserted) {
                    // Whoever went away is not told; it is stored all the same.
                    let _ = answer.send(Ok(inserted));
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, count, "deliveries could not be stored");
                let error = Arc::new(error);
                for (answer, _) in answers {
                    let _ = answer.send(Err(IntakeError::Store(Arc::clone(&error))));
                }
            }
        }
    }
}
