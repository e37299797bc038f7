//! The stop-watch: when each delivery was sent, and how long until each socket saw it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::figures::{Histogram, Spread, long};

/// The text before the number of a delivery, in titles and summaries.
pub(crate) const MARK: &str = "Title of delivery ";
/// Digits of the number, always as many, so that frames keep their length.
const DIGITS: usize = 8;
/// Most deliveries of one run.
const DELIVERIES: usize = 1 << 20;

/// The title that delivery `number` brings.
pub(crate) fn title(number: u64) -> String {
    format!("{MARK}{number:0DIGITS$}")
}

/// How a socket's frames tell of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    /// The latest state: a frame with the title of one delivery stands for those before it.
    Latest,
    /// Each delivery has a frame of its own.
    Each,
}

/// Filled by all sockets at once.
pub(crate) struct Watch {
    epoch: Instant,
    tells: Tells,
    /// Nanoseconds since the epoch, by number of delivery; 0: not sent.
    sent: Box<[AtomicU64]>,
    /// The latest delivery that each socket has seen.
    latest: Box<[AtomicU64]>,
    /// Deliveries before this one are not timed.
    from: AtomicU64,
    latency: Histogram,
    frames: AtomicU64,
    gone: AtomicU64,
}

impl Watch {
    pub(crate) fn new(sockets: usize, tells: Tells) -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            epoch: Instant::now(),
            tells,
            sent: zeros(DELIVERIES),
            latest: zeros(sockets),
            from: AtomicU64::new(0),
            latency: Histogram::new(),
            frames: AtomicU64::new(0),
            gone: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Forgets the times; deliveries from `number` on are timed.
    pub(crate) fn begin(&self, number: u64) {
        self.from.store(number, Ordering::Relaxed);
        self.latency.clear();
    }

    /// This delivery is due now.
    pub(crate) fn sent(&self, number: u64) {
        self.due(number, Duration::ZERO);
    }

    /// This delivery was due so long ago.
    pub(crate) fn due(&self, number: u64, ago: Duration) {
        if let Some(sent) = usize::try_from(number).ok().and_then(|number| self.sent.get(number)) {
            let ago = u64::try_from(ago.as_nanos()).unwrap_or_default();
            sent.store(self.now().saturating_sub(ago), Ordering::Relaxed);
        }
    }

    /// A socket got a frame; `place` is where the mark stood in its last one.
    pub(crate) fn frame(&self, socket: usize, place: &mut usize, text: &str) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        let (Some(number), Some(latest)) = (number_in(text, place), self.latest.get(socket)) else { return };
        let now = self.now();
        let before = latest.load(Ordering::Relaxed);
        let new = match self.tells {
            Tells::Latest => before + 1..=number,
            Tells::Each => number..=number,
        };
        latest.store(before.max(number), Ordering::Relaxed);
        for each in (*new.start()).max(self.from.load(Ordering::Relaxed))..=*new.end() {
            let sent = usize::try_from(each).ok().and_then(|each| self.sent.get(each));
            match sent.map_or(0, |sent| sent.load(Ordering::Relaxed)) {
                0 => {}
                sent => self.latency.record(now.saturating_sub(sent)),
            }
        }
    }

    pub(crate) fn gone(&self) {
        self.gone.fetch_add(1, Ordering::Relaxed);
    }

    /// Sockets that were closed or broke.
    pub(crate) fn lost_sockets(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    pub(crate) fn latency(&self) -> Spread {
        self.latency.spread()
    }

    /// How many times were taken.
    pub(crate) fn timed(&self) -> u64 {
        self.latency.count()
    }

    /// Sockets that have not seen this delivery or a later one.
    pub(crate) fn behind(&self, number: u64) -> u64 {
        long(self.latest.iter().filter(|latest| latest.load(Ordering::Relaxed) < number).count())
    }

    /// Until no more than `allowed` sockets are behind; whether patience lasted.
    pub(crate) async fn caught_up(&self, number: u64, allowed: u64, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.behind(number) > allowed {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }
}

/// The number behind the mark; looked for where it stood last, then everywhere.
pub(crate) fn number_in(text: &str, place: &mut usize) -> Option<u64> {
    if !text.get(*place..).is_some_and(|rest| rest.starts_with(MARK)) {
        *place = text.find(MARK)?;
    }
    let begin = *place + MARK.len();
    text.get(begin..begin + DIGITS)?.parse().ok()
}
