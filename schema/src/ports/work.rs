//! The port of what draws on several integrations: work items, pull requests, builds and messages side by side, and metrics.
//!
//! Every answer says which integrations failed and how fresh the whole is, so that a widget's data and its `state`, `problems`
//! and `refreshedAt` come from one load. One integration's failure is a [`Problem`]; an error is a failure of the whole.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{BuildsSource, MessagesSource, MetricSource, PageRequest, Position, PullRequestsSource, WorkItemsSource};
use crate::{
    enums::{WidgetState, WorkItemState},
    error::{ErrorCode, PortError},
    id::IntegrationId,
    view::NodeView,
};

/// A problem with a part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The code that an error would have.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Which integration.
    pub integration: Option<IntegrationId>,
    /// When a retry makes sense.
    pub retry_after: Option<DateTime<Utc>>,
}

/// A value, and how it was come by.
#[derive(Debug, Clone)]
pub struct Load<T> {
    /// The value.
    pub value: T,
    /// The state of a widget that shows it.
    pub state: WidgetState,
    /// The parts that are missing or old, and why.
    pub problems: Vec<Problem>,
    /// The failure because of which a part is missing; `None`: everything is there, though it may be old.
    pub missing: Option<PortError>,
    /// The oldest of the times at which its parts were last known to be current.
    pub refreshed_at: Option<DateTime<Utc>>,
}

/// A page over several integrations.
#[derive(Debug, Clone, Default)]
pub struct WorkPage {
    /// The items, in order.
    pub items: Vec<(Position, Arc<NodeView>)>,
    /// Whether more follow.
    pub has_next: bool,
    /// How many there are in all, where all sides say so.
    pub total: Option<i64>,
}

/// The value of a metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricValue {
    /// `s` for seconds; `None`: a plain number or a ratio.
    pub unit: Option<String>,
    /// Over the window.
    pub value: Option<f64>,
    /// Over the window before it.
    pub previous: Option<f64>,
    /// Oldest first.
    pub series: Vec<(DateTime<Utc>, f64)>,
}

/// Lists over several integrations of the caller's tenant.
#[async_trait]
pub trait Work: Send + Sync {
    /// Issues, tasks, and pull requests where `types` names them.
    async fn work_items(&self, source: &WorkItemsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError>;

    /// How many of them are in which state; states without items may be left out.
    async fn counts_by_state(&self, source: &WorkItemsSource) -> Result<Load<BTreeMap<WorkItemState, i32>>, PortError>;

    /// Pull requests, last updated first.
    async fn pull_requests(&self, source: &PullRequestsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError>;

    /// Builds, newest first.
    async fn builds(&self, source: &BuildsSource, page: PageRequest) -> Result<Load<WorkPage>, PortError>;

    /// Messages, newest first.
    async fn messages(&self, source: &MessagesSource, page: PageRequest) -> Result<Load<WorkPage>, PortError>;

    /// A metric with its series.
    async fn metric(&self, source: &MetricSource) -> Result<Load<MetricValue>, PortError>;
}
