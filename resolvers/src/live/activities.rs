//! Live activities: every one that passes the filter, in the stream's order, rendered once for all who ask the same.

use std::{collections::VecDeque, sync::Arc};

use futures::{Stream, stream};
use mullion_schema::{
    enums::UpdateReason,
    ports::{ActivitySource, LiveInput},
};
use tokio::sync::{Mutex, watch};

use super::{End, Frame, Run};
use crate::store::stream::AppliedChange;

/// Rendered activities that are kept for subscribers who are a little behind; further back they are rendered for each alone.
const RING: usize = 512;
/// Changes read in one go.
const CHUNK: u64 = 500;

/// The rendered activities of one document and filter.
pub(super) struct ActivityFeed {
    run: Arc<dyn Run>,
    filter: ActivitySource,
    ring: Mutex<Option<Ring>>,
}

struct Ring {
    /// Everything that passes the filter after this position, up to `head`, is here.
    start: i64,
    head: i64,
    frames: VecDeque<(i64, Frame)>,
}

enum Next {
    Frame(i64, Frame),
    /// Nothing up to this position.
    Nothing(i64),
    Expired,
}

impl ActivityFeed {
    pub(super) fn new(run: Arc<dyn Run>, filter: ActivitySource) -> Self {
        Self { run, filter, ring: Mutex::new(None) }
    }

    /// The next activity after a position.
    async fn next(&self, after: i64) -> Next {
        let mut ring = self.ring.lock().await;
        let ring = ring.get_or_insert_with(|| Ring { start: after, head: after, frames: VecDeque::new() });
        if after < ring.start {
            return self.read_alone(after).await;
        }
        if let Some(next) = ring.after(after) {
            return next;
        }
        let Some(changes) = self.run.changes_since(ring.head, CHUNK).await else { return Next::Expired };
        for change in changes {
            ring.head = change.position;
            if let Some(frame) = self.render(&change).await {
                ring.frames.push_back((change.position, frame));
                if ring.frames.len() > RING
                    && let Some((dropped, _)) = ring.frames.pop_front()
                {
                    ring.start = dropped;
                }
            }
        }
        ring.after(after).unwrap_or(Next::Nothing(ring.head.max(after)))
    }

    /// For a subscriber that is further back than the ring.
    async fn read_alone(&self, after: i64) -> Next {
        let Some(changes) = self.run.changes_since(after, CHUNK).await else { return Next::Expired };
        let mut position = after;
        for change in changes {
            position = change.position;
            if let Some(frame) = self.render(&change).await {
                return Next::Frame(position, frame);
            }
        }
        Next::Nothing(position)
    }

    async fn render(&self, change: &AppliedChange) -> Option<Frame> {
        let activity = change.activity.as_ref().filter(|activity| self.run.admits(&self.filter, activity))?;
        let cursor = self.run.cursor(change.position);
        let input = LiveInput {
            cursor: cursor.clone(),
            reason: UpdateReason::Changed,
            widget: None,
            node: None,
            deleted: false,
            activity: Some(self.run.activity(activity)),
            causes: Vec::new(),
        };
        let rendered = self.run.render(input, None).await;
        Some(Frame { payload: rendered.payload, cursor })
    }
}

impl Ring {
    fn after(&self, position: i64) -> Option<Next> {
        let at = self.frames.partition_point(|(known, _)| *known <= position);
        self.frames.get(at).map(|(position, frame)| Next::Frame(*position, frame.clone()))
    }
}

/// One subscriber: only how far it has come.
pub(super) struct ActivitySubscriber {
    feed: Arc<ActivityFeed>,
    news: watch::Receiver<i64>,
    position: Option<i64>,
    expired: bool,
}

impl ActivitySubscriber {
    pub(super) fn new(feed: Arc<ActivityFeed>, news: watch::Receiver<i64>, after: Option<i64>) -> Self {
        Self { feed, news, position: after, expired: false }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Frame, End>> + Send {
        stream::unfold(self, |mut subscriber| async move {
            let item = subscriber.next().await?;
            Some((item, subscriber))
        })
    }

    async fn next(&mut self) -> Option<Result<Frame, End>> {
        if self.expired {
            return None;
        }
        let mut position = match self.position {
            Some(position) => position,
            None => self.feed.run.head().await,
        };
        loop {
            // Seen before the stream is read: what comes later wakes us.
            self.news.borrow_and_update();
            match self.feed.next(position).await {
                Next::Frame(at, frame) => {
                    self.position = Some(at);
                    return Some(Ok(frame));
                }
                Next::Nothing(at) if at > position => position = at,
                Next::Nothing(_) => {
                    self.position = Some(position);
                    self.news.changed().await.ok()?;
                }
                Next::Expired => {
                    self.expired = true;
                    return Some(Err(End::CursorExpired));
                }
            }
        }
    }
}
