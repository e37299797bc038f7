//! The configuration of a widget in the graph, as an editor needs it to show and change it.

use async_graphql::{ID, SimpleObject, Union};

use crate::{
    cost::Items,
    enums::{MetricKind, OrderDirection, PullRequestState, WorkItemOrderField, WorkItemState, WorkItemType},
    id::{GlobalId, IntegrationId, NodeReference},
    ports,
    scalars::{Date, Duration},
};

fn ids(references: &[NodeReference]) -> Vec<ID> {
    references.iter().map(|reference| GlobalId::from(reference).encode().into()).collect()
}

fn integration_ids(integrations: &[IntegrationId]) -> Vec<ID> {
    integrations.iter().map(|id| GlobalId::own("Integration", id.as_str()).encode().into()).collect()
}

/// The things that a widget shows, in the form of the widget's input.
#[derive(Debug, Clone, Union)]
pub enum WidgetSource {
    /// Work items.
    WorkItems(Box<WorkItemsSource>),
    /// Pull requests.
    PullRequests(PullRequestsSource),
    /// Builds.
    Builds(BuildsSource),
    /// Messages.
    Messages(MessagesSource),
    /// Activities.
    Activity(ActivitySource),
    /// A metric.
    Metric(MetricSource),
}

/// Work items of any mix of providers.
#[derive(Debug, Clone, SimpleObject)]
pub struct WorkItemsSource {
    /// Keys of providers; null: all.
    #[graphql(directive = Items::apply(10))]
    providers: Option<Vec<String>>,
    /// Kinds of work items; null: issues and tasks.
    #[graphql(directive = Items::apply(10))]
    types: Option<Vec<WorkItemType>>,
    /// States; null: all.
    #[graphql(directive = Items::apply(10))]
    states: Option<Vec<WorkItemState>>,
    /// Ids of people it is assigned to; null: anybody or nobody.
    #[graphql(directive = Items::apply(10))]
    assignee_ids: Option<Vec<ID>>,
    /// Whether only what is assigned to the integration's own user is shown.
    assigned_to_me: Option<bool>,
    /// Ids of repositories and projects; null: all.
    #[graphql(directive = Items::apply(10))]
    container_ids: Option<Vec<ID>>,
    /// Names of labels, of which one is enough; null: all.
    #[graphql(directive = Items::apply(10))]
    labels: Option<Vec<String>>,
    /// Only what is due before this day.
    due_before: Option<Date>,
    /// Only what has this in its title or description.
    text: Option<String>,
    /// In which order.
    order_by: WorkItemOrdering,
}

/// An order of work items.
#[derive(Debug, Clone, SimpleObject)]
pub struct WorkItemOrdering {
    /// By what.
    field: WorkItemOrderField,
    /// Which way.
    direction: OrderDirection,
}

/// Pull requests of repositories.
#[derive(Debug, Clone, SimpleObject)]
pub struct PullRequestsSource {
    /// Ids of repositories.
    #[graphql(directive = Items::apply(10))]
    container_ids: Vec<ID>,
    /// States; null: all.
    #[graphql(directive = Items::apply(10))]
    states: Option<Vec<PullRequestState>>,
    /// Ids of authors; null: all.
    #[graphql(directive = Items::apply(10))]
    author_ids: Option<Vec<ID>>,
}

/// Builds of repositories.
#[derive(Debug, Clone, SimpleObject)]
pub struct BuildsSource {
    /// Ids of repositories.
    #[graphql(directive = Items::apply(10))]
    container_ids: Vec<ID>,
    /// Only builds on this branch.
    branch: Option<String>,
}

/// Messages of channels.
#[derive(Debug, Clone, SimpleObject)]
pub struct MessagesSource {
    /// Ids of channels.
    #[graphql(directive = Items::apply(10))]
    container_ids: Vec<ID>,
}

/// The activities to show.
#[derive(Debug, Clone, SimpleObject)]
pub struct ActivitySource {
    /// Keys of providers; null: all.
    #[graphql(directive = Items::apply(10))]
    providers: Option<Vec<String>>,
    /// Ids of integrations; null: all.
    #[graphql(directive = Items::apply(10))]
    integration_ids: Option<Vec<ID>>,
    /// Kinds of activities; null: all.
    #[graphql(directive = Items::apply(10))]
    kinds: Option<Vec<String>>,
    /// Ids of repositories, channels and projects; null: all.
    #[graphql(directive = Items::apply(10))]
    container_ids: Option<Vec<ID>>,
}

/// A metric.
#[derive(Debug, Clone, SimpleObject)]
pub struct MetricSource {
    /// The quantity to measure.
    metric: MetricKind,
    /// Ids of the repositories, channels or projects it is measured over; null: all that is watched.
    #[graphql(directive = Items::apply(10))]
    container_ids: Option<Vec<ID>>,
    /// Over which time.
    window: Duration,
}

impl From<&ports::Source> for WidgetSource {
    fn from(source: &ports::Source) -> Self {
        match source {
            ports::Source::WorkItems(source) => Self::WorkItems(Box::new(work_items(source))),
            ports::Source::PullRequests(source) => Self::PullRequests(PullRequestsSource {
                container_ids: ids(&source.containers),
                states: source.states.clone(),
                author_ids: source.authors.as_deref().map(ids),
            }),
            ports::Source::Builds(source) => {
                Self::Builds(BuildsSource { container_ids: ids(&source.containers), branch: source.branch.clone() })
            }
            ports::Source::Messages(source) => {
                Self::Messages(MessagesSource { container_ids: ids(&source.containers) })
            }
            ports::Source::Activity(source) => Self::Activity(ActivitySource {
                providers: source.providers.clone(),
                integration_ids: source.integrations.as_deref().map(integration_ids),
                kinds: source.kinds.clone(),
                container_ids: source.containers.as_deref().map(ids),
            }),
            ports::Source::Metric(source) => Self::Metric(MetricSource {
                metric: source.metric,
                container_ids: source.containers.as_deref().map(ids),
                window: Duration(source.window_seconds),
            }),
        }
    }
}

fn work_items(source: &ports::WorkItemsSource) -> WorkItemsSource {
    let filter = &source.filter;
    WorkItemsSource {
        providers: filter.providers.clone(),
        types: filter.types.clone(),
        states: filter.states.clone(),
        assignee_ids: filter.assignees.as_deref().map(ids),
        assigned_to_me: filter.assigned_to_me,
        container_ids: filter.containers.as_deref().map(ids),
        labels: filter.labels.clone(),
        due_before: filter.due_before.map(Date),
        text: filter.text.clone(),
        order_by: WorkItemOrdering { field: source.order.field, direction: source.order.direction },
    }
}
