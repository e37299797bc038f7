//! Slack: everything of this provider is in this folder.

mod account;
mod catch_up;
mod client;
mod directory;
mod error;
mod fetch;
mod interpret;
mod lists;
mod message_text;
mod messages;
mod names;
mod normalize;
pub mod sandbox;
mod socket_mode;
mod values;
mod webhook;
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

use self::directory::{Key, Kind, Slot};
use crate::{
    provider::{
        Account, ContainerLists, Demo, Descriptor, EndpointSecrets, FetchWant, Fetched, ListRef, NodeRef, Provider,
        Reception, RegisteredWebhook, StoredDelivery, WebhookRequest,
        change::Interpretation,
        listening::Listening,
        recovery::{CaughtUp, Known, Since},
        sentence::SentenceParts,
    },
    secret::Secret,
    upstream::{Connection, UpstreamError},
};

/// Integrations of which things are remembered.
const INTEGRATIONS: u64 = 10_000;

/// The channels of the sandbox that the development dashboard shows.
const DEMO_CHANNELS: [&str; 2] = ["general", "engineering"];

static DESCRIPTOR: Descriptor = Descriptor {
    key: "slack",
    name: "Slack",
    documentation_url: "https://docs.slack.dev/apis/web-api/",
    default_base_url: "https://slack.com/api/",
    oauth: true,
    webhook_body_limit: 1 << 20,
    types: mullion_schema::providers::slack::TYPES,
    lists: lists::LISTS,
    filters: lists::FILTERS,
    counts: &[],
    copied: &[],
};

/// The outcome of one want.
type Outcome = Result<Fetched, UpstreamError>;

/// Slack's Web API and Events API.
#[derive(Debug, Clone)]
pub struct Slack {
    /// The workspaces of integrations whose facts lack it.
    homes: Cache<IntegrationId, Arc<account::Home>>,
    /// The lists that are being read, or only just were.
    slots: Cache<Key, Slot>,
    /// The lists that were read not long ago.
    listed: Cache<Key, ()>,
}

impl Default for Slack {
    fn default() -> Self {
        Self {
            homes: Cache::new(INTEGRATIONS),
            slots: Cache::builder().max_capacity(INTEGRATIONS).time_to_idle(directory::HELD).build(),
            listed: Cache::builder().max_capacity(INTEGRATIONS).time_to_live(directory::RECENT).build(),
        }
    }
}

impl Slack {
    fn slot(&self, key: Key) -> Slot {
        self.slots.get_with(key, Slot::default)
    }

    fn listed_recently(&self, api: &Connection, kind: Kind) -> bool {
        self.listed.contains_key(&(api.integration.clone(), kind))
    }
}

#[async_trait]
impl Provider for Slack {
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

    fn matches(&self, list: &ListRef, filter: &Filter, body: &Body) -> bool {
        lists::matches(list, filter, body)
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
        &[]
    }

    fn interpret(&self, delivery: &StoredDelivery) -> Interpretation {
        interpret::interpret(delivery)
    }

    fn sentence(&self, parts: &SentenceParts<'_>) -> String {
        words::sentence(parts)
    }

    /// Slack has no call for it: the address is entered in the app's settings.
    async fn register_webhook(
        &self,
        _api: &Connection,
        _container: &NodeRef,
        _target: &url::Url,
        _secret: &Secret,
    ) -> Option<Result<RegisteredWebhook, UpstreamError>> {
        None
    }

    async fn unregister_webhook(&self, _api: &Connection, _external_id: &str) -> Result<(), UpstreamError> {
        Ok(())
    }

    async fn catch_up(&self, api: &Connection, since: Since<'_>, known: &dyn Known) -> Result<CaughtUp, UpstreamError> {
        catch_up::catch_up(self, api, since, known).await
    }

    fn webhook_instructions(&self) -> &'static str {
        "in the app's settings at api.slack.com/apps, enter the integration's webhookUrl under Event Subscriptions as the \
         Request URL and subscribe to the bot events; give the app's Signing Secret (Basic Information) as webhookSecret with \
         updateIntegration. Without a public address: switch Socket Mode on, and give an app-level token (xapp-…) as appToken"
    }

    fn listener(&self) -> Option<&dyn Listening> {
        Some(self)
    }

    /// Slack signs with the app's own signing secret.
    fn generates_secret(&self) -> bool {
        false
    }

    fn secret_by_handshake(&self) -> bool {
        false
    }

    fn containers(&self) -> &'static [ContainerLists] {
        lists::CONTAINERS
    }

    fn sandbox(&self, seed: u64, base: DateTime<Utc>, api_root: String) -> Arc<dyn crate::sandbox::Sandbox> {
        Arc::new(sandbox::SlackSandbox::seeded(seed, base, api_root))
    }

    fn demo(&self) -> Demo {
        let ids = DEMO_CHANNELS.iter().filter_map(|name| sandbox::channel_id(name));
        Demo { messages: ids.map(|id| NodeRef::new(names::CHANNEL, id)).collect(), ..Demo::default() }
    }
}
