//! The items that were read of several containers, and what is missing of them.
//!
//! A task is in several projects, and two integrations of one account show the same things. An item is the same where its host, its
//! type and its native id are. It is shown as the integration that was connected first sees it, of those through which it passes the
//! filter.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use mullion_schema::{
    enums::WidgetState,
    error::{ErrorCode, PortError},
    id::IntegrationId,
    ports::{Load, PageRequest, Position, Problem, WorkPage},
    view::NodeView,
};
use url::Url;

use crate::reading::integrations::Integration;

/// The integrations that items were read through.
pub(super) type Integrations = HashMap<IntegrationId, Arc<Integration>>;

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
    /// Gaps in the reading although nothing failed. A metric may be true all the same; a page and a count are not.
    pub(super) notes: Vec<Problem>,
    pub(super) refreshed_at: Option<DateTime<Utc>>,
    /// Advice where there is nothing to read yet; nothing is wrong.
    pub(super) hint: Option<Problem>,
    /// A container belongs to a provider that this build does not have.
    pub(super) unsupported: bool,
    /// The same item may have been read more than once.
    pub(super) overlaps: bool,
    /// The integrations that items which may have been read more than once were read through.
    pub(super) shown_by: Integrations,
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
            shown_by: Integrations::new(),
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
        self.shown_by.extend(other.shown_by);
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

    /// Makes problems of the notes: the gaps make the result wrong, as any other part that is missing does.
    pub(super) fn notes_are_problems(&mut self) {
        if let Some(note) = self.notes.first() {
            self.missing.get_or_insert_with(|| PortError::new(note.code, note.message.clone()));
        }
        self.problems.append(&mut self.notes);
    }

    /// Whether items are missing because of a failure, and not only because there are more than are read.
    fn has_failed(&self) -> bool {
        self.missing.as_ref().is_some_and(|error| error.code != ErrorCode::Incomplete)
    }

    /// The page after a position. Behind the last item that can be read there is none: asking again would give the same.
    pub(super) fn page(mut self, page: &PageRequest) -> Result<Load<WorkPage>, PortError> {
        self.notes_are_problems();
        self.distinct();
        self.items.sort_by(|(a, _), (b, _)| a.cmp(b));
        let start =
            page.after.as_ref().map_or(0, |after| self.items.partition_point(|(position, _)| position <= after));
        let rest = self.items.len() - start;
        let empty = self.items.is_empty();
        let items: Vec<_> = self.items.drain(start..).take(page.first).collect();
        if let Some(error) = self.missing.as_ref().filter(|_| items.is_empty() && page.after.is_some())
            && !self.has_failed()
        {
            return Err(error.clone());
        }
        let has_next = rest > page.first || self.has_more || self.missing.is_some();
        let value = WorkPage { items, has_next, total: self.total };
        Ok(self.load(value, empty))
    }

    /// Leaves one of each item, and takes the others off the total.
    pub(super) fn distinct(&mut self) {
        if !self.overlaps {
            return;
        }
        let integrations = &self.shown_by;
        // Ids say nothing of the time: some were chosen.
        let age = |id: &IntegrationId| integrations.get(id).map(|integration| integration.created_at);
        self.items.sort_by_cached_key(|(_, view)| (age(&view.key.integration), view.key.integration.clone()));
        let read = self.items.len();
        let host = |id: &IntegrationId| integrations.get(id).map(|integration| &integration.connection.base_url);
        let mut known: HashSet<(Option<&Url>, &'static str, Arc<str>), RandomState> = HashSet::default();
        self.items.retain(|(_, view)| {
            let key = &view.key;
            known.insert((host(&key.integration), key.type_name, Arc::clone(&key.native_id)))
        });
        let left_out = i64::try_from(read - self.items.len()).unwrap_or(i64::MAX);
        self.total = self.total.map(|total| total - left_out);
    }

    /// A value with what a widget says of itself.
    pub(super) fn load<T>(mut self, value: T, empty: bool) -> Load<T> {
        let reconnect = self.problems.iter().any(|problem| problem.code == ErrorCode::ProviderAuthExpired);
        let state = match (self.problems.is_empty(), empty) {
            _ if self.unsupported && empty => WidgetState::Unsupported,
            _ if reconnect => WidgetState::Reconnect,
            (true, true) => WidgetState::Empty,
            (true, false) => WidgetState::Ready,
            (false, true) if self.has_failed() => WidgetState::Failed,
            (false, _) => WidgetState::Stale,
        };
        // The rest is as current as it is said to be where there is only more than is read.
        let refreshed_at = self.refreshed_at.filter(|_| !self.has_failed());
        let mut problems: Vec<Problem> = Vec::new();
        for problem in self.problems.drain(..).chain(self.notes).chain(self.hint) {
            let is_same = |known: &Problem| known.code == problem.code && known.integration == problem.integration;
            if !problems.iter().any(is_same) {
                problems.push(problem);
            }
        }
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
