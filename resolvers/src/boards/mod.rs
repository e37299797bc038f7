//! Dashboards and widgets: our own rows, read and changed, each read recorded and each change announced.

mod refresh;

use std::sync::Arc;

use async_trait::async_trait;
use mullion_schema::{
    enums::MetricKind,
    error::PortError,
    id::{DashboardId, IntegrationId, WidgetId},
    inputs::board::MAX_ROWS,
    ports::{
        Boards, Change, DashboardChanges, DashboardView, Layout, NewDashboard, NewSlug, NewWidget, Page, PageRequest,
        Position, Source, WidgetChanges, WidgetView,
    },
};

use crate::{
    answers::{
        Services,
        rows::{DashboardKey, ROW_BYTES, WidgetsKey},
    },
    cache::kept::NewEntry,
    provider::ContainerLists,
    reading::failed,
    reading::{Scope, internal},
    store::{
        StoreError,
        dashboard::{Dashboard, DashboardDraft},
        stream::Written,
        widget::{self, Grid, Widget, WidgetDraft},
    },
    tag::Tag,
};

/// How often another slug is looked for when somebody else takes the free one first.
const SLUG_TRIES: u32 = 20;
/// The default height of a widget that is placed for its owner.
const HEIGHT: i32 = 4;

/// Answers for one execution.
pub struct BoardsAnswer {
    pub(crate) services: Arc<Services>,
    pub(crate) scope: Arc<Scope>,
}

impl BoardsAnswer {
    async fn told<T>(&self, written: Written<T>) -> T {
        self.services.applier.announce(&self.scope.tenant, std::slice::from_ref(&written.change)).await;
        written.value
    }

    fn saw_dashboard(&self, dashboard: Dashboard) -> Arc<DashboardView> {
        self.scope.record(Tag::own(&self.scope.tenant, "Dashboard", &dashboard.id));
        Arc::new(dashboard_view(dashboard))
    }

    /// A dashboard from memory, else as `read` gives it.
    async fn kept_dashboard(
        &self,
        key: DashboardKey,
        read: impl AsyncFnOnce() -> Result<Option<Dashboard>, StoreError>,
    ) -> Result<Option<Arc<DashboardView>>, PortError> {
        let tenant = &self.scope.tenant;
        let tag = |view: &Arc<DashboardView>| Tag::own(tenant, "Dashboard", view.id.as_str());
        let load = async || {
            let noted = self.services.engine.head(tenant).await?;
            let value = read().await.map_err(internal)?.map(|row| Arc::new(dashboard_view(row)));
            // A dashboard that is not there may be created: that changes the list.
            let tags = value.iter().map(tag).chain([Tag::own_list(tenant, "dashboards")]).collect();
            Ok(NewEntry { noted, tags, value, bytes: ROW_BYTES, keep: true })
        };
        let view = self.services.rows.dashboards.get_or_read(tenant, &key, load).await?;
        self.scope.record_all(view.iter().map(tag));
        Ok(view)
    }

    /// Widgets from memory, else as `read` gives them. They change with their own tags, and with that of what was asked for.
    async fn kept_widgets(
        &self,
        (key, own): (WidgetsKey, Tag),
        read: impl AsyncFnOnce() -> Result<Vec<Widget>, StoreError>,
    ) -> Result<Arc<[Arc<WidgetView>]>, PortError> {
        let tenant = &self.scope.tenant;
        let tag = |view: &Arc<WidgetView>| Tag::own(tenant, "Widget", view.id.as_str());
        let load = async || {
            let noted = self.services.engine.head(tenant).await?;
            let rows = read().await.map_err(internal)?.into_iter();
            let value: Arc<[_]> = rows.map(|row| widget_view(row).map(Arc::new)).collect::<Result<_, _>>()?;
            let (tags, bytes) = (value.iter().map(tag).chain([own]).collect(), value.len() * ROW_BYTES);
            Ok(NewEntry { noted, tags, value, bytes, keep: true })
        };
        let views = self.services.rows.widgets.get_or_read(tenant, &key, load).await?;
        self.scope.record_all(views.iter().map(tag));
        Ok(views)
    }

    /// Nodes and integrations that a source names must be the tenant's.
    async fn check_source(&self, source: &Source) -> Result<(), PortError> {
        let mut integrations: Vec<IntegrationId> =
            source.containers().into_iter().flatten().map(|node| node.integration.clone()).collect();
        if let Source::Activity(activity) = source {
            integrations.extend(activity.integrations.clone().unwrap_or_default());
        }
        integrations.sort();
        integrations.dedup();
        for id in integrations {
            if self.services.engine.directory().get(&self.scope.tenant, &id).await?.is_none() {
                return Err(PortError::not_found("something that the source names"));
            }
        }
        self.check_containers(source).await
    }

    /// Containers must be of a kind that the widget can show.
    async fn check_containers(&self, source: &Source) -> Result<(), PortError> {
        let (field, fits): (&str, fn(&ContainerLists) -> bool) = match source {
            Source::WorkItems(_) => {
                ("workItems.filter", |lists| lists.work_items.is_some() || lists.pull_requests.is_some())
            }
            Source::PullRequests(_) => ("pullRequests", |lists| lists.pull_requests.is_some()),
            Source::Builds(_) => ("builds", |lists| lists.builds.is_some()),
            Source::Messages(_) => ("messages", |lists| lists.messages.is_some()),
            Source::Activity(_) => ("activity", |_| true),
            Source::Metric(metric) => (
                "metric",
                match metric.metric {
                    MetricKind::OpenPullRequests | MetricKind::MedianTimeToMerge => {
                        |lists| lists.pull_requests.is_some()
                    }
                    MetricKind::BuildSuccessRate => |lists| lists.builds.is_some(),
                    MetricKind::OpenWorkItems | MetricKind::CompletedWorkItems => |lists| lists.work_items.is_some(),
                    MetricKind::Messages => |lists| lists.messages.is_some(),
                },
            ),
        };
        for (index, node) in source.containers().into_iter().flatten().enumerate() {
            let integration = self.services.engine.directory().get(&self.scope.tenant, &node.integration).await?;
            let lists = integration.as_ref().map_or(&[][..], |integration| integration.provider.containers());
            if !lists.iter().any(|lists| lists.container == &*node.type_name && fits(lists)) {
                let kind = &node.type_name;
                return Err(PortError::bad_input(format!(
                    "source.{field}.containerIds[{index}]: a {kind} has nothing of this kind to show"
                )));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Boards for BoardsAnswer {
    async fn dashboards(&self, page: PageRequest) -> Result<Page<Arc<DashboardView>>, PortError> {
        self.scope.record(Tag::own_list(&self.scope.tenant, "dashboards"));
        let after = page.after.as_ref().map(|after| after.native_id.as_str());
        let limit = page.first as u64 + 1;
        let mut rows = self.services.database.dashboards(&self.scope.tenant, after, limit).await.map_err(internal)?;
        let count = self.services.database.count_dashboards(&self.scope.tenant).await.map_err(internal)?;
        let has_next = rows.len() > page.first;
        rows.truncate(page.first);
        let items = rows.into_iter().map(|row| {
            let position = Position { sort: row.id.clone(), native_id: row.id.clone() };
            (position, self.saw_dashboard(row))
        });
        // A tenant's dashboards are limited (`limits.max_dashboards`), so the count always fits.
        Ok(Page { items: items.collect(), has_next, total: i64::try_from(count).ok() })
    }

    async fn dashboard(&self, id: &DashboardId) -> Result<Option<Arc<DashboardView>>, PortError> {
        self.scope.record(Tag::own(&self.scope.tenant, "Dashboard", id.as_str()));
        let read = async || self.services.database.dashboard(&self.scope.tenant, id.as_str()).await;
        self.kept_dashboard(DashboardKey::Id(id.as_str().to_owned()), read).await
    }

    async fn dashboard_by_slug(&self, slug: &str) -> Result<Option<Arc<DashboardView>>, PortError> {
        self.scope.record(Tag::own_list(&self.scope.tenant, "dashboards"));
        let read = async || self.services.database.dashboard_by_slug(&self.scope.tenant, slug).await;
        self.kept_dashboard(DashboardKey::Slug(slug.to_owned()), read).await
    }

    async fn widgets(&self, dashboard: &DashboardId) -> Result<Vec<Arc<WidgetView>>, PortError> {
        self.scope.record(Tag::own(&self.scope.tenant, "Dashboard", dashboard.as_str()));
        let read = async || self.services.database.widgets(&self.scope.tenant, dashboard.as_str()).await;
        let own = Tag::own(&self.scope.tenant, "Dashboard", dashboard.as_str());
        Ok(self.kept_widgets((WidgetsKey::Of(dashboard.as_str().to_owned()), own), read).await?.to_vec())
    }

    async fn widget(&self, id: &WidgetId) -> Result<Option<Arc<WidgetView>>, PortError> {
        self.scope.record(Tag::own(&self.scope.tenant, "Widget", id.as_str()));
        let read = async || {
            let row = self.services.database.widget(&self.scope.tenant, id.as_str()).await;
            row.map(|row| row.into_iter().collect())
        };
        let own = Tag::own(&self.scope.tenant, "Widget", id.as_str());
        Ok(self.kept_widgets((WidgetsKey::One(id.as_str().to_owned()), own), read).await?.first().cloned())
    }

    async fn create_dashboard(&self, new: NewDashboard) -> Result<Arc<DashboardView>, PortError> {
        let (slug, tries) = match &new.slug {
            NewSlug::Exact(slug) => (slug, 1),
            NewSlug::Like(slug) => (slug, SLUG_TRIES),
        };
        let database = &self.services.database;
        for attempt in 1..=tries {
            let slug = match &new.slug {
                NewSlug::Exact(_) => slug.clone(),
                NewSlug::Like(_) => database.free_slug(&self.scope.tenant, slug).await.map_err(internal)?,
            };
            let draft = DashboardDraft {
                slug,
                name: new.name.clone(),
                description: new.description.clone(),
                columns: new.columns,
            };
            match database.create_dashboard(&self.scope.tenant, draft).await {
                Err(StoreError::Taken(_)) if attempt < tries => {}
                created => return Ok(Arc::new(dashboard_view(self.told(created.map_err(internal)?).await))),
            }
        }
        Err(internal(StoreError::Taken("slug")))
    }

    async fn update_dashboard(
        &self,
        id: &DashboardId,
        changes: DashboardChanges,
    ) -> Result<Arc<DashboardView>, PortError> {
        let expected = changes.expected_updated_at;
        let change = |draft: &mut DashboardDraft| {
            set(&mut draft.name, changes.name);
            set(&mut draft.slug, changes.slug);
            set(&mut draft.columns, changes.columns);
            match changes.description {
                Change::Keep => {}
                Change::Clear => draft.description = None,
                Change::Set(description) => draft.description = Some(description),
            }
        };
        let database = &self.services.database;
        let written = database.update_dashboard(&self.scope.tenant, id.as_str(), expected, change).await;
        Ok(Arc::new(dashboard_view(self.told(written.map_err(internal)?).await)))
    }

    async fn delete_dashboard(&self, id: &DashboardId) -> Result<(), PortError> {
        let deleted = self.services.database.delete_dashboard(&self.scope.tenant, id.as_str()).await;
        self.told(deleted.map_err(internal)?).await;
        Ok(())
    }

    async fn add_widget(&self, new: NewWidget) -> Result<Arc<WidgetView>, PortError> {
        self.check_source(&new.source).await?;
        let given = new.layout.map(stored_layout);
        let draft = WidgetDraft {
            title: new.title,
            layout: given.unwrap_or_default(),
            kind: kind_of(&new.source).to_owned(),
            source: stored_source(&new.source)?,
        };
        let database = &self.services.database;
        let place = |grid: Grid| given.unwrap_or_else(|| below_the_others(grid));
        let written = database.create_widget(&self.scope.tenant, new.dashboard.as_str(), draft, place).await;
        widget_view(self.told(written.map_err(internal)?).await).map(Arc::new)
    }

    async fn update_widget(&self, id: &WidgetId, changes: WidgetChanges) -> Result<Arc<WidgetView>, PortError> {
        let source = match &changes.source {
            None => None,
            Some(source) => {
                self.check_source(source).await?;
                Some(stored_source(source)?)
            }
        };
        let change = |draft: &mut WidgetDraft| {
            set(&mut draft.title, changes.title);
            set(&mut draft.source, source);
        };
        let database = &self.services.database;
        let expected = changes.expected_updated_at;
        let written = database.update_widget(&self.scope.tenant, id.as_str(), expected, change).await;
        widget_view(self.told(written.map_err(internal)?).await).map(Arc::new)
    }

    async fn move_widgets(
        &self,
        dashboard: &DashboardId,
        moves: Vec<(WidgetId, Layout)>,
    ) -> Result<Arc<DashboardView>, PortError> {
        let moves = moves.into_iter().map(|(id, layout)| (id.as_str().to_owned(), stored_layout(layout))).collect();
        let database = &self.services.database;
        let written = database.move_widgets(&self.scope.tenant, dashboard.as_str(), &moves).await;
        self.told(written.map_err(internal)?).await;
        self.dashboard(dashboard).await?.ok_or_else(|| PortError::not_found("the dashboard"))
    }

    async fn remove_widget(&self, id: &WidgetId) -> Result<(), PortError> {
        let deleted = self.services.database.delete_widget(&self.scope.tenant, id.as_str()).await;
        self.told(deleted.map_err(internal)?).await;
        Ok(())
    }

    async fn refresh_widget(&self, id: &WidgetId) -> Result<Arc<WidgetView>, PortError> {
        let widget = self.widget(id).await?.ok_or_else(|| PortError::not_found("the widget"))?;
        // First what is read becomes stale, then it is told, so that whoever hears of it reads it again.
        self.outdate(&widget.source).await?;
        let written = self.services.database.note_widget_refreshed(&self.scope.tenant, id.as_str()).await;
        widget_view(self.told(written.map_err(internal)?).await).map(Arc::new)
    }
}

/// Where a widget goes that nobody placed: below the others, half the grid wide.
fn below_the_others(grid: Grid) -> widget::Layout {
    widget::Layout { x: 0, y: grid.below.min(MAX_ROWS), width: (grid.columns / 2).max(1), height: HEIGHT }
}

fn set<T>(value: &mut T, change: Option<T>) {
    if let Some(change) = change {
        *value = change;
    }
}

fn kind_of(source: &Source) -> &'static str {
    match source {
        Source::WorkItems(_) => "workItems",
        Source::PullRequests(_) => "pullRequests",
        Source::Builds(_) => "builds",
        Source::Messages(_) => "messages",
        Source::Activity(_) => "activity",
        Source::Metric(_) => "metric",
    }
}

fn stored_source(source: &Source) -> Result<serde_json::Value, PortError> {
    serde_json::to_value(source).map_err(|error| failed("a widget's source could not be written", &error))
}

fn stored_layout(layout: Layout) -> widget::Layout {
    widget::Layout { x: layout.x, y: layout.y, width: layout.width, height: layout.height }
}

fn dashboard_view(dashboard: Dashboard) -> DashboardView {
    DashboardView {
        id: dashboard.id.into(),
        slug: dashboard.draft.slug,
        name: dashboard.draft.name,
        description: dashboard.draft.description,
        columns: dashboard.draft.columns,
        created_at: dashboard.created_at,
        updated_at: dashboard.updated_at,
    }
}

fn widget_view(widget: Widget) -> Result<WidgetView, PortError> {
    let source: Source = serde_json::from_value(widget.draft.source)
        .map_err(|error| failed("a widget's source could not be read", &error))?;
    let layout = widget.draft.layout;
    Ok(WidgetView {
        id: widget.id.into(),
        dashboard: widget.dashboard.into(),
        title: widget.draft.title,
        layout: Layout { x: layout.x, y: layout.y, width: layout.width, height: layout.height },
        source: Arc::new(source),
        updated_at: widget.updated_at,
    })
}
