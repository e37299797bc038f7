//! The meaning of a webhook delivery or a fetch: nodes to write, tags to outdate, and activities for people.
//!
//! A provider produces these without knowing tenant or integration: they are added from the endpoint that the delivery came in
//! at, so that a delivery can only write or invalidate under its own integration.

use chrono::{DateTime, Utc};
use mullion_schema::view::Body;
use serde::{Deserialize, Serialize};

use super::{
    reference::{LOOKUPS, ListRef, NodeRef},
    sentence::Details,
};

/// How new a part of a node is. The greater wins; equal with other content marks the node stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Version {
    /// The provider's own version: microseconds of `updated_at`, of `ts`, … 0: a default that anything replaces.
    pub at: i64,
    /// Breaks ties where the provider's clock is too coarse: the rank of a run's status, 0 otherwise.
    pub rank: i32,
}

impl Version {
    /// The version of a value that was last changed at `at`.
    pub fn at(at: DateTime<Utc>) -> Self {
        Self { at: at.timestamp_micros(), rank: 0 }
    }

    /// The same with a rank.
    pub fn ranked(at: DateTime<Utc>, rank: i32) -> Self {
        Self { at: at.timestamp_micros(), rank }
    }
}

/// The fields of a node that change together and carry one version. Most nodes have only `core`.
#[derive(Debug, Clone, PartialEq)]
pub struct Aspect {
    /// `core`, `checks`, `review`: stable names, stored.
    pub name: &'static str,
    /// Its version.
    pub version: Version,
    /// Body keys and values; keys of different aspects of a type never overlap. Absent keys erase nothing.
    pub fields: Body,
}

/// A node as a webhook or a fetch brought it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeWrite {
    /// Which node.
    pub node: NodeRef,
    /// The known parts of it. Empty with `deleted` unset: the node is only known to exist.
    pub aspects: Vec<Aspect>,
    /// Set when the provider said that it is gone, with the version of that fact.
    pub deleted: Option<Version>,
}

impl NodeWrite {
    /// A node with one aspect, `core`.
    pub fn core(node: NodeRef, version: Version, fields: Body) -> Self {
        Self { node, aspects: vec![Aspect { name: "core", version, fields }], deleted: None }
    }

    /// The node is gone.
    pub fn tombstone(node: NodeRef, version: Version) -> Self {
        Self { node, aspects: Vec::new(), deleted: Some(version) }
    }

    /// With one more aspect.
    #[must_use]
    pub fn with(mut self, name: &'static str, version: Version, fields: Body) -> Self {
        self.aspects.push(Aspect { name, version, fields });
        self
    }
}

/// The meaning of one delivery (or one fetch).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Written through the version guard, in this order.
    pub writes: Vec<NodeWrite>,
    /// Nodes that changed in a way the payload does not tell: they are fetched again when somebody looks.
    pub stale: Vec<NodeRef>,
    /// Lists that changed in a way the payload does not tell: they are read again when somebody looks.
    pub stale_lists: Vec<ListRef>,
    /// Items that the numbers of their containers may count otherwise now, in a way the payload does not tell.
    pub recounts: Vec<Recount>,
    /// Told to people, where it is worth telling.
    pub activity: Option<ActivityDraft>,
}

impl Change {
    /// Notes that names may stand for other things, or for things that they did not stand for before, where the lists of the account
    /// changed: a thing that was created, renamed or shown to the token has a name that may have been looked up in vain.
    pub(crate) fn outdate_names(&mut self) {
        if self.stale_lists.iter().any(|list| list.parent.is_none()) {
            self.stale_lists.push(ListRef { parent: None, name: LOOKUPS });
        }
    }
}

/// An item whose containers have other numbers now: they are fetched again when somebody looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Recount {
    /// The item.
    pub item: NodeRef,
    /// The body key of the item under which its containers are.
    pub key: &'static str,
    /// The list that its containers stand in. If it is not known where the item is, all containers in this list are outdated.
    pub among: ListRef,
}

/// An activity before it has a position in the stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ActivityDraft {
    /// `pull_request.closed`, `push`, `message.message_changed`, `task.changed`.
    pub kind: String,
    /// The person or bot that did it.
    pub actor: Option<NodeRef>,
    /// The node it was done to.
    pub subject: Option<NodeRef>,
    /// The parts that its sentence is worded from when it is read.
    pub details: Details,
    /// When, by the provider's clock.
    pub occurred_at: DateTime<Utc>,
    /// The repositories, channels, projects it belongs to: what `containerIds` filters by.
    pub containers: Vec<NodeRef>,
    /// The key by which it is recognised when it is heard of in another way: people are told once. `None`: its delivery is told
    /// apart by its id.
    pub key: Option<String>,
    /// The keys of activities to which it adds nothing: once one of them was told, this one is not.
    pub unless: Vec<String>,
    /// How it joins others while they wait together for the names in their sentences.
    pub act: Act,
}

/// The act that an event is part of. It matters only where activities wait: see `Provider::names_come_later`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Act {
    /// The names of the acts that an event may be part of. It joins one that waits and has a name in common with it, unless the two
    /// say different things.
    pub names: Vec<String>,
    /// The event is only half of an act: the other half gives the activity its kind, and is worth waiting for.
    pub partial: bool,
}

/// The result of interpreting a delivery. Interpretation is pure and total: no payload is an error.
#[derive(Debug, Clone, PartialEq)]
pub enum Interpretation {
    /// It changes something. Several changes: several activities (an Asana delivery carries many events).
    Changes(Vec<Change>),
    /// Knowingly not used, and why; stored all the same.
    Ignored(&'static str),
}
