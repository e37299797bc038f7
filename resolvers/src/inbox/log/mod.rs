//! The log before the inbox, on SQLite: deliveries are appended to a file and acknowledged when that is flushed. From there they go
//! to the inbox's table, as many at a time as the database takes, so that no delivery waits for the database to be free. A
//! crash is no special case: as after an append, reading goes on from the mark that the database holds.
//!
//! A folder of segments, named by the order in which they were begun. The last is written to; those that the mark has left behind
//! are deleted.

mod append;
#[cfg(test)]
mod broken;
mod read_ahead;
mod record;
mod segments;
#[cfg(test)]
mod tests;
mod transfer;

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

pub(super) use self::append::append;
use self::segments::Folder;
pub use self::{read_ahead::Interpreter, transfer::Transfer};

/// A place in the log: everything before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    /// The segment.
    segment: String,
    /// Bytes of it.
    offset: u64,
}

/// The log of this process.
pub struct Log {
    folder: Folder,
    /// The segment that is written to.
    file: File,
    /// The bytes that are not in the database yet.
    backlog: Backlog,
    /// Up to where it was written, though not flushed yet.
    end: watch::Sender<Position>,
}

/// Bytes of the log that are not in the database yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog(Arc<AtomicU64>);

impl Backlog {
    fn grow(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }

    fn shrink(&self, bytes: u64) {
        let less = |held: u64| Some(held.saturating_sub(bytes));
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// Sets the number of bytes.
    fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Release);
    }

    /// How many.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Log {
    /// The log in this folder, which is made where it is missing; no other process may have it. `name`: that of the segment to
    /// begin, greater than those before unless the clock was set back.
    pub fn open(folder: &Path, name: &str) -> io::Result<Self> {
        let folder = Folder::open(folder)?;
        let backlog = Backlog::default();
        backlog.grow(folder.bytes()?);
        let (segment, file) = folder.begin(name)?;
        let (end, _) = watch::channel(Position { segment, offset: 0 });
        Ok(Self { folder, file, backlog, end })
    }

    /// The bytes in it that are not in the database yet.
    pub(super) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }
}
