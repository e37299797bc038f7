//! Reads nodes: from the cache, the store, the provider, in that order; the last known value when the provider cannot answer.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Duration, Utc};
use futures::future::join_all;
use mullion_schema::{
    error::PortError,
    fields::FieldSet,
    id::{IntegrationId, NodeKey},
    table::NodeType,
    view::{FreshnessSource, FreshnessView, NodeView, StaleReason},
};

use super::{Engine, Scope, failure::port_error, integrations::Integration, readers::Reading};
use crate::{
    change::NodeRef,
    provider::FetchWant,
    store::{merge::Source, node::StoredNode},
    upstream::UpstreamError,
};

/// What came of one key: the node, `None` when nobody knows it, or the failure that left nothing to show.
pub(crate) type Loaded = Result<Option<Arc<NodeView>>, PortError>;

/// One node that is wanted, with the GraphQL fields selected on it.
pub(crate) type NodeWant = (NodeKey, FieldSet);

/// A node, with the body keys that the provider is asked for.
type Asked = (NodeKey, BTreeSet<&'static str>);

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
        let (stored, asks) = match self.look(scope, integration, &wants, &keys).await {
            Ok(found) => found,
            Err(error) => return wants.into_iter().map(|want| (want, Err(error.clone()))).collect(),
        };
        let asked: Vec<_> = asks
            .into_iter()
            .map(|(key, asks)| {
                let node = NodeRef::new(key.type_name, Arc::clone(&key.native_id));
                let fetch = self.fetcher.fetch(integration, FetchWant::Node { node, asks }, noted);
                async move { (key, fetch.await) }
            })
            .collect();
        drop(reading);
        if !asked.is_empty() {
            scope.give_turn_back();
        }
        let outcomes: HashMap<NodeKey, Result<(), UpstreamError>> =
            join_all(asked).await.into_iter().map(|(key, outcome)| (key, outcome.map(drop))).collect();
        let stored = if outcomes.is_empty() {
            stored
        } else {
            match self.shelf.nodes(&scope.tenant, &keys).await {
                Ok(stored) => stored,
                Err(error) => return wants.into_iter().map(|want| (want, Err(error.clone()))).collect(),
            }
        };
        if outcomes.values().any(Result::is_err) {
            scope.note_stale();
        }
        wants
            .into_iter()
            .zip(stored)
            .map(|(want, stored)| {
                let answer = answer(integration, &want.0, stored, outcomes.get(&want.0));
                (want, answer)
            })
            .collect()
    }

    /// What is stored of these nodes, and what must be asked for. Where other replicas fetch too, what is in memory is no reason to
    /// ask: they may have stored newer values without any change that would have told of it.
    async fn look(
        &self,
        scope: &Scope,
        integration: &Integration,
        wants: &[NodeWant],
        keys: &[NodeKey],
    ) -> Result<(Vec<Option<Arc<StoredNode>>>, Vec<Asked>), PortError> {
        let asks = |stored: &[Option<Arc<StoredNode>>]| -> Vec<Asked> {
            let judged = wants.iter().zip(stored).map(|((key, fields), stored)| {
                (key, self.judge(scope, integration, (key.type_name, fields), stored.as_deref()))
            });
            judged
                .filter_map(|(key, answer)| match answer {
                    Answer::Ask(asks) => Some((key.clone(), asks)),
                    Answer::Whole => None,
                })
                .collect()
        };
        let stored = self.shelf.nodes(&scope.tenant, keys).await?;
        let asked = asks(&stored);
        if asked.is_empty() || !self.fetcher.is_shared() {
            return Ok((stored, asked));
        }
        for (key, _) in &asked {
            self.shelf.cache().forget(&scope.tenant, key);
        }
        let stored = self.shelf.nodes(&scope.tenant, keys).await?;
        let asked = asks(&stored);
        Ok((stored, asked))
    }

    /// A node that is in memory and answers all that is wanted of it.
    pub(crate) fn node_at_hand(&self, scope: &Scope, key: &NodeKey, fields: &FieldSet) -> Option<Arc<NodeView>> {
        let integration = self.directory.at_hand(&scope.tenant, &key.integration)?;
        let stored = self.shelf.node_at_hand(&scope.tenant, key)?;
        match self.judge(scope, &integration, (key.type_name, fields), Some(&stored)) {
            Answer::Whole => answer(&integration, key, Some(stored), None).ok().flatten(),
            Answer::Ask(_) => None,
        }
    }

    fn judge(
        &self,
        scope: &Scope,
        integration: &Integration,
        (type_name, fields): (&str, &FieldSet),
        stored: Option<&StoredNode>,
    ) -> Answer {
        let Some(node_type) = node_type(integration, type_name) else { return Answer::Whole };
        let Some(stored) = stored else { return Answer::Ask(node_type.asks(fields)) };
        if self.is_enough(scope, integration, stored, || stored.is_fresh(node_type.needs(fields))) {
            Answer::Whole
        } else {
            Answer::Ask(node_type.asks(fields))
        }
    }

    /// Whether a stored node answers as it is; `fresh` says whether all that is wanted is known and not out of date.
    pub(super) fn is_enough(
        &self,
        scope: &Scope,
        integration: &Integration,
        stored: &StoredNode,
        fresh: impl FnOnce() -> bool,
    ) -> bool {
        self.trust(scope, integration).suffices(stored, fresh)
    }

    /// How far what is stored of an integration is trusted at this moment.
    pub(super) fn trust(&self, scope: &Scope, integration: &Integration) -> Trust {
        let now = self.clock.now();
        Trust { now, longest: scope.trust(integration, now), started_at: scope.started_at }
    }
}

/// How far what is stored is trusted: to be asked of many nodes at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    now: DateTime<Utc>,
    longest: Duration,
    started_at: DateTime<Utc>,
}

impl Trust {
    /// Whether a stored node answers as it is; `fresh` says whether all that is wanted is known and not out of date.
    pub(super) fn suffices(&self, stored: &StoredNode, fresh: impl FnOnce() -> bool) -> bool {
        // What the provider did not know when it was last asked, and nothing was heard of since, is what there is.
        if stored.is_deleted() || stored.is_unknown() {
            return true;
        }
        let fetched_at = stored.fetched_at();
        // What a fetch of this execution did not bring although it was asked for, the provider does not have.
        let asked_just_now = || fetched_at >= self.started_at && !stored.is_stale();
        self.now - fetched_at <= self.longest && (fresh() || asked_just_now())
    }
}

/// The node type of a provider by its GraphQL name.
pub(crate) fn node_type(integration: &Integration, name: &str) -> Option<&'static NodeType> {
    integration.provider.descriptor().types.iter().copied().find(|node_type| node_type.name == name)
}

fn answer(
    integration: &Integration,
    key: &NodeKey,
    stored: Option<Arc<StoredNode>>,
    outcome: Option<&Result<(), UpstreamError>>,
) -> Loaded {
    let failure = outcome.and_then(|outcome| outcome.as_ref().err());
    match (stored.filter(|stored| !stored.is_deleted() && !stored.body.is_empty()), failure) {
        (Some(stored), failure) => {
            let stale_because = failure.and_then(|error| error.kind.stale_reason());
            Ok(Some(Arc::new(view(key, &stored, outcome.is_some(), stale_because))))
        }
        (None, Some(error)) => match error.kind.stale_reason() {
            Some(_) => Err(port_error(integration, error)),
            None => Ok(None),
        },
        (None, None) => Ok(None),
    }
}

/// A stored node as the graph sees it.
pub(crate) fn view(
    key: &NodeKey,
    stored: &StoredNode,
    fetched_now: bool,
    stale_because: Option<StaleReason>,
) -> NodeView {
    let source = match (stale_because, stored.source() == Source::Webhook, fetched_now) {
        (Some(_), _, _) => FreshnessSource::Stale,
        (None, true, _) => FreshnessSource::Webhook,
        (None, false, true) => FreshnessSource::Provider,
        (None, false, false) => FreshnessSource::Cache,
    };
    NodeView {
        key: key.clone(),
        body: Arc::clone(&stored.body),
        freshness: FreshnessView { fetched_at: stored.fetched_at(), source, stale_because },
    }
}
