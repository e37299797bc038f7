//! One subscriber of a live operation: what it has seen, and how it takes what is new.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use futures::{Stream, stream};
use mullion_schema::{enums::UpdateReason, id::WidgetId};
use tokio::sync::watch;

use super::{
    End, Item,
    hub::LiveHub,
    operation::{Operation, Watched},
    position_of,
    slot::SeenSlots,
    unfinished,
};
use crate::tag::Tag;

/// Changes read in one go when a subscriber resumes.
const CHUNK: u64 = 1_000;

pub(super) struct Subscriber {
    hub: Arc<LiveHub>,
    operation: Arc<Operation>,
    news: watch::Receiver<u64>,
    after: Option<i64>,
    seen: SeenSlots,
    /// Up to where it was told everything.
    told: Option<i64>,
    queue: VecDeque<Result<Item, End>>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Start,
    Live,
    Ended,
}

impl Subscriber {
    pub(super) fn new(hub: Arc<LiveHub>, operation: Arc<Operation>, after: Option<i64>) -> Self {
        let news = operation.news();
        let (seen, queue) = (SeenSlots::default(), VecDeque::new());
        Self { hub, operation, news, after, seen, told: None, queue, phase: Phase::Start }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Item, End>> + Send {
        stream::unfold(self, |mut subscriber| async move {
            let item = subscriber.next().await?;
            Some((item, subscriber))
        })
    }

    async fn next(&mut self) -> Option<Result<Item, End>> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                if self.queue.is_empty() {
                    // Given back: a subscriber waits far longer than it is told something.
                    self.queue = VecDeque::new();
                }
                if let Ok(item) = &item {
                    self.told = self.told.max(item.through());
                }
                return Some(item);
            }
            match self.phase {
                Phase::Start => {
                    self.operation.ready().await;
                    self.phase = Phase::Live;
                    self.begin().await;
                }
                Phase::Live => {
                    self.news.borrow_and_update();
                    self.take_news();
                    if self.queue.is_empty() && self.phase == Phase::Live && self.news.changed().await.is_err() {
                        return None;
                    }
                }
                Phase::Ended => return None,
            }
        }
    }

    /// Takes the newest answer of each slot that has a newer one than was seen.
    fn take_news(&mut self) {
        if self.operation.take_news(&mut self.seen, self.told, &mut self.queue) {
            self.phase = Phase::Ended;
            self.queue.push_back(Err(End::Completed));
        }
    }

    /// The current state, or what changed since the position to resume after.
    async fn begin(&mut self) {
        self.news.borrow_and_update();
        // Noted before the answers are looked at. Who comes back is told nothing older than what it came with.
        let reached = self.operation.reached(&self.hub);
        let through = reached.max(self.after.map_or(0, position_of));
        let again = self.after.is_some_and(|after| after < 0);
        let changed = match self.after.filter(|_| !again) {
            None => None,
            Some(after) => self.changed_since(after).await,
        };
        let snapshots = !matches!(self.operation.watched, Watched::Nodes(_));
        match changed {
            Some(changed) => self.resume(&changed, through).await,
            None if snapshots || again => self.resume_all().await,
            None if self.after.is_some() => {
                self.phase = Phase::Ended;
                self.queue.push_back(Err(End::CursorExpired));
                return;
            }
            None => self.operation.skip_news(&mut self.seen),
        }
        let end = if snapshots {
            Item::Frame(self.operation.snapshot_end(through).await)
        } else {
            Item::Mark(self.operation.mark_at(through))
        };
        self.queue.push_back(Ok(end));
    }

    async fn resume_all(&mut self) {
        for (slot, _) in self.operation.live_slots() {
            self.push_snapshot(slot).await;
        }
    }

    async fn resume(&mut self, changed: &HashSet<Tag>, through: i64) {
        self.operation.skip_news(&mut self.seen);
        for (slot, tags) in self.operation.live_slots() {
            if !tags.is_disjoint(changed) {
                self.push_snapshot(slot).await;
            }
        }
        if !self.operation.structure().is_disjoint(changed) {
            for widget in self.removed_widgets(changed) {
                let frame = self.operation.render_aside(UpdateReason::Removed, Some(widget), unfinished(through)).await;
                self.queue.push_back(Ok(Item::Frame(frame)));
            }
        }
    }

    /// Widgets that changed and are not on the dashboard: removed since, or another dashboard's, which no client of this one minds.
    fn removed_widgets(&self, changed: &HashSet<Tag>) -> Vec<WidgetId> {
        let prefix = format!("{}/mullion:Widget:", self.operation.run.tenant());
        let here: HashSet<WidgetId> =
            self.operation.live_slots().iter().filter_map(|(slot, _)| self.operation.widget(*slot)).collect();
        let widgets = changed.iter().filter_map(|tag| tag.as_str().strip_prefix(&prefix)).map(WidgetId::from);
        widgets.filter(|widget| !here.contains(widget)).collect()
    }

    async fn push_snapshot(&mut self, slot: u32) {
        if let Some((seen, frame)) = self.operation.snapshot(slot).await {
            *self.seen.of(slot) = seen;
            self.queue.push_back(Ok(Item::Frame(frame)));
        }
    }

    /// The tags that changed after a position; `None` when it is older than what is kept.
    async fn changed_since(&self, after: i64) -> Option<HashSet<Tag>> {
        let mut tags = HashSet::new();
        let mut position = after;
        loop {
            let changes = self.operation.run.changes_since(position, CHUNK).await?;
            let Some(last) = changes.last() else { return Some(tags) };
            position = last.position;
            tags.extend(changes.into_iter().flat_map(|change| change.tags));
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.hub.leave(&self.operation);
    }
}
