//! Asana's lists: which nodes belong to them, and in what order.

use chrono::{DateTime, Utc};
use mullion_schema::{ports::Filter, view::Body};
use serde_json::Value;

use super::{
    names::{
        COMMENT, COMMENTS, COMPLETED, PROJECT, PROJECTS, SECTION, SECTIONS, TASK, TASKS, WORKSPACE, WORKSPACE_FILTER,
        WORKSPACES,
    },
    values::parse_time,
};
use crate::{
    provider::{ContainerLists, CopiedFields, Keeping, ListRef, ListType, NodeRef, WorkItemLists},
    sort_key::{newest_first, oldest_first},
};

/// The body key of a section's place among the sections of its project, where it is known.
pub(super) const ORDER: &str = "order";

/// The lists.
pub(super) const LISTS: &[ListType] = &[
    ListType { parent: None, name: WORKSPACES, keeping: Keeping::Window },
    ListType { parent: None, name: PROJECTS, keeping: Keeping::Window },
    ListType { parent: Some(PROJECT), name: SECTIONS, keeping: Keeping::Window },
    ListType { parent: Some(PROJECT), name: TASKS, keeping: Keeping::Window },
    ListType { parent: Some(SECTION), name: TASKS, keeping: Keeping::Window },
    ListType { parent: Some(TASK), name: COMMENTS, keeping: Keeping::Window },
];

/// The arguments that [`matches`] knows.
pub(super) const FILTERS: &[&str] = &[COMPLETED, WORKSPACE_FILTER];

/// The lists that the cross-provider widgets read. A project has mostly less than a page of tasks: one list answers for open and
/// for closed ones, where a filter would cost a call for each.
pub(super) const CONTAINERS: &[ContainerLists] = &[ContainerLists {
    container: PROJECT,
    all: PROJECTS,
    work_items: Some(WorkItemLists {
        list: TASKS,
        item_type: "TASK",
        open: None,
        closed: None,
        newest_first: None,
        in_several: true,
    }),
    pull_requests: None,
    builds: None,
    days_of_a_build: 0,
    messages: None,
}];

/// The state of a task is the name of its section.
pub(super) const COPIED: &[CopiedFields] = &[CopiedFields {
    source: SECTION,
    keys: &["name"],
    lists: &[TASKS],
    reference: "section",
    copy: |section, _, _| {
        section.get("name").map(|name| ("sectionName".to_owned(), name.clone())).into_iter().collect()
    },
}];

/// A section's place as it stands in its body: texts of one width.
pub(super) fn place(index: usize) -> Value {
    format!("{index:06}").into()
}

/// The windows that a node belongs to, with its sort key.
pub(super) fn memberships(node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
    let account = |name| ListRef { parent: None, name };
    let below = |parent, name| ListRef { parent: Some(parent), name };
    match node.type_name {
        WORKSPACE => vec![(account(WORKSPACES), by_name(body))],
        PROJECT => vec![(account(PROJECTS), by_name(body))],
        SECTION => {
            let order = body.get(ORDER).and_then(Value::as_str).map(str::to_owned);
            // Sections whose place is not known yet come last.
            let sort = order.unwrap_or_else(|| format!("~{}", by_name(body)));
            one(body, "project").map(|project| (below(project, SECTIONS), sort)).into_iter().collect()
        }
        TASK => {
            let Some(sort) = newest_first(at(body, "createdAt")) else { return Vec::new() };
            let places = many(body, "projects").chain(many(body, "sections"));
            places.map(|parent| (below(parent, TASKS), sort.clone())).collect()
        }
        COMMENT => match (one(body, "task"), oldest_first(at(body, "createdAt"))) {
            (Some(task), Some(sort)) => vec![(below(task, COMMENTS), sort)],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// A node's sort key in a list; `None`: its record does not say that it belongs there, or where.
pub(super) fn sort(list: &ListRef, node: &NodeRef, body: &Body) -> Option<String> {
    memberships(node, body).into_iter().find(|(of, _)| of == list).map(|(_, sort)| sort)
}

fn by_name(body: &Body) -> String {
    body.get("name").and_then(Value::as_str).unwrap_or_default().to_lowercase()
}

fn one(body: &Body, key: &str) -> Option<NodeRef> {
    parse_reference(body.get(key)?.as_str()?)
}

fn many<'b>(body: &'b Body, key: &str) -> impl Iterator<Item = NodeRef> + use<'b> {
    let references = body.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    references.iter().filter_map(|reference| parse_reference(reference.as_str()?))
}

fn parse_reference(text: &str) -> Option<NodeRef> {
    let (type_name, id) = text.split_once(':')?;
    let type_name = [PROJECT, SECTION, TASK].into_iter().find(|known| *known == type_name)?;
    Some(NodeRef::new(type_name, id))
}

fn at(body: &Body, key: &str) -> Option<DateTime<Utc>> {
    parse_time(body.get(key)?)
}

/// Whether an item of a list's window passes a filter.
pub(super) fn matches(filter: &Filter, body: &Body) -> bool {
    filter.iter().all(|(argument, values)| values.is_empty() || passes(argument, values, body))
}

fn passes(argument: &str, values: &[String], body: &Body) -> bool {
    match argument {
        COMPLETED => body.get("completed").and_then(Value::as_bool).is_some_and(|completed| {
            let completed = if completed { "true" } else { "false" };
            values.iter().any(|value| value == completed)
        }),
        WORKSPACE_FILTER => body.get("workspace").and_then(Value::as_str).is_some_and(|workspace| {
            let gid = workspace.split_once(':').map(|(_, gid)| gid);
            values.iter().any(|value| Some(value.as_str()) == gid)
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use mullion_schema::view::Body;
    use serde_json::{Value, json};

    use super::{matches, memberships};
    use crate::provider::NodeRef;

    fn body(value: Value) -> Body {
        let Value::Object(body) = value else { panic!("{value} is no object") };
        body
    }

    fn places(type_name: &'static str, value: Value) -> Vec<(String, String)> {
        let found = memberships(&NodeRef::new(type_name, "x"), &body(value)).into_iter();
        let parent = |parent: Option<NodeRef>| parent.map_or_else(|| "account".to_owned(), |node| node.to_string());
        found.map(|(list, sort)| (format!("{}/{}", parent(list.parent), list.name), sort)).collect()
    }

    #[test]
    fn a_task_is_in_the_lists_of_all_its_projects_and_sections_newest_first() {
        let task = |at| {
            places(
                "AsanaTask",
                json!({"projects": ["AsanaProject:1", "AsanaProject:2"], "sections": ["AsanaSection:3"], "createdAt": at}),
            )
        };
        let (older, newer) = (task("2026-01-01T00:00:00Z"), task("2026-01-02T00:00:00Z"));
        let lists: Vec<&str> = older.iter().map(|(list, _)| list.as_str()).collect();
        assert_eq!(lists, ["AsanaProject:1/tasks", "AsanaProject:2/tasks", "AsanaSection:3/tasks"]);
        assert!(newer.iter().zip(&older).all(|(newer, older)| newer.1 < older.1));
        assert_eq!(places("AsanaTask", json!({"projects": ["AsanaProject:1"]})), []);
        assert_eq!(places("AsanaTask", json!({"projects": 7, "createdAt": "2026-01-01T00:00:00Z"})), []);
    }

    #[test]
    fn the_other_lists_have_their_orders() {
        let comment = |at| places("AsanaComment", json!({"task": "AsanaTask:1", "createdAt": at})).remove(0);
        let (older, newer) = (comment("2026-01-01T00:00:00Z"), comment("2026-01-02T00:00:00Z"));
        assert_eq!(older.0, "AsanaTask:1/comments");
        assert!(older.1 < newer.1);
        let section = |more: Value| {
            let mut section = body(json!({"project": "AsanaProject:1", "name": "Doing"}));
            section.extend(body(more));
            places("AsanaSection", section.into()).remove(0).1
        };
        assert!(section(json!({"order": super::place(2)})) < section(json!({"order": super::place(10)})));
        assert!(section(json!({"order": super::place(10)})) < section(json!({})));
        assert_eq!(places("AsanaProject", json!({"name": "Web"})), [("account/projects".into(), "web".into())]);
        assert_eq!(places("AsanaWorkspace", json!({"name": "Acme"})), [("account/workspaces".into(), "acme".into())]);
        assert_eq!(places("AsanaUser", json!({"displayName": "Ann"})), []);
    }

    #[test]
    fn a_filter_passes_what_was_asked_for() {
        let check = |name: &'static str, values: &[&str], item: Value| {
            matches(&[(name, values.iter().map(|&value| value.to_owned()).collect())].into(), &body(item))
        };
        assert!(check("completed", &["false"], json!({"completed": false})));
        assert!(!check("completed", &["false"], json!({"completed": true})));
        assert!(check("completed", &[], json!({"completed": true})));
        assert!(!check("completed", &["true"], json!({})));
        assert!(check("workspace", &["1", "2"], json!({"workspace": "AsanaWorkspace:2"})));
        assert!(!check("workspace", &["1"], json!({"workspace": "AsanaWorkspace:2"})));
        assert!(!check("workspace", &["1"], json!({})));
    }
}
