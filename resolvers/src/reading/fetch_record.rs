//! The results of one execution's fetches, as far as they are not in the store; and the fetches that it waits for.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, join_all},
};
use mullion_schema::{
    id::{IntegrationId, NodeKey},
    ports::{Filter, List},
};
use parking_lot::Mutex;

use super::unstored::Unstored;
use crate::{
    provider::{FetchedPage, ListRef},
    store::node::StoredNode,
    upstream::UpstreamError,
};

/// Ends with the fetches that an execution did not wait for.
pub type BackgroundFetches = Shared<BoxFuture<'static, ()>>;

/// Which fetches an execution waits for to their end. It waits briefly for the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// Those of things of which no older value is known.
    #[default]
    Unknown,
    All,
    Nothing,
}

/// Providers' answers about one node.
#[derive(Debug, Default)]
struct Answered {
    /// The body keys that were asked for and answered.
    keys: BTreeSet<&'static str>,
    /// Why some of them are not in the answer, where the provider says so.
    refused: Option<UpstreamError>,
}

/// The fetches of one execution.
#[derive(Debug, Default)]
pub(super) struct FetchRecord {
    waits: WaitsFor,
    answered: Mutex<HashMap<NodeKey, Answered>>,
    /// Lists that could not be read again: each is asked for once.
    failed_lists: Mutex<HashMap<List, UpstreamError>>,
    /// Integrations that it has already waited for as long as it may.
    overdue: Mutex<HashSet<IntegrationId>>,
    /// Fetches that it did not wait for.
    in_background: Mutex<Vec<BackgroundFetches>>,
    /// Results that were fetched and could not be stored.
    unstored: Mutex<Vec<Arc<Unstored>>>,
}

impl FetchRecord {
    /// The same for an execution that waits for other fetches.
    pub(super) fn with_waits(self, waits: WaitsFor) -> Self {
        Self { waits, ..self }
    }

    /// Whether it waits for a fetch to its end where nothing is known that could be answered instead.
    pub(super) fn waits_for_unknown(&self) -> bool {
        self.waits != WaitsFor::Nothing
    }

    /// How long it waits for a fetch where an older value is known; `None`: to its end. An integration is waited for once, however
    /// many fetches the execution needs one after another.
    pub(super) fn patience(&self, integration: &IntegrationId, patience: Duration) -> Option<Duration> {
        if self.waits == WaitsFor::All {
            return None;
        }
        Some(if self.overdue.lock().contains(integration) { Duration::ZERO } else { patience })
    }

    /// Why a list could not be read again in this execution.
    pub(super) fn failed_list(&self, list: &List) -> Option<UpstreamError> {
        self.failed_lists.lock().get(list).cloned()
    }

    /// Notes that a list could not be read again.
    pub(super) fn note_failed_list(&self, list: &List, error: &UpstreamError) {
        self.failed_lists.lock().insert(list.clone(), error.clone());
    }

    /// Notes that a provider has answered for these body keys of a node; `refused`: why it left some of them out.
    pub(super) fn note_answered(&self, key: &NodeKey, asks: &BTreeSet<&'static str>, refused: Option<&UpstreamError>) {
        let mut answered = self.answered.lock();
        let answered = answered.entry(key.clone()).or_default();
        answered.keys.extend(asks);
        if let Some(refused) = refused {
            answered.refused = Some(refused.clone());
        }
    }

    /// Whether a provider has answered for all of these body keys of a node in this execution: what it left out, it does not have.
    pub(super) fn has_answered(&self, key: &NodeKey, mut keys: impl Iterator<Item = &'static str>) -> bool {
        let answered = self.answered.lock();
        answered.get(key).is_some_and(|answered| keys.all(|key| answered.keys.contains(key)))
    }

    /// Why a provider left fields of a node out of its answer to this execution.
    pub(super) fn refused(&self, key: &NodeKey) -> Option<UpstreamError> {
        self.answered.lock().get(key)?.refused.clone()
    }

    pub(super) fn leave_in_background(&self, integration: &IntegrationId, fetch: BackgroundFetches) {
        self.overdue.lock().insert(integration.clone());
        self.in_background.lock().push(fetch);
    }

    /// Takes over what another execution did not wait for.
    pub(super) fn take_over(&self, other: &Self) {
        let theirs = std::mem::take(&mut *other.in_background.lock());
        self.in_background.lock().extend(theirs);
    }

    /// Ends when all fetches have ended that it did not wait for; `None`: it waited for all.
    pub(super) fn take_background(&self) -> Option<BackgroundFetches> {
        let fetches = std::mem::take(&mut *self.in_background.lock());
        (!fetches.is_empty()).then(|| join_all(fetches).map(drop).boxed().shared())
    }

    pub(super) fn add_unstored(&self, unstored: &Arc<Unstored>) {
        self.unstored.lock().push(Arc::clone(unstored));
    }

    pub(super) fn has_unstored(&self) -> bool {
        !self.unstored.lock().is_empty()
    }

    /// A node that was fetched for this execution and not stored.
    pub(super) fn unstored_node(&self, key: &NodeKey) -> Option<Arc<StoredNode>> {
        self.unstored.lock().iter().rev().find_map(|unstored| unstored.node(key).cloned())
    }

    /// The first page of a list that was fetched for this execution and not stored, with why it was not.
    pub(super) fn unstored_page(&self, list: &ListRef, filter: &Filter) -> Option<(FetchedPage, UpstreamError)> {
        let unstored = self.unstored.lock();
        let mut found = unstored.iter().rev();
        found.find_map(|unstored| Some((unstored.first_page(list, filter)?.clone(), unstored.error.clone())))
    }

    /// Why a later page of a list is not in the store, although it was fetched.
    pub(super) fn lost_page(&self, list: &ListRef, filter: &Filter) -> Option<UpstreamError> {
        let unstored = self.unstored.lock();
        unstored.iter().find(|unstored| unstored.has_later_page(list, filter)).map(|unstored| unstored.error.clone())
    }
}
