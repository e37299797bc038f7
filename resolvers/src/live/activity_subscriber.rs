//! One subscriber of a feed of activities: only how far it has come.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, stream};
use tokio::sync::watch;

use super::{
    End, Frame, Item, Watermark,
    activity_feed::{ActivityFeed, CHUNK, Next},
    hub::LiveHub,
};
use crate::{budget::Share, store::stream::AppliedChange};

/// How long until a stream is read again whose changes another reader has seen and this one does not see yet.
const AGAIN: Duration = Duration::from_secs(1);

/// One subscriber: only how far it has come.
pub(super) struct ActivitySubscriber {
    follows: Follows,
    news: watch::Receiver<()>,
    position: Option<i64>,
    /// Whether it was given something since it last waited: then it is not told how far that goes, too.
    sent: bool,
    /// Where the subscriber is further back than the ring: what it has read of the stream and not sent yet.
    backlog: VecDeque<AppliedChange>,
    ended: bool,
    _subscribed: Share,
}

/// Holds a feed; the last one to go takes it out of the hub.
struct Follows {
    hub: Arc<LiveHub>,
    feed: Option<Arc<ActivityFeed>>,
}

impl Drop for Follows {
    fn drop(&mut self) {
        if let Some(feed) = self.feed.take() {
            let (tenant, key) = (feed.run.tenant().clone(), Arc::clone(&feed.key));
            drop(feed);
            self.hub.forget_feed(&tenant, &key);
        }
    }
}

impl ActivitySubscriber {
    pub(super) fn new(hub: Arc<LiveHub>, feed: Arc<ActivityFeed>, after: Option<i64>, subscribed: Share) -> Self {
        let news = feed.news.subscribe();
        let follows = Follows { hub, feed: Some(feed) };
        let backlog = VecDeque::new();
        Self { follows, news, position: after, sent: false, backlog, ended: false, _subscribed: subscribed }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Item, End>> + Send {
        stream::unfold(self, |mut subscriber| async move {
            let item = subscriber.next().await?;
            Some((item, subscriber))
        })
    }

    async fn next(&mut self) -> Option<Result<Item, End>> {
        if self.ended {
            return None;
        }
        let item = self.item().await;
        self.ended = !matches!(item, Ok(Some(_)));
        item.transpose()
    }

    /// The next item; `None`: the feed is gone.
    async fn item(&mut self) -> Result<Option<Item>, End> {
        let Some(feed) = self.follows.feed.clone() else { return Ok(None) };
        let mut position = match self.position {
            Some(position) => position,
            None => feed.retry.read(|| feed.run.head()).await?,
        };
        loop {
            while let Some(change) = self.backlog.pop_front() {
                position = change.position;
                if let Some(activity) = feed.admitted(&change) {
                    let frame = feed.render_shared(activity, position).await?;
                    return Ok(Some(self.tell(position, frame)));
                }
            }
            // Seen before the stream is read: what comes later wakes us.
            self.news.borrow_and_update();
            match feed.next(position).await {
                Next::Frame(at, frame) => return Ok(Some(self.tell(at, frame))),
                Next::Nothing(at) if at > position => position = at,
                Next::Nothing(_) => {
                    self.position = Some(position);
                    if !std::mem::replace(&mut self.sent, true) {
                        return Ok(Some(watermark(&feed, position)));
                    }
                    if self.news.changed().await.is_err() {
                        return Ok(None);
                    }
                    self.sent = false;
                }
                Next::BeforeRing => {
                    let changes = feed.retry.read(|| feed.run.changes_since(position, CHUNK)).await?;
                    let changes = changes.ok_or(End::CursorExpired)?;
                    let Some(last) = changes.last() else {
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    };
                    if !changes.iter().any(|change| feed.admitted(change).is_some()) {
                        // However far back it is, what was looked through is not looked through again when it comes back.
                        self.position = Some(last.position);
                        return Ok(Some(watermark(&feed, last.position)));
                    }
                    self.backlog = changes.into();
                }
                Next::Failed(at) => tokio::time::sleep_until(at).await,
                Next::Expired => return Err(End::CursorExpired),
                Next::Unavailable => return Err(End::Unavailable),
            }
        }
    }

    fn tell(&mut self, position: i64, frame: Frame) -> Item {
        self.position = Some(position);
        self.sent = true;
        Item::Frame(frame)
    }
}

/// Tells that there is nothing up to a position.
fn watermark(feed: &ActivityFeed, position: i64) -> Item {
    Item::Watermark(Watermark { position, cursor: feed.run.cursor(position) })
}
