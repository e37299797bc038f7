//! SQLite, driven by the thread that asks. Elsewhere a connection has a thread of its own, and each statement is a step there and
//! back: where one transaction has twenty of them and the processors are busy, these steps take longer than SQLite does. Nothing
//! here waits for anybody else, so it is used on threads that may block.

use std::{path::PathBuf, time::Duration};

use parking_lot::Mutex;
use rusqlite::{
    CachedStatement, Connection, OpenFlags, Row,
    types::{ToSql, ToSqlOutput, ValueRef},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, DbBackend, DbErr, EntityTrait, Iterable, QueryTrait, RuntimeErr, Select,
    Statement, TryIntoModel, Value,
};

use super::session::Session;

/// Statements that stay prepared.
const PREPARED: usize = 256;

/// How the connection is opened.
#[derive(Debug)]
pub(super) struct DirectOptions {
    /// SQLite's file.
    pub(super) file: PathBuf,
    /// How long to wait for other processes' locks.
    pub(super) busy_timeout: Duration,
    /// KiB of pages that are kept.
    pub(super) cache: u32,
}

/// One connection, opened when it is first used. Whoever begins a transaction must have this process's turn to write.
#[derive(Debug)]
pub(super) struct Direct {
    options: DirectOptions,
    connection: Mutex<Option<Connection>>,
}

impl Direct {
    pub(super) fn new(options: DirectOptions) -> Self {
        Self { options, connection: Mutex::new(None) }
    }

    /// Begins to write.
    pub(super) fn begin(&self) -> Result<DirectTransaction<'_>, DbErr> {
        let mut connection = self.connection.lock();
        let connection = match &mut *connection {
            Some(known) => known,
            empty => empty.insert(open(&self.options).map_err(|error| DbErr::Conn(internal(&error)))?),
        };
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| failed(&error))?;
        Ok(DirectTransaction(&self.connection))
    }

    /// Closes it.
    pub(super) fn close(&self) {
        self.connection.lock().take();
    }
}

fn open(options: &DirectOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.file, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // In KiB, by the sign.
    connection.pragma_update(None, "cache_size", format!("-{}", options.cache))?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

/// A transaction; undone if it is dropped before it is committed.
pub(super) struct DirectTransaction<'d>(&'d Mutex<Option<Connection>>);

impl DirectTransaction<'_> {
    /// Makes it true, and durable.
    pub(super) fn commit(self) -> Result<(), DbErr> {
        self.with(|connection| connection.execute_batch("COMMIT"))
    }

    fn with<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DbErr> {
        let connection = self.0.lock();
        let closed = || DbErr::Conn(RuntimeErr::Internal("the database is closed".to_owned()));
        run(connection.as_ref().ok_or_else(closed)?).map_err(|error| failed(&error))
    }

    fn read<T>(
        &self,
        statement: &Statement,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, DbErr> {
        self.with(|connection| {
            let mut prepared = bound(connection, statement)?;
            let mut rows = prepared.raw_query();
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(each(row)?);
            }
            Ok(found)
        })
    }

    fn models<E>(&self, statement: &Statement) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::ActiveModel: TryIntoModel<E::Model>,
    {
        // In the order in which they are chosen.
        let columns: Vec<(E::Column, Kind)> =
            E::Column::iter().map(|column| (column, Kind::of(column.def().get_column_type()))).collect();
        let rows = self.read(statement, |row| {
            let kept = columns.iter().enumerate();
            kept.map(|(at, (column, kind))| Ok((*column, kind.value(row.get_ref(at)?)?))).collect::<Result<Vec<_>, _>>()
        })?;
        let model = |row: Vec<(E::Column, Value)>| {
            let mut model = <E::ActiveModel as ActiveModelTrait>::default();
            for (column, value) in row {
                model.try_set(column, value)?;
            }
            model.try_into_model()
        };
        rows.into_iter().map(model).collect()
    }
}

impl Drop for DirectTransaction<'_> {
    fn drop(&mut self) {
        let undone = self.with(
            |connection| {
                if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
            },
        );
        if let Err(error) = undone {
            // SQLite undoes it with the connection at the latest.
            self.0.lock().take();
            tracing::warn!(error = &error as &dyn std::error::Error, "a transaction could not be undone");
        }
    }
}

/// Nothing of it waits: what is asked for is there when the call returns.
impl Session for DirectTransaction<'_> {
    fn backend(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    async fn run(&self, statement: Statement) -> Result<(), DbErr> {
        self.with(|connection| bound(connection, &statement)?.raw_execute().map(drop))
    }

    async fn all<E>(&self, chosen: Select<E>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::ActiveModel: TryIntoModel<E::Model>,
    {
        self.models::<E>(&chosen.build(DbBackend::Sqlite))
    }

    async fn texts(&self, statement: Statement) -> Result<Vec<Option<String>>, DbErr> {
        self.read(&statement, |row| row.get(0))
    }

    async fn numbers(&self, statement: Statement) -> Result<Vec<i64>, DbErr> {
        self.read(&statement, |row| row.get(0))
    }
}

/// The statement, with its values: each `?` the next one, `$3` the third.
fn bound<'c>(connection: &'c Connection, statement: &Statement) -> rusqlite::Result<CachedStatement<'c>> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let values = statement.values.as_ref().map_or(&[][..], |values| &values.0);
    for place in 1..=prepared.parameter_count() {
        let named = prepared.parameter_name(place).and_then(|name| name.strip_prefix('$')?.parse().ok());
        let value = values
            .get(named.unwrap_or(place) - 1)
            .ok_or(rusqlite::Error::InvalidParameterCount(place, values.len()))?;
        prepared.raw_bind_parameter(place, Bound(value))?;
    }
    Ok(prepared)
}

/// A value on its way into SQLite.
struct Bound<'v>(&'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bound = match self.0 {
            Value::Bool(Some(flag)) => ValueRef::Integer((*flag).into()),
            Value::Int(Some(number)) => ValueRef::Integer((*number).into()),
            Value::BigInt(Some(number)) => ValueRef::Integer(*number),
            Value::String(Some(text)) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(Some(bytes)) => ValueRef::Blob(bytes),
            Value::Bool(None) | Value::Int(None) | Value::BigInt(None) | Value::String(None) | Value::Bytes(None) => {
                ValueRef::Null
            }
            _ => return Err(rusqlite::Error::ToSqlConversionFailure("no column has values of this type".into())),
        };
        Ok(ToSqlOutput::Borrowed(bound))
    }
}

/// What a column holds: SQLite itself keeps flags as numbers, and does not say what a NULL is one of.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Flag,
    Number,
    Text,
    Bytes,
}

impl Kind {
    fn of(declared: &ColumnType) -> Self {
        match declared {
            ColumnType::Boolean => Self::Flag,
            ColumnType::BigInteger | ColumnType::Integer => Self::Number,
            ColumnType::Blob | ColumnType::Binary(_) | ColumnType::VarBinary(_) => Self::Bytes,
            _ => Self::Text,
        }
    }

    fn value(self, value: ValueRef<'_>) -> rusqlite::Result<Value> {
        Ok(match (self, value) {
            (Self::Flag, ValueRef::Integer(flag)) => Value::Bool(Some(flag != 0)),
            (_, ValueRef::Integer(number)) => Value::BigInt(Some(number)),
            (_, ValueRef::Real(number)) => Value::Double(Some(number)),
            (_, ValueRef::Text(text)) => Value::String(Some(std::str::from_utf8(text)?.into())),
            (_, ValueRef::Blob(bytes)) => Value::Bytes(Some(bytes.into())),
            (Self::Flag, ValueRef::Null) => Value::Bool(None),
            (Self::Number, ValueRef::Null) => Value::BigInt(None),
            (Self::Text, ValueRef::Null) => Value::String(None),
            (Self::Bytes, ValueRef::Null) => Value::Bytes(None),
        })
    }
}

fn failed(error: &rusqlite::Error) -> DbErr {
    DbErr::Exec(internal(error))
}

fn internal(error: &rusqlite::Error) -> RuntimeErr {
    RuntimeErr::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mullion_entities::{delivery_body, list_window, setting};
    use sea_orm::{ActiveValue::Set, EntityTrait, IntoActiveModel, QueryTrait};

    use super::{DbBackend, Statement};
    use crate::store::{StoreError, session::Session, setting::set, tests::bench::Bench};

    fn window(filter: &str, exhausted: bool, total: Option<i64>, next: Option<&str>) -> list_window::Model {
        list_window::Model {
            tenant: "acme".into(),
            integration: "i-acme".into(),
            list: "Repository:1/issues".into(),
            filter: filter.into(),
            next: next.map(str::to_owned),
            boundary: next.map(|next| format!("{next}\u{1F600}")),
            exhausted,
            total,
            fetched_at: i64::MAX,
            stale_at: total.map(|total| -total),
            opaque: None,
        }
    }

    #[tokio::test]
    async fn rows_read_as_they_do_elsewhere() {
        let bench = Bench::sqlite().await;
        let direct = bench.db.0.direct.clone().unwrap();
        let windows = [
            window("", true, None, None),
            window("a", false, Some(7), Some("n'\"\u{0}")),
            window("b", true, Some(0), Some("")),
        ];
        let rows = windows.clone();
        let read = bench.db.directly(direct, async move |_, session| {
            let rows = rows.map(IntoActiveModel::into_active_model);
            session.run(list_window::Entity::insert_many(rows).build(DbBackend::Sqlite)).await?;
            let body = delivery_body::ActiveModel { id: Set("d".into()), body: Set(vec![0, 255]) };
            session.run(delivery_body::Entity::insert(body).build(DbBackend::Sqlite)).await?;
            let bodies = session.all(delivery_body::Entity::find()).await?;
            assert_eq!(bodies.into_iter().map(|row| row.body).collect::<Vec<_>>(), [[0, 255]]);
            let ask =
                |sql: &str, values: Vec<sea_orm::Value>| Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
            assert_eq!(
                session.texts(ask("SELECT $2 UNION ALL SELECT $1", vec!["a".into(), "b".into()])).await?,
                [Some("b".into()), Some("a".into())]
            );
            assert_eq!(session.numbers(ask("PRAGMA synchronous", Vec::new())).await?, [2], "FULL");
            assert_eq!(session.numbers(ask("SELECT ? - ?", vec![7.into(), 3_i64.into()])).await?, [4]);
            assert_eq!(
                session.texts(ask("SELECT next FROM list_window WHERE filter = ?", vec!["".into()])).await?,
                [None]
            );
            assert!(session.run(ask("SELECT ?", Vec::new())).await.is_err(), "a value is missing");
            assert!(session.run(ask("SELECT ?", vec![1.5.into()])).await.is_err(), "no column has such values");
            Ok(session.all(list_window::Entity::find()).await?)
        });
        assert_eq!(read.await.unwrap(), windows);
        assert_eq!(list_window::Entity::find().all(&bench.db.0.reader).await.unwrap(), windows);
    }

    #[tokio::test]
    async fn what_is_not_committed_is_undone() {
        let bench = Bench::sqlite().await;
        for turn in ["an error", "a panic"] {
            let direct = bench.db.0.direct.clone().unwrap();
            let broken: Result<(), _> = bench
                .db
                .directly(direct, async move |_, session| {
                    set(session, "mark", turn).await?;
                    assert_ne!(turn, "a panic", "on purpose");
                    Err(StoreError::Conflict)
                })
                .await;
            assert!(matches!(
                (turn, broken),
                ("an error", Err(StoreError::Conflict)) | ("a panic", Err(StoreError::Log(_)))
            ));
            assert_eq!(bench.db.setting("mark").await.unwrap(), None);
            bench.db.set_setting("other", turn).await.unwrap();
        }
        bench.db.close().await.unwrap();
        let direct = bench.db.0.direct.clone().unwrap();
        assert!(bench.db.directly(direct, async |_, session| set(session, "mark", "").await).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_writes_either_way_waits_for_the_other() {
        let bench = Arc::new(Bench::sqlite().await);
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..100 {
            let bench = Arc::clone(&bench);
            writers.spawn(async move {
                let name = format!("s{number}");
                if number % 2 == 0 {
                    return bench.db.set_setting(&name, "").await;
                }
                let direct = bench.db.0.direct.clone().unwrap();
                bench.db.directly(direct, async move |_, session| set(session, &name, "").await).await
            });
        }
        while let Some(written) = writers.join_next().await {
            written.unwrap().unwrap();
        }
        assert_eq!(setting::Entity::find().all(&bench.db.0.reader).await.unwrap().len(), 100);
    }
}
