//! A slot: one thing of a live operation that is answered on its own — a widget of a dashboard, a node that is watched; and what a
//! subscriber has seen of it.

use std::{collections::HashSet, sync::Arc};

use mullion_schema::{enums::UpdateReason, id::WidgetId, ports::WatchedId};
use tokio::time::Instant;

use super::{Frame, Rendered, Unreadable};
use crate::{store::activity::Activity, tag::Tag, trace_context::TraceContext};

/// At most this many causes are shown, the newest.
const CAUSES: usize = 20;

/// The widget or node that a slot shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Widget(WidgetId),
    Node(WatchedId),
}

/// The changes to a slot since its last run.
#[derive(Debug, Clone, Default)]
pub(super) struct Dirt {
    pub(super) reason: Option<UpdateReason>,
    /// Newest first.
    pub(super) causes: Vec<Arc<Activity>>,
    /// It is to be read again because nobody tells what changes.
    pub(super) reread: bool,
    /// The trace of what changed first.
    pub(super) trace: Option<TraceContext>,
    /// Every change of the slot up to this position came before; `None` until the operation has looked at it.
    pub(super) floor: Option<i64>,
}

impl Dirt {
    /// Adds one more change.
    pub(super) fn add(&mut self, reason: UpdateReason, cause: Option<Arc<Activity>>) {
        // A person's change to the widget itself says more than a provider's report.
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
        self.lower(later.floor);
        self
    }

    /// Nothing after `floor` is known to be in the slot's answers.
    pub(super) fn lower(&mut self, floor: Option<i64>) {
        self.floor = [self.floor, floor].into_iter().flatten().min();
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

/// How a slot begins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin {
    /// It is there from the operation's start: its first answer is the state that subscribers begin with, and no change.
    pub(super) initial: bool,
    /// Subscribers asked for it by its id: they are sent its removal even if they were sent nothing of it before.
    pub(super) requested: bool,
}

/// A slot's state, under the operation's lock.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the newest answer")]
pub(super) struct Slot {
    pub(super) number: u32,
    pub(super) subject: Subject,
    pub(super) origin: Origin,
    /// Counts the answers that differ; 0 before the first run.
    pub(super) version: u64,
    /// The operation's run that gave the newest one.
    pub(super) run: u64,
    pub(super) digest: Option<[u8; 32]>,
    /// The newest answer that was told as a change, until every subscriber has taken it.
    pub(super) frame: Option<Frame>,
    /// The subscribers that have not taken it.
    behind: usize,
    /// The subscribers that were sent something of it, and not its removal.
    holders: usize,
    /// The same as it is told to those who come in, made when the first one does, and kept while others may follow.
    pub(super) snapshot: Option<Snapshot>,
    pub(super) tags: HashSet<Tag>,
    pub(super) dirt: Option<Dirt>,
    /// While it runs: every change up to this position was in its answers before.
    pub(super) running: Option<i64>,
    /// One snapshot of it is made at a time; the other subscribers that come in wait for it and share it.
    pub(super) making: Arc<tokio::sync::Mutex<()>>,
    /// The newest answer shows something that is not current.
    pub(super) stale: bool,
    /// The newest answer changes as time passes.
    pub(super) changes_with_time: bool,
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
    pub(super) fn new(number: u32, subject: Subject, origin: Origin) -> Self {
        Self {
            number,
            subject,
            origin,
            version: 0,
            run: 0,
            digest: None,
            frame: None,
            behind: 0,
            holders: 0,
            snapshot: None,
            tags: HashSet::new(),
            dirt: None,
            running: None,
            making: Arc::default(),
            stale: false,
            changes_with_time: false,
            told: false,
            removed: false,
            failed: false,
            failures: 0,
            retry_at: None,
            mend_at: None,
            retell: false,
        }
    }

    /// Whether its next answer is the first, of the state that subscribers begin with.
    pub(super) fn begins(&self) -> bool {
        self.origin.initial && self.version == 0
    }

    /// Whether there is something to send to subscribers that come in, or never will be.
    pub(super) fn is_answered(&self) -> bool {
        self.version > 0 || self.removed
    }

    /// Up to which position its changes are in its answers, where it is not everything.
    pub(super) fn floor(&self) -> Option<i64> {
        let waits = self.dirt.as_ref().and_then(|dirt| dirt.floor);
        [self.running, waits].into_iter().flatten().min()
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
            let snapshot = first && !gone;
            self.version += 1;
            self.run = run;
            self.digest = Some(rendered.digest);
            self.snapshot = snapshot.then(|| Snapshot::new(self.version, frame.clone()));
            self.frame = (!snapshot).then_some(frame);
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

    /// Whether nobody is to be sent anything of it any more.
    pub(super) fn is_over(&self) -> bool {
        self.removed && self.holders == 0 && !self.origin.requested
    }

    /// The newest answer, for a subscriber that has not seen it and does not know the same from an earlier one. The removal of
    /// what it has not seen is no news to it.
    pub(super) fn tell(&mut self, seen: &mut SeenSlots) -> Option<Frame> {
        let before = seen.of(self.number);
        let concerns = before.version > 0 || !self.removed || self.origin.requested;
        if self.version <= before.version || !concerns {
            return None;
        }
        let differs = self.told || self.digest != before.digest;
        let frame = self.frame.as_ref().filter(|_| differs).cloned();
        self.see(seen, SeenSlot { version: self.version, digest: self.digest });
        if self.removed && !self.origin.requested {
            self.forget(seen);
        }
        frame
    }

    /// Takes the newest answer for seen by a subscriber.
    pub(super) fn skip(&mut self, seen: &mut SeenSlots) {
        if !self.removed && self.version > 0 {
            self.see(seen, SeenSlot { version: self.version, digest: self.digest });
        }
    }

    /// A subscriber has now seen this. The last to see the newest answer leaves only its digest here: for those who come in later
    /// it is made again.
    pub(super) fn see(&mut self, seen: &mut SeenSlots, now: SeenSlot) {
        let before = seen.replace(self.number, now);
        self.holders += usize::from(before.version == 0);
        if before.version < self.version && now.version >= self.version {
            self.taken();
        }
    }

    /// A subscriber leaves.
    pub(super) fn leave(&mut self, seen: &mut SeenSlots) {
        if seen.of(self.number).version < self.version {
            self.taken();
        }
        self.forget(seen);
    }

    /// One subscriber fewer has to take the newest answer.
    fn taken(&mut self) {
        self.behind = self.behind.saturating_sub(1);
        if self.behind == 0 && !self.removed {
            self.frame = None;
        }
    }

    /// A subscriber that saw it is sent nothing more of it.
    fn forget(&mut self, seen: &mut SeenSlots) {
        if seen.remove(self.number) {
            self.holders = self.holders.saturating_sub(1);
        }
    }
}

/// The version and the digest of a slot that a subscriber was sent last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SeenSlot {
    pub(super) version: u64,
    pub(super) digest: Option<[u8; 32]>,
}

/// The versions that a subscriber has seen, by the slots' numbers, in their order. Slots whose removal it was sent are not kept.
#[derive(Debug, Default)]
pub(super) struct SeenSlots(Vec<(u32, SeenSlot)>);

impl SeenSlots {
    /// The version of a slot that it has seen; 0 for none.
    pub(super) fn of(&self, slot: u32) -> SeenSlot {
        self.find(slot).ok().and_then(|at| self.0.get(at)).map(|(_, seen)| *seen).unwrap_or_default()
    }

    /// Replaces what it has seen of a slot, and gives what that was before.
    fn replace(&mut self, slot: u32, now: SeenSlot) -> SeenSlot {
        match self.find(slot) {
            Ok(at) => self.0.get_mut(at).map(|(_, seen)| std::mem::replace(seen, now)).unwrap_or_default(),
            Err(at) => {
                // No more than is needed: thousands have one each.
                self.0.reserve_exact(1);
                self.0.insert(at, (slot, now));
                SeenSlot::default()
            }
        }
    }

    /// Forgets a slot; whether something of it was seen.
    fn remove(&mut self, slot: u32) -> bool {
        self.find(slot).map(|at| self.0.remove(at)).is_ok()
    }

    fn find(&self, slot: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&slot, |(number, _)| *number)
    }
}

/// Why a slot is rendered.
#[derive(Clone)]
pub(super) struct Cause {
    pub(super) reason: UpdateReason,
    pub(super) causes: Vec<Arc<Activity>>,
    pub(super) max_age: Option<chrono::Duration>,
}

/// The result of running a slot.
pub(super) struct Ran {
    pub(super) number: u32,
    /// The look at the dirt with which it began.
    pub(super) look: u64,
    /// Every change up to this position had happened when it began.
    pub(super) noted: i64,
    /// It is the state that subscribers begin with.
    pub(super) first: bool,
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
