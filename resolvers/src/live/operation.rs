//! A live operation: one document over what it watches, run again when a tag of its last answer changed. Its state and the part
//! that its subscribers see are here; how it runs is in `drive`, its snapshots are in `snapshots`.

use std::{collections::HashSet, sync::Arc, time::Duration};

use mullion_schema::{
    enums::UpdateReason,
    id::{DashboardId, IntegrationId, WidgetId},
    ports::{LiveInput, WatchedId},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    End, Frame, Item, Rendered, Run, Unreadable, Watermark,
    news::News,
    queue::Queue,
    slot::{Cause, SeenSlot, SeenSlots, Slot, Subject},
    unfinished,
};
use crate::{store::activity::Activity, tag::Tag, trace_context::TraceContext};

/// The slot number under which a dashboard's own row is watched: which widgets it has.
pub(super) const STRUCTURE: u32 = u32::MAX;

/// The widget, dashboard or nodes that an operation watches.
#[derive(Debug, Clone)]
pub(super) enum Watched {
    Widget(WidgetId),
    Dashboard(DashboardId),
    Nodes(Vec<WatchedId>),
}

/// Subscriptions with the same key share an operation: the milliseconds of the throttle, and the run's own key.
pub(super) type OperationKey = (u32, Arc<str>);

pub(super) struct Operation {
    pub(super) number: u64,
    pub(super) key: OperationKey,
    pub(super) run: Arc<dyn Run>,
    pub(super) watched: Watched,
    pub(super) throttle: Duration,
    pub(super) state: Mutex<State>,
    pub(super) wake: Notify,
    /// Tells what subscribers may want to see.
    pub(super) news: News,
    /// Whether it is known which slots there are; sent again each time that one has its first answer, and at the end.
    pub(super) answers: watch::Sender<bool>,
    pub(super) stopped: CancellationToken,
    /// The end of the snapshots at a position, complete or not: the same for all subscribers who begin there.
    pub(super) snapshot_end: tokio::sync::Mutex<Option<((i64, bool), Frame)>>,
}

/// The part of an operation that changes while it runs.
#[derive(Default)]
pub(super) struct State {
    pub(super) slots: Vec<Slot>,
    pub(super) subscribers: usize,
    pub(super) structure: HashSet<Tag>,
    pub(super) structure_dirty: bool,
    /// While the set of slots may have changed and is not read yet: it is as of this position.
    pub(super) structure_floor: Option<i64>,
    /// The dashboard is deleted: the operation ends when the removal of its last widget was told.
    pub(super) is_gone: bool,
    pub(super) ended: Option<End>,
    /// Counts the slots that ever were.
    pub(super) numbered: u32,
    /// Every change up to this position has marked the slots that it touches, and was looked at there.
    pub(super) noted: i64,
    /// Counts those looks.
    pub(super) looks: u64,
    /// How far everything was told, as it was told to those who are told nothing else.
    pub(super) announced: Option<Watermark>,
    pub(super) runs: u64,
}

impl State {
    /// Up to where every change is in the answers: as far as the slot that is the furthest behind.
    pub(super) fn watermark(&self) -> i64 {
        let floors = self.slots.iter().filter_map(Slot::floor).chain(self.structure_floor);
        floors.min().map_or(self.noted, |floor| floor.min(self.noted))
    }

    /// Looks at what the changes up to a position have marked. The position was read before: what is published afterwards marks more.
    pub(super) fn note(&mut self, published: Option<i64>) {
        let noted = self.noted;
        for dirt in self.slots.iter_mut().filter_map(|slot| slot.dirt.as_mut()) {
            dirt.floor.get_or_insert(noted);
        }
        if self.structure_dirty {
            self.structure_floor.get_or_insert(noted);
        }
        self.noted = noted.max(published.unwrap_or_default());
    }

    pub(super) fn slot(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.number == number)
    }

    /// Whether all that it watches is gone for good, and told to be.
    pub(super) fn is_over(&self) -> bool {
        self.is_gone && self.slots.iter().all(|slot| slot.removed)
    }

    /// Frees what nobody is to be sent anything of any more.
    pub(super) fn free(&mut self) {
        self.slots.retain(|slot| !slot.is_over());
    }
}

impl Operation {
    pub(super) fn new(number: u64, key: OperationKey, run: Arc<dyn Run>, watched: Watched) -> Arc<Self> {
        let throttle = Duration::from_millis(key.0.into());
        Arc::new(Self {
            number,
            key,
            run,
            watched,
            throttle,
            state: Mutex::default(),
            wake: Notify::new(),
            news: News::default(),
            answers: watch::channel(false).0,
            stopped: CancellationToken::new(),
            snapshot_end: tokio::sync::Mutex::new(None),
        })
    }

    pub(super) fn enter(&self) {
        let mut state = self.state.lock();
        state.subscribers += 1;
        state.slots.iter_mut().for_each(Slot::enter);
    }

    pub(super) fn subscribers(&self) -> usize {
        self.state.lock().subscribers
    }

    /// A subscriber leaves that has seen so much; whether it was the last one.
    pub(super) fn leave(&self, seen: &mut SeenSlots) -> bool {
        let mut state = self.state.lock();
        state.slots.iter_mut().for_each(|slot| slot.leave(seen));
        state.free();
        state.subscribers = state.subscribers.saturating_sub(1);
        state.subscribers == 0
    }

    /// How many slots it keeps.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.state.lock().slots.len()
    }

    /// Stops the operation; gives what its slots had registered.
    pub(super) fn stop(&self) -> Vec<(u32, HashSet<Tag>)> {
        self.stopped.cancel();
        let state = self.state.lock();
        let slots = state.slots.iter().map(|slot| (slot.number, slot.tags.clone()));
        slots.chain([(STRUCTURE, state.structure.clone())]).collect()
    }

    /// Something that a slot shows has changed, as part of a trace.
    pub(super) fn mark_dirty(
        &self,
        slot: u32,
        reason: UpdateReason,
        cause: Option<Arc<Activity>>,
        trace: Option<TraceContext>,
    ) {
        let mut state = self.state.lock();
        if slot == STRUCTURE {
            state.structure_dirty = true;
        } else if let Some(slot) = state.slots.iter_mut().find(|known| known.number == slot && !known.removed) {
            let dirt = slot.dirt.get_or_insert_default();
            dirt.add(reason, cause);
            dirt.trace = dirt.trace.or(trace);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Anything may have changed.
    pub(super) fn mark_all_dirty(&self) {
        let mut state = self.state.lock();
        state.structure_dirty = true;
        for slot in state.slots.iter_mut().filter(|slot| !slot.removed) {
            slot.dirt.get_or_insert_default().add(UpdateReason::Changed, None);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Marks what draws on an integration, to be read again.
    pub(super) fn mark_dirty_of(&self, integration: &IntegrationId) {
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

    /// Waits until it is known which slots there are.
    pub(super) async fn begun(&self) {
        // The sender lives in self, so the wait cannot fail.
        let _ = self.answers.subscribe().wait_for(|begun| *begun).await;
    }

    /// Waits until every slot has an answer, or it has ended.
    pub(super) async fn answered(&self) {
        let answered = |begun: &bool| {
            let state = self.state.lock();
            *begun && (state.ended.is_some() || state.slots.iter().all(Slot::is_answered))
        };
        let _ = self.answers.subscribe().wait_for(answered).await;
    }

    /// Takes the answers that are newer than what was seen, in the order of their runs; or, without any, how far that goes, where
    /// it is beyond what was told. And why the operation has ended, if it has.
    pub(super) fn take_news(&self, seen: &mut SeenSlots, told: Option<i64>, queue: &mut Queue) -> Option<End> {
        let mut state = self.state.lock();
        if let [slot] = state.slots.as_mut_slice() {
            // Nearly all have one slot, and thousands take it at once.
            if let Some(frame) = slot.tell(seen) {
                queue.push(Ok(Item::Frame(frame)));
            }
        } else {
            self.take_in_order(&mut state, seen, queue);
        }
        if state.slots.iter().any(Slot::is_over) {
            state.free();
        }
        if queue.is_empty()
            && let Some(watermark) = state.announced.as_ref().filter(|watermark| Some(watermark.position) > told)
        {
            queue.push(Ok(Item::Watermark(watermark.clone())));
        }
        state.ended
    }

    fn take_in_order(&self, state: &mut State, seen: &mut SeenSlots, queue: &mut Queue) {
        let (mut newer, mut skipped): (Vec<(u64, Frame)>, bool) = (Vec::new(), false);
        for slot in &mut state.slots {
            let before = seen.of(slot.number).version;
            skipped |= slot.version > before + 1 && (before > 0 || !slot.removed);
            newer.extend(slot.tell(seen).map(|frame| (slot.run, frame)));
        }
        newer.sort_by_key(|(run, _)| *run);
        skipped |= newer.first().map(|(run, _)| *run) != newer.last().map(|(run, _)| *run);
        let (last, watermark) = (newer.len(), state.watermark());
        for ((_, frame), count) in newer.into_iter().zip(1..) {
            // Something another slot told in the same run may have been replaced by a frame that is told after this one.
            let early = skipped && count < last;
            let frame =
                if early { frame.retold(&*self.run, self.run.cursor(unfinished(watermark)), None) } else { frame };
            queue.push(Ok(Item::Frame(frame)));
        }
    }

    /// Takes all answers for seen.
    pub(super) fn skip_news(&self, seen: &mut SeenSlots) {
        self.state.lock().slots.iter_mut().for_each(|slot| slot.skip(seen));
    }

    /// A subscriber is told a slot's snapshot; false: it is gone meanwhile, and must not be told.
    pub(super) fn note_seen(&self, seen: &mut SeenSlots, number: u32, now: SeenSlot) -> bool {
        let mut state = self.state.lock();
        let Some(slot) = state.slot(number).filter(|slot| !slot.removed) else { return false };
        slot.see(seen, now);
        true
    }

    /// When the first of the snapshots is to be forgotten that nobody was told lately.
    pub(super) fn next_forgetting(&self, kept_for: Duration) -> Option<Instant> {
        let state = self.state.lock();
        state.slots.iter().filter_map(|slot| slot.snapshot.as_ref()).map(|kept| kept.told_at + kept_for).min()
    }

    /// Forgets the snapshots that nobody was told lately.
    pub(super) fn forget_snapshots(&self, kept_for: Duration) {
        let now = Instant::now();
        for slot in &mut self.state.lock().slots {
            slot.snapshot.take_if(|kept| kept.told_at + kept_for <= now);
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

    /// Ends the operation: what it would tell cannot be read.
    pub(super) fn interrupt(&self) {
        self.state.lock().ended = Some(End::Unavailable);
        self.answers.send_replace(true);
        self.news.tell();
    }

    /// Why it has ended, if it has.
    pub(super) fn ended(&self) -> Option<End> {
        self.state.lock().ended
    }

    /// Tells the subscribers how far everything was told, where it is further than they were told.
    pub(super) fn announce(&self) {
        let mut state = self.state.lock();
        let position = state.watermark();
        if state.announced.as_ref().is_none_or(|known| known.position < position) {
            state.announced = Some(self.watermark_at(position));
            drop(state);
            self.news.tell();
        }
    }

    /// A position as a watermark.
    pub(super) fn watermark_at(&self, position: i64) -> Watermark {
        Watermark { position, cursor: self.run.cursor(position) }
    }

    pub(super) fn tags_of(&self, number: u32) -> HashSet<Tag> {
        let state = self.state.lock();
        state.slots.iter().find(|slot| slot.number == number).map(|slot| slot.tags.clone()).unwrap_or_default()
    }

    /// The input of a slot's answer that tells everything up to a position.
    pub(super) async fn input(&self, subject: &Subject, cause: Cause, at: i64) -> Result<LiveInput, Unreadable> {
        let Cause { reason, causes, .. } = cause;
        let (widget, node) = match subject {
            Subject::Widget(id) => (Some(id.clone()), None),
            Subject::Node(id) => (None, Some(id.clone())),
        };
        let deleted = match &node {
            Some(id) => self.run.is_deleted(id).await?,
            None => false,
        };
        let cursor = self.run.cursor(at);
        let causes = if causes.is_empty() { Vec::new() } else { self.run.activities(&causes).await };
        Ok(LiveInput { cursor, reason, widget, node, deleted, complete: None, activity: None, causes })
    }

    /// The tags of the subject itself, whatever the document selects of it. The answer to a deleted node reads nothing, and yet the
    /// node may come back.
    fn identity_tags(&self, subject: &Subject) -> Vec<Tag> {
        let tenant = self.run.tenant();
        match subject {
            Subject::Widget(id) => ["Widget", "Refresh"].map(|name| Tag::own(tenant, name, id.as_str())).to_vec(),
            Subject::Node(WatchedId::Own { type_name, id }) => vec![Tag::own(tenant, type_name, id)],
            Subject::Node(WatchedId::Node(node)) => {
                vec![Tag::of_node(tenant, &node.integration, &node.type_name, &node.native_id)]
            }
        }
    }

    /// Renders a slot's answer, which tells everything up to a position that was noted before.
    pub(super) async fn render(
        &self,
        subject: &Subject,
        cause: Cause,
        at: i64,
    ) -> Result<(Frame, Rendered), Unreadable> {
        let max_age = cause.max_age;
        // Before it is asked whether the node is deleted, which is a part of the answer.
        let noted = self.run.head().await?;
        let input = self.input(subject, cause, at).await?;
        let cursor = input.cursor.clone();
        let mut rendered = self.run.render(input, max_age).await?;
        rendered.noted = rendered.noted.min(noted);
        rendered.tags.extend(self.identity_tags(subject));
        Ok((Frame { payload: rendered.payload.clone(), cursor, watermark: (at >= 0).then_some(at) }, rendered))
    }
}
