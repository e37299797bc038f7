//! The node store: nodes as webhooks and fetches brought them, read in batches.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use mullion_entities::node;
use mullion_schema::{
    id::{IntegrationId, NodeKey, TenantId},
    view::Body,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryTrait, sea_query::OnConflict};
use serde::{Deserialize, Serialize};

use super::{
    Database, StoreError,
    merge::{NodeState, Source, Stamp},
    session::{CHUNK, Session},
    time::from_micros,
};
use crate::provider::{NodeRef, change::Version};

/// A node of the store, without what only writes need: the versions of its fields.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredNode {
    /// Which.
    pub key: NodeKey,
    /// Its known fields.
    pub body: Arc<Body>,
    /// Known fields that may be out of date, and when each was last brought, in microseconds.
    stale: Arc<[(String, i64)]>,
    deleted: bool,
    unknown: bool,
    fetched_at: i64,
    source: Source,
    bytes: u32,
}

impl StoredNode {
    fn new(key: NodeKey, state: NodeState) -> Self {
        let outdated = state.stamps.iter().filter(|(name, _)| state.is_stale_key(name));
        let since = outdated.map(|(name, stamp)| (name.clone(), stamp.seen)).collect();
        Self {
            bytes: u32::try_from(bytes_of(&state.body)).unwrap_or(u32::MAX),
            key,
            stale: since,
            deleted: state.is_deleted(),
            unknown: state.unknown_at.is_some(),
            fetched_at: state.fetched_at,
            source: state.source,
            body: Arc::new(state.body),
        }
    }

    /// About how many bytes its fields take in memory: for the caches that hold it.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Whether it was deleted at the provider.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Whether the provider did not know it when it was last asked, and nothing was heard of it since.
    pub fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// Whether any known field may be out of date.
    pub fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Whether any of these body keys may be out of date.
    pub fn is_stale_in(&self, keys: &BTreeSet<&'static str>) -> bool {
        self.stale.iter().any(|(stale, _)| keys.contains(stale.as_str()))
    }

    /// Whether all of these body keys are known.
    pub fn knows<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> bool {
        keys.into_iter().all(|key| self.body.contains_key(key))
    }

    /// Whether all of these body keys are known and none is out of date.
    pub fn is_fresh<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> bool {
        keys.into_iter().all(|key| self.body.contains_key(key) && !self.stale.iter().any(|(stale, _)| stale == key))
    }

    /// Whether a body key is known from a reading that began at this time or later.
    pub fn was_read_since(&self, key: &str, at: DateTime<Utc>) -> bool {
        let outdated = self.stale.iter().find(|(stale, _)| stale == key);
        let read_at = outdated.map_or(self.fetched_at, |(_, seen)| *seen);
        self.body.contains_key(key) && read_at >= at.timestamp_micros()
    }

    /// When the newest part of it was brought.
    pub fn fetched_at(&self) -> DateTime<Utc> {
        from_micros(self.fetched_at)
    }

    /// The source of the newest part.
    pub fn source(&self) -> Source {
        self.source
    }
}

impl Database {
    /// The nodes with these keys, in the order of the keys.
    pub async fn nodes(&self, tenant: &TenantId, keys: &[NodeKey]) -> Result<Vec<Option<StoredNode>>, StoreError> {
        let mut found: HashMap<(String, String, String), StoredNode> = HashMap::with_capacity(keys.len());
        let name_of = |key: &NodeKey| {
            (key.integration.as_str().to_owned(), key.type_name.to_owned(), key.native_id.as_ref().to_owned())
        };
        for chunk in keys.chunks(CHUNK) {
            let mut integrations: Vec<&str> = chunk.iter().map(|key| key.integration.as_str()).collect();
            integrations.sort_unstable();
            integrations.dedup();
            let rows = node::Entity::find()
                .filter(node::Column::Tenant.eq(tenant.as_str()))
                .filter(node::Column::Integration.is_in(integrations))
                .filter(node::Column::NativeId.is_in(chunk.iter().map(|key| key.native_id.as_ref())))
                .all(&self.0.reader)
                .await?;
            let wanted: HashMap<_, &NodeKey> = chunk.iter().map(|key| (name_of(key), key)).collect();
            for row in rows {
                let state = state_of(&row)?;
                let name = (row.integration, row.type_name, row.native_id);
                if let Some(key) = wanted.get(&name) {
                    found.insert(name, StoredNode::new((*key).clone(), state));
                }
            }
        }
        Ok(keys.iter().map(|key| found.get(&name_of(key)).cloned()).collect())
    }
}

/// Bytes that a field of a body takes beside its name and its text: its place in the map with the hash, and the two allocations.
const FIELD_BYTES: usize = 112;

/// About how many bytes a body takes in memory.
fn bytes_of(body: &Body) -> usize {
    body.iter().map(|(name, value)| FIELD_BYTES + name.len() + bytes_of_value(value)).sum()
}

fn bytes_of_value(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(items) => items.iter().map(|item| 40 + bytes_of_value(item)).sum(),
        serde_json::Value::Object(fields) => 64 + bytes_of(fields),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => 0,
    }
}

/// The states of these nodes, inside a transaction.
pub(super) async fn load(
    connection: &impl Session,
    tenant: &TenantId,
    integration: &IntegrationId,
    nodes: &[NodeRef],
) -> Result<HashMap<NodeRef, NodeState>, StoreError> {
    let mut found = HashMap::with_capacity(nodes.len());
    for chunk in nodes.chunks(CHUNK) {
        let chosen = node::Entity::find()
            .filter(node::Column::Tenant.eq(tenant.as_str()))
            .filter(node::Column::Integration.eq(integration.as_str()))
            .filter(node::Column::NativeId.is_in(chunk.iter().map(|node| node.native_id.as_ref())));
        let wanted: HashMap<(&str, &str), &NodeRef> =
            chunk.iter().map(|node| ((node.type_name, node.native_id.as_ref()), node)).collect();
        for row in connection.all(chosen).await? {
            if let Some(node) = wanted.get(&(row.type_name.as_str(), row.native_id.as_str())) {
                found.insert((*node).clone(), state_of(&row)?);
            }
        }
    }
    Ok(found)
}

/// Writes nodes, over what was there.
pub(super) async fn save(
    connection: &impl Session,
    tenant: &TenantId,
    integration: &IntegrationId,
    nodes: &[(&NodeRef, &NodeState)],
) -> Result<(), StoreError> {
    for chunk in nodes.chunks(CHUNK) {
        let rows: Result<Vec<_>, _> =
            chunk.iter().map(|(node, state)| row_of(tenant, integration, node, state)).collect();
        let key = [node::Column::Tenant, node::Column::Integration, node::Column::NativeId, node::Column::TypeName];
        let over = OnConflict::columns(key)
            .update_columns([
                node::Column::Body,
                node::Column::Stamps,
                node::Column::DeletedAt,
                node::Column::DeletedRank,
                node::Column::StaleAt,
                node::Column::UnknownAt,
                node::Column::FetchedAt,
                node::Column::Source,
            ])
            .to_owned();
        let insert = node::Entity::insert_many(rows?).on_conflict(over).build(connection.backend());
        connection.run(insert).await?;
    }
    Ok(())
}

/// A node for callers.
pub(super) fn stored(integration: &IntegrationId, node: &NodeRef, state: NodeState) -> StoredNode {
    StoredNode::new(NodeKey::new(integration, node.type_name, node.native_id.clone()), state)
}

/// Keys that share a stamp, which most keys of a node do.
#[derive(Serialize, Deserialize)]
struct StampGroup {
    #[serde(flatten)]
    stamp: Stamp,
    keys: Vec<String>,
}

fn row_of(
    tenant: &TenantId,
    integration: &IntegrationId,
    node: &NodeRef,
    state: &NodeState,
) -> Result<node::ActiveModel, StoreError> {
    let json = |source| StoreError::Corrupt { what: "body of a node", source };
    let mut groups: HashMap<Stamp, Vec<String>> = HashMap::new();
    for (key, stamp) in &state.stamps {
        groups.entry(*stamp).or_default().push(key.clone());
    }
    let mut groups: Vec<StampGroup> = groups.into_iter().map(|(stamp, keys)| StampGroup { stamp, keys }).collect();
    groups.sort_by(|a, b| a.keys.cmp(&b.keys));
    Ok(node::ActiveModel {
        tenant: Set(tenant.as_str().to_owned()),
        integration: Set(integration.as_str().to_owned()),
        native_id: Set(node.native_id.as_ref().to_owned()),
        type_name: Set(node.type_name.to_owned()),
        body: Set(serde_json::to_string(&state.body).map_err(json)?),
        stamps: Set(serde_json::to_string(&groups).map_err(json)?),
        deleted_at: Set(state.deleted.map(|version| version.at)),
        deleted_rank: Set(state.deleted.map(|version| version.rank.into())),
        stale_at: Set(state.stale_at),
        unknown_at: Set(state.unknown_at),
        fetched_at: Set(state.fetched_at),
        source: Set(match state.source {
            Source::Webhook => "webhook".to_owned(),
            Source::Provider => "provider".to_owned(),
        }),
    })
}

fn state_of(row: &node::Model) -> Result<NodeState, StoreError> {
    let groups: Vec<StampGroup> = serde_json::from_str(&row.stamps)
        .map_err(|source| StoreError::Corrupt { what: "versions of a node", source })?;
    let stamps =
        groups.into_iter().flat_map(|group| group.keys.into_iter().map(move |key| (key, group.stamp))).collect();
    let rank = row.deleted_rank.and_then(|rank| i32::try_from(rank).ok()).unwrap_or_default();
    Ok(NodeState {
        body: serde_json::from_str(&row.body)
            .map_err(|source| StoreError::Corrupt { what: "body of a node", source })?,
        stamps,
        deleted: row.deleted_at.map(|at| Version { at, rank }),
        stale_at: row.stale_at,
        unknown_at: row.unknown_at,
        fetched_at: row.fetched_at,
        source: if row.source == "webhook" { Source::Webhook } else { Source::Provider },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::bytes_of;

    #[test]
    fn a_body_weighs_what_it_holds_however_deep_it_lies() {
        let long = "x".repeat(65_000);
        for (value, least) in [
            (json!({ "body": long }), 65_000),
            (json!({ "nodes": [{ "body": long }, { "body": long }] }), 130_000),
            (json!({ "numbers": vec![1; 1_000] }), 32_000),
            (json!({ "number": 1, "closed": false }), 200),
        ] {
            let Value::Object(body) = &value else { panic!("{value}") };
            let bytes = bytes_of(body);
            assert!(bytes >= least && bytes < least * 2, "{bytes} for {least}");
        }
    }
}
