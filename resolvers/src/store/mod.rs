//! State on SQLite or PostgreSQL. The only place that runs SQL; one aggregate a file.
//!
//! All writes of a tenant go one after another (SQLite: one has the turn to write; PostgreSQL: an advisory lock of the tenant), and the
//! positions of its stream are taken from its head row right before the commit: whoever reads position 12 has been able to read 11.

pub mod activity;
pub mod api_key;
pub mod apply;
pub mod catch_up;
mod check;
pub mod claim;
pub mod connect;
pub mod dashboard;
mod delivery_state;
mod direct;
mod durability;
pub mod endpoint;
pub mod event_socket;
#[cfg(test)]
pub(crate) mod faults;
pub mod inbox;
pub mod integration;
pub mod lease;
pub mod list;
pub mod merge;
pub mod node;
mod open;
mod own;
pub mod pending;
pub mod persisted_query;
pub mod presence;
pub mod quota;
mod read_turns;
mod reader;
mod release;
pub mod removal;
mod session;
pub mod setting;
pub mod stream;
pub mod tenant;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod time;
mod transaction;
mod unstored;
pub mod widget;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use parking_lot::Mutex;
use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr, sqlx};
use ulid::Ulid;

pub use check::DatabaseFault;
pub use open::OpenOptions;

use crate::clock::Clock;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    reader: reader::Reader,
    /// The reader of what decides who is let in.
    essential: reader::Reader,
    writer: DatabaseConnection,
    backend: DbBackend,
    clock: Arc<dyn Clock>,
    last_id: Mutex<Ulid>,
    /// SQLite's file.
    file: Option<PathBuf>,
    /// A connection to it without a thread of its own.
    direct: Option<Arc<direct::Direct>>,
    /// Whether it can be relied on.
    condition: check::Condition,
    /// When an integration's last delivery was noted, by its id.
    heard: Mutex<HashMap<String, i64>>,
    /// Counts this process's changes of endpoints: what was read before is then out of date.
    endpoint_changes: AtomicU64,
    /// Leases run by the clock that was passed in, on PostgreSQL too.
    own_lease_clock: bool,
    /// Dashboards of a tenant, and widgets of a dashboard.
    limits: (usize, usize),
    /// The name that this process goes by at PostgreSQL.
    process: Arc<str>,
    #[cfg(test)]
    faults: Arc<faults::Faults>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("backend", &self.0.backend).finish_non_exhaustive()
    }
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] DbErr),
    /// A stored value cannot be read.
    #[error("stored {what} cannot be read")]
    Corrupt {
        /// The kind of value.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The inbox's log cannot be read or written.
    #[error("the inbox's log failed")]
    Log(#[from] std::io::Error),
    /// The body of a delivery cannot be unpacked.
    #[error("the stored body of a delivery is damaged")]
    Unpackable,
    /// Something that is needed first could not be read. The cause is in the log already.
    #[error("{what} could not be read")]
    Unread {
        /// The thing.
        what: &'static str,
        /// Whether the database was away.
        is_outage: bool,
    },
    /// The row does not exist, or is another tenant's.
    #[error("not found")]
    NotFound,
    /// The row was changed since the caller read it.
    #[error("it was changed in the meantime")]
    Conflict,
    /// Another worker holds the lane now: what was to be written was not.
    #[error("the lane was taken over by another worker")]
    LeaseLost,
    /// There is no room for more; the text says how much there is.
    #[error("{0}")]
    Full(String),
    /// A value that must be unique is taken.
    #[error("this {0} is taken")]
    Taken(&'static str),
    /// The database URL is not one of SQLite or PostgreSQL.
    #[error("not a database URL: use sqlite://path or postgres://…")]
    Url,
    /// A write would be lost now.
    #[error("{}", .0.reason())]
    Unreliable(DatabaseFault),
    /// The operating system gave no random bytes.
    #[error("no random bytes")]
    Random,
}

impl StoreError {
    /// Whether the database could not be reached: nothing that was asked of it is to blame.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Database(DbErr::Conn(_) | DbErr::ConnectionAcquire(_))
                | Self::Unread { is_outage: true, .. }
                | Self::Unreliable(_)
        )
    }
}

impl StoreError {
    /// Whether the same may succeed in a moment: the database is away, restarts, or has too much to do.
    pub fn is_unavailable(&self) -> bool {
        // A file that is gone may be put back.
        let Self::Database(error) = self else { return self.is_outage() };
        match error {
            DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => passes(error),
            _ => false,
        }
    }
}

impl StoreError {
    /// The database's own code of a failure: PostgreSQL's five characters, or SQLite's number.
    fn code(&self) -> Option<String> {
        let Self::Database(DbErr::Exec(error) | DbErr::Query(error) | DbErr::Conn(error)) = self else { return None };
        match error {
            RuntimeErr::SqlxError(error) => Some(error.as_database_error()?.code()?.into_owned()),
            // As SQLite's own errors are written where it is driven directly.
            RuntimeErr::Internal(text) => Some(text.strip_prefix("(code: ")?.split_once(')')?.0.to_owned()),
        }
    }
}

/// Whether a failure of the database passes by itself.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_passing(&code)),
        _ => false,
    }
}

/// Whether a code of the database stands for something that passes: PostgreSQL's has five characters
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>), SQLite's is a number whose last byte is the kind
/// (<https://www.sqlite.org/rescode.html>).
fn is_passing(code: &str) -> bool {
    const SQLITE: [u32; 3] = [5, 6, 13]; // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL
    // Lost connections, insufficient resources, shutdowns, conflicts of transactions, locks and time limits of transactions.
    const POSTGRES: [&str; 9] = ["08", "53", "57P", "40001", "40P01", "55P03", "25P03", "25P04", "57014"];
    if code.len() == 5 {
        return POSTGRES.iter().any(|class| code.starts_with(class));
    }
    code.parse::<u32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff)))
}

impl StoreError {
    /// Whether no connection could be made in time: the server is not there, or not yet.
    pub fn is_no_connection(&self) -> bool {
        match self {
            Self::Database(DbErr::ConnectionAcquire(_)) => true,
            Self::Database(DbErr::Conn(RuntimeErr::SqlxError(error))) => matches!(**error, sqlx::Error::PoolTimedOut),
            _ => false,
        }
    }
}

impl Database {
    /// Whether it is SQLite, which one process has and where one writes at a time.
    pub fn is_sqlite(&self) -> bool {
        self.0.backend == DbBackend::Sqlite
    }

    /// SQLite's file.
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// A name for a worker of this process, which no other has. PostgreSQL knows by it whether the process is connected.
    pub fn worker_name(&self) -> Result<String, StoreError> {
        Ok(format!("{}/{}", self.0.process, self.new_id()?))
    }

    /// How many statements have read.
    #[cfg(test)]
    pub(crate) fn statements_read(&self) -> u64 {
        self.0.reader.statements.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The failures that a test asks for.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> &faults::Faults {
        &self.0.faults
    }

    /// A new id: a ULID, greater than all that this process made before.
    pub fn new_id(&self) -> Result<String, StoreError> {
        let millis = u64::try_from(self.0.clock.now().timestamp_millis()).unwrap_or(0);
        let fresh = random_id(millis)?;
        let mut last = self.0.last_id.lock();
        let id = if fresh > *last { fresh } else { last.increment().unwrap_or(fresh) };
        *last = id;
        Ok(id.to_string())
    }
}

fn random_id(millis: u64) -> Result<Ulid, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| StoreError::Random)?;
    Ok(Ulid::from_parts(millis, u128::from_le_bytes(random)))
}

#[cfg(test)]
mod codes {
    use super::is_passing;

    #[test]
    fn codes_of_the_databases_say_whether_a_failure_passes() {
        for (code, expected) in [
            ("5", true),
            ("517", true),
            ("13", true),
            ("1", false),
            ("19", false),
            ("2067", false),
            ("08006", true),
            ("53300", true),
            ("57P01", true),
            ("40P01", true),
            ("23505", false),
            ("42P01", false),
        ] {
            assert_eq!(is_passing(code), expected, "{code}");
        }
    }
}
