//! Reads that cannot be cut off: a caller that goes away leaves its statement to finish in a task of its own.
//!
//! Requests are dropped at any moment, by clients that hang up and by timeouts. A statement that is dropped half way, or while it
//! waits for its connection, can leave the pool with connections that nobody gets. So the waiting is done at a semaphore, which
//! can be left safely, and the statement itself always runs to its end.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The pool that reads go through.
pub(super) struct Reader {
    pool: DatabaseConnection,
    turns: Arc<Semaphore>,
    tasks: TaskTracker,
    /// How many statements were run.
    #[cfg(test)]
    pub(super) statements: std::sync::atomic::AtomicU64,
    #[cfg(test)]
    pub(super) faults: Arc<super::faults::Faults>,
}

impl Reader {
    /// A reader over a pool of so many connections.
    pub(super) fn new(pool: DatabaseConnection, connections: u32) -> Self {
        let turns = usize::try_from(connections.max(1)).unwrap_or(1);
        Self {
            pool,
            turns: Arc::new(Semaphore::new(turns)),
            tasks: TaskTracker::new(),
            #[cfg(test)]
            statements: std::sync::atomic::AtomicU64::default(),
            #[cfg(test)]
            faults: Arc::default(),
        }
    }

    /// Closes the pool.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        self.pool.close_by_ref().await
    }

    async fn run<T, F>(&self, statement: impl FnOnce(DatabaseConnection) -> F) -> Result<T, DbErr>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DbErr>> + Send + 'static,
    {
        #[cfg(test)]
        self.statements.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| broken("the pool is closed"))?;
        let statement = statement(self.pool.clone());
        let run = async move {
            let result = statement.await;
            drop(turn);
            result
        };
        self.tasks.spawn(run.in_current_span()).await.map_err(|_| broken("a statement broke off"))?
    }
}

fn broken(message: &str) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(message.to_owned()))
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        #[cfg(test)]
        self.faults.check(&statement.sql)?;
        self.run(|pool| async move { pool.execute_raw(statement).await }).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        #[cfg(test)]
        self.faults.check(sql)?;
        let sql = sql.to_owned();
        self.run(|pool| async move { pool.execute_unprepared(&sql).await }).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        #[cfg(test)]
        self.faults.check(&statement.sql)?;
        self.run(|pool| async move { pool.query_one_raw(statement).await }).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        #[cfg(test)]
        self.faults.check(&statement.sql)?;
        self.run(|pool| async move { pool.query_all_raw(statement).await }).await
    }
}
