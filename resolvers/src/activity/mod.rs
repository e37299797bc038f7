//! The activity log: what happened, newest first, put into words when it is read; and the head of the stream.

mod cursors;
pub mod releaser;
pub(crate) mod settling;
mod wording;

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use mullion_schema::{
    error::PortError,
    fields::FieldSet,
    id::{ActivityId, EventCursor, NodeKey},
    ports::{ActivityLog, ActivityPage, ActivitySource, ActivityView, Page, PageRequest, Position, Problem},
};

pub use self::cursors::Cursors;
use self::settling::{is_such, unsettled};
pub(crate) use self::wording::named_nodes;
use self::wording::{NAMES, referred_nodes};
use crate::{
    cache::kept::{Kept, NewEntry, ROW_BYTES},
    clock::Clock,
    provider::Providers,
    provider::sentence::name_in,
    reading::{Engine, Scope, integrations::Integration, internal, token_refused},
    store::{
        Database,
        activity::{Activity, ActivityFilter},
        node::StoredNode,
    },
    tag::Tag,
};

/// Which activities are asked for: the filter, before which position, how many.
pub(crate) type ActivitiesKey = (ActivityFilter, Option<i64>, usize);

/// The activities of all tenants.
pub struct Activities {
    pub(crate) database: Database,
    pub(crate) engine: Arc<Engine>,
    pub(crate) providers: Arc<Providers>,
    pub(crate) cursors: Cursors,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) kept: Kept<ActivitiesKey, Arc<WordedPage>>,
}

/// Answers for one execution.
pub struct ActivityAnswer {
    pub(crate) activities: Arc<Activities>,
    pub(crate) scope: Arc<Scope>,
}

/// A page of activities, with the tags of what it was worded from.
#[derive(Debug)]
pub(crate) struct WordedPage {
    page: Arc<ActivityPage>,
    tags: Arc<[Tag]>,
    /// Whether names are missing that the next reading may bring.
    is_early: bool,
}

impl ActivityAnswer {
    /// Reads what the sentences of these activities need and is not known, waiting for it no longer than briefly; then settles them, and
    /// keeps that. Says whether something could not be read, or not yet.
    async fn complete(&self, activities: &mut [Activity]) -> Result<bool, PortError> {
        let (room, tenant) = (&self.activities, &self.scope.tenant);
        let mut wants = room.name_wants(activities.iter());
        if wants.is_empty() {
            return Ok(false);
        }
        let keys: Vec<NodeKey> = wants.iter().map(|(key, _)| key.clone()).collect();
        let known = room.engine.cached_store.nodes(tenant, &keys).await?;
        let mut known = known.into_iter();
        wants.retain(|(key, fields)| is_missing(key, fields, known.next().flatten().as_deref()));
        let scope = Scope::new(tenant.clone(), room.clock.now(), None).hurrying();
        if !wants.is_empty() {
            self.scope.give_turn_back();
            // A name that cannot be read is left out of the sentences.
            room.engine.load_nodes(&scope, wants).await;
        }
        for activity in activities {
            self.settle(activity).await?;
        }
        Ok(self.scope.take_over(&scope))
    }

    /// Settles an activity, if what was read since then tells, and keeps what it told.
    async fn settle(&self, activity: &mut Activity) -> Result<(), PortError> {
        let (room, tenant) = (&self.activities, &self.scope.tenant);
        let Some(provider) = room.providers.get(activity.provider.as_str()) else { return Ok(()) };
        let Some((open, reference)) = unsettled(&**provider, activity) else { return Ok(()) };
        let Some((key, _)) = referred_nodes(activity).find(|(_, named)| *named == reference) else { return Ok(()) };
        let node = room.engine.cached_store.nodes(tenant, &[key]).await?.into_iter().next().flatten();
        let Some(node) = node.filter(|node| settling::was_read(&open, activity, node)) else { return Ok(()) };
        let next = match open.changed_by {
            None => None,
            Some(part) => {
                let database = &room.database;
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
            let kept = room.database.settle_activity(tenant, (&*activity, details)).await.map_err(internal)?;
            activity.details = kept.or_else(|| activity.details.take());
        }
        Ok(())
    }
}

impl ActivityAnswer {
    /// The reasons why activities may be missing, with the tags of the integrations that were looked at. Where the token is refused,
    /// nobody finds in the provider's log what its webhooks did not bring.
    async fn problems(&self, filter: &ActivitySource) -> Result<(Vec<Problem>, Vec<Tag>), PortError> {
        let tenant = &self.scope.tenant;
        let is_wanted = |integration: &Integration| {
            let key = integration.provider.descriptor().key;
            let containers = filter.containers.as_ref();
            filter.providers.as_ref().is_none_or(|keys| keys.iter().any(|wanted| wanted == key))
                && filter.integrations.as_ref().is_none_or(|ids| ids.contains(&integration.id))
                && containers.is_none_or(|all| all.iter().any(|container| container.integration == integration.id))
        };
        let mut tags = vec![Tag::own_list(tenant, "integrations")];
        let mut problems = Vec::new();
        for integration in self.activities.engine.directory().all(tenant).await? {
            if !is_wanted(&integration) {
                continue;
            }
            tags.push(Tag::own(tenant, "Integration", integration.id.as_str()));
            if integration.refused.load(Ordering::Relaxed) {
                let PortError { code, message, .. } = token_refused(&integration);
                let integration = Some(integration.id.clone());
                problems.push(Problem { code, message, integration, retry_after: None });
            }
        }
        Ok((problems, tags))
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
    async fn page(&self, filter: &ActivitySource, page: PageRequest) -> Result<Arc<ActivityPage>, PortError> {
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
            let noted = self.activities.engine.head(tenant).await?;
            let limit = page.first as u64 + 1;
            let mut found =
                self.activities.database.activities(tenant, &key.0, before, limit).await.map_err(internal)?;
            let has_next = found.len() > page.first;
            found.truncate(page.first);
            let is_early = self.complete(&mut found).await?;
            let (views, mut tags) = self.activities.views(tenant, &found).await?;
            let position =
                |activity: Activity| Position { sort: activity.position.to_string(), native_id: activity.id };
            let items: Vec<_> = found.into_iter().map(position).zip(views).collect();
            let bytes = items.len() * ROW_BYTES;
            tags.push(Tag::own_list(tenant, "activity"));
            let (problems, integrations) = self.problems(filter).await?;
            tags.extend(integrations);
            let page = Arc::new(ActivityPage { page: Page { items, has_next, total: None }, problems });
            let value = Arc::new(WordedPage { page, tags: tags.clone().into(), is_early });
            Ok(NewEntry { noted, tags, value, bytes, keep: !is_early })
        };
        let kept = self.activities.kept.get_or_read(tenant, &key, load).await?;
        self.scope.record_group(&kept.tags);
        if kept.is_early {
            self.scope.note_stale();
        }
        Ok(Arc::clone(&kept.page))
    }

    async fn activity(&self, id: &ActivityId) -> Result<Option<Arc<ActivityView>>, PortError> {
        let tenant = &self.scope.tenant;
        let found = self.activities.database.activity(tenant, id.as_str()).await.map_err(internal)?;
        let mut found = Vec::from_iter(found);
        self.complete(&mut found).await?;
        let (views, tags) = self.activities.views(tenant, &found).await?;
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
            None => self.activities.engine.head(tenant).await?,
        };
        Ok(self.activities.cursors.encode(tenant, head))
    }
}
