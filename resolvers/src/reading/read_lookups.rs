//! Reads which node a name stands for: as it was looked up before, or at the provider.

use std::sync::Arc;

use chrono::Duration;
use mullion_schema::{
    error::PortError,
    id::NodeKey,
    ports::{Filter, List, Lookup, Want},
    view::StaleReason,
};

use super::{
    Engine,
    cached_store::lists::MOST_ITEMS,
    failure::port_error,
    integrations::Integration,
    list_items::{known_item, opaque_items},
    lookup_lists::lookup_list,
    scope::Scope,
};
use crate::{
    provider::{FetchWant, Keeping, ListRef, NodeRef},
    tag::Tag,
};

/// The node that a name stands for.
pub(super) struct Found {
    pub(super) key: NodeKey,
    /// Why that is only what is known here: the provider could not be asked.
    pub(super) stale_because: Option<StaleReason>,
}

impl Engine {
    /// Finds which node a name stands for: from what was looked up before, else at the provider, together with the lists of it
    /// that the document goes on to read.
    pub(super) async fn resolve(
        &self,
        scope: &Scope,
        lookup: &Lookup,
        want: &Want,
    ) -> Result<Option<Found>, PortError> {
        let Some(integration) = self.directory.get(&scope.tenant, &lookup.integration).await? else { return Ok(None) };
        let list = lookup_list(lookup);
        scope.record(Tag::list(&scope.tenant, &list));
        let reading = self.reading(scope, &integration.id);
        let noted = self.fetcher.moment(&integration.id);
        let mut known = self.looked_up(scope, &integration, lookup, &list).await?;
        if known.is_none() && self.fetcher.is_shared() {
            // Another replica may have looked it up since.
            self.cached_store.fetched(&integration.id);
            known = self.looked_up(scope, &integration, lookup, &list).await?;
        }
        if let Some(found) = known {
            return Ok(found.map(|key| Found { key, stale_because: None }));
        }
        let asks =
            integration.node_type(lookup.type_name).map(|node_type| node_type.asks(&want.fields)).unwrap_or_default();
        let fetch = FetchWant::Lookup { lookup: lookup.clone(), asks: asks.clone(), lists: want.lists.clone() };
        let fetch = self.fetcher.fetch(&integration, fetch, noted);
        drop(reading);
        let outcome = match self.in_time(scope, &integration, &fetch).await {
            Some(outcome) => outcome,
            None if !scope.fetches.waits_for_unknown()
                || self.last_found(&integration, lookup, &list).await?.is_some() =>
            {
                Self::leave(scope, &integration, fetch)
            }
            None => Engine::end_of(scope, fetch.end).await,
        };
        let error = match outcome {
            Ok(fetched) => {
                let Some(found) = &fetched.found else {
                    let node = self.found_since(scope, &integration, lookup).await?;
                    return Ok(node.map(|node| Found { key: integration.key_of(&node), stale_because: None }));
                };
                let key = integration.key_of(found);
                scope.fetches.note_answered(&key, &asks, fetched.refused.as_ref());
                return Ok(Some(Found { key, stale_because: None }));
            }
            Err(error) => error,
        };
        scope.note_stale();
        // There is no such thing, says the provider.
        let Some(reason) = error.kind.stale_reason() else { return Ok(None) };
        match self.last_found(&integration, lookup, &list).await? {
            Some(node) => Ok(Some(Found { key: integration.key_of(&node), stale_because: Some(reason) })),
            None => Err(port_error(&integration, &error)),
        }
    }

    /// The node that a name stands for although the provider did not find it when it was asked: a webhook may have told of it first.
    /// News of the list that such things stand in concern the answer.
    async fn found_since(
        &self,
        scope: &Scope,
        integration: &Integration,
        lookup: &Lookup,
    ) -> Result<Option<NodeRef>, PortError> {
        if let Some(listed) = integration.provider.listed_in(lookup) {
            scope.record(Tag::list(&scope.tenant, &of_integration(integration, listed)));
        }
        self.listed_as(integration, lookup).await
    }

    /// The node that a name stands for as far as it is known without asking: the one found when the name was last
    /// looked up, or the one that has this name in the list that such things stand in.
    async fn last_found(
        &self,
        integration: &Integration,
        lookup: &Lookup,
        list: &List,
    ) -> Result<Option<NodeRef>, PortError> {
        let found = self.cached_store.list(integration, list, 1).await?;
        if let Some(item) = found.as_ref().and_then(|cached| cached.items.first()) {
            let named =
                item.loaded.as_ref().and_then(|known| integration.provider.is_named(lookup, &known.stored.body));
            if named != Some(false) {
                return Ok(Some(item.node.clone()));
            }
        }
        self.listed_as(integration, lookup).await
    }

    /// The node that has a name in the list that such things stand in.
    async fn listed_as(&self, integration: &Integration, lookup: &Lookup) -> Result<Option<NodeRef>, PortError> {
        let Some(listed) = integration.provider.listed_in(lookup) else { return Ok(None) };
        let list = of_integration(integration, listed);
        let tenant = &integration.tenant;
        let nodes: Vec<NodeRef> = match integration.keeping(&list) {
            Keeping::Opaque => {
                let window = self.cached_store.window(tenant, &list).await?;
                window.map(|window| opaque_items(integration, &window)).unwrap_or_default()
            }
            Keeping::Window => {
                let members = self.cached_store.members(tenant, &list, None, MOST_ITEMS).await?;
                members.into_iter().filter_map(|member| Some(known_item(integration, member)?.1)).collect()
            }
        };
        let stored = self
            .cached_store
            .nodes(tenant, &nodes.iter().map(|node| integration.key_of(node)).collect::<Vec<_>>())
            .await?;
        let named = nodes.into_iter().zip(stored).filter_map(|(node, stored)| {
            let body = &stored.filter(|stored| !stored.is_deleted())?.body;
            let is_archived = body.get("isArchived").and_then(serde_json::Value::as_bool).unwrap_or_default();
            integration.provider.is_named(lookup, body)?.then_some((is_archived, node))
        });
        // A name that was given again stands for the one that is in use.
        Ok(named.min_by_key(|(is_archived, _)| *is_archived).map(|(_, node)| node))
    }

    /// The node that was found when this was looked up, `Some(None)` if there was none; `None`: it must be looked up again.
    async fn looked_up(
        &self,
        scope: &Scope,
        integration: &Arc<Integration>,
        lookup: &Lookup,
        list: &List,
    ) -> Result<Option<Option<NodeKey>>, PortError> {
        let Some(cached) = self.cached_store.list(integration, list, 1).await? else { return Ok(None) };
        let (window, now) = (&cached.window, self.clock.now());
        let limit = self.list_age_limit(scope, integration, list);
        let Some(found) = cached.items.first() else {
            let node = self.found_since(scope, integration, lookup).await?;
            // A thing with this name may be there since then, and news of it need not come.
            let is_trusted = limit.admits_list(window) && now - window.fetched_at <= ABSENT_FOR;
            return Ok(node.map(|node| Some(integration.key_of(&node))).or(is_trusted.then_some(None)));
        };
        // Since it was looked up it got another name, and this one may stand for something else by now.
        let is_renamed = found.loaded.as_ref().is_some_and(|known| {
            let stored = &known.stored;
            stored.fetched_at() > window.fetched_at
                && integration.provider.is_named(lookup, &stored.body) == Some(false)
        });
        let is_trusted = limit.admits_list(window) && !is_renamed;
        Ok(is_trusted.then(|| Some(integration.key_of(&found.node))))
    }
}

/// How long a name that stood for nothing is not looked up again.
const ABSENT_FOR: Duration = Duration::seconds(10);

/// A list of an integration, without a filter.
fn of_integration(integration: &Integration, list: ListRef) -> List {
    let parent = list.parent.map(|parent| (parent.type_name, parent.native_id));
    List { integration: integration.id.clone(), parent, name: list.name, filter: Filter::new() }
}
