//! The fields that all widgets share.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::{
    dashboard::Dashboard,
    load::{Counts, Hints, Loaded, Loads, problems, state},
};
use crate::{
    accounts::integration::{Integration, connected_integration},
    cost::Items,
    enums::{Stage, WidgetState},
    error::PortError,
    id::GlobalId,
    ports::{Layout, Load, PageRequest, Problem, WidgetView},
    scalars::Time,
    table::{Many, note_missing, ports},
    types::source::WidgetSource,
};

/// A stored widget with its loads, shared by everything that is selected of it.
#[derive(Clone)]
pub struct WidgetCommon {
    pub(super) view: Arc<WidgetView>,
    hints: Arc<Hints>,
    pub(super) loads: Arc<Loads>,
}

impl WidgetCommon {
    /// A widget that has loaded nothing yet.
    pub fn new(view: Arc<WidgetView>, hints: Arc<Hints>) -> Self {
        Self { view, hints, loads: Arc::default() }
    }

    pub(super) async fn page(&self, ctx: &Context<'_>, request: PageRequest) -> Result<Loaded, PortError> {
        self.loads.get(ports(ctx)?, &self.view.source, request).await
    }

    /// Adds the failure because of which a part of the data is missing, where the client does not ask the widget itself for it.
    pub(super) async fn note_missing<T: Sync>(&self, ctx: &Context<'_>, load: &Load<T>) {
        if !self.hints.marks() {
            note_missing(ctx, load.missing.as_ref()).await;
        }
    }

    async fn telling(&self, ctx: &Context<'_>) -> Result<Loaded, PortError> {
        self.loads.telling(ports(ctx)?, &self.view.source, &self.hints).await
    }

    async fn telling_counts(&self, ctx: &Context<'_>) -> Option<Counts> {
        // Without ports, the page's load has failed too, and says so.
        self.loads.telling_counts(ports(ctx).ok()?, &self.view.source, &self.hints).await
    }

    async fn feeding(&self, ctx: &Context<'_>) -> Result<Vec<Integration>, PortError> {
        let found = ports(ctx)?.accounts.feeding(&self.view.source).await?;
        Ok(found.into_iter().map(Integration).collect())
    }
}

/// The fields that all widgets share.
#[Object]
impl WidgetCommon {
    /// Opaque, global and stable.
    async fn id(&self) -> ID {
        GlobalId::own("Widget", self.view.id.as_str()).encode().into()
    }

    /// Its title.
    async fn title(&self) -> &str {
        &self.view.title
    }

    /// Where it stands on the dashboard's grid.
    async fn layout(&self) -> WidgetLayout {
        self.view.layout.into()
    }

    /// The dashboard it stands on.
    async fn dashboard(&self, ctx: &Context<'_>) -> Result<Dashboard, PortError> {
        let found = ports(ctx)?.boards.dashboard(&self.view.dashboard).await?;
        found.map(Dashboard).ok_or_else(|| PortError::not_found("the dashboard"))
    }

    /// The integrations it draws on.
    #[graphql(directive = Items::apply(5))]
    async fn integrations(&self, ctx: &Context<'_>) -> Result<Many<Integration>, PortError> {
        self.feeding(ctx).await.map(Many)
    }

    /// How far the integrations it draws on have come: retired if one is, otherwise the least mature.
    async fn stage(&self, ctx: &Context<'_>) -> Result<Stage, PortError> {
        let stages: Vec<Stage> = self.feeding(ctx).await?.iter().map(|integration| integration.0.stage).collect();
        let retired = stages.contains(&Stage::Retired);
        Ok(if retired { Stage::Retired } else { stages.into_iter().min().unwrap_or(Stage::Production) })
    }

    /// The things that it shows.
    async fn source(&self) -> WidgetSource {
        self.view.source.as_ref().into()
    }

    /// Whether what it shows is current.
    async fn state(&self, ctx: &Context<'_>) -> WidgetState {
        let loaded = self.telling(ctx).await;
        state(&loaded, self.telling_counts(ctx).await.as_ref())
    }

    /// The parts that are missing or old, and why. Where neither `problems` nor `state` is selected, a part that is missing is an error
    /// at the field that lacks it.
    #[graphql(directive = Items::apply(5))]
    async fn problems(&self, ctx: &Context<'_>) -> Many<WidgetProblem> {
        let loaded = self.telling(ctx).await;
        problems(loaded, self.telling_counts(ctx).await.as_ref()).into_iter().map(WidgetProblem).collect()
    }

    /// When all that it shows was last known to be current.
    async fn refreshed_at(&self, ctx: &Context<'_>) -> Option<Time> {
        match self.telling(ctx).await.ok()? {
            Loaded::Work(load) => load.refreshed_at.map(Time),
            Loaded::Metric(load) => load.refreshed_at.map(Time),
            Loaded::Activity(load) => load.page.items.first().map(|(_, newest)| newest.received_at.into()),
        }
    }

    /// When its title, layout or source last changed: `expectedUpdatedAt` of an update.
    async fn updated_at(&self) -> Time {
        self.view.updated_at.into()
    }
}

/// A rectangle on a dashboard's grid.
#[derive(Debug, Clone, Copy, SimpleObject)]
pub struct WidgetLayout {
    /// First column, from 0.
    x: i32,
    /// First row, from 0.
    y: i32,
    /// Columns.
    width: i32,
    /// Rows.
    height: i32,
}

impl From<Layout> for WidgetLayout {
    fn from(Layout { x, y, width, height }: Layout) -> Self {
        Self { x, y, width, height }
    }
}

/// Something that is wrong with a part of an answer.
pub struct WidgetProblem(pub Problem);

/// Why a part of what should be shown is missing or old.
#[Object]
impl WidgetProblem {
    /// The code that an error would have: `PROVIDER_UNAVAILABLE`.
    async fn code(&self) -> &'static str {
        self.0.code.into()
    }

    /// For people.
    async fn message(&self) -> &str {
        &self.0.message
    }

    /// The integration it is about.
    async fn integration(&self, ctx: &Context<'_>) -> Option<Result<Integration, PortError>> {
        connected_integration(ctx, self.0.integration.as_ref()).await
    }

    /// When a retry makes sense, where known.
    async fn retry_after(&self) -> Option<Time> {
        self.0.retry_after.map(Time)
    }
}
