//! The context of one execution: its tenant, how old its answers may be, and the tags it touches.

use std::{
    any::Any,
    collections::HashSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, Duration, Utc};
use foldhash::fast::RandomState;
use futures::FutureExt as _;
use mullion_schema::id::{IntegrationId, TenantId};
use parking_lot::Mutex;

use super::{
    fetch_record::{BackgroundFetches, FetchRecord, WaitsFor},
    integrations::Integration,
    unstored::Unstored,
};
use crate::tag::Tag;

/// One execution.
#[derive(Debug)]
pub struct Scope {
    /// The tenant; comes from the credential.
    pub tenant: TenantId,
    /// When the execution began.
    pub started_at: DateTime<Utc>,
    /// A stricter limit on the age of values than the integration's own, for re-reads while webhooks are silent.
    pub max_age: Option<Duration>,
    tags: Mutex<HashSet<Tag, RandomState>>,
    /// Tags that belong together and were touched together: those of a whole list, of which a document may ask again and again.
    groups: Mutex<Vec<Arc<[Tag]>>>,
    stale: AtomicBool,
    changes_with_time: AtomicBool,
    failed: AtomicBool,
    read: AtomicBool,
    noted: OnceLock<i64>,
    /// The turn, held while it runs and not while it waits for a provider.
    turn: Mutex<Option<Box<dyn Any + Send>>>,
    /// A record of its fetches.
    pub(super) fetches: FetchRecord,
    /// Nothing is answered from lists in memory.
    #[cfg(test)]
    slow: bool,
}

impl Scope {
    /// A new execution.
    pub fn new(tenant: TenantId, started_at: DateTime<Utc>, max_age: Option<Duration>) -> Self {
        Self {
            tenant,
            started_at,
            max_age,
            tags: Mutex::default(),
            groups: Mutex::default(),
            stale: AtomicBool::new(false),
            changes_with_time: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            read: AtomicBool::new(false),
            noted: OnceLock::new(),
            turn: Mutex::default(),
            fetches: FetchRecord::default(),
            #[cfg(test)]
            slow: false,
        }
    }

    /// The same for an execution that waits for every fetch to its end, although an older value is known.
    #[must_use]
    pub fn waiting(self) -> Self {
        Self { fetches: self.fetches.with_waits(WaitsFor::All), ..self }
    }

    /// The same for an execution that waits for no fetch longer than briefly, because others wait for it.
    #[must_use]
    pub fn hurrying(self) -> Self {
        Self { fetches: self.fetches.with_waits(WaitsFor::Nothing), ..self }
    }

    /// The same, from the store page by page.
    #[cfg(test)]
    pub(super) fn slowly(self) -> Self {
        Self { slow: true, ..self }
    }

    /// Whether lists in memory may answer.
    #[cfg(test)]
    pub(super) fn takes_lists_at_hand(&self) -> bool {
        !self.slow
    }

    /// Whether lists in memory may answer.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests may say no")]
    pub(super) fn takes_lists_at_hand(&self) -> bool {
        true
    }

    /// Notes the stream's head before anything is read: what is read is at least as new.
    pub fn note_head(&self, head: i64) {
        // The first is the oldest, and counts.
        let _ = self.noted.set(head);
    }

    /// The head that was noted.
    pub fn noted(&self) -> Option<i64> {
        self.noted.get().copied()
    }

    /// Notes that the answer depends on a tag.
    pub fn record(&self, tag: Tag) {
        self.tags.lock().insert(tag);
    }

    /// The same for several.
    pub fn record_all(&self, tags: impl IntoIterator<Item = Tag>) {
        self.tags.lock().extend(tags);
    }

    /// The same for all that something in memory holds: they are looked at once, however often it is read.
    pub fn record_group(&self, tags: &Arc<[Tag]>) {
        let mut groups = self.groups.lock();
        if !groups.iter().any(|known| Arc::ptr_eq(known, tags)) {
            groups.push(Arc::clone(tags));
        }
    }

    /// The tags touched so far, with those of the integrations that they are of: an answer does not outlive the connection that it was
    /// read through.
    pub fn tags(&self) -> Vec<Tag> {
        let mut tags = self.tags.lock();
        for group in self.groups.lock().drain(..) {
            tags.extend(group.iter().cloned());
        }
        let integrations: HashSet<&str, RandomState> = tags.iter().filter_map(Tag::integration).collect();
        let integrations = integrations.into_iter().map(|id| Tag::own(&self.tenant, "Integration", id));
        tags.iter().cloned().chain(integrations).collect()
    }

    /// Notes that the answer holds something that is not current: it is not to be kept.
    pub fn note_stale(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Whether anything in the answer is not current.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Notes that the answer depends on the time at which it is read.
    pub fn note_time(&self) {
        self.changes_with_time.store(true, Ordering::Relaxed);
    }

    /// Whether the answer changes as time passes, also where nothing happens.
    pub fn changes_with_time(&self) -> bool {
        self.changes_with_time.load(Ordering::Relaxed)
    }

    /// Holds a turn until the execution gives it back.
    pub fn hold_turn(&self, turn: impl Any + Send) {
        *self.turn.lock() = Some(Box::new(turn));
    }

    /// Gives the turn back: the execution is done, or waits for a provider, which may take long and needs no processor.
    pub fn give_turn_back(&self) {
        let turn = self.turn.lock().take();
        drop(turn);
    }

    /// Notes a fetch that it did not wait for.
    pub(super) fn note_background_fetch(
        &self,
        integration: &IntegrationId,
        fetch: impl Future<Output = ()> + Send + 'static,
    ) {
        self.note_stale();
        self.fetches.leave_in_background(integration, fetch.boxed().shared());
    }

    /// Keeps what a fetch brought for this execution and is nowhere else.
    pub(super) fn note_unstored(&self, unstored: &Arc<Unstored>) {
        self.note_stale();
        self.fetches.add_unstored(unstored);
    }

    /// Takes over what another execution, which reads for this one, did not wait for. Says whether anything is not current.
    pub fn take_over(&self, other: &Self) -> bool {
        self.fetches.take_over(&other.fetches);
        if other.is_stale() {
            self.note_stale();
        }
        if other.changes_with_time() {
            self.note_time();
        }
        other.is_stale()
    }

    /// Ends when all fetches have ended that it did not wait for; `None`: it waited for all.
    pub fn background_fetches(&self) -> Option<BackgroundFetches> {
        self.fetches.take_background()
    }

    /// Notes that something could not be read here, through no fault of a provider: the answer says so, and is not to be kept.
    pub fn note_failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.note_stale();
    }

    /// Whether something could not be read here.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes that it began to read of an integration.
    pub(super) fn note_read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// Whether it did.
    pub(super) fn has_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// How old a value of this integration may be. `covered`: a webhook would tell of its changes.
    pub(super) fn longest_age(&self, integration: &Integration, covered: bool, now: DateTime<Utc>) -> Duration {
        let longest = integration.longest_age(covered, now);
        self.max_age.map_or(longest, |max_age| max_age.min(longest))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use chrono::DateTime;
    use mullion_schema::id::IntegrationId;

    use super::Scope;

    #[test]
    fn an_execution_waits_for_a_provider_once_however_much_it_needs_of_it() {
        const PATIENCE: Duration = Duration::from_secs(1);
        let (hangs, other) = (IntegrationId::from("hangs"), IntegrationId::from("other"));
        let scope = || Scope::new("acme".into(), DateTime::UNIX_EPOCH, None);
        let (impatient, waiting) = (scope(), scope().waiting());
        assert_eq!(impatient.fetches.patience(&hangs, PATIENCE), Some(PATIENCE));
        assert!(impatient.background_fetches().is_none());
        impatient.note_background_fetch(&hangs, pending());
        assert_eq!(impatient.fetches.patience(&hangs, PATIENCE), Some(Duration::ZERO));
        assert_eq!(impatient.fetches.patience(&other, PATIENCE), Some(PATIENCE));
        assert!(impatient.is_stale() && impatient.background_fetches().is_some());
        assert_eq!(waiting.fetches.patience(&hangs, PATIENCE), None);
    }
}
