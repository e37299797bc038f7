//! Reads nodes: from the cache, the store, the provider, in that order; the last known value when the provider cannot answer.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::future::{OptionFuture, join_all};
use mullion_schema::{
    error::PortError,
    fields::FieldSet,
    id::{IntegrationId, NodeKey},
    view::NodeView,
};

use super::{
    Engine,
    failure::port_error,
    fetches::{fetcher::Moment, readers::Reading},
    integrations::Integration,
    node_view::node_view,
    scope::Scope,
};
use crate::{
    provider::{FetchWant, NodeRef},
    store::node::StoredNode,
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// The result for one key: the node, `None` when nobody knows it, or the failure that left nothing to show.
pub(crate) type Loaded = Result<Option<Arc<NodeView>>, PortError>;

/// One node that is wanted, with the GraphQL fields selected on it.
pub(crate) type NodeWant = (NodeKey, FieldSet);

/// How far a stored node answers a want.
enum Answer {
    /// As it is.
    Whole,
    /// Keys are missing, or it is marked stale or too old: these are asked for.
    Ask(BTreeSet<&'static str>),
}

impl Engine {
    /// Loads nodes, batched: one read of the store and one batch for each integration, side by side.
    pub(crate) async fn load_nodes(&self, scope: &Scope, wants: Vec<NodeWant>) -> HashMap<NodeWant, Loaded> {
        self.load_nodes_while(scope, wants, HashMap::new()).await
    }

    /// The same for who has begun to read of some integrations already.
    pub(super) async fn load_nodes_while(
        &self,
        scope: &Scope,
        wants: Vec<NodeWant>,
        mut begun: HashMap<IntegrationId, Reading>,
    ) -> HashMap<NodeWant, Loaded> {
        let mut by_integration: HashMap<_, Vec<NodeWant>> = HashMap::new();
        for want in wants {
            by_integration.entry(want.0.integration.clone()).or_default().push(want);
        }
        let loads = by_integration.into_iter().map(|(id, wants)| {
            let reading = begun.remove(&id).unwrap_or_else(|| self.reading(scope, &id));
            async move {
                match self.directory.get(&scope.tenant, &id).await {
                    Ok(Some(integration)) => self.load_from(scope, &integration, wants, reading).await,
                    // Unknown and foreign integrations answer the same: nothing.
                    Ok(None) => wants.into_iter().map(|want| (want, Ok(None))).collect(),
                    Err(error) => wants.into_iter().map(|want| (want, Err(error.clone()))).collect(),
                }
            }
        });
        let loads: Vec<_> = loads.collect();
        drop(begun);
        join_all(loads).await.into_iter().flatten().collect()
    }

    async fn load_from(
        &self,
        scope: &Scope,
        integration: &Arc<Integration>,
        wants: Vec<NodeWant>,
        reading: Reading,
    ) -> Vec<(NodeWant, Loaded)> {
        let noted = self.fetcher.moment(&integration.id);
        let keys: Vec<NodeKey> = wants.iter().map(|(key, _)| key.clone()).collect();
        let (mut stored, answers) = match self.look(scope, integration, &wants, &keys).await {
            Ok(found) => found,
            Err(error) => return wants.into_iter().map(|want| (want, Err(error.clone()))).collect(),
        };
        let asked = wants.iter().zip(&stored).zip(answers).map(|((want, stored), answer)| match answer {
            Answer::Whole => None,
            Answer::Ask(asks) => Some(self.ask(scope, integration, (want, stored.as_deref(), asks), noted)),
        });
        let asked: Vec<_> = asked.map(OptionFuture::from).collect();
        drop(reading);
        let outcomes = join_all(asked).await;
        if outcomes.iter().any(Option::is_some) {
            stored = match self.stored_or_fetched(scope, &keys).await {
                Ok(stored) => stored,
                Err(error) => return wants.into_iter().map(|want| (want, Err(error.clone()))).collect(),
            };
        }
        let answers = wants.into_iter().zip(stored).zip(outcomes).map(|((want, stored), mut outcome)| {
            if outcome.as_ref().is_some_and(Result::is_err) {
                let judged = self.judge(scope, integration, (&want.0, &want.1), stored.as_deref());
                if matches!(judged, Answer::Whole) {
                    // It came all the same: while others of this batch were waited for, or by a webhook.
                    outcome = Some(Ok(()));
                } else {
                    scope.note_stale();
                }
            }
            let answer = answer(scope, integration, &want.0, (stored, outcome.as_ref()));
            (want, answer)
        });
        answers.collect()
    }

    /// Begins to fetch what is missing of a node, and waits for it.
    fn ask<'a>(
        &'a self,
        scope: &'a Scope,
        integration: &'a Arc<Integration>,
        ((key, fields), stored, asks): (&'a NodeWant, Option<&StoredNode>, BTreeSet<&'static str>),
        noted: Moment,
    ) -> impl Future<Output = Result<(), UpstreamError>> + use<'a> {
        let node = NodeRef::new(key.type_name, Arc::clone(&key.native_id));
        let fetch = self.fetcher.fetch(integration, FetchWant::Node { node, asks: asks.clone() }, noted);
        let needs = integration.node_type(key.type_name).map(|node_type| node_type.needs(fields));
        let known = stored.filter(|stored| is_something(stored)).zip(needs);
        let known = known.is_some_and(|(stored, needs)| stored.knows(needs));
        async move {
            let fetched = self.wait(scope, integration, fetch, known).await?;
            scope.fetches.note_answered(key, &asks, fetched.refused.as_ref());
            Ok(())
        }
    }

    /// Reads these nodes from the store and decides which must be asked for. Where other replicas fetch too, a value in memory is
    /// no reason to ask: they may have stored newer ones without any change that would have told of it.
    async fn look(
        &self,
        scope: &Scope,
        integration: &Integration,
        wants: &[NodeWant],
        keys: &[NodeKey],
    ) -> Result<(Vec<Option<Arc<StoredNode>>>, Vec<Answer>), PortError> {
        let judge = |stored: &[Option<Arc<StoredNode>>]| -> Vec<Answer> {
            let wants = wants.iter().zip(stored);
            wants
                .map(|((key, fields), stored)| self.judge(scope, integration, (key, fields), stored.as_deref()))
                .collect()
        };
        let stored = self.stored_or_fetched(scope, keys).await?;
        let answers = judge(&stored);
        let is_asked = |answer: &Answer| matches!(answer, Answer::Ask(_));
        if !self.fetcher.is_shared() || !answers.iter().any(is_asked) {
            return Ok((stored, answers));
        }
        for (key, _) in keys.iter().zip(&answers).filter(|(_, answer)| is_asked(answer)) {
            self.cached_store.cache().forget(&scope.tenant, key);
        }
        let stored = self.stored_or_fetched(scope, keys).await?;
        let answers = judge(&stored);
        Ok((stored, answers))
    }

    /// A node that is in memory and answers all that is wanted of it.
    pub(crate) fn node_at_hand(&self, scope: &Scope, key: &NodeKey, fields: &FieldSet) -> Option<Arc<NodeView>> {
        let integration = self.directory.at_hand(&scope.tenant, &key.integration)?;
        let stored = self.cached_store.node_at_hand(&scope.tenant, key)?;
        match self.judge(scope, &integration, (key, fields), Some(&stored)) {
            // Without an outcome there is no failure, and a node that is gone is none.
            Answer::Whole => answer(scope, &integration, key, (Some(stored), None)).ok().flatten(),
            Answer::Ask(_) => None,
        }
    }

    fn judge(
        &self,
        scope: &Scope,
        integration: &Integration,
        (key, fields): (&NodeKey, &FieldSet),
        stored: Option<&StoredNode>,
    ) -> Answer {
        let Some(node_type) = integration.node_type(key.type_name) else { return Answer::Whole };
        let Some(stored) = stored else { return Answer::Ask(node_type.asks(fields)) };
        let needs = || node_type.needs(fields);
        // The provider does not have a field that it left out although this execution has asked for it.
        let has_answered = || {
            let missing = needs().filter(|key| !stored.body.contains_key(*key));
            !stored.is_stale() && scope.fetches.has_answered(key, missing)
        };
        let covered = integration.covers_node(key, &stored.body);
        if self.age_limit(scope, integration, covered).admits(stored, || stored.is_fresh(needs()) || has_answered()) {
            Answer::Whole
        } else {
            Answer::Ask(node_type.asks(fields))
        }
    }

    /// The nodes with these keys as they are stored, or as they were fetched for this execution and could not be stored.
    async fn stored_or_fetched(
        &self,
        scope: &Scope,
        keys: &[NodeKey],
    ) -> Result<Vec<Option<Arc<StoredNode>>>, PortError> {
        let stored = self.cached_store.nodes(&scope.tenant, keys).await;
        if !scope.fetches.has_unstored() {
            return stored;
        }
        let unstored = keys.iter().map(|key| scope.fetches.unstored_node(key));
        match stored {
            Ok(stored) => Ok(unstored.zip(stored).map(|(unstored, stored)| unstored.or(stored)).collect()),
            // Everything that is wanted is here.
            Err(error) => unstored.map(|node| node.map(Some).ok_or_else(|| error.clone())).collect(),
        }
    }
}

/// Whether there is something to show: the provider has not deleted it, and has not answered that it does not know it.
fn is_something(stored: &StoredNode) -> bool {
    !stored.is_deleted() && !stored.is_unknown() && !stored.body.is_empty()
}

fn answer(
    scope: &Scope,
    integration: &Integration,
    key: &NodeKey,
    (stored, outcome): (Option<Arc<StoredNode>>, Option<&Result<(), UpstreamError>>),
) -> Loaded {
    let failure = outcome.and_then(|outcome| outcome.as_ref().err());
    // Only this failure is an answer: there is no such thing.
    let failure = failure.filter(|error| error.kind != UpstreamErrorKind::NotFound);
    match (stored.filter(|stored| is_something(stored)), failure) {
        (Some(stored), Some(error)) => {
            let view = node_view(key, &stored, false, error.kind.stale_reason());
            Ok(Some(Arc::new(NodeView { failure: Some(Arc::new(port_error(integration, error))), ..view })))
        }
        (Some(stored), None) => {
            let refused = scope.fetches.refused(key).map(|error| Arc::new(port_error(integration, &error)));
            Ok(Some(Arc::new(NodeView { failure: refused, ..node_view(key, &stored, outcome.is_some(), None) })))
        }
        (None, Some(error)) => Err(port_error(integration, error)),
        (None, None) => Ok(None),
    }
}
