//! A widget's load: what its data, its `state`, its `problems` and its `refreshedAt` come from together.
//!
//! Fields are resolved side by side, so the widget looks ahead: the first data field that is selected says which page to load,
//! and `state` waits for that load instead of making one of its own.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{Context, SelectionField};
use futures::lock::Mutex;

use crate::{
    cursor::page_ahead,
    enums::WidgetState,
    error::{ErrorCode, PortError},
    fields::{FieldSet, selects_total},
    ports::{ActivityView, Load, MetricValue, Page, PageRequest, Ports, Problem, Source, WorkPage},
    table::Arguments,
};

/// Data fields by widget kind.
const DATA_FIELDS: [&str; 5] = ["items", "pullRequests", "builds", "messages", "activity"];

/// Which page each data field asks for, seen from above the widgets.
#[derive(Debug, Default)]
pub struct Hints(BTreeMap<&'static str, PageRequest>);

impl Hints {
    /// Reads what is selected below the field that gives the widget.
    pub fn of(ctx: &Context<'_>) -> Self {
        let mut hints = BTreeMap::new();
        for selected in ctx.field().selection_set() {
            let Some(name) = DATA_FIELDS.into_iter().find(|name| *name == selected.name()) else { continue };
            if let Some(request) = request_of(selected) {
                hints.entry(name).or_insert(request);
            }
        }
        Self(hints)
    }

    fn page(&self, field: &str) -> PageRequest {
        let request = self.0.get(field).cloned();
        request.unwrap_or_else(|| PageRequest { first: crate::cursor::DEFAULT_FIRST, ..PageRequest::default() })
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

/// What came of a load.
#[derive(Clone)]
pub(super) enum Loaded {
    /// A page of nodes.
    Work(Arc<Load<WorkPage>>),
    /// A page of activities.
    Activity(Arc<Page<Arc<ActivityView>>>),
    /// A metric.
    Metric(Arc<Load<MetricValue>>),
}

type Entry = (PageRequest, Result<Loaded, PortError>);

/// The loads of one widget object.
#[derive(Default)]
pub(super) struct Loads(Mutex<Vec<Entry>>);

impl Loads {
    /// The load for a page, made once.
    pub(super) async fn get(&self, ports: &Ports, source: &Source, request: PageRequest) -> Result<Loaded, PortError> {
        let mut entries = self.0.lock().await;
        if let Some((_, loaded)) = entries.iter().find(|(known, _)| *known == request) {
            return loaded.clone();
        }
        let loaded = load(ports, source, request.clone()).await;
        entries.push((request, loaded.clone()));
        loaded
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
            return ports.activity.page(source, request).await.map(|page| Loaded::Activity(Arc::new(page)));
        }
        Source::Metric(source) => return work.metric(source).await.map(|load| Loaded::Metric(Arc::new(load))),
    };
    page.map(|load| Loaded::Work(Arc::new(load)))
}

/// What a widget says of itself after a load.
pub(super) fn state(loaded: &Result<Loaded, PortError>) -> WidgetState {
    match loaded {
        Ok(Loaded::Work(load)) => load.state,
        Ok(Loaded::Metric(load)) => load.state,
        Ok(Loaded::Activity(page)) if page.items.is_empty() => WidgetState::Empty,
        Ok(Loaded::Activity(_)) => WidgetState::Ready,
        Err(error) if error.code == ErrorCode::ProviderAuthExpired => WidgetState::Reconnect,
        Err(_) => WidgetState::Failed,
    }
}

/// What is wrong with it. A load that failed as a whole is one problem.
pub(super) fn problems(loaded: Result<Loaded, PortError>) -> Vec<Problem> {
    match loaded {
        Ok(Loaded::Work(load)) => load.problems.clone(),
        Ok(Loaded::Metric(load)) => load.problems.clone(),
        Ok(Loaded::Activity(_)) => Vec::new(),
        Err(error) => {
            let integration = error.provider.map(|context| context.integration);
            vec![Problem { code: error.code, message: error.message, integration, retry_after: None }]
        }
    }
}
