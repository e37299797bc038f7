//! The end that reads: takes deliveries from the log to the inbox's table, with the mark of how far it came in the same
//! transaction. So each is taken once, whenever the process dies; one that were read twice would be known by its key.
//!
//! Deliveries that can be understood on the way are applied in that transaction, too. If anything prevents that, they are stored
//! and worked one by one.

use std::{
    io,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tracing::Instrument as _;

use super::{
    Backlog, Log, Position,
    read_ahead::{GROUPS_AHEAD, Group, Interpreter, Reader},
};
use crate::{
    bus::Wake,
    error_chain::chain,
    inbox::observer::InboxObserver,
    store::{
        Database, StoreError,
        inbox::{Arrived, Inserted, Meant, row::DeliveryRow},
    },
    trace_context::TraceContext,
};

/// The setting that holds the mark.
const MARK: &str = "mark of the inbox's log";
/// How long to wait after the database or the disk failed.
const RETRY: Duration = Duration::from_secs(1);

/// Takes deliveries to the inbox: to be run in a task, one clone at a time.
#[derive(Clone)]
pub struct Transfer {
    log: Reader,
    backlog: Backlog,
    database: Database,
    wake: Wake,
    observer: Arc<dyn InboxObserver>,
    /// Whether the mark was looked for before.
    begun: Arc<AtomicBool>,
}

impl Transfer {
    pub(in crate::inbox) fn new(log: &Log, database: Database, wake: Wake, observer: Arc<dyn InboxObserver>) -> Self {
        let reader = Reader { folder: log.folder.clone(), end: log.end.subscribe(), interpreter: None };
        Self { log: reader, backlog: log.backlog.clone(), database, wake, observer, begun: Arc::default() }
    }

    /// The same; what can be understood on the way is applied as it is stored.
    #[must_use]
    pub fn understanding(self, interpreter: Arc<dyn Interpreter>) -> Self {
        Self { log: Reader { interpreter: Some(interpreter), ..self.log }, ..self }
    }

    /// Takes what lies in the log, from before this process and from now on, until nothing is written any more.
    pub async fn run(mut self) {
        while let Err(error) = self.follow().await {
            self.database.note_failure(&error);
            tracing::error!(
                error = %chain(&error),
                "deliveries stay in the inbox's log; it is tried again"
            );
            if self.log.end.has_changed().is_err() {
                // Nothing is written any more: what is left is for the next process.
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Takes all that lies behind the mark, and all that comes. Groups that are read and understood during a write are written
    /// next, all of them together.
    async fn follow(&mut self) -> Result<(), StoreError> {
        let from = self.mark().await?;
        let (sender, mut groups) = mpsc::channel(GROUPS_AHEAD);
        // It ends with this one.
        let mut reader = JoinSet::new();
        reader.spawn(self.log.clone().run(from, sender).in_current_span());
        let mut next = None;
        loop {
            let mut group: Group = match next.take() {
                Some(group) => group,
                None => match groups.recv().await {
                    Some(group) => group?,
                    // Nothing is written any more.
                    None if self.log.end.has_changed().is_err() => return Ok(()),
                    None => return Err(io::Error::other("reading the inbox's log broke off").into()),
                },
            };
            let mut read = Ok(());
            while group.has_room()
                && next.is_none()
                && read.is_ok()
                && let Ok(more) = groups.try_recv()
            {
                read = more.map(|more| next = group.add(more));
            }
            // The group before one that cannot be read is taken all the same.
            self.take(group).await?;
            read?;
        }
    }

    /// Takes some from a position on, and moves it where that came to; whether there was anything.
    #[cfg(test)]
    pub(super) async fn step(&mut self, at: &mut Option<Position>) -> Result<bool, StoreError> {
        let from = match at {
            Some(at) => at.clone(),
            None => at.insert(self.mark().await?).clone(),
        };
        let end = self.log.end.borrow_and_update().clone();
        let group = self.log.prepare(from.clone(), end).await?;
        let next = group.next.clone();
        self.take(group).await?;
        *at = Some(next.clone());
        Ok(next != from)
    }

    /// Takes a group to the inbox.
    async fn take(&mut self, group: Group) -> Result<(), StoreError> {
        if let Some(segment) = &group.damaged {
            self.log.folder.keep(segment)?;
        }
        let mark = format!("{}:{}", group.next.segment, group.next.offset);
        let waits = match group.meant {
            Some(meant) => {
                let span = tracing::error_span!("deliveries", count = group.rows.len());
                TraceContext::caused(&span, group.traces);
                self.take_understood(group.rows, &mark, meant).instrument(span).await?
            }
            None => self.take_unread(group.rows, &mark).await?,
        };
        if waits {
            self.wake.wake();
        }
        self.backlog.shrink(group.bytes);
        if group.ends_segment {
            self.forget_before(&group.next.segment);
        }
        Ok(())
    }

    /// Stores and applies; whether something waits now.
    async fn take_understood(
        &self,
        rows: Vec<(String, DeliveryRow)>,
        mark: &str,
        meant: Vec<Meant>,
    ) -> Result<bool, StoreError> {
        let (count, began) = (rows.len(), Instant::now());
        match self.database.insert_and_apply(rows.clone(), (MARK, mark.to_owned()), meant).await {
            Ok(arrived) => {
                tracing::debug!(count, took = ?began.elapsed(), "deliveries were stored and applied");
                self.tell(&arrived).await;
                Ok(arrived.waits)
            }
            Err(error) => {
                // One of them, or the database: stored, they are tried one by one.
                tracing::warn!(error = %chain(&error), "deliveries could not be applied together");
                self.take_unread(rows, mark).await
            }
        }
    }

    /// Tells of what was applied.
    async fn tell(&self, arrived: &Arrived) {
        for (provider, how) in &arrived.settled {
            self.observer.settled(provider, how);
        }
        let Some(interpreter) = &self.log.interpreter else { return };
        for (tenant, applied) in &arrived.applied {
            let told = AssertUnwindSafe(interpreter.announce(tenant, applied)).catch_unwind().await;
            if told.is_err() {
                tracing::error!("what was applied was not told of: a panic; the log has it");
            }
        }
    }

    /// Stores; whether something waits now.
    async fn take_unread(&self, rows: Vec<(String, DeliveryRow)>, mark: &str) -> Result<bool, StoreError> {
        let inserted = self.database.insert_named(rows, Some((MARK, mark))).await?;
        Ok(inserted.iter().any(|inserted| matches!(inserted, Inserted::New(_))))
    }

    /// Where to begin: at the mark, or at the oldest segment where the mark's is gone.
    async fn mark(&self) -> Result<Position, StoreError> {
        let mark = self.database.setting(MARK).await?;
        let marked = mark.as_deref().and_then(|mark| mark.split_once(':'));
        let names = self.log.folder.names()?;
        if let Some((segment, offset)) = marked
            && names.iter().any(|name| name == segment)
            && let Ok(offset) = offset.parse()
        {
            if !self.begun.swap(true, Ordering::AcqRel) {
                let before = self.log.folder.bytes()?;
                self.forget_before(segment);
                self.backlog.shrink(before.saturating_sub(self.log.folder.bytes()?) + offset);
            }
            return Ok(Position { segment: segment.to_owned(), offset });
        }
        if self.begun.swap(true, Ordering::AcqRel) {
            // The segment that was being read is gone, and with it what it held.
            self.backlog.set(self.log.folder.bytes()?);
        }
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the inbox's log has no segments");
        Ok(Position { segment: names.into_iter().next().ok_or_else(missing)?, offset: 0 })
    }

    fn forget_before(&self, segment: &str) {
        if let Err(error) = self.log.folder.delete_before(segment) {
            tracing::warn!(error = %chain(&error), "what the database has of the inbox's log was not deleted");
        }
    }
}
