//! The runtimes behind the sockets: one for streams and live operations, one for the inbox.
//!
//! A change that many sockets watch wakes them all. On their runtime each step of the next change would wait until each of them had
//! its turn; on a runtime of its own it waits for none. The inbox's gives way to both: what is acknowledged first can be applied
//! a moment later, while providers do not send again what they were not answered in time.

use anyhow::Context;
use mullion_resolvers::background::Background;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;

/// How far the inbox's threads give way: 0 is not at all, 19 the most (`nice`).
#[cfg(target_os = "linux")]
const GIVES_WAY: i32 = 10;

/// The runtimes, and the ways onto them.
#[derive(Debug)]
pub(crate) struct Behind {
    runtimes: Vec<Runtime>,
    live: Background,
    inbox: Background,
}

impl Behind {
    /// Runtimes with as many threads each as there are processors, whose tasks are tracked with all others.
    pub(crate) fn new(tasks: &TaskTracker) -> anyhow::Result<Self> {
        let live = Builder::new_multi_thread().thread_name("mullion-behind").enable_all().build();
        let live = live.context("the runtime of the live operations cannot be started")?;
        let inbox =
            Builder::new_multi_thread().thread_name("mullion-inbox").on_thread_start(give_way).enable_all().build();
        let inbox = inbox.context("the runtime of the inbox cannot be started")?;
        let on = |runtime: &Runtime| Background::on(runtime.handle().clone(), tasks.clone());
        Ok(Self { live: on(&live), inbox: on(&inbox), runtimes: vec![live, inbox] })
    }

    /// Where streams and live operations run.
    pub(crate) fn tasks(&self) -> &Background {
        &self.live
    }

    /// Where what was acknowledged is applied.
    pub(crate) fn inbox(&self) -> &Background {
        &self.inbox
    }
}

impl Drop for Behind {
    /// Ends what still runs without waiting for it: whoever drops this may be a task itself.
    fn drop(&mut self) {
        for runtime in self.runtimes.drain(..) {
            runtime.shutdown_background();
        }
    }
}

/// Lets other threads go first. Where the system does not let us, all are alike.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), GIVES_WAY) {
        tracing::debug!(%error, "the inbox's threads do not give way to others");
    }
}
