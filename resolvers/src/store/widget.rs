//! Widgets: saved views over nodes. Their sources are JSON that only the graph understands.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mullion_entities::{dashboard, widget};
use mullion_schema::id::TenantId;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::Value;

use super::{Database, StoreError, own::expect, stream::Written, text::clean, time::from_micros};
use crate::tag::Tag;

/// A widget.
#[derive(Debug, Clone, PartialEq)]
pub struct Widget {
    /// Its id.
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Where it stands.
    pub dashboard: String,
    /// The fields that people set.
    pub draft: WidgetDraft,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The fields of a widget that are written.
#[derive(Debug, Clone, PartialEq)]
pub struct WidgetDraft {
    /// For people.
    pub title: String,
    /// Where on the grid.
    pub layout: Layout,
    /// Which kind of source.
    pub kind: String,
    /// The source that it shows.
    pub source: Value,
}

/// A place on a dashboard's grid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// Column.
    pub x: i32,
    /// Row.
    pub y: i32,
    /// Columns it spans.
    pub width: i32,
    /// Rows it spans.
    pub height: i32,
}

/// The part of a dashboard that decides where something is placed on it.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    /// Its columns.
    pub columns: i32,
    /// The first row below all widgets.
    pub below: i32,
}

impl Database {
    /// Puts a widget on a dashboard; `place` tells where, from the dashboard's columns and the row below all others.
    /// [`StoreError::Full`]: it has as many as it may.
    pub async fn create_widget(
        &self,
        tenant: &TenantId,
        dashboard: &str,
        draft: WidgetDraft,
        place: impl FnOnce(Grid) -> Layout + Send,
    ) -> Result<Written<Widget>, StoreError> {
        let now = self.now().timestamp_micros();
        let id = self.new_id()?;
        let mut active = widget::ActiveModel {
            id: Set(id.clone()),
            tenant: Set(tenant.as_str().to_owned()),
            dashboard: Set(dashboard.to_owned()),
            created_at: Set(now),
            updated_at: Set(now),
            ..Default::default()
        };
        set_draft(&mut active, &draft)?;
        let transaction = self.begin_for(tenant).await?;
        let grid = grid_in(&transaction, tenant, dashboard, self.0.limits.1).await?;
        set_layout(&mut active, place(grid));
        widget::Entity::insert(active).exec_without_returning(&transaction).await?;
        let value = widget_of(row_in(&transaction, tenant, &id).await?)?;
        self.finish(tenant, transaction, value, tags(tenant, dashboard, [id.as_str()])).await
    }

    /// Changes a widget: `change` gets what is stored and turns it into what is to be.
    pub async fn update_widget(
        &self,
        tenant: &TenantId,
        id: &str,
        expected_updated_at: Option<DateTime<Utc>>,
        change: impl FnOnce(&mut WidgetDraft) + Send,
    ) -> Result<Written<Widget>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let row = row_in(&transaction, tenant, id).await?;
        expect(row.updated_at, expected_updated_at)?;
        let updated_at = self.changed_at(row.updated_at);
        let mut draft = widget_of(row.clone())?.draft;
        change(&mut draft);
        let mut active = row.into_active_model();
        set_draft(&mut active, &draft)?;
        active.updated_at = Set(updated_at);
        let value = widget_of(active.update(&transaction).await?)?;
        let tags = tags(tenant, &value.dashboard, [id]);
        self.finish(tenant, transaction, value, tags).await
    }

    /// Moves widgets of one dashboard, all or none. [`StoreError::NotFound`]: one of them is not on it.
    pub async fn move_widgets(
        &self,
        tenant: &TenantId,
        dashboard: &str,
        moves: &BTreeMap<String, Layout>,
    ) -> Result<Written<Vec<Widget>>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        dashboard_in(&transaction, tenant, dashboard).await?;
        let mut widgets = Vec::with_capacity(moves.len());
        for (id, layout) in moves {
            let row = row_in(&transaction, tenant, id).await?;
            if row.dashboard != dashboard {
                return Err(StoreError::NotFound);
            }
            let updated_at = self.changed_at(row.updated_at);
            let mut active = row.into_active_model();
            set_layout(&mut active, *layout);
            active.updated_at = Set(updated_at);
            widgets.push(widget_of(active.update(&transaction).await?)?);
        }
        let tags = tags(tenant, dashboard, moves.keys().map(String::as_str));
        self.finish(tenant, transaction, widgets, tags).await
    }

    /// Removes a widget.
    pub async fn delete_widget(&self, tenant: &TenantId, id: &str) -> Result<Written<String>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let row = row_in(&transaction, tenant, id).await?;
        widget::Entity::delete_by_id(id).exec(&transaction).await?;
        self.finish(tenant, transaction, id.to_owned(), tags(tenant, &row.dashboard, [id])).await
    }

    /// Tells the stream that a widget was read anew, though nothing stored changed.
    pub async fn note_widget_refreshed(&self, tenant: &TenantId, id: &str) -> Result<Written<Widget>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let value = widget_of(row_in(&transaction, tenant, id).await?)?;
        self.finish(tenant, transaction, value, vec![Tag::own(tenant, "Refresh", id)]).await
    }

    /// One widget.
    pub async fn widget(&self, tenant: &TenantId, id: &str) -> Result<Option<Widget>, StoreError> {
        match row_in(&self.0.reader, tenant, id).await {
            Ok(row) => widget_of(row).map(Some),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The widgets of a dashboard, in reading order.
    pub async fn widgets(&self, tenant: &TenantId, dashboard: &str) -> Result<Vec<Widget>, StoreError> {
        let rows = widget::Entity::find()
            .filter(widget::Column::Tenant.eq(tenant.as_str()))
            .filter(widget::Column::Dashboard.eq(dashboard))
            .order_by_asc(widget::Column::Y)
            .order_by_asc(widget::Column::X)
            .order_by_asc(widget::Column::Id)
            .all(&self.0.reader)
            .await?;
        rows.into_iter().map(widget_of).collect()
    }
}

fn tags<'i>(tenant: &TenantId, dashboard: &str, widgets: impl IntoIterator<Item = &'i str>) -> Vec<Tag> {
    let widgets = widgets.into_iter().map(|widget| Tag::own(tenant, "Widget", widget));
    std::iter::once(Tag::own(tenant, "Dashboard", dashboard)).chain(widgets).collect()
}

/// The dashboard as it stands, if there is room on it.
async fn grid_in(
    connection: &impl ConnectionTrait,
    tenant: &TenantId,
    id: &str,
    most: usize,
) -> Result<Grid, StoreError> {
    let columns = dashboard_in(connection, tenant, id).await?.columns;
    let places: Vec<(i64, i64)> = widget::Entity::find()
        .select_only()
        .column(widget::Column::Y)
        .column(widget::Column::Height)
        .filter(widget::Column::Tenant.eq(tenant.as_str()))
        .filter(widget::Column::Dashboard.eq(id))
        .into_tuple()
        .all(connection)
        .await?;
    if places.len() >= most {
        return Err(StoreError::Full(format!(
            "a dashboard has at most {most} widgets: delete one, or use another dashboard"
        )));
    }
    let below = places.into_iter().map(|(y, height)| y + height).max().unwrap_or(0);
    Ok(Grid { columns: small(columns), below: small(below) })
}

fn small(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

async fn dashboard_in(
    connection: &impl ConnectionTrait,
    tenant: &TenantId,
    id: &str,
) -> Result<dashboard::Model, StoreError> {
    let row =
        dashboard::Entity::find_by_id(id).filter(dashboard::Column::Tenant.eq(tenant.as_str())).one(connection).await?;
    row.ok_or(StoreError::NotFound)
}

async fn row_in(connection: &impl ConnectionTrait, tenant: &TenantId, id: &str) -> Result<widget::Model, StoreError> {
    let row = widget::Entity::find_by_id(id).filter(widget::Column::Tenant.eq(tenant.as_str())).one(connection).await?;
    row.ok_or(StoreError::NotFound)
}

fn set_draft(row: &mut widget::ActiveModel, draft: &WidgetDraft) -> Result<(), StoreError> {
    row.title = Set(clean(&draft.title));
    row.kind = Set(draft.kind.clone());
    let source = serde_json::to_string(&draft.source)
        .map_err(|source| StoreError::Corrupt { what: "source of a widget", source })?;
    row.source = Set(source);
    set_layout(row, draft.layout);
    Ok(())
}

fn set_layout(row: &mut widget::ActiveModel, layout: Layout) {
    row.x = Set(layout.x.into());
    row.y = Set(layout.y.into());
    row.width = Set(layout.width.into());
    row.height = Set(layout.height.into());
}

fn widget_of(row: widget::Model) -> Result<Widget, StoreError> {
    let source = serde_json::from_str(&row.source)
        .map_err(|source| StoreError::Corrupt { what: "source of a widget", source })?;
    Ok(Widget {
        id: row.id,
        tenant: row.tenant.into(),
        dashboard: row.dashboard,
        draft: WidgetDraft {
            title: row.title,
            layout: Layout { x: small(row.x), y: small(row.y), width: small(row.width), height: small(row.height) },
            kind: row.kind,
            source,
        },
        created_at: from_micros(row.created_at),
        updated_at: from_micros(row.updated_at),
    })
}
