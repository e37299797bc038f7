//! What draws on several integrations at once: the lists of many containers, filtered, ordered and paged together.
//!
//! A container that fails is a problem of the answer, not its end: the others are shown, and the widget says what is missing.

mod containers;
mod distinct;
mod feed;
mod filter;
mod history;
mod metric;
mod reading;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mullion_schema::{
    enums::{OrderDirection, WidgetState, WorkItemOrderField, WorkItemState},
    error::{ErrorCode, PortError},
    fields::FieldSet,
    ports::{
        BuildsSource, Load, MessagesSource, MetricSource, MetricValue, PageRequest, Position, Problem,
        PullRequestsSource, Work, WorkItemsSource, WorkPage,
    },
    view::NodeView,
};

pub(crate) use self::containers::all_containers;
pub(super) use self::filter::Facts;
use self::{
    distinct::Hosts,
    feed::{Extent, Feed, Order},
    filter::WorkFilter,
};
use super::session::Session;

/// How many items of one list are looked at for an answer that needs all of them (counts, metrics, foreign orders). Where there
/// are more, the answer says so.
const DEEP: usize = 1_000;

/// Items of several containers, not yet paged.
pub(super) struct Gathered {
    pub(super) items: Vec<(Position, Arc<NodeView>)>,
    pub(super) has_more: bool,
    /// How many there are in all, those that were not read included; `None`: that is not known.
    pub(super) total: Option<i64>,
    /// All that happened since is among the items; the earliest time: all that ever did, the latest: nothing is certain.
    pub(super) known_from: DateTime<Utc>,
    pub(super) problems: Vec<Problem>,
    /// Why items are missing that should be here.
    pub(super) missing: Option<PortError>,
    /// Gaps in the reading although nothing failed. The result may be true all the same.
    pub(super) notes: Vec<Problem>,
    pub(super) refreshed_at: Option<DateTime<Utc>>,
    /// What to do where there is nothing to read yet; nothing is wrong.
    pub(super) hint: Option<Problem>,
    /// A container belongs to a provider that this build does not have.
    pub(super) unsupported: bool,
    /// The same item may have been read more than once.
    pub(super) overlaps: bool,
    hosts: Hosts,
}

impl Gathered {
    /// No containers yet, so that nothing is missing.
    pub(super) fn nothing() -> Self {
        Self {
            items: Vec::new(),
            has_more: false,
            total: Some(0),
            known_from: DateTime::<Utc>::MIN_UTC,
            problems: Vec::new(),
            missing: None,
            notes: Vec::new(),
            refreshed_at: None,
            hint: None,
            unsupported: false,
            overlaps: false,
            hosts: Hosts::new(),
        }
    }

    /// Adds what a container gave.
    pub(super) fn join(&mut self, other: Self) {
        self.items.extend(other.items);
        self.has_more |= other.has_more;
        self.total = match (self.total, other.total) {
            (Some(a), Some(b)) => Some(a + b),
            _ => None,
        };
        self.known_from = self.known_from.max(other.known_from);
        self.problems.extend(other.problems);
        self.missing = self.missing.take().or(other.missing);
        self.notes.extend(other.notes);
        self.refreshed_at = match (self.refreshed_at, other.refreshed_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.hint = self.hint.take().or(other.hint);
        self.unsupported |= other.unsupported;
        self.overlaps |= other.overlaps;
        self.hosts.extend(other.hosts);
    }

    /// Notes that items are missing because of a failure.
    pub(super) fn miss(&mut self, error: &PortError, now: DateTime<Utc>) {
        self.missing.get_or_insert_with(|| error.clone());
        self.lack(problem(error, now));
    }

    /// Notes that items are missing.
    pub(super) fn lack(&mut self, problem: Problem) {
        self.missing.get_or_insert_with(|| PortError::new(problem.code, problem.message.clone()));
        self.problems.push(problem);
        self.total = None;
        self.known_from = DateTime::<Utc>::MAX_UTC;
    }

    /// Notes that all items are here as they were last known.
    pub(super) fn outdate(&mut self, error: &PortError, now: DateTime<Utc>) {
        self.problems.push(problem(error, now));
    }

    /// Notes that there is more than was read.
    pub(super) fn cut(&mut self, note: Problem) {
        self.notes.push(note);
        self.has_more = true;
        self.total = None;
        self.known_from = DateTime::<Utc>::MAX_UTC;
    }

    /// Makes problems of the notes: the gaps make the result wrong.
    fn notes_are_problems(&mut self) {
        self.problems.append(&mut self.notes);
    }

    /// The page after a position.
    fn page(mut self, page: &PageRequest) -> Load<WorkPage> {
        self.distinct();
        self.items.sort_by(|(a, _), (b, _)| a.cmp(b));
        let start =
            page.after.as_ref().map_or(0, |after| self.items.partition_point(|(position, _)| position <= after));
        let rest = self.items.len() - start;
        let empty = self.items.is_empty();
        let items: Vec<_> = self.items.drain(start..).take(page.first).collect();
        let has_next = rest > page.first || self.has_more || self.missing.is_some();
        let value = WorkPage { items, has_next, total: self.total };
        self.load(value, empty)
    }

    /// A value with what a widget says of itself.
    fn load<T>(mut self, value: T, empty: bool) -> Load<T> {
        let reconnect = self.problems.iter().any(|problem| problem.code == ErrorCode::ProviderAuthExpired);
        let state = match (self.problems.is_empty(), empty) {
            _ if self.unsupported && empty => WidgetState::Unsupported,
            _ if reconnect => WidgetState::Reconnect,
            (true, true) => WidgetState::Empty,
            (true, false) => WidgetState::Ready,
            (false, true) if self.missing.is_some() => WidgetState::Failed,
            (false, _) => WidgetState::Stale,
        };
        let mut problems: Vec<Problem> = Vec::new();
        for problem in self.problems.drain(..).chain(self.notes).chain(self.hint) {
            let is_same = |known: &Problem| known.code == problem.code && known.integration == problem.integration;
            if !problems.iter().any(is_same) {
                problems.push(problem);
            }
        }
        let refreshed_at = self.refreshed_at.filter(|_| self.missing.is_none());
        Load { value, state, problems, missing: self.missing, refreshed_at }
    }
}

/// A failure as a problem of the answer.
pub(super) fn problem(error: &PortError, now: DateTime<Utc>) -> Problem {
    let context = error.provider.as_ref();
    let wait = context.and_then(|context| context.retry_after).and_then(|seconds| i64::try_from(seconds).ok());
    Problem {
        code: error.code,
        message: error.message.clone(),
        integration: context.map(|context| context.integration.clone()),
        retry_after: wait.map(|seconds| now + chrono::Duration::seconds(seconds)),
    }
}

const NEWEST: Order = Order { by: By::Listed, ascending: true };

/// What items are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The list's own order, which all containers of the kind share.
    Listed,
    /// A time or a date under this body key.
    Key(&'static str),
}

fn order_of(source: &WorkItemsSource) -> Order {
    let by = match source.order.field {
        WorkItemOrderField::UpdatedAt => By::Key("updatedAt"),
        WorkItemOrderField::CreatedAt => By::Key("createdAt"),
        WorkItemOrderField::DueOn => By::Key("dueOn"),
    };
    Order { by, ascending: source.order.direction == OrderDirection::Asc }
}

#[async_trait]
impl Work for Session {
    async fn work_items(&self, source: &WorkItemsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        let filter = WorkFilter::new(&source.filter);
        let mut fields = page.fields.clone();
        fields.extend(&filter.fields());
        let feed = Feed { session: self, order: order_of(source), fields, extent: Extent::Page(&page) };
        Ok(self.checked(feed.work_items(&filter).await?.page(&page)))
    }

    async fn counts_by_state(&self, source: &WorkItemsSource) -> Result<Load<BTreeMap<WorkItemState, i32>>, PortError> {
        let filter = WorkFilter::new(&source.filter);
        let feed = Feed { session: self, order: order_of(source), fields: filter.fields(), extent: Extent::All };
        let mut gathered = feed.work_items(&filter).await?;
        gathered.distinct();
        let mut counts = BTreeMap::new();
        for (_, view) in &gathered.items {
            if let Some(state) = filter::state_of(view) {
                *counts.entry(state).or_default() += 1;
            }
        }
        let empty = gathered.items.is_empty();
        Ok(self.checked(gathered.load(counts, empty)))
    }

    async fn pull_requests(&self, source: &PullRequestsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        let fields = with(&page.fields, &["author"]);
        let feed = Feed { session: self, order: NEWEST, fields, extent: Extent::Page(&page) };
        Ok(self.checked(feed.pull_requests(source).await?.page(&page)))
    }

    async fn builds(&self, source: &BuildsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        let feed = Feed { session: self, order: NEWEST, fields: page.fields.clone(), extent: Extent::Page(&page) };
        Ok(self.checked(feed.builds(source).await?.page(&page)))
    }

    async fn messages(&self, source: &MessagesSource, page: PageRequest) -> Result<Load<WorkPage>, PortError> {
        let feed = Feed { session: self, order: NEWEST, fields: page.fields.clone(), extent: Extent::Page(&page) };
        Ok(self.checked(feed.messages(&source.containers).await?.page(&page)))
    }

    async fn metric(&self, source: &MetricSource) -> Result<Load<MetricValue>, PortError> {
        metric::measure(self, source).await.map(|load| self.checked(load))
    }
}

impl Session {
    /// An answer one of whose problems is a fault of ours says so, but must neither be kept nor be the last word.
    fn checked<T>(&self, load: Load<T>) -> Load<T> {
        let ours = [ErrorCode::InternalServerError, ErrorCode::ServiceUnavailable];
        if load.problems.iter().any(|problem| ours.contains(&problem.code)) {
            self.scope().note_failed();
        }
        load
    }
}

fn with(fields: &FieldSet, more: &[&str]) -> FieldSet {
    let mut fields = fields.clone();
    fields.extend(&more.iter().copied().collect());
    fields
}
