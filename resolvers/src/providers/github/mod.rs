//! GitHub: everything of this provider is in this folder.

mod account;
mod answers;
mod client;
mod deliveries;
mod documents;
mod error;
mod fetch;
mod interpret;
mod keys;
mod lists;
mod names;
mod normalize;
mod plan;
mod rest;
mod runs;
pub mod sandbox;
mod values;
mod webhook;
mod wire;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use moka::sync::Cache;
use mullion_schema::{
    id::IntegrationId,
    ports::{Filter, Lookup},
    view::Body,
};

use crate::{
    provider::{
        Account, ContainerLists, Demo, Descriptor, EndpointSecrets, FetchWant, Fetched, ListRef, NodeRef, Provider,
        Reception, RegisteredWebhook, StoredDelivery, WebhookRequest,
        change::Interpretation,
        recovery::{CaughtUp, Known, Since, WebhookCondition},
        sentence::SentenceParts,
    },
    secret::Secret,
    upstream::{Connection, UpstreamError},
};

/// Names of repositories that are remembered, over all integrations.
const NAMES: u64 = 20_000;

static DESCRIPTOR: Descriptor = Descriptor {
    key: "github",
    name: "GitHub",
    documentation_url: "https://docs.github.com/graphql",
    default_base_url: "https://api.github.com",
    oauth: true,
    webhook_body_limit: 25 << 20,
    types: mullion_schema::providers::github::TYPES,
    lists: lists::LISTS,
    filters: lists::FILTERS,
    counts: lists::COUNTS,
    copied: lists::COPIED,
};

/// GitHub, and GitHub Enterprise Server by base URL.
#[derive(Debug, Clone)]
pub struct Github {
    /// `owner/name` by native id: REST goes by names.
    names: Cache<(IntegrationId, Arc<str>), Arc<str>>,
}

impl Default for Github {
    fn default() -> Self {
        Self { names: Cache::new(NAMES) }
    }
}

#[async_trait]
impl Provider for Github {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn fetch(&self, api: &Connection, wants: Vec<FetchWant>) -> Vec<Result<Fetched, UpstreamError>> {
        fetch::fetch(self, api, wants).await
    }

    async fn identify(&self, api: &Connection) -> Result<Account, UpstreamError> {
        account::identify(api).await
    }

    fn memberships(&self, node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
        lists::memberships(node, body)
    }

    fn matches(&self, _list: &ListRef, filter: &Filter, body: &Body) -> bool {
        lists::matches(filter, body)
    }

    fn listed_in(&self, lookup: &Lookup) -> Option<ListRef> {
        lists::of_lookup(lookup)
    }

    fn is_named(&self, lookup: &Lookup, body: &Body) -> Option<bool> {
        lists::is_named(lookup, body)
    }

    fn receive(&self, request: &WebhookRequest, endpoint: &EndpointSecrets) -> Reception {
        webhook::receive(request, endpoint)
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &[webhook::EVENT]
    }

    fn interpret(&self, delivery: &StoredDelivery) -> Interpretation {
        interpret::interpret(delivery)
    }

    fn sentence(&self, parts: &SentenceParts<'_>) -> String {
        words::sentence(parts)
    }

    async fn register_webhook(
        &self,
        api: &Connection,
        container: &NodeRef,
        target: &url::Url,
        secret: &Secret,
    ) -> Option<Result<RegisteredWebhook, UpstreamError>> {
        if container.type_name != names::REPOSITORY {
            return None;
        }
        Some(account::register(self, api, container, target, secret).await)
    }

    async fn unregister_webhook(&self, api: &Connection, external_id: &str) -> Result<(), UpstreamError> {
        account::unregister(api, external_id).await
    }

    fn secret_by_handshake(&self) -> bool {
        false
    }

    async fn inspect_webhook(
        &self,
        api: &Connection,
        external_id: &str,
        target: &url::Url,
    ) -> Option<Result<WebhookCondition, UpstreamError>> {
        Some(deliveries::inspect(api, external_id, target).await)
    }

    async fn catch_up(&self, api: &Connection, since: Since<'_>, known: &dyn Known) -> Result<CaughtUp, UpstreamError> {
        deliveries::catch_up(api, since, known).await
    }

    fn containers(&self) -> &'static [ContainerLists] {
        lists::CONTAINERS
    }

    fn sandbox(&self, seed: u64, base: DateTime<Utc>, api_root: String) -> Arc<dyn crate::sandbox::Sandbox> {
        Arc::new(sandbox::GithubSandbox::seeded(seed, base, api_root))
    }

    fn demo(&self) -> Demo {
        self.demo_of(1, DateTime::UNIX_EPOCH)
    }

    fn demo_of(&self, seed: u64, base: DateTime<Utc>) -> Demo {
        let world = sandbox::GithubSandbox::seeded(seed, base, String::new());
        let nodes = |names: &[&str]| {
            let ids = world.repository_ids(names).into_iter();
            ids.map(|id| NodeRef::new(names::REPOSITORY, id)).collect()
        };
        Demo {
            work_items: nodes(&["web", "api"]),
            pull_requests: nodes(&["web", "api", "mobile", "infra"]),
            builds: nodes(&["web", "api"]),
            messages: Vec::new(),
        }
    }
}
