//! Transactions that write: immediate on SQLite (a deferred one fails when it finds the database busy), and one after another for
//! each tenant on PostgreSQL.

use chrono::{DateTime, Utc};
use mullion_schema::id::TenantId;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait, Value,
};

use super::{Database, StoreError};

impl Database {
    /// Begins a transaction that writes rows of nobody's stream.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.0.writer.begin_with_options(options).await?)
    }

    /// Runs one statement that writes rows of nobody's stream.
    pub(super) async fn execute(&self, sql: String, values: impl IntoIterator<Item = Value>) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        transaction.execute_raw(Statement::from_sql_and_values(self.0.backend, sql, values)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Begins a transaction that writes rows of `tenant`; there is one of them at a time.
    pub(super) async fn begin_for(&self, tenant: &TenantId) -> Result<DatabaseTransaction, StoreError> {
        let transaction = self.begin().await?;
        if self.0.backend == DbBackend::Postgres {
            let lock = Statement::from_sql_and_values(
                DbBackend::Postgres,
                // A process that is paused while it holds the lock must not hold the tenant up for ever.
                "SELECT set_config('idle_in_transaction_session_timeout', '15s', true), pg_advisory_xact_lock($1)",
                [lock_key(tenant).into()],
            );
            transaction.execute_raw(lock).await?;
        }
        Ok(transaction)
    }

    /// The current time, as precise as the database keeps it.
    pub(super) fn now(&self) -> DateTime<Utc> {
        from_micros(self.0.clock.now().timestamp_micros())
    }
}

fn lock_key(tenant: &TenantId) -> i64 {
    let hash = blake3::hash(tenant.as_str().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(hash.as_bytes().get(..8).unwrap_or(&[0; 8]));
    i64::from_le_bytes(first)
}

/// A stored time.
pub(super) fn from_micros(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
