//! The names of Asana's types, lists and aspects as the engine and the graph know them: written once.

pub(super) const WORKSPACE: &str = "AsanaWorkspace";
pub(super) const PROJECT: &str = "AsanaProject";
pub(super) const SECTION: &str = "AsanaSection";
pub(super) const TASK: &str = "AsanaTask";
pub(super) const COMMENT: &str = "AsanaComment";
pub(super) const USER: &str = "AsanaUser";

pub(super) const WORKSPACES: &str = "workspaces";
pub(super) const PROJECTS: &str = "projects";
pub(super) const SECTIONS: &str = "sections";
pub(super) const TASKS: &str = "tasks";
pub(super) const COMMENTS: &str = "comments";

/// The lookup of the user that the token acts as.
pub(super) const VIEWER: &str = "viewer";

/// The aspect that the thing's own `modified_at` versions.
pub(super) const CORE: &str = "core";
/// A project's numbers of tasks: its `modified_at` does not move with them.
pub(super) const COUNTS: &str = "counts";

/// Filters of lists.
pub(super) const COMPLETED: &str = "completed";
pub(super) const WORKSPACE_FILTER: &str = "workspace";

/// The fact that `identify` learns: the gids of the workspaces.
pub(super) const WORKSPACES_FACT: &str = "workspaces";
