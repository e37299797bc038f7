//! The events of the inbox that metrics count.

use std::time::Duration;

/// Counts what happens in the inbox. The metrics are of the gateway, which depends on this crate.
pub trait InboxObserver: Send + Sync {
    /// A delivery was settled or put off: `applied`, `ignored`, `repeated`, `retried`, `parked` or `lost`.
    fn settled(&self, provider: &str, result: &'static str);

    /// So many deliveries were stored in one transaction.
    fn flushed(&self, deliveries: usize, took: Duration);

    /// So many lanes are held.
    fn held(&self, lanes: usize);
}
