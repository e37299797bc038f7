//! Webhook deliveries for administrators: what came in, what became of it, and its replay.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use mullion_schema::{
    enums::{WebhookDeliverySource as Source, WebhookDeliveryState as State},
    error::PortError,
    id::DeliveryId,
    ports::{self, ActivityView, ChangeView, Deliveries, DeliveryView, LiveOperationView, Page, PageRequest, Position},
};

use crate::{
    activity::activity_views,
    answers::Services,
    reading::{Scope, internal},
    store::{
        StoreError,
        inbox::{
            APPLIED, DeliverySource, IGNORED, PARKED, RECEIVED,
            list::{DeliveryFilter, DeliveryInfo},
        },
        stream::AppliedChange,
    },
    tag::Tag,
};

/// Answers for one execution.
pub struct DeliveriesAnswer {
    pub(crate) services: Arc<Services>,
    pub(crate) scope: Arc<Scope>,
}

fn state_of(state: &str) -> State {
    match state {
        APPLIED => State::Applied,
        IGNORED => State::Ignored,
        PARKED => State::Parked,
        _ => State::Received,
    }
}

fn source_of(source: DeliverySource) -> Source {
    match source {
        DeliverySource::Webhook => Source::Webhook,
        DeliverySource::Socket => Source::Socket,
        DeliverySource::Log => Source::Log,
    }
}

fn name_of(state: State) -> &'static str {
    match state {
        State::Received => RECEIVED,
        State::Applied => APPLIED,
        State::Ignored => IGNORED,
        State::Parked => PARKED,
    }
}

fn view_of(info: DeliveryInfo) -> DeliveryView {
    let number = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    DeliveryView {
        id: info.id.into(),
        provider: info.provider,
        integration: info.integration,
        event: info.event,
        delivery_id: info.delivery_id,
        source: source_of(info.source),
        state: state_of(&info.state),
        attempts: number(info.attempts),
        received_at: info.received_at,
        settled_at: info.settled_at,
        error: info.error,
        next_attempt_at: info.next_attempt_at,
        size: number(info.size),
    }
}

#[async_trait]
impl Deliveries for DeliveriesAnswer {
    async fn page(
        &self,
        filter: &ports::DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<Arc<DeliveryView>>, PortError> {
        // A delivery's state is in no stream: an answer that shows it is never kept.
        self.scope.note_stale();
        let filter = DeliveryFilter {
            tenant: Some(self.scope.tenant.clone()),
            integrations: filter.integrations.clone(),
            providers: filter.providers.clone(),
            states: filter
                .states
                .as_ref()
                .map(|states| states.iter().map(|state| name_of(*state).to_owned()).collect()),
            events: filter.events.clone(),
            received_after: filter.received_after,
            received_before: filter.received_before,
        };
        let before = page.after.as_ref().map(|after| after.native_id.as_str());
        let found = self.services.database.deliveries(&filter, before, page.first as u64 + 1).await;
        let mut found = found.map_err(internal)?;
        let has_next = found.len() > page.first;
        found.truncate(page.first);
        let position = |info: &DeliveryInfo| Position { sort: String::new(), native_id: info.id.clone() };
        let items = found.into_iter().map(|info| (position(&info), Arc::new(view_of(info)))).collect();
        Ok(Page { items, has_next, total: None })
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Arc<DeliveryView>>, PortError> {
        self.scope.note_stale();
        let found = self.services.database.delivery(Some(&self.scope.tenant), id.as_str()).await;
        Ok(found.map_err(internal)?.map(|info| Arc::new(view_of(info))))
    }

    async fn activities(&self, id: &DeliveryId, most: usize) -> Result<Vec<Arc<ActivityView>>, PortError> {
        let tenant = &self.scope.tenant;
        let found = self.services.database.activities_of_delivery(tenant, id.as_str(), most as u64).await;
        let (views, _) = activity_views(&self.services, tenant, &found.map_err(internal)?).await?;
        Ok(views)
    }

    async fn changes(&self, id: &DeliveryId, most: usize) -> Result<Vec<ChangeView>, PortError> {
        let tenant = &self.scope.tenant;
        let found = self.services.database.changes_of_delivery(tenant, id.as_str(), most as u64).await;
        let view = |change: AppliedChange| ChangeView {
            cursor: self.services.cursors.encode(tenant, change.position),
            outdates: change.tags.iter().filter_map(Tag::within_integration).take(most).map(str::to_owned).collect(),
        };
        Ok(found.map_err(internal)?.into_iter().map(view).collect())
    }

    async fn live_operations(&self, id: &DeliveryId, most: usize) -> Result<Vec<LiveOperationView>, PortError> {
        let tenant = &self.scope.tenant;
        let found = self.services.database.changes_of_delivery(tenant, id.as_str(), most as u64).await;
        let tags: HashSet<Tag> = found.map_err(internal)?.into_iter().flat_map(|change| change.tags).collect();
        let watching = self.services.hub.watching(tenant, &tags, most).into_iter();
        let view = |(operation_name, subscribers)| LiveOperationView {
            operation_name,
            subscribers: i32::try_from(subscribers).unwrap_or(i32::MAX),
        };
        Ok(watching.map(view).collect())
    }

    async fn replay(&self, id: &DeliveryId) -> Result<Arc<DeliveryView>, PortError> {
        let replayed = self.services.database.replay_delivery(&self.scope.tenant, id.as_str()).await;
        let replayed = replayed.map_err(|error| match error {
            StoreError::NotFound => PortError::not_found("id"),
            error => internal(error),
        })?;
        self.services.wake.wake();
        Ok(Arc::new(view_of(replayed)))
    }
}
