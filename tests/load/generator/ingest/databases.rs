//! What the databases take of their own: the same bodies in the same groups, committed by a loop that does nothing else. A row has
//! an id, a name that no other has, and the body: less cannot be kept of a delivery that shall not be taken twice.

use std::time::{Duration, Instant};

use sea_orm::sqlx::{
    Connection as _, Executor as _, PgConnection, Postgres, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tempfile::TempDir;

use super::deliveries::Mill;
use crate::figures::{long, real};

/// Rows a second in SQLite, opened as Mullion opens it.
pub(super) async fn sqlite(mill: &Mill, group: usize, window: Duration) -> anyhow::Result<f64> {
    let folder = TempDir::with_prefix("mullion-load-")?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("bare.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    connection
        .execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BLOB NOT NULL)")
        .await?;
    let (mut rows, mut spent) = (0, Duration::ZERO);
    while spent < window / 3 {
        let deliveries = deliveries(mill, rows, group)?;
        let begin = Instant::now();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO bare (name, body) ");
        insert.push_values(deliveries, |mut row, (name, body)| {
            row.push_bind(name).push_bind(body);
        });
        insert.build().execute(&mut *transaction).await?;
        transaction.commit().await?;
        spent += begin.elapsed();
        rows += group;
    }
    Ok(real(long(rows)) / spent.as_secs_f64())
}

/// Rows a second in a PostgreSQL database: one multi-row insert a commit.
pub(super) async fn postgres(database: &str, mill: &Mill, group: usize, window: Duration) -> anyhow::Result<f64> {
    let mut connection = PgConnection::connect(database).await?;
    connection
        .execute("CREATE TABLE bare (id BIGSERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BYTEA NOT NULL)")
        .await?;
    let (mut rows, mut spent) = (0, Duration::ZERO);
    while spent < window / 3 {
        let deliveries = deliveries(mill, rows, group)?;
        let begin = Instant::now();
        let mut insert = QueryBuilder::<Postgres>::new("INSERT INTO bare (name, body) ");
        insert.push_values(deliveries, |mut row, (name, body)| {
            row.push_bind(name).push_bind(body);
        });
        insert.build().execute(&mut connection).await?;
        spent += begin.elapsed();
        rows += group;
    }
    connection.execute("DROP TABLE bare").await?;
    Ok(real(long(rows)) / spent.as_secs_f64())
}

/// A group's names and bodies.
fn deliveries(mill: &Mill, made: usize, group: usize) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let one = |number: usize| Ok((format!("delivery {number}"), mill.next()?.1.body.to_vec()));
    (made..made + group).map(one).collect()
}
