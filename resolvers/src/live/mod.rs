//! Live operations: what is subscribed to, shared by all who ask the same, run once for each change that touches it.
//!
//! Subscribers pull: each holds only how far it has seen, and takes the newest answer when it can. A slow one lags alone, and
//! nothing is queued for it.

mod activity_feed;
mod activity_ring;
mod activity_subscriber;
mod drive;
mod hub;
mod index;
mod news;
mod operation;
mod pace;
mod pending;
mod queue;
mod retry;
mod runs;
mod slot;
mod snapshots;
mod subscribe;
mod subscription;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::Duration;
use futures::stream::BoxStream;
use mullion_schema::{
    id::{DashboardId, EventCursor, TenantId, WidgetId},
    ports::{ActivitySource, ActivityView, LiveInput, LivePlan, WatchedId},
};

pub use self::{
    hub::{LiveHub, LiveRules},
    pending::PendingTenants,
    retry::Retry,
};
use crate::{
    reading::BackgroundFetches,
    store::{activity::Activity, stream::AppliedChange},
    tag::Tag,
    trace_context::TraceContext,
};

/// One answer to a subscriber: a serialized GraphQL execution result, shared by all who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// `{"data":{…}}`
    pub payload: Bytes,
    /// The position after it, to resume from.
    pub cursor: EventCursor,
    /// That position, where everything up to it was told: not for a snapshot, until the end of the snapshots was told.
    pub watermark: Option<i64>,
}

impl Frame {
    /// The same with another cursor and watermark; in the payload, too, where nothing else can hold that text.
    fn retold(&self, run: &dyn Run, cursor: EventCursor, watermark: Option<i64>) -> Self {
        let payload = String::from_utf8_lossy(&self.payload).replace(self.cursor.as_str(), cursor.as_str());
        Self { payload: run.hold(payload.into()), cursor, watermark }
    }
}

/// The span of an answer to what changed, in the trace of that.
fn span_of(trace: Option<TraceContext>) -> tracing::Span {
    let Some(trace) = trace else { return tracing::Span::none() };
    let span = tracing::error_span!("live_answer");
    trace.adopt(&span);
    span
}

/// A position as the cursors of snapshots hold it: who comes back with one has perhaps not heard of all of them, and is told them
/// again. Where there are no snapshots, it is as good as the position.
pub(crate) const fn unfinished(position: i64) -> i64 {
    !position
}

/// The position of either.
pub(crate) const fn position_of(after: i64) -> i64 {
    if after < 0 { !after } else { after }
}

/// A position up to which a subscriber was told everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// The position.
    pub position: i64,
    /// The same as clients may hold it.
    pub cursor: EventCursor,
}

/// An item of a subscriber's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An answer.
    Frame(Frame),
    /// Nothing to tell; but how far that goes. Comes now and then while it is quiet, never ahead of a frame.
    Watermark(Watermark),
}

impl Item {
    /// The position up to which everything was told with this.
    pub fn watermark(&self) -> Option<i64> {
        match self {
            Self::Frame(frame) => frame.watermark,
            Self::Watermark(watermark) => Some(watermark.position),
        }
    }
}

/// The result of an execution for an event.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The serialized result.
    pub payload: Bytes,
    /// A hash of what the client sees of it, without cursor, causes and reason: equal digests are not sent twice.
    pub digest: [u8; 32],
    /// The tags that it was read under.
    pub tags: HashSet<Tag>,
    /// The head that was noted before it was read.
    pub noted: i64,
    /// Whether something in it could not be read here. The answer says so, at a path or in a widget's problems; another execution
    /// may read it.
    pub failed: bool,
    /// It shows something that is not current: it is worth another try.
    pub stale: bool,
    /// It changes as time passes, without any news: it is read again now and then.
    pub changes_with_time: bool,
    /// Ends with the fetches that it did not wait for.
    pub background_fetches: Option<BackgroundFetches>,
}

/// The store could not be read: nothing follows from that about what is in it. The cause was logged where the read failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store could not be read")]
pub struct Unreadable;

/// Why a subscription ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The thing it watches is gone for good.
    Completed,
    /// The position to resume after is older than what is kept.
    CursorExpired,
    /// The store could not be read for too long. Everything up to the last cursor was told: the client comes again with that.
    Unavailable,
}

impl From<Unreadable> for End {
    fn from(_: Unreadable) -> Self {
        Self::Unavailable
    }
}

/// A subscriber's stream: frames and watermarks, then perhaps why it ended. A stream without an end was dropped with the process.
pub type Frames = BoxStream<'static, Result<Item, End>>;

/// One subscription's document with its variables and its caller, as the hub runs it. Implemented over the executor.
#[async_trait]
pub trait Run: Send + Sync {
    /// The key that two subscriptions must have in common to share their answers: permission set, document, operation name,
    /// variables without `after`, in full.
    fn sharing_key(&self) -> Arc<str>;

    /// The tenant.
    fn tenant(&self) -> &TenantId;

    /// The operation's name, where the document gives one.
    fn name(&self) -> Option<&str> {
        None
    }

    /// Executes the document for an event. Values older than `max_age` are read again.
    async fn render(&self, input: LiveInput, max_age: Option<Duration>) -> Result<Rendered, Unreadable>;

    /// The bytes of an answer, counted as the tenant's while anybody holds them.
    fn hold(&self, payload: Bytes) -> Bytes {
        payload
    }

    /// Whether what was read at a head under these tags is still current.
    fn is_current(&self, noted: i64, tags: &HashSet<Tag>) -> bool;

    /// The widgets of a dashboard as they are now; `None` when there is no such dashboard (any more).
    async fn widgets(&self, dashboard: &DashboardId) -> Result<Option<Vec<WidgetId>>, Unreadable>;

    /// Whether a node or a row is gone.
    async fn is_deleted(&self, id: &WatchedId) -> Result<bool, Unreadable>;

    /// The tenant's head now.
    async fn head(&self) -> Result<i64, Unreadable>;

    /// The changes after a position, in order, at most `limit`; `None` when the position is older than what is kept.
    async fn changes_since(&self, position: i64, limit: u64) -> Result<Option<Vec<AppliedChange>>, Unreadable>;

    /// Whether a value read under these tags comes from an integration whose webhooks are silent.
    async fn is_silent(&self, tags: &HashSet<Tag>) -> Result<bool, Unreadable>;

    /// Whether the store can be read at all.
    async fn reach_store(&self) -> Result<(), Unreadable>;

    /// A position as clients may hold it.
    fn cursor(&self, position: i64) -> EventCursor;

    /// Activities as the graph shows them, with the names that are known now. Once for each frame, however many wait for it.
    async fn activities(&self, activities: &[Arc<Activity>]) -> Vec<Arc<ActivityView>>;

    /// Whether an activity passes a filter.
    fn admits(&self, filter: &ActivitySource, activity: &Activity) -> bool;
}

/// A subscription to start.
pub struct Subscribe {
    /// How to run it.
    pub run: Arc<dyn Run>,
    /// The updates that it asks for.
    pub plan: LivePlan,
    /// Resume after this position, already authenticated; negative in the middle of snapshots.
    pub after: Option<i64>,
}
