//! Connections on which no request runs: new ones that have not said what they want, and old ones that may or may not ask again.
//! They cost memory and an open file, and nothing is lost with one of them. So there may be only so many, and when there are,
//! the one that has waited longest makes room for the next: who floods the server with connections that say nothing, or half of
//! it, drives out the own ones.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// As long as that, each may wait: a burst of clients that come back at once, and of whom each is about to ask, drives out nobody.
const AT_LEAST: Duration = Duration::from_secs(1);

/// The connections of one listener that wait for a request.
#[derive(Debug)]
pub(super) struct Waiting {
    most: usize,
    queue: Mutex<Queue>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    /// Longest first.
    seats: BTreeMap<u64, (Instant, CancellationToken)>,
}

/// A connection, waiting or not. It ends with it.
#[derive(Debug)]
pub(super) struct Seat {
    waiting: Arc<Waiting>,
    /// Fires when it has to make room.
    leave: CancellationToken,
    number: Mutex<Option<u64>>,
}

/// A request that runs: its connection waits again when the answer was given, or given up.
#[derive(Debug)]
pub(super) struct Request(Weak<Seat>);

impl Waiting {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), queue: Mutex::default(), left: Notify::new() })
    }

    /// Waits until there is room for one more, and makes it where somebody has waited for long enough.
    pub(super) async fn room(&self) {
        loop {
            let left = self.left.notified();
            let due = {
                let mut queue = self.queue.lock();
                if queue.seats.len() < self.most {
                    return;
                }
                let Some(longest) = queue.seats.first_entry() else { return };
                let due = longest.get().0 + AT_LEAST;
                if due <= Instant::now() {
                    longest.remove().1.cancel();
                    return;
                }
                due
            };
            tokio::select! {
                () = left => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    fn sit(&self, leave: &CancellationToken) -> u64 {
        let mut queue = self.queue.lock();
        let number = queue.next;
        queue.next += 1;
        queue.seats.insert(number, (Instant::now(), leave.clone()));
        number
    }

    fn leave(&self, number: u64) {
        self.queue.lock().seats.remove(&number);
        self.left.notify_one();
    }
}

impl Seat {
    /// A connection that was just accepted.
    pub(super) fn new(waiting: &Arc<Waiting>) -> Arc<Self> {
        let leave = CancellationToken::new();
        let number = Mutex::new(Some(waiting.sit(&leave)));
        Arc::new(Self { waiting: Arc::clone(waiting), leave, number })
    }

    /// Ends when it has to make room.
    pub(super) fn must_leave(&self) -> CancellationToken {
        self.leave.clone()
    }

    /// A request came: nobody drives it out until it is answered.
    pub(super) fn asks(self: &Arc<Self>) -> Request {
        self.stand();
        Request(Arc::downgrade(self))
    }

    fn stand(&self) {
        if let Some(number) = self.number.lock().take() {
            self.waiting.leave(number);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.stand();
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(seat) = self.0.upgrade() {
            let number = seat.waiting.sit(&seat.leave);
            *seat.number.lock() = Some(number);
        }
    }
}

/// The body of an answer; the request runs until it is gone.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    _request: Request,
}

impl Answer {
    pub(super) fn new(body: Body, request: Request) -> Self {
        Self { body, _request: request }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
