//! Forgets settled deliveries that are old, or too many bytes: a few at a time, so that what comes in never waits for it.

use chrono::{DateTime, Utc};
use mullion_entities::{delivery, delivery_body};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Statement};
use ulid::Ulid;

use super::RECEIVED;
use crate::store::{Database, StoreError};

/// Deliveries that are removed in one transaction.
const AT_A_TIME: u64 = 100;

/// The deliveries to be removed, the oldest first.
#[derive(Debug, Clone, Copy)]
pub enum Excess {
    /// Those that came in before this time.
    Before(DateTime<Utc>),
    /// So many bytes.
    Bytes(i64),
}

/// The amount that was removed in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Deliveries.
    pub rows: u64,
    /// Bytes of their bodies.
    pub bytes: i64,
}

impl Database {
    /// Removes some settled deliveries; nothing is left to remove when none went. From then on they are no longer recognised, and can
    /// no longer be replayed. Deliveries that wait are never removed.
    pub async fn prune_deliveries(&self, excess: Excess) -> Result<Pruned, StoreError> {
        let mut oldest = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::Id)
            .column(delivery::Column::Size)
            .filter(delivery::Column::State.ne(RECEIVED));
        if let Excess::Before(time) = excess {
            // Ids are in order of time, and the table is by id.
            let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
            oldest = oldest.filter(delivery::Column::Id.lt(Ulid::from_parts(millis, 0).to_string()));
        }
        let oldest = oldest.order_by_asc(delivery::Column::Id).limit(AT_A_TIME);
        let mut pruned = Pruned::default();
        let mut ids = Vec::new();
        for (id, size) in oldest.into_tuple::<(String, i64)>().all(&self.0.reader).await? {
            if matches!(excess, Excess::Bytes(bytes) if pruned.bytes >= bytes) {
                break;
            }
            pruned.bytes += size;
            ids.push(id);
        }
        if ids.is_empty() {
            return Ok(pruned);
        }
        let transaction = self.begin().await?;
        let removed = delivery::Entity::delete_many()
            .filter(delivery::Column::Id.is_in(&ids))
            .filter(delivery::Column::State.ne(RECEIVED))
            .exec(&transaction)
            .await?;
        // One that is replayed at this moment stays, with its body.
        let kept = delivery::Entity::find().select_only().column(delivery::Column::Id);
        let kept = kept.filter(delivery::Column::Id.is_in(&ids)).into_query();
        delivery_body::Entity::delete_many()
            .filter(delivery_body::Column::Id.is_in(&ids))
            .filter(delivery_body::Column::Id.not_in_subquery(kept))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        pruned.rows = removed.rows_affected;
        Ok(pruned)
    }

    /// The bytes of all bodies in the inbox: read from an index, bodies stay where they are.
    pub async fn inbox_bytes(&self) -> Result<i64, StoreError> {
        let sum = "SELECT CAST(COALESCE(SUM(size), 0) AS bigint) FROM delivery";
        let row = self.0.reader.query_one_raw(Statement::from_string(self.0.backend, sum)).await?;
        Ok(row.ok_or(StoreError::NotFound)?.try_get_by_index(0)?)
    }
}
