//! Reads ahead of the transfer: while one group is written, the next are read from the log and understood.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use async_trait::async_trait;
use futures::FutureExt as _;
use mullion_schema::id::TenantId;
use tokio::sync::{mpsc, watch};

use super::{
    Position,
    record::{self, Record, Unread},
    segments::Folder,
};
use crate::{
    store::{
        StoreError,
        apply::Applied,
        inbox::{Meant, WaitingDelivery, row::DeliveryRow},
    },
    trace_context::TraceContext,
};

/// Deliveries that are taken in one transaction, at most and about.
const GROUP: usize = 256;
/// Deliveries that are read in one go.
const READ: usize = 64;
/// Bytes that are read in one go; more where one record is longer.
const CHUNK: u64 = 256_000;
/// Groups that are read ahead of the one that is written.
pub(super) const GROUPS_AHEAD: usize = 4;
/// Groups that are read after the last was written.
const LAST: usize = 32;

/// Knows what deliveries mean, and tells of what was applied.
#[async_trait]
pub trait Interpreter: Send + Sync {
    /// Says what these deliveries mean. Those that it leaves out are stored only, and worked one by one.
    async fn interpret(&self, deliveries: &[WaitingDelivery]) -> Vec<Meant>;

    /// Tells of what was applied.
    async fn announce(&self, tenant: &TenantId, applied: &Applied);
}

/// Deliveries that were read together.
pub(super) struct Group {
    pub(super) rows: Vec<(String, DeliveryRow)>,
    /// Their meaning, where it is known.
    pub(super) meant: Option<Vec<Meant>>,
    /// The traces that they belong to.
    pub(super) traces: Vec<TraceContext>,
    /// Where to read on.
    pub(super) next: Position,
    /// Whether that is another segment.
    pub(super) ends_segment: bool,
    /// Bytes that lie behind then.
    pub(super) bytes: u64,
    /// A segment of which a part is damaged.
    pub(super) damaged: Option<String>,
}

impl Group {
    fn new(rows: Vec<(String, DeliveryRow)>, next: Position, bytes: u64) -> Self {
        Self { rows, meant: None, traces: Vec::new(), next, ends_segment: false, bytes, damaged: None }
    }

    /// Whether what follows may be added.
    pub(super) fn has_room(&self) -> bool {
        self.rows.len() < GROUP
    }

    /// Adds what follows; gives it back where the two are not to be taken together: one was not understood, or what lies before
    /// damage is to be safe before that is set aside.
    pub(super) fn add(&mut self, next: Self) -> Option<Self> {
        let understood = next.rows.is_empty() || self.meant.is_some() == next.meant.is_some();
        if next.damaged.is_some() || !understood {
            return Some(next);
        }
        self.rows.extend(next.rows);
        self.traces.extend(next.traces);
        for more in next.meant.into_iter().flatten() {
            let meant = self.meant.get_or_insert_default();
            match meant.iter_mut().find(|of| of.tenant == more.tenant && of.integration == more.integration) {
                Some(of) => {
                    of.batches.extend(more.batches);
                    of.ignored.extend(more.ignored);
                }
                None => meant.push(more),
            }
        }
        self.next = next.next;
        self.ends_segment |= next.ends_segment;
        self.bytes += next.bytes;
        None
    }
}

/// Reads the log.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) folder: Folder,
    pub(super) end: watch::Receiver<Position>,
    pub(super) interpreter: Option<Arc<dyn Interpreter>>,
}

impl Reader {
    /// Reads on from a position, until nothing is written any more, nobody wants it, or it fails.
    pub(super) async fn run(mut self, mut from: Position, groups: mpsc::Sender<Result<Group, StoreError>>) {
        let mut last = LAST;
        while last > 0 {
            // Nothing is written any more: what is left is for the next process.
            last -= usize::from(self.end.has_changed().is_err());
            let end = self.end.borrow_and_update().clone();
            let group = match self.prepare(from.clone(), end).await {
                Ok(group) if group.next == from => {
                    if self.end.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                group => group,
            };
            let next = group.as_ref().ok().map(|group| group.next.clone());
            let heard = groups.send(group).await;
            match next {
                Some(next) if heard.is_ok() => from = next,
                _ => return,
            }
        }
    }

    /// Reads what follows a position, and finds out what it means.
    pub(super) async fn prepare(&self, from: Position, end: Position) -> Result<Group, StoreError> {
        let folder = self.folder.clone();
        let group = tokio::task::spawn_blocking(move || read(&folder, &from, &end)).await;
        let group = group.map_err(io::Error::other)??;
        let Some(interpreter) = self.interpreter.as_ref().filter(|_| !group.rows.is_empty()) else { return Ok(group) };
        // A large one is stored only. It is worked beside the log, where nobody's deliveries but its own integration's stand behind it.
        let small = group.rows.iter().filter(|(_, row)| !row.is_large());
        let waiting: Result<Vec<_>, _> = small.map(|(id, row)| row.waiting(id)).collect();
        // Deliveries that cannot be read or that cause a panic are left to the worker, which takes them one by one and says so.
        let (meant, traces) = match waiting {
            Ok(waiting) => {
                let meant = AssertUnwindSafe(interpreter.interpret(&waiting)).catch_unwind().await.ok();
                let headers = waiting.iter().map(|waiting| &waiting.delivery.headers);
                (meant, headers.filter_map(TraceContext::of_headers).collect())
            }
            Err(_) => (None, Vec::new()),
        };
        Ok(Group { meant, traces, ..group })
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
    let damaged = (left > 0).then(|| at.segment.clone());
    if left > 0 {
        // In a segment left by a dying process, these bytes were not flushed and so not acknowledged; anything else is damage.
        tracing::error!(segment = at.segment, offset = at.offset, left, "a part of the inbox's log is no delivery");
        if let Some(size) = record::damaged(&bytes).and_then(|size| u64::try_from(size).ok()) {
            let next = Position { offset: at.offset + size, ..at.clone() };
            return Ok(Group { damaged, ..Group::new(rows, next, size) });
        }
    }
    // Nobody knows where the next delivery begins. Looking for one would find what somebody wrote into the body of another.
    let next = if is_last { end.clone() } else { after(folder, &at.segment)? };
    let ends_segment = next.segment != at.segment;
    Ok(Group { ends_segment, damaged, ..Group::new(rows, next, left) })
}

/// The deliveries that these bytes begin with, and how many bytes they take.
fn records(bytes: &[u8]) -> (Vec<(String, DeliveryRow)>, usize) {
    let mut rows = Vec::new();
    let mut used = 0;
    while rows.len() < READ
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
