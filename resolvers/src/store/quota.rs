//! Quotas that the providers told any replica: what one has used up, the others do not try.

use mullion_entities::quota;
use mullion_schema::id::IntegrationId;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, sea_query::OnConflict};

use super::{Database, StoreError, transaction::from_micros};
use crate::upstream::QuotaReading;

impl Database {
    /// Notes what a provider said of a quota.
    pub async fn note_quota(&self, integration: &IntegrationId, told: &QuotaReading) -> Result<(), StoreError> {
        let row = quota::Model {
            integration: integration.as_str().to_owned(),
            bucket: told.bucket.to_owned(),
            most: told.limit,
            remaining: told.remaining,
            resets_at: told.resets_at.map(|at| at.timestamp_micros()),
            told_at: self.now().timestamp_micros(),
        };
        let mut over = OnConflict::columns([quota::Column::Integration, quota::Column::Bucket]);
        over.update_columns([
            quota::Column::Most,
            quota::Column::Remaining,
            quota::Column::ResetsAt,
            quota::Column::ToldAt,
        ]);
        let transaction = self.begin().await?;
        quota::Entity::insert(row.into_active_model().reset_all())
            .on_conflict(over)
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What a provider last said of a quota to any replica.
    pub async fn quota(
        &self,
        integration: &IntegrationId,
        bucket: &'static str,
    ) -> Result<Option<QuotaReading>, StoreError> {
        let name = (integration.as_str().to_owned(), bucket.to_owned());
        let row = quota::Entity::find_by_id(name).one(&self.0.reader).await?;
        Ok(row.map(|row| QuotaReading {
            bucket,
            limit: row.most,
            remaining: row.remaining,
            resets_at: row.resets_at.map(from_micros),
        }))
    }
}
