//! Tells the workers of this process that something waits. Nobody's news are lost: who looks later sees that there were some.

use std::sync::Arc;

use tokio::sync::watch;

/// Wakes workers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wake(Arc<watch::Sender<u64>>);

impl Default for Wake {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Wake {
    /// Something waits in the inbox.
    pub fn wake(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Hears of it.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
