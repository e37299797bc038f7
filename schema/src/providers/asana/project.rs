//! Workspaces, projects with their sections, tasks, comments and people. They refer to one another, and so stand together.

use async_graphql::{Name, Value};

use crate::{
    enums::WorkItemState,
    interfaces::{MESSAGE_TEXT, Person, WorkItemWords, container, message, node, person, provider_node, work_item},
    providers::first_line,
    table::{AFTER, Arg, Derive, FIRST, Field, Row, table},
    view::NodeView,
};

const NAME: Derive = Derive::new(|view| view.text("name").map(Value::from), &["name"]);
const TASKS: &[Arg] =
    &[FIRST, AFTER, Arg::filter::<Option<bool>>("completed", "Only completed tasks, or only others; left out: all.")];

/// Names of sections whose tasks are being worked on.
const UNDER_WAY: &[&str] = &[
    "active",
    "doing",
    "in development",
    "in progress",
    "in review",
    "ongoing",
    "review",
    "started",
    "testing",
    "under way",
    "wip",
    "work in progress",
    "working on it",
];

/// The state of a task over all providers: completed, or by the name of its section.
pub(super) fn task_state(view: &NodeView) -> Option<WorkItemState> {
    if view.flag("completed")? {
        return Some(WorkItemState::Done);
    }
    let section = view.text("sectionName").unwrap_or_default().to_lowercase();
    let section = section.replace(['-', '_'], " ");
    let under_way = UNDER_WAY.contains(&section.trim_matches(|letter: char| !letter.is_alphanumeric()));
    Some(if under_way { WorkItemState::InProgress } else { WorkItemState::Todo })
}

fn state_name(view: &NodeView) -> Option<Value> {
    let completed = view.flag("completed")?;
    let section = view.text("sectionName").filter(|_| !completed);
    Some(Value::from(section.unwrap_or_else(|| if completed { "completed" } else { "incomplete" }.to_owned())))
}

const WORDS: WorkItemWords = WorkItemWords {
    key: Derive::new(|view| Some(Value::from(view.key.native_id.as_ref())), &[]),
    state: Derive::new(
        |view| task_state(view).map(|state| Value::Enum(Name::new(<&'static str>::from(state)))),
        &["completed", "sectionName"],
    ),
    // Sections have whatever names people give them.
    unknown_state: |_| false,
    state_name: Derive::new(state_name, &["completed", "sectionName"]),
    assignees: Field::nodes::<Person>("assignees", "Who is to do it. Null when that could not be loaded.", 1)
        .key("assignee"),
};

const DISPLAY_NAME: Derive = Derive::new(|view| view.text("displayName").map(Value::from), &["displayName"]);
const HANDLE: Derive =
    Derive::new(|view| view.text("email")?.split_once('@').map(|(local, _)| Value::from(local)), &["email"]);

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

    /// A task.
    AsanaTask = ASANA_TASK {
        provider: "asana",
        doc: "A task of Asana.",
        interfaces: &["Node", "ProviderNode", "WorkItem"],
        always: &["title", "completed", "sectionName", "labels", "customFields", "updatedAt"],
        fields: &[
            &node(),
            &provider_node(Derive::new(|view| view.text("title").map(Value::from), &["title"])),
            &work_item(WORDS),
            &[
                Field::flag("completed", "Whether it is completed.").required(),
                Field::time("dueAt", "The moment it is due, where a time was set."),
                Field::date("startOn", "The day it is to be begun."),
                Field::node::<Row<AsanaUser>>("assignee", "Who is to do it."),
                Field::node::<Row<AsanaSection>>("section", "The section it stands in."),
                Field::nodes::<Row<AsanaProject>>("projects", "The projects it belongs to.", 5),
                Field::node::<Row<AsanaTask>>("parent", "The task it is a part of."),
                Field::int("subtaskCount", "How many parts it has."),
                Field::records::<AsanaCustomField>("customFields", "Its custom fields.", 20).required(),
                Field::list::<Row<AsanaComment>>("comments", "Its comments, oldest first."),
            ],
        ],
    }

    /// A custom field of a task.
    AsanaCustomField = ASANA_CUSTOM_FIELD {
        provider: "asana",
        doc: "A custom field of a task of Asana.",
        interfaces: &[],
        always: &["name", "type"],
        fields: &[&[
            Field::text("name", "Its name.").required(),
            Field::text("displayValue", "Its value, as people read it."),
            Field::text("type", "Its type, as Asana names it: enum, number, text.").required(),
        ]],
    }

    /// A comment.
    AsanaComment = ASANA_COMMENT {
        provider: "asana",
        doc: "A comment on a task of Asana.",
        interfaces: &["Node", "ProviderNode", "Message"],
        always: &["text", "sentAt"],
        fields: &[
            &node(),
            &provider_node(Derive::new(first_line, &["text"])),
            &message(MESSAGE_TEXT),
            &[Field::node::<Row<AsanaTask>>("task", "The task it was made on.")],
        ],
    }

    /// A user.
    AsanaUser = ASANA_USER {
        provider: "asana",
        doc: "A user of Asana.",
        interfaces: &["Node", "ProviderNode", "Person"],
        always: &["displayName"],
        fields: &[
            &node(),
            &provider_node(DISPLAY_NAME),
            &person(HANDLE, DISPLAY_NAME, Derive::new(|_| Some(Value::from(false)), &[])),
        ],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::task_state;
    use crate::{enums::WorkItemState, view::tests::view};

    #[test]
    fn a_task_s_state_is_told_by_its_section() {
        for (completed, section, expected) in [
            (true, json!("Doing"), WorkItemState::Done),
            (false, json!("Doing"), WorkItemState::InProgress),
            (false, json!("In-Progress"), WorkItemState::InProgress),
            (false, json!("🚧 In progress"), WorkItemState::InProgress),
            (false, json!("Backlog"), WorkItemState::Todo),
            (false, json!(null), WorkItemState::Todo),
        ] {
            let task = view("AsanaTask", json!({"completed": completed, "sectionName": section}));
            assert_eq!(task_state(&task), Some(expected), "{completed} {section}");
        }
    }
}
