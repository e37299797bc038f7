//! The activity log: what happened, newest first, and the head of the stream.

use std::sync::Arc;

use async_trait::async_trait;
use mullion_schema::{
    error::PortError,
    id::{ActivityId, EventCursor, NodeReference, TenantId},
    ports::{ActivityLog, ActivitySource, ActivityView, Page, PageRequest, Position},
};

use super::{Cursors, Services, rows::ROW_BYTES};
use crate::{
    cache::kept::NewEntry,
    engine::{Scope, internal},
    store::activity::{Activity, ActivityFilter},
    tag::Tag,
};

/// Answers for one execution.
pub struct ActivityAnswer {
    pub(super) services: Arc<Services>,
    pub(super) scope: Arc<Scope>,
}

/// A stored activity as the graph shows it.
pub fn activity_view(cursors: &Cursors, tenant: &TenantId, activity: &Activity) -> ActivityView {
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
        cursor: cursors.encode(tenant, activity.position),
        provider: activity.provider.clone(),
        integration: Some(activity.integration.clone()),
        kind: activity.kind.clone(),
        actor: node(&activity.actor),
        subject: node(&activity.subject),
        summary: activity.summary.clone(),
        occurred_at: activity.occurred_at,
        received_at: activity.received_at,
    }
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
            let items: Vec<_> = found
                .iter()
                .map(|activity| {
                    let position = Position { sort: activity.position.to_string(), native_id: activity.id.clone() };
                    (position, Arc::new(activity_view(&self.services.cursors, tenant, activity)))
                })
                .collect();
            let (tags, bytes) = (vec![Tag::own_list(tenant, "activity")], items.len() * ROW_BYTES);
            Ok(NewEntry { noted, tags, value: Arc::new(Page { items, has_next, total: None }), bytes, keep: true })
        };
        let page = self.services.rows.activities.get_or_read(tenant, &key, load).await?;
        Ok(Page::clone(&page))
    }

    async fn activity(&self, id: &ActivityId) -> Result<Option<Arc<ActivityView>>, PortError> {
        let tenant = &self.scope.tenant;
        let found = self.services.database.activity(tenant, id.as_str()).await.map_err(internal)?;
        Ok(found.map(|activity| Arc::new(activity_view(&self.services.cursors, tenant, &activity))))
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
