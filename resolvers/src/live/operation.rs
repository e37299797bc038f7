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
    End, Frame, Rendered, Run,
    hub::LiveHub,
    slot::{Dirt, Slot, Subject},
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
    /// What tells that the snapshots are all, at a head: the same for all who come in at that.
    snapshot_end: tokio::sync::Mutex<Option<(i64, Frame)>>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    subscribers: usize,
    structure: HashSet<Tag>,
    structure_dirty: bool,
    ended: bool,
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
    pub(super) fn of(&mut self, slot: u32) -> &mut SeenSlot {
        let at = usize::try_from(slot).unwrap_or_default();
        if self.0.len() <= at {
            self.0.reserve_exact(at + 1 - self.0.len());
            self.0.resize(at + 1, SeenSlot::default());
        }
        &mut self.0[at]
    }
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

    /// Takes the answers that are newer than what was seen. Whether the operation has ended.
    pub(super) fn take_news(&self, seen: &mut SeenSlots, frames: &mut VecDeque<Result<Frame, End>>) -> bool {
        let state = self.state.lock();
        for slot in &state.slots {
            let before = seen.of(slot.number);
            if slot.version <= before.version {
                continue;
            }
            let differs = slot.told || slot.digest != before.digest;
            *before = SeenSlot { version: slot.version, digest: slot.digest };
            if differs && let Some(frame) = &slot.frame {
                frames.push_back(Ok(frame.clone()));
            }
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
        let (subject, version, digest, cached) = {
            let state = self.state.lock();
            let slot = state.slots.iter().find(|slot| slot.number == number && !slot.removed)?;
            let cached = slot.snapshot.clone().filter(|(version, _)| *version == slot.version);
            (slot.subject.clone(), slot.version, slot.digest, cached)
        };
        if let Some((version, frame)) = cached {
            return Some((SeenSlot { version, digest }, frame));
        }
        let (frame, rendered) = self.render(&subject, UpdateReason::Snapshot, Vec::new(), None).await;
        let mut state = self.state.lock();
        if let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == number)
            && slot.version == version
            && slot.digest == Some(rendered.digest)
        {
            slot.snapshot = Some((version, frame.clone()));
        }
        Some((SeenSlot { version, digest: Some(rendered.digest) }, frame))
    }

    /// What tells that the snapshots at a head are all.
    pub(super) async fn snapshot_end(&self, head: i64) -> Frame {
        let mut known = self.snapshot_end.lock().await;
        if let Some((_, frame)) = known.as_ref().filter(|(at, _)| *at == head) {
            return frame.clone();
        }
        let frame = self.render_aside(UpdateReason::SnapshotEnd, None, head).await;
        *known = Some((head, frame.clone()));
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
        Frame { payload: rendered.payload, cursor }
    }

    /// Runs the operation until its last subscriber left.
    pub(super) async fn drive(self: Arc<Self>, hub: Arc<LiveHub>) {
        self.restructure(&hub, true).await;
        self.run_slots(&hub, true).await;
        self.ready.send_replace(true);
        let mut reread_at = Instant::now() + hub.reread;
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(reread_at) => {}
                () = self.stopped.cancelled() => return,
            }
            // However busy it is kept by others: what comes without webhooks has a time of its own.
            if Instant::now() >= reread_at {
                self.mark_silent().await;
                reread_at = Instant::now() + hub.reread;
            }
            let dirty = std::mem::take(&mut self.state.lock().structure_dirty);
            if dirty {
                self.restructure(&hub, false).await;
            }
            if self.run_slots(&hub, false).await && !self.throttle.is_zero() {
                // The first change was sent at once; what comes within the window is told together at its end.
                tokio::select! {
                    () = tokio::time::sleep(self.throttle) => {}
                    () = self.stopped.cancelled() => return,
                }
            }
        }
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

    /// Runs every slot that is dirty, side by side. Whether anything ran.
    async fn run_slots(&self, hub: &LiveHub, first: bool) -> bool {
        let dirty: Vec<(u32, Subject, Dirt)> = {
            let mut state = self.state.lock();
            let slots = state.slots.iter_mut();
            slots.filter_map(|slot| Some((slot.number, slot.subject.clone(), slot.dirt.take()?))).collect()
        };
        let ran = !dirty.is_empty();
        let runs = dirty.into_iter().map(|run| self.run_slot(hub, run, first));
        join_all(runs).await;
        if ran {
            self.news.send_modify(|count| *count += 1);
        }
        ran
    }

    async fn run_slot(&self, hub: &LiveHub, (number, subject, dirt): (u32, Subject, Dirt), first: bool) {
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
        let (frame, rendered) = self.render(&subject, reason, dirt.causes, max_age).await;
        let before = self.tags_of(number);
        let registered = hub.register(self, number, &before, &rendered.tags);
        let mut state = self.state.lock();
        let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == number) else { return };
        // What somebody did to the widget itself is told even where nothing that was selected differs.
        let told = matches!(reason, UpdateReason::Configured | UpdateReason::Refreshed) || (gone && !slot.removed);
        let differs = slot.digest != Some(rendered.digest) || told;
        if differs {
            slot.version += 1;
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
        slot.tags = rendered.tags;
        if gone && matches!(self.watched, Watched::Widget(_)) {
            state.ended = true;
        }
    }

    fn tags_of(&self, number: u32) -> HashSet<Tag> {
        let state = self.state.lock();
        state.slots.iter().find(|slot| slot.number == number).map(|slot| slot.tags.clone()).unwrap_or_default()
    }

    async fn render(
        &self,
        subject: &Subject,
        reason: UpdateReason,
        causes: Vec<Arc<ActivityView>>,
        max_age: Option<chrono::Duration>,
    ) -> (Frame, Rendered) {
        // Before anything is read: whoever resumes after this position sees all that came later.
        let cursor = self.run.cursor(self.run.head().await);
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
        (Frame { payload: rendered.payload.clone(), cursor }, rendered)
    }
}
