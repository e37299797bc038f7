//! Filters and sources: the things that a widget shows or a query asks for.

use async_graphql::{ID, InputObject, OneofObject};

use super::check::{Unknown, at_most, integration_ids, node_ids, provider_keys, texts, title};
use crate::{
    enums::{MetricKind, OrderDirection, PullRequestState, UNKNOWN, WorkItemOrderField, WorkItemState, WorkItemType},
    error::PortError,
    id::NodeReference,
    ports::{self, ActivitySource, Source},
    scalars::{Date, Duration},
};

const SHORTEST_WINDOW: u32 = 3_600;
const LONGEST_WINDOW: u32 = 90 * 86_400;
const DEFAULT_WINDOW: Duration = Duration(7 * 86_400);

/// Narrows work items: every condition that is given must hold. An empty list matches nothing.
#[derive(Debug, Clone, Default, InputObject)]
pub struct WorkItemFilter {
    /// Only of these providers: `github`, `asana`. One that does not exist is `BAD_USER_INPUT`.
    pub providers: Option<Vec<String>>,
    /// Only of these kinds; left out: issues and tasks.
    pub types: Option<Vec<WorkItemType>>,
    /// Only in one of these states.
    pub states: Option<Vec<WorkItemState>>,
    /// Only assigned to one of these people.
    pub assignee_ids: Option<Vec<ID>>,
    /// True: only what is assigned to the integration's own user. False: only what is not.
    pub assigned_to_me: Option<bool>,
    /// Only in one of these repositories or projects.
    pub container_ids: Option<Vec<ID>>,
    /// Only with one of these labels. The whole name is compared, without regard to upper and lower case.
    pub labels: Option<Vec<String>>,
    /// Only what is due before this day; what has no due date is left out. An issue is due when its milestone is.
    pub due_before: Option<Date>,
    /// Only what has this text anywhere in its title or in its description, also as a part of a word. Upper and lower case are the
    /// same; spaces count, those at both ends do not.
    pub text: Option<String>,
}

/// An order of work items.
#[derive(Debug, Clone, InputObject)]
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

impl From<WorkItemOrder> for ports::WorkItemOrder {
    fn from(order: WorkItemOrder) -> Self {
        Self { field: order.field, direction: order.direction }
    }
}

/// Narrows activities: every condition that is given must hold. An empty list matches nothing.
#[derive(Debug, Clone, Default, InputObject)]
pub struct ActivityFilter {
    /// Only of these providers: `github`. One that does not exist is `BAD_USER_INPUT`.
    pub providers: Option<Vec<String>>,
    /// Only of these integrations.
    pub integration_ids: Option<Vec<ID>>,
    /// Only of these kinds: `pull_request.closed`, or `pull_request` for all that happens to pull requests.
    pub kinds: Option<Vec<String>>,
    /// Only in one of these repositories, channels or projects.
    pub container_ids: Option<Vec<ID>>,
}

/// The things that a widget shows: exactly one of these.
#[derive(Debug, Clone, OneofObject)]
pub enum WidgetSourceInput {
    /// Issues and tasks of any mix of providers.
    WorkItems(WorkItemsSourceInput),
    /// Pull requests of repositories.
    PullRequests(PullRequestsSourceInput),
    /// Builds of repositories.
    Builds(BuildsSourceInput),
    /// Messages of channels.
    Messages(MessagesSourceInput),
    /// Activities.
    Activity(ActivityFilter),
    /// A number and how it came about.
    Metric(MetricSourceInput),
}

/// Work items for a widget.
#[derive(Debug, Clone, InputObject)]
pub struct WorkItemsSourceInput {
    /// Which; left out: all issues and tasks.
    pub filter: Option<WorkItemFilter>,
    /// In which order; left out: last updated first.
    pub order_by: Option<WorkItemOrder>,
}

/// Pull requests for a widget.
#[derive(Debug, Clone, InputObject)]
pub struct PullRequestsSourceInput {
    /// The repositories to look at: 1 to 100.
    pub container_ids: Vec<ID>,
    /// Only in one of these states.
    pub states: Option<Vec<PullRequestState>>,
    /// Only by one of these people.
    pub author_ids: Option<Vec<ID>>,
}

/// Builds for a widget.
#[derive(Debug, Clone, InputObject)]
pub struct BuildsSourceInput {
    /// The repositories to look at: 1 to 100.
    pub container_ids: Vec<ID>,
    /// Only on this branch.
    pub branch: Option<String>,
}

/// Messages for a widget.
#[derive(Debug, Clone, InputObject)]
pub struct MessagesSourceInput {
    /// The channels to look at: 1 to 100.
    pub container_ids: Vec<ID>,
}

/// A metric for a widget.
#[derive(Debug, Clone, InputObject)]
pub struct MetricSourceInput {
    /// The quantity to measure.
    pub metric: MetricKind,
    /// Over these repositories, channels or projects; left out: over all that is watched.
    pub container_ids: Option<Vec<ID>>,
    /// Over which time: PT1H to P90D.
    #[graphql(default_with = "Some(DEFAULT_WINDOW)")]
    pub window: Option<Duration>,
}

impl WorkItemFilter {
    /// Checks the filter; `path` is its name in errors.
    pub fn check(self, path: &str, unknown: Unknown) -> Result<ports::WorkItemFilter, PortError> {
        let at = |field: &str| format!("{path}.{field}");
        let optional = |field: &str, values: Option<Vec<String>>| values.map(|values| texts(&at(field), &values));
        at_most(&at("types"), self.types.as_deref().unwrap_or_default())?;
        at_most(&at("states"), self.states.as_deref().unwrap_or_default())?;
        let assignees = self.assignee_ids.map(|ids| node_ids(&at("assigneeIds"), &ids, &["Person"], unknown));
        let containers = self.container_ids.map(|ids| node_ids(&at("containerIds"), &ids, &["Container"], unknown));
        Ok(ports::WorkItemFilter {
            providers: self.providers.map(|keys| provider_keys(&at("providers"), &keys)).transpose()?,
            types: self.types,
            states: self.states,
            assignees: assignees.transpose()?,
            assigned_to_me: self.assigned_to_me,
            containers: containers.transpose()?,
            labels: optional("labels", self.labels).transpose()?,
            due_before: self.due_before.map(|date| date.0),
            text: self.text.map(|text| title(&at("text"), &text)).transpose()?,
        })
    }
}

impl ActivityFilter {
    /// Checks the filter; `path` is its name in errors.
    pub fn check(self, path: &str, unknown: Unknown) -> Result<ActivitySource, PortError> {
        let at = |field: &str| format!("{path}.{field}");
        let optional = |field: &str, values: Option<Vec<String>>| values.map(|values| texts(&at(field), &values));
        let integrations = self.integration_ids.map(|ids| integration_ids(&at("integrationIds"), &ids, unknown));
        let containers = self.container_ids.map(|ids| node_ids(&at("containerIds"), &ids, &["Container"], unknown));
        Ok(ActivitySource {
            providers: self.providers.map(|keys| provider_keys(&at("providers"), &keys)).transpose()?,
            integrations: integrations.transpose()?,
            kinds: optional("kinds", self.kinds).transpose()?,
            containers: containers.transpose()?,
        })
    }
}

fn some_containers(path: &str, ids: &[ID]) -> Result<Vec<NodeReference>, PortError> {
    let field = format!("{path}.containerIds");
    if ids.is_empty() {
        return Err(PortError::bad_input(format!("{field}: must have at least one value")));
    }
    node_ids(&field, ids, &["Container"], Unknown::NotFound)
}

impl WidgetSourceInput {
    /// Checks the source; `path` is its name in errors.
    pub fn check(self, path: &str) -> Result<Source, PortError> {
        let unknown = Unknown::NotFound;
        Ok(match self {
            Self::WorkItems(input) => {
                let filter = input.filter.unwrap_or_default();
                Source::WorkItems(ports::WorkItemsSource {
                    filter: filter.check(&format!("{path}.workItems.filter"), unknown)?,
                    order: input.order_by.unwrap_or_default().into(),
                })
            }
            Self::PullRequests(input) => {
                let path = format!("{path}.pullRequests");
                let authors =
                    input.author_ids.map(|ids| node_ids(&format!("{path}.authorIds"), &ids, &["Person"], unknown));
                let states = format!("{path}.states");
                at_most(&states, input.states.as_deref().unwrap_or_default())?;
                if input.states.as_ref().is_some_and(|asked| asked.contains(&PullRequestState::Unknown)) {
                    let message = format!("{states}: {UNKNOWN} is only answered, it cannot be asked for");
                    return Err(PortError::bad_input(message));
                }
                Source::PullRequests(ports::PullRequestsSource {
                    containers: some_containers(&path, &input.container_ids)?,
                    states: input.states,
                    authors: authors.transpose()?,
                })
            }
            Self::Builds(input) => {
                let path = format!("{path}.builds");
                Source::Builds(ports::BuildsSource {
                    containers: some_containers(&path, &input.container_ids)?,
                    branch: input.branch.map(|branch| title(&format!("{path}.branch"), &branch)).transpose()?,
                })
            }
            Self::Messages(input) => Source::Messages(ports::MessagesSource {
                containers: some_containers(&format!("{path}.messages"), &input.container_ids)?,
            }),
            Self::Activity(filter) => Source::Activity(filter.check(&format!("{path}.activity"), unknown)?),
            Self::Metric(input) => Source::Metric(input.check(&format!("{path}.metric"))?),
        })
    }
}

impl MetricSourceInput {
    fn check(self, path: &str) -> Result<ports::MetricSource, PortError> {
        let window = self.window.unwrap_or(DEFAULT_WINDOW);
        if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window.0) {
            return Err(PortError::bad_input(format!("{path}.window: must be from PT1H to P90D")));
        }
        let containers = self
            .container_ids
            .map(|ids| node_ids(&format!("{path}.containerIds"), &ids, &["Container"], Unknown::NotFound));
        Ok(ports::MetricSource { metric: self.metric, containers: containers.transpose()?, window_seconds: window.0 })
    }
}
