//! Turns to read: as many as a pool has connections. Those who wait get theirs in rotation, one of each task: an execution that reads
//! a thousand rows at once holds up another one for a statement, and not for a thousand.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    task::{self, Id},
};

/// The turns of one pool.
#[derive(Clone)]
pub(super) struct ReadTurns(Arc<Mutex<State>>);

struct State {
    /// Turns that nobody has.
    free: usize,
    /// Those who wait, by their task; none of the queues is empty.
    waiting: HashMap<Option<Id>, VecDeque<oneshot::Sender<ReadTurn>>>,
    /// The tasks of which some wait: whose turn is next, in rotation.
    next: VecDeque<Option<Id>>,
}

/// A turn, until it is dropped.
pub(super) struct ReadTurn(Arc<Mutex<State>>);

impl ReadTurns {
    pub(super) fn new(turns: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: turns, waiting: HashMap::new(), next: VecDeque::new() })))
    }

    /// A turn, if one is free.
    pub(super) fn try_take(&self) -> Option<ReadTurn> {
        let mut state = self.0.lock();
        // Nobody waits while one is free.
        state.free = state.free.checked_sub(1)?;
        Some(ReadTurn(Arc::clone(&self.0)))
    }

    /// A turn for the current task, when it comes. It may be waited for in another task.
    pub(super) fn wait(&self) -> oneshot::Receiver<ReadTurn> {
        let (given, turn) = oneshot::channel();
        let mut state = self.0.lock();
        if let Some(left) = state.free.checked_sub(1) {
            state.free = left;
            drop(state);
            // The receiver is here.
            drop(given.send(ReadTurn(Arc::clone(&self.0))));
            return turn;
        }
        let task = task::try_id();
        let State { waiting, next, .. } = &mut *state;
        let queue = waiting.entry(task).or_default();
        if queue.is_empty() {
            next.push_back(task);
        }
        queue.push_back(given);
        turn
    }

    /// How many turns nobody has.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.0.lock().free
    }
}

impl State {
    /// The one that gets the next turn; those that went away are forgotten.
    fn next(&mut self) -> Option<oneshot::Sender<ReadTurn>> {
        while let Some(task) = self.next.pop_front() {
            let Some(queue) = self.waiting.get_mut(&task) else { continue };
            let given = std::iter::from_fn(|| queue.pop_front()).find(|given| !given.is_closed());
            if queue.is_empty() {
                self.waiting.remove(&task);
            } else {
                self.next.push_back(task);
            }
            if given.is_some() {
                return given;
            }
        }
        None
    }
}

impl Drop for ReadTurn {
    fn drop(&mut self) {
        let given = {
            let mut state = self.0.lock();
            let given = state.next();
            if given.is_none() {
                state.free += 1;
            }
            given
        };
        if let Some(given) = given {
            // One that went away just now drops its turn, and the next gets it.
            drop(given.send(Self(Arc::clone(&self.0))));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]
    #![expect(clippy::async_yields_async, reason = "a task asks for a turn that is waited for elsewhere")]

    use super::ReadTurns;

    #[tokio::test]
    async fn a_task_that_reads_much_holds_up_another_for_one_statement() {
        let turns = ReadTurns::new(1);
        let held = turns.try_take().unwrap();
        assert!(turns.try_take().is_none());
        let mut many: Vec<_> = (0..100).map(|_| turns.wait()).collect();
        let other = turns.clone();
        let mut other = tokio::spawn(async move { other.wait() }).await.unwrap();
        drop(held);
        let first = many[0].try_recv().unwrap();
        assert!(many[1].try_recv().is_err() && other.try_recv().is_err());
        drop(first);
        let others = other.try_recv().unwrap();
        assert!(many[1].try_recv().is_err(), "it is the other task's turn");
        drop(others);
        assert!(many[1].try_recv().is_ok());
    }

    #[tokio::test]
    async fn a_read_that_goes_away_leaves_the_turn_to_the_next_and_nothing_is_left_of_anybody() {
        let turns = ReadTurns::new(2);
        let held = (turns.try_take().unwrap(), turns.wait().await.unwrap());
        let mut waiting: Vec<_> = (0..10_000).map(|_| turns.wait()).collect();
        let last = waiting.pop().unwrap();
        drop(waiting);
        drop(held.0);
        let last = last.await.unwrap();
        assert_eq!(turns.free(), 0);
        drop((last, held.1));
        assert_eq!(turns.free(), 2);
        assert!(turns.0.lock().waiting.is_empty() && turns.0.lock().next.is_empty());
    }
}
