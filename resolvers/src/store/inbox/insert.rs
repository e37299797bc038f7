//! Stores deliveries, those that came together in one transaction: they share one flush to disk.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use mullion_entities::integration;
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryTrait, Statement,
    sea_query::{Expr, ExprTrait},
};

use super::{
    DeliverySource, Inserted,
    row::{COLUMNS, DeliveryRow},
};
use crate::store::{Database, StoreError, session::Session, setting::set};

/// An integration's `last_delivery_at` is written this often at most, in microseconds: it is about minutes, and each write costs.
const HEARD_EVERY: i64 = 1_000_000;
/// Rows in one statement. PostgreSQL counts parameters in 16 bits, and takes as well as none for one more row; on SQLite, where a
/// statement is a function call, few sizes are better: each is prepared once.
const ROWS_POSTGRES: &[usize] = &[1000];
const ROWS_SQLITE: &[usize] = &[32, 16, 8, 4, 2, 1];

impl Database {
    /// Stores deliveries in one transaction; answers in order. If two have the same key, the first is new.
    pub async fn insert_rows(&self, rows: Vec<DeliveryRow>) -> Result<Vec<Inserted>, StoreError> {
        let named: Result<Vec<_>, StoreError> = rows.into_iter().map(|row| Ok((self.new_id()?, row))).collect();
        self.insert_named(named?, None).await
    }

    /// The same of deliveries that have ids, with a setting that is written in the same transaction.
    pub async fn insert_named(
        &self,
        rows: Vec<(String, DeliveryRow)>,
        setting: Option<(&str, &str)>,
    ) -> Result<Vec<Inserted>, StoreError> {
        let ids: Vec<String> = rows.iter().map(|(id, _)| id.clone()).collect();
        let transaction = self.begin().await?;
        let heard = self.note_all_heard(&transaction, &rows).await?;
        let stored = insert_all(&transaction, rows).await?;
        if let Some((name, value)) = setting {
            set(&transaction, name, value).await?;
        }
        transaction.commit().await?;
        self.heard(heard);
        let answer = |id: String| if stored.contains(&id) { Inserted::New(id) } else { Inserted::Duplicate };
        Ok(ids.into_iter().map(answer).collect())
    }

    /// Notes of the integrations when they were last heard; what is to be remembered of it once that is committed.
    pub(super) async fn note_all_heard(
        &self,
        connection: &impl Session,
        rows: &[(String, DeliveryRow)],
    ) -> Result<BTreeMap<String, i64>, StoreError> {
        let mut heard: BTreeMap<String, i64> = BTreeMap::new();
        for (_, row) in rows.iter().filter(|(_, row)| row.source != DeliverySource::Log) {
            let latest = heard.entry(row.integration().to_owned()).or_insert(row.received_at);
            *latest = Ord::max(row.received_at, *latest);
        }
        self.keep_unheard(&mut heard);
        for (id, at) in &heard {
            note_heard(connection, id, *at).await?;
        }
        Ok(heard)
    }

    /// Remembers what was noted.
    pub(super) fn heard(&self, heard: BTreeMap<String, i64>) {
        self.0.heard.lock().extend(heard);
    }

    /// Leaves those that were not noted for a while.
    fn keep_unheard(&self, heard: &mut BTreeMap<String, i64>) {
        let noted = self.0.heard.lock();
        heard.retain(|id, at| noted.get(id).is_none_or(|noted| at.saturating_sub(*noted) >= HEARD_EVERY));
    }
}

/// Inserts deliveries that wait; the ids of those that were not there before.
pub(super) async fn insert_all(
    connection: &impl Session,
    rows: Vec<(String, DeliveryRow)>,
) -> Result<HashSet<String>, StoreError> {
    let mut stored = HashSet::with_capacity(rows.len());
    let sizes = if connection.backend() == DbBackend::Postgres { ROWS_POSTGRES } else { ROWS_SQLITE };
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let size = sizes.iter().copied().find(|size| *size <= rows.len()).unwrap_or(rows.len());
        insert(connection, rows.by_ref().take(size).collect(), &mut stored).await?;
    }
    Ok(stored)
}

async fn insert(
    connection: &impl Session,
    rows: Vec<(String, DeliveryRow)>,
    stored: &mut HashSet<String>,
) -> Result<(), StoreError> {
    let backend = connection.backend();
    let count = rows.len();
    let mut bodies = Vec::with_capacity(count);
    let mut values = Vec::with_capacity(count * COLUMNS.len());
    for (id, row) in rows {
        let (row, body) = row.into_values(&id);
        values.extend(row);
        bodies.push((id, body));
    }
    // A delivery that is read from the log a second time conflicts by its id as well.
    let insert = format!(
        "INSERT INTO delivery ({}) VALUES {} ON CONFLICT DO NOTHING RETURNING id",
        COLUMNS.join(", "),
        places(backend, count, COLUMNS.len()),
    );
    let inserted = connection.texts(Statement::from_sql_and_values(backend, insert, values)).await?;
    stored.extend(inserted.into_iter().flatten());
    bodies.retain(|(id, _)| stored.contains(id));
    if !bodies.is_empty() {
        let insert = format!("INSERT INTO delivery_body (id, body) VALUES {}", places(backend, bodies.len(), 2));
        let values = bodies.into_iter().flat_map(|(id, body)| [id.into(), body.into()]);
        connection.run(Statement::from_sql_and_values(backend, insert, values)).await?;
    }
    Ok(())
}

/// `($1, $2), ($3, $4), …`; `(?, ?), (?, ?), …` on SQLite, which takes the others for names and looks each up among all.
pub(super) fn places(backend: DbBackend, rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for place in 0..rows * columns {
        text.push_str(match (place, place % columns) {
            (0, _) => "(",
            (_, 0) => "), (",
            _ => ", ",
        });
        // Writing to a String cannot fail.
        let _ = match backend {
            DbBackend::Sqlite => write!(text, "?"),
            _ => write!(text, "${}", place + 1),
        };
    }
    text.push(')');
    text
}

async fn note_heard(connection: &impl Session, integration: &str, at: i64) -> Result<(), StoreError> {
    let earlier = integration::Column::LastDeliveryAt.is_null().or(integration::Column::LastDeliveryAt.lt(at));
    let note = integration::Entity::update_many()
        .col_expr(integration::Column::LastDeliveryAt, Expr::value(at))
        .filter(integration::Column::Id.eq(integration))
        .filter(earlier)
        .build(connection.backend());
    Ok(connection.run(note).await?)
}
