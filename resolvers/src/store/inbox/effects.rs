//! The effects of a delivery: the changes in its tenant's stream, and the activities that people were told of.

use mullion_entities::{change, delivery};
use mullion_schema::id::TenantId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::store::{
    Database, StoreError,
    activity::{Activity, activity_of},
    stream::AppliedChange,
    text::clean,
};

/// How far behind a delivery's own changes its activities are looked for: those that wait for names get a position when they are
/// released.
const RELEASED_WITHIN: i64 = 1_000;

/// Where the changes of a delivery are in the stream.
struct Span {
    before: i64,
    last: i64,
    integration: String,
    received_at: i64,
}

impl Database {
    /// The changes that came of a delivery, in order. Deliveries that were applied together share theirs. None where it was not
    /// applied, or before it was noted where they begin.
    pub async fn changes_of_delivery(
        &self,
        tenant: &TenantId,
        id: &str,
        limit: u64,
    ) -> Result<Vec<AppliedChange>, StoreError> {
        let Some(span) = self.span_of_delivery(tenant, id).await? else { return Ok(Vec::new()) };
        let count = u64::try_from(span.last - span.before).unwrap_or(0);
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut changes = self.changes_since(tenant, span.before, count.min(limit)).await?;
        // Where some of its changes were pruned meanwhile, later ones that are not its own come instead.
        changes.retain(|change| change.position <= span.last);
        Ok(changes)
    }

    /// The activities that a delivery tells of, oldest first: none that another delivery told of before.
    pub async fn activities_of_delivery(
        &self,
        tenant: &TenantId,
        id: &str,
        limit: u64,
    ) -> Result<Vec<Activity>, StoreError> {
        let Some(span) = self.span_of_delivery(tenant, id).await? else { return Ok(Vec::new()) };
        let rows = change::Entity::find()
            .filter(change::Column::Tenant.eq(tenant.as_str()))
            .filter(change::Column::Position.gt(span.before))
            .filter(change::Column::Position.lte(span.last.saturating_add(RELEASED_WITHIN)))
            .filter(change::Column::Integration.eq(span.integration))
            .filter(change::Column::ReceivedAt.eq(span.received_at))
            .filter(change::Column::Activity.is_not_null())
            .order_by_asc(change::Column::Position)
            .limit(limit)
            .all(&self.0.reader)
            .await?;
        rows.into_iter().filter_map(|row| activity_of(row).transpose()).collect()
    }

    async fn span_of_delivery(&self, tenant: &TenantId, id: &str) -> Result<Option<Span>, StoreError> {
        use delivery::Column;
        let row = delivery::Entity::find()
            .select_only()
            .columns([Column::PositionBefore, Column::Position, Column::Integration, Column::ReceivedAt])
            .filter(Column::Tenant.eq(tenant.as_str()))
            .filter(Column::Id.eq(clean(id)))
            .into_tuple::<(Option<i64>, Option<i64>, String, i64)>()
            .one(&self.0.reader)
            .await?;
        Ok(row.and_then(|(before, last, integration, received_at)| {
            Some(Span { before: before?, last: last?, integration, received_at })
        }))
    }
}
