//! The newest activities of a feed, rendered: for all subscribers who keep up with the stream.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::Frame;

/// Rendered activities that are kept of the newest.
const KEPT: usize = 256;
/// Bytes of the newest activities that are kept, whatever a document selects of them.
const KEPT_BYTES: usize = 256 * 1024;

/// The newest activities, in the order of the stream.
pub(super) struct Ring {
    /// Everything that passes the filter after this position, up to `head`, is here.
    pub(super) start: i64,
    pub(super) head: i64,
    /// The count of changes heard when the stream was last read to its end: while it is the same, there is nothing more.
    pub(super) read_at: Option<u64>,
    frames: VecDeque<RingEntry>,
    /// The bytes of the frames.
    bytes: usize,
}

/// A rendered activity.
struct RingEntry {
    position: i64,
    frame: Frame,
    rendered_at: Instant,
}

impl Ring {
    /// An empty one that begins after a position.
    pub(super) fn new(start: i64) -> Self {
        Self { start, head: start, read_at: None, frames: VecDeque::new(), bytes: 0 }
    }

    /// The first activity after a position, with its own position.
    pub(super) fn after(&self, position: i64) -> Option<(i64, Frame)> {
        let at = self.frames.partition_point(|kept| kept.position <= position);
        self.frames.get(at).map(|kept| (kept.position, kept.frame.clone()))
    }

    /// Adds the newest one.
    pub(super) fn push(&mut self, position: i64, frame: Frame) {
        self.bytes += frame.payload.len();
        self.frames.push_back(RingEntry { position, frame, rendered_at: Instant::now() });
        // The newest is kept, however long it is: somebody has just asked for it.
        while self.frames.len() > KEPT || (self.frames.len() > 1 && self.bytes > KEPT_BYTES) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(dropped) = self.frames.pop_front() {
            self.bytes -= dropped.frame.payload.len();
            self.start = dropped.position;
        }
    }

    /// Drops what was rendered before a moment.
    pub(super) fn forget_before(&mut self, moment: Instant) {
        while self.frames.front().is_some_and(|kept| kept.rendered_at < moment) {
            self.drop_first();
        }
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }
}
