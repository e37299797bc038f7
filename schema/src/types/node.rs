//! The interface of everything that has an id.

use async_graphql::OutputType;

use super::{
    activity::Activity,
    boards::{
        ActivityWidget, BuildsWidget, Dashboard, MessagesWidget, MetricWidget, PullRequestsWidget, WorkItemsWidget,
    },
};
use crate::{
    accounts::integration::Integration,
    interfaces,
    table::{Abstract, Abstraction, Field, Shape, TypeInfo},
};

static FIELDS: [Field; 1] = interfaces::node();

/// Everything that has an id.
pub type Node = Abstract<NodeMark>;

/// Marks [`Node`].
pub struct NodeMark;

impl Abstraction for NodeMark {
    const NAME: &'static str = "Node";
    const DOC: &'static str =
        "Everything that has an id, ours or a provider's. Ids are opaque, stable, and unique over all types.";
    const SHAPE: Shape = Shape::Interface { fields: &[&FIELDS], implements: &[] };
    const OWN_TYPES: &'static [TypeInfo] = &[
        <Dashboard as OutputType>::create_type_info,
        <Integration as OutputType>::create_type_info,
        <Activity as OutputType>::create_type_info,
        <WorkItemsWidget as OutputType>::create_type_info,
        <PullRequestsWidget as OutputType>::create_type_info,
        <BuildsWidget as OutputType>::create_type_info,
        <MessagesWidget as OutputType>::create_type_info,
        <ActivityWidget as OutputType>::create_type_info,
        <MetricWidget as OutputType>::create_type_info,
    ];
}
