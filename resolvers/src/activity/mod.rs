//! The activity log: what happened, newest first, put into words when it is read; and the head of the stream.

mod cursors;
pub mod releaser;
pub(crate) mod settling;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use mullion_schema::{
    error::PortError,
    fields::FieldSet,
    id::{ActivityId, EventCursor, IntegrationId, NodeKey, NodeReference, TenantId},
    ports::{ActivityLog, ActivitySource, ActivityView, Page, PageRequest, Position},
};

pub use self::cursors::Cursors;
use self::settling::{UPDATED_AT, is_such, unsettled};
use crate::{
    answers::{Services, rows::ROW_BYTES},
    cache::kept::NewEntry,
    provider::sentence::{Detail, Names, SentenceParts, name_in},
    reading::{Scope, internal},
    store::{
        activity::{Activity, ActivityFilter},
        node::StoredNode,
    },
    tag::Tag,
};

/// Answers for one execution.
pub struct ActivityAnswer {
    pub(super) services: Arc<Services>,
    pub(super) scope: Arc<Scope>,
}

/// The fields under which the graph shows names.
const NAMES: [&str; 3] = ["displayName", "name", "title"];

/// Stored activities as the graph shows them, worded with the names that are known here; no provider is asked. With the tags of the
/// nodes that they name.
pub async fn activity_views<'a>(
    services: &Services,
    tenant: &TenantId,
    activities: impl IntoIterator<Item = &'a Activity>,
) -> Result<(Vec<Arc<ActivityView>>, Vec<Tag>), PortError> {
    let activities: Vec<&Activity> = activities.into_iter().collect();
    let subjects = activities.iter().filter_map(|activity| key_of(&activity.integration, activity.subject.as_deref()?));
    let mut keys: Vec<NodeKey> = activities.iter().flat_map(|activity| named_nodes(activity)).chain(subjects).collect();
    keys.sort_unstable();
    keys.dedup();
    let known = services.engine.cached_store.nodes(tenant, &keys).await?;
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
        let settled = known.and_then(|known| settled_so_far(services, activity, known));
        Arc::new(activity_view(services, tenant, settled.as_ref().unwrap_or(activity), names))
    });
    let views = views.collect();
    Ok((views, keys.iter().map(|key| Tag::node(tenant, key)).collect()))
}

/// An activity that waits as it would be settled now.
fn settled_so_far(
    services: &Services,
    activity: &Activity,
    known: &HashMap<String, Arc<StoredNode>>,
) -> Option<Activity> {
    let provider = services.providers.get(activity.provider.as_str())?;
    let node = known.get(unsettled(&**provider, activity)?.1)?;
    let mut settled = activity.clone();
    settling::settle(&**provider, &mut settled, node, None);
    Some(settled)
}

/// The nodes that must be read for the sentences of these activities, where their providers' events bring ids only. No other
/// provider is asked for names.
pub fn name_wants<'a>(
    services: &Services,
    activities: impl IntoIterator<Item = &'a Activity>,
) -> Vec<(NodeKey, FieldSet)> {
    let mut wants: BTreeMap<NodeKey, BTreeSet<&str>> = BTreeMap::new();
    for activity in activities {
        let provider = services.providers.get(activity.provider.as_str());
        let Some(provider) = provider.filter(|provider| provider.names_come_later()) else { continue };
        let open = unsettled(&**provider, activity);
        for (key, reference) in referred_nodes(activity) {
            let fields = open.filter(|(_, node)| *node == reference).map(|(open, _)| [open.field, UPDATED_AT]);
            wants.entry(key).or_default().extend(NAMES.into_iter().chain(fields.into_iter().flatten()));
        }
    }
    wants.into_iter().map(|(key, fields)| (key, fields.into_iter().collect())).collect()
}

/// The nodes that an activity's sentence names.
pub fn named_nodes(activity: &Activity) -> impl Iterator<Item = NodeKey> + '_ {
    referred_nodes(activity).map(|(key, _)| key)
}

/// The same, each with the reference by which the sentence names it.
fn referred_nodes(activity: &Activity) -> impl Iterator<Item = (NodeKey, &str)> + '_ {
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

/// The sentence of an activity: worded anew from its parts, or as it was written where there are none.
fn sentence(services: &Services, activity: &Activity, names: &Names) -> String {
    let provider = services.providers.get(activity.provider.as_str());
    let Some((details, provider)) = activity.details.as_ref().zip(provider) else { return activity.summary.clone() };
    let (kind, occurred_at) = (&activity.kind, activity.occurred_at);
    let gone = activity.subject.as_deref().is_some_and(|subject| names.is_deleted(subject));
    provider.sentence(&SentenceParts { kind, details, occurred_at, names, gone })
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
    /// Whether names are missing that the next reading may bring.
    is_early: bool,
}

impl ActivityAnswer {
    /// Reads what the sentences of these activities need and is not known, waiting for it no longer than briefly; then settles them, and
    /// keeps that. Says whether something could not be read, or not yet.
    async fn complete(&self, activities: &mut [Activity]) -> Result<bool, PortError> {
        let (services, tenant) = (&self.services, &self.scope.tenant);
        let mut wants = name_wants(services, activities.iter());
        if wants.is_empty() {
            return Ok(false);
        }
        let keys: Vec<NodeKey> = wants.iter().map(|(key, _)| key.clone()).collect();
        let known = services.engine.cached_store.nodes(tenant, &keys).await?;
        let mut known = known.into_iter();
        wants.retain(|(key, fields)| is_missing(key, fields, known.next().flatten().as_deref()));
        let scope = Scope::new(tenant.clone(), services.clock.now(), None).hurrying();
        if !wants.is_empty() {
            self.scope.give_turn_back();
            // A name that cannot be read is left out of the sentences.
            services.engine.load_nodes(&scope, wants).await;
        }
        for activity in activities {
            self.settle(activity).await?;
        }
        Ok(self.scope.take_over(&scope))
    }

    /// Settles an activity, if what was read since then tells, and keeps what it told.
    async fn settle(&self, activity: &mut Activity) -> Result<(), PortError> {
        let (services, tenant) = (&self.services, &self.scope.tenant);
        let Some(provider) = services.providers.get(activity.provider.as_str()) else { return Ok(()) };
        let Some((open, reference)) = unsettled(&**provider, activity) else { return Ok(()) };
        let Some((key, _)) = referred_nodes(activity).find(|(_, named)| *named == reference) else { return Ok(()) };
        let node = services.engine.cached_store.nodes(tenant, &[key]).await?.into_iter().next().flatten();
        let Some(node) = node.filter(|node| settling::was_read(&open, activity, node)) else { return Ok(()) };
        let next = match open.changed_by {
            None => None,
            Some(part) => {
                let database = &services.database;
                let told = database.next_such_activity(tenant, activity, part).await.map_err(internal)?;
                let waiting = if told.is_none() {
                    database.pending_activities(tenant).await.map_err(internal)?
                } else {
                    Vec::new()
                };
                let mut waiting = waiting.into_iter().map(|pending| pending.activity);
                told.or_else(|| waiting.find(|other| is_such(&open, activity, other)))
            }
        };
        let mut settled = activity.clone();
        settling::settle(&**provider, &mut settled, &node, next.as_ref());
        if let Some(details) = settled.details.filter(|details| Some(details) != activity.details.as_ref()) {
            let kept = services.database.settle_activity(tenant, (&*activity, details)).await.map_err(internal)?;
            activity.details = kept.or_else(|| activity.details.take());
        }
        Ok(())
    }
}

/// Whether a node has to be read for its name or for one of these fields.
fn is_missing(key: &NodeKey, fields: &FieldSet, node: Option<&StoredNode>) -> bool {
    let Some(node) = node else { return true };
    if node.is_deleted() || node.is_unknown() {
        return false;
    }
    let lacks = |field: &str| !NAMES.contains(&field) && !node.body.contains_key(field);
    node.is_stale() || name_in(&node.body, &key.native_id).is_none() || fields.iter().any(lacks)
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
            let is_early = self.complete(&mut found).await?;
            let (views, mut tags) = activity_views(&self.services, tenant, &found).await?;
            let position =
                |activity: Activity| Position { sort: activity.position.to_string(), native_id: activity.id };
            let items: Vec<_> = found.into_iter().map(position).zip(views).collect();
            let bytes = items.len() * ROW_BYTES;
            tags.push(Tag::own_list(tenant, "activity"));
            let page = Page { items, has_next, total: None };
            let value = Arc::new(ActivityPage { page, tags: tags.clone().into(), is_early });
            Ok(NewEntry { noted, tags, value, bytes, keep: !is_early })
        };
        let kept = self.services.rows.activities.get_or_read(tenant, &key, load).await?;
        self.scope.record_group(&kept.tags);
        if kept.is_early {
            self.scope.note_stale();
        }
        Ok(Page::clone(&kept.page))
    }

    async fn activity(&self, id: &ActivityId) -> Result<Option<Arc<ActivityView>>, PortError> {
        let tenant = &self.scope.tenant;
        let found = self.services.database.activity(tenant, id.as_str()).await.map_err(internal)?;
        let mut found = Vec::from_iter(found);
        self.complete(&mut found).await?;
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
