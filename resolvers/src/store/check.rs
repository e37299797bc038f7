//! Whether the database can be relied on: its files are those that were opened, and it takes a write that can be read again.
//!
//! A process goes on with the files that it has open, whatever becomes of their names. When somebody deletes the database, or puts
//! another one in its place, everything seems to work, and all that is written from then on is gone with the process. So each write
//! looks whether the files are where they were. The files are never opened for that: closing one would give up SQLite's own locks
//! (<https://www.sqlite.org/howtocorrupt.html>, 2.2).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Database, StoreError};

/// How often the files are looked for while nothing is written.
const LOOK: Duration = Duration::from_secs(1);
/// So many looks later, something is written.
const LOOKS_PER_WRITE: u32 = 5;
/// How long a write may take before the database counts as one that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a read of the file waits for a lock.
const BUSY: Duration = Duration::from_secs(1);
/// The setting that is written.
const PROBE: &str = "probe of the database";

/// Why the database cannot be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFault {
    /// Its file, or one of those that belong to it, is no longer where it was.
    Deleted,
    /// Another file is where it was.
    Replaced,
    /// The file does not hold what was written.
    Damaged,
    /// It takes no writes: the disk is full, or may only be read.
    NotWritable,
    /// Another program holds its lock.
    Locked,
    /// It could not be reached, or took too long.
    NoAnswer,
}

impl DatabaseFault {
    /// The fault in a few words, as readiness and logs give it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Deleted => "a file of the database was deleted",
            Self::Replaced => "a file of the database was replaced",
            Self::Damaged => "the database file is damaged",
            Self::NotWritable => "the database cannot be written",
            Self::Locked => "the database is locked",
            Self::NoAnswer => "the database does not answer",
        }
    }

    /// The advice to an operator.
    fn advice(self) -> &'static str {
        match self {
            Self::Deleted | Self::Replaced => {
                "nothing is written or acknowledged: put the file back, or stop the server and start it over the file that is there"
            }
            Self::Damaged => {
                "nothing is written or acknowledged: stop the server and restore the database from a backup"
            }
            Self::NotWritable => "make room on the disk, and see that it may be written",
            Self::Locked => "end the program that holds the lock",
            Self::NoAnswer => "look at the database's own log",
        }
    }
}

/// The known state of the database.
#[derive(Debug, Default)]
pub(super) struct Condition {
    files: Mutex<Files>,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// The last finding.
    fault: Option<DatabaseFault>,
    /// SQLite said so; a part of the file that is still good does not make it whole.
    damaged: bool,
}

/// The files of an SQLite database, with what was at their names when they were first seen.
#[derive(Debug, Default)]
struct Files(Vec<(PathBuf, Option<Identity>)>);

#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = ();

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Files that are open cannot be replaced.
#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> Identity {}

impl Files {
    fn of(main: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = main.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Self([main.to_owned(), beside("-wal"), beside("-shm")].into_iter().map(|path| (path, None)).collect())
    }

    /// Looks for the files. The two beside the main one come into being with the first use, and stay while connections are open.
    fn look(&mut self) -> Option<DatabaseFault> {
        self.0.iter_mut().find_map(|(path, first)| match (std::fs::metadata(path), *first) {
            (Ok(found), None) => {
                *first = Some(identity(&found));
                None
            }
            (Ok(found), Some(first)) => (identity(&found) != first).then_some(DatabaseFault::Replaced),
            (Err(error), Some(_)) if error.kind() == std::io::ErrorKind::NotFound => Some(DatabaseFault::Deleted),
            (Err(_), _) => None,
        })
    }
}

impl Condition {
    pub(super) fn of(file: Option<&Path>) -> Self {
        let files = file.map(Files::of).unwrap_or_default();
        Self { files: Mutex::new(files), found: Mutex::default() }
    }

    /// The database is closed, and SQLite deletes the files beside it.
    pub(super) fn close(&self) {
        self.files.lock().0.clear();
    }
}

impl Database {
    /// The fault that was found when the database was last looked at; `None`: nothing is wrong.
    pub fn fault(&self) -> Option<DatabaseFault> {
        self.0.condition.found.lock().fault
    }

    /// Looks whether what is written now would be lost.
    pub(crate) fn keeps_writes(&self) -> Result<(), StoreError> {
        let damaged = self.0.condition.found.lock().damaged.then_some(DatabaseFault::Damaged);
        match damaged.or_else(|| self.0.condition.files.lock().look()) {
            None => Ok(()),
            Some(fault) => {
                self.note_condition(Err(fault));
                Err(StoreError::Unreliable(fault))
            }
        }
    }

    /// Notes a failure that says something of the database's state.
    pub(crate) fn note_failure(&self, error: &StoreError) {
        if fault_of(error) == DatabaseFault::Damaged {
            self.note_condition(Err(DatabaseFault::Damaged));
        }
    }

    /// Looks for the files, writes something, and reads it from the file that the path names.
    pub async fn check(&self) -> Result<(), DatabaseFault> {
        let found = self.probe().await;
        self.note_condition(found);
        match self.fault() {
            None => Ok(()),
            Some(fault) => Err(fault),
        }
    }

    /// Checks the database again and again until `stop` fires.
    pub async fn watch(&self, stop: CancellationToken) {
        for looks in 0_u32.. {
            if looks.is_multiple_of(LOOKS_PER_WRITE) {
                let checked = async {
                    let mut check = std::pin::pin!(self.check());
                    if timeout(PATIENCE, &mut check).await.is_err() {
                        let fault = self.why_slow().await;
                        self.note_condition(Err(fault));
                        // It is not cut off: a statement that is dropped half way may cost its connection.
                        let _noted = check.await;
                    }
                };
                tokio::select! {
                    () = checked => {}
                    () = stop.cancelled() => return,
                }
            } else {
                let _noted = self.keeps_writes();
            }
            if timeout(LOOK, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// The reason why a write takes long. SQLite itself tells of a lock when it has waited for it in vain, which is much later.
    async fn why_slow(&self) -> DatabaseFault {
        let file = self.file().filter(|_| self.0.direct.is_some()).map(Path::to_owned);
        let Some(file) = file else { return DatabaseFault::NoAnswer };
        let locked = tokio::task::spawn_blocking(move || is_locked(&file)).await;
        if locked.unwrap_or(false) { DatabaseFault::Locked } else { DatabaseFault::NoAnswer }
    }

    async fn probe(&self) -> Result<(), DatabaseFault> {
        let of = |error: StoreError| fault_of(&error);
        let written = self.new_id().map_err(of)?;
        self.set_setting(PROBE, &written).await.map_err(of)?;
        let Some(file) = self.file().filter(|_| self.0.direct.is_some()).map(Path::to_owned) else { return Ok(()) };
        let read = tokio::task::spawn_blocking(move || read_anew(&file)).await;
        match read.map_err(|_| DatabaseFault::NoAnswer)? {
            Ok(Some(read)) if read == written => Ok(()),
            // The write went somewhere else.
            Ok(_) => Err(DatabaseFault::Replaced),
            Err(error) => Err(match error.sqlite_error().map(|error| error.extended_code & 0xff) {
                // No such table: the file was emptied.
                Some(1) => DatabaseFault::Damaged,
                Some(code) => fault_of_code(code),
                None => DatabaseFault::NoAnswer,
            }),
        }
    }

    /// Keeps what was found, and says so where it is another state than before.
    fn note_condition(&self, found: Result<(), DatabaseFault>) {
        let mut state = self.0.condition.found.lock();
        state.damaged |= found == Err(DatabaseFault::Damaged);
        let fault = if state.damaged { Some(DatabaseFault::Damaged) } else { found.err() };
        if std::mem::replace(&mut state.fault, fault) == fault {
            return;
        }
        drop(state);
        if let Some(fault) = fault {
            tracing::error!(reason = fault.reason(), advice = fault.advice(), "the database cannot be relied on");
        } else {
            tracing::info!("the database can be relied on again");
        }
    }
}

/// Reads what was written by a connection of its own, so that the file is opened by its name.
fn read_anew(file: &Path) -> rusqlite::Result<Option<String>> {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    let read = connection.query_row("SELECT value FROM setting WHERE name = ?", [PROBE], |row| row.get(0));
    read.optional()
}

/// Whether somebody holds the lock of those who write.
fn is_locked(file: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let look = || {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
    };
    let code = look().err().and_then(|error| error.sqlite_error().map(|error| error.extended_code & 0xff));
    code.is_some_and(|code| fault_of_code(code) == DatabaseFault::Locked)
}

fn fault_of(error: &StoreError) -> DatabaseFault {
    if let StoreError::Unreliable(fault) = error {
        return *fault;
    }
    match error.code() {
        // `insufficient_resources`, and a transaction that may only read.
        Some(code) if code.len() == 5 && (code.starts_with("53") || code == "25006") => DatabaseFault::NotWritable,
        Some(code) => code.parse::<i32>().map_or(DatabaseFault::NoAnswer, |code| fault_of_code(code & 0xff)),
        None => DatabaseFault::NoAnswer,
    }
}

/// By SQLite's primary result code (<https://www.sqlite.org/rescode.html>).
fn fault_of_code(code: i32) -> DatabaseFault {
    match code {
        5 | 6 => DatabaseFault::Locked,
        8 | 10 | 13 | 14 => DatabaseFault::NotWritable,
        11 | 26 => DatabaseFault::Damaged,
        _ => DatabaseFault::NoAnswer,
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbErr, RuntimeErr};

    use super::{
        DatabaseFault::{Damaged, Locked, NoAnswer, NotWritable},
        fault_of,
    };
    use crate::store::StoreError;

    #[test]
    fn codes_of_the_databases_say_what_is_wrong() {
        for (text, expected) in [
            ("(code: 13) database or disk is full", NotWritable),
            ("(code: 778) disk I/O error", NotWritable),
            ("(code: 8) attempt to write a readonly database", NotWritable),
            ("(code: 517) database is locked", Locked),
            ("(code: 267) database disk image is malformed", Damaged),
            ("(code: 26) file is not a database", Damaged),
            ("(code: 53100) could not extend file", NotWritable),
            ("(code: 25006) cannot execute INSERT in a read-only transaction", NotWritable),
            ("(code: 57P03) the database system is starting up", NoAnswer),
            ("it went away", NoAnswer),
        ] {
            let error = StoreError::Database(DbErr::Exec(RuntimeErr::Internal(text.to_owned())));
            assert_eq!(fault_of(&error), expected, "{text}");
        }
    }
}
