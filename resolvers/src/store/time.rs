//! Times as precise as the databases keep them: in microseconds.

use chrono::{DateTime, Utc};

use super::Database;

impl Database {
    /// The current time, as precise as the database keeps it.
    pub(super) fn now(&self) -> DateTime<Utc> {
        truncated(self.0.clock.now())
    }
}

/// A stored time.
pub(super) fn from_micros(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// A time as it will be read back.
pub(super) fn truncated(time: DateTime<Utc>) -> DateTime<Utc> {
    from_micros(time.timestamp_micros())
}
