//! The end that reads: takes deliveries from the log to the inbox's table, with the mark of how far it came in the same
//! transaction. So each is taken once, whenever the process dies; one that were read twice would be known by its key.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Backlog, Log, Position,
    record::{self, Record, Unread},
    segments::Folder,
};
use crate::{
    store::{
        Database, StoreError,
        inbox::{Inserted, row::DeliveryRow},
    },
    webhook::Wake,
};

/// The setting that holds the mark.
const MARK: &str = "mark of the inbox's log";
/// Deliveries that are taken in one transaction.
const GROUP: usize = 256;
/// Bytes that are read in one go; more where one record is longer.
const CHUNK: u64 = 1_000_000;
/// How long to wait after the database or the disk failed.
const RETRY: Duration = Duration::from_secs(1);
/// Groups that are taken after the last was written.
const LAST: usize = 8;

/// Takes deliveries to the inbox: to be run in a task.
pub struct Transfer {
    folder: Folder,
    backlog: Backlog,
    end: watch::Receiver<Position>,
    database: Database,
    wake: Wake,
    /// Whether the mark was looked for before.
    begun: bool,
}

/// What was read.
struct Group {
    rows: Vec<(String, DeliveryRow)>,
    /// Where to read on.
    next: Position,
    /// Bytes that lie behind now.
    bytes: u64,
}

impl Transfer {
    pub(in crate::webhook) fn new(log: &Log, database: Database, wake: Wake) -> Self {
        let (folder, backlog, end) = (log.folder.clone(), log.backlog.clone(), log.end.subscribe());
        Self { folder, backlog, end, database, wake, begun: false }
    }

    /// Takes what lies in the log, from before this process and from now on, until nothing is written any more.
    pub async fn run(mut self) {
        let mut at = None;
        let mut last = LAST;
        while last > 0 {
            // Nothing is written any more: what is left is for the next process.
            last -= usize::from(self.end.has_changed().is_err());
            match self.step(&mut at).await {
                Ok(true) => {}
                Ok(false) => {
                    if self.end.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "deliveries stay in the inbox's log; it is tried again"
                    );
                    at = None;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Takes some; whether there was anything.
    pub(super) async fn step(&mut self, at: &mut Option<Position>) -> Result<bool, StoreError> {
        let from = match at {
            Some(at) => at.clone(),
            None => at.insert(self.mark().await?).clone(),
        };
        let (folder, begin, end) = (self.folder.clone(), from.clone(), self.end.borrow_and_update().clone());
        let group = tokio::task::spawn_blocking(move || read(&folder, &begin, &end)).await;
        let Group { rows, next, bytes } = group.map_err(io::Error::other)??;
        if next == from {
            return Ok(false);
        }
        let mark = format!("{}:{}", next.segment, next.offset);
        let inserted = self.database.insert_named(rows, Some((MARK, &mark))).await?;
        if inserted.iter().any(|inserted| matches!(inserted, Inserted::New(_))) {
            self.wake.wake();
        }
        self.backlog.shrink(bytes);
        if next.segment != from.segment {
            self.forget_before(&next.segment);
        }
        *at = Some(next);
        Ok(true)
    }

    /// Where to begin: at the mark, or at the oldest segment where the mark's is gone.
    async fn mark(&mut self) -> Result<Position, StoreError> {
        let mark = self.database.setting(MARK).await?;
        let marked = mark.as_deref().and_then(|mark| mark.split_once(':'));
        let names = self.folder.names()?;
        if let Some((segment, offset)) = marked
            && names.iter().any(|name| name == segment)
            && let Ok(offset) = offset.parse()
        {
            if !std::mem::replace(&mut self.begun, true) {
                let before = self.folder.bytes()?;
                self.forget_before(segment);
                self.backlog.shrink(before.saturating_sub(self.folder.bytes()?) + offset);
            }
            return Ok(Position { segment: segment.to_owned(), offset });
        }
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the inbox's log has no segments");
        Ok(Position { segment: names.into_iter().next().ok_or_else(missing)?, offset: 0 })
    }

    fn forget_before(&self, segment: &str) {
        if let Err(error) = self.folder.delete_before(segment) {
            tracing::warn!(%error, "what the database has of the inbox's log was not deleted");
        }
    }
}

/// Reads what follows a position, up to where the log was written.
fn read(folder: &Folder, at: &Position, end: &Position) -> io::Result<Group> {
    let mut file = folder.read(&at.segment)?;
    let is_last = at.segment == end.segment;
    let until = if is_last { end.offset } else { file.metadata()?.len() };
    let left = until.saturating_sub(at.offset);
    file.seek(SeekFrom::Start(at.offset))?;
    let mut bytes = Vec::new();
    file.by_ref().take(left.min(CHUNK)).read_to_end(&mut bytes)?;
    match record::read(&bytes) {
        Err(Unread::Part(whole)) => {
            let more = u64::try_from(whole.saturating_sub(bytes.len())).unwrap_or(0);
            file.take(more.min(left.saturating_sub(CHUNK))).read_to_end(&mut bytes)?;
        }
        Err(Unread::Foreign) => {
            let foreign =
                "the inbox's log was written by another version of Mullion: run that one until the log is empty";
            return Err(io::Error::new(io::ErrorKind::InvalidData, foreign));
        }
        Err(Unread::Broken) | Ok(_) => {}
    }
    let (rows, used) = records(&bytes);
    let used = u64::try_from(used).unwrap_or(u64::MAX);
    if !rows.is_empty() || left == 0 && is_last {
        let next = Position { offset: at.offset + used, ..at.clone() };
        return Ok(Group { rows, next, bytes: used });
    }
    if left > 0 {
        // Of a segment that a dying process left, what was not flushed and so not acknowledged; anything else is damage.
        tracing::error!(segment = at.segment, offset = at.offset, left, "a part of the inbox's log is no delivery");
        if let Some(size) = record::damaged(&bytes).and_then(|size| u64::try_from(size).ok()) {
            return Ok(Group { rows, next: Position { offset: at.offset + size, ..at.clone() }, bytes: size });
        }
    }
    let next = if is_last { end.clone() } else { after(folder, &at.segment)? };
    if left > 0 && !is_last {
        folder.set_aside(&at.segment)?;
    }
    Ok(Group { rows, next, bytes: left })
}

/// The deliveries that these bytes begin with, and how many bytes they take.
fn records(bytes: &[u8]) -> (Vec<(String, DeliveryRow)>, usize) {
    let mut rows = Vec::new();
    let mut used = 0;
    while rows.len() < GROUP
        && let Ok(Record { id, row, size }) = record::read(bytes.get(used..).unwrap_or_default())
    {
        rows.push((id, row));
        used += size;
    }
    (rows, used)
}

/// The beginning of the segment after this one.
fn after(folder: &Folder, segment: &str) -> io::Result<Position> {
    let next = folder.names()?.into_iter().find(|name| name.as_str() > segment);
    let missing = || io::Error::new(io::ErrorKind::NotFound, "the inbox's log ends too early");
    Ok(Position { segment: next.ok_or_else(missing)?, offset: 0 })
}
