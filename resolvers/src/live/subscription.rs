//! One subscriber of a live operation: what it has seen, and how it takes what is new.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use mullion_schema::id::WidgetId;
use parking_lot::Mutex;

use super::{
    End, Item, Retry, Unreadable,
    hub::LiveHub,
    news::WaiterKey,
    operation::{Operation, Watched},
    position_of,
    queue::Queue,
    slot::SeenSlots,
    unfinished,
};
use crate::{budget::Share, tag::Tag};

/// Changes read in one go when a subscriber resumes.
const CHUNK: u64 = 1_000;

/// The changes after the position to resume after.
enum Since {
    /// These tags changed.
    Changed(HashSet<Tag>),
    /// More than is worth reading.
    TooMuch,
    /// The position is older than what is kept.
    Expired,
}

/// The stream of a subscriber: it is told first where it begins, then what is new.
///
/// Written by hand, since each change polls thousands of them: nothing is made or moved for a poll.
#[expect(clippy::large_enum_variant, reason = "nearly all are live, and each change polls them")]
pub(super) enum Subscription {
    Beginning(Beginning),
    Live(Subscriber),
}

/// The beginning: snapshots are told as they are there, while others are waited for.
pub(super) struct Beginning {
    begin: BoxFuture<'static, Subscriber>,
    tells: SharedQueue,
}

/// The answers that a beginning has to send until now.
type SharedQueue = Arc<Mutex<Queue>>;

pub(super) struct Subscriber {
    hub: Arc<LiveHub>,
    operation: Arc<Operation>,
    waiter: WaiterKey,
    /// How much there was to see when it was looked at.
    looked: Option<u64>,
    after: Option<i64>,
    seen: SeenSlots,
    /// Up to where it was told everything.
    told: Option<i64>,
    queue: Queue,
    ended: bool,
    _subscribed: Share,
}

impl Stream for Subscription {
    type Item = Result<Item, End>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut *self {
                Self::Live(subscriber) => return subscriber.poll_next(cx),
                Self::Beginning(beginning) => match beginning.begin.as_mut().poll(cx) {
                    Poll::Ready(subscriber) => *self = Self::Live(subscriber),
                    Poll::Pending => {
                        let item = beginning.tells.lock().pop();
                        return item.map_or(Poll::Pending, |item| Poll::Ready(Some(item)));
                    }
                },
            }
        }
    }
}

impl Subscriber {
    pub(super) fn new(hub: Arc<LiveHub>, operation: Arc<Operation>, after: Option<i64>, subscribed: Share) -> Self {
        let waiter = operation.news.enter();
        let (seen, queue) = (SeenSlots::default(), Queue::default());
        Self {
            hub,
            operation,
            waiter,
            looked: None,
            after,
            seen,
            told: None,
            queue,
            ended: false,
            _subscribed: subscribed,
        }
    }

    pub(super) fn into_stream(mut self) -> Subscription {
        let tells = SharedQueue::default();
        let shared = Arc::clone(&tells);
        let begin = async move {
            let ended = self.begin(&shared).await;
            self.queue = std::mem::take(&mut *shared.lock());
            if let Err(end) = ended {
                self.end(end);
            }
            self
        };
        Subscription::Beginning(Beginning { begin: begin.boxed(), tells })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, End>>> {
        loop {
            if let Some(item) = self.queue.pop() {
                if let Ok(item) = &item {
                    self.told = self.told.max(item.watermark());
                }
                return Poll::Ready(Some(item));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            // Noted before it is looked at: what is told meanwhile is looked at again.
            let count = self.operation.news.count();
            if self.looked != Some(count) {
                self.looked = Some(count);
                self.take_news();
            } else if self.operation.news.wait(&self.waiter, count, cx.waker()) {
                return Poll::Pending;
            }
        }
    }

    /// Takes the newest answer of each slot that has a newer one than was seen.
    fn take_news(&mut self) {
        if let Some(end) = self.operation.take_news(&mut self.seen, self.told, &mut self.queue) {
            self.end(end);
        }
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        self.queue.push(Err(end));
    }

    /// The current state, or what changed since the position to resume after.
    async fn begin(&mut self, tells: &SharedQueue) -> Result<(), End> {
        let snapshots = !matches!(self.operation.watched, Watched::Nodes(_));
        if snapshots && self.after.is_none_or(|after| after < 0) {
            self.operation.begun().await;
        } else {
            // Which changes concern a slot is known when it has an answer.
            self.operation.answered().await;
        }
        if let Some(end @ End::Unavailable) = self.operation.ended() {
            return Err(end);
        }
        // Noted before the answers are looked at. A subscriber that comes back is told no position before its own.
        let reached = self.operation.reached(&self.hub);
        let watermark = reached.max(self.after.map_or(0, position_of));
        let mut complete = true;
        match self.after {
            None if snapshots => self.begin_with(None, tells).await?,
            None => self.operation.skip_news(&mut self.seen),
            Some(after) if after < 0 => self.begin_with(None, tells).await?,
            Some(after) => {
                // Before the changes are read: what is taken in after it is told as a change.
                self.operation.skip_news(&mut self.seen);
                match self.changed_since(after, watermark).await? {
                    Since::Changed(changed) => {
                        complete = false;
                        self.resume(&changed, watermark, tells).await?;
                    }
                    Since::Expired if !snapshots => return Err(End::CursorExpired),
                    Since::TooMuch | Since::Expired => self.begin_with(None, tells).await?,
                }
            }
        }
        let end = if snapshots {
            Item::Frame(self.operation.snapshot_end(watermark, complete, self.retry()).await?)
        } else {
            Item::Watermark(self.operation.watermark_at(watermark))
        };
        tells.lock().push(Ok(end));
        Ok(())
    }

    fn retry(&self) -> &Retry {
        &self.hub.rules.retry
    }

    /// Tells the snapshots of all slots, or of those that these changes touch, each when it is there.
    async fn begin_with(&mut self, changed: Option<&HashSet<Tag>>, tells: &SharedQueue) -> Result<(), Unreadable> {
        let (operation, hub) = (&self.operation, &self.hub);
        let slots = operation.live_slots().into_iter();
        let touched = slots.filter(|(_, tags)| changed.is_none_or(|changed| !tags.is_disjoint(changed)));
        let snapshot = |(slot, _)| async move { (slot, operation.snapshot(hub, slot).await) };
        let mut snapshots: FuturesUnordered<_> = touched.map(snapshot).collect();
        while let Some((slot, snapshot)) = snapshots.next().await {
            let Some((seen, frame)) = snapshot? else { continue };
            if operation.note_seen(&mut self.seen, slot, seen) {
                tells.lock().push(Ok(Item::Frame(frame)));
            }
        }
        Ok(())
    }

    async fn resume(&mut self, changed: &HashSet<Tag>, watermark: i64, tells: &SharedQueue) -> Result<(), Unreadable> {
        self.begin_with(Some(changed), tells).await?;
        if !self.operation.structure().is_disjoint(changed) {
            for widget in self.removed_widgets(changed) {
                let frame = self.operation.removed(widget, unfinished(watermark), self.retry()).await?;
                tells.lock().push(Ok(Item::Frame(frame)));
            }
        }
        Ok(())
    }

    /// Widgets that changed and are not on the dashboard: removed since, or another dashboard's, which no client of this one minds.
    fn removed_widgets(&self, changed: &HashSet<Tag>) -> Vec<WidgetId> {
        let prefix = format!("{}/mullion:Widget:", self.operation.run.tenant());
        let here: HashSet<WidgetId> =
            self.operation.live_slots().iter().filter_map(|(slot, _)| self.operation.widget(*slot)).collect();
        let widgets = changed.iter().filter_map(|tag| tag.as_str().strip_prefix(&prefix)).map(WidgetId::from);
        widgets.filter(|widget| !here.contains(widget)).collect()
    }

    /// The tags that changed after a position, while everything up to `watermark` is in the answers.
    async fn changed_since(&self, after: i64, watermark: i64) -> Result<Since, Unreadable> {
        let run = &self.operation.run;
        let most = self.hub.rules.replayed;
        let is_too_much = |position: i64| position.saturating_sub(after) > most;
        // One is enough to learn whether the position is still kept.
        let limit = if is_too_much(watermark) { 1 } else { CHUNK };
        let (mut tags, mut position) = (HashSet::new(), after);
        loop {
            let changes = self.retry().read(|| run.changes_since(position, limit)).await?;
            let Some(changes) = changes else { return Ok(Since::Expired) };
            let Some(last) = changes.last() else { return Ok(Since::Changed(tags)) };
            position = last.position;
            if is_too_much(position.max(watermark)) {
                return Ok(Since::TooMuch);
            }
            tags.extend(changes.into_iter().flat_map(|change| change.tags));
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.operation.news.leave(&self.waiter);
        self.hub.leave(&self.operation, &mut self.seen);
    }
}
