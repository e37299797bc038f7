//! Asana: everything of this provider is in this folder.

mod account;
mod catch_up;
mod client;
mod error;
mod fetch;
mod interpret;
mod keys;
mod lists;
mod names;
mod nodes;
mod normalize;
mod pages;
mod plan;
pub mod sandbox;
mod values;
mod webhook;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mullion_schema::{ports::Filter, view::Body};

use crate::{
    provider::{
        Account, ContainerLists, Demo, Descriptor, EndpointSecrets, FetchWant, Fetched, ListRef, NodeRef, Provider,
        Reception, RegisteredWebhook, StoredDelivery, WebhookRequest,
        change::Interpretation,
        recovery::{CaughtUp, Known, Since, WebhookCondition},
        sentence::{Details, SentenceParts, Unsettled},
    },
    secret::Secret,
    upstream::{Connection, UpstreamError},
};

/// The world that the development mode seeds unless it is told otherwise.
const DEMO_SEED: u64 = 1;
/// Projects of the development dashboard.
const DEMO_PROJECTS: usize = 2;

static DESCRIPTOR: Descriptor = Descriptor {
    key: "asana",
    name: "Asana",
    documentation_url: "https://developers.asana.com/docs",
    default_base_url: "https://app.asana.com/api/1.0",
    oauth: true,
    webhook_body_limit: 1 << 20,
    types: mullion_schema::providers::asana::TYPES,
    lists: lists::LISTS,
    filters: lists::FILTERS,
    counts: &[],
    copied: lists::COPIED,
};

/// Asana.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asana;

#[async_trait]
impl Provider for Asana {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn fetch(&self, api: &Connection, wants: Vec<FetchWant>) -> Vec<Result<Fetched, UpstreamError>> {
        fetch::fetch(api, wants).await
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

    fn receive(&self, request: &WebhookRequest, endpoint: &EndpointSecrets) -> Reception {
        webhook::receive(request, endpoint)
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn interpret(&self, delivery: &StoredDelivery) -> Interpretation {
        interpret::interpret(delivery)
    }

    fn sentence(&self, parts: &SentenceParts<'_>) -> String {
        words::sentence(parts)
    }

    fn names_come_later(&self) -> bool {
        true
    }

    fn unsettled(&self, parts: &SentenceParts<'_>) -> Option<Unsettled> {
        words::unsettled(parts)
    }

    fn settled(&self, parts: &SentenceParts<'_>) -> Details {
        words::settled(parts)
    }

    async fn register_webhook(
        &self,
        api: &Connection,
        container: &NodeRef,
        target: &url::Url,
        _secret: &Secret,
    ) -> Option<Result<RegisteredWebhook, UpstreamError>> {
        if container.type_name != names::PROJECT {
            return None;
        }
        Some(account::register(api, container, target).await)
    }

    async fn unregister_webhook(&self, api: &Connection, external_id: &str) -> Result<(), UpstreamError> {
        account::unregister(api, external_id).await
    }

    fn secret_by_handshake(&self) -> bool {
        true
    }

    async fn inspect_webhook(
        &self,
        api: &Connection,
        external_id: &str,
        target: &url::Url,
    ) -> Option<Result<WebhookCondition, UpstreamError>> {
        Some(catch_up::inspect(api, external_id, target).await)
    }

    async fn catch_up(&self, api: &Connection, since: Since<'_>, known: &dyn Known) -> Result<CaughtUp, UpstreamError> {
        catch_up::catch_up(api, since, known).await
    }

    fn containers(&self) -> &'static [ContainerLists] {
        lists::CONTAINERS
    }

    fn sandbox(&self, seed: u64, base: DateTime<Utc>, api_root: String) -> Arc<dyn crate::sandbox::Sandbox> {
        Arc::new(sandbox::AsanaSandbox::seeded(seed, base, api_root))
    }

    fn demo(&self) -> Demo {
        // The gids depend on the seed alone.
        let world = sandbox::AsanaSandbox::seeded(DEMO_SEED, DateTime::UNIX_EPOCH, String::new());
        let projects = world.projects().into_iter().take(DEMO_PROJECTS);
        Demo { work_items: projects.map(|(gid, _)| NodeRef::new(names::PROJECT, gid)).collect(), ..Demo::default() }
    }
}
