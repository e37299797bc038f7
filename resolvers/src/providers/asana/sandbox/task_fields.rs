//! A task as Asana shows it: its fields by name, its memberships, the values of its custom fields.

use super::node::{Group, Node, rich};
use super::records::{CustomValue, Due, EnumOption, Gid, Kind, Task};
use super::world::World;

/// The fields of a full task, besides `gid`.
pub(super) const FULL: &[&str] = &[
    "resource_type",
    "name",
    "resource_subtype",
    "actual_time_minutes",
    "assignee",
    "assignee_status",
    "completed",
    "completed_at",
    "created_at",
    "custom_fields",
    "due_at",
    "due_on",
    "followers",
    "hearted",
    "hearts",
    "liked",
    "likes",
    "memberships",
    "modified_at",
    "notes",
    "num_hearts",
    "num_likes",
    "parent",
    "permalink_url",
    "projects",
    "start_at",
    "start_on",
    "tags",
    "workspace",
];

/// The value of a task's field.
pub(super) fn task(world: &World, gid: Gid, of: &Task, name: &str) -> Option<Node> {
    Some(match name {
        "name" => Node::value(of.name.as_str()),
        "notes" => Node::value(of.notes.as_str()),
        "html_notes" => Node::value(rich(&of.notes)),
        "resource_subtype" => Node::value(of.subtype),
        "assignee" => Node::maybe(Kind::User, of.assignee),
        "assignee_status" => Node::value("upcoming"),
        "completed" => Node::flag(of.completed.is_some()),
        "completed_at" => Node::maybe_at(of.completed.map(|(at, _)| at)),
        "completed_by" => Node::maybe(Kind::User, of.completed.map(|(_, by)| by)),
        "created_at" => Node::at(of.created_at),
        "created_by" => Node::one(Kind::User, of.created_by),
        "modified_at" => Node::at(of.modified_at),
        // A moment has its day too.
        "due_at" | "due_on" => due(of.due, name),
        "start_on" => Node::day(of.start_on),
        "start_at" | "actual_time_minutes" | "external" | "assignee_section" | "approval_status" => Node::null(),
        "custom_fields" => Node::Groups(custom_fields(world, of)),
        "dependencies" | "dependents" => Node::empty_list(),
        "followers" => Node::many(Kind::User, &of.followers),
        "likes" | "hearts" => {
            Node::Groups(of.likes.iter().map(|user| vec![("user", Node::one(Kind::User, *user))]).collect())
        }
        "num_likes" | "num_hearts" => Node::count(of.likes.len()),
        "liked" | "hearted" => Node::flag(of.likes.contains(&world.me)),
        "memberships" => Node::Groups(memberships(of)),
        "num_subtasks" => Node::count(of.subtasks.iter().filter(|subtask| world.is_live(**subtask)).count()),
        "parent" => Node::maybe(Kind::Task, of.parent.filter(|parent| world.is_live(*parent))),
        "permalink_url" => Node::value(permalink(gid, of)),
        "projects" => Node::many(Kind::Project, &projects(of)),
        "tags" => Node::many(Kind::Tag, &of.tags),
        "workspace" => Node::one(Kind::Workspace, of.workspace),
        "is_rendered_as_separator" => Node::flag(false),
        _ => return None,
    })
}

/// The projects that a task is in.
pub(super) fn projects(of: &Task) -> Vec<Gid> {
    of.memberships.iter().map(|place| place.project).collect()
}

fn due(due: Option<Due>, name: &str) -> Node {
    match (due, name) {
        (Some(Due::At(at)), "due_at") => Node::at(at),
        (Some(Due::At(at)), _) => Node::day(Some(at.date_naive())),
        (Some(Due::On(day)), "due_on") => Node::day(Some(day)),
        _ => Node::null(),
    }
}

fn permalink(gid: Gid, of: &Task) -> String {
    match of.memberships.first() {
        Some(place) => format!("https://app.asana.com/1/{}/project/{}/task/{gid}", of.workspace, place.project),
        None => format!("https://app.asana.com/1/{}/task/{gid}", of.workspace),
    }
}

fn memberships(of: &Task) -> Vec<Group> {
    let group = |place: &super::records::Membership| {
        vec![("project", Node::one(Kind::Project, place.project)), ("section", Node::one(Kind::Section, place.section))]
    };
    of.memberships.iter().map(group).collect()
}

/// A choice of an enum field.
pub(super) fn option(of: &EnumOption) -> Group {
    vec![
        ("gid", Node::gid(of.gid)),
        ("resource_type", Node::value("enum_option")),
        ("name", Node::value(of.name)),
        ("color", Node::value(of.color)),
        ("enabled", Node::flag(true)),
    ]
}

/// A task shows all custom fields of its projects, with its value or with null.
fn custom_fields(world: &World, of: &Task) -> Vec<Group> {
    let mut shown: Vec<Gid> = Vec::new();
    for project in projects(of).iter().filter_map(|project| world.projects.get(project)) {
        for field in &project.custom_fields {
            if !shown.contains(field) {
                shown.push(*field);
            }
        }
    }
    shown.into_iter().filter_map(|field| custom_value(world, of, field)).collect()
}

fn custom_value(world: &World, of: &Task, gid: Gid) -> Option<Group> {
    let field = world.custom_fields.get(&gid)?;
    let value = of.custom.iter().find(|(of, _)| *of == gid).map(|(_, value)| value);
    let chosen = match value {
        Some(CustomValue::Option(gid)) => field.options.iter().find(|option| option.gid == *gid),
        _ => None,
    };
    let display = match value {
        Some(CustomValue::Option(_)) => chosen.map(|option| option.name.to_owned()),
        Some(CustomValue::Number(number)) => Some(number.to_string()),
        Some(CustomValue::Text(text)) => Some(text.clone()),
        None => None,
    };
    let mut group = vec![
        ("gid", Node::gid(gid)),
        ("resource_type", Node::value("custom_field")),
        ("name", Node::value(field.name.as_str())),
        ("resource_subtype", Node::value(field.subtype)),
        ("type", Node::value(field.subtype)),
        ("enabled", Node::flag(true)),
        ("description", Node::value("")),
        ("is_formula_field", Node::flag(false)),
        ("display_value", Node::value(display)),
    ];
    match field.subtype {
        "enum" => {
            group.push(("enum_options", Node::Groups(field.options.iter().map(option).collect())));
            group.push(("enum_value", chosen.map_or_else(Node::null, |chosen| Node::Group(option(chosen)))));
        }
        "number" => {
            let number = if let Some(CustomValue::Number(number)) = value { Some(*number) } else { None };
            group.push(("precision", Node::value(0)));
            group.push(("number_value", Node::value(number)));
        }
        _ => {
            let text = if let Some(CustomValue::Text(text)) = value { Some(text.as_str()) } else { None };
            group.push(("text_value", Node::value(text)));
        }
    }
    Some(group)
}
