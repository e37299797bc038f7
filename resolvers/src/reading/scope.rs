//! What one execution carries along: whose it is, how old its answers may be, and the tags it touches.

use std::{
    any::Any,
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, Duration, Utc};
use foldhash::fast::RandomState;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, join_all},
};
use mullion_schema::{
    id::{IntegrationId, NodeKey, TenantId},
    ports::List,
};
use parking_lot::Mutex;

use super::{fetcher::Waiting, integrations::Integration, unstored::Unstored};
use crate::{store::list::Window, tag::Tag, upstream::UpstreamError};

/// Ends with the fetches that an execution did not wait for.
pub type Late = Shared<BoxFuture<'static, ()>>;

/// Providers' answers about one node.
#[derive(Debug, Default)]
struct Asked {
    /// The body keys that were asked for and answered.
    keys: BTreeSet<&'static str>,
    /// Why some of them are not in the answer, where the provider says so.
    refused: Option<UpstreamError>,
}

/// Which fetches an execution waits for to their end. It waits briefly for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    /// Those of things of which no older value is known.
    Unknown,
    All,
    Nothing,
}

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
    failed: AtomicBool,
    read: AtomicBool,
    noted: OnceLock<i64>,
    /// The turn, held while it runs and not while it waits for a provider.
    turn: Mutex<Option<Box<dyn Any + Send>>>,
    /// Answers of providers, by node.
    asked: Mutex<HashMap<NodeKey, Asked>>,
    waits: WaitsFor,
    /// Lists that could not be read again: each is asked for once.
    lists: Mutex<HashMap<List, UpstreamError>>,
    /// Integrations that it has already waited for as long as it may.
    overdue: Mutex<HashSet<IntegrationId>>,
    /// Fetches that it did not wait for.
    late: Mutex<Vec<Waiting>>,
    /// What was fetched for it and could not be stored.
    pub(super) unstored: Mutex<Vec<Arc<Unstored>>>,
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
            failed: AtomicBool::new(false),
            read: AtomicBool::new(false),
            noted: OnceLock::new(),
            turn: Mutex::default(),
            asked: Mutex::default(),
            waits: WaitsFor::Unknown,
            lists: Mutex::default(),
            overdue: Mutex::default(),
            late: Mutex::default(),
            unstored: Mutex::default(),
            #[cfg(test)]
            slow: false,
        }
    }

    /// The same for an execution that waits for every fetch to its end, although an older value is known.
    #[must_use]
    pub fn waiting(self) -> Self {
        Self { waits: WaitsFor::All, ..self }
    }

    /// The same for an execution that waits for no fetch longer than briefly, because others stand behind it.
    #[must_use]
    pub fn hurrying(self) -> Self {
        Self { waits: WaitsFor::Nothing, ..self }
    }

    /// Whether it waits for a fetch to its end where nothing is known that could be answered instead.
    pub(super) fn waits_for_unknown(&self) -> bool {
        self.waits != WaitsFor::Nothing
    }

    /// Why a list could not be read again in this execution.
    pub(super) fn failed_list(&self, list: &List) -> Option<UpstreamError> {
        self.lists.lock().get(list).cloned()
    }

    /// Notes that a list could not be read again.
    pub(super) fn note_failed_list(&self, list: &List, error: &UpstreamError) {
        self.lists.lock().insert(list.clone(), error.clone());
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

    /// Holds a turn until the execution gives it back.
    pub fn hold_turn(&self, turn: impl Any + Send) {
        *self.turn.lock() = Some(Box::new(turn));
    }

    /// Gives the turn back: the execution is done, or waits for a provider, which may take long and needs no processor.
    pub fn give_turn_back(&self) {
        let turn = self.turn.lock().take();
        drop(turn);
    }

    /// Notes that a provider has answered for these body keys of a node; `refused`: why it left some of them out.
    pub(super) fn note_asked(&self, key: &NodeKey, asks: &BTreeSet<&'static str>, refused: Option<&UpstreamError>) {
        let mut asked = self.asked.lock();
        let asked = asked.entry(key.clone()).or_default();
        asked.keys.extend(asks);
        if let Some(refused) = refused {
            asked.refused = Some(refused.clone());
        }
    }

    /// Whether a provider has answered for all of these body keys of a node in this execution: what it left out, it does not have.
    pub(super) fn has_asked(&self, key: &NodeKey, mut keys: impl Iterator<Item = &'static str>) -> bool {
        let asked = self.asked.lock();
        asked.get(key).is_some_and(|asked| keys.all(|key| asked.keys.contains(key)))
    }

    /// Why a provider left fields of a node out of its answer to this execution.
    pub(super) fn refused(&self, key: &NodeKey) -> Option<UpstreamError> {
        self.asked.lock().get(key)?.refused.clone()
    }

    /// How long it waits for a fetch where an older value is known; `None`: to its end. An integration is waited for once, however
    /// many fetches the execution needs one after another.
    pub(super) fn patience(
        &self,
        integration: &IntegrationId,
        patience: std::time::Duration,
    ) -> Option<std::time::Duration> {
        if self.waits == WaitsFor::All {
            return None;
        }
        Some(if self.overdue.lock().contains(integration) { std::time::Duration::ZERO } else { patience })
    }

    /// Notes a fetch that it did not wait for.
    pub(super) fn note_late(&self, integration: &IntegrationId, fetch: Waiting) {
        self.note_stale();
        self.overdue.lock().insert(integration.clone());
        self.late.lock().push(fetch);
    }

    /// Takes over what another execution, which reads for this one, did not wait for. Says whether anything is not current.
    pub fn take_over(&self, other: &Self) -> bool {
        let late = std::mem::take(&mut *other.late.lock());
        self.late.lock().extend(late);
        if other.is_stale() {
            self.note_stale();
        }
        other.is_stale()
    }

    /// Ends when all fetches have ended that it did not wait for; `None`: it waited for all.
    pub fn late(&self) -> Option<Late> {
        let late = std::mem::take(&mut *self.late.lock());
        (!late.is_empty()).then(|| join_all(late).map(drop).boxed().shared())
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

    /// Whether a list answers as far as it was read.
    pub(super) fn trusts(&self, integration: &Integration, window: &Window, now: DateTime<Utc>) -> bool {
        !window.stale && now - window.fetched_at <= self.trust(integration, now)
    }

    /// How old a value of this integration may be.
    pub fn trust(&self, integration: &Integration, now: DateTime<Utc>) -> Duration {
        let trust = integration.trust(now);
        self.max_age.map_or(trust, |max_age| max_age.min(trust))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use chrono::DateTime;
    use futures::FutureExt as _;
    use mullion_schema::id::IntegrationId;

    use super::Scope;

    #[test]
    fn an_execution_waits_for_a_provider_once_however_much_it_needs_of_it() {
        const PATIENCE: Duration = Duration::from_secs(1);
        let (hangs, other) = (IntegrationId::from("hangs"), IntegrationId::from("other"));
        let scope = || Scope::new("acme".into(), DateTime::UNIX_EPOCH, None);
        let (impatient, waiting) = (scope(), scope().waiting());
        assert_eq!(impatient.patience(&hangs, PATIENCE), Some(PATIENCE));
        assert!(impatient.late().is_none());
        impatient.note_late(&hangs, pending().boxed().shared());
        assert_eq!(impatient.patience(&hangs, PATIENCE), Some(Duration::ZERO));
        assert_eq!(impatient.patience(&other, PATIENCE), Some(PATIENCE));
        assert!(impatient.is_stale() && impatient.late().is_some());
        assert_eq!(waiting.patience(&hangs, PATIENCE), None);
    }
}
