//! Notes what becomes of a delivery that is not applied: ignored, tried again, parked. Only the holder of its lane may say so.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use mullion_entities::delivery;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryTrait,
    sea_query::{Expr, ExprTrait},
};

use super::{IGNORED, PARKED, WaitingDelivery};
use crate::store::{Database, StoreError, delivery_state::waits, lease::Lease, session::Session, text::clean};

/// The new state of a delivery, written with the attempt and the reason why nothing came of it.
pub(super) enum Verdict {
    /// It is in this state for good.
    Settled(&'static str),
    /// It is tried again then.
    Again(DateTime<Utc>),
}

impl Database {
    /// The deliveries are knowingly not used, and why not.
    pub async fn mark_ignored(&self, deliveries: &[(&WaitingDelivery, &Lease)], why: &str) -> Result<(), StoreError> {
        self.note(deliveries, &Verdict::Settled(IGNORED), why).await
    }

    /// The delivery cannot be applied: given up, until someone replays it.
    pub async fn park_delivery(
        &self,
        delivery: &WaitingDelivery,
        lease: &Lease,
        error: &str,
    ) -> Result<(), StoreError> {
        self.note(&[(delivery, lease)], &Verdict::Settled(PARKED), error).await
    }

    /// The delivery could not be applied this time: again at `due_at`.
    pub async fn retry_delivery(
        &self,
        delivery: &WaitingDelivery,
        lease: &Lease,
        error: &str,
        due_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.note(&[(delivery, lease)], &Verdict::Again(due_at), error).await
    }

    async fn note(
        &self,
        deliveries: &[(&WaitingDelivery, &Lease)],
        verdict: &Verdict,
        error: &str,
    ) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        for lease in deliveries.iter().map(|(_, lease)| *lease).collect::<HashSet<_>>() {
            lease.check(&transaction).await?;
        }
        let ids = deliveries.iter().map(|(delivery, _)| delivery.id.as_str());
        note(&transaction, ids, verdict, error, self.now().timestamp_micros()).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Writes what became of those of the deliveries that wait, and why.
pub(super) async fn note(
    connection: &impl Session,
    ids: impl IntoIterator<Item = &str>,
    verdict: &Verdict,
    why: &str,
    now: i64,
) -> Result<(), StoreError> {
    let tried = delivery::Entity::update_many()
        .col_expr(delivery::Column::Attempts, Expr::col(delivery::Column::Attempts).add(1))
        .col_expr(delivery::Column::Error, Expr::value(clean(why)));
    let noted = match verdict {
        Verdict::Settled(state) => tried
            .col_expr(delivery::Column::State, Expr::value(*state))
            .col_expr(delivery::Column::SettledAt, Expr::value(now)),
        Verdict::Again(due_at) => tried.col_expr(delivery::Column::DueAt, Expr::value(due_at.timestamp_micros())),
    };
    let noted = noted.filter(delivery::Column::Id.is_in(ids)).filter(waits());
    Ok(connection.run(noted.build(connection.backend())).await?)
}
