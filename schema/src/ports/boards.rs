//! The port of dashboards and widgets: our own rows, read and changed. Inputs are checked before they get here, roles too.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Change, Page, PageRequest, Source};
use crate::{
    error::PortError,
    id::{DashboardId, WidgetId},
};

/// A dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the graph's Dashboard")]
pub struct DashboardView {
    pub id: DashboardId,
    pub slug: String,
    pub name: String,
    pub description: Option<String>,
    pub columns: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A widget as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WidgetView {
    /// Row id.
    pub id: WidgetId,
    /// The dashboard it stands on.
    pub dashboard: DashboardId,
    /// Its title.
    pub title: String,
    /// Where it stands.
    pub layout: Layout,
    /// The things that it shows.
    pub source: Arc<Source>,
    /// Last change of title, layout or source.
    pub updated_at: DateTime<Utc>,
}

/// A rectangle on the dashboard's grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "columns and rows of the grid")]
pub struct Layout {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

/// The slug of a new dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSlug {
    /// Asked for: taken already is `CONFLICT`.
    Exact(String),
    /// Made from the name: taken already gets `-2`, `-3`, …
    Like(String),
}

/// A dashboard to create.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the graph's Dashboard")]
pub struct NewDashboard {
    pub name: String,
    pub slug: NewSlug,
    pub description: Option<String>,
    pub columns: i32,
}

/// A change of a dashboard; `None` leaves a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DashboardChanges {
    /// New name.
    pub name: Option<String>,
    /// New slug; taken already is `CONFLICT`.
    pub slug: Option<String>,
    /// New description.
    pub description: Change<String>,
    /// New width of the grid; the widgets were seen to fit.
    pub columns: Option<i32>,
    /// When the row has another time by now: `CONFLICT`.
    pub expected_updated_at: Option<DateTime<Utc>>,
}

/// A widget to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWidget {
    /// On which dashboard.
    pub dashboard: DashboardId,
    /// Its title.
    pub title: String,
    /// Where it stands; `None`: below the others, half the grid wide.
    pub layout: Option<Layout>,
    /// The things that it shows.
    pub source: Source,
}

/// A change of a widget; `None` leaves a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WidgetChanges {
    /// New title.
    pub title: Option<String>,
    /// New source, of the same kind.
    pub source: Option<Source>,
    /// When the row has another time by now: `CONFLICT`.
    pub expected_updated_at: Option<DateTime<Utc>>,
}

/// Dashboards and widgets of the caller's tenant. Reads answer `None`, changes `NOT_FOUND`, for what the tenant does not have.
#[async_trait]
pub trait Boards: Send + Sync {
    /// A page of dashboards by name.
    async fn dashboards(&self, page: PageRequest) -> Result<Page<Arc<DashboardView>>, PortError>;

    /// One by id.
    async fn dashboard(&self, id: &DashboardId) -> Result<Option<Arc<DashboardView>>, PortError>;

    /// One by slug.
    async fn dashboard_by_slug(&self, slug: &str) -> Result<Option<Arc<DashboardView>>, PortError>;

    /// The widgets of a dashboard, top to bottom, left to right.
    async fn widgets(&self, dashboard: &DashboardId) -> Result<Vec<Arc<WidgetView>>, PortError>;

    /// One widget.
    async fn widget(&self, id: &WidgetId) -> Result<Option<Arc<WidgetView>>, PortError>;

    /// Creates a dashboard.
    async fn create_dashboard(&self, new: NewDashboard) -> Result<Arc<DashboardView>, PortError>;

    /// Changes a dashboard.
    async fn update_dashboard(
        &self,
        id: &DashboardId,
        changes: DashboardChanges,
    ) -> Result<Arc<DashboardView>, PortError>;

    /// Deletes a dashboard with its widgets.
    async fn delete_dashboard(&self, id: &DashboardId) -> Result<(), PortError>;

    /// Creates a widget. Nodes and integrations of its source that are not the tenant's: `NOT_FOUND`.
    async fn add_widget(&self, new: NewWidget) -> Result<Arc<WidgetView>, PortError>;

    /// Changes a widget, with the same check of its source.
    async fn update_widget(&self, id: &WidgetId, changes: WidgetChanges) -> Result<Arc<WidgetView>, PortError>;

    /// Moves widgets of one dashboard, all or none. One that is not on it: `NOT_FOUND`.
    async fn move_widgets(
        &self,
        dashboard: &DashboardId,
        moves: Vec<(WidgetId, Layout)>,
    ) -> Result<Arc<DashboardView>, PortError>;

    /// Deletes a widget.
    async fn remove_widget(&self, id: &WidgetId) -> Result<(), PortError>;

    /// Outdates everything the widget reads, so that the answer and all who watch it read again.
    async fn refresh_widget(&self, id: &WidgetId) -> Result<Arc<WidgetView>, PortError>;
}
