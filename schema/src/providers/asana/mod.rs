//! Asana in the graph: workspaces, projects with their sections, tasks, comments and people.

mod project;
mod root;
mod task;

pub use project::{
    ASANA_PROJECT, ASANA_SECTION, ASANA_TASK_COUNTS, ASANA_WORKSPACE, AsanaProject, AsanaSection, AsanaTaskCounts,
    AsanaWorkspace,
};
pub use root::{ASANA, Asana};
pub use task::{
    ASANA_COMMENT, ASANA_CUSTOM_FIELD, ASANA_TASK, ASANA_USER, AsanaComment, AsanaCustomField, AsanaTask, AsanaUser,
};

use super::ProviderGraph;
use crate::table::NodeType;

/// The node types.
pub static TYPES: &[&NodeType] =
    &[&ASANA_WORKSPACE, &ASANA_PROJECT, &ASANA_SECTION, &ASANA_TASK, &ASANA_COMMENT, &ASANA_USER];

/// What Asana adds to the graph.
pub static PROVIDER: ProviderGraph = ProviderGraph {
    key: "asana",
    doc: "Asana, through one of your integrations. Null until an admin has connected one with `connectIntegration`.",
    root: &ASANA,
    types: TYPES,
};
