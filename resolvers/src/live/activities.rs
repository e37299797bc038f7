//! Live activities: every one that passes the filter, in the stream's order, rendered once for all who ask the same.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{Stream, stream};
use mullion_schema::{
    enums::UpdateReason,
    ports::{ActivitySource, LiveInput},
};
use tokio::{
    sync::{Mutex, OnceCell, watch},
    time::Instant,
};

use super::{End, Frame, Item, Mark, Run, hub::LiveHub};
use crate::store::{activity::Activity, stream::AppliedChange};

/// Rendered activities that are kept: of the newest, and of those that somebody who is further back has asked for.
const KEPT: usize = 256;
/// Changes read in one go.
const CHUNK: u64 = 500;
/// How far back of the stream's end the ring begins at most.
const LATELY: i64 = 500;
/// After so many changes without an activity for anybody (or after the hub's time), subscribers look again, so that their position
/// does not age out.
const QUIET: u64 = 256;
/// How long until a stream that could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The rendered activities of one document and filter.
pub(super) struct ActivityFeed {
    key: Arc<str>,
    run: Arc<dyn Run>,
    filter: ActivitySource,
    /// Changes since one that passed the filter.
    quiet: AtomicU64,
    /// When the subscribers were woken last.
    woken: parking_lot::Mutex<Instant>,
    /// Counts what the hub told.
    heard: AtomicU64,
    news: watch::Sender<()>,
    ring: Mutex<Option<Ring>>,
    /// Of those who are further back than the ring: after a restart all come back with positions of their own.
    rendered: parking_lot::Mutex<Rendered>,
}

struct Ring {
    /// Everything that passes the filter after this position, up to `head`, is here.
    start: i64,
    head: i64,
    /// What had been heard when the stream was last read to its end: while it is the same, there is nothing more.
    read_at: Option<u64>,
    frames: VecDeque<(i64, Frame)>,
}

#[derive(Default)]
struct Rendered {
    by_position: HashMap<i64, Arc<OnceCell<Frame>>>,
    order: VecDeque<i64>,
}

enum Next {
    Frame(i64, Frame),
    /// Nothing up to this position.
    Nothing(i64),
    /// The position is before what is kept: the stream itself is to be read.
    Behind,
    Expired,
}

impl ActivityFeed {
    pub(super) fn new(run: Arc<dyn Run>, filter: ActivitySource) -> Self {
        Self {
            key: run.sharing_key(),
            run,
            filter,
            quiet: AtomicU64::new(0),
            woken: parking_lot::Mutex::new(Instant::now()),
            heard: AtomicU64::new(0),
            news: watch::channel(()).0,
            ring: Mutex::new(None),
            rendered: parking_lot::Mutex::default(),
        }
    }

    /// Wakes the subscribers when one of the changes is for them, and at times of `every`.
    fn hear(&self, changes: &[AppliedChange], every: Duration) {
        self.heard.fetch_add(1, Ordering::AcqRel);
        let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        let admitted = changes.iter().any(|change| self.admitted(change).is_some());
        let quiet = self.quiet.fetch_add(count, Ordering::Relaxed) >= QUIET;
        if admitted || quiet || self.woken.lock().elapsed() >= every {
            self.wake();
        }
    }

    fn wake(&self) {
        self.quiet.store(0, Ordering::Relaxed);
        *self.woken.lock() = Instant::now();
        self.news.send_replace(());
    }

    fn admitted<'a>(&self, change: &'a AppliedChange) -> Option<&'a Activity> {
        let told = change.activity.as_ref().filter(|activity| !activity.pending);
        told.filter(|activity| self.run.admits(&self.filter, activity))
    }

    /// The next activity after a position.
    async fn next(&self, after: i64) -> Next {
        let mut ring = self.ring.lock().await;
        if ring.is_none() {
            // Whoever comes first may be far back: the others do not wait for what it has to be told.
            let start = after.max(self.run.head().await - LATELY);
            *ring = Some(Ring { start, head: start, read_at: None, frames: VecDeque::new() });
        }
        let Some(ring) = ring.as_mut() else { return Next::Nothing(after) };
        loop {
            if after < ring.start {
                return Next::Behind;
            }
            if let Some(next) = ring.after(after) {
                return next;
            }
            let heard = self.heard.load(Ordering::Acquire);
            if ring.read_at == Some(heard) {
                return Next::Nothing(ring.head.max(after));
            }
            let Some(changes) = self.run.changes_since(ring.head, CHUNK).await else { return Next::Expired };
            let is_full = (changes.len() as u64) >= CHUNK;
            // One that was not full was the last; but a stream that cannot be read looks the same as one without anything new.
            ring.read_at = (!changes.is_empty() && !is_full).then_some(heard);
            self.take_in(ring, changes).await;
            if !is_full && after >= ring.start {
                return ring.after(after).unwrap_or(Next::Nothing(ring.head.max(after)));
            }
        }
    }

    /// Takes what the stream brought into the ring.
    async fn take_in(&self, ring: &mut Ring, changes: Vec<AppliedChange>) {
        for change in changes {
            ring.head = change.position;
            if let Some(activity) = self.admitted(&change) {
                let frame = self.render(activity, change.position).await;
                ring.frames.push_back((change.position, frame));
                if ring.frames.len() > KEPT
                    && let Some((dropped, _)) = ring.frames.pop_front()
                {
                    ring.start = dropped;
                }
            }
        }
    }

    /// The rendered form of an activity that somebody far back wants; once for all who want it at the same time.
    async fn render_shared(&self, activity: &Activity, position: i64) -> Frame {
        let cell = {
            let mut rendered = self.rendered.lock();
            let rendered = &mut *rendered;
            let cell = rendered.by_position.entry(position).or_insert_with(|| {
                rendered.order.push_back(position);
                Arc::default()
            });
            let cell = Arc::clone(cell);
            if rendered.order.len() > KEPT
                && let Some(oldest) = rendered.order.pop_front()
            {
                rendered.by_position.remove(&oldest);
            }
            cell
        };
        cell.get_or_init(|| self.render(activity, position)).await.clone()
    }

    async fn render(&self, activity: &Activity, position: i64) -> Frame {
        let cursor = self.run.cursor(position);
        let input = LiveInput {
            cursor: cursor.clone(),
            reason: UpdateReason::Changed,
            widget: None,
            node: None,
            deleted: false,
            activity: self.run.activities(&[Arc::new(activity.clone())]).await.into_iter().next(),
            causes: Vec::new(),
        };
        let rendered = self.run.render(input, None).await;
        Frame { payload: rendered.payload, cursor, through: Some(position) }
    }
}

impl Ring {
    fn after(&self, position: i64) -> Option<Next> {
        let at = self.frames.partition_point(|(known, _)| *known <= position);
        self.frames.get(at).map(|(position, frame)| Next::Frame(*position, frame.clone()))
    }
}

/// The feeds of one tenant that somebody follows.
#[derive(Default)]
pub(super) struct Feeds(HashMap<Arc<str>, Weak<ActivityFeed>>);

impl Feeds {
    /// The feed of all who ask the same.
    pub(super) fn feed(&mut self, run: &Arc<dyn Run>, filter: ActivitySource) -> Arc<ActivityFeed> {
        let key = run.sharing_key();
        if let Some(feed) = self.0.get(&key).and_then(Weak::upgrade) {
            return feed;
        }
        let feed = Arc::new(ActivityFeed::new(Arc::clone(run), filter));
        self.0.insert(key, Arc::downgrade(&feed));
        feed
    }

    pub(super) fn hear(&self, changes: &[AppliedChange], every: Duration) {
        for feed in self.0.values().filter_map(Weak::upgrade) {
            feed.hear(changes, every);
        }
    }

    /// All look at the stream again.
    pub(super) fn wake(&self) {
        for feed in self.0.values().filter_map(Weak::upgrade) {
            feed.heard.fetch_add(1, Ordering::AcqRel);
            feed.wake();
        }
    }

    /// Forgets a feed that nobody follows any more.
    pub(super) fn forget(&mut self, key: &str) {
        if self.0.get(key).is_some_and(|feed| feed.strong_count() == 0) {
            self.0.remove(key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// One subscriber: only how far it has come.
pub(super) struct ActivitySubscriber {
    follows: Follows,
    news: watch::Receiver<()>,
    position: Option<i64>,
    /// Whether it was told something since it last waited: then it is not told how far that goes, too.
    told: bool,
    /// Where the subscriber is further back than the ring: what it has read of the stream and not sent yet.
    backlog: VecDeque<AppliedChange>,
    expired: bool,
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
    pub(super) fn new(hub: Arc<LiveHub>, feed: Arc<ActivityFeed>, after: Option<i64>) -> Self {
        let news = feed.news.subscribe();
        let follows = Follows { hub, feed: Some(feed) };
        Self { follows, news, position: after, told: false, backlog: VecDeque::new(), expired: false }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Item, End>> + Send {
        stream::unfold(self, |mut subscriber| async move {
            let item = subscriber.next().await?;
            Some((item, subscriber))
        })
    }

    async fn next(&mut self) -> Option<Result<Item, End>> {
        if self.expired {
            return None;
        }
        let feed = Arc::clone(self.follows.feed.as_ref()?);
        let mut position = match self.position {
            Some(position) => position,
            None => feed.run.head().await,
        };
        loop {
            while let Some(change) = self.backlog.pop_front() {
                position = change.position;
                if let Some(activity) = feed.admitted(&change) {
                    self.position = Some(position);
                    self.told = true;
                    return Some(Ok(Item::Frame(feed.render_shared(activity, position).await)));
                }
            }
            // Seen before the stream is read: what comes later wakes us.
            self.news.borrow_and_update();
            match feed.next(position).await {
                Next::Frame(at, frame) => {
                    self.position = Some(at);
                    self.told = true;
                    return Some(Ok(Item::Frame(frame)));
                }
                Next::Nothing(at) if at > position => position = at,
                Next::Nothing(_) => {
                    self.position = Some(position);
                    if !std::mem::replace(&mut self.told, true) {
                        return Some(Ok(Item::Mark(Mark { position, cursor: feed.run.cursor(position) })));
                    }
                    self.news.changed().await.ok()?;
                    self.told = false;
                }
                Next::Behind => match feed.run.changes_since(position, CHUNK).await {
                    None => return Some(self.expire()),
                    Some(changes) if changes.is_empty() => tokio::time::sleep(AGAIN).await,
                    Some(changes) => self.backlog = changes.into(),
                },
                Next::Expired => return Some(self.expire()),
            }
        }
    }

    fn expire(&mut self) -> Result<Item, End> {
        self.expired = true;
        Err(End::CursorExpired)
    }
}
