//! Several deliveries applied as one: their changes one after another, each with the time at which it came in. The effect on
//! nodes is the same as one by one; numbers that they move may be asked for again where they would have been known.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Batch;

/// Batches as one.
#[derive(Default)]
pub(super) struct Group {
    /// All of them; `None`: nothing is left to do.
    pub(super) batch: Option<Batch>,
    /// When each of its changes came in.
    pub(super) each: Vec<DateTime<Utc>>,
    /// The deliveries that are settled with it.
    pub(super) deliveries: Vec<String>,
    /// For each that was given, whether it was applied before.
    pub(super) repeated: Vec<bool>,
}

impl Group {
    /// `before` says of each delivery that waits whether it was applied before.
    pub(super) fn of(batches: Vec<Batch>, before: &HashMap<String, bool>) -> Self {
        let mut group = Self::default();
        for mut batch in batches {
            let waits = batch.delivery.as_ref().map(|id| before.get(id).copied());
            group.repeated.push(waits == Some(None));
            match waits {
                Some(None) => continue,
                // It is replayed: people were told of it the first time.
                Some(Some(true)) => batch.changes.iter_mut().for_each(|change| change.activity = None),
                Some(Some(false)) | None => {}
            }
            group.deliveries.extend(batch.delivery.take());
            group.each.extend(batch.changes.iter().map(|_| batch.received_at));
            match &mut group.batch {
                None => group.batch = Some(batch),
                Some(all) => {
                    all.received_at = all.received_at.max(batch.received_at);
                    all.changes.extend(batch.changes);
                    all.pages.extend(batch.pages);
                    all.unknown.extend(batch.unknown);
                }
            }
        }
        group
    }
}
