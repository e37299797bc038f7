//! What one execution carries along: whose it is, how old its answers may be, and the tags it touches.

use std::{
    any::Any,
    collections::HashSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, Duration, Utc};
use foldhash::fast::RandomState;
use mullion_schema::id::TenantId;
use parking_lot::Mutex;

use super::integrations::Integration;
use crate::{store::list::Window, tag::Tag};

/// One execution.
#[derive(Debug)]
pub struct Scope {
    /// The tenant; comes from the credential.
    pub tenant: TenantId,
    /// When the execution began.
    pub started_at: DateTime<Utc>,
    /// A stricter limit on the age of values than the integration's own, for re-reads while webhooks are silent.
    pub max_age: Option<Duration>,
    tags: Mutex<HashSet<Tag, RandomState>>,
    /// Tags that belong together and were touched together: those of a whole list, of which a document may ask again and again.
    groups: Mutex<Vec<Arc<[Tag]>>>,
    stale: AtomicBool,
    read: AtomicBool,
    noted: OnceLock<i64>,
    /// What is held while it runs, and not while it waits for a provider.
    turn: Mutex<Option<Box<dyn Any + Send>>>,
    /// Nothing is answered from lists in memory.
    #[cfg(test)]
    slow: bool,
}

impl Scope {
    /// A new execution.
    pub fn new(tenant: TenantId, started_at: DateTime<Utc>, max_age: Option<Duration>) -> Self {
        Self {
            tenant,
            started_at,
            max_age,
            tags: Mutex::default(),
            groups: Mutex::default(),
            stale: AtomicBool::new(false),
            read: AtomicBool::new(false),
            noted: OnceLock::new(),
            turn: Mutex::default(),
            #[cfg(test)]
            slow: false,
        }
    }

    /// The same, from the store page by page.
    #[cfg(test)]
    pub(super) fn slowly(self) -> Self {
        Self { slow: true, ..self }
    }

    /// Whether lists in memory may answer.
    #[cfg(test)]
    pub(super) fn takes_lists_at_hand(&self) -> bool {
        !self.slow
    }

    /// Whether lists in memory may answer.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests may say no")]
    pub(super) fn takes_lists_at_hand(&self) -> bool {
        true
    }

    /// Notes the stream's head before anything is read: what is read is at least as new.
    pub fn note_head(&self, head: i64) {
        // The first is the oldest, and counts.
        let _ = self.noted.set(head);
    }

    /// The head that was noted.
    pub fn noted(&self) -> Option<i64> {
        self.noted.get().copied()
    }

    /// Notes that the answer depends on a tag.
    pub fn record(&self, tag: Tag) {
        self.tags.lock().insert(tag);
    }

    /// The same for several.
    pub fn record_all(&self, tags: impl IntoIterator<Item = Tag>) {
        self.tags.lock().extend(tags);
    }

    /// The same for all that something in memory holds: they are looked at once, however often it is read.
    pub fn record_group(&self, tags: &Arc<[Tag]>) {
        let mut groups = self.groups.lock();
        if !groups.iter().any(|known| Arc::ptr_eq(known, tags)) {
            groups.push(Arc::clone(tags));
        }
    }

    /// The tags touched so far.
    pub fn tags(&self) -> Vec<Tag> {
        let mut tags = self.tags.lock();
        for group in self.groups.lock().drain(..) {
            tags.extend(group.iter().cloned());
        }
        tags.iter().cloned().collect()
    }

    /// Notes that the answer holds something that is not current: it is not to be kept.
    pub fn note_stale(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Whether anything in the answer is not current.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Holds a turn until the execution gives it back.
    pub fn hold_turn(&self, turn: impl Any + Send) {
        *self.turn.lock() = Some(Box::new(turn));
    }

    /// Gives the turn back: the execution is done, or waits for a provider, which may take long and needs no processor.
    pub fn give_turn_back(&self) {
        let turn = self.turn.lock().take();
        drop(turn);
    }

    /// Notes that it began to read of an integration.
    pub(super) fn note_read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// Whether it did.
    pub(super) fn has_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// Whether a list answers as far as it was read.
    pub(super) fn trusts(&self, integration: &Integration, window: &Window, now: DateTime<Utc>) -> bool {
        !window.stale && now - window.fetched_at <= self.trust(integration, now)
    }

    /// How old a value of this integration may be.
    pub fn trust(&self, integration: &Integration, now: DateTime<Utc>) -> Duration {
        let trust = integration.trust(now);
        self.max_age.map_or(trust, |max_age| max_age.min(trust))
    }
}
