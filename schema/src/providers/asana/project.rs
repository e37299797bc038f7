//! Workspaces, projects and their sections.

use async_graphql::Value;

use super::{AsanaTask, AsanaUser};
use crate::{
    interfaces::{container, node, provider_node},
    table::{AFTER, Arg, Derive, FIRST, Field, Row, table},
};

const NAME: Derive = Derive::new(|view| view.text("name").map(Value::from), &["name"]);
const TASKS: &[Arg] =
    &[FIRST, AFTER, Arg::filter::<Option<bool>>("completed", "Only completed tasks, or only others; left out: all.")];

table! {
    /// A workspace.
    AsanaWorkspace = ASANA_WORKSPACE {
        provider: "asana",
        doc: "A workspace or an organization of Asana.",
        interfaces: &["Node", "ProviderNode"],
        always: &["name", "isOrganization"],
        fields: &[
            &node(),
            &provider_node(NAME),
            &[
                Field::text("name", "Its name.").required(),
                Field::flag("isOrganization", "Whether it is an organization.").required(),
            ],
        ],
    }

    /// A project.
    AsanaProject = ASANA_PROJECT {
        provider: "asana",
        doc: "A project of Asana.",
        interfaces: &["Node", "ProviderNode", "Container"],
        always: &["name", "isArchived"],
        fields: &[
            &node(),
            &provider_node(NAME),
            &container(),
            &[
                Field::text("color", "Its color, as Asana names it."),
                Field::flag("isArchived", "Whether it is archived.").required(),
                Field::date("dueOn", "The day it is due."),
                Field::text("statusText", "Its latest status update."),
                Field::text("statusColor", "The color of that update: green, yellow, red."),
                Field::node::<Row<AsanaUser>>("owner", "Who owns it."),
                Field::node::<Row<AsanaWorkspace>>("workspace", "The workspace it belongs to."),
                Field::whole_list::<Row<AsanaSection>>("sections", "Its sections, in their order.", 10),
                Field::list::<Row<AsanaTask>>("tasks", "Its tasks, newest first.").args(TASKS),
                Field::record::<AsanaTaskCounts>(
                    "taskCounts",
                    "How many tasks it has.",
                    &["taskTotal", "taskCompleted", "taskIncomplete"],
                ),
            ],
        ],
    }

    /// How many tasks a project has.
    AsanaTaskCounts = ASANA_TASK_COUNTS {
        provider: "asana",
        doc: "How many tasks a project of Asana has.",
        interfaces: &[],
        always: &[],
        fields: &[&[
            Field::int("total", "All of them.").key("taskTotal").required(),
            Field::int("completed", "Those that are completed.").key("taskCompleted").required(),
            Field::int("incomplete", "Those that are not.").key("taskIncomplete").required(),
        ]],
    }

    /// A section of a project.
    AsanaSection = ASANA_SECTION {
        provider: "asana",
        doc: "A section of a project of Asana: a column of its board.",
        interfaces: &["Node"],
        always: &["name"],
        fields: &[
            &node(),
            &[
                Field::text("name", "Its name.").required(),
                Field::list::<Row<AsanaTask>>("tasks", "Its tasks, newest first."),
            ],
        ],
    }
}
