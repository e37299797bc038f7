//! Documents that clients ask for by their hash (automatic persisted queries), shared by all replicas. Each tenant has its own, and
//! has a limited number of them: the ones that were used last.

use chrono::{DateTime, Duration, Utc};
use mullion_entities::persisted_query::{Column, Entity, Model};
use mullion_schema::id::TenantId;
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Statement, sea_query::OnConflict};

use super::{Database, StoreError, time::from_micros};

/// A use is noted when the last one that was noted is longer ago.
const NOTED: Duration = Duration::days(1);

/// How much of one tenant is kept.
#[derive(Debug, Clone, Copy)]
pub struct PersistedLimits {
    /// Documents.
    pub documents: i64,
    /// Bytes of their texts.
    pub bytes: i64,
}

/// A document, found by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedQuery {
    /// Its text.
    pub text: String,
    /// Whether its use is to be noted, so that it is kept.
    pub is_due: bool,
}

impl Database {
    /// The document of a hash (SHA-256, in hexadecimal).
    pub async fn persisted_query(&self, tenant: &TenantId, hash: &str) -> Result<Option<PersistedQuery>, StoreError> {
        let key = (tenant.as_str().to_owned(), hash.to_owned());
        let Some(row) = Entity::find_by_id(key).one(&self.0.reader).await? else { return Ok(None) };
        let is_due = from_micros(row.used_at) < self.now() - NOTED;
        // A text that is damaged is not the one of this hash: the client sends it again, and it is written anew.
        Ok(String::from_utf8(row.document).ok().map(|text| PersistedQuery { text, is_due }))
    }

    /// Stores a document, or notes that it was used; of what is too much then, the documents that were not used for the longest
    /// time go. The caller has compared the hash.
    pub async fn persist_query(
        &self,
        tenant: &TenantId,
        hash: &str,
        text: &str,
        limits: PersistedLimits,
    ) -> Result<(), StoreError> {
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
        if length > limits.bytes || limits.documents < 1 {
            return Ok(());
        }
        let row = Model {
            tenant: tenant.as_str().to_owned(),
            hash: hash.to_owned(),
            document: text.as_bytes().to_vec(),
            length,
            used_at: self.now().timestamp_micros(),
        };
        let mut over = OnConflict::columns([Column::Tenant, Column::Hash]);
        over.update_columns([Column::Document, Column::Length, Column::UsedAt]);
        let transaction = self.begin_for(tenant).await?;
        Entity::insert(row.into_active_model().reset_all())
            .on_conflict(over)
            .exec_without_returning(&transaction)
            .await?;
        let too_much = "DELETE FROM persisted_query WHERE tenant = $1 AND hash IN (SELECT hash FROM (SELECT hash, \
             ROW_NUMBER() OVER newest AS place, SUM(length) OVER newest AS total FROM persisted_query WHERE tenant = $1 \
             WINDOW newest AS (ORDER BY used_at DESC, hash ROWS UNBOUNDED PRECEDING)) AS ranked \
             WHERE place > $2 OR total > $3)";
        let values = [tenant.as_str().into(), limits.documents.into(), limits.bytes.into()];
        transaction.execute_raw(Statement::from_sql_and_values(self.0.backend, too_much, values)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes that a document was used.
    pub async fn note_persisted_query(&self, tenant: &TenantId, hash: &str) -> Result<(), StoreError> {
        let sql = "UPDATE persisted_query SET used_at = $1 WHERE tenant = $2 AND hash = $3";
        let values = [self.now().timestamp_micros().into(), tenant.as_str().into(), hash.into()];
        self.execute_in_transaction(sql, values).await.map(|_| ())
    }

    /// Forgets what was last used before a time; how many documents that were.
    pub async fn forget_persisted_queries(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let sql = "DELETE FROM persisted_query WHERE used_at < $1";
        self.execute_in_transaction(sql, [before.timestamp_micros().into()]).await
    }

    async fn execute_in_transaction<const N: usize>(
        &self,
        sql: &str,
        values: [sea_orm::Value; N],
    ) -> Result<u64, StoreError> {
        let transaction = self.begin().await?;
        let done = transaction.execute_raw(Statement::from_sql_and_values(self.0.backend, sql, values)).await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}
