//! Reads from a provider, and their results.

use std::collections::BTreeSet;

use mullion_schema::ports::{Filter, Lookup};

use super::{
    change::NodeWrite,
    reference::{ListRef, NodeRef},
};
use crate::upstream::UpstreamError;

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
        /// The look-up.
        lookup: Lookup,
        /// Body keys.
        asks: BTreeSet<&'static str>,
        /// First pages of these lists of the node that is found.
        lists: Vec<(&'static str, Filter)>,
    },
    /// A page of a list. Items come with their type's whole card, so that documents that differ in fields share the page.
    Page(PageWant),
}

/// The result of one [`FetchWant`].
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
    /// field get the failure; the rest of the node is as fresh as it would be without it. For a page: why items are missing from
    /// it. Those who read the list get the other items, with the failure.
    pub refused: Option<UpstreamError>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedPage {
    /// The list, the filter and the cursor that it was fetched for.
    pub want: PageWant,
    /// The items in the provider's order.
    pub items: Vec<NodeRef>,
    /// The cursor of the next page; `None`: that was the last.
    pub next: Option<String>,
    /// How many there are in all, where the provider says.
    pub total: Option<i64>,
}

/// The account that a token belongs to.
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
