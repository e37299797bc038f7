//! The response cache: serialized answers by permission set, document, operation name and variables, current while none of the
//! tags they were read from has a later epoch; and one execution for all who ask the same at the same time.

use std::sync::Arc;

use mullion_schema::id::TenantId;
use parking_lot::Mutex;

use super::{Executed, Ran};
use crate::{
    budget::SharedAnswer,
    cache::{
        epochs::{Epochs, Head},
        single_flight::{KeyedLead, Part, SingleFlight},
    },
    tag::Tag,
};

/// How long an answer is kept at most: values age, and `freshness` should say so.
const KEPT: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(Clone)]
struct Entry {
    noted: Head,
    tags: Arc<[Tag]>,
    answer: SharedAnswer,
}

/// Answers in memory, and the executions that make them.
pub(super) struct ResponseCache {
    entries: moka::sync::Cache<Arc<str>, Entry>,
    running: SingleFlight<Arc<str>, Arc<Ran>, Begun>,
}

/// The head at which an execution began; none while it waits for its turn.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<Mutex<Option<Head>>>);

/// The duty to execute for all who ask the same.
pub(super) type Lead = KeyedLead<Arc<str>, Arc<Ran>, Begun>;

impl Begun {
    /// The execution reads from here on. Asked for under the lock: whoever joined before did so at this head or an earlier one.
    pub(super) fn begin(&self, tenant: &TenantId, epochs: &Epochs) {
        let mut begun = self.0.lock();
        *begun = epochs.head(tenant);
    }

    /// Whether nothing changed since it began: it gives what an execution that begins now would.
    fn is_current(&self, tenant: &TenantId, epochs: &Epochs) -> bool {
        let begun = self.0.lock();
        begun.is_none_or(|begun| Some(begun) == epochs.head(tenant))
    }
}

impl ResponseCache {
    pub(super) fn new(bytes: u64) -> Self {
        let entries = moka::sync::Cache::builder()
            .weigher(|key: &Arc<str>, entry: &Entry| {
                let tags: usize = entry.tags.iter().map(|tag| tag.as_str().len() + 32).sum();
                u32::try_from(key.len() + entry.answer.len() + tags + 256).unwrap_or(u32::MAX)
            })
            .max_capacity(bytes)
            .time_to_live(KEPT)
            .build();
        Self { entries, running: SingleFlight::default() }
    }

    /// The answer, where it is cached and current.
    pub(super) fn get(&self, tenant: &TenantId, key: &str, epochs: &Epochs) -> Option<SharedAnswer> {
        let entry = self.entries.get(key)?;
        epochs.is_current(tenant, entry.noted, entry.tags.iter()).then_some(entry.answer)
    }

    /// The duty to execute, or an execution to wait for: one that waits for its turn, or that began at the present head.
    pub(super) fn enter(
        &self,
        tenant: &TenantId,
        (key, begun): (Arc<str>, Begun),
        epochs: &Epochs,
    ) -> Part<Arc<str>, Arc<Ran>, Begun> {
        self.running.enter_if(key, begun, |begun| begun.is_current(tenant, epochs))
    }

    /// Keeps an answer that may be given again.
    pub(super) fn keep(&self, key: Arc<str>, ran: &Ran) {
        if let (Executed::Answer { .. }, true) = (&ran.answer, ran.reusable) {
            let tags = ran.tags.iter().cloned().collect();
            self.entries.insert(key, Entry { noted: ran.noted, tags, answer: ran.shared.clone() });
        }
    }

    /// How many executions are under way or wait for their turn.
    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        self.running.running()
    }
}
