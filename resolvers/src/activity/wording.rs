//! Activities as the graph shows them: worded from their parts when they are read.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use mullion_schema::{
    error::PortError,
    fields::FieldSet,
    id::{IntegrationId, NodeKey, NodeReference, TenantId},
    ports::ActivityView,
};

use super::{
    Activities,
    settling::{self, UPDATED_AT, unsettled},
};
use crate::{
    provider::sentence::{Detail, Names, SentenceParts},
    store::{activity::Activity, node::StoredNode},
    tag::Tag,
};

/// The fields under which the graph shows names.
pub(super) const NAMES: [&str; 3] = ["displayName", "name", "title"];

impl Activities {
    /// Stored activities as the graph shows them, worded with the names that are known here; no provider is asked. With the tags of the
    /// nodes that they name.
    pub(crate) async fn views<'a>(
        &self,
        tenant: &TenantId,
        activities: impl IntoIterator<Item = &'a Activity>,
    ) -> Result<(Vec<Arc<ActivityView>>, Vec<Tag>), PortError> {
        let activities: Vec<&Activity> = activities.into_iter().collect();
        let subjects =
            activities.iter().filter_map(|activity| key_of(&activity.integration, activity.subject.as_deref()?));
        let mut keys: Vec<NodeKey> =
            activities.iter().flat_map(|activity| named_nodes(activity)).chain(subjects).collect();
        keys.sort_unstable();
        keys.dedup();
        let known = self.engine.cached_store.nodes(tenant, &keys).await?;
        let mut nodes: HashMap<&str, HashMap<String, Arc<StoredNode>>> = HashMap::new();
        for (key, node) in keys.iter().zip(known) {
            let Some(node) = node else { continue };
            let reference = format!("{}:{}", key.type_name, key.native_id);
            nodes.entry(key.integration.as_str()).or_default().insert(reference, node);
        }
        let bodies = |(integration, nodes): (&&str, &HashMap<String, Arc<StoredNode>>)| {
            let bodies = nodes.iter().map(|(reference, node)| (reference.clone(), Arc::clone(&node.body)));
            let deleted = nodes.iter().filter(|(_, node)| node.is_deleted()).map(|(reference, _)| reference.clone());
            ((*integration).to_owned(), bodies.collect::<Names>().without(deleted))
        };
        let names: HashMap<String, Names> = nodes.iter().map(bodies).collect();
        let nobody = Names::default();
        let views = activities.into_iter().map(|activity| {
            let names = names.get(activity.integration.as_str()).unwrap_or(&nobody);
            let known = nodes.get(activity.integration.as_str()).filter(|_| activity.pending);
            let settled = known.and_then(|known| self.settled_so_far(activity, known));
            Arc::new(self.view(tenant, settled.as_ref().unwrap_or(activity), names))
        });
        let views = views.collect();
        Ok((views, keys.iter().map(|key| Tag::node(tenant, key)).collect()))
    }

    /// An activity that waits as it would be settled now.
    fn settled_so_far(&self, activity: &Activity, known: &HashMap<String, Arc<StoredNode>>) -> Option<Activity> {
        let provider = self.providers.get(activity.provider.as_str())?;
        let node = known.get(unsettled(&**provider, activity)?.1)?;
        let mut settled = activity.clone();
        settling::settle(&**provider, &mut settled, node, None);
        Some(settled)
    }

    /// The nodes that must be read for the sentences of these activities, where their providers' events bring ids only. No other
    /// provider is asked for names.
    pub(crate) fn name_wants<'a>(
        &self,
        activities: impl IntoIterator<Item = &'a Activity>,
    ) -> Vec<(NodeKey, FieldSet)> {
        let mut wants: BTreeMap<NodeKey, BTreeSet<&str>> = BTreeMap::new();
        for activity in activities {
            let provider = self.providers.get(activity.provider.as_str());
            let Some(provider) = provider.filter(|provider| provider.names_come_later()) else { continue };
            let open = unsettled(&**provider, activity);
            for (key, reference) in referred_nodes(activity) {
                let fields = open.filter(|(_, node)| *node == reference).map(|(open, _)| [open.field, UPDATED_AT]);
                wants.entry(key).or_default().extend(NAMES.into_iter().chain(fields.into_iter().flatten()));
            }
        }
        wants.into_iter().map(|(key, fields)| (key, fields.into_iter().collect())).collect()
    }

    /// The sentence of an activity: worded anew from its parts, or as it was written where there are none.
    fn sentence(&self, activity: &Activity, names: &Names) -> String {
        let provider = self.providers.get(activity.provider.as_str());
        let Some((details, provider)) = activity.details.as_ref().zip(provider) else {
            return activity.summary.clone();
        };
        let (kind, occurred_at) = (&activity.kind, activity.occurred_at);
        let gone = activity.subject.as_deref().is_some_and(|subject| names.is_deleted(subject));
        provider.sentence(&SentenceParts { kind, details, occurred_at, names, gone })
    }

    /// A stored activity as the graph shows it, with these names.
    pub(crate) fn view(&self, tenant: &TenantId, activity: &Activity, names: &Names) -> ActivityView {
        let node = |reference: &Option<String>| {
            let (type_name, native_id) = reference.as_deref()?.split_once(':')?;
            Some(NodeReference {
                integration: activity.integration.clone(),
                type_name: type_name.into(),
                native_id: native_id.into(),
            })
        };
        ActivityView {
            id: activity.id.as_str().into(),
            cursor: self.cursors.encode(tenant, activity.position),
            provider: activity.provider.clone(),
            integration: Some(activity.integration.clone()),
            kind: activity.kind.clone(),
            actor: node(&activity.actor),
            subject: node(&activity.subject),
            summary: self.sentence(activity, names),
            occurred_at: activity.occurred_at,
            received_at: activity.received_at,
        }
    }
}

/// The nodes that an activity's sentence names.
pub(crate) fn named_nodes(activity: &Activity) -> impl Iterator<Item = NodeKey> + '_ {
    referred_nodes(activity).map(|(key, _)| key)
}

/// The same, each with the reference by which the sentence names it.
pub(super) fn referred_nodes(activity: &Activity) -> impl Iterator<Item = (NodeKey, &str)> + '_ {
    activity.details.iter().flatten().filter_map(|(_, detail)| {
        let Detail::Node { node, .. } = detail else { return None };
        Some((key_of(&activity.integration, node)?, node.as_str()))
    })
}

/// The node of a reference, if it is of a type that the graph has.
fn key_of(integration: &IntegrationId, reference: &str) -> Option<NodeKey> {
    let (type_name, native_id) = reference.split_once(':')?;
    Some(NodeKey::new(integration, mullion_schema::providers::node_type(type_name)?.name, native_id))
}
