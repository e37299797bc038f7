//! The end that reads: takes deliveries from the log to the inbox's table, with the mark of how far it came in the same
//! transaction. So each is taken once, whenever the process dies; one that were read twice would be known by its key.
//!
//! What can be understood on the way is applied in that transaction, too. Whatever stands in the way of that, they are stored to be
//! worked one by one.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt as _;
use mullion_schema::id::TenantId;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Backlog, Log, Position,
    record::{self, Record, Unread},
    segments::Folder,
};
use crate::{
    store::{
        Database, StoreError,
        apply::Applied,
        inbox::{Inserted, Meant, WaitingDelivery, row::DeliveryRow},
    },
    webhook::{Wake, worker::Outcome},
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

/// Knows what deliveries mean, and tells of what was applied.
#[async_trait]
pub trait Interpreter: Send + Sync {
    /// What these deliveries mean. Those that it leaves out are stored only, and worked one by one.
    async fn interpret(&self, deliveries: &[WaitingDelivery]) -> Result<Vec<Meant>, StoreError>;

    /// Tells of what was applied.
    async fn announce(&self, tenant: &TenantId, applied: &Applied);
}

/// Takes deliveries to the inbox: to be run in a task.
pub struct Transfer {
    folder: Folder,
    backlog: Backlog,
    end: watch::Receiver<Position>,
    database: Database,
    wake: Wake,
    outcome: Arc<dyn Outcome>,
    interpreter: Option<Arc<dyn Interpreter>>,
    /// What comes after that which is written: it is read and understood in the meantime.
    ahead: Option<(Position, JoinHandle<Result<Group, StoreError>>)>,
    /// Whether the mark was looked for before.
    begun: bool,
}

/// What was read.
struct Group {
    rows: Vec<(String, DeliveryRow)>,
    /// What they mean, where that is known.
    meant: Option<Vec<Meant>>,
    /// Where to read on.
    next: Position,
    /// Bytes that lie behind now.
    bytes: u64,
    /// A part of the segment is damaged, and nobody knows where the next delivery begins.
    damaged: Option<String>,
}

impl Group {
    fn new(rows: Vec<(String, DeliveryRow)>, next: Position, bytes: u64) -> Self {
        Self { rows, meant: None, next, bytes, damaged: None }
    }
}

impl Transfer {
    pub(in crate::webhook) fn new(log: &Log, database: Database, (wake, outcome): (Wake, Arc<dyn Outcome>)) -> Self {
        let (folder, backlog, end) = (log.folder.clone(), log.backlog.clone(), log.end.subscribe());
        Self { folder, backlog, end, database, wake, outcome, interpreter: None, ahead: None, begun: false }
    }

    /// The same; what can be understood on the way is applied as it is stored.
    #[must_use]
    pub fn understanding(self, interpreter: Arc<dyn Interpreter>) -> Self {
        Self { interpreter: Some(interpreter), ..self }
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
        let end = self.end.borrow_and_update().clone();
        let mut group = match self.ahead.take() {
            Some((begin, ahead)) if begin == from => ahead.await.map_err(io::Error::other)??,
            Some(_) | None => Group::new(Vec::new(), from.clone(), 0),
        };
        if group.next == from {
            group = self.prepare(from.clone(), end.clone()).await?;
        }
        if group.next == from {
            return Ok(false);
        }
        let next = group.next.clone();
        if next != end {
            self.ahead = Some((next.clone(), tokio::spawn(self.prepare(next.clone(), end))));
        }
        self.take(group).await?;
        if next.segment != from.segment {
            self.forget_before(&next.segment);
        }
        *at = Some(next);
        Ok(true)
    }

    /// Reads what follows a position, and finds out what it means.
    fn prepare(&self, from: Position, end: Position) -> impl Future<Output = Result<Group, StoreError>> + Send + use<> {
        let (folder, interpreter) = (self.folder.clone(), self.interpreter.clone());
        async move {
            let group = tokio::task::spawn_blocking(move || read(&folder, &from, &end)).await;
            let group = group.map_err(io::Error::other)??;
            let Some(interpreter) = interpreter.filter(|_| !group.rows.is_empty()) else { return Ok(group) };
            // A panic is for whoever works them one by one.
            let meant = AssertUnwindSafe(understand(interpreter.as_ref(), &group.rows)).catch_unwind().await;
            Ok(Group { meant: meant.ok().and_then(Result::ok), ..group })
        }
    }

    /// Takes a group to the inbox.
    async fn take(&mut self, group: Group) -> Result<(), StoreError> {
        if let Some(segment) = &group.damaged {
            self.folder.set_aside(segment)?;
        }
        let mark = format!("{}:{}", group.next.segment, group.next.offset);
        let waits = match group.meant {
            Some(meant) => self.take_understood(group.rows, &mark, meant).await?,
            None => self.take_unread(group.rows, &mark).await?,
        };
        if waits {
            self.wake.wake();
        }
        self.backlog.shrink(group.bytes);
        Ok(())
    }

    /// Stores and applies; whether something waits now.
    async fn take_understood(
        &self,
        rows: Vec<(String, DeliveryRow)>,
        mark: &str,
        meant: Vec<Meant>,
    ) -> Result<bool, StoreError> {
        let arrived = match self.database.insert_and_apply(rows.clone(), (MARK, mark), meant).await {
            Ok(arrived) => arrived,
            Err(error) => {
                // One of them, or the database: stored, they are tried one by one.
                tracing::warn!(error = &error as &dyn std::error::Error, "deliveries could not be applied together");
                return self.take_unread(rows, mark).await;
            }
        };
        for (provider, how) in &arrived.settled {
            self.outcome.settled(provider, how);
        }
        if let Some(interpreter) = &self.interpreter {
            for (tenant, applied) in &arrived.applied {
                interpreter.announce(tenant, applied).await;
            }
        }
        Ok(arrived.waits)
    }

    /// Stores; whether something waits now.
    async fn take_unread(&self, rows: Vec<(String, DeliveryRow)>, mark: &str) -> Result<bool, StoreError> {
        let inserted = self.database.insert_named(rows, Some((MARK, mark))).await?;
        Ok(inserted.iter().any(|inserted| matches!(inserted, Inserted::New(_))))
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
        return Ok(Group::new(rows, next, used));
    }
    if left > 0 {
        // Of a segment that a dying process left, what was not flushed and so not acknowledged; anything else is damage.
        tracing::error!(segment = at.segment, offset = at.offset, left, "a part of the inbox's log is no delivery");
        if let Some(size) = record::damaged(&bytes).and_then(|size| u64::try_from(size).ok()) {
            let next = Position { offset: at.offset + size, ..at.clone() };
            return Ok(Group::new(rows, next, size));
        }
    }
    let next = if is_last { end.clone() } else { after(folder, &at.segment)? };
    let damaged = (left > 0 && !is_last).then(|| at.segment.clone());
    Ok(Group { damaged, ..Group::new(rows, next, left) })
}

/// What deliveries mean.
async fn understand(interpreter: &dyn Interpreter, rows: &[(String, DeliveryRow)]) -> Result<Vec<Meant>, StoreError> {
    let waiting: Result<Vec<_>, _> = rows.iter().map(|(id, row)| row.waiting(id)).collect();
    interpreter.interpret(&waiting?).await
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
