//! The hub: takes in every change of the stream, and finds and wakes the live operations that it touches.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use mullion_schema::{
    enums::UpdateReason,
    id::{IntegrationId, TenantId},
    ports::ActivitySource,
};
use parking_lot::Mutex;

use super::{
    Retry, Run,
    activity_feed::{ActivityFeed, Feeds},
    index::TagIndex,
    operation::{Operation, OperationKey, Watched},
    pending::PendingTenants,
    slot::SeenSlots,
};
use crate::{
    background::Background,
    budget::{Budget, Share, Tally},
    store::stream::AppliedChange,
    tag::Tag,
    trace_context::TraceContext,
};

/// All live operations of this process.
pub struct LiveHub {
    state: Mutex<State>,
    pub(super) tasks: Background,
    pub(super) rules: LiveRules,
    pending: PendingTenants,
    /// The live operations of each tenant, and its subscriptions.
    running: Arc<Tally>,
    pub(super) subscribed: Arc<Tally>,
}

/// How live operations are run.
#[derive(Debug, Clone, Copy)]
pub struct LiveRules {
    /// How often values of integrations whose webhooks are silent are read again, while somebody watches; and how often those who
    /// are told nothing are told how far that goes.
    pub reread: Duration,
    /// Over how many changes a widget, a dashboard or nodes are resumed. Beyond, all of their state is told: it is as true, and
    /// costs no more than a first subscription.
    pub replayed: i64,
    /// How a read that failed is repeated.
    pub retry: Retry,
    /// How long a snapshot is kept that nobody is told any more: thousands who come together share it, and an operation that runs
    /// for days does not hold its answer for the next one.
    pub snapshot: Duration,
    /// Slots that one change touches are done at nearly the same time. The first waits so long for the others, so that subscribers
    /// are woken once for all of them.
    pub together: Duration,
    /// Live operations that each tenant may run.
    pub operations: usize,
    /// Subscriptions of each tenant, however many of them share a live operation.
    pub subscriptions: usize,
}

impl Default for LiveRules {
    fn default() -> Self {
        Self {
            reread: Duration::from_mins(1),
            replayed: 10_000,
            retry: Retry::default(),
            snapshot: Duration::from_secs(5),
            together: Duration::from_millis(20),
            operations: 5_000,
            subscriptions: 50_000,
        }
    }
}

/// An operation that a subscriber came in to.
pub(super) struct Entered {
    pub(super) operation: Arc<Operation>,
    /// The share of the tenant's operations of one that is new, and is to be driven.
    pub(super) running: Option<Share>,
}

#[derive(Default)]
struct State {
    next: u64,
    by_key: HashMap<OperationKey, u64>,
    operations: HashMap<u64, Arc<Operation>>,
    feeds: HashMap<TenantId, Feeds>,
    index: TagIndex,
    /// Up to where the changes of a tenant have marked what they touch.
    published: HashMap<TenantId, i64>,
}

impl State {
    fn retire(&mut self, operation: &Operation) {
        if self.by_key.get(&operation.key) == Some(&operation.number) {
            self.by_key.remove(&operation.key);
        }
    }
}

impl LiveHub {
    /// A hub whose operations run in `tasks`.
    pub fn new(tasks: impl Into<Background>, rules: LiveRules) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            tasks: tasks.into(),
            rules,
            pending: PendingTenants::default(),
            running: Arc::new(Tally::new(rules.operations)),
            subscribed: Arc::new(Tally::new(rules.subscriptions)),
        })
    }

    /// A live operation, while it runs.
    pub(super) fn operation(&self, number: u64) -> Option<Arc<Operation>> {
        self.state.lock().operations.get(&number).cloned()
    }

    /// How many live operations there are.
    pub fn operations(&self) -> usize {
        let state = self.state.lock();
        state.operations.len() + state.feeds.values().map(Feeds::len).sum::<usize>()
    }

    /// Changes after a position will be published, and their epochs advanced: up to it there is nothing to come.
    pub fn begin(&self, tenant: &TenantId, position: i64) {
        let mut state = self.state.lock();
        if !state.published.contains_key(tenant) {
            state.published.insert(tenant.clone(), position);
        }
    }

    /// Takes in changes. The epochs have been advanced before: whoever registers tags from now on sees it there.
    pub fn publish(&self, tenant: &TenantId, changes: &[AppliedChange]) {
        let trace = TraceContext::current();
        let mut state = self.state.lock();
        let mut pending = false;
        for change in changes {
            pending |= change.activity.as_ref().is_some_and(|activity| activity.pending);
            let mut cause = None;
            for (operation, slot) in state.index.watching(&change.tags) {
                if let Some(operation) = state.operations.get(&operation) {
                    let activity = || change.activity.clone().map(Arc::new);
                    let cause = cause.get_or_insert_with(activity).clone();
                    operation.mark_dirty(slot, reason(tenant, operation, slot, change), cause, trace);
                }
            }
        }
        if pending {
            self.pending.add(tenant.clone());
        }
        if let Some(feeds) = state.feeds.get(tenant) {
            feeds.hear(changes, self.rules.reread, trace);
        }
        if let Some(last) = changes.last() {
            state.published.insert(tenant.clone(), last.position);
        }
    }

    /// Up to where a tenant's changes have marked what they touch; `None` before the first of them.
    pub(super) fn published(&self, tenant: &TenantId) -> Option<i64> {
        self.state.lock().published.get(tenant).copied()
    }

    /// Changes of a tenant up to a position were missed: everything that is watched is looked at again.
    pub fn lose_track(&self, tenant: &TenantId, position: i64) {
        let mut state = self.state.lock();
        for operation in state.operations.values().filter(|operation| operation.run.tenant() == tenant) {
            operation.mark_all_dirty();
        }
        if let Some(feeds) = state.feeds.get(tenant) {
            feeds.wake();
        }
        state.published.insert(tenant.clone(), position);
    }

    /// The integrations that live operations draw on, and how many tags of each.
    pub fn watched(&self) -> Vec<((TenantId, IntegrationId), usize)> {
        self.state.lock().index.integrations().map(|(whose, count)| (whose.clone(), count)).collect()
    }

    /// The tenants of which activities wait for the names in their sentences.
    pub fn pending(&self) -> &PendingTenants {
        &self.pending
    }

    /// The tenants whose activities are followed.
    pub fn followed(&self) -> Vec<TenantId> {
        self.state.lock().feeds.keys().cloned().collect()
    }

    /// The tags of an integration that live operations draw on.
    pub fn tags_of(&self, tenant: &TenantId, integration: &IntegrationId) -> Vec<Tag> {
        self.state.lock().index.of_integration(tenant, integration)
    }

    /// Something of an integration may have been missed: what is watched of it is read again.
    pub fn reread(&self, tenant: &TenantId, integration: &IntegrationId) {
        let state = self.state.lock();
        for operation in state.operations.values().filter(|operation| operation.run.tenant() == tenant) {
            operation.mark_dirty_of(integration);
        }
    }

    /// The feed of all who ask the same; a new one, unless its tenant runs as many operations as it may.
    pub(super) fn feed(&self, run: &Arc<dyn Run>, filter: ActivitySource) -> Result<Arc<ActivityFeed>, Budget> {
        let take = || self.running.take(run.tenant(), 1).ok_or(Budget::Operations);
        let mut state = self.state.lock();
        let feeds = state.feeds.entry(run.tenant().clone()).or_default();
        let feed = feeds.feed(run, filter, self.rules.retry, take);
        if feeds.len() == 0 {
            state.feeds.remove(run.tenant());
        }
        feed
    }

    /// A subscriber comes in: to the operation that runs under this key, or to a new one, unless its tenant runs as many as it may.
    pub(super) fn enter(&self, run: &Arc<dyn Run>, key: OperationKey, watched: Watched) -> Result<Entered, Budget> {
        let mut state = self.state.lock();
        let known = state.by_key.get(&key).and_then(|number| state.operations.get(number)).cloned();
        let (operation, running) = if let Some(operation) = known {
            (operation, None)
        } else {
            let running = self.running.take(run.tenant(), 1).ok_or(Budget::Operations)?;
            state.next += 1;
            let operation = Operation::new(state.next, key.clone(), Arc::clone(run), watched);
            state.by_key.insert(key, operation.number);
            state.operations.insert(operation.number, Arc::clone(&operation));
            (operation, Some(running))
        };
        operation.enter();
        Ok(Entered { operation, running })
    }

    /// The live operations of a tenant that watch one of these tags, `most` at most: the name of each, and how many subscribe to it.
    pub fn watching(&self, tenant: &TenantId, tags: &HashSet<Tag>, most: usize) -> Vec<(Option<String>, usize)> {
        let operations: Vec<Arc<Operation>> = {
            let state = self.state.lock();
            let mut numbers: Vec<u64> = state.index.watching(tags).into_iter().map(|(number, _)| number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers.iter().filter_map(|number| state.operations.get(number).cloned()).collect()
        };
        let own = operations.iter().filter(|operation| operation.run.tenant() == tenant);
        own.take(most).map(|operation| (operation.run.name().map(str::to_owned), operation.subscribers())).collect()
    }

    /// A subscriber left; the last one takes the operation along.
    pub(super) fn leave(&self, operation: &Arc<Operation>, seen: &mut SeenSlots) {
        let mut state = self.state.lock();
        if !operation.leave(seen) {
            return;
        }
        state.operations.remove(&operation.number);
        state.retire(operation);
        for (slot, tags) in operation.stop() {
            state.index.replace((operation.number, slot), &tags, &HashSet::new());
        }
    }

    /// An operation tells nothing any more: who subscribes from now on gets another one.
    pub(super) fn retire(&self, operation: &Operation) {
        self.state.lock().retire(operation);
    }

    /// Registers what a slot's newest answer was read from. False when the operation has ended meanwhile.
    pub(super) fn register(
        &self,
        operation: &Operation,
        slot: u32,
        before: &HashSet<Tag>,
        tags: &HashSet<Tag>,
    ) -> bool {
        let mut state = self.state.lock();
        if !state.operations.contains_key(&operation.number) {
            return false;
        }
        state.index.replace((operation.number, slot), before, tags);
        true
    }

    /// A follower of a feed left; the last one takes it along.
    pub(super) fn forget_feed(&self, tenant: &TenantId, key: &str) {
        let mut state = self.state.lock();
        if let Some(feeds) = state.feeds.get_mut(tenant) {
            feeds.forget(key);
            if feeds.len() == 0 {
                state.feeds.remove(tenant);
            }
        }
    }
}

/// What a change means for a slot: was the widget itself configured or refreshed, or did what it shows change?
fn reason(tenant: &TenantId, operation: &Operation, slot: u32, change: &AppliedChange) -> UpdateReason {
    let Some(widget) = operation.widget(slot) else { return UpdateReason::Changed };
    let own = |type_name| change.tags.contains(&Tag::own(tenant, type_name, widget.as_str()));
    if own("Widget") {
        UpdateReason::Configured
    } else if own("Refresh") {
        UpdateReason::Refreshed
    } else {
        UpdateReason::Changed
    }
}
