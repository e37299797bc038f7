//! The nodes' port for one execution: batches what its fields ask, and records what the answer was read from.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use chrono::Duration;
use futures::FutureExt as _;
use mullion_schema::{
    error::PortError,
    fields::FieldSet,
    id::{IntegrationId, NodeKey},
    ports::{Filter, List, ListPage, ListQuery, Lookup, Nodes, Want},
    view::{NodeView, StaleReason},
};
use parking_lot::Mutex;

use super::{
    Engine, Scope,
    failure::port_error,
    integrations::Integration,
    listing::{MOST, placed},
    read_lists::{Listed, node_refs},
    read_nodes::{Loaded, NodeWant},
    readers::Reading,
};
use crate::{
    loaders::Batcher,
    provider::{FetchWant, FetchedPage, Keeping, ListRef, NodeRef, PageWant},
    tag::Tag,
};

/// The account's list under which look-ups are kept: the name that was looked up is the filter, the node that was found the item.
pub(crate) const LOOKUPS: &str = "lookups";

/// One execution's way to the engine.
pub struct Session {
    engine: Arc<Engine>,
    scope: Arc<Scope>,
    nodes: Batcher<NodeWant, Loaded>,
    begun: Begun,
}

/// Reads of nodes that wait for others of the same tick.
type Begun = Arc<Mutex<HashMap<IntegrationId, Reading>>>;

impl Session {
    /// A session for one execution, with loaders of its own.
    pub fn new(engine: Arc<Engine>, scope: Arc<Scope>) -> Self {
        let begun = Begun::default();
        let nodes = {
            let (engine, scope, begun) = (Arc::clone(&engine), Arc::clone(&scope), Arc::clone(&begun));
            Batcher::new(engine.tasks.clone(), move |wants: Vec<NodeWant>| {
                let (engine, scope) = (Arc::clone(&engine), Arc::clone(&scope));
                let begun = std::mem::take(&mut *begun.lock());
                async move { engine.load_nodes_while(&scope, wants, begun).await }.boxed()
            })
        };
        Self { engine, scope, nodes, begun }
    }

    /// The execution.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    async fn load(&self, key: NodeKey, fields: FieldSet) -> Result<Option<Arc<NodeView>>, PortError> {
        self.scope.record(Tag::node(&self.scope.tenant, &key));
        if let Some(view) = self.engine.node_at_hand(&self.scope, &key, &fields) {
            return Ok(Some(view));
        }
        let reading = || self.engine.reading(&self.scope, &key.integration);
        self.begun.lock().entry(key.integration.clone()).or_insert_with(reading);
        // A batch answers for each of its keys, unless it broke off.
        self.nodes.load((key, fields)).await.unwrap_or_else(|| {
            tracing::error!("a batch of reads broke off");
            Err(PortError::internal())
        })
    }
}

#[async_trait]
impl Nodes for Session {
    async fn node(&self, key: NodeKey, want: Want) -> Result<Option<Arc<NodeView>>, PortError> {
        self.load(key, want.fields).await
    }

    async fn find(&self, lookup: Lookup, want: Want) -> Result<Option<Arc<NodeView>>, PortError> {
        let Some(found) = self.engine.resolve(&self.scope, &lookup, &want).await? else { return Ok(None) };
        let mut view = self.load(found.key, want.fields).await?;
        if let (Some(view), Some(reason)) = (&mut view, found.stale_because) {
            // However new the node is: whether the name still stands for it is not known.
            Arc::make_mut(view).freshness.outdate(reason);
        }
        Ok(view)
    }

    async fn list(&self, query: ListQuery) -> Result<ListPage, PortError> {
        let Listed { items, has_next, total, failure, is_cut, .. } = self.engine.read_list(&self.scope, &query).await?;
        let failure = match failure {
            Some(error) if is_cut && items.is_empty() => return Err(error),
            // Where nothing is missing, the items say themselves that they are old.
            failure => failure.filter(|_| is_cut || items.is_empty()),
        };
        Ok(ListPage { items, has_next, total, failure })
    }
}

/// The node that a name stands for.
struct Found {
    key: NodeKey,
    /// Why that is only what is known here: the provider could not be asked.
    stale_because: Option<StaleReason>,
}

impl Engine {
    /// Finds which node a name stands for: from what was looked up before, else at the provider, together with the lists of it
    /// that the document goes on to read.
    async fn resolve(&self, scope: &Scope, lookup: &Lookup, want: &Want) -> Result<Option<Found>, PortError> {
        let Some(integration) = self.directory.get(&scope.tenant, &lookup.integration).await? else { return Ok(None) };
        let list = lookup_list(lookup);
        scope.record(Tag::list(&scope.tenant, &list));
        let reading = self.reading(scope, &integration.id);
        let noted = self.fetcher.moment(&integration.id);
        let mut known = self.looked_up(scope, &integration, (lookup, &list)).await?;
        if known.is_none() && self.fetcher.is_shared() {
            // Another replica may have looked it up since.
            self.cached_store.fetched(&integration.id);
            known = self.looked_up(scope, &integration, (lookup, &list)).await?;
        }
        if let Some(found) = known {
            return Ok(found.map(|key| Found { key, stale_because: None }));
        }
        let asks = super::read_nodes::node_type(&integration, lookup.type_name)
            .map(|node_type| node_type.asks(&want.fields))
            .unwrap_or_default();
        let fetch = FetchWant::Lookup { lookup: lookup.clone(), asks: asks.clone(), lists: want.lists.clone() };
        let fetch = self.fetcher.fetch(&integration, fetch, noted);
        drop(reading);
        let outcome = match self.in_time(scope, &integration, &fetch).await {
            Some(outcome) => outcome,
            None if !scope.waits_for_unknown() || self.last_found(&integration, lookup, &list).await?.is_some() => {
                Self::leave(scope, &integration, fetch)
            }
            None => Engine::end_of(scope, fetch).await,
        };
        let key_of = |node: &NodeRef| NodeKey::new(&integration.id, node.type_name, Arc::clone(&node.native_id));
        let error = match outcome {
            Ok(fetched) => {
                let key = fetched.found.as_ref().map(key_of);
                if let Some(key) = &key {
                    scope.note_asked(key, &asks, fetched.refused.as_ref());
                }
                return Ok(key.map(|key| Found { key, stale_because: None }));
            }
            Err(error) => error,
        };
        scope.note_stale();
        // There is no such thing, says the provider.
        let Some(reason) = error.kind.stale_reason() else { return Ok(None) };
        match self.last_found(&integration, lookup, &list).await? {
            Some(node) => Ok(Some(Found { key: key_of(&node), stale_because: Some(reason) })),
            None => Err(port_error(&integration, &error)),
        }
    }

    /// The node that a name stands for as far as it is known without asking: the one found when the name was last
    /// looked up, or the one that has this name in the list that such things stand in.
    async fn last_found(
        &self,
        integration: &Integration,
        lookup: &Lookup,
        list: &List,
    ) -> Result<Option<NodeRef>, PortError> {
        let found = self.listing(integration, list, 1).await?;
        if let Some(item) = found.as_ref().and_then(|listing| listing.items.first()) {
            let named = item.known.as_ref().and_then(|known| integration.provider.is_named(lookup, &known.stored.body));
            if named != Some(false) {
                return Ok(Some(item.node.clone()));
            }
        }
        let Some(listed) = integration.provider.listed_in(lookup) else { return Ok(None) };
        let list = of_integration(integration, listed);
        let tenant = &integration.tenant;
        let nodes: Vec<NodeRef> = match integration.keeping(&list) {
            Keeping::Opaque => {
                let window = self.cached_store.window(tenant, &list).await?;
                window.map(|window| node_refs(integration, &window)).unwrap_or_default()
            }
            Keeping::Window => {
                let members = self.cached_store.members(tenant, &list, None, MOST).await?;
                members.into_iter().filter_map(|member| Some(placed(integration, member)?.1)).collect()
            }
        };
        let key_of = |node: &NodeRef| NodeKey::new(&integration.id, node.type_name, Arc::clone(&node.native_id));
        let stored = self.cached_store.nodes(tenant, &nodes.iter().map(key_of).collect::<Vec<_>>()).await?;
        let named = nodes.into_iter().zip(stored).filter_map(|(node, stored)| {
            let body = &stored.filter(|stored| !stored.is_deleted())?.body;
            let is_archived = body.get("isArchived").and_then(serde_json::Value::as_bool).unwrap_or_default();
            integration.provider.is_named(lookup, body)?.then_some((is_archived, node))
        });
        // A name that was given again stands for the one that is in use.
        Ok(named.min_by_key(|(is_archived, _)| *is_archived).map(|(_, node)| node))
    }
}

impl Engine {
    /// The node that was found when this was looked up, `Some(None)` if there was none; `None`: it must be looked up again.
    async fn looked_up(
        &self,
        scope: &Scope,
        integration: &Arc<Integration>,
        (lookup, list): (&Lookup, &List),
    ) -> Result<Option<Option<NodeKey>>, PortError> {
        let Some(listing) = self.listing(integration, list, 1).await? else { return Ok(None) };
        let (window, now) = (&listing.window, self.clock.now());
        let key_of = |node: &NodeRef| NodeKey::new(&integration.id, node.type_name, Arc::clone(&node.native_id));
        let Some(found) = listing.items.first() else {
            // A thing with this name may be there since then, and news of it need not come.
            if let Some(listed) = integration.provider.listed_in(lookup) {
                scope.record(Tag::list(&scope.tenant, &of_integration(integration, listed)));
            }
            let node = self.last_found(integration, lookup, list).await?;
            let is_trusted = scope.trusts(integration, window, now) && now - window.fetched_at <= ABSENT_FOR;
            return Ok(node.map(|node| Some(key_of(&node))).or(is_trusted.then_some(None)));
        };
        // Since it was looked up it got another name, and this one may stand for something else by now.
        let is_renamed = found.known.as_ref().is_some_and(|known| {
            let stored = &known.stored;
            stored.fetched_at() > window.fetched_at
                && integration.provider.is_named(lookup, &stored.body) == Some(false)
        });
        let is_trusted = scope.trusts(integration, window, now) && !is_renamed;
        Ok(is_trusted.then(|| Some(key_of(&found.node))))
    }
}

/// How long a name that stood for nothing is not looked up again.
const ABSENT_FOR: Duration = Duration::seconds(10);

/// A list of an integration, without a filter.
fn of_integration(integration: &Integration, list: ListRef) -> List {
    let parent = list.parent.map(|parent| (parent.type_name, parent.native_id));
    List { integration: integration.id.clone(), parent, name: list.name, filter: Filter::new() }
}

/// The list under which a look-up's answer is kept.
pub(crate) fn lookup_list(lookup: &Lookup) -> List {
    let mut filter: HashMap<&'static str, Vec<String>> =
        lookup.arguments.iter().map(|(name, value)| (*name, vec![value.to_lowercase()])).collect();
    filter.insert("lookup", vec![lookup.name.to_owned()]);
    List { integration: lookup.integration.clone(), parent: None, name: LOOKUPS, filter: filter.into_iter().collect() }
}

/// What a look-up found, as a page of that list: nothing is an answer too.
pub(crate) fn lookup_page(lookup: &Lookup, found: Option<NodeRef>) -> FetchedPage {
    let list = ListRef { parent: None, name: LOOKUPS };
    let total = i64::from(found.is_some());
    FetchedPage {
        want: PageWant { list, filter: lookup_list(lookup).filter, cursor: None },
        items: found.into_iter().collect(),
        next: None,
        total: Some(total),
    }
}
