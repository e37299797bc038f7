//! A feed of live activities: every one that passes the filter, in the stream's order, rendered once for all who ask the same.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mullion_schema::{
    enums::UpdateReason,
    ports::{ActivitySource, LiveInput},
};
use tokio::{
    sync::{Mutex, OnceCell, watch},
    time::Instant,
};

use tracing::Instrument as _;

use super::{Frame, Retry, Run, Unreadable, activity_ring::Ring, span_of};
use crate::{
    budget::{Budget, Share},
    store::{activity::Activity, stream::AppliedChange},
    trace_context::TraceContext,
};

/// Rendered activities that are kept for subscribers further back than the ring.
const KEPT: usize = 256;
/// How long they are kept at most, and those for subscribers further back.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Changes read in one go.
pub(super) const CHUNK: u64 = 500;
/// How far back of the stream's end the ring begins at most.
const LATELY: i64 = 500;
/// After so many changes without an activity for anybody (or after the hub's time), subscribers look again, so that their position
/// does not age out.
const QUIET: u64 = 256;

/// The rendered activities of one document and filter.
pub(super) struct ActivityFeed {
    pub(super) key: Arc<str>,
    pub(super) run: Arc<dyn Run>,
    filter: ActivitySource,
    /// Changes since one that passed the filter.
    quiet: AtomicU64,
    /// When the subscribers were woken last.
    woken: parking_lot::Mutex<Instant>,
    /// Counts what the hub told.
    heard: AtomicU64,
    pub(super) news: watch::Sender<()>,
    /// The trace of what was heard last.
    trace: parking_lot::Mutex<Option<TraceContext>>,
    pub(super) retry: Retry,
    reading: Mutex<Reading>,
    /// Frames for those who are further back than the ring: after a restart all come back with positions of their own.
    rendered: parking_lot::Mutex<Rendered>,
    _running: Share,
}

/// The stream as it is read for all subscribers.
#[derive(Default)]
struct Reading {
    ring: Option<Ring>,
    /// How often in a row it could not be read, and until when it is not tried again.
    failures: u32,
    retry_at: Option<Instant>,
}

#[derive(Default)]
struct Rendered {
    by_position: HashMap<i64, Arc<OnceCell<Frame>>>,
    order: VecDeque<i64>,
    forgotten_at: Option<Instant>,
}

/// The result of asking a feed what is next.
pub(super) enum Next {
    Frame(i64, Frame),
    /// Nothing up to this position.
    Nothing(i64),
    /// The position is before what is kept: the stream itself is to be read.
    BeforeRing,
    Expired,
    /// It could not be read, and is tried again then.
    Failed(Instant),
    /// It could not be read for too long.
    Unavailable,
}

impl ActivityFeed {
    fn new(run: Arc<dyn Run>, filter: ActivitySource, retry: Retry, running: Share) -> Self {
        Self {
            key: run.sharing_key(),
            run,
            filter,
            quiet: AtomicU64::new(0),
            woken: parking_lot::Mutex::new(Instant::now()),
            heard: AtomicU64::new(0),
            news: watch::channel(()).0,
            trace: parking_lot::Mutex::default(),
            retry,
            reading: Mutex::default(),
            rendered: parking_lot::Mutex::default(),
            _running: running,
        }
    }

    /// Wakes the subscribers when one of the changes is for them, and at times of `every`.
    fn hear(&self, changes: &[AppliedChange], every: Duration, trace: Option<TraceContext>) {
        if trace.is_some() {
            *self.trace.lock() = trace;
        }
        self.heard.fetch_add(1, Ordering::AcqRel);
        let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        let admitted = changes.iter().any(|change| self.admitted(change).is_some());
        let quiet = self.quiet.fetch_add(count, Ordering::Relaxed) >= QUIET;
        if admitted || quiet || self.woken.lock().elapsed() >= every {
            self.wake();
        }
        self.forget();
    }

    /// Forgets what was rendered some time ago: a subscriber that is so far back has it rendered again. Where somebody is reading,
    /// it is done with the next change.
    fn forget(&self) {
        let mut rendered = self.rendered.lock();
        if rendered.forgotten_at.is_some_and(|at| at.elapsed() < KEPT_FOR) {
            return;
        }
        let before = rendered.forgotten_at.replace(Instant::now());
        if before.is_some() {
            rendered.by_position = HashMap::new();
            rendered.order = VecDeque::new();
        }
        drop(rendered);
        if let (Ok(mut reading), Some(moment)) = (self.reading.try_lock(), Instant::now().checked_sub(KEPT_FOR))
            && let Some(ring) = &mut reading.ring
        {
            ring.forget_before(moment);
        }
    }

    fn wake(&self) {
        self.quiet.store(0, Ordering::Relaxed);
        *self.woken.lock() = Instant::now();
        self.news.send_replace(());
    }

    /// The activity of a change, if it passes the filter.
    pub(super) fn admitted<'a>(&self, change: &'a AppliedChange) -> Option<&'a Activity> {
        let published = change.activity.as_ref().filter(|activity| !activity.pending);
        published.filter(|activity| self.run.admits(&self.filter, activity))
    }

    /// The next activity after a position. A read that fails is repeated once for all subscribers, not by each of them.
    pub(super) async fn next(&self, after: i64) -> Next {
        let mut reading = self.reading.lock().await;
        let Reading { ring, failures, retry_at } = &mut *reading;
        if let Some(at) = retry_at.filter(|at| *at > Instant::now()) {
            let known = ring.as_ref().filter(|ring| after >= ring.start).and_then(|ring| next_in(ring, after));
            let given_up = self.retry.pause(*failures).is_none();
            return known.unwrap_or(if given_up { Next::Unavailable } else { Next::Failed(at) });
        }
        let last_try = self.retry.pause(*failures + 1).is_none();
        if let Ok(next) = self.read_on(ring, after, last_try).await {
            (*failures, *retry_at) = (0, None);
            return next;
        }
        *failures = failures.saturating_add(1);
        let at = Instant::now() + self.retry.pause(*failures).unwrap_or(self.retry.longest);
        *retry_at = Some(at);
        if last_try { Next::Unavailable } else { Next::Failed(at) }
    }

    /// Reads the stream until there is an activity after a position, or nothing more.
    async fn read_on(&self, ring: &mut Option<Ring>, after: i64, last_try: bool) -> Result<Next, Unreadable> {
        let ring = match ring {
            Some(ring) => ring,
            none => {
                // The first subscriber may be far back: the others do not wait for its backlog.
                let start = after.max(self.run.head().await? - LATELY);
                none.insert(Ring::new(start))
            }
        };
        loop {
            if after < ring.start {
                return Ok(Next::BeforeRing);
            }
            if let Some(next) = next_in(ring, after) {
                return Ok(next);
            }
            let heard = self.heard.load(Ordering::Acquire);
            if ring.read_at == Some(heard) {
                return Ok(Next::Nothing(ring.head.max(after)));
            }
            let Some(changes) = self.run.changes_since(ring.head, CHUNK).await? else { return Ok(Next::Expired) };
            let is_full = (changes.len() as u64) >= CHUNK;
            self.take_in(ring, changes, last_try).await?;
            // One that was not full was the last.
            ring.read_at = (!is_full).then_some(heard);
            if !is_full && after >= ring.start {
                return Ok(next_in(ring, after).unwrap_or(Next::Nothing(ring.head.max(after))));
            }
        }
    }

    /// Takes what the stream brought into the ring, up to what cannot be rendered.
    async fn take_in(&self, ring: &mut Ring, changes: Vec<AppliedChange>, last_try: bool) -> Result<(), Unreadable> {
        for change in changes {
            if let Some(activity) = self.admitted(&change) {
                let input = self.input(activity, change.position).await;
                let cursor = input.cursor.clone();
                let span = span_of(self.trace.lock().take());
                let rendered = self.run.render(input, None).instrument(span).await?;
                match (rendered.failed, last_try) {
                    (false, _) => {}
                    // Once for all, with the stream.
                    (true, false) => return Err(Unreadable),
                    // The answer says of what it could not read that it could not, and the fault is elsewhere.
                    (true, true) => self.run.reach_store().await?,
                }
                let watermark = Some(change.position);
                ring.push(change.position, Frame { payload: rendered.payload, cursor, watermark });
            }
            ring.head = change.position;
        }
        Ok(())
    }

    /// The rendered form of an activity that somebody far back wants; once for all who want it at the same time.
    pub(super) async fn render_shared(&self, activity: &Activity, position: i64) -> Result<Frame, Unreadable> {
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
        let render = || async {
            let input = self.input(activity, position).await;
            let rendered = self.retry.render(&*self.run, &input).await?;
            Ok(Frame { payload: rendered.payload, cursor: input.cursor, watermark: Some(position) })
        };
        cell.get_or_try_init(render).await.cloned()
    }

    async fn input(&self, activity: &Activity, position: i64) -> LiveInput {
        LiveInput {
            cursor: self.run.cursor(position),
            reason: UpdateReason::Changed,
            widget: None,
            node: None,
            deleted: false,
            complete: None,
            activity: self.run.activities(&[Arc::new(activity.clone())]).await.into_iter().next(),
            causes: Vec::new(),
        }
    }
}

/// The next frame of a ring after a position.
fn next_in(ring: &Ring, after: i64) -> Option<Next> {
    ring.after(after).map(|(position, frame)| Next::Frame(position, frame))
}

/// The feeds of one tenant that somebody follows.
#[derive(Default)]
pub(super) struct Feeds(HashMap<Arc<str>, Weak<ActivityFeed>>);

impl Feeds {
    /// The feed of all who ask the same; a new one, if `take` gives it its share of the tenant's operations.
    pub(super) fn feed(
        &mut self,
        run: &Arc<dyn Run>,
        filter: ActivitySource,
        retry: Retry,
        take: impl FnOnce() -> Result<Share, Budget>,
    ) -> Result<Arc<ActivityFeed>, Budget> {
        let key = run.sharing_key();
        if let Some(feed) = self.0.get(&key).and_then(Weak::upgrade) {
            return Ok(feed);
        }
        let feed = Arc::new(ActivityFeed::new(Arc::clone(run), filter, retry, take()?));
        self.0.insert(key, Arc::downgrade(&feed));
        Ok(feed)
    }

    pub(super) fn hear(&self, changes: &[AppliedChange], every: Duration, trace: Option<TraceContext>) {
        for feed in self.0.values().filter_map(Weak::upgrade) {
            feed.hear(changes, every, trace);
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
