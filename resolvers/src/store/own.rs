//! The rules that all rows of our own share: when they were last changed, and who may overwrite them.

use chrono::{DateTime, Duration, Utc};

use super::{Database, StoreError, time::from_micros};

impl Database {
    /// The time of a change of a row that was last changed at `before`: always later, so that two changes in one instant differ.
    pub(super) fn changed_at(&self, before: i64) -> i64 {
        let after = from_micros(before) + Duration::microseconds(1);
        self.now().max(after).timestamp_micros()
    }
}

/// Whether the row is still what the caller read.
pub(super) fn expect(updated_at: i64, expected: Option<DateTime<Utc>>) -> Result<(), StoreError> {
    match expected {
        Some(expected) if expected.timestamp_micros() != updated_at => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}
