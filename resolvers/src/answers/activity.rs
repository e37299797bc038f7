//! The activity log: what happened, newest first, put into words when it is read; and the head of the stream.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use mullion_schema::{
    error::PortError,
    id::{ActivityId, EventCursor, NodeKey, NodeReference, TenantId},
    ports::{ActivityLog, ActivitySource, ActivityView, Page, PageRequest, Position},
};

use super::{Services, rows::ROW_BYTES};
use crate::{
    cache::kept::NewEntry,
    engine::{Scope, internal},
    sentence::{Detail, Names, SentenceParts},
    store::activity::{Activity, ActivityFilter},
    tag::Tag,
};

/// Answers for one execution.
pub struct ActivityAnswer {
    pub(super) services: Arc<Services>,
    pub(super) scope: Arc<Scope>,
}

/// Stored activities as the graph shows them, worded with the names that are known here; no provider is asked. With the tags of the
/// nodes that they name.
pub async fn activity_views<'a>(
    services: &Services,
    tenant: &TenantId,
    activities: impl IntoIterator<Item = &'a Activity>,
) -> Result<(Vec<Arc<ActivityView>>, Vec<Tag>), PortError> {
    let activities: Vec<&Activity> = activities.into_iter().collect();
    let mut keys: Vec<NodeKey> = activities.iter().flat_map(|activity| named_nodes(activity)).collect();
    keys.sort_unstable();
    keys.dedup();
    let known = services.engine.shelf.nodes(tenant, &keys).await?;
    let mut names: HashMap<&str, Vec<(String, _)>> = HashMap::new();
    for (key, node) in keys.iter().zip(known) {
        let Some(node) = node else { continue };
        let reference = format!("{}:{}", key.type_name, key.native_id);
        names.entry(key.integration.as_str()).or_default().push((reference, Arc::clone(&node.body)));
    }
    let names: HashMap<&str, Names> =
        names.into_iter().map(|(integration, bodies)| (integration, bodies.into_iter().collect())).collect();
    let nobody = Names::default();
    let views = activities.into_iter().map(|activity| {
        let names = names.get(activity.integration.as_str()).unwrap_or(&nobody);
        Arc::new(activity_view(services, tenant, activity, names))
    });
    let views = views.collect();
    Ok((views, keys.iter().map(|key| Tag::node(tenant, key)).collect()))
}

/// The nodes that an activity's sentence names.
pub fn named_nodes(activity: &Activity) -> impl Iterator<Item = NodeKey> + '_ {
    activity.details.iter().flatten().filter_map(|(_, detail)| {
        let Detail::Node { node, .. } = detail else { return None };
        let (type_name, native_id) = node.split_once(':')?;
        let known = mullion_schema::providers::node_type(type_name)?;
        Some(NodeKey::new(&activity.integration, known.name, native_id))
    })
}

/// The sentence of an activity: worded anew from its parts, or as it was written where there are none.
fn sentence(services: &Services, activity: &Activity, names: &Names) -> String {
    let provider = services.providers.get(activity.provider.as_str());
    let Some((details, provider)) = activity.details.as_ref().zip(provider) else { return activity.summary.clone() };
    provider.sentence(&SentenceParts { kind: &activity.kind, details, occurred_at: activity.occurred_at, names })
}

/// A stored activity as the graph shows it, with these names.
pub fn activity_view(services: &Services, tenant: &TenantId, activity: &Activity, names: &Names) -> ActivityView {
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
        cursor: services.cursors.encode(tenant, activity.position),
        provider: activity.provider.clone(),
        integration: Some(activity.integration.clone()),
        kind: activity.kind.clone(),
        actor: node(&activity.actor),
        subject: node(&activity.subject),
        summary: sentence(services, activity, names),
        occurred_at: activity.occurred_at,
        received_at: activity.received_at,
    }
}

/// A page of activities, with the tags of what it was worded from.
#[derive(Debug)]
pub(super) struct ActivityPage {
    page: Page<Arc<ActivityView>>,
    tags: Arc<[Tag]>,
}

/// The graph's filter as the store's.
pub fn filter_of(source: &ActivitySource) -> ActivityFilter {
    ActivityFilter {
        providers: source.providers.clone(),
        integrations: source.integrations.clone(),
        kinds: source.kinds.clone(),
        containers: source.containers.as_ref().map(|containers| {
            let named = containers.iter();
            named.map(|node| (node.integration.clone(), format!("{}:{}", node.type_name, node.native_id))).collect()
        }),
    }
}

#[async_trait]
impl ActivityLog for ActivityAnswer {
    async fn page(&self, filter: &ActivitySource, page: PageRequest) -> Result<Page<Arc<ActivityView>>, PortError> {
        let tenant = &self.scope.tenant;
        self.scope.record(Tag::own_list(tenant, "activity"));
        let before = match &page.after {
            None => None,
            Some(after) => {
                Some(after.sort.parse().map_err(|_| PortError::bad_input("after: not a cursor of this connection"))?)
            }
        };
        let key = (filter_of(filter), before, page.first);
        let load = async || {
            let noted = self.services.engine.head(tenant).await?;
            let limit = page.first as u64 + 1;
            let mut found = self.services.database.activities(tenant, &key.0, before, limit).await.map_err(internal)?;
            let has_next = found.len() > page.first;
            found.truncate(page.first);
            let (views, mut tags) = activity_views(&self.services, tenant, &found).await?;
            let position =
                |activity: Activity| Position { sort: activity.position.to_string(), native_id: activity.id };
            let items: Vec<_> = found.into_iter().map(position).zip(views).collect();
            let bytes = items.len() * ROW_BYTES;
            tags.push(Tag::own_list(tenant, "activity"));
            let page = Page { items, has_next, total: None };
            let value = Arc::new(ActivityPage { page, tags: tags.clone().into() });
            Ok(NewEntry { noted, tags, value, bytes, keep: true })
        };
        let kept = self.services.rows.activities.get_or_read(tenant, &key, load).await?;
        self.scope.record_group(&kept.tags);
        Ok(Page::clone(&kept.page))
    }

    async fn activity(&self, id: &ActivityId) -> Result<Option<Arc<ActivityView>>, PortError> {
        let tenant = &self.scope.tenant;
        let found = self.services.database.activity(tenant, id.as_str()).await.map_err(internal)?;
        let (views, tags) = activity_views(&self.services, tenant, &found).await?;
        self.scope.record_all(tags);
        Ok(views.into_iter().next())
    }

    async fn head(&self) -> Result<EventCursor, PortError> {
        let tenant = &self.scope.tenant;
        // A head is true for a moment only: an answer that shows one is never reused after a change.
        self.scope.record(Tag::head(tenant));
        // Not the present one: the rest of the answer may have been read before the latest changes.
        let head = match self.scope.noted() {
            Some(noted) => noted,
            None => self.services.engine.head(tenant).await?,
        };
        Ok(self.services.cursors.encode(tenant, head))
    }
}
