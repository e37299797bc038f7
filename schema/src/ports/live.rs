//! The input of an execution of the live graph: either the event to render, or the request to say what is subscribed to.
//!
//! The live graph has the four fields of `Subscription` on its query root. A subscription is executed there once to learn its
//! arguments ([`Live::Plan`]: variables, defaults and ids are checked by the same code as anywhere), and again for every event
//! ([`Live::Render`]).

use std::sync::{Arc, Mutex, PoisonError};

use super::{ActivitySource, Ports, activity::ActivityView};
use crate::{
    enums::UpdateReason,
    error::PortError,
    id::{DashboardId, EventCursor, IntegrationId, NodeReference, WidgetId},
};

/// Put into the request data of each execution of the live graph.
#[derive(Clone)]
pub enum Live {
    /// Say what is subscribed to.
    Plan(PlanSink),
    /// Render this event.
    Render(Arc<LiveInput>),
}

/// An event as one answer shows it.
#[derive(Debug, Clone)]
pub struct LiveInput {
    /// The position after the event.
    pub cursor: EventCursor,
    /// Why there is an answer.
    pub reason: UpdateReason,
    /// The widget (`widgetUpdated`, `dashboardUpdated`); `None` at `SNAPSHOT_END`.
    pub widget: Option<WidgetId>,
    /// The node (`nodeChanged`).
    pub node: Option<WatchedId>,
    /// Whether that node is gone.
    pub deleted: bool,
    /// At `SNAPSHOT_END`: whether everything that is there was told before it, and not only what changed.
    pub complete: Option<bool>,
    /// The activity (`activity`).
    pub activity: Option<Arc<ActivityView>>,
    /// The activities that led to it, newest first; at most 20 are shown.
    pub causes: Vec<Arc<ActivityView>>,
}

/// The things that a subscription watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LivePlan {
    /// `widgetUpdated`
    Widget {
        /// Which.
        id: WidgetId,
        /// Resume after.
        after: Option<EventCursor>,
        /// Rounded up to one of 0 50 250 1000 5000 60000.
        throttle_ms: u32,
    },
    /// `dashboardUpdated`
    Dashboard {
        /// Which.
        id: DashboardId,
        /// Resume after.
        after: Option<EventCursor>,
        /// Rounded up to one of 0 50 250 1000 5000 60000.
        throttle_ms: u32,
    },
    /// `activity`
    Activity {
        /// Which.
        filter: ActivitySource,
        /// Resume after.
        after: Option<EventCursor>,
    },
    /// `nodeChanged`
    Nodes {
        /// Which, without those that cannot exist.
        ids: Vec<WatchedId>,
        /// Resume after.
        after: Option<EventCursor>,
    },
}

impl LivePlan {
    /// Whether there is what is to be watched: `NOT_FOUND` for what is gone and for what is another tenant's, in the same words.
    /// Activities, provider's nodes that were never read, and a change to come of a node behind `after` need not be there.
    pub async fn check(&self, ports: &Ports) -> Result<(), PortError> {
        let found = match self {
            Self::Widget { id, .. } => ports.boards.widget(id).await?.is_some(),
            Self::Dashboard { id, .. } => ports.boards.dashboard(id).await?.is_some(),
            // A client that resumes has to learn that a node was deleted meanwhile.
            Self::Activity { .. } | Self::Nodes { after: Some(_), .. } => true,
            Self::Nodes { ids, after: None } => {
                for id in ids {
                    if !id.is_there(ports).await? {
                        return Err(PortError::not_found("one of ids"));
                    }
                }
                true
            }
        };
        if found { Ok(()) } else { Err(PortError::not_found("id")) }
    }
}

impl WatchedId {
    async fn is_there(&self, ports: &Ports) -> Result<bool, PortError> {
        let integration = match self {
            Self::Node(node) => &node.integration,
            Self::Own { type_name, id } => match type_name.as_str() {
                "Dashboard" => return Ok(ports.boards.dashboard(&id.as_str().into()).await?.is_some()),
                "Widget" => return Ok(ports.boards.widget(&id.as_str().into()).await?.is_some()),
                "Integration" => &IntegrationId::from(id.as_str()),
                // Activities do not change; nothing else has a row.
                _ => return Ok(true),
            },
        };
        Ok(ports.accounts.integration(integration).await?.is_some())
    }
}

/// A node of any kind that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WatchedId {
    /// A row of ours: `Dashboard`, `Widget`, `Integration`, `Activity`.
    Own {
        /// The type.
        type_name: String,
        /// The row id.
        id: String,
    },
    /// A provider's node.
    Node(NodeReference),
}

/// Where an execution leaves the plan.
#[derive(Debug, Clone, Default)]
pub struct PlanSink(Arc<Mutex<Vec<LivePlan>>>);

impl PlanSink {
    /// Leaves the plan of one root field.
    pub fn put(&self, plan: LivePlan) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
    }

    /// Takes the plans: one for each root field that was reached.
    pub fn take(&self) -> Vec<LivePlan> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
