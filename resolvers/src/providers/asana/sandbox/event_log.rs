//! The log of the newest events.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::records::{Gid, Ref};

/// Older events are forgotten; a client that asks for them starts anew.
const KEPT: usize = 5_000;

/// One thing that happened.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) at: DateTime<Utc>,
    pub(super) user: Gid,
    /// `changed`, `added`, `removed`, `deleted`, `undeleted`.
    pub(super) action: &'static str,
    pub(super) resource: Ref,
    /// The thing that the resource was added to or removed from.
    pub(super) parent: Option<Ref>,
    pub(super) change: Option<FieldChange>,
    /// Everything that the event bubbles up to.
    pub(super) scopes: Vec<Gid>,
}

/// The field of the resource that changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldChange {
    pub(super) field: &'static str,
    /// Told only when the new value is a resource itself.
    pub(super) new_value: Option<Ref>,
}

/// The newest events.
#[derive(Debug, Clone, Default)]
pub(super) struct EventLog {
    pub(super) events: VecDeque<Event>,
    /// The number of events that are not kept any more.
    pub(super) forgotten: u64,
}

impl EventLog {
    /// Adds events, the newest last.
    pub(super) fn record(&mut self, events: Vec<Event>) {
        self.events.extend(events);
        while self.events.len() > KEPT {
            self.events.pop_front();
            self.forgotten += 1;
        }
    }

    /// The position after the newest event.
    pub(super) fn head(&self) -> u64 {
        self.forgotten + self.events.len() as u64
    }
}
