//! Quotas that the providers told any replica: what one has used up, the others do not try.

use std::collections::BTreeMap;

use mullion_entities::{quota, quota_use};
use mullion_schema::id::IntegrationId;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{Expr, OnConflict},
};

use super::{Database, StoreError, time::from_micros};
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

    /// A quota as its provider last reported it to any replica.
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

/// So much was used of a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Through which integration.
    pub integration: IntegrationId,
    /// The quota.
    pub bucket: &'static str,
    /// Days since 1970, UTC.
    pub day: i64,
    /// How much.
    pub units: i64,
}

impl Database {
    /// Adds to what was used. A day that is over is replaced by the one that has begun.
    pub async fn add_quota_use(&self, uses: &[Use]) -> Result<(), StoreError> {
        let mut over = OnConflict::columns([quota_use::Column::Integration, quota_use::Column::Bucket]);
        over.value(
            quota_use::Column::Used,
            Expr::cust(
                "CASE WHEN excluded.day > quota_use.day THEN excluded.used WHEN excluded.day = quota_use.day \
                 THEN quota_use.used + excluded.used ELSE quota_use.used END",
            ),
        );
        over.value(
            quota_use::Column::Day,
            Expr::cust("CASE WHEN excluded.day > quota_use.day THEN excluded.day ELSE quota_use.day END"),
        );
        let transaction = self.begin().await?;
        for one in uses {
            let row = quota_use::Model {
                integration: one.integration.as_str().to_owned(),
                bucket: one.bucket.to_owned(),
                day: one.day,
                used: one.units,
            };
            quota_use::Entity::insert(row.into_active_model().reset_all())
                .on_conflict(over.clone())
                .exec_without_returning(&transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The uses through an integration on a day, by quota.
    pub async fn quota_use(&self, integration: &IntegrationId, day: i64) -> Result<BTreeMap<String, i64>, StoreError> {
        let rows = quota_use::Entity::find()
            .filter(quota_use::Column::Integration.eq(integration.as_str()))
            .filter(quota_use::Column::Day.eq(day))
            .all(&self.0.reader)
            .await?;
        Ok(rows.into_iter().map(|row| (row.bucket, row.used)).collect())
    }
}
