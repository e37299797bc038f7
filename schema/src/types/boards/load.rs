//! A widget's load: what its data, its `state`, its `problems` and its `refreshedAt` come from together.
//!
//! Fields are resolved side by side, so the widget looks ahead: the first data field that is selected says which page to load,
//! and `state` waits for that load instead of making one of its own.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{Context, SelectionField};
use futures::lock::Mutex;

use crate::{
    cursor::page_ahead,
    enums::{WidgetState, WorkItemState},
    error::{ErrorCode, PortError},
    fields::{FieldSet, selects_total},
    limits::DEFAULT_FIRST,
    ports::{ActivityPage, Load, MetricValue, PageRequest, Ports, Problem, Source, WorkItemsSource, WorkPage},
    table::{Arguments, showable},
};

/// Data fields by widget kind.
const DATA_FIELDS: [&str; 5] = ["items", "pullRequests", "builds", "messages", "activity"];

/// The selection as it is seen from above the widgets: which page each data field asks for, and whether there are counts.
#[derive(Debug, Default)]
pub struct Hints {
    pages: BTreeMap<&'static str, PageRequest>,
    counts: bool,
    marks: bool,
}

impl Hints {
    /// Reads what is selected below the field that gives the widget.
    pub fn of(ctx: &Context<'_>) -> Self {
        let mut hints = Self::default();
        for selected in ctx.field().selection_set() {
            hints.counts |= selected.name() == "countsByState";
            hints.marks |= matches!(selected.name(), "state" | "problems");
            let Some(name) = DATA_FIELDS.into_iter().find(|name| *name == selected.name()) else { continue };
            if let Some(request) = request_of(selected) {
                hints.pages.entry(name).or_insert(request);
            }
        }
        hints
    }

    /// Whether the client asks the widget whether something is missing.
    pub(super) fn marks(&self) -> bool {
        self.marks
    }

    fn page(&self, field: &str) -> PageRequest {
        let request = self.pages.get(field).cloned();
        request.unwrap_or_else(|| PageRequest { first: DEFAULT_FIRST, ..PageRequest::default() })
    }
}

fn request_of(field: SelectionField<'_>) -> Option<PageRequest> {
    let arguments = Arguments::of(field).ok()?;
    let first = arguments.int("first").map(|first| i32::try_from(first).unwrap_or(i32::MAX));
    let mut request = page_ahead(first, arguments.text("after").as_deref())?;
    request.fields = FieldSet::of_connection_below(field);
    request.total = selects_total(field);
    Some(request)
}

/// The outcome of a load.
#[derive(Clone)]
pub(super) enum Loaded {
    /// A page of nodes.
    Work(Arc<Load<WorkPage>>),
    /// A page of activities.
    Activity(Arc<ActivityPage>),
    /// A metric.
    Metric(Arc<Load<MetricValue>>),
}

type Entry = (PageRequest, Result<Loaded, PortError>);

/// How many items are in each state, and how that was come by.
pub(super) type Counts = Arc<Load<BTreeMap<WorkItemState, i32>>>;

/// The loads of one widget object.
#[derive(Default)]
pub(super) struct Loads {
    pages: Mutex<Vec<Entry>>,
    counts: Mutex<Option<Result<Counts, PortError>>>,
}

impl Loads {
    /// The load for a page, made once.
    pub(super) async fn get(&self, ports: &Ports, source: &Source, request: PageRequest) -> Result<Loaded, PortError> {
        let mut entries = self.pages.lock().await;
        if let Some((_, loaded)) = entries.iter().find(|(known, _)| *known == request) {
            return loaded.clone();
        }
        let loaded = load(ports, source, request.clone()).await;
        entries.push((request, loaded.clone()));
        loaded
    }

    /// How many items there are in each state, counted once.
    pub(super) async fn counts(&self, ports: &Ports, source: &WorkItemsSource) -> Result<Counts, PortError> {
        let mut counted = self.counts.lock().await;
        if let Some(counted) = &*counted {
            return counted.clone();
        }
        let counts = ports.work.counts_by_state(source).await.map(Arc::new);
        counted.insert(counts).clone()
    }

    /// The same where they are selected: they look at more items than a page, so that more may be wrong with them. Their own failure
    /// is an error where they stand.
    pub(super) async fn telling_counts(&self, ports: &Ports, source: &Source, hints: &Hints) -> Option<Counts> {
        match source {
            Source::WorkItems(source) if hints.counts => self.counts(ports, source).await.ok(),
            _ => None,
        }
    }

    /// The load that says how the widget is.
    pub(super) async fn telling(&self, ports: &Ports, source: &Source, hints: &Hints) -> Result<Loaded, PortError> {
        let field = match source {
            Source::WorkItems(_) => "items",
            Source::PullRequests(_) => "pullRequests",
            Source::Builds(_) => "builds",
            Source::Messages(_) => "messages",
            Source::Activity(_) => "activity",
            Source::Metric(_) => return self.get(ports, source, PageRequest::default()).await,
        };
        self.get(ports, source, hints.page(field)).await
    }
}

async fn load(ports: &Ports, source: &Source, request: PageRequest) -> Result<Loaded, PortError> {
    let work = &ports.work;
    let page = match source {
        Source::WorkItems(source) => work.work_items(source, request).await,
        Source::PullRequests(source) => work.pull_requests(source, request).await,
        Source::Builds(source) => work.builds(source, request).await,
        Source::Messages(source) => work.messages(source, request).await,
        Source::Activity(source) => {
            // The log gives whole activities, whatever is selected of them.
            let request = PageRequest { fields: FieldSet::default(), total: false, ..request };
            return ports.activity.page(source, request).await.map(Loaded::Activity);
        }
        Source::Metric(source) => return work.metric(source).await.map(|load| Loaded::Metric(Arc::new(load))),
    };
    page.map(|load| Loaded::Work(Arc::new(shown(load))))
}

/// A page without the nodes that cannot be shown: it says that they are missing.
pub fn shown(mut load: Load<WorkPage>) -> Load<WorkPage> {
    let (items, errors) = showable(load.value.items);
    load.value.items = items;
    if !errors.is_empty() {
        load.state = match load.state {
            WidgetState::Ready | WidgetState::Empty if load.value.items.is_empty() => WidgetState::Failed,
            WidgetState::Ready | WidgetState::Empty => WidgetState::Stale,
            state => state,
        };
        load.missing = load.missing.or_else(|| errors.first().cloned());
        load.value.has_next |= load.value.items.is_empty();
        load.problems.extend(errors.into_iter().map(problem));
    }
    load
}

fn problem(error: PortError) -> Problem {
    let integration = error.provider.map(|context| context.integration);
    Problem { code: error.code, message: error.message, integration, retry_after: None }
}

/// A widget's state and problems after its loads.
pub(super) fn state(loaded: &Result<Loaded, PortError>, counts: Option<&Counts>) -> WidgetState {
    let is_good = |state| matches!(state, WidgetState::Ready | WidgetState::Empty);
    let state = page_state(loaded);
    counts.map(|load| load.state).filter(|counts| is_good(state) && !is_good(*counts)).unwrap_or(state)
}

fn page_state(loaded: &Result<Loaded, PortError>) -> WidgetState {
    match loaded {
        Ok(Loaded::Work(load)) => load.state,
        Ok(Loaded::Metric(load)) => load.state,
        Ok(Loaded::Activity(load)) => activity_state(load),
        Err(error) if error.code == ErrorCode::ProviderAuthExpired => WidgetState::Reconnect,
        Err(_) => WidgetState::Failed,
    }
}

fn activity_state(load: &ActivityPage) -> WidgetState {
    let is_refused = |problem: &Problem| problem.code == ErrorCode::ProviderAuthExpired;
    match (load.problems.is_empty(), load.page.items.is_empty()) {
        (true, true) => WidgetState::Empty,
        (true, false) => WidgetState::Ready,
        (false, _) if load.problems.iter().any(is_refused) => WidgetState::Reconnect,
        (false, _) => WidgetState::Stale,
    }
}

/// Its problems. A load that failed as a whole is one problem.
pub(super) fn problems(loaded: Result<Loaded, PortError>, counts: Option<&Counts>) -> Vec<Problem> {
    let mut problems = page_problems(loaded);
    for problem in counts.iter().flat_map(|load| &load.problems) {
        let is_same = |known: &Problem| known.code == problem.code && known.integration == problem.integration;
        if !problems.iter().any(is_same) {
            problems.push(problem.clone());
        }
    }
    problems
}

fn page_problems(loaded: Result<Loaded, PortError>) -> Vec<Problem> {
    match loaded {
        Ok(Loaded::Work(load)) => load.problems.clone(),
        Ok(Loaded::Metric(load)) => load.problems.clone(),
        Ok(Loaded::Activity(load)) => load.problems.clone(),
        Err(error) => vec![problem(error)],
    }
}
