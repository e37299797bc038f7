//! The end that writes: a thread of its own, because a flush blocks whoever calls it. Deliveries that came during the last one
//! share the next.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use super::{Log, Position, record};
use crate::{
    inbox::{
        observer::InboxObserver,
        queue::{QueuedDelivery, answer, group_of},
    },
    store::{Database, StoreError, inbox::Inserted},
};

/// Bytes of a segment after which a new one is begun.
const SEGMENT: u64 = 16_000_000;
/// How long one is written to: what was pruned from the database is not to lie here for ever.
const LONGEST: Duration = Duration::from_hours(1);

/// Appends what waits, until the queue is closed and empty.
pub(in crate::inbox) fn append(
    log: Log,
    database: Database,
    mut queue: mpsc::Receiver<QueuedDelivery>,
    observer: Arc<dyn InboxObserver>,
) -> io::Result<()> {
    let mut writer = Writer { log, begun: Instant::now(), broken: false };
    let run = move || {
        while let Some(first) = queue.blocking_recv() {
            let (began, group) = (Instant::now(), group_of(first, &mut queue));
            let stored = catch_unwind(AssertUnwindSafe(|| writer.store(&database, &group)));
            let stored = stored.unwrap_or_else(|_| {
                // The next group begins another segment: nobody knows what is in this one.
                writer.broken = true;
                Err(io::Error::other("writing the inbox's log panicked").into())
            });
            if stored.is_ok() {
                observer.flushed(group.len(), began.elapsed());
            }
            answer(group.into_iter().map(|queued| queued.answer).collect(), stored);
        }
    };
    std::thread::Builder::new().name("mullion-inbox".to_owned()).spawn(run)?;
    Ok(())
}

struct Writer {
    log: Log,
    /// When the segment was begun.
    begun: Instant,
    /// After an error nobody knows what is in the file: nothing is appended to it any more.
    broken: bool,
}

impl Writer {
    /// Writes and flushes.
    fn store(&mut self, database: &Database, group: &[QueuedDelivery]) -> Result<Vec<Inserted>, StoreError> {
        // From a log whose database is gone, nothing would ever be applied.
        database.keeps_writes()?;
        let mut buffer = Vec::with_capacity(group.iter().map(|queued| queued.row.bytes()).sum());
        let mut inserted = Vec::with_capacity(group.len());
        for queued in group {
            let id = database.new_id()?;
            record::write(&mut buffer, &id, &queued.row)?;
            inserted.push(Inserted::New(id));
        }
        self.log.folder.renew()?;
        if self.is_gone()? {
            self.begin_again(&database.new_id()?)?;
        } else if self.broken || self.offset() >= SEGMENT || self.begun.elapsed() >= LONGEST {
            self.begin(&database.new_id()?)?;
        }
        if let Err(error) = self.log.file.write_all(&buffer) {
            // The part that was written is cut off again, so that a full disk does not fill with segments.
            self.broken = self.log.file.set_len(self.offset()).is_err();
            return Err(error.into());
        }
        let bytes = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        self.log.backlog.grow(bytes);
        // They are on their way to the database while the disk is busy with the flush: there they do no harm, whatever becomes of it.
        self.log.end.send_modify(|end| end.offset += bytes);
        let flushed = self.log.file.sync_data();
        self.broken = flushed.is_err();
        Ok(flushed.map(|()| inserted)?)
    }

    /// Whether somebody deleted the segment: what is written to it is nowhere.
    #[cfg(unix)]
    fn is_gone(&self) -> io::Result<bool> {
        Ok(std::os::unix::fs::MetadataExt::nlink(&self.log.file.metadata()?) == 0)
    }

    /// Files that are open cannot be deleted.
    #[cfg(not(unix))]
    fn is_gone(&self) -> io::Result<bool> {
        Ok(false)
    }

    /// Bytes of the segment that were written.
    fn offset(&self) -> u64 {
        self.log.end.borrow().offset
    }

    /// Begins a segment with everything that was in the one that was deleted, as far as it is still open here: it was acknowledged.
    /// Deliveries that the database has already are recognised.
    fn begin_again(&mut self, name: &str) -> io::Result<()> {
        let mut kept = Vec::new();
        let mut old = &self.log.file;
        old.seek(SeekFrom::Start(0))?;
        old.take(self.offset()).read_to_end(&mut kept)?;
        let (segment, mut file) = self.log.folder.begin(name)?;
        file.write_all(&kept)?;
        file.sync_data()?;
        tracing::error!(
            bytes = kept.len(),
            "the inbox's log was deleted while the server runs; what was written last is in a new one, what was older and not in \
             the database yet is lost"
        );
        self.use_segment(segment, file, u64::try_from(kept.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn begin(&mut self, name: &str) -> io::Result<()> {
        let (segment, file) = self.log.folder.begin(name)?;
        self.use_segment(segment, file, 0);
        Ok(())
    }

    fn use_segment(&mut self, segment: String, file: File, offset: u64) {
        self.log.file = file;
        self.begun = Instant::now();
        self.broken = false;
        self.log.end.send_replace(Position { segment, offset });
    }
}
