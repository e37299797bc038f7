//! Tells the workers that something waits: those of this process, and over the bus those of the others. Nobody's news are lost here:
//! who looks later sees that there were some.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use super::{Alone, Bus, Hint};

/// Wakes workers. Cheap to clone.
#[derive(Clone)]
pub struct Wake {
    news: Arc<watch::Sender<u64>>,
    bus: Arc<dyn Bus>,
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wake").finish_non_exhaustive()
    }
}

impl Default for Wake {
    fn default() -> Self {
        Self::new(Arc::new(Alone))
    }
}

impl Wake {
    /// For the workers of this process, and of those at the bus.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { news: Arc::new(watch::Sender::new(0)), bus }
    }

    /// Something waits in the inbox, in a lane of anyone.
    pub fn wake(&self) {
        self.heard();
        self.bus.tell(Hint::Inbox);
    }

    /// Another process says so.
    pub fn heard(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Hears of it.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }
}
