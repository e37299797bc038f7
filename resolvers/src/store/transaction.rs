//! Transactions that write: immediate on SQLite (a deferred one fails when it finds the database busy), and one after another for
//! each tenant on PostgreSQL.

use std::sync::Arc;

use futures::FutureExt as _;
use mullion_schema::id::TenantId;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait, Value, sqlx,
};

use super::{
    Database, StoreError,
    direct::{Direct, DirectTransaction},
};

impl Database {
    /// Begins a transaction that writes rows of nobody's stream.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        #[cfg(test)]
        self.0.faults.check("BEGIN")?;
        self.keeps_writes()?;
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

    /// Runs a transaction on a connection of SQLite's without a thread of its own: where many statements follow each other, steps to
    /// another thread and back take longer than they do. `work` waits for nothing but its statements. A panic in it is an error.
    /// Once it has begun, it is done whether anybody waits for it or not.
    pub(super) async fn directly<T: Send + 'static>(
        &self,
        direct: Arc<Direct>,
        work: impl AsyncFnOnce(&Self, &DirectTransaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        self.0.faults.check("BEGIN")?;
        self.keeps_writes()?;
        // The holder of the connection that writes may write.
        let turn = self.0.writer.get_sqlite_connection_pool().acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            other => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(other))),
        })?;
        let (database, span) = (self.clone(), tracing::Span::current());
        let done = tokio::task::spawn_blocking(move || {
            let (_turn, _entered) = (turn, span.enter());
            let transaction = direct.begin()?;
            // Work that waited for another writer here would wait for ever.
            let done = work(&database, &transaction).now_or_never();
            let done = done.ok_or_else(|| broken_off(&"it waited for something else"))??;
            #[cfg(test)]
            database.0.faults.check("COMMIT")?;
            transaction.commit()?;
            Ok(done)
        });
        done.await.map_err(|error| broken_off(&error))?
    }
}

/// A transaction that did not come to its end.
pub(super) fn broken_off(why: &impl std::fmt::Display) -> StoreError {
    DbErr::Custom(format!("a transaction broke off: {why}")).into()
}

fn lock_key(tenant: &TenantId) -> i64 {
    let hash = blake3::hash(tenant.as_str().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(hash.as_bytes().get(..8).unwrap_or(&[0; 8]));
    i64::from_le_bytes(first)
}
