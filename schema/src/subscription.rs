//! The root of subscriptions, twice: once as the graph shows it (its streams are never run), and once as the query root of the
//! live graph, where each answer of a subscription is an execution of its own. A test compares the two.

#![expect(clippy::unused_async, reason = "errors below asynchronous fields keep their own path")]

use std::{future::poll_fn, sync::Arc, task::Poll};

use async_graphql::{Context, ID, Object, Subscription};
use futures::stream::{self, Stream};

use crate::{
    cost::Items,
    entity::node_of,
    enums::UpdateReason,
    error::PortError,
    id::{DashboardId, EventCursor, GlobalId, NodeReference, WidgetId},
    inputs::{
        check::{Unknown, global_id, required_own_id},
        source::ActivityFilter,
    },
    limits::MAX_ITEMS,
    ports::{Live, LiveInput, LivePlan, WatchedId},
    table::{Many, node_type, ports},
    types::{
        activity::Activity,
        boards::{Hints, Widget, widget_object},
        node::Node,
    },
};

/// How many causes an answer shows.
const MAX_CAUSES: usize = 20;
/// The windows that `throttleMs` is rounded up to.
pub const THROTTLES: [u32; 6] = [0, 50, 250, 1_000, 5_000, 60_000];

/// The root as the graph shows it.
pub struct SubscriptionRoot;

/// The subscriptions of the graph.
#[Subscription(name = "Subscription")]
impl SubscriptionRoot {
    /// The widget now, then again after each change that touches what you selected.
    async fn widget_updated(
        &self,
        #[graphql(desc = "The widget.")] id: ID,
        #[graphql(
            desc = "Go on behind this position instead of beginning with the state now. When too much changed since then, it begins with the state now all the same; see `complete`."
        )]
        after: Option<EventCursor>,
        #[graphql(
            desc = "At most one answer in so many milliseconds, the last always; rounded up to 0, 50, 250, 1000, 5000 or 60000.",
            default_with = "Some(50)"
        )]
        throttle_ms: Option<i32>,
    ) -> impl Stream<Item = WidgetUpdate> {
        drop((id, after, throttle_ms));
        stream::empty()
    }

    /// The same for all widgets of a dashboard: first every widget, then the ones that changed.
    async fn dashboard_updated(
        &self,
        #[graphql(desc = "The dashboard.")] id: ID,
        #[graphql(
            desc = "Go on behind this position instead of beginning with the state now. When too much changed since then, it begins with the state now all the same; see `complete`."
        )]
        after: Option<EventCursor>,
        #[graphql(
            desc = "At most one answer in so many milliseconds, the last always; rounded up to 0, 50, 250, 1000, 5000 or 60000.",
            default_with = "Some(50)"
        )]
        throttle_ms: Option<i32>,
    ) -> impl Stream<Item = WidgetUpdate> {
        drop((id, after, throttle_ms));
        stream::empty()
    }

    /// Every activity that passes the filter, from `after` on, none left out and none twice.
    async fn activity(
        &self,
        #[graphql(desc = "Which; left out: all.")] filter: Option<ActivityFilter>,
        #[graphql(desc = "Go on behind this position; left out: from now on.")] after: Option<EventCursor>,
    ) -> impl Stream<Item = Activity> {
        drop((filter, after));
        stream::empty()
    }

    /// One of these things changed. When too much changed since `after`, each of them is told as it is now.
    async fn node_changed(
        &self,
        #[graphql(desc = "Their ids: 1 to 100.")] ids: Vec<ID>,
        #[graphql(desc = "Go on behind this position; left out: from now on.")] after: Option<EventCursor>,
    ) -> impl Stream<Item = NodeChange> {
        drop((ids, after));
        stream::empty()
    }
}

/// The root of the live graph.
pub struct LiveRoot;

/// The subscriptions of the graph.
#[Object(name = "Subscription")]
impl LiveRoot {
    /// The widget now, then again after each change that touches what you selected.
    async fn widget_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The widget.")] id: ID,
        #[graphql(
            desc = "Go on behind this position instead of beginning with the state now. When too much changed since then, it begins with the state now all the same; see `complete`."
        )]
        after: Option<EventCursor>,
        #[graphql(
            desc = "At most one answer in so many milliseconds, the last always; rounded up to 0, 50, 250, 1000, 5000 or 60000.",
            default_with = "Some(50)"
        )]
        throttle_ms: Option<i32>,
    ) -> Result<WidgetUpdate, PortError> {
        let id = WidgetId::from(required_own_id("id", &id, "Widget")?);
        let throttle_ms = throttle(throttle_ms)?;
        render(ctx, || Ok(LivePlan::Widget { id, after, throttle_ms })).await.map(WidgetUpdate)
    }

    /// The same for all widgets of a dashboard: first every widget, then the ones that changed.
    async fn dashboard_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dashboard.")] id: ID,
        #[graphql(
            desc = "Go on behind this position instead of beginning with the state now. When too much changed since then, it begins with the state now all the same; see `complete`."
        )]
        after: Option<EventCursor>,
        #[graphql(
            desc = "At most one answer in so many milliseconds, the last always; rounded up to 0, 50, 250, 1000, 5000 or 60000.",
            default_with = "Some(50)"
        )]
        throttle_ms: Option<i32>,
    ) -> Result<WidgetUpdate, PortError> {
        let id = DashboardId::from(required_own_id("id", &id, "Dashboard")?);
        let throttle_ms = throttle(throttle_ms)?;
        render(ctx, || Ok(LivePlan::Dashboard { id, after, throttle_ms })).await.map(WidgetUpdate)
    }

    /// Every activity that passes the filter, from `after` on, none left out and none twice.
    async fn activity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which; left out: all.")] filter: Option<ActivityFilter>,
        #[graphql(desc = "Go on behind this position; left out: from now on.")] after: Option<EventCursor>,
    ) -> Result<Activity, PortError> {
        let input = render(ctx, || {
            let filter = filter.unwrap_or_default().check("filter", Unknown::MatchNothing)?;
            Ok(LivePlan::Activity { filter, after })
        })
        .await?;
        input.activity.clone().map(Activity).ok_or_else(PortError::internal)
    }

    /// One of these things changed. When too much changed since `after`, each of them is told as it is now.
    async fn node_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their ids: 1 to 100.")] ids: Vec<ID>,
        #[graphql(desc = "Go on behind this position; left out: from now on.")] after: Option<EventCursor>,
    ) -> Result<NodeChange, PortError> {
        render(ctx, || Ok(LivePlan::Nodes { ids: watched(&ids)?, after })).await.map(NodeChange)
    }
}

/// The event to render; or, when the execution is to say what is subscribed to, the plan is left and nothing rendered.
async fn render(
    ctx: &Context<'_>,
    plan: impl FnOnce() -> Result<LivePlan, PortError>,
) -> Result<Arc<LiveInput>, PortError> {
    match ctx.data::<Live>().map_err(|_| PortError::internal())? {
        Live::Render(input) => Ok(Arc::clone(input)),
        Live::Plan(sink) => {
            sink.put(plan()?);
            // The error below would cancel the fields beside this one, which must leave their plans too: a subscription with
            // several root fields is refused by their number.
            let mut waited = false;
            poll_fn(|task| {
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                task.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            // Nobody sees this: whoever asked for the plan takes it and drops the answer.
            Err(PortError::internal())
        }
    }
}

fn throttle(given: Option<i32>) -> Result<u32, PortError> {
    let given = u32::try_from(given.unwrap_or(50)).ok();
    let window = given.and_then(|given| THROTTLES.into_iter().find(|window| *window >= given));
    window.ok_or_else(|| PortError::bad_input("throttleMs: must be from 0 to 60000"))
}

/// Ids that can exist; malformed ones are refused.
fn watched(ids: &[ID]) -> Result<Vec<WatchedId>, PortError> {
    if ids.is_empty() || ids.len() > MAX_ITEMS {
        return Err(PortError::bad_input(format!("ids: must have 1 to {MAX_ITEMS} values")));
    }
    let mut watched = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        match global_id(&format!("ids[{index}]"), id)? {
            GlobalId::Own { type_name, id } => watched.push(WatchedId::Own { type_name, id }),
            GlobalId::Node { integration, type_name, native_id } => {
                if let Some(table) = node_type(&type_name) {
                    let (type_name, native_id) = (table.name.into(), native_id.into());
                    watched.push(WatchedId::Node(NodeReference { integration, type_name, native_id }));
                }
            }
        }
    }
    Ok(watched)
}

fn causes(input: &LiveInput) -> Many<Activity> {
    input.causes.iter().take(MAX_CAUSES).cloned().map(Activity).collect()
}

/// A widget that is watched, as it is now.
pub struct WidgetUpdate(Arc<LiveInput>);

/// A widget that is watched, as it is now.
#[Object]
impl WidgetUpdate {
    /// The position after this: give it as `after` to go on behind it.
    async fn cursor(&self) -> EventCursor {
        self.0.cursor.clone()
    }

    /// Which widget; null when `reason` is `SNAPSHOT_END`.
    async fn widget_id(&self) -> Option<ID> {
        self.0.widget.as_ref().map(|id| GlobalId::own("Widget", id.as_str()).encode().into())
    }

    /// The widget; null when it was removed, and at `SNAPSHOT_END`.
    async fn widget(&self, ctx: &Context<'_>) -> Option<Result<Widget, PortError>> {
        if matches!(self.0.reason, UpdateReason::Removed | UpdateReason::SnapshotEnd) {
            return None;
        }
        let id = self.0.widget.as_ref()?;
        let hints = Arc::new(Hints::of(ctx));
        let found = async { ports(ctx)?.boards.widget(id).await };
        found.await.map(|found| found.map(|view| widget_object(view, &hints))).transpose()
    }

    /// Why there is an answer.
    async fn reason(&self) -> UpdateReason {
        self.0.reason
    }

    /// At `SNAPSHOT_END`: true when every widget was told before it, so that a widget you show besides them is gone; false when
    /// only what changed since `after` was told. Null at other reasons.
    async fn complete(&self) -> Option<bool> {
        self.0.complete
    }

    /// The activities that led to it, newest first: at most 20. Causes are not kept: the list is empty in a snapshot, and in what is sent because
    /// of `after`.
    #[graphql(directive = Items::apply(20))]
    async fn causes(&self) -> Many<Activity> {
        causes(&self.0)
    }
}

/// A thing that is watched changed.
pub struct NodeChange(Arc<LiveInput>);

impl NodeChange {
    fn id(&self) -> Option<GlobalId> {
        Some(match self.0.node.as_ref()? {
            WatchedId::Own { type_name, id } => GlobalId::own(type_name, id),
            WatchedId::Node(reference) => GlobalId::from(reference),
        })
    }
}

/// A thing that is watched changed.
#[Object]
impl NodeChange {
    /// The position after this: give it as `after` to go on behind it.
    async fn cursor(&self) -> EventCursor {
        self.0.cursor.clone()
    }

    /// Which thing, by its id, also when it is gone.
    async fn node_id(&self) -> Result<ID, PortError> {
        self.id().map(|id| id.encode().into()).ok_or_else(PortError::internal)
    }

    /// The thing as it is now; null when it is gone.
    async fn node(&self, ctx: &Context<'_>) -> Option<Result<Node, PortError>> {
        if self.0.deleted {
            return None;
        }
        node_of(ctx, self.id()?).await.transpose()
    }

    /// Whether it was deleted.
    async fn deleted(&self) -> bool {
        self.0.deleted
    }

    /// The activities that led to it, newest first: at most 20. Causes are not kept: the list is empty in what is sent because of `after`.
    #[graphql(directive = Items::apply(20))]
    async fn causes(&self) -> Many<Activity> {
        causes(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::throttle;

    #[test]
    fn throttles_are_rounded_up() {
        for (given, window) in [
            (None, Some(50)),
            (Some(0), Some(0)),
            (Some(1), Some(50)),
            (Some(51), Some(250)),
            (Some(60_000), Some(60_000)),
            (Some(60_001), None),
            (Some(-1), None),
        ] {
            assert_eq!(throttle(given).ok(), window, "{given:?}");
        }
    }
}
