//! Activities: what happened, told to people.

#![expect(clippy::unused_async, reason = "errors below asynchronous fields keep their own path")]

use std::{borrow::Cow, sync::Arc};

use async_graphql::{Context, ID, Object};

use crate::{
    accounts::{
        integration::{Integration, connected_integration},
        provider::Provider,
    },
    error::PortError,
    id::{EventCursor, GlobalId, NodeKey, NodeReference},
    interfaces::{Person, ProviderNode},
    ports::ActivityView,
    scalars::Time,
    table::{FromView, Item, load, node_type},
};

/// An activity.
#[derive(Clone)]
pub struct Activity(pub Arc<ActivityView>);

impl Item for Activity {
    fn stem() -> Cow<'static, str> {
        Cow::Borrowed("Activity")
    }
}

/// The node that a stored row names; `None` when it is gone, or of a type that this build does not know.
async fn referred<T: FromView>(ctx: &Context<'_>, reference: Option<&NodeReference>) -> Option<Result<T, PortError>> {
    let reference = reference?;
    let table = node_type(&reference.type_name)?;
    let key = NodeKey::new(&reference.integration, table.name, Arc::clone(&reference.native_id));
    match load(ctx, key).await {
        Ok(view) => view.and_then(T::from_view).map(Ok),
        Err(error) => Some(Err(error)),
    }
}

/// Something that happened at a provider.
#[Object]
impl Activity {
    /// Opaque, global and stable.
    async fn id(&self) -> ID {
        GlobalId::own("Activity", self.0.id.as_str()).encode().into()
    }

    /// Its position in the stream of everything that happens. As a cause of an update it may be that of the update itself, where the
    /// activity is told a moment later.
    async fn cursor(&self) -> EventCursor {
        self.0.cursor.clone()
    }

    /// The provider it happened at.
    async fn provider(&self, ctx: &Context<'_>) -> Result<Provider, PortError> {
        Provider::of(ctx, &self.0.provider)
    }

    /// The integration that told; null after it was disconnected.
    async fn integration(&self, ctx: &Context<'_>) -> Option<Result<Integration, PortError>> {
        connected_integration(ctx, self.0.integration.as_ref()).await
    }

    /// The kind of event, in the provider's words: `pull_request.closed`, `push`, `message`, `task.changed`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The person or app that did it.
    async fn actor(&self, ctx: &Context<'_>) -> Option<Result<Person, PortError>> {
        referred(ctx, self.0.actor.as_ref()).await
    }

    /// The thing that it was done to; null when the thing is gone or not visible.
    async fn subject(&self, ctx: &Context<'_>) -> Option<Result<ProviderNode, PortError>> {
        referred(ctx, self.0.subject.as_ref()).await
    }

    /// The event in one line for people: `Ada Lovelace closed ‘Fix the login’ in acme/web`. It is worded anew whenever it is
    /// read, with the names that people and things have then, as far as they are known here.
    async fn summary(&self) -> &str {
        &self.0.summary
    }

    /// When it happened, by the provider's clock.
    async fn occurred_at(&self) -> Time {
        self.0.occurred_at.into()
    }

    /// When it was heard of here.
    async fn received_at(&self) -> Time {
        self.0.received_at.into()
    }
}
