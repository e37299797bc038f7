//! The source of a widget: its stored configuration, checked by the inputs before it gets here.
//!
//! Nodes are held as [`NodeReference`]s whose type is plain text, so that a stored widget survives the removal of a provider.
//! It is stored as JSON; names and shapes may only grow.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    enums::{MetricKind, OrderDirection, PullRequestState, WorkItemOrderField, WorkItemState, WorkItemType},
    id::{IntegrationId, NodeReference},
};

/// The configuration of a widget; its kind is the widget's kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Source {
    /// Issues and tasks.
    WorkItems(WorkItemsSource),
    /// Pull requests of repositories.
    PullRequests(PullRequestsSource),
    /// Builds of repositories.
    Builds(BuildsSource),
    /// Messages of channels.
    Messages(MessagesSource),
    /// Activities.
    Activity(ActivitySource),
    /// A number and its history.
    Metric(MetricSource),
}

impl Source {
    /// The nodes it draws on, where it names any.
    pub fn containers(&self) -> Option<&[NodeReference]> {
        match self {
            Self::WorkItems(source) => source.filter.containers.as_deref(),
            Self::PullRequests(source) => Some(&source.containers),
            Self::Builds(source) => Some(&source.containers),
            Self::Messages(source) => Some(&source.containers),
            Self::Activity(source) => source.containers.as_deref(),
            Self::Metric(source) => source.containers.as_deref(),
        }
    }

    /// Whether both are of one kind; a widget never changes its kind.
    pub fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Work items of any mix of providers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkItemsSource {
    /// Which.
    pub filter: WorkItemFilter,
    /// In which order.
    pub order: WorkItemOrder,
}

/// Narrows work items; every condition that is given must hold. An empty list matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkItemFilter {
    /// Keys of providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    /// Kinds; `None`: issues and tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<WorkItemType>>,
    /// States.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<Vec<WorkItemState>>,
    /// Any of these people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignees: Option<Vec<NodeReference>>,
    /// Assigned to the person that the integration's token acts as (`true`), or to anybody else or nobody (`false`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_to_me: Option<bool>,
    /// Any of these repositories or projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<NodeReference>>,
    /// Carrying any of these labels (names, case-insensitively).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Due before this day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_before: Option<NaiveDate>,
    /// Title or text contains this, case-insensitively.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The order of work items; items without a value come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkItemOrder {
    /// By what.
    pub field: WorkItemOrderField,
    /// Which way.
    pub direction: OrderDirection,
}

impl Default for WorkItemOrder {
    fn default() -> Self {
        Self { field: WorkItemOrderField::UpdatedAt, direction: OrderDirection::Desc }
    }
}

/// Pull requests of repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestsSource {
    /// Repositories.
    pub containers: Vec<NodeReference>,
    /// States; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<Vec<PullRequestState>>,
    /// Authors; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authors: Option<Vec<NodeReference>>,
}

/// Builds of repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildsSource {
    /// Repositories.
    pub containers: Vec<NodeReference>,
    /// The only branch to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// Messages of channels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessagesSource {
    /// Channels.
    pub containers: Vec<NodeReference>,
}

/// Narrows activities; every condition that is given must hold. An empty list matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ActivitySource {
    /// Keys of providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    /// Integrations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrations: Option<Vec<IntegrationId>>,
    /// `pull_request.closed`, or `pull_request` for all of its actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
    /// In any of these repositories, channels or projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<NodeReference>>,
}

/// A number over a window of time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricSource {
    /// The quantity to measure.
    pub metric: MetricKind,
    /// The repositories, channels or projects to look at; `None`: everything that is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<NodeReference>>,
    /// Seconds; from one hour to 90 days.
    pub window_seconds: u32,
}
