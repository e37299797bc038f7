//! A session runs the store's statements: over sea-orm's connections and transactions, or over SQLite driven directly (`direct.rs`
//! says why there are both). Code that takes a [`Session`] is written once for all of them.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait, Select, Statement, TryIntoModel};

/// Keys in one statement: well below SQLite's limit of parameters.
pub(super) const CHUNK: usize = 400;

/// Runs statements, and reads what the store's own code reads: rows of a table, or one column.
pub(super) trait Session: Sync {
    /// In which dialect.
    fn backend(&self) -> DbBackend;

    /// Runs a statement that gives no rows.
    fn run(&self, statement: Statement) -> impl Future<Output = Result<(), DbErr>> + Send;

    /// The rows of a table that are chosen, with all of their columns.
    fn all<E>(&self, chosen: Select<E>) -> impl Future<Output = Result<Vec<E::Model>, DbErr>> + Send
    where
        E: EntityTrait,
        E::ActiveModel: TryIntoModel<E::Model>;

    /// The one column of each row: texts.
    fn texts(&self, statement: Statement) -> impl Future<Output = Result<Vec<Option<String>>, DbErr>> + Send;

    /// The one column of each row: numbers.
    fn numbers(&self, statement: Statement) -> impl Future<Output = Result<Vec<i64>, DbErr>> + Send;
}

impl<C: ConnectionTrait> Session for C {
    fn backend(&self) -> DbBackend {
        self.get_database_backend()
    }

    async fn run(&self, statement: Statement) -> Result<(), DbErr> {
        self.execute_raw(statement).await?;
        Ok(())
    }

    async fn all<E>(&self, chosen: Select<E>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::ActiveModel: TryIntoModel<E::Model>,
    {
        chosen.all(self).await
    }

    async fn texts(&self, statement: Statement) -> Result<Vec<Option<String>>, DbErr> {
        self.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
    }

    async fn numbers(&self, statement: Statement) -> Result<Vec<i64>, DbErr> {
        self.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
    }
}
