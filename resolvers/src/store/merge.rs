//! The version guard: what a node is after one more write. Pure, so that its laws can be tested by the thousand.
//!
//! Every field carries a [`Stamp`]: the version of the aspect that brought it. Fields join one by one, the greater stamp wins, and
//! a deletion erases what is not newer than it: so any order of arrival of the same writes ends in the same body. Between different
//! contents of equal version a fetch beats a webhook (the provider was asked), a later fetch an earlier one, and between webhooks
//! the hash of the content decides; the field is then *tied*, which makes it stale until it is fetched or something newer comes.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use mullion_schema::view::Body;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::provider::change::{NodeWrite, Version};

/// The source of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A webhook delivery.
    Webhook,
    /// An answer of the provider's API.
    Provider,
}

/// The source of a write, and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The source.
    pub source: Source,
    /// When the delivery came in; of a fetch: when it was sent, so that it confirms nothing that changed while it ran.
    pub at: DateTime<Utc>,
}

/// How new a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The provider's version of the aspect that brought it.
    #[serde(flatten)]
    pub version: Version,
    /// When the fetch that brought it was sent, in microseconds; 0: a webhook brought it.
    pub fetched: i64,
    /// A hash of the aspect that brought it: decides between webhooks of equal version.
    pub hash: u64,
    /// When it was last brought or confirmed, in microseconds.
    pub seen: i64,
    /// Whether different contents of this version came, and the provider was not asked since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tied: bool,
    /// Whether its version lay so far ahead that it was not believed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unbelieved: bool,
}

/// The state of a node as far as it is known, without its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeState {
    /// The fields that are known.
    pub body: Body,
    /// The stamp of each of them.
    pub stamps: BTreeMap<String, Stamp>,
    /// The newest deletion.
    pub deleted: Option<Version>,
    /// When something changed that the news of it did not tell.
    pub stale_at: Option<i64>,
    /// When the provider did not know the node, if nothing was heard of it since.
    pub unknown_at: Option<i64>,
    /// When the newest part was brought, in microseconds.
    pub fetched_at: i64,
    /// The source of the newest part.
    pub source: Source,
}

/// The effect of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing that anyone sees.
    Confirmed,
    /// Fields were learned that were not known before.
    Filled,
    /// A known field changed, or the node was deleted or came back.
    Changed,
}

/// A node after a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The state after the write.
    pub state: NodeState,
    /// The effect of the write on it.
    pub outcome: Outcome,
    /// Whether it is stale now and was not before.
    pub became_stale: bool,
}

impl NodeState {
    fn empty(origin: Origin) -> Self {
        Self {
            body: Body::new(),
            stamps: BTreeMap::new(),
            deleted: None,
            stale_at: None,
            unknown_at: None,
            fetched_at: origin.at.timestamp_micros(),
            source: origin.source,
        }
    }

    /// Whether the node was deleted, and nothing newer than that is known.
    pub fn is_deleted(&self) -> bool {
        self.deleted.is_some() && self.body.is_empty()
    }

    /// Whether a known field may be out of date. Unknown fields are not stale.
    pub fn is_stale_key(&self, key: &str) -> bool {
        self.stamps
            .get(key)
            .is_some_and(|stamp| stamp.tied || self.stale_at.is_some_and(|stale_at| stamp.seen < stale_at))
    }

    /// Whether any known field may be out of date.
    pub fn is_stale(&self) -> bool {
        self.stamps.keys().any(|key| self.is_stale_key(key))
    }

    /// Whether a delivery brought the newest part after a fetch was sent.
    pub fn is_heard_since(&self, sent_at: DateTime<Utc>) -> bool {
        self.source == Source::Webhook && self.fetched_at > sent_at.timestamp_micros()
    }
}

/// The node after `write`.
pub fn merge(existing: Option<&NodeState>, write: &NodeWrite, origin: Origin) -> Merged {
    let before = existing;
    let mut state = existing.cloned().unwrap_or_else(|| NodeState::empty(origin));
    let known_until = state.fetched_at;
    for aspect in &write.aspects {
        let hash = content_hash(&aspect.fields);
        for (key, value) in &aspect.fields {
            let incoming = incoming_stamp(aspect.version, hash, origin);
            join(&mut state, key, incoming, value, known_until);
        }
    }
    state.deleted = state.deleted.max(write.deleted.map(|version| believed(version, origin)));
    erase_deleted(&mut state);
    note_origin(&mut state, origin, write.deleted.is_none());
    let became_stale = state.is_stale() && !before.is_some_and(NodeState::is_stale);
    let outcome = outcome(before, &state);
    Merged { state, outcome, became_stale }
}

/// The node after news that something of it changed at `at`, without saying what. A node that the provider did not know before
/// that may be there again: it has to be asked for.
pub fn mark_stale(existing: &NodeState, at: DateTime<Utc>) -> Merged {
    let mut state = existing.clone();
    let at = at.timestamp_micros();
    state.stale_at = state.stale_at.max(Some(at));
    state.unknown_at = state.unknown_at.filter(|unknown_at| *unknown_at > at);
    let became_stale = state.is_stale() && !existing.is_stale();
    let revealed = state.unknown_at != existing.unknown_at;
    Merged { state, outcome: if revealed { Outcome::Changed } else { Outcome::Confirmed }, became_stale }
}

/// The node after a fetch, sent at `at`, that the provider answered by not knowing it: what is known stays, as confirmed.
pub fn mark_unknown(existing: Option<&NodeState>, at: DateTime<Utc>) -> Merged {
    let origin = Origin { source: Source::Provider, at };
    let mut state = existing.cloned().unwrap_or_else(|| NodeState::empty(origin));
    let at = at.timestamp_micros();
    let heard_since = existing.is_some_and(|state| state.fetched_at.max(state.stale_at.unwrap_or(i64::MIN)) > at);
    if !heard_since {
        for stamp in state.stamps.values_mut() {
            stamp.seen = stamp.seen.max(at);
            stamp.tied = false;
        }
        state.unknown_at = Some(at);
        state.fetched_at = at;
    }
    let was_unknown = existing.is_some_and(|state| state.unknown_at.is_some());
    let outcome = if existing.is_some() && state.unknown_at.is_some() && !was_unknown {
        Outcome::Changed
    } else {
        Outcome::Confirmed
    };
    Merged { state, outcome, became_stale: false }
}

/// No provider's clock is believed to be further ahead of ours than this: a version of next year would beat all that comes until
/// then. Beyond it, the order in which things came decides: what is told later wins, however old its version is.
const AHEAD: Duration = Duration::minutes(10);

fn believed(version: Version, origin: Origin) -> Version {
    Version { at: version.at.min((origin.at + AHEAD).timestamp_micros()), ..version }
}

fn incoming_stamp(version: Version, hash: u64, origin: Origin) -> Stamp {
    let at = origin.at.timestamp_micros();
    let fetched = if origin.source == Source::Provider { at } else { 0 };
    let believed = believed(version, origin);
    Stamp { version: believed, fetched, hash, seen: at, tied: false, unbelieved: believed != version }
}

/// Joins one field. `known_until`: when the node was last heard of before this write.
fn join(state: &mut NodeState, key: &str, incoming: Stamp, value: &Value, known_until: i64) {
    let Some((known_stamp, known)) = state.stamps.get_mut(key).zip(state.body.get_mut(key)) else {
        state.stamps.insert(key.to_owned(), incoming);
        state.body.insert(key.to_owned(), value.clone());
        return;
    };
    let mut stamp = *known_stamp;
    let fetch = incoming.fetched > 0;
    let mut take = false;
    if (stamp.unbelieved || incoming.unbelieved) && incoming.seen != stamp.seen {
        take = incoming.seen > stamp.seen;
        if take {
            stamp = incoming;
        }
    } else if incoming.version > stamp.version {
        stamp = incoming;
        take = true;
    } else if incoming.version < stamp.version {
        // The provider may answer from a replica that lags: what was asked for is confirmed as far as it can be.
        if fetch {
            stamp.seen = stamp.seen.max(incoming.seen);
        }
    } else if *known == *value {
        let settled = fetch && incoming.fetched >= known_until;
        let tied = stamp.tied && !settled;
        let seen = stamp.seen.max(incoming.seen);
        let newer = (incoming.fetched, incoming.hash) > (stamp.fetched, stamp.hash);
        stamp = Stamp { seen, tied, ..if newer { incoming } else { stamp } };
    } else {
        take = (incoming.fetched, incoming.hash) > (stamp.fetched, stamp.hash);
        let tied = is_tied(&stamp, &incoming, known_until);
        let seen = if fetch { stamp.seen.max(incoming.seen) } else { stamp.seen };
        stamp = if take { Stamp { tied, ..incoming } } else { Stamp { seen, tied, ..stamp } };
    }
    if take {
        known.clone_from(value);
    }
    *known_stamp = stamp;
}

/// Whether two different contents of equal version leave it open which is right.
fn is_tied(existing: &Stamp, incoming: &Stamp, known_until: i64) -> bool {
    if incoming.version.at == 0 {
        return false; // without a version nobody claimed to be as new as the other
    }
    match (existing.fetched > 0, incoming.fetched > 0) {
        (true, true) => existing.tied && incoming.fetched < known_until,
        (false, true) => incoming.fetched < known_until,
        (true, false) => existing.tied || incoming.seen > existing.fetched,
        (false, false) => true,
    }
}

/// A deletion beats what is not newer. Ranks order states of one life; they do not save from a deletion in the same instant.
fn erase_deleted(state: &mut NodeState) {
    let Some(deleted) = state.deleted else { return };
    let erased: Vec<String> =
        state.stamps.iter().filter(|(_, stamp)| stamp.version.at <= deleted.at).map(|(key, _)| key.clone()).collect();
    for key in erased {
        state.stamps.remove(&key);
        state.body.remove(&key);
    }
}

fn note_origin(state: &mut NodeState, origin: Origin, exists: bool) {
    let at = origin.at.timestamp_micros();
    if at >= state.fetched_at {
        state.fetched_at = at;
        state.source = origin.source;
    }
    if exists && state.unknown_at.is_some_and(|unknown_at| at >= unknown_at) {
        state.unknown_at = None;
    }
}

fn outcome(before: Option<&NodeState>, after: &NodeState) -> Outcome {
    let Some(before) = before else {
        return if after.body.is_empty() && after.deleted.is_none() { Outcome::Confirmed } else { Outcome::Filled };
    };
    let revealed = before.unknown_at.is_some() != after.unknown_at.is_some();
    let changed = before.body.iter().any(|(key, value)| after.body.get(key) != Some(value));
    if changed || revealed || before.is_deleted() != after.is_deleted() {
        Outcome::Changed
    } else if after.body.len() > before.body.len() {
        Outcome::Filled
    } else {
        Outcome::Confirmed
    }
}

/// The same for the same content, whatever the order of its keys.
fn content_hash(fields: &Body) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hash_object(fields, &mut hasher);
    let mut first = [0; 8];
    first.copy_from_slice(hasher.finalize().as_bytes().get(..8).unwrap_or(&[0; 8]));
    u64::from_le_bytes(first)
}

fn hash_object(fields: &Body, hasher: &mut blake3::Hasher) {
    let mut keys: Vec<_> = fields.iter().collect();
    keys.sort_by_key(|(key, _)| key.as_str());
    hasher.update(b"{");
    for (key, value) in keys {
        hash_text(key, hasher);
        hash_value(value, hasher);
    }
    hasher.update(b"}");
}

fn hash_value(value: &Value, hasher: &mut blake3::Hasher) {
    match value {
        Value::Object(fields) => hash_object(fields, hasher),
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                hash_value(item, hasher);
            }
            hasher.update(b"]");
        }
        Value::String(text) => hash_text(text, hasher),
        other => {
            hasher.update(other.to_string().as_bytes()).update(b";");
        }
    }
}

fn hash_text(text: &str, hasher: &mut blake3::Hasher) {
    hasher.update(b"\"").update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
}
