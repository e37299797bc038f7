//! The inbox: deliveries on disk before they are acknowledged, worked off in order of arrival.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use mullion_entities::{delivery, integration};
use mullion_schema::id::{IntegrationId, TenantId};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::{
    Database, StoreError,
    text::{clean, index_text},
    transaction::from_micros,
};
use crate::provider::{StoredDelivery, VerifiedDelivery};

/// A verified delivery that is to be stored.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Where it came in.
    pub endpoint: String,
    /// Whose.
    pub tenant: TenantId,
    /// Whose.
    pub integration: IntegrationId,
    /// The provider's key.
    pub provider: String,
    /// What was verified.
    pub verified: VerifiedDelivery,
    /// The headers that are kept.
    pub headers: HeaderMap,
    /// When its last byte came.
    pub received_at: DateTime<Utc>,
}

/// What became of a delivery that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is on disk, with this id.
    New(String),
    /// It was there before: nothing happens twice.
    Duplicate,
}

/// A delivery that waits to be applied.
#[derive(Debug, Clone)]
pub struct WaitingDelivery {
    /// Its id.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Whose.
    pub integration: IntegrationId,
    /// The provider's key.
    pub provider: String,
    /// How often it was tried.
    pub attempts: i64,
    /// For interpretation.
    pub delivery: StoredDelivery,
}

/// How the inbox stands: for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboxState {
    /// Deliveries by state: `received`, `applied`, `ignored`, `failed`.
    pub counts: BTreeMap<String, u64>,
    /// When the oldest that waits came in.
    pub oldest_waiting: Option<DateTime<Utc>>,
}

impl Database {
    /// Stores one delivery.
    pub async fn insert_delivery(&self, delivery: NewDelivery) -> Result<Inserted, StoreError> {
        Ok(self.insert_deliveries(vec![delivery]).await?.pop().unwrap_or(Inserted::Duplicate))
    }

    /// Stores deliveries in one transaction, so that those that came together share one flush to disk; answers in order.
    pub async fn insert_deliveries(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Inserted>, StoreError> {
        let transaction = self.begin().await?;
        let mut inserted = Vec::with_capacity(deliveries.len());
        let mut heard: BTreeMap<String, i64> = BTreeMap::new();
        for delivery in deliveries {
            let received_at = delivery.received_at.timestamp_micros();
            let latest = heard.entry(delivery.integration.as_str().to_owned()).or_insert(received_at);
            *latest = Ord::max(received_at, *latest);
            let row = self.row_of(delivery)?;
            let id = row.id.clone().take().unwrap_or_default();
            let keep =
                OnConflict::columns([delivery::Column::Endpoint, delivery::Column::DedupeKey]).do_nothing().to_owned();
            let written = delivery::Entity::insert(row).on_conflict(keep).exec_without_returning(&transaction).await?;
            inserted.push(if written > 0 { Inserted::New(id) } else { Inserted::Duplicate });
        }
        for (id, at) in heard {
            note_heard(&transaction, &id, at).await?;
        }
        transaction.commit().await?;
        Ok(inserted)
    }

    fn row_of(&self, new: NewDelivery) -> Result<delivery::ActiveModel, StoreError> {
        let dedupe_key = match &new.verified.delivery_id {
            Some(id) => format!("id:{}", index_text(id)),
            None => format!("body:{}", blake3::hash(&new.verified.document).to_hex()),
        };
        let headers: Vec<(&str, &str)> =
            new.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let headers = serde_json::to_string(&headers)
            .map_err(|source| StoreError::Corrupt { what: "headers of a delivery", source })?;
        Ok(delivery::ActiveModel {
            id: Set(self.new_id()?),
            endpoint: Set(new.endpoint),
            tenant: Set(new.tenant.as_str().to_owned()),
            integration: Set(new.integration.as_str().to_owned()),
            provider: Set(new.provider),
            dedupe_key: Set(dedupe_key),
            event: Set(clean(&new.verified.event)),
            headers: Set(headers),
            body: Set(new.verified.document.to_vec()),
            received_at: Set(new.received_at.timestamp_micros()),
            state: Set("received".to_owned()),
            attempts: Set(0),
            due_at: Set(new.received_at.timestamp_micros()),
            error: Set(None),
            position: Set(None),
            settled_at: Set(None),
        })
    }

    /// The deliveries that are due, in order of arrival.
    pub async fn next_deliveries(&self, limit: u64) -> Result<Vec<WaitingDelivery>, StoreError> {
        let rows = delivery::Entity::find()
            .filter(delivery::Column::State.eq("received"))
            .filter(delivery::Column::DueAt.lte(self.now().timestamp_micros()))
            .order_by_asc(delivery::Column::Id)
            .limit(limit)
            .all(&self.0.reader)
            .await?;
        rows.into_iter().map(waiting_of).collect()
    }

    /// The delivery is knowingly not used.
    pub async fn mark_ignored(&self, id: &str, why: &str) -> Result<(), StoreError> {
        self.settle(id, "ignored", why).await
    }

    /// The delivery cannot be applied: given up.
    pub async fn mark_failed(&self, id: &str, error: &str) -> Result<(), StoreError> {
        self.settle(id, "failed", error).await
    }

    async fn settle(&self, id: &str, state: &str, error: &str) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        delivery::Entity::update_many()
            .col_expr(delivery::Column::State, Expr::value(state))
            .col_expr(delivery::Column::Error, Expr::value(clean(error)))
            .col_expr(delivery::Column::SettledAt, Expr::value(self.now().timestamp_micros()))
            .filter(delivery::Column::Id.eq(id))
            .filter(delivery::Column::State.eq("received"))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The delivery could not be applied this time: again at `due_at`.
    pub async fn retry_delivery(&self, id: &str, error: &str, due_at: DateTime<Utc>) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        delivery::Entity::update_many()
            .col_expr(delivery::Column::Attempts, Expr::col(delivery::Column::Attempts).add(1))
            .col_expr(delivery::Column::Error, Expr::value(clean(error)))
            .col_expr(delivery::Column::DueAt, Expr::value(due_at.timestamp_micros()))
            .filter(delivery::Column::Id.eq(id))
            .filter(delivery::Column::State.eq("received"))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How the inbox stands.
    pub async fn inbox_state(&self) -> Result<InboxState, StoreError> {
        let rows: Vec<(String, i64)> = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::State)
            .column_as(delivery::Column::Id.count(), "count")
            .group_by(delivery::Column::State)
            .into_tuple()
            .all(&self.0.reader)
            .await?;
        let oldest = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::ReceivedAt)
            .filter(delivery::Column::State.eq("received"))
            .order_by_asc(delivery::Column::Id)
            .into_tuple::<i64>()
            .one(&self.0.reader)
            .await?;
        let counts = rows.into_iter().map(|(state, count)| (state, u64::try_from(count).unwrap_or(0))).collect();
        Ok(InboxState { counts, oldest_waiting: oldest.map(from_micros) })
    }

    /// Removes settled deliveries that came in before `before`; says how many. From then on they are no longer recognised.
    pub async fn prune_deliveries(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let transaction = self.begin().await?;
        let removed = delivery::Entity::delete_many()
            .filter(delivery::Column::State.ne("received"))
            .filter(delivery::Column::ReceivedAt.lt(before.timestamp_micros()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(removed.rows_affected)
    }
}

async fn note_heard(connection: &impl ConnectionTrait, integration: &str, at: i64) -> Result<(), StoreError> {
    integration::Entity::update_many()
        .col_expr(integration::Column::LastDeliveryAt, Expr::value(at))
        .filter(integration::Column::Id.eq(integration))
        .exec(connection)
        .await?;
    Ok(())
}

fn waiting_of(row: delivery::Model) -> Result<WaitingDelivery, StoreError> {
    let pairs: Vec<(String, String)> = serde_json::from_str(&row.headers)
        .map_err(|source| StoreError::Corrupt { what: "headers of a delivery", source })?;
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    Ok(WaitingDelivery {
        id: row.id,
        tenant: row.tenant.into(),
        integration: row.integration.into(),
        provider: row.provider,
        attempts: row.attempts,
        delivery: StoredDelivery {
            event: row.event,
            headers,
            document: Bytes::from(row.body),
            received_at: from_micros(row.received_at),
        },
    })
}
