//! Where tasks run that nobody waits for at a socket: the inbox, the streams, live operations. They may have a runtime of their own,
//! so that they are not queued behind the thousands of sockets that each of their changes wakes.

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::task::TaskTracker;

/// Tracks tasks, and knows where they run.
#[derive(Debug, Clone)]
pub struct Background {
    tasks: TaskTracker,
    on: Option<Handle>,
}

impl Background {
    /// Tasks on a runtime.
    pub fn on(handle: Handle, tasks: TaskTracker) -> Self {
        Self { tasks, on: Some(handle) }
    }

    /// Starts a task.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.on {
            Some(handle) => self.tasks.spawn_on(task, handle),
            None => self.tasks.spawn(task),
        }
    }
}

impl From<TaskTracker> for Background {
    /// Tasks on the runtime of whoever starts them.
    fn from(tasks: TaskTracker) -> Self {
        Self { tasks, on: None }
    }
}
