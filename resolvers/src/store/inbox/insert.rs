//! Stores deliveries, those that came together in one transaction: they share one flush to disk.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use mullion_entities::{delivery, delivery_body, integration};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryTrait,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::{DeliverySource, Inserted, NewDelivery, RECEIVED, headers_text, is_recovered, ordering_key};
use crate::store::{
    Database, StoreError,
    text::{clean, index_text},
};

/// An integration's `last_delivery_at` is written this often at most, in microseconds: it is about minutes, and each write costs.
const HEARD_EVERY: i64 = 1_000_000;
/// Rows in one statement. PostgreSQL counts parameters in 16 bits, and takes as well as none for one more row; on SQLite, where a
/// statement is a function call, few sizes are better: each is prepared once.
const ROWS_POSTGRES: &[usize] = &[1000];
const ROWS_SQLITE: &[usize] = &[32, 8, 1];

impl Database {
    /// Stores one delivery.
    pub async fn insert_delivery(&self, delivery: NewDelivery) -> Result<Inserted, StoreError> {
        Ok(self.insert_deliveries(vec![delivery]).await?.pop().unwrap_or(Inserted::Duplicate))
    }

    /// Stores deliveries in one transaction; answers in order. Of two with the same key, the first is new.
    pub async fn insert_deliveries(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Inserted>, StoreError> {
        let mut heard: BTreeMap<String, i64> = BTreeMap::new();
        let mut rows = Vec::with_capacity(deliveries.len());
        let mut ids = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            if !is_recovered(&delivery.headers) {
                let received_at = delivery.received_at.timestamp_micros();
                let latest = heard.entry(delivery.integration.as_str().to_owned()).or_insert(received_at);
                *latest = Ord::max(received_at, *latest);
            }
            let id = self.new_id()?;
            rows.push((row_of(id.clone(), &delivery)?, delivery.verified.document));
            ids.push(id);
        }
        self.keep_unheard(&mut heard);
        let transaction = self.begin().await?;
        let mut stored = HashSet::with_capacity(rows.len());
        let sizes = if self.0.backend == DbBackend::Postgres { ROWS_POSTGRES } else { ROWS_SQLITE };
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let size = sizes.iter().copied().find(|size| *size <= rows.len()).unwrap_or(rows.len());
            insert(&transaction, rows.by_ref().take(size).collect(), &mut stored).await?;
        }
        for (id, at) in &heard {
            note_heard(&transaction, id, *at).await?;
        }
        transaction.commit().await?;
        self.0.heard.lock().extend(heard);
        let answer = |id: String| if stored.contains(&id) { Inserted::New(id) } else { Inserted::Duplicate };
        Ok(ids.into_iter().map(answer).collect())
    }

    /// Leaves those that were not noted for a while.
    fn keep_unheard(&self, heard: &mut BTreeMap<String, i64>) {
        let noted = self.0.heard.lock();
        heard.retain(|id, at| noted.get(id).is_none_or(|noted| at.saturating_sub(*noted) >= HEARD_EVERY));
    }
}

async fn insert(
    connection: &impl ConnectionTrait,
    rows: Vec<(delivery::ActiveModel, Bytes)>,
    stored: &mut HashSet<String>,
) -> Result<(), StoreError> {
    let keep = OnConflict::columns([delivery::Column::Endpoint, delivery::Column::DedupeKey]).do_nothing().to_owned();
    let (rows, bodies): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone().take().unwrap_or_default()).collect();
    let mut insert = delivery::Entity::insert_many(rows).on_conflict(keep).into_query();
    insert.returning_col(delivery::Column::Id);
    for row in connection.query_all(&insert).await? {
        stored.insert(row.try_get_by_index(0)?);
    }
    let new = ids.into_iter().zip(bodies).filter(|(id, _)| stored.contains(id));
    let bodies: Vec<_> =
        new.map(|(id, body)| delivery_body::ActiveModel { id: Set(id), body: Set(body.into()) }).collect();
    if !bodies.is_empty() {
        delivery_body::Entity::insert_many(bodies).exec_without_returning(connection).await?;
    }
    Ok(())
}

fn row_of(id: String, new: &NewDelivery) -> Result<delivery::ActiveModel, StoreError> {
    let dedupe_key = match &new.verified.delivery_id {
        Some(id) => format!("id:{}", index_text(id)),
        None => format!("body:{}", blake3::hash(&new.verified.document).to_hex()),
    };
    let (ordering, lane) = ordering_key(&new.integration, new.subject.as_deref());
    Ok(delivery::ActiveModel {
        id: Set(id),
        endpoint: Set(new.endpoint.clone()),
        tenant: Set(new.tenant.as_str().to_owned()),
        integration: Set(new.integration.as_str().to_owned()),
        provider: Set(new.provider.clone()),
        dedupe_key: Set(dedupe_key),
        source: Set(DeliverySource::of(&new.headers).as_str().to_owned()),
        event: Set(clean(&new.verified.event)),
        headers: Set(headers_text(&new.headers)?),
        size: Set(i64::try_from(new.verified.document.len()).unwrap_or(i64::MAX)),
        received_at: Set(new.received_at.timestamp_micros()),
        ordering: Set(ordering),
        lane: Set(lane),
        state: Set(RECEIVED.to_owned()),
        attempts: Set(0),
        // At once, whatever the clock of the process that works it says.
        due_at: Set(0),
        error: Set(None),
        position: Set(None),
        settled_at: Set(None),
    })
}

async fn note_heard(connection: &impl ConnectionTrait, integration: &str, at: i64) -> Result<(), StoreError> {
    let earlier = integration::Column::LastDeliveryAt.is_null().or(integration::Column::LastDeliveryAt.lt(at));
    integration::Entity::update_many()
        .col_expr(integration::Column::LastDeliveryAt, Expr::value(at))
        .filter(integration::Column::Id.eq(integration))
        .filter(earlier)
        .exec(connection)
        .await?;
    Ok(())
}
