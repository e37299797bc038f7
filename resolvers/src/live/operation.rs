//! A live operation: one document over what it watches, run again when a tag of its last answer changed.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use mullion_schema::{
    enums::UpdateReason,
    id::{DashboardId, IntegrationId, WidgetId},
    ports::{ActivityView, LiveInput, WatchedId},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    End, Frame, Item, Mark, Rendered, Run,
    hub::LiveHub,
    slot::{Cause, Dirt, Ran, SeenSlot, SeenSlots, Slot, Subject},
    unfinished,
};
use crate::tag::Tag;

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
    /// Counts what subscribers may want to see.
    news: watch::Sender<u64>,
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
            news: watch::channel(0).0,
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
    pub(super) fn mark(&self, slot: u32, reason: UpdateReason, cause: Option<Arc<ActivityView>>) {
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

    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Waits until the first run is done.
    pub(super) async fn ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives in self: the wait cannot fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Takes the answers that are newer than what was seen, in the order of their runs; or, without any, how far that goes, where
    /// it is beyond what was told. Whether the operation has ended.
    pub(super) fn take_news(
        &self,
        seen: &mut SeenSlots,
        told: Option<i64>,
        items: &mut VecDeque<Result<Item, End>>,
    ) -> bool {
        let state = self.state.lock();
        let (mut newer, mut skipped): (Vec<&Slot>, bool) = (Vec::new(), false);
        for slot in &state.slots {
            let before = seen.of(slot.number);
            if slot.version <= before.version {
                continue;
            }
            let differs = slot.told || slot.digest != before.digest;
            skipped |= slot.version > before.version + 1;
            *before = SeenSlot { version: slot.version, digest: slot.digest };
            if differs && slot.frame.is_some() {
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
            items.push_back(Ok(Item::Frame(frame)));
        }
        if items.is_empty()
            && let Some(mark) = state.announced.as_ref().filter(|mark| Some(mark.position) > told)
        {
            items.push_back(Ok(Item::Mark(mark.clone())));
        }
        state.ended
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

    /// Runs the operation until its last subscriber left.
    pub(super) async fn drive(self: Arc<Self>, hub: Arc<LiveHub>) {
        // The head first: where nothing was published after it was read, nothing up to it is to come.
        let head = self.run.head().await;
        self.state.lock().through = hub.published(self.run.tenant()).unwrap_or(head);
        self.restructure(&hub, true).await;
        self.run_slots(&hub, None, true).await;
        self.ready.send_replace(true);
        let mut reread_at = Instant::now() + hub.reread;
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(reread_at) => {}
                () = self.stopped.cancelled() => return,
            }
            // However busy it is kept by others: what comes without webhooks has a time of its own.
            let ticks = Instant::now() >= reread_at;
            if ticks {
                self.mark_silent().await;
                reread_at = Instant::now() + hub.reread;
            }
            // Before the dirt is looked at: what is published afterwards makes some.
            let noted = hub.published(self.run.tenant());
            let dirty = self.begin_run();
            if dirty {
                self.restructure(&hub, false).await;
            }
            let ran = self.run_slots(&hub, noted, false).await;
            if ticks {
                self.announce();
            }
            if ran && !self.throttle.is_zero() {
                // The first change was sent at once; what comes within the window is told together at its end.
                tokio::select! {
                    () = tokio::time::sleep(self.throttle) => {}
                    () = self.stopped.cancelled() => return,
                }
            }
        }
    }

    /// From here to the end of the run dirt may be taken and not be in the answers. Whether the set of slots may have changed.
    fn begin_run(&self) -> bool {
        let mut state = self.state.lock();
        state.settled = false;
        std::mem::take(&mut state.structure_dirty)
    }

    /// Brings the slots in line with what is watched.
    async fn restructure(&self, hub: &LiveHub, first: bool) {
        let subjects: Option<Vec<Subject>> = match &self.watched {
            Watched::Widget(id) => first.then(|| vec![Subject::Widget(id.clone())]),
            Watched::Nodes(ids) => first.then(|| ids.iter().cloned().map(Subject::Node).collect()),
            Watched::Dashboard(id) => {
                let tags = HashSet::from([Tag::own(self.run.tenant(), "Dashboard", id.as_str())]);
                let before = std::mem::replace(&mut self.state.lock().structure, tags.clone());
                hub.register(self, STRUCTURE, &before, &tags);
                Some(self.run.widgets(id).await.unwrap_or_default().into_iter().map(Subject::Widget).collect())
            }
        };
        let Some(subjects) = subjects else { return };
        let mut state = self.state.lock();
        for slot in &mut state.slots {
            if !slot.removed && !subjects.contains(&slot.subject) {
                slot.dirt.get_or_insert_default().add(UpdateReason::Removed, None);
            }
        }
        for subject in subjects {
            if !state.slots.iter().any(|slot| slot.subject == subject && !slot.removed) {
                let number = u32::try_from(state.slots.len()).unwrap_or(STRUCTURE - 1);
                let mut slot = Slot::new(number, subject);
                slot.dirt.get_or_insert_default().add(UpdateReason::Configured, None);
                state.slots.push(slot);
            }
        }
    }

    /// Marks what comes from integrations without webhooks, to be read again.
    async fn mark_silent(&self) {
        for (number, tags) in self.live_slots() {
            if self.run.is_silent(&tags).await {
                let mut state = self.state.lock();
                if let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == number) {
                    slot.dirt.get_or_insert_default().reread = true;
                }
            }
        }
    }

    /// Runs every slot that is dirty, side by side, after what was published up to `noted`. Whether anything ran.
    async fn run_slots(&self, hub: &LiveHub, noted: Option<i64>, first: bool) -> bool {
        let (dirty, noted, before) = {
            let mut state = self.state.lock();
            let slots = state.slots.iter_mut();
            let dirty = slots.filter_map(|slot| Some((slot.number, slot.subject.clone(), slot.dirt.take()?)));
            let dirty: Vec<(u32, Subject, Dirt)> = dirty.collect();
            (dirty, state.through.max(noted.unwrap_or_default()), state.through)
        };
        // Who has seen the last of them has seen all; the others' positions are those before the run.
        let last = dirty.len();
        let runs = dirty.into_iter().zip(1..).map(|(run, count)| async move {
            let at = match (first, count == last) {
                (true, _) => unfinished(noted),
                (false, true) => noted,
                (false, false) => before,
            };
            self.run_slot(hub, run, at, first).await
        });
        let ran = join_all(runs).await;
        let any = !ran.is_empty();
        self.take_in(ran, noted, first);
        if any {
            self.news.send_modify(|count| *count += 1);
        }
        any
    }

    async fn run_slot(
        &self,
        hub: &LiveHub,
        (number, subject, dirt): (u32, Subject, Dirt),
        at: i64,
        first: bool,
    ) -> Ran {
        let gone = match &subject {
            Subject::Widget(id) => {
                let id = WatchedId::Own { type_name: "Widget".into(), id: id.as_str().into() };
                self.run.is_deleted(&id).await
            }
            Subject::Node(_) => false,
        };
        let reason = match (first, gone) {
            (_, true) => UpdateReason::Removed,
            (true, false) => UpdateReason::Snapshot,
            (false, false) => dirt.reason.unwrap_or(UpdateReason::Changed),
        };
        let max_age = dirt.reread.then(|| chrono::Duration::from_std(hub.reread).unwrap_or_default());
        let cause = Cause { reason, causes: dirt.causes, max_age };
        let (frame, rendered) = self.render(&subject, cause, at).await;
        let before = self.tags_of(number);
        let registered = hub.register(self, number, &before, &rendered.tags);
        if let Some(slot) = self.state.lock().slots.iter_mut().find(|slot| slot.number == number) {
            slot.tags.clone_from(&rendered.tags);
        }
        Ran { number, reason, gone, registered, frame, rendered }
    }

    /// Takes in what ran, all at once: who takes news sees all of a run or nothing of it.
    fn take_in(&self, ran: Vec<Ran>, through: i64, first: bool) {
        let mut state = self.state.lock();
        state.runs += 1;
        let run = state.runs;
        for Ran { number, reason, gone, registered, frame, rendered } in ran {
            let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == number) else { continue };
            // What somebody did to the widget itself is told even where nothing that was selected differs.
            let told = matches!(reason, UpdateReason::Configured | UpdateReason::Refreshed) || (gone && !slot.removed);
            if slot.digest != Some(rendered.digest) || told {
                slot.version += 1;
                slot.run = run;
                slot.digest = Some(rendered.digest);
                slot.snapshot = first.then(|| (slot.version, frame.clone()));
                slot.frame = (!first).then_some(frame);
                slot.told = told;
            }
            slot.removed = gone;
            if registered && !self.run.is_current(rendered.noted, &rendered.tags) {
                // It changed between the execution and the registration: the hub could not tell us.
                slot.dirt.get_or_insert_default().add(UpdateReason::Changed, None);
                self.wake.notify_one();
            }
            state.ended |= gone && matches!(self.watched, Watched::Widget(_));
        }
        state.through = state.through.max(through);
        state.settled = true;
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
            self.news.send_modify(|count| *count += 1);
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
