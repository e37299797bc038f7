//! Reads that cannot be cut off: a caller that goes away leaves its statement to finish in a task of its own.
//!
//! Requests are dropped at any moment, by clients that hang up and by timeouts. A statement that is dropped half way, or while it
//! waits for its connection, can leave the pool with connections that nobody gets. So the waiting is done for a turn, which can
//! be left safely, and the statement itself always runs to its end.
//!
//! The task of the statement waits, and not the caller. A caller may be one of a thousand parts of a large execution, which is polled
//! again when all of it had its turn on the processor. A connection that is given to it until then would be idle, and everybody else's
//! reads would wait for it. For the same reason these tasks run on the runtime that opened the database, and not on one whose
//! threads are busy with live operations.

#[cfg(test)]
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::read_turns::ReadTurns;

/// The pool that reads go through.
pub(super) struct Reader {
    pool: DatabaseConnection,
    turns: ReadTurns,
    /// The turns of another reader, taken where they are free.
    spare: Option<ReadTurns>,
    tasks: TaskTracker,
    /// Where statements run.
    runtime: Handle,
    /// How many statements were run.
    #[cfg(test)]
    pub(super) statements: Arc<std::sync::atomic::AtomicU64>,
    #[cfg(test)]
    pub(super) faults: Arc<super::faults::Faults>,
}

impl Reader {
    /// A reader over a pool of so many connections.
    pub(super) fn new(pool: DatabaseConnection, connections: u32) -> Self {
        let turns = usize::try_from(connections.max(1)).unwrap_or(1);
        Self {
            pool,
            turns: ReadTurns::new(turns),
            spare: None,
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            #[cfg(test)]
            statements: Arc::default(),
            #[cfg(test)]
            faults: Arc::default(),
        }
    }

    /// A reader of the same pool, with so many connections that this one leaves to it, and those of this one that are free.
    pub(super) fn apart(&self, connections: u32) -> Self {
        Self {
            spare: Some(self.turns.clone()),
            #[cfg(test)]
            statements: Arc::clone(&self.statements),
            #[cfg(test)]
            faults: Arc::clone(&self.faults),
            ..Self::new(self.pool.clone(), connections)
        }
    }

    /// The turns that nobody has.
    #[cfg(test)]
    pub(super) fn turns(&self) -> &ReadTurns {
        &self.turns
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
        let statement = statement(self.pool.clone());
        let turn = self.turns.try_take().or_else(|| self.spare.as_ref()?.try_take());
        let Some(turn) = turn else { return self.queue(statement).await };
        let run = async move {
            let result = statement.await;
            drop(turn);
            result
        };
        self.tasks.spawn_on(run.in_current_span(), &self.runtime).await.map_err(|_| broken("a statement broke off"))?
    }

    /// Runs a statement when it is its turn. A caller that goes away before leaves the queue.
    async fn queue<T, F>(&self, statement: F) -> Result<T, DbErr>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DbErr>> + Send + 'static,
    {
        let turn = self.turns.wait();
        let (mut answer, answered) = oneshot::channel();
        let run = async move {
            let turn = tokio::select! {
                turn = turn => turn,
                () = answer.closed() => return,
            };
            let Ok(turn) = turn else { return };
            let result = statement.await;
            drop(turn);
            // The caller may have gone away.
            drop(answer.send(result));
        };
        self.tasks.spawn_on(run.in_current_span(), &self.runtime);
        answered.await.map_err(|_| broken("a statement broke off"))?
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
