//! Removes integrations in bounded steps. The first step hides the integration and takes its token away; the rows that belong to it
//! are deleted a few at a time after that, and its own row at the very end. A process that dies in between leaves the mark in the
//! database, where the next one finds it; two that work at the same time only find less to delete.

use chrono::{DateTime, Duration, Utc};
use mullion_entities::{delivery, delivery_body, event_socket, integration};
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::Expr,
};

use super::{
    Database, StoreError,
    integration::{IntegrationStatus, row_in, tags},
    stream::Written,
    time::from_micros,
};

/// Rows that are deleted in one transaction.
pub const ROWS_AT_A_TIME: u64 = 500;
/// Deliveries that are deleted in one transaction: their bodies may be large.
const DELIVERIES_AT_A_TIME: u64 = 100;
/// So long after an integration was hidden its own row stays: what was under way may still write a delivery, a quota or a claim,
/// which is then found and deleted.
const LINGER: Duration = Duration::minutes(5);

/// The tables whose rows belong to an integration, and whether they name the tenant. Activities stay: they are the tenant's history.
const TABLES: [(&str, bool); 10] = [
    ("endpoint", true),
    ("node", true),
    ("member", true),
    ("list_window", true),
    ("catch_up", false),
    ("claim", false),
    ("quota", false),
    ("quota_use", false),
    ("pending_activity", true),
    ("presence", false),
];

/// An integration that is being removed, and how far one pass over its rows has come.
#[derive(Debug, Clone)]
pub struct Removal {
    /// The tenant that it belonged to.
    pub tenant: TenantId,
    /// Its id.
    pub integration: IntegrationId,
    /// Since when it is hidden.
    since: DateTime<Utc>,
    /// The table that is next; after the last one come the deliveries.
    table: usize,
    /// The last delivery that was deleted in this pass.
    after: String,
    /// How many rows this pass deleted.
    deleted: u64,
}

impl Removal {
    /// The same for an integration that nothing writes for any more: its row need not linger.
    #[must_use]
    pub fn without_lingering(self) -> Self {
        Self { since: DateTime::UNIX_EPOCH, ..self }
    }
}

impl Database {
    /// Hides an integration from everybody and takes its tokens away. Its rows are deleted later, by [`Database::remove_some`]; its
    /// activities stay.
    pub async fn delete_integration(
        &self,
        tenant: &TenantId,
        id: &IntegrationId,
    ) -> Result<Written<IntegrationId>, StoreError> {
        let transaction = self.begin_for(tenant).await?;
        row_in(&transaction, tenant, id).await?;
        event_socket::Entity::delete_by_id(id.as_str()).exec(&transaction).await?;
        integration::Entity::update_many()
            .col_expr(integration::Column::RemovedAt, Expr::value(self.now().timestamp_micros()))
            .col_expr(integration::Column::Token, Expr::value(None::<Vec<u8>>))
            .col_expr(integration::Column::Status, Expr::value(IntegrationStatus::Disabled.to_string()))
            .filter(integration::Column::Id.eq(id.as_str()))
            .exec(&transaction)
            .await?;
        let written = self.finish(tenant, transaction, id.clone(), tags(tenant, id)).await;
        self.note_endpoint_change();
        written
    }

    /// The integrations that are being removed, of all tenants.
    pub async fn removals(&self) -> Result<Vec<Removal>, StoreError> {
        let rows = integration::Entity::find()
            .select_only()
            .column(integration::Column::Tenant)
            .column(integration::Column::Id)
            .column(integration::Column::RemovedAt)
            .filter(integration::Column::RemovedAt.is_not_null())
            .order_by_asc(integration::Column::Id)
            .into_tuple::<(String, String, i64)>()
            .all(&self.0.reader)
            .await?;
        let removal = |(tenant, integration, since): (String, String, i64)| Removal {
            tenant: tenant.into(),
            integration: integration.into(),
            since: from_micros(since),
            table: 0,
            after: String::new(),
            deleted: 0,
        };
        Ok(rows.into_iter().map(removal).collect())
    }

    /// One step of a removal, in one transaction of a bounded number of rows. Whether there is more to do now.
    pub async fn remove_some(&self, removal: &mut Removal) -> Result<bool, StoreError> {
        let deleted = match TABLES.get(removal.table) {
            Some((table, of_tenant)) => self.remove_rows(removal, table, *of_tenant).await?,
            None => self.remove_deliveries(removal).await?,
        };
        removal.deleted += deleted;
        if deleted > 0 {
            return Ok(true);
        }
        removal.table += 1;
        if removal.table <= TABLES.len() {
            return Ok(true);
        }
        // The end of a pass.
        if self.now() - removal.since < LINGER {
            return Ok(false);
        }
        if removal.deleted > 0 {
            (removal.table, removal.after, removal.deleted) = (0, String::new(), 0);
            return Ok(true);
        }
        let transaction = self.begin_for(&removal.tenant).await?;
        integration::Entity::delete_by_id(removal.integration.as_str())
            .filter(integration::Column::RemovedAt.is_not_null())
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(false)
    }

    async fn remove_rows(&self, removal: &Removal, table: &str, of_tenant: bool) -> Result<u64, StoreError> {
        let mut which = "integration = $1".to_owned();
        let mut values: Vec<sea_orm::Value> = vec![removal.integration.as_str().into()];
        if of_tenant {
            which.push_str(" AND tenant = $2");
            values.push(removal.tenant.as_str().into());
        }
        // Neither database limits a DELETE; both know a row by where it lies.
        let sql = match self.0.backend {
            DbBackend::Postgres => format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {which} LIMIT {ROWS_AT_A_TIME}))"
            ),
            _ => format!(
                "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {which} LIMIT {ROWS_AT_A_TIME})"
            ),
        };
        let transaction = self.begin_for(&removal.tenant).await?;
        let deleted = transaction.execute_raw(Statement::from_sql_and_values(self.0.backend, sql, values)).await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected())
    }

    /// From the oldest on. In one pass those that are behind are not looked through again.
    async fn remove_deliveries(&self, removal: &mut Removal) -> Result<u64, StoreError> {
        let ids: Vec<String> = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::Id)
            .filter(delivery::Column::Tenant.eq(removal.tenant.as_str()))
            .filter(delivery::Column::Integration.eq(removal.integration.as_str()))
            .filter(delivery::Column::Id.gt(removal.after.as_str()))
            .order_by_asc(delivery::Column::Id)
            .limit(DELIVERIES_AT_A_TIME)
            .into_tuple()
            .all(&self.0.reader)
            .await?;
        let Some(last) = ids.last() else { return Ok(0) };
        let transaction = self.begin_for(&removal.tenant).await?;
        delivery_body::Entity::delete_many().filter(delivery_body::Column::Id.is_in(&ids)).exec(&transaction).await?;
        delivery::Entity::delete_many().filter(delivery::Column::Id.is_in(&ids)).exec(&transaction).await?;
        transaction.commit().await?;
        removal.after.clone_from(last);
        // Nothing is left of those that another process deleted either.
        Ok(ids.len() as u64)
    }
}
