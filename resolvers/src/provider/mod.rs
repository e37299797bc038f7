//! The contract between the resolvers and a provider's folder: what a provider offers and what it is asked.

pub mod change;
mod descriptor;
mod fetch;
pub mod listening;
pub mod recovery;
mod reference;
pub mod sentence;
mod webhook;

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mullion_schema::{
    ports::{Filter, Lookup},
    view::Body,
};

use self::{
    change::Interpretation,
    listening::Listening,
    recovery::{CaughtUp, Known, Since, WebhookCondition},
    sentence::{Details, SentenceParts, Unsettled},
};
pub use self::{
    descriptor::{ContainerLists, CopiedFields, Count, Demo, Descriptor, Keeping, ListType, WorkItemLists},
    fetch::{Account, FetchWant, Fetched, FetchedPage, PageWant},
    reference::{LOOKUPS, ListRef, NodeRef},
    webhook::{
        EndpointSecrets, Reception, Refusal, RegisteredWebhook, StoredDelivery, VerifiedDelivery, WebhookRequest,
    },
};
use crate::{
    secret::Secret,
    upstream::{Connection, UpstreamError},
};

/// The providers of this build, by key.
pub type Providers = BTreeMap<&'static str, Arc<dyn Provider>>;

/// One provider, behind the seam. Everything that names the vendor is behind this trait.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// The fixed facts about it.
    fn descriptor(&self) -> &'static Descriptor;

    /// Fetches all that is wanted in one tick, in as few calls as the provider's API allows; one answer for each want, in order.
    async fn fetch(&self, api: &Connection, wants: Vec<FetchWant>) -> Vec<Result<Fetched, UpstreamError>>;

    /// Asks who the token belongs to. Also the check of a new token.
    async fn identify(&self, api: &Connection) -> Result<Account, UpstreamError>;

    /// The windows that a node belongs to, with its sort key there (ascending text order is list order), from its merged body.
    fn memberships(&self, node: &NodeRef, body: &Body) -> Vec<(ListRef, String)>;

    /// Whether an item belongs to a filtered list, from its merged body. Called only for items of the list's window.
    fn matches(&self, list: &ListRef, filter: &Filter, body: &Body) -> bool;

    /// The list in which what a look-up finds stands too, where there is one. While the provider cannot be asked, the look-up is
    /// answered from what is known of that list.
    fn listed_in(&self, _lookup: &Lookup) -> Option<ListRef> {
        None
    }

    /// Whether an item of that list is what the look-up names, from its merged body; `None`: the body does not say.
    fn is_named(&self, _lookup: &Lookup, _body: &Body) -> Option<bool> {
        None
    }

    /// Verifies a webhook request over its raw bytes.
    fn receive(&self, request: &WebhookRequest, endpoint: &EndpointSecrets) -> Reception;

    /// Request headers that `interpret` needs, stored with the delivery. Never credentials.
    fn kept_headers(&self) -> &'static [&'static str];

    /// Interprets a delivery. Pure and total.
    fn interpret(&self, delivery: &StoredDelivery) -> Interpretation;

    /// An activity in words: one line that names who and what, and no ids. Pure and total.
    fn sentence(&self, parts: &SentenceParts<'_>) -> String;

    /// Whether its events bring ids only: then an activity waits until what it causes to be read has brought the names.
    fn names_come_later(&self) -> bool {
        false
    }

    /// The part that is missing in an activity's sentence until its subject was read. Pure and total.
    fn unsettled(&self, _parts: &SentenceParts<'_>) -> Option<Unsettled> {
        None
    }

    /// The part that `unsettled` names, from the names' bodies, which were read after the activity happened.
    fn settled(&self, _parts: &SentenceParts<'_>) -> Details {
        Details::new()
    }

    /// Creates a webhook at the provider for a container. `None`: the provider's API cannot, people must.
    async fn register_webhook(
        &self,
        api: &Connection,
        container: &NodeRef,
        target: &url::Url,
        secret: &Secret,
    ) -> Option<Result<RegisteredWebhook, UpstreamError>>;

    /// Deletes a webhook that `register_webhook` made.
    async fn unregister_webhook(&self, api: &Connection, external_id: &str) -> Result<(), UpstreamError>;

    /// Whether `register_webhook` creates webhooks whose secret comes by a handshake, so that each needs an endpoint of its own.
    fn secret_by_handshake(&self) -> bool;

    /// For people, where `register_webhook` cannot: what to enter where.
    fn webhook_instructions(&self) -> &'static str {
        "enter the integration's webhookUrl in its settings"
    }

    /// How it is listened to, where it can send its events over a socket that we open.
    fn listener(&self) -> Option<&dyn Listening> {
        None
    }

    /// Whether the secret of its webhooks is ours to choose, so that one is generated where none is given.
    fn generates_secret(&self) -> bool {
        !self.secret_by_handshake()
    }

    /// Looks at a webhook that `register_webhook` made, which is to send to `target`. `None`: the provider cannot tell.
    async fn inspect_webhook(
        &self,
        _api: &Connection,
        _external_id: &str,
        _target: &url::Url,
    ) -> Option<Result<WebhookCondition, UpstreamError>> {
        None
    }

    /// Brings what happened in a container since it was last asked for and was not delivered, from the provider's own log of it.
    async fn catch_up(
        &self,
        _api: &Connection,
        _since: Since<'_>,
        _known: &dyn Known,
    ) -> Result<CaughtUp, UpstreamError> {
        Ok(CaughtUp::default())
    }

    /// A filter of a container's work-item list (`issues`, `tasks`) that asks for open items only or all; see `work` in `engine`.
    fn containers(&self) -> &'static [ContainerLists];

    /// The stand-in of this provider's API.
    fn sandbox(&self, seed: u64, base: DateTime<Utc>, api_root: String) -> Arc<dyn crate::sandbox::Sandbox>;

    /// The parts of the seeded world that the development dashboard shows.
    fn demo(&self) -> Demo;

    /// The same of the world of another seed, where ids depend on it.
    fn demo_of(&self, seed: u64, base: DateTime<Utc>) -> Demo {
        // Where ids are the same in every world, neither matters.
        let _: (u64, DateTime<Utc>) = (seed, base);
        self.demo()
    }
}
