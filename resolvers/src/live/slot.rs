//! A slot: one thing of a live operation that is answered on its own — a widget of a dashboard, a node that is watched; and what a
//! subscriber has seen of it.

use std::{collections::HashSet, sync::Arc};

use mullion_schema::{enums::UpdateReason, id::WidgetId, ports::WatchedId};
use tokio::time::Instant;

use super::{Frame, Rendered, Unreadable};
use crate::{store::activity::Activity, tag::Tag, trace_context::TraceContext};

/// At most this many causes are shown, the newest.
const CAUSES: usize = 20;

/// What a slot shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Widget(WidgetId),
    Node(WatchedId),
}

/// What happened to a slot since its last run.
#[derive(Debug, Clone, Default)]
pub(super) struct Dirt {
    pub(super) reason: Option<UpdateReason>,
    /// Newest first.
    pub(super) causes: Vec<Arc<Activity>>,
    /// It is to be read again because nobody tells what changes.
    pub(super) reread: bool,
    /// The trace of what changed first.
    pub(super) trace: Option<TraceContext>,
}

impl Dirt {
    /// Adds one more change.
    pub(super) fn add(&mut self, reason: UpdateReason, cause: Option<Arc<Activity>>) {
        // What a person did to the widget itself says more than what a provider reported.
        if self.reason.is_none_or(|known| rank(reason) > rank(known)) {
            self.reason = Some(reason);
        }
        if let Some(cause) = cause {
            self.causes.insert(0, cause);
            self.causes.truncate(CAUSES);
        }
    }

    /// The same with what came after it.
    pub(super) fn then(mut self, later: Option<Self>) -> Self {
        let Some(later) = later else { return self };
        if let Some(reason) = later.reason {
            self.add(reason, None);
        }
        self.causes.splice(0..0, later.causes);
        self.causes.truncate(CAUSES);
        self.reread |= later.reread;
        self.trace = self.trace.or(later.trace);
        self
    }
}

fn rank(reason: UpdateReason) -> u8 {
    match reason {
        UpdateReason::Removed => 3,
        UpdateReason::Configured => 2,
        UpdateReason::Refreshed => 1,
        UpdateReason::Changed | UpdateReason::Snapshot | UpdateReason::SnapshotEnd => 0,
    }
}

/// A slot's state, under the operation's lock.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the newest answer")]
pub(super) struct Slot {
    pub(super) number: u32,
    pub(super) subject: Subject,
    /// Counts the answers that differ; 0 before the first run.
    pub(super) version: u64,
    /// The operation's run that gave the newest one.
    pub(super) run: u64,
    pub(super) digest: Option<[u8; 32]>,
    /// The newest answer that was told as a change, until every subscriber has taken it.
    pub(super) frame: Option<Frame>,
    /// The subscribers that have not taken it.
    behind: usize,
    /// The same as it is told to those who come in, made when the first one does, and kept while others may follow.
    pub(super) snapshot: Option<Snapshot>,
    pub(super) tags: HashSet<Tag>,
    pub(super) dirt: Option<Dirt>,
    /// The newest answer shows something that is not current.
    pub(super) stale: bool,
    /// The newest answer is sent whatever was seen before.
    pub(super) told: bool,
    /// It is gone; `frame` says so.
    pub(super) removed: bool,
    /// The newest answer says of something that it could not be read.
    pub(super) failed: bool,
    /// How often in a row an answer failed here.
    pub(super) failures: u32,
    /// It failed, is to be run again, and not before this.
    pub(super) retry_at: Option<Instant>,
    /// The answer that failed was told: when it is looked whether there is a better one.
    pub(super) mend_at: Option<Instant>,
    /// Somebody was given an answer that failed: the next one is told even where it is as before.
    pub(super) retell: bool,
}

/// A slot's state as it is told to those who come in.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The version that it shows.
    pub(super) version: u64,
    pub(super) frame: Frame,
    /// When it was told last.
    pub(super) told_at: Instant,
}

impl Snapshot {
    pub(super) fn new(version: u64, frame: Frame) -> Self {
        Self { version, frame, told_at: Instant::now() }
    }
}

impl Slot {
    pub(super) fn new(number: u32, subject: Subject) -> Self {
        Self {
            number,
            subject,
            version: 0,
            run: 0,
            digest: None,
            frame: None,
            behind: 0,
            snapshot: None,
            tags: HashSet::new(),
            dirt: None,
            stale: false,
            told: false,
            removed: false,
            failed: false,
            failures: 0,
            retry_at: None,
            mend_at: None,
            retell: false,
        }
    }

    /// Takes in an answer of the operation's run with this number, for so many subscribers.
    pub(super) fn take_in(
        &mut self,
        (run, subscribers): (u64, usize),
        frame: Frame,
        first: bool,
        (reason, gone, rendered): (UpdateReason, bool, &Rendered),
    ) {
        // A person's change of the widget itself is told even where nothing that was selected differs.
        let told = matches!(reason, UpdateReason::Configured | UpdateReason::Refreshed) || (gone && !self.removed);
        if self.digest != Some(rendered.digest) || told || self.retell {
            self.version += 1;
            self.run = run;
            self.digest = Some(rendered.digest);
            self.snapshot = first.then(|| Snapshot::new(self.version, frame.clone()));
            self.frame = (!first).then_some(frame);
            self.behind = subscribers;
            self.told = told;
        }
        self.retell = false;
        self.failed = rendered.failed;
        self.removed = gone;
    }

    /// A subscriber came in, which has seen nothing.
    pub(super) fn enter(&mut self) {
        self.behind += usize::from(self.frame.is_some());
    }

    /// The newest answer, for a subscriber that has not seen it and does not know the same from an earlier one.
    pub(super) fn tell(&mut self, seen: &mut SeenSlot) -> Option<Frame> {
        if self.version <= seen.version {
            return None;
        }
        let differs = self.told || self.digest != seen.digest;
        let frame = self.frame.as_ref().filter(|_| differs).cloned();
        self.see(seen, SeenSlot { version: self.version, digest: self.digest });
        frame
    }

    /// Takes the newest answer for seen by a subscriber.
    pub(super) fn skip(&mut self, seen: &mut SeenSlot) {
        self.see(seen, SeenSlot { version: self.version, digest: self.digest });
    }

    /// A subscriber has now seen this. The last to see the newest answer leaves only its digest here: for those who come in later
    /// it is made again.
    pub(super) fn see(&mut self, seen: &mut SeenSlot, now: SeenSlot) {
        let was_behind = std::mem::replace(seen, now).version < self.version;
        if was_behind && now.version >= self.version {
            self.behind = self.behind.saturating_sub(1);
            if self.behind == 0 && !self.removed {
                self.frame = None;
            }
        }
    }
}

/// What a subscriber has seen of a slot: the version and the digest that were sent last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SeenSlot {
    pub(super) version: u64,
    pub(super) digest: Option<[u8; 32]>,
}

/// What a subscriber has seen, by the slots' numbers, which are counted from zero.
#[derive(Debug, Default)]
pub(super) struct SeenSlots(Vec<SeenSlot>);

impl SeenSlots {
    #[expect(clippy::indexing_slicing, reason = "the list was made long enough just before")]
    pub(super) fn of(&mut self, slot: u32) -> &mut SeenSlot {
        let at = usize::try_from(slot).unwrap_or_default();
        if self.0.len() <= at {
            self.0.reserve_exact(at + 1 - self.0.len());
            self.0.resize(at + 1, SeenSlot::default());
        }
        &mut self.0[at]
    }
}

/// Why a slot is rendered.
#[derive(Clone)]
pub(super) struct Cause {
    pub(super) reason: UpdateReason,
    pub(super) causes: Vec<Arc<Activity>>,
    pub(super) max_age: Option<chrono::Duration>,
}

/// What running a slot came to.
pub(super) struct Ran {
    pub(super) number: u32,
    /// Why it was run, for the case that it has to be run again.
    pub(super) dirt: Dirt,
    /// How often it had failed in a row before.
    pub(super) failures: u32,
    pub(super) answer: Result<Answered, Unreadable>,
}

/// A slot's answer.
pub(super) struct Answered {
    pub(super) reason: UpdateReason,
    pub(super) gone: bool,
    pub(super) registered: bool,
    pub(super) frame: Frame,
    pub(super) rendered: Rendered,
}

impl Ran {
    /// Whether something could not be read.
    pub(super) fn failed(&self) -> bool {
        match &self.answer {
            Ok(answered) => answered.rendered.failed,
            Err(Unreadable) => true,
        }
    }
}
