//! Ids of requests, which their answers and their lines in the log share.

use std::sync::Arc;

use mullion_resolvers::clock::Clock;

/// A new id, sortable by time.
pub(crate) fn new(clock: &dyn Clock) -> Arc<str> {
    let milliseconds = u64::try_from(clock.now().timestamp_millis()).unwrap_or_default();
    ulid::Ulid::from_parts(milliseconds, rand::random()).to_string().into()
}
