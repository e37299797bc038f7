//! How many things were open at a time: those that are open and were opened by then, and those that were closed only later.
//!
//! The provider lists what was closed in the order of its last update, and closing is an update. So a list that was read back to
//! a time holds everything that was closed since. An item that was closed and reopened meanwhile counts as if it had been open
//! all the time: only the closing that holds is known.

use chrono::{DateTime, Utc};
use mullion_schema::{
    enums::{PullRequestState, WorkItemState},
    error::{ErrorCode, PortError},
    ports::{MetricSource, Problem, PullRequestsSource, WorkItemFilter},
    view::NodeView,
};

use super::{
    feed::{Extent, Feed},
    filter::WorkFilter,
    gathered::Gathered,
};

/// The items that are open, and those that were closed since a time.
pub(super) struct History {
    /// Both, and what is wrong with them.
    pub(super) gathered: Gathered,
    /// How many are open now.
    pub(super) open: Option<i64>,
    /// Whether the number of those that were open is known for each time since.
    pub(super) is_known: bool,
    now: DateTime<Utc>,
}

impl History {
    /// Reads pull requests.
    pub(super) async fn of_pull_requests(
        feed: &Feed<'_>,
        source: &MetricSource,
        (since, now): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Self, PortError> {
        let (containers, found) =
            feed.named_or_all(source.containers.clone(), |lists| lists.pull_requests.is_some()).await?;
        let of = |states: &[PullRequestState]| PullRequestsSource {
            containers: containers.clone(),
            states: Some(states.to_vec()),
            authors: None,
        };
        let (open, closed) = (of(&[PullRequestState::Open]), of(&[PullRequestState::Closed, PullRequestState::Merged]));
        let feeds = both(feed, since);
        let (open, closed) = futures::try_join!(feeds.0.pull_requests(&open), feeds.1.pull_requests(&closed))?;
        Ok(Self::new(found, open, closed, (since, now)))
    }

    /// Reads issues and tasks.
    pub(super) async fn of_work_items(
        feed: &Feed<'_>,
        source: &MetricSource,
        (since, now): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Self, PortError> {
        let of = |states: &[WorkItemState]| WorkItemFilter {
            containers: source.containers.clone(),
            states: Some(states.to_vec()),
            ..WorkItemFilter::default()
        };
        let open = of(&[WorkItemState::Todo, WorkItemState::InProgress]);
        let closed = of(&[WorkItemState::Done, WorkItemState::Canceled]);
        let (open, closed) = (WorkFilter::new(&open), WorkFilter::new(&closed));
        let feeds = both(feed, since);
        let (open, closed) = futures::try_join!(feeds.0.work_items(&open), feeds.1.work_items(&closed))?;
        Ok(Self::new(Gathered::nothing(), open, closed, (since, now)))
    }

    fn new(
        mut found: Gathered,
        mut open: Gathered,
        closed: Gathered,
        (since, now): (DateTime<Utc>, DateTime<Utc>),
    ) -> Self {
        open.distinct();
        let all_open = open.known_from == DateTime::<Utc>::MIN_UTC && found.known_from == DateTime::<Utc>::MIN_UTC;
        // Where not all of them were read, the providers' word counts.
        let count =
            if all_open { i64::try_from(open.items.len()).ok() } else { open.total.filter(|_| found.total.is_some()) };
        let undated = closed.items.iter().find(|(_, view)| view.time("closedAt").is_none());
        let is_known = all_open && closed.known_from <= since && undated.is_none();
        // Where a reading failed, that is why the time is not known.
        let was_read = closed.problems.is_empty() && closed.missing.is_none();
        found.notes.extend(undated.filter(|_| was_read).map(|(_, view)| undated_closing(view)));
        found.join(open);
        found.join(closed);
        // One that was closed in between is in both.
        found.distinct();
        Self { gathered: found, open: count, is_known, now }
    }

    /// How many were open at a time since.
    pub(super) fn open_at(&self, at: DateTime<Utc>) -> usize {
        self.gathered.items.iter().filter(|(_, view)| self.was_open(view, at)).count()
    }

    fn was_open(&self, view: &NodeView, at: DateTime<Utc>) -> bool {
        // An event that the provider's clock puts a little ahead of ours happened just now.
        let time = |key: &str| view.time(key).map(|time| time.min(self.now));
        time("createdAt").is_none_or(|created| created <= at) && time("closedAt").is_none_or(|closed| at < closed)
    }
}

fn both<'a>(feed: &Feed<'a>, since: DateTime<Utc>) -> (Feed<'a>, Feed<'a>) {
    (Feed { extent: Extent::All, ..feed.clone() }, Feed { extent: Extent::Since(since), ..feed.clone() })
}

fn undated_closing(view: &NodeView) -> Problem {
    Problem {
        code: ErrorCode::Incomplete,
        message:
            "the provider does not say of every item when it was closed, so how many were open earlier is not known"
                .into(),
        integration: Some(view.key.integration.clone()),
        retry_after: None,
    }
}
