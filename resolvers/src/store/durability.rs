//! Whether a commit is on stable storage when the database says so: what an acknowledged delivery relies on.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Database, StoreError};

impl Database {
    /// The settings of the database that let a power failure take what was committed; empty: it is safe. SQLite is opened with the
    /// right ones.
    pub async fn unsafe_settings(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        if self.0.backend != DbBackend::Postgres {
            return Ok(found);
        }
        // `local` and all that wait for a standby flush our own disk too.
        for setting in ["fsync", "synchronous_commit"] {
            let show = Statement::from_string(DbBackend::Postgres, format!("SHOW {setting}"));
            let row = self.0.writer.query_one_raw(show).await?.ok_or(StoreError::NotFound)?;
            let value: String = row.try_get_by_index(0)?;
            if value == "off" {
                found.push(format!("{setting} = {value}"));
            }
        }
        Ok(found)
    }
}
