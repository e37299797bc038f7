//! The six kinds of widgets: what all share, and the data of each.

use std::collections::BTreeMap;

use async_graphql::{Context, Object, SimpleObject};
use strum::VariantArray;

use super::{
    common::WidgetCommon,
    load::Loaded,
    work_items::{WorkItemConnection, node_connection, work_item_connection},
};
use crate::{
    cost::{Items, Page},
    cursor::Origin,
    enums::WorkItemState,
    error::PortError,
    fields::{FieldSet, selects_total},
    interfaces::{Build, Message, PullRequest},
    ports::{PageRequest, Source},
    table::{Connection, FromView, Many, ports},
    types::{activity::Activity, metric::Metric},
};

/// The list of a widget: as long as it has this source.
fn origin(widget: &WidgetCommon) -> Origin {
    Origin::new("Widget", &(widget.view.id.as_str(), &widget.view.source))
}

fn request(
    widget: &WidgetCommon,
    ctx: &Context<'_>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<PageRequest, PortError> {
    let request = origin(widget).page_request(first, after)?;
    Ok(PageRequest { fields: FieldSet::of_connection(ctx), total: selects_total(ctx.field()), ..request })
}

async fn nodes<T: FromView>(
    widget: &WidgetCommon,
    ctx: &Context<'_>,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Connection<T>, PortError> {
    let request = request(widget, ctx, first, after.as_deref())?;
    match widget.page(ctx, request).await? {
        Loaded::Work(load) => {
            widget.note_missing(ctx, &load).await;
            Ok(node_connection(origin(widget), &load.value, after.as_deref()))
        }
        _ => Err(PortError::internal()),
    }
}

/// Shows work items.
pub struct WorkItemsWidget(pub WidgetCommon);

/// Shows issues and tasks of any mix of providers.
#[Object]
impl WorkItemsWidget {
    #[graphql(flatten)]
    fn common(&self) -> WidgetCommon {
        self.0.clone()
    }

    /// The work items.
    #[graphql(directive = Page::apply())]
    async fn items(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<WorkItemConnection, PortError>> {
        let request = match request(&self.0, ctx, first, after.as_deref()) {
            Ok(request) => request,
            Err(error) => return Some(Err(error)),
        };
        Some(match self.0.page(ctx, request).await {
            Ok(Loaded::Work(load)) => {
                self.0.note_missing(ctx, &load).await;
                Ok(work_item_connection(origin(&self.0), &load, after.as_deref()))
            }
            Ok(_) => Err(PortError::internal()),
            Err(error) => Err(error),
        })
    }

    /// How many there are in each state, each item once. Where not all could be read and counted, these are the numbers of a part,
    /// and `problems` says so; null where nothing could be read.
    #[graphql(directive = Items::apply(5))]
    async fn counts_by_state(&self, ctx: &Context<'_>) -> Option<Result<Many<WorkItemCount>, PortError>> {
        let Source::WorkItems(source) = self.0.view.source.as_ref() else { return None };
        let ports = match ports(ctx) {
            Ok(ports) => ports,
            Err(error) => return Some(Err(error)),
        };
        let load = match self.0.loads.counts(ports, source).await {
            Ok(load) => load,
            Err(error) => return Some(Err(error)),
        };
        self.0.note_missing(ctx, &load).await;
        let is_unknown = load.missing.is_some() && load.value.is_empty();
        (!is_unknown).then(|| Ok(counts(&load.value)))
    }
}

fn counts(by_state: &BTreeMap<WorkItemState, i32>) -> Many<WorkItemCount> {
    let states = WorkItemState::VARIANTS.iter();
    states
        .map(|state| WorkItemCount { state: *state, count: by_state.get(state).copied().unwrap_or_default() })
        .collect()
}

/// How many work items are in a state.
#[derive(Debug, Clone, SimpleObject)]
pub struct WorkItemCount {
    /// The state.
    state: WorkItemState,
    /// How many.
    count: i32,
}

/// Shows pull requests.
pub struct PullRequestsWidget(pub WidgetCommon);

/// Shows pull requests of repositories.
#[Object]
impl PullRequestsWidget {
    #[graphql(flatten)]
    fn common(&self) -> WidgetCommon {
        self.0.clone()
    }

    /// The pull requests, last updated first.
    #[graphql(directive = Page::apply())]
    async fn pull_requests(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<Connection<PullRequest>, PortError>> {
        Some(nodes(&self.0, ctx, first, after).await)
    }
}

/// Shows builds.
pub struct BuildsWidget(pub WidgetCommon);

/// Shows builds of repositories.
#[Object]
impl BuildsWidget {
    #[graphql(flatten)]
    fn common(&self) -> WidgetCommon {
        self.0.clone()
    }

    /// The builds, newest first.
    #[graphql(directive = Page::apply())]
    async fn builds(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<Connection<Build>, PortError>> {
        Some(nodes(&self.0, ctx, first, after).await)
    }
}

/// Shows messages.
pub struct MessagesWidget(pub WidgetCommon);

/// Shows messages of channels.
#[Object]
impl MessagesWidget {
    #[graphql(flatten)]
    fn common(&self) -> WidgetCommon {
        self.0.clone()
    }

    /// The messages, newest first.
    #[graphql(directive = Page::apply())]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<Connection<Message>, PortError>> {
        Some(nodes(&self.0, ctx, first, after).await)
    }
}

/// Shows activities.
pub struct ActivityWidget(pub WidgetCommon);

/// Shows what happened.
#[Object]
impl ActivityWidget {
    #[graphql(flatten)]
    fn common(&self) -> WidgetCommon {
        self.0.clone()
    }

    /// Activities, newest first.
    #[graphql(directive = Page::apply())]
    async fn activity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return: 1 to 100, 20 if left out.")] first: Option<i32>,
        #[graphql(desc = "Return what comes after this cursor.")] after: Option<String>,
    ) -> Option<Result<Connection<Activity>, PortError>> {
        let request = match request(&self.0, ctx, first, after.as_deref()) {
            Ok(request) => request,
            Err(error) => return Some(Err(error)),
        };
        Some(match self.0.page(ctx, request).await {
            Ok(Loaded::Activity(load)) => {
                let page = &load.page;
                let items = page.items.iter().map(|(at, view)| (at.clone(), Activity(view.clone())));
                Ok(Connection::new(origin(&self.0), items.collect(), page.has_next, after.as_deref(), page.total))
            }
            Ok(_) => Err(PortError::internal()),
            Err(error) => Err(error),
        })
    }
}

/// Shows a metric.
pub struct MetricWidget(pub WidgetCommon);

/// Shows a number and how it came about.
#[Object]
impl MetricWidget {
    #[graphql(flatten)]
    fn common(&self) -> WidgetCommon {
        self.0.clone()
    }

    /// The metric; null when it could not be loaded.
    async fn metric(&self, ctx: &Context<'_>) -> Option<Result<Metric, PortError>> {
        let Source::Metric(source) = self.0.view.source.as_ref() else { return None };
        Some(match self.0.page(ctx, PageRequest::default()).await {
            Ok(Loaded::Metric(load)) => {
                self.0.note_missing(ctx, &load).await;
                if load.missing.is_some() && load.value.value.is_none() {
                    return None;
                }
                Ok(Metric::new(source.metric, load))
            }
            Ok(_) => Err(PortError::internal()),
            Err(error) => Err(error),
        })
    }
}
