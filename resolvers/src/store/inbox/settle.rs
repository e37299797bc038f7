//! What becomes of a delivery that is not applied: ignored, tried again, parked. Only the holder of its lane may say so.

use chrono::{DateTime, Utc};
use mullion_entities::delivery;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};

use super::{IGNORED, PARKED, RECEIVED, WaitingDelivery};
use crate::store::{Database, StoreError, lease::Lease, text::clean};

impl Database {
    /// The delivery is knowingly not used.
    pub async fn mark_ignored(&self, delivery: &WaitingDelivery, lease: &Lease, why: &str) -> Result<(), StoreError> {
        self.settle(delivery, lease, IGNORED, why).await
    }

    /// The delivery cannot be applied: given up, until someone replays it.
    pub async fn park_delivery(
        &self,
        delivery: &WaitingDelivery,
        lease: &Lease,
        error: &str,
    ) -> Result<(), StoreError> {
        self.settle(delivery, lease, PARKED, error).await
    }

    async fn settle(
        &self,
        delivery: &WaitingDelivery,
        lease: &Lease,
        state: &str,
        error: &str,
    ) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        lease.check(&transaction).await?;
        delivery::Entity::update_many()
            .col_expr(delivery::Column::State, Expr::value(state))
            .col_expr(delivery::Column::Attempts, Expr::col(delivery::Column::Attempts).add(1))
            .col_expr(delivery::Column::Error, Expr::value(clean(error)))
            .col_expr(delivery::Column::SettledAt, Expr::value(self.now().timestamp_micros()))
            .filter(delivery::Column::Id.eq(delivery.id.as_str()))
            .filter(delivery::Column::State.eq(RECEIVED))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The delivery could not be applied this time: again at `due_at`.
    pub async fn retry_delivery(
        &self,
        delivery: &WaitingDelivery,
        lease: &Lease,
        error: &str,
        due_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        lease.check(&transaction).await?;
        delivery::Entity::update_many()
            .col_expr(delivery::Column::Attempts, Expr::col(delivery::Column::Attempts).add(1))
            .col_expr(delivery::Column::Error, Expr::value(clean(error)))
            .col_expr(delivery::Column::DueAt, Expr::value(due_at.timestamp_micros()))
            .filter(delivery::Column::Id.eq(delivery.id.as_str()))
            .filter(delivery::Column::State.eq(RECEIVED))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}
