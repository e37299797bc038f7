//! SQLite, driven by the thread that asks: the second way to write on SQLite, beside sqlx's connection.
//!
//! There are two ways because sqlx gives a connection a thread of its own, and each statement is a step to it and back. In the
//! transaction that stores and applies a group of deliveries, with its twenty statements, these steps take longer than SQLite does
//! when the processors are busy, so that transaction runs here. All other writes run through sqlx: they have few statements, and
//! their tasks must not wait for a disk. Both ways run the same code over a [`Session`], and both hold the one turn to write. This
//! one waits for nothing else, and runs on threads that may block (`docs/adr/0020-sqlite-without-a-thread-between.md`).

use std::{path::PathBuf, time::Duration};

use parking_lot::Mutex;
use rusqlite::{
    CachedStatement, Connection, ErrorCode, OpenFlags, Row,
    types::{ToSql, ToSqlOutput, Type, ValueRef},
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, DbBackend, DbErr, EntityTrait, Iterable, QueryTrait, RuntimeErr, Select,
    Statement, TryIntoModel, Value,
};

use super::session::Session;
use crate::error_chain::chain;

/// The settings of every connection to SQLite, also of those that sqlx opens: a commit is on disk, and references hold.
pub(super) const PRAGMAS: [(&str, &str); 2] = [("synchronous", "FULL"), ("foreign_keys", "ON")];
/// KiB of pages that are kept: indexes of a few hundred thousand rows, which each delivery touches anywhere.
const CACHE: u32 = 16_384;
/// Statements that stay prepared.
const PREPARED: usize = 256;
/// Values of a statement that does not: it is large, and one of many sizes.
const WIDE: usize = 1_000;

/// One connection, opened when it is first used. The caller that begins a transaction must have this process's turn to write.
#[derive(Debug)]
pub(super) struct Direct {
    /// SQLite's file.
    file: PathBuf,
    /// How long to wait for other processes' locks.
    busy_timeout: Duration,
    connection: Mutex<Option<Connection>>,
}

impl Direct {
    pub(super) fn new(file: PathBuf, busy_timeout: Duration) -> Self {
        Self { file, busy_timeout, connection: Mutex::new(None) }
    }

    /// Begins to write.
    pub(super) fn begin(&self) -> Result<DirectTransaction<'_>, DbErr> {
        let mut kept = self.connection.lock();
        let connection = match &mut *kept {
            Some(known) => known,
            empty => empty.insert(self.open().map_err(|error| DbErr::Conn(told(&error)))?),
        };
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            // One that is broken is not asked again.
            kept.take_if(|_| error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy));
            return Err(DbErr::Exec(told(&error)));
        }
        Ok(DirectTransaction(&self.connection))
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(self.busy_timeout)?;
        for (name, value) in PRAGMAS {
            connection.pragma_update(None, name, value)?;
        }
        // In KiB, by the sign.
        connection.pragma_update(None, "cache_size", format!("-{CACHE}"))?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        Ok(connection)
    }

    /// Closes it, when nobody can have the turn to write any more.
    pub(super) fn close(&self) {
        self.connection.lock().take();
    }
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
        run(connection.as_ref().ok_or_else(closed)?).map_err(|error| DbErr::Exec(told(&error)))
    }

    fn read<T>(
        &self,
        statement: &Statement,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, DbErr> {
        self.with(|connection| {
            run(connection, statement, |prepared| {
                let mut rows = prepared.raw_query();
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(each(row)?);
                }
                Ok(found)
            })
        })
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
            tracing::warn!(error = %chain(&error), "a transaction could not be undone");
        }
    }
}

/// Nothing of it waits: what is asked for is there when the call returns.
impl Session for DirectTransaction<'_> {
    fn backend(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    async fn run(&self, statement: Statement) -> Result<(), DbErr> {
        self.with(|connection| run(connection, &statement, |prepared| prepared.raw_execute().map(drop)))
    }

    async fn all<E>(&self, chosen: Select<E>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::ActiveModel: TryIntoModel<E::Model>,
    {
        // In the order in which they are chosen.
        let columns = E::Column::iter().map(|column| Ok((column, Kind::of(column.def().get_column_type())?)));
        let columns: Vec<(E::Column, Kind)> = columns.collect::<Result<_, DbErr>>()?;
        self.read(&chosen.build(DbBackend::Sqlite), |row| {
            let mut model = <E::ActiveModel as ActiveModelTrait>::default();
            for (at, (column, kind)) in columns.iter().enumerate() {
                model.try_set(*column, kind.value(row.get_ref(at)?)?).map_err(unfit)?;
            }
            model.try_into_model().map_err(unfit)
        })
    }

    async fn texts(&self, statement: Statement) -> Result<Vec<Option<String>>, DbErr> {
        self.read(&statement, |row| row.get(0))
    }

    async fn numbers(&self, statement: Statement) -> Result<Vec<i64>, DbErr> {
        self.read(&statement, |row| row.get(0))
    }
}

/// Runs a statement with its values: each `?` is the next one, `$3` the third.
fn run<T>(
    connection: &Connection,
    statement: &Statement,
    run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let values = statement.values.as_ref().map_or(&[][..], |values| &values.0);
    let mut next = 0..;
    for place in 1..=prepared.parameter_count() {
        let at = match prepared.parameter_name(place) {
            None => next.next(),
            Some(name) => name.strip_prefix('$').and_then(|name| name.parse::<usize>().ok()?.checked_sub(1)),
        };
        let value = at.and_then(|at| values.get(at));
        let value = value.ok_or(rusqlite::Error::InvalidParameterCount(place, values.len()))?;
        prepared.raw_bind_parameter(place, Bound(value))?;
    }
    let done = run(&mut prepared);
    if values.len() > WIDE {
        prepared.discard();
    }
    done
}

/// A value on its way into SQLite.
struct Bound<'v>(&'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let unfit = || rusqlite::Error::ToSqlConversionFailure("no column has values like this one".into());
        let bound = match self.0 {
            Value::Bool(Some(flag)) => ValueRef::Integer((*flag).into()),
            Value::Int(Some(number)) => ValueRef::Integer((*number).into()),
            Value::BigInt(Some(number)) => ValueRef::Integer(*number),
            // A limit.
            Value::BigUnsigned(Some(number)) => ValueRef::Integer(i64::try_from(*number).map_err(|_| unfit())?),
            Value::String(Some(text)) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(Some(bytes)) => ValueRef::Blob(bytes),
            Value::Bool(None) | Value::Int(None) | Value::BigInt(None) | Value::String(None) | Value::Bytes(None) => {
                ValueRef::Null
            }
            _ => return Err(unfit()),
        };
        Ok(ToSqlOutput::Borrowed(bound))
    }
}

/// The type of a column: SQLite itself keeps flags as numbers, and does not give the type of a NULL.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Flag,
    Number,
    Text,
    Bytes,
}

impl Kind {
    /// The type of a column of the store's tables that is declared like this.
    fn of(declared: &ColumnType) -> Result<Self, DbErr> {
        match declared {
            ColumnType::Boolean => Ok(Self::Flag),
            ColumnType::BigInteger => Ok(Self::Number),
            ColumnType::String(_) | ColumnType::Text => Ok(Self::Text),
            ColumnType::Blob | ColumnType::VarBinary(_) => Ok(Self::Bytes),
            other => Err(DbErr::Type(format!("no column is read as {other:?} here"))),
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

/// A row that is not what its table says.
fn unfit(error: DbErr) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, error.into())
}

/// SQLite's text for an error, with its number: several errors have the same text.
fn told(error: &rusqlite::Error) -> RuntimeErr {
    RuntimeErr::Internal(match error.sqlite_error() {
        Some(of) => format!("(code: {}) {error}", of.extended_code),
        None => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use mullion_entities::{delivery_body, list_window, setting};
    use sea_orm::{
        ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel, QueryOrder, QuerySelect,
        QueryTrait, Statement,
    };

    use super::Direct;
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
            for (values, why) in [(Vec::new(), "wrong number"), (vec![1.5.into()], "no column has values")] {
                let refused = session.numbers(ask("SELECT ?", values)).await.unwrap_err().to_string();
                assert!(refused.to_lowercase().contains(why), "{refused}");
            }
            let limited = list_window::Entity::find().order_by_desc(list_window::Column::Filter).limit(1);
            assert_eq!(session.all(limited).await?.len(), 1);
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
                ("an error", Err(StoreError::Conflict)) | ("a panic", Err(StoreError::Database(DbErr::Custom(_))))
            ));
            assert_eq!(bench.db.setting("mark").await.unwrap(), None);
            bench.db.set_setting("other", turn).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_last_that_is_closed_writes_the_log_back() {
        let bench = Bench::sqlite().await;
        let write = || {
            let direct = bench.db.0.direct.clone().unwrap();
            bench.db.directly(direct, async |_, session| set(session, "mark", "").await)
        };
        write().await.unwrap();
        let log = bench.file.as_ref().unwrap().with_extension("db-wal");
        assert!(log.exists());
        bench.db.close().await.unwrap();
        assert!(!log.exists());
        assert!(matches!(write().await, Err(StoreError::Database(DbErr::ConnectionAcquire(_)))));
        assert!(!log.exists());
    }

    #[tokio::test]
    async fn a_full_disk_leaves_nothing_open() {
        let bench = Bench::sqlite().await;
        let (large, small) = ("x".repeat(1 << 20), "INSERT INTO setting (name, value) VALUES ('n', NULL)");
        let full = "PRAGMA max_page_count = 1";
        bench.db.migration_connection().execute_unprepared(full).await.unwrap();
        assert!(bench.db.set_setting("large", &large).await.is_err(), "there is no room");
        assert!(bench.db.execute(small.to_owned(), []).await.is_err(), "an error that undoes no transaction");
        bench.db.set_setting("then", "").await.unwrap();
        assert!(bench.db.setting("then").await.unwrap().is_some(), "others see it");
        let direct = bench.db.0.direct.clone().unwrap();
        let filled = bench.db.directly(direct.clone(), async move |_, session| {
            session.numbers(Statement::from_string(DbBackend::Sqlite, full)).await?;
            set(session, "large", &large).await
        });
        assert!(filled.await.is_err());
        bench.db.directly(direct, async |_, session| set(session, "at last", "").await).await.unwrap();
        bench.db.set_setting("others", "").await.unwrap();
        assert!(bench.db.setting("at last").await.unwrap().is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_writes_either_way_waits_for_the_other() {
        let bench = Arc::new(Bench::sqlite().await);
        // It does not wait for locks: whoever has the turn finds none.
        let direct = Arc::new(Direct::new(bench.file.clone().unwrap(), Duration::ZERO));
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (bench, direct) = (Arc::clone(&bench), Arc::clone(&direct));
            writers.spawn(async move {
                let name = format!("s{number}");
                if number % 2 == 0 {
                    return bench.db.set_setting(&name, "").await;
                }
                bench.db.directly(direct, async move |_, session| set(session, &name, "").await).await
            });
        }
        while let Some(written) = writers.join_next().await {
            written.unwrap().unwrap();
        }
        assert_eq!(setting::Entity::find().all(&bench.db.0.reader).await.unwrap().len(), 100);
    }
}
