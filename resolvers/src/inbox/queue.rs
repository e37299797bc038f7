//! The queue of deliveries that wait to be written, the room that they take, and what a request is answered.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::{
    error_chain::chain,
    store::{
        StoreError,
        inbox::{Inserted, row::DeliveryRow},
    },
};

/// Deliveries that share a transaction, at most: beyond it, sharing saves nothing more and the first wait for the last.
const GROUP: usize = 512;
/// Bytes of them, packed, after which no more is added.
const GROUP_BYTES: usize = 4_000_000;
/// An integration has no more of the room than one part in so many.
const PARTS: usize = 4;

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

/// A delivery that waits to be written.
#[derive(Debug)]
pub(super) struct QueuedDelivery {
    pub(super) row: DeliveryRow,
    pub(super) answer: PendingAnswer,
}

/// The request that waits for its answer, and the room that its delivery takes until then.
#[derive(Debug)]
pub(super) struct PendingAnswer {
    sender: oneshot::Sender<Result<Inserted, IntakeError>>,
    _share: Share,
}

impl QueuedDelivery {
    /// A delivery with room of its own, and the answer to wait for; `None`: there is no room.
    pub(super) fn new(row: DeliveryRow, held: &Arc<Mutex<RoomInUse>>, room: usize) -> Option<(Self, Answer)> {
        let share = Share::take(held, row.integration(), row.held(), room)?;
        let (sender, answer) = oneshot::channel();
        Some((Self { row, answer: PendingAnswer { sender, _share: share } }, answer))
    }
}

/// The answer that a request waits for.
pub(super) type Answer = oneshot::Receiver<Result<Inserted, IntakeError>>;

/// Bytes that wait, in all and of each integration.
#[derive(Debug, Default)]
pub(super) struct RoomInUse {
    bytes: usize,
    of: HashMap<String, usize>,
}

/// The part of the room that one delivery takes; it is given back when this is dropped.
#[derive(Debug)]
struct Share {
    held: Arc<Mutex<RoomInUse>>,
    integration: String,
    bytes: usize,
}

impl Share {
    /// Nothing where there is no room, or where the integration has a quarter of it already: a flood of one leaves room for the
    /// others. A delivery may be larger than that: it is taken when nothing else waits.
    fn take(held: &Arc<Mutex<RoomInUse>>, integration: &str, bytes: usize, room: usize) -> Option<Self> {
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

/// A delivery and those of the queue that can share its flush.
pub(super) fn group_of(first: QueuedDelivery, queue: &mut mpsc::Receiver<QueuedDelivery>) -> Vec<QueuedDelivery> {
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

/// Answers a group. A request that is gone is not answered; its delivery is stored all the same.
pub(super) fn answer(group: Vec<PendingAnswer>, stored: Result<Vec<Inserted>, StoreError>) {
    match stored {
        Ok(inserted) => {
            for (pending, inserted) in group.into_iter().zip(inserted) {
                let _ = pending.sender.send(Ok(inserted));
            }
        }
        Err(error) => {
            let count = group.len();
            // Each request logs it for its own delivery.
            tracing::debug!(error = %chain(&error), count, "deliveries could not be stored");
            let error = Arc::new(error);
            for pending in group {
                let _ = pending.sender.send(Err(IntakeError::Store(Arc::clone(&error))));
            }
        }
    }
}
