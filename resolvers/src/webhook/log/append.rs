//! The end that writes: a thread of its own, because a flush blocks whoever calls it. What came while the last one ran shares the
//! next.

use std::{fs::File, io, io::Write as _, sync::Arc, time::Duration};

use tokio::{sync::mpsc, sync::watch, time::Instant};

use super::{Backlog, Log, Position, record, segments::Folder};
use crate::{
    store::{Database, StoreError, inbox::Inserted},
    webhook::{
        intake::{IntakeError, Waiting, with_others},
        worker::Outcome,
    },
};

/// Bytes of a segment after which a new one is begun.
const SEGMENT: u64 = 16_000_000;
/// How long one is written to: what was pruned from the database is not to lie here for ever.
const LONGEST: Duration = Duration::from_hours(1);

/// Appends what waits, until the queue is closed and empty.
pub(in crate::webhook) fn append(
    log: Log,
    database: Database,
    mut queue: mpsc::Receiver<Waiting>,
    outcome: Arc<dyn Outcome>,
) -> io::Result<()> {
    let Log { folder, file, backlog, end } = log;
    let at = end.borrow().clone();
    let mut writer = Writer { folder, backlog, end, file, at, begun: Instant::now(), broken: false };
    let run = move || {
        while let Some(first) = queue.blocking_recv() {
            let (began, group) = (Instant::now(), with_others(first, &mut queue));
            let written = writer.store(&database, &group);
            if written.is_ok() {
                outcome.flushed(group.len(), began.elapsed());
            }
            tell(group, written);
        }
    };
    std::thread::Builder::new().name("mullion-inbox".to_owned()).spawn(run)?;
    Ok(())
}

/// Whoever went away is not told; it is stored all the same.
fn tell(group: Vec<Waiting>, written: Result<Vec<String>, StoreError>) {
    match written {
        Ok(ids) => {
            for (waiting, id) in group.into_iter().zip(ids) {
                let _ = waiting.answer.send(Ok(Inserted::New(id)));
            }
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "deliveries could not be stored");
            let error = Arc::new(error);
            for waiting in group {
                let _ = waiting.answer.send(Err(IntakeError::Store(Arc::clone(&error))));
            }
        }
    }
}

struct Writer {
    folder: Folder,
    backlog: Backlog,
    end: watch::Sender<Position>,
    file: File,
    at: Position,
    begun: Instant,
    /// After an error nobody knows what is in the file: nothing is appended to it any more.
    broken: bool,
}

impl Writer {
    /// Writes and flushes; the ids that the deliveries got.
    fn store(&mut self, database: &Database, group: &[Waiting]) -> Result<Vec<String>, StoreError> {
        let mut buffer = Vec::with_capacity(group.iter().map(|waiting| waiting.row.bytes()).sum());
        let mut ids = Vec::with_capacity(group.len());
        for waiting in group {
            let id = database.new_id()?;
            record::write(&mut buffer, &id, &waiting.row)?;
            ids.push(id);
        }
        if self.broken || self.at.offset >= SEGMENT || self.begun.elapsed() >= LONGEST {
            self.begin(&database.new_id()?)?;
        }
        if let Err(error) = self.file.write_all(&buffer) {
            // What was begun is cut off again, so that a full disk does not fill with segments.
            self.broken = self.file.set_len(self.at.offset).is_err();
            return Err(error.into());
        }
        let bytes = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        self.backlog.grow(bytes);
        self.at.offset += bytes;
        // They are on their way to the database while the disk is busy with the flush: there they do no harm, whatever becomes of it.
        self.end.send_replace(self.at.clone());
        let flushed = self.file.sync_data();
        self.broken = flushed.is_err();
        Ok(flushed.map(|()| ids)?)
    }

    fn begin(&mut self, name: &str) -> io::Result<()> {
        let (segment, file) = self.folder.begin(name)?;
        self.file = file;
        self.begun = Instant::now();
        self.at = Position { segment, offset: 0 };
        self.broken = false;
        Ok(())
    }
}
