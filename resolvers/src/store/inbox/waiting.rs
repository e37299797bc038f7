//! The deliveries that wait in the lanes of a worker, in order, and how many wait in all.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use mullion_entities::{delivery, delivery_body};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement};

use super::{InboxState, PARKED, RECEIVED, WaitingDelivery, waiting_of};
use crate::store::{Database, StoreError, delivery_state::waits, time::from_micros};

/// Bodies that are read in one go, in bytes: the first that waits is read whatever its size.
const MAX_BYTES: i64 = 8_000_000;
/// Deliveries of one lane that are looked at in one go: a busy lane does not keep the others waiting.
const OF_A_LANE: u64 = 128;

impl Database {
    /// The deliveries of these lanes that are due, in order of arrival. One that waits for its next try holds back those behind it
    /// with the same ordering key, and no others.
    pub async fn next_deliveries(&self, lanes: &[i64], limit: usize) -> Result<Vec<WaitingDelivery>, StoreError> {
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.now().timestamp_micros();
        let due = Statement::from_sql_and_values(self.0.backend, due_in(lanes), [now.into()]);
        let mut found = Vec::new();
        for row in self.0.reader.query_all_raw(due).await? {
            let (id, size): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            found.push((id, size));
        }
        found.sort_unstable();
        let mut bytes = 0;
        let fits = found.into_iter().take(limit).enumerate().map_while(|(index, (id, size))| {
            bytes += size;
            (index == 0 || bytes <= MAX_BYTES).then_some(id)
        });
        let ids: Vec<String> = fits.collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = delivery::Entity::find()
            .filter(delivery::Column::Id.is_in(ids))
            .filter(waits())
            .order_by_asc(delivery::Column::Id)
            .all(&self.0.reader)
            .await?;
        let ids = rows.iter().map(|row| row.id.as_str());
        let bodies =
            delivery_body::Entity::find().filter(delivery_body::Column::Id.is_in(ids)).all(&self.0.reader).await?;
        let mut bodies: HashMap<String, Vec<u8>> = bodies.into_iter().map(|row| (row.id, row.body)).collect();
        let waiting = rows.into_iter().filter_map(|row| Some((bodies.remove(&row.id)?, row)));
        waiting.map(|(body, row)| waiting_of(row, &body)).collect()
    }

    /// How the inbox stands. Counts what waits and what is parked: there are indexes of these.
    pub async fn inbox_state(&self) -> Result<InboxState, StoreError> {
        let mut counts = BTreeMap::new();
        for state in [RECEIVED, PARKED] {
            let count = format!("SELECT count(*) FROM delivery WHERE state = '{state}'");
            let row = self.0.reader.query_one_raw(Statement::from_string(self.0.backend, count)).await?;
            let count: i64 = row.ok_or(StoreError::NotFound)?.try_get_by_index(0)?;
            counts.insert(state.to_owned(), u64::try_from(count).unwrap_or(0));
        }
        let oldest = format!(
            "SELECT received_at FROM delivery WHERE id = (SELECT min(id) FROM delivery WHERE state = '{RECEIVED}')"
        );
        let oldest = self.0.reader.query_one_raw(Statement::from_string(self.0.backend, oldest)).await?;
        let oldest = oldest.map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
        Ok(InboxState { counts, oldest_waiting: oldest.map(from_micros) })
    }
}

/// The first of each lane, each found by the index of what waits: one look-up a lane however much lies in the table. Numbers are
/// ours, and written out so that a partial index can serve.
fn due_in(lanes: &[i64]) -> String {
    let mut sql = String::with_capacity(lanes.len() * 400);
    for (index, lane) in lanes.iter().enumerate() {
        let union = if index == 0 { "" } else { " UNION ALL " };
        // Writing to a String cannot fail.
        let _ = write!(
            sql,
            "{union}SELECT * FROM (SELECT d.id, d.size FROM delivery d \
             WHERE d.state = '{RECEIVED}' AND d.lane = {lane} AND d.due_at <= $1 \
             AND NOT EXISTS (SELECT 1 FROM delivery r WHERE r.state = '{RECEIVED}' AND r.attempts > 0 \
             AND r.lane = {lane} AND r.due_at > $1 AND r.ordering = d.ordering AND r.id < d.id) \
             ORDER BY d.id LIMIT {OF_A_LANE}) AS l{lane}"
        );
    }
    sql
}
