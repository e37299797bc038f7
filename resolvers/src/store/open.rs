//! Opens the database: pools, pragmas, and which of the two it is.

use std::{
    num::NonZero,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use parking_lot::Mutex;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database as Connector, DatabaseConnection, DbBackend, Statement,
    sqlx::{
        self, Connection as _, SqliteConnection,
        sqlite::{SqliteConnectOptions, SqliteJournalMode},
    },
};
use ulid::Ulid;

use super::{
    Database, Inner, StoreError,
    check::Condition,
    direct::{Direct, PRAGMAS},
    lease::PROCESS,
    random_id,
    reader::Reader,
};
use crate::clock::Clock;

/// How the database is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Connections that read (PostgreSQL: all connections).
    pub max_connections: u32,
    /// How long SQLite waits for a lock.
    pub busy_timeout: Duration,
    /// How long a caller waits for a connection to PostgreSQL: while it is away, providers must be told so before they give up
    /// (Slack after 3 s).
    pub acquire_timeout: Duration,
    /// Whether leases run by the clock that is passed in, on PostgreSQL too: for tests that turn it.
    pub own_lease_clock: bool,
    /// Dashboards that a tenant may have.
    pub dashboards: usize,
    /// Widgets that a dashboard may have: each is read for every answer about it.
    pub widgets: usize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            max_connections: 8,
            busy_timeout: Duration::from_secs(30),
            acquire_timeout: Duration::from_millis(2500),
            own_lease_clock: false,
            dashboards: 1_000,
            widgets: 100,
        }
    }
}

impl Database {
    /// Opens `sqlite://path` (the file is made where it is missing) or `postgres://…`. Tables are made by the migrations,
    /// which run on [`Database::migration_connection`].
    pub async fn open(url: &str, options: &OpenOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let process: Arc<str> = format!("{PROCESS}{}", random_id(0)?).into();
        let (reader, writer, backend) = if url.starts_with("sqlite:") {
            let writer = sqlite(url, options, 1).await?;
            (sqlite(url, options, readers(options) + ESSENTIAL).await?, writer, DbBackend::Sqlite)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let mut connect = connect_options(url, options.acquire_timeout, options.max_connections.max(2));
            connect.min_connections(1);
            let name = Arc::clone(&process);
            connect.map_sqlx_postgres_opts(move |postgres| postgres.application_name(&name));
            let pool = Connector::connect(connect).await?;
            (pool.clone(), pool, DbBackend::Postgres)
        } else {
            return Err(StoreError::Url);
        };
        // Some connections of PostgreSQL's one pool are left to writers.
        let reads = if backend == DbBackend::Sqlite { readers(options) } else { options.max_connections / 2 };
        let file = if backend == DbBackend::Sqlite { file_of(&writer).await? } else { None };
        // Two connections must lock the file in one way: through another system layer than SQLite's own, there is none beside sqlx.
        let direct = file.clone().filter(|_| !url.contains("vfs="));
        let direct = direct.map(|file| Arc::new(Direct::new(file, options.busy_timeout)));
        let reader = Reader::new(reader, reads);
        let essential = reader.apart(ESSENTIAL);
        #[cfg(test)]
        let faults = Arc::clone(&reader.faults);
        Ok(Self(Arc::new(Inner {
            reader,
            essential,
            writer,
            backend,
            clock,
            condition: Condition::of(file.as_deref()),
            file,
            direct,
            last_id: Mutex::new(Ulid::nil()),
            heard: Mutex::default(),
            endpoint_changes: AtomicU64::new(0),
            own_lease_clock: options.own_lease_clock,
            limits: (options.dashboards, options.widgets),
            process,
            #[cfg(test)]
            faults,
        })))
    }

    /// The connection that migrations run on.
    pub fn migration_connection(&self) -> &DatabaseConnection {
        &self.0.writer
    }

    /// Whether the database answers: for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.0.essential.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Closes all connections; SQLite writes its log back into the file.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.0.condition.close();
        let read = self.0.reader.close().await;
        // Waits for the holder of the turn to write; nobody gets the turn any more.
        let written = self.0.writer.close_by_ref().await;
        if let Some(direct) = &self.0.direct {
            direct.close();
        }
        Ok(read.and(written)?)
    }
}

/// The fewest readers of SQLite, where so many are allowed: one that waits for the disk holds up no other.
const FEWEST_READERS: u32 = 4;

/// Connections for the reads without which nobody is let in: keys, endpoints of webhooks, and readiness. However much all others read,
/// these do not wait for them. SQLite has them beside its other readers, and opens them when they are needed.
const ESSENTIAL: u32 = 1;

/// How many connections read SQLite: they work on this machine's processors, so that more than those bring nothing, and each is a
/// thread with a heap, a cache of pages and its prepared statements, some 3 MB.
fn readers(options: &OpenOptions) -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let useful = u32::try_from(processors).unwrap_or(u32::MAX).max(FEWEST_READERS);
    options.max_connections.clamp(1, useful)
}

/// The file of SQLite's main database, as SQLite names it.
async fn file_of(connection: &DatabaseConnection) -> Result<Option<PathBuf>, StoreError> {
    let ask = Statement::from_string(DbBackend::Sqlite, "SELECT file FROM pragma_database_list WHERE name = 'main'");
    let row = connection.query_one_raw(ask).await?;
    let file: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
    Ok(file.filter(|file| !file.is_empty()).map(PathBuf::from))
}

fn connect_options(url: &str, acquire: Duration, connections: u32) -> ConnectOptions {
    let mut connect = ConnectOptions::new(url);
    connect.max_connections(connections).acquire_timeout(acquire).sqlx_logging(false);
    connect
}

async fn sqlite(url: &str, options: &OpenOptions, connections: u32) -> Result<DatabaseConnection, StoreError> {
    make_private(url);
    let busy_timeout = options.busy_timeout;
    let mut connect = connect_options(url, options.busy_timeout, connections);
    // A file does not hang up.
    connect.test_before_acquire(false);
    // Nor does it gain from being opened again. While one connection is open, the files beside it stay (see `check.rs`).
    connect.map_sqlx_sqlite_pool_opts(|pool| {
        pool.idle_timeout(None::<Duration>)
            .max_lifetime(None::<Duration>)
            .after_release(|connection, _| Box::pin(is_clean(connection)))
    });
    connect.map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).busy_timeout(busy_timeout);
        PRAGMAS.into_iter().fold(sqlite, |sqlite, (name, value)| sqlite.pragma(name, value))
    });
    Ok(Connector::connect(connect).await?)
}

/// Whether a connection may be used again. Where the disk is full, SQLite undoes a transaction of its own accord. sqlx then fails to undo
/// it, takes it for open for ever, and would make savepoints in it of all that follow, which nobody commits.
async fn is_clean(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // Whatever is about to be undone is, then.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Makes the file, if it is new, for its owner alone: it holds messages, names and sealed tokens, and SQLite would let the umask
/// decide. The files that SQLite puts beside it (`-wal`, `-shm`) get the same mode. Where it cannot be made, SQLite says why.
fn make_private(url: &str) {
    let Ok(parsed) = url.parse::<SqliteConnectOptions>() else { return };
    if url.contains(":memory:") || url.contains("mode=memory") {
        return;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(parsed.get_filename()));
}

#[cfg(all(test, unix))]
mod tests {
    use std::{os::unix::fs::PermissionsExt, sync::Arc};

    use super::{Database, OpenOptions};
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_new_sqlite_file_and_what_lies_beside_it_are_their_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let url = format!("sqlite://{}", file.display());
        let database = Database::open(&url, &OpenOptions::default(), Arc::new(SystemClock)).await.unwrap();
        mullion_migrations::apply(database.migration_connection()).await.unwrap();
        for name in ["x.db", "x.db-wal", "x.db-shm"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        database.close().await.unwrap();
    }
}
