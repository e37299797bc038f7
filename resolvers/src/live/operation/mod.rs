//! A live operation: one document over what it watches, run again when a tag of its last answer changed. What it is and what its
//! subscribers take of it is here, how it runs in `drive`.

mod drive;

use std::{collections::HashSet, sync::Arc, time::Duration};

use mullion_schema::{
    enums::UpdateReason,
    id::{DashboardId, IntegrationId, WidgetId},
    ports::{LiveInput, WatchedId},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Frame, Item, Mark, Rendered, Run,
    hub::LiveHub,
    news::News,
    slot::{Cause, SeenSlot, SeenSlots, Slot, Subject},
    subscription::Queue,
    unfinished,
};
use crate::{store::activity::Activity, tag::Tag};

/// The slot number under which a dashboard's own row is watched: which widgets it has.
const STRUCTURE: u32 = u32::MAX;

/// What an operation watches.
#[derive(Debug, Clone)]
pub(super) enum Watched {
    Widget(WidgetId),
    Dashboard(DashboardId),
    Nodes(Vec<WatchedId>),
}

pub(super) struct Operation {
    pub(super) number: u64,
    pub(super) key: String,
    pub(super) run: Arc<dyn Run>,
    pub(super) watched: Watched,
    throttle: Duration,
    state: Mutex<State>,
    wake: Notify,
    /// Tells what subscribers may want to see.
    pub(super) news: News,
    ready: watch::Sender<bool>,
    stopped: CancellationToken,
    /// One snapshot is made at a time; the others who come in wait for it and share it.
    snapshots: tokio::sync::Mutex<()>,
    /// What tells that the snapshots are all, at a position: the same for all who come in at that.
    snapshot_end: tokio::sync::Mutex<Option<(i64, Frame)>>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    subscribers: usize,
    structure: HashSet<Tag>,
    structure_dirty: bool,
    ended: bool,
    /// Up to where every change is in the answers; and whether none is being made.
    through: i64,
    settled: bool,
    /// The same as it was told to those who are told nothing else.
    announced: Option<Mark>,
    runs: u64,
}

impl Operation {
    pub(super) fn new(number: u64, key: String, run: Arc<dyn Run>, watched: Watched, throttle: Duration) -> Arc<Self> {
        Arc::new(Self {
            number,
            key,
            run,
            watched,
            throttle,
            state: Mutex::default(),
            wake: Notify::new(),
            news: News::default(),
            ready: watch::channel(false).0,
            stopped: CancellationToken::new(),
            snapshots: tokio::sync::Mutex::new(()),
            snapshot_end: tokio::sync::Mutex::new(None),
        })
    }

    pub(super) fn enter(&self) {
        self.state.lock().subscribers += 1;
    }

    /// Whether that was the last subscriber.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        state.subscribers = state.subscribers.saturating_sub(1);
        state.subscribers == 0
    }

    /// Stops the operation; gives what its slots had registered.
    pub(super) fn stop(&self) -> Vec<(u32, HashSet<Tag>)> {
        self.stopped.cancel();
        let state = self.state.lock();
        let slots = state.slots.iter().map(|slot| (slot.number, slot.tags.clone()));
        slots.chain([(STRUCTURE, state.structure.clone())]).collect()
    }

    /// Something that a slot shows has changed.
    pub(super) fn mark(&self, slot: u32, reason: UpdateReason, cause: Option<Arc<Activity>>) {
        let mut state = self.state.lock();
        if slot == STRUCTURE {
            state.structure_dirty = true;
        } else if let Some(slot) = state.slots.iter_mut().find(|known| known.number == slot && !known.removed) {
            slot.dirt.get_or_insert_default().add(reason, cause);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Anything may have changed.
    pub(super) fn mark_all(&self) {
        let mut state = self.state.lock();
        state.structure_dirty = true;
        for slot in state.slots.iter_mut().filter(|slot| !slot.removed) {
            slot.dirt.get_or_insert_default().add(UpdateReason::Changed, None);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Marks what draws on an integration, to be read again.
    pub(super) fn mark_of(&self, integration: &IntegrationId) {
        let mut state = self.state.lock();
        let draws = |slot: &&mut Slot| slot.tags.iter().any(|tag| tag.integration() == Some(integration.as_str()));
        for slot in state.slots.iter_mut().filter(draws) {
            slot.dirt.get_or_insert_default().reread = true;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The widget that a slot shows.
    pub(super) fn widget(&self, slot: u32) -> Option<WidgetId> {
        let state = self.state.lock();
        let slot = state.slots.iter().find(|known| known.number == slot)?;
        match &slot.subject {
            Subject::Widget(id) => Some(id.clone()),
            Subject::Node(_) => None,
        }
    }

    /// Waits until the first run is done.
    pub(super) async fn ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives in self: the wait cannot fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Takes the answers that are newer than what was seen, in the order of their runs; or, without any, how far that goes, where
    /// it is beyond what was told. Whether the operation has ended.
    pub(super) fn take_news(&self, seen: &mut SeenSlots, told: Option<i64>, queue: &mut Queue) -> bool {
        let state = self.state.lock();
        if let [slot] = state.slots.as_slice() {
            // Nearly all have one slot, and thousands take it at once.
            if seen.of(slot.number).take(slot)
                && let Some(frame) = &slot.frame
            {
                queue.push(Ok(Item::Frame(frame.clone())));
            }
        } else {
            self.take_in_order(&state, seen, queue);
        }
        if queue.is_empty()
            && let Some(mark) = state.announced.as_ref().filter(|mark| Some(mark.position) > told)
        {
            queue.push(Ok(Item::Mark(mark.clone())));
        }
        state.ended
    }

    fn take_in_order(&self, state: &State, seen: &mut SeenSlots, queue: &mut Queue) {
        let (mut newer, mut skipped): (Vec<&Slot>, bool) = (Vec::new(), false);
        for slot in &state.slots {
            let before = seen.of(slot.number);
            skipped |= slot.version > before.version + 1;
            if before.take(slot) && slot.frame.is_some() {
                newer.push(slot);
            }
        }
        newer.sort_by_key(|slot| slot.run);
        skipped |= newer.first().map(|slot| slot.run) != newer.last().map(|slot| slot.run);
        let last = newer.len();
        for (frame, count) in newer.into_iter().filter_map(|slot| slot.frame.as_ref()).zip(1..) {
            // What another slot told in the same run may have been replaced by what is told after this.
            let early = skipped && count < last;
            let frame = if early { frame.retold(self.run.cursor(unfinished(state.through))) } else { frame.clone() };
            queue.push(Ok(Item::Frame(frame)));
        }
    }

    /// Takes all answers for seen.
    pub(super) fn skip_news(&self, seen: &mut SeenSlots) {
        for slot in &self.state.lock().slots {
            *seen.of(slot.number) = SeenSlot { version: slot.version, digest: slot.digest };
        }
    }

    /// The slots that are not removed, with the tags of their newest answers.
    pub(super) fn live_slots(&self) -> Vec<(u32, HashSet<Tag>)> {
        let state = self.state.lock();
        state.slots.iter().filter(|slot| !slot.removed).map(|slot| (slot.number, slot.tags.clone())).collect()
    }

    /// The tags under which the set of slots is watched.
    pub(super) fn structure(&self) -> HashSet<Tag> {
        self.state.lock().structure.clone()
    }

    /// A slot's current state as it is told to those who come in.
    pub(super) async fn snapshot(&self, number: u32) -> Option<(SeenSlot, Frame)> {
        let _one = self.snapshots.lock().await;
        let (subject, version, digest, cached, through) = {
            let state = self.state.lock();
            let slot = state.slots.iter().find(|slot| slot.number == number && !slot.removed)?;
            let cached = slot.snapshot.clone().filter(|(version, _)| *version == slot.version);
            (slot.subject.clone(), slot.version, slot.digest, cached, state.through)
        };
        if let Some((version, frame)) = cached {
            return Some((SeenSlot { version, digest }, frame));
        }
        let cause = Cause { reason: UpdateReason::Snapshot, causes: Vec::new(), max_age: None };
        let (frame, rendered) = self.render(&subject, cause, unfinished(through)).await;
        let mut state = self.state.lock();
        if let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == number)
            && slot.version == version
            && slot.digest == Some(rendered.digest)
        {
            slot.snapshot = Some((version, frame.clone()));
        }
        Some((SeenSlot { version, digest: Some(rendered.digest) }, frame))
    }

    /// What tells that the snapshots are all, after which everything up to a position was told.
    pub(super) async fn snapshot_end(&self, at: i64) -> Frame {
        let mut known = self.snapshot_end.lock().await;
        if let Some((_, frame)) = known.as_ref().filter(|(known, _)| *known == at) {
            return frame.clone();
        }
        let frame = self.render_aside(UpdateReason::SnapshotEnd, None, at).await;
        *known = Some((at, frame.clone()));
        frame
    }

    /// Renders an answer that is about no slot (the end of the snapshots) or about one that is not here any more.
    pub(super) async fn render_aside(&self, reason: UpdateReason, widget: Option<WidgetId>, at: i64) -> Frame {
        let cursor = self.run.cursor(at);
        let input = LiveInput {
            cursor: cursor.clone(),
            reason,
            widget,
            node: None,
            deleted: false,
            activity: None,
            causes: Vec::new(),
        };
        let rendered = self.run.render(input, None).await;
        Frame { payload: rendered.payload, cursor, through: (at >= 0).then_some(at) }
    }

    /// Up to where every change is in the answers.
    pub(super) fn reached(&self, hub: &LiveHub) -> i64 {
        // Before the dirt is looked at: what is published afterwards makes some.
        let published = hub.published(self.run.tenant());
        let mut state = self.state.lock();
        let clean = state.settled && !state.structure_dirty && state.slots.iter().all(|slot| slot.dirt.is_none());
        if clean {
            state.through = state.through.max(published.unwrap_or_default());
        }
        state.through
    }

    /// Tells the subscribers how far everything was told, where it is further than they were told.
    fn announce(&self) {
        let mut state = self.state.lock();
        let position = state.through;
        if state.announced.as_ref().is_none_or(|known| known.position < position) {
            state.announced = Some(self.mark_at(position));
            drop(state);
            self.news.tell();
        }
    }

    /// A position as a mark.
    pub(super) fn mark_at(&self, position: i64) -> Mark {
        Mark { position, cursor: self.run.cursor(position) }
    }

    fn tags_of(&self, number: u32) -> HashSet<Tag> {
        let state = self.state.lock();
        state.slots.iter().find(|slot| slot.number == number).map(|slot| slot.tags.clone()).unwrap_or_default()
    }

    /// Renders a slot's answer, which tells everything up to a position that was noted before.
    async fn render(&self, subject: &Subject, cause: Cause, at: i64) -> (Frame, Rendered) {
        let Cause { reason, causes, max_age } = cause;
        let cursor = self.run.cursor(at);
        let (widget, node) = match subject {
            Subject::Widget(id) => (Some(id.clone()), None),
            Subject::Node(id) => (None, Some(id.clone())),
        };
        let deleted = match &node {
            Some(id) => self.run.is_deleted(id).await,
            None => false,
        };
        let causes = if causes.is_empty() { Vec::new() } else { self.run.activities(&causes).await };
        let input = LiveInput { cursor: cursor.clone(), reason, widget, node, deleted, activity: None, causes };
        let mut rendered = self.run.render(input, max_age).await;
        let tenant = self.run.tenant();
        if let Subject::Widget(id) = subject {
            rendered.tags.insert(Tag::own(tenant, "Widget", id.as_str()));
            rendered.tags.insert(Tag::own(tenant, "Refresh", id.as_str()));
        }
        (Frame { payload: rendered.payload.clone(), cursor, through: (at >= 0).then_some(at) }, rendered)
    }
}
