//! The contract between the engine and a provider's folder: what a provider offers and what it is asked.

use std::{collections::BTreeSet, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use mullion_schema::{
    ports::{Filter, Lookup},
    table::NodeType,
    view::Body,
};

use crate::{
    change::{Interpretation, ListRef, NodeRef, NodeWrite},
    listen::Listening,
    recovery::{CaughtUp, Known, Since, WebhookCondition},
    secret::Secret,
    sentence::{Details, SentenceParts, Unsettled},
    upstream::{Connection, UpstreamError},
};

/// What the graph says about a provider, and what the engine must know of it.
#[derive(Debug)]
pub struct Descriptor {
    /// `github`: in URLs, configuration and `Provider.key`.
    pub key: &'static str,
    /// `GitHub`.
    pub name: &'static str,
    /// Its developer documentation.
    pub documentation_url: &'static str,
    /// The public API root, used where an integration names no base URL.
    pub default_base_url: &'static str,
    /// Whether it offers OAuth.
    pub oauth: bool,
    /// Webhook bodies over this many bytes are refused.
    pub webhook_body_limit: usize,
    /// Its node types.
    pub types: &'static [&'static NodeType],
    /// Its lists.
    pub lists: &'static [ListType],
    /// The arguments that filters of its lists may name.
    pub filters: &'static [&'static str],
    /// Numbers in the bodies of its nodes that say how many items of a list pass a filter.
    pub counts: &'static [Count],
    /// Fields that items copy from what they belong to.
    pub copied: &'static [CopiedFields],
}

/// Fields that the items of a thing's lists copy from it: the name of a repository in the keys of its issues. When the thing is
/// renamed, the items that are known are rewritten.
#[derive(Debug)]
pub struct CopiedFields {
    /// The type of the thing: `GithubRepository`.
    pub source: &'static str,
    /// Its body keys that are copied.
    pub keys: &'static [&'static str],
    /// The lists of it that hold the items.
    pub lists: &'static [&'static str],
    /// The body key by which an item refers to it.
    pub reference: &'static str,
    /// The copies of an item, from the bodies of the thing and of the item. Keys that the item does not have yet are left out.
    pub copy: fn(&Body, &NodeRef, &Body) -> Body,
}

/// A number in the body of a node that events of a list's items move.
#[derive(Debug)]
pub struct Count {
    /// `GithubRepository`.
    pub parent: &'static str,
    /// `openIssueCount`.
    pub key: &'static str,
    /// `issues`.
    pub list: &'static str,
    /// Which items are counted: an argument of the list and its value.
    pub filter: (&'static str, &'static str),
}

/// A list of a provider, as the engine keeps it.
#[derive(Debug)]
pub struct ListType {
    /// The parent's type; `None`: hangs on the account.
    pub parent: Option<&'static str>,
    /// `issues`.
    pub name: &'static str,
    /// How it is kept.
    pub keeping: Keeping,
}

/// How the engine keeps a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// A window over the node store: pages are read from the provider in list order, and from then on the list is re-evaluated
    /// locally when one of its nodes changes. [`Provider::memberships`] and [`Provider::matches`] say which nodes belong to it.
    Window,
    /// The provider's own order and choice (searches): ids are kept as they came, and read again when `ListRef` is outdated.
    Opaque,
}

/// A page of a list to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageWant {
    /// Which list.
    pub list: ListRef,
    /// The filter that the provider applies.
    pub filter: Filter,
    /// The provider's own cursor; `None`: the first page. Pages are as large as the provider allows (100).
    pub cursor: Option<String>,
}

/// One thing to fetch. The engine hands over all that is wanted in one tick; the provider batches.
#[derive(Debug, Clone, PartialEq)]
pub enum FetchWant {
    /// A node by id, with these body keys (see [`NodeType::asks`]).
    Node {
        /// Which.
        node: NodeRef,
        /// Body keys.
        asks: BTreeSet<&'static str>,
    },
    /// A node by name, with lists of it in the same call where the provider can.
    Lookup {
        /// What is looked up.
        lookup: Lookup,
        /// Body keys.
        asks: BTreeSet<&'static str>,
        /// First pages of these lists of the node that is found.
        lists: Vec<(&'static str, Filter)>,
    },
    /// A page of a list. Items come with their type's whole card, so that documents that differ in fields share the page.
    Page(PageWant),
}

/// What came of one [`FetchWant`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fetched {
    /// For `Node` and `Lookup`: the node that was found; `None`: the provider does not know it.
    pub found: Option<NodeRef>,
    /// Every node that came along (authors, labels' owners, items), to be written through the version guard.
    pub writes: Vec<NodeWrite>,
    /// The pages: one for `Page`, the prefetched ones for `Lookup`.
    pub pages: Vec<FetchedPage>,
    /// A part that failed beside the rest. The rest is written, and everyone who waits gets the failure, so that the missing part is
    /// not taken for absent. A node that is wanted by id must have been found.
    pub failure: Option<UpstreamError>,
    /// Why fields of the node that was found stay unknown: the provider does not give them to this token. Those who ask for such a
    /// field get the failure; the rest of the node is as fresh as it would be without it. Of a page: why items are missing from it. Those
    /// who read the list get what there is, with the failure.
    pub refused: Option<UpstreamError>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedPage {
    /// Of which list, with which filter and cursor.
    pub want: PageWant,
    /// The items in the provider's order.
    pub items: Vec<NodeRef>,
    /// The cursor of the next page; `None`: that was the last.
    pub next: Option<String>,
    /// How many there are in all, where the provider says.
    pub total: Option<i64>,
}

/// Who a token belongs to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// The account's name for people.
    pub name: String,
    /// Granted scopes, where the provider tells.
    pub scopes: Vec<String>,
    /// The user that the token acts as, for `assignedToMe`.
    pub user: Option<NodeRef>,
    /// Things that later calls need (Slack team id, Asana workspace gids): stored with the integration, given in [`Connection`].
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// A webhook request as it came in.
#[derive(Debug, Clone)]
pub struct WebhookRequest {
    /// All headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub body: Bytes,
    /// When its last byte came.
    pub received_at: DateTime<Utc>,
}

/// What a webhook endpoint knows.
#[derive(Clone, Default)]
pub struct EndpointSecrets {
    /// Accepted secrets, the current one first (two during a rotation). Empty: nothing can be verified, everything is refused.
    pub secrets: Vec<Secret>,
    /// Whether a registration is pending, so that a handshake may set the secret.
    pub handshake_pending: bool,
}

impl fmt::Debug for EndpointSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSecrets").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// The verdict on a webhook request: pure, no I/O.
#[derive(Debug)]
pub enum Reception {
    /// Verified: to be stored, then acknowledged.
    Delivery(VerifiedDelivery),
    /// Verified, and answered without being stored (Slack's `url_verification`).
    Answer {
        /// Usually 200.
        status: StatusCode,
        /// `Content-Type` and the like.
        headers: HeaderMap,
        /// The body.
        body: Bytes,
    },
    /// A handshake that sets the endpoint's secret (Asana's `X-Hook-Secret`), only while one is pending; answered with `headers`.
    Handshake {
        /// The secret to store, before the answer is given.
        secret: Secret,
        /// Headers of the 200.
        headers: HeaderMap,
    },
    /// Refused.
    Refused(Refusal),
}

/// A delivery that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDelivery {
    /// What to dedupe on: the provider's delivery id; `None`: the hash of the body.
    pub delivery_id: Option<String>,
    /// The event's name: `issues.closed`, `message`, `task.changed`, as far as it can be told cheaply; for metrics and lists.
    pub event: String,
    /// What it must stay in order with: the repository, the channel that it is about. `None`: with all deliveries of what its endpoint
    /// was registered for, or else of its integration.
    pub subject: Option<String>,
    /// The JSON document (taken out of a form where it came in one): stored, and given to `interpret`.
    pub document: Bytes,
}

/// Why a webhook request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 401
    #[error("the signature is missing or wrong; check the webhook's secret")]
    BadSignature,
    /// 401
    #[error("the request's timestamp is too far from the present")]
    BadTimestamp,
    /// 400
    #[error("the body is not a JSON object in UTF-8")]
    NotJson,
    /// 400
    #[error("a header that names the event is missing")]
    MissingEvent,
    /// 415
    #[error("the content type is not supported; send application/json")]
    UnsupportedType,
    /// 403: a handshake while no registration is pending.
    #[error("no registration is pending at this endpoint")]
    NoHandshakePending,
}

/// A stored delivery, for interpretation.
#[derive(Debug, Clone)]
pub struct StoredDelivery {
    /// As [`VerifiedDelivery::event`].
    pub event: String,
    /// The headers that `Provider::kept_headers` names.
    pub headers: HeaderMap,
    /// The JSON document.
    pub document: Bytes,
    /// When it came in.
    pub received_at: DateTime<Utc>,
}

/// A webhook that was registered at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredWebhook {
    /// The provider's id of it.
    pub external_id: String,
}

/// One provider, behind the seam. Everything that names the vendor is behind this trait.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// What it is.
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

    /// What a delivery means. Pure and total.
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

    /// What the development dashboard shows of the seeded world.
    fn demo(&self) -> Demo;

    /// The same of the world of another seed, where ids depend on it.
    fn demo_of(&self, seed: u64, base: DateTime<Utc>) -> Demo {
        // Where ids are the same in every world, neither matters.
        let _: (u64, DateTime<Utc>) = (seed, base);
        self.demo()
    }
}

/// Which lists of a container type feed the cross-provider widgets.
#[derive(Debug)]
pub struct ContainerLists {
    /// `GithubRepository`.
    pub container: &'static str,
    /// The account's list of such containers, for "all containers": `repositories`.
    pub all: &'static str,
    /// Work items: the list's name, and the filters for open and for closed items (`None`: the list cannot be narrowed so).
    pub work_items: Option<WorkItemLists>,
    /// Pull requests, last updated first: the list and the filter argument that takes `PullRequestState` names.
    pub pull_requests: Option<(&'static str, &'static str)>,
    /// Builds, last created first: the list, and the filter argument that takes a branch.
    pub builds: Option<(&'static str, &'static str)>,
    /// For how many days after its creation a build can finish: to know which builds finished, one must read so far back.
    pub days_of_a_build: i64,
    /// Messages, last sent first.
    pub messages: Option<&'static str>,
}

/// The work items of a container.
#[derive(Debug)]
pub struct WorkItemLists {
    /// The list's name.
    pub list: &'static str,
    /// Its item type as a `WorkItemType`: `ISSUE` or `TASK`.
    pub item_type: &'static str,
    /// Filter argument and value for open items.
    pub open: Option<(&'static str, &'static str)>,
    /// Filter argument and value for closed items.
    pub closed: Option<(&'static str, &'static str)>,
    /// The body key of the time by which the list is ordered, newest first; `None`: ordered otherwise.
    pub newest_first: Option<&'static str>,
    /// Whether an item may be in several containers at once. Each is counted once all the same.
    pub in_several: bool,
}

/// What a provider contributes to the development dashboard: lookups of containers in the sandbox's seeded world.
#[derive(Debug, Default)]
pub struct Demo {
    /// Containers of the work-items widget.
    pub work_items: Vec<NodeRef>,
    /// Containers of the pull-requests widget.
    pub pull_requests: Vec<NodeRef>,
    /// Containers of the builds widget.
    pub builds: Vec<NodeRef>,
    /// Containers of the messages widget.
    pub messages: Vec<NodeRef>,
}
