//! The runtime behind the sockets: inbox, streams and live operations.
//!
//! A change that many sockets watch wakes them all. On their runtime each step of the next change would wait until each of them had
//! its turn; on a runtime of its own it waits for none.

use anyhow::Context;
use mullion_resolvers::background::Background;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;

/// The runtime, and the way onto it.
#[derive(Debug)]
pub(crate) struct Behind {
    runtime: Option<Runtime>,
    tasks: Background,
}

impl Behind {
    /// A runtime with as many threads as there are processors, whose tasks are tracked with all others.
    pub(crate) fn new(tasks: &TaskTracker) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("mullion-behind").enable_all().build();
        let runtime = runtime.context("the runtime of the live operations cannot be started")?;
        let tasks = Background::on(runtime.handle().clone(), tasks.clone());
        Ok(Self { runtime: Some(runtime), tasks })
    }

    /// Where its tasks are started.
    pub(crate) fn tasks(&self) -> &Background {
        &self.tasks
    }
}

impl Drop for Behind {
    /// Ends what still runs without waiting for it: whoever drops this may be a task itself.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
