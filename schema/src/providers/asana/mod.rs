//! Asana in the graph: workspaces, projects with their sections, tasks, comments and people.

mod project;
mod root;

pub use project::{
    ASANA_COMMENT, ASANA_CUSTOM_FIELD, ASANA_PROJECT, ASANA_SECTION, ASANA_TASK, ASANA_TASK_COUNTS, ASANA_USER,
    ASANA_WORKSPACE, AsanaComment, AsanaCustomField, AsanaProject, AsanaSection, AsanaTask, AsanaTaskCounts, AsanaUser,
    AsanaWorkspace,
};
pub use root::{ASANA, Asana};

use super::ProviderGraph;
use crate::table::NodeType;

/// The node types.
pub static TYPES: &[&NodeType] =
    &[&ASANA_WORKSPACE, &ASANA_PROJECT, &ASANA_SECTION, &ASANA_TASK, &ASANA_COMMENT, &ASANA_USER];

/// Asana's part of the graph.
pub static PROVIDER: ProviderGraph = ProviderGraph {
    key: "asana",
    doc: "Asana, through one of your integrations. Null until an admin has connected one with `connectIntegration`.",
    root: &ASANA,
    types: TYPES,
};
