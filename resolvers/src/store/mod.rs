//! State on SQLite or PostgreSQL. The only place that runs SQL; one aggregate a file.
//!
//! All writes of a tenant go one after another (SQLite: one writer connection; PostgreSQL: an advisory lock of the tenant), and the
//! positions of its stream are taken from its head row right before the commit: whoever reads position 12 has been able to read 11.

pub mod activity;
pub mod api_key;
pub mod apply;
pub mod dashboard;
pub mod endpoint;
pub mod inbox;
pub mod integration;
pub mod list;
pub mod merge;
pub mod node;
mod open;
mod own;
mod reader;
pub mod setting;
pub mod stream;
pub mod tenant;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod transaction;
pub mod widget;

use std::sync::Arc;

use parking_lot::Mutex;
use sea_orm::{DatabaseConnection, DbBackend, DbErr};
use ulid::Ulid;

pub use open::OpenOptions;

use crate::clock::Clock;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    reader: reader::Reader,
    writer: DatabaseConnection,
    backend: DbBackend,
    clock: Arc<dyn Clock>,
    last_id: Mutex<Ulid>,
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
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The row does not exist, or is another tenant's.
    #[error("not found")]
    NotFound,
    /// The row was changed since the caller read it.
    #[error("it was changed in the meantime")]
    Conflict,
    /// A value that must be unique is taken.
    #[error("this {0} is taken")]
    Taken(&'static str),
    /// The database URL is not one of SQLite or PostgreSQL.
    #[error("not a database URL: use sqlite://path or postgres://…")]
    Url,
    /// The operating system gave no random bytes.
    #[error("no random bytes")]
    Random,
}

impl Database {
    /// A new id: a ULID, greater than all that this process made before.
    pub fn new_id(&self) -> Result<String, StoreError> {
        let millis = u64::try_from(self.0.clock.now().timestamp_millis()).unwrap_or(0);
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| StoreError::Random)?;
        let fresh = Ulid::from_parts(millis, u128::from_le_bytes(random));
        let mut last = self.0.last_id.lock();
        let id = if fresh > *last { fresh } else { last.increment().unwrap_or(fresh) };
        *last = id;
        Ok(id.to_string())
    }
}
