//! Dashboards and their widgets: the interface of widgets, the part that all of them share, and the six kinds.

mod common;
mod dashboard;
mod kinds;
mod load;
mod work_items;

use std::sync::Arc;

pub use common::{WidgetCommon, WidgetLayout, WidgetProblem};
pub use dashboard::Dashboard;
pub use kinds::{
    ActivityWidget, BuildsWidget, MessagesWidget, MetricWidget, PullRequestsWidget, WorkItemCount, WorkItemsWidget,
};
pub use load::{Hints, shown};
pub use work_items::{WorkItemConnection, node_connection, work_item_connection};

use async_graphql::OutputType;

use crate::{
    ports::{Source, WidgetView},
    table::{Abstract, Abstraction, Shape, TypeInfo},
};

/// A widget of any kind.
pub type Widget = Abstract<WidgetMark>;

/// Marks [`Widget`].
pub struct WidgetMark;

impl Abstraction for WidgetMark {
    const NAME: &'static str = "Widget";
    const DOC: &'static str = "A view over things at providers, saved on a dashboard.";
    // The fields are those of `WidgetCommon`; the registry's last pass puts them in.
    const SHAPE: Shape = Shape::Interface { fields: &[], implements: &["Node"] };
    const OWN_TYPES: &'static [TypeInfo] = &[
        <WorkItemsWidget as OutputType>::create_type_info,
        <PullRequestsWidget as OutputType>::create_type_info,
        <BuildsWidget as OutputType>::create_type_info,
        <MessagesWidget as OutputType>::create_type_info,
        <ActivityWidget as OutputType>::create_type_info,
        <MetricWidget as OutputType>::create_type_info,
    ];
}

/// A stored widget as an object of its kind.
pub fn widget_object(view: Arc<WidgetView>, hints: &Arc<Hints>) -> Widget {
    widget_as(view, hints)
}

/// The same behind another interface.
pub fn widget_as<A>(view: Arc<WidgetView>, hints: &Arc<Hints>) -> Abstract<A> {
    let source = Arc::clone(&view.source);
    let common = WidgetCommon::new(view, Arc::clone(hints));
    match source.as_ref() {
        Source::WorkItems(_) => Abstract::new(WorkItemsWidget(common)),
        Source::PullRequests(_) => Abstract::new(PullRequestsWidget(common)),
        Source::Builds(_) => Abstract::new(BuildsWidget(common)),
        Source::Messages(_) => Abstract::new(MessagesWidget(common)),
        Source::Activity(_) => Abstract::new(ActivityWidget(common)),
        Source::Metric(_) => Abstract::new(MetricWidget(common)),
    }
}
