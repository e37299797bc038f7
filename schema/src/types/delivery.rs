//! Webhook deliveries, as administrators see them.

#![expect(clippy::unused_async, reason = "errors below asynchronous fields keep their own path")]

use std::{borrow::Cow, sync::Arc};

use async_graphql::{Context, ID, Object};

use super::activity::Activity;
use crate::{
    accounts::{
        integration::{Integration, connected_integration},
        provider::Provider,
    },
    cost::Items,
    enums::{WebhookDeliverySource, WebhookDeliveryState},
    error::PortError,
    id::{EventCursor, GlobalId},
    ports::{ChangeView, DeliveryView, LiveOperationView},
    scalars::Time,
    table::{Item, Many, ports},
};

/// Effects of each kind that are shown of a delivery.
const MOST: usize = 100;

/// A webhook delivery.
#[derive(Clone)]
pub struct WebhookDelivery(pub Arc<DeliveryView>);

impl Item for WebhookDelivery {
    fn stem() -> Cow<'static, str> {
        Cow::Borrowed("WebhookDelivery")
    }
}

/// A webhook delivery that was verified and stored. Its body and headers are not shown: they may hold secrets.
#[Object]
impl WebhookDelivery {
    /// Opaque, global and stable.
    async fn id(&self) -> ID {
        GlobalId::own("WebhookDelivery", self.0.id.as_str()).encode().into()
    }

    /// The provider it came from.
    async fn provider(&self, ctx: &Context<'_>) -> Result<Provider, PortError> {
        Provider::of(ctx, &self.0.provider)
    }

    /// The integration whose endpoint it came in at; null after it was disconnected.
    async fn integration(&self, ctx: &Context<'_>) -> Option<Result<Integration, PortError>> {
        connected_integration(ctx, Some(&self.0.integration)).await
    }

    /// The kind of event, in the provider's words: `issues.closed`, `message`, `task.changed`.
    async fn event(&self) -> &str {
        &self.0.event
    }

    /// The provider's id of the delivery, to find it in the provider's own list; null where the provider gives none.
    async fn delivery_id(&self) -> Option<&str> {
        self.0.delivery_id.as_deref()
    }

    /// How it came in, the first time: one that comes again, in whatever way, is recognised and dropped.
    async fn source(&self) -> WebhookDeliverySource {
        self.0.source
    }

    /// The state of the delivery.
    async fn state(&self) -> WebhookDeliveryState {
        self.0.state
    }

    /// How often it was tried, since it came in or was replayed.
    async fn attempts(&self) -> i32 {
        self.0.attempts
    }

    /// When its last byte came.
    async fn received_at(&self) -> Time {
        self.0.received_at.into()
    }

    /// When it was applied, ignored or parked; null while it waits.
    async fn settled_at(&self) -> Option<Time> {
        self.0.settled_at.map(Into::into)
    }

    /// The error of the last try, or why it was ignored.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// When it is tried again; null unless it failed and still has tries left.
    async fn next_attempt_at(&self) -> Option<Time> {
        self.0.next_attempt_at.map(Into::into)
    }

    /// The activities that came of it, oldest first, 100 at most: those that another delivery told of before are not among them.
    #[graphql(directive = Items::apply(100))]
    async fn activities(&self, ctx: &Context<'_>) -> Option<Result<Many<Activity>, PortError>> {
        let found = async { ports(ctx)?.deliveries.activities(&self.0.id, MOST).await }.await;
        Some(found.map(|found| found.into_iter().map(Activity).collect()))
    }

    /// The changes in the event stream that came of it, in order, 100 at most, as long as they are kept. Deliveries that were
    /// applied together share theirs.
    #[graphql(directive = Items::apply(100))]
    async fn changes(&self, ctx: &Context<'_>) -> Option<Result<Many<WebhookDeliveryChange>, PortError>> {
        let found = async { ports(ctx)?.deliveries.changes(&self.0.id, MOST).await }.await;
        Some(found.map(|found| found.into_iter().map(WebhookDeliveryChange).collect()))
    }

    /// The live operations that watch what it changed, 100 at most: of those that run now in the process that answers. Subscriptions
    /// to `activity` are not among them.
    #[graphql(directive = Items::apply(100))]
    async fn live_operations(&self, ctx: &Context<'_>) -> Option<Result<Many<LiveOperation>, PortError>> {
        let found = async { ports(ctx)?.deliveries.live_operations(&self.0.id, MOST).await }.await;
        Some(found.map(|found| found.into_iter().map(LiveOperation).collect()))
    }

    /// Bytes of its body.
    async fn size(&self) -> i32 {
        self.0.size
    }
}

/// A change in the event stream that came of a delivery.
pub struct WebhookDeliveryChange(ChangeView);

/// A change in the event stream that came of a webhook delivery.
#[Object]
impl WebhookDeliveryChange {
    /// Its position in the event stream.
    async fn cursor(&self) -> &EventCursor {
        &self.0.cursor
    }

    /// The nodes and lists that it outdates, 100 at most: nodes as `Type:nativeId`, lists as `Type:nativeId/name`.
    #[graphql(directive = Items::apply(100))]
    async fn outdates(&self) -> &[String] {
        &self.0.outdates
    }
}

/// A live operation that watches what a delivery changed.
pub struct LiveOperation(LiveOperationView);

/// A subscription's operation that is running; equal ones of several subscribers are one.
#[Object]
impl LiveOperation {
    /// The operation's name in its document; null where it has none.
    async fn operation_name(&self) -> Option<&str> {
        self.0.operation_name.as_deref()
    }

    /// How many subscribe to it.
    async fn subscribers(&self) -> i32 {
        self.0.subscribers
    }
}
