//! Tenants.

use chrono::{DateTime, Utc};
use mullion_entities::tenant;
use mullion_schema::id::TenantId;
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder, sea_query::OnConflict};

use super::{Database, StoreError, text::clean, time::from_micros};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Database {
    /// Makes a tenant. One that exists stays as it is.
    pub async fn create_tenant(&self, id: &TenantId, name: &str) -> Result<Tenant, StoreError> {
        let row = tenant::ActiveModel {
            id: Set(id.as_str().to_owned()),
            name: Set(clean(name)),
            created_at: Set(self.now().timestamp_micros()),
        };
        let transaction = self.begin_for(id).await?;
        let keep = OnConflict::column(tenant::Column::Id).do_nothing().to_owned();
        tenant::Entity::insert_many([row]).on_conflict(keep).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        self.tenant(id).await?.ok_or(StoreError::NotFound)
    }

    /// One tenant.
    pub async fn tenant(&self, id: &TenantId) -> Result<Option<Tenant>, StoreError> {
        let row = tenant::Entity::find_by_id(id.as_str()).one(&self.0.reader).await?;
        Ok(row.map(tenant_of))
    }

    /// All tenants, by id.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let rows = tenant::Entity::find().order_by_asc(tenant::Column::Id).all(&self.0.reader).await?;
        Ok(rows.into_iter().map(tenant_of).collect())
    }
}

fn tenant_of(row: tenant::Model) -> Tenant {
    Tenant { id: row.id.into(), name: row.name, created_at: from_micros(row.created_at) }
}
