//! Dashboards.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use mullion_entities::{dashboard, widget};
use mullion_schema::id::TenantId;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::{Database, StoreError, own::expect, stream::Written, text::clean, time::from_micros};
use crate::tag::Tag;

/// A dashboard, without its widgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// Its id.
    pub id: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The fields that people set.
    pub draft: DashboardDraft,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The fields of a dashboard that are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DashboardDraft {
    /// Its name in URLs, unique in a tenant.
    pub slug: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Width of the grid.
    pub columns: i32,
}

impl Database {
    /// Makes a dashboard. [`StoreError::Taken`]: the slug. [`StoreError::Full`]: the tenant has as many as it may.
    pub async fn create_dashboard(
        &self,
        tenant: &TenantId,
        draft: DashboardDraft,
    ) -> Result<Written<Dashboard>, StoreError> {
        let now = self.now().timestamp_micros();
        let id = self.new_id()?;
        let mut active = dashboard::ActiveModel {
            id: Set(id.clone()),
            tenant: Set(tenant.as_str().to_owned()),
            created_at: Set(now),
            updated_at: Set(now),
            ..Default::default()
        };
        set_draft(&mut active, &draft);
        let transaction = self.begin_for(tenant).await?;
        ensure_room(&transaction, tenant, self.0.limits.0).await?;
        ensure_free(&transaction, tenant, &draft.slug, &id).await?;
        dashboard::Entity::insert(active).exec_without_returning(&transaction).await?;
        let value = dashboard_of(row_in(&transaction, tenant, &id).await?);
        self.finish(tenant, transaction, value, tags(tenant, &id)).await
    }

    /// Changes a dashboard: `change` gets what is stored and turns it into what is to be.
    pub async fn update_dashboard(
        &self,
        tenant: &TenantId,
        id: &str,
        expected_updated_at: Option<DateTime<Utc>>,
        change: impl FnOnce(&mut DashboardDraft) + Send,
    ) -> Result<Written<Dashboard>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        let row = row_in(&transaction, tenant, id).await?;
        expect(row.updated_at, expected_updated_at)?;
        let updated_at = self.changed_at(row.updated_at);
        let mut draft = dashboard_of(row.clone()).draft;
        change(&mut draft);
        ensure_free(&transaction, tenant, &draft.slug, id).await?;
        let mut active = row.into_active_model();
        set_draft(&mut active, &draft);
        active.updated_at = Set(updated_at);
        let value = dashboard_of(active.update(&transaction).await?);
        self.finish(tenant, transaction, value, tags(tenant, id)).await
    }

    /// Deletes a dashboard with its widgets.
    pub async fn delete_dashboard(&self, tenant: &TenantId, id: &str) -> Result<Written<String>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        row_in(&transaction, tenant, id).await?;
        let widgets: Vec<String> = widget::Entity::find()
            .select_only()
            .column(widget::Column::Id)
            .filter(widget::Column::Tenant.eq(tenant.as_str()))
            .filter(widget::Column::Dashboard.eq(id))
            .into_tuple()
            .all(&transaction)
            .await?;
        dashboard::Entity::delete_by_id(id).exec(&transaction).await?;
        let mut tags = tags(tenant, id);
        tags.extend(widgets.iter().map(|widget| Tag::own(tenant, "Widget", widget)));
        self.finish(tenant, transaction, id.to_owned(), tags).await
    }

    /// One dashboard.
    pub async fn dashboard(&self, tenant: &TenantId, id: &str) -> Result<Option<Dashboard>, StoreError> {
        let row = dashboard::Entity::find_by_id(id)
            .filter(dashboard::Column::Tenant.eq(tenant.as_str()))
            .one(&self.0.reader)
            .await?;
        Ok(row.map(dashboard_of))
    }

    /// The first of `slug`, `slug-2`, `slug-3`, … that no dashboard of the tenant has.
    pub async fn free_slug(&self, tenant: &TenantId, slug: &str) -> Result<String, StoreError> {
        let slug = clean(slug);
        let taken: Vec<String> = dashboard::Entity::find()
            .select_only()
            .column(dashboard::Column::Slug)
            .filter(dashboard::Column::Tenant.eq(tenant.as_str()))
            .filter(dashboard::Column::Slug.starts_with(&slug))
            .into_tuple()
            .all(&self.0.reader)
            .await?;
        let taken: HashSet<String> = taken.into_iter().collect();
        let numbered = (2..).map(|number: usize| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(numbered).find(|slug| !taken.contains(slug));
        // There are more numbers than dashboards.
        free.ok_or(StoreError::Taken("slug"))
    }

    /// One dashboard by its slug.
    pub async fn dashboard_by_slug(&self, tenant: &TenantId, slug: &str) -> Result<Option<Dashboard>, StoreError> {
        let row = dashboard::Entity::find()
            .filter(dashboard::Column::Tenant.eq(tenant.as_str()))
            .filter(dashboard::Column::Slug.eq(clean(slug)))
            .one(&self.0.reader)
            .await?;
        Ok(row.map(dashboard_of))
    }

    /// The dashboards of a tenant after an id, oldest first.
    pub async fn dashboards(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Dashboard>, StoreError> {
        let rows = dashboard::Entity::find()
            .filter(dashboard::Column::Tenant.eq(tenant.as_str()))
            .filter(dashboard::Column::Id.gt(clean(after.unwrap_or_default())))
            .order_by_asc(dashboard::Column::Id)
            .limit(limit)
            .all(&self.0.reader)
            .await?;
        Ok(rows.into_iter().map(dashboard_of).collect())
    }

    /// How many dashboards a tenant has.
    pub async fn count_dashboards(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let all = dashboard::Entity::find().filter(dashboard::Column::Tenant.eq(tenant.as_str()));
        Ok(all.count(&self.0.reader).await?)
    }
}

fn tags(tenant: &TenantId, id: &str) -> Vec<Tag> {
    vec![Tag::own(tenant, "Dashboard", id), Tag::own_list(tenant, "dashboards")]
}

async fn ensure_room(connection: &impl ConnectionTrait, tenant: &TenantId, most: usize) -> Result<(), StoreError> {
    let all = dashboard::Entity::find().filter(dashboard::Column::Tenant.eq(tenant.as_str()));
    if all.count(connection).await? < most as u64 {
        return Ok(());
    }
    Err(StoreError::Full(format!("your tenant has {most} dashboards, as many as it may: delete one that nobody uses")))
}

async fn ensure_free(
    connection: &impl ConnectionTrait,
    tenant: &TenantId,
    slug: &str,
    id: &str,
) -> Result<(), StoreError> {
    let taken = dashboard::Entity::find()
        .filter(dashboard::Column::Tenant.eq(tenant.as_str()))
        .filter(dashboard::Column::Slug.eq(clean(slug)))
        .filter(dashboard::Column::Id.ne(id))
        .one(connection)
        .await?;
    if taken.is_some() { Err(StoreError::Taken("slug")) } else { Ok(()) }
}

async fn row_in(
    connection: &impl ConnectionTrait,
    tenant: &TenantId,
    id: &str,
) -> Result<dashboard::Model, StoreError> {
    let row =
        dashboard::Entity::find_by_id(id).filter(dashboard::Column::Tenant.eq(tenant.as_str())).one(connection).await?;
    row.ok_or(StoreError::NotFound)
}

fn set_draft(row: &mut dashboard::ActiveModel, draft: &DashboardDraft) {
    row.slug = Set(clean(&draft.slug));
    row.name = Set(clean(&draft.name));
    row.description = Set(draft.description.as_deref().map(clean));
    row.columns = Set(draft.columns.into());
}

fn dashboard_of(row: dashboard::Model) -> Dashboard {
    Dashboard {
        id: row.id,
        tenant: row.tenant.into(),
        draft: DashboardDraft {
            slug: row.slug,
            name: row.name,
            description: row.description,
            columns: i32::try_from(row.columns).unwrap_or(i32::MAX),
        },
        created_at: from_micros(row.created_at),
        updated_at: from_micros(row.updated_at),
    }
}
