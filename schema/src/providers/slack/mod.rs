//! Slack in the graph: the workspace, channels, messages and people.

mod channel;
mod markup;
mod people;
mod root;

pub use channel::{
    SLACK_CHANNEL, SLACK_MESSAGE, SLACK_REACTION, SLACK_WORKSPACE, SlackChannel, SlackMessage, SlackReaction,
    SlackWorkspace,
};
pub use markup::plain;
pub use people::{SLACK_USER, SlackUser};
pub use root::{SLACK, Slack};

use super::ProviderGraph;
use crate::table::NodeType;

/// The node types.
pub static TYPES: &[&NodeType] = &[&SLACK_WORKSPACE, &SLACK_CHANNEL, &SLACK_MESSAGE, &SLACK_USER];

/// Slack's part of the graph.
pub static PROVIDER: ProviderGraph = ProviderGraph {
    key: "slack",
    doc: "Slack, through one of your integrations. Null until an admin has connected one with `connectIntegration`.",
    root: &SLACK,
    types: TYPES,
};
