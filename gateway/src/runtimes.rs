//! The runtimes behind the sockets: one for streams and live operations, one for the inbox.
//!
//! A change that many sockets watch wakes them all. On their runtime each step of the next change would wait until each of them had
//! its turn; on a runtime of its own it waits for none. The inbox has another, so that a flood of deliveries does not keep the
//! operations of those before them waiting.

use anyhow::Context;
use mullion_resolvers::background::Background;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;

/// The runtimes, and the ways onto them.
#[derive(Debug)]
pub(crate) struct Runtimes {
    owned: Vec<Runtime>,
    live: Background,
    inbox: Background,
}

impl Runtimes {
    /// Runtimes with as many threads each as there are processors, whose tasks are tracked with all others.
    pub(crate) fn new(tasks: &TaskTracker) -> anyhow::Result<Self> {
        let live = Builder::new_multi_thread().thread_name("mullion-live").enable_all().build();
        let live = live.context("the runtime of the live operations cannot be started")?;
        let inbox = Builder::new_multi_thread().thread_name("mullion-inbox").enable_all().build();
        let inbox = inbox.context("the runtime of the inbox cannot be started")?;
        let on = |runtime: &Runtime| Background::on(runtime.handle().clone(), tasks.clone());
        Ok(Self { live: on(&live), inbox: on(&inbox), owned: vec![live, inbox] })
    }

    /// Where streams and live operations run.
    pub(crate) fn live(&self) -> &Background {
        &self.live
    }

    /// Where what was acknowledged is applied.
    pub(crate) fn inbox(&self) -> &Background {
        &self.inbox
    }
}

impl Drop for Runtimes {
    /// Ends what still runs without waiting for it: this may be dropped by a task.
    fn drop(&mut self) {
        for runtime in self.owned.drain(..) {
            runtime.shutdown_background();
        }
    }
}
