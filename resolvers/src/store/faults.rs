//! Failures of the store that a test asks for, on a real database: the n-th call from now, or the calls that touch a table; once, or
//! for a while.

use parking_lot::Mutex;
use sea_orm::{DbErr, RuntimeErr};

/// The calls of the store that fail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    /// The n-th from now, counted from 1, and those after it. A call is a statement that reads, the beginning of a transaction, or
    /// the commit of one that runs on a connection of its own.
    Nth(u64),
    /// Those whose statement contains this: the name of a table, `BEGIN`, `COMMIT`.
    Touching(&'static str),
}

/// The failures of one database.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Which, and how many of them are still to fail.
    plan: Option<(Which, u64)>,
    calls: u64,
    failed: u64,
}

impl Faults {
    /// Has so many calls fail, in place of those that were asked for before.
    pub(crate) fn fail(&self, which: Which, times: u64) {
        *self.0.lock() = State { plan: Some((which, times)), ..State::default() };
    }

    /// No call fails any more. How many failed.
    pub(crate) fn stop(&self) -> u64 {
        let mut state = self.0.lock();
        state.plan = None;
        state.failed
    }

    /// A call that is to be done.
    pub(super) fn check(&self, statement: &str) -> Result<(), DbErr> {
        let mut state = self.0.lock();
        state.calls += 1;
        let calls = state.calls;
        let Some((which, left)) = state.plan.as_mut().filter(|(_, left)| *left > 0) else { return Ok(()) };
        let fails = match which {
            Which::Nth(first) => calls >= *first,
            Which::Touching(text) => statement.contains(*text),
        };
        if !fails {
            return Ok(());
        }
        *left -= 1;
        state.failed += 1;
        Err(DbErr::Conn(RuntimeErr::Internal("a test has it fail".to_owned())))
    }
}
