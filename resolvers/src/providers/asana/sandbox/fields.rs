//! The fields that Asana shows of each kind of thing: a field's value by its name, and the fields of compact and of full records.
//! `custom_fields` and tasks are in `task_fields`, webhooks in `hook_fields`.

use super::hook_fields;
use super::node::{Group, Node, rich};
use super::records::{CustomField, Gid, Kind, Project, ProjectStatus, Ref, Section, Story, Tag, Team, User, Workspace};
use super::task_fields;
use super::world::World;

/// The fields of a compact record, besides `gid`.
pub(super) fn compact(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Task => &["resource_type", "name", "resource_subtype"],
        Kind::Story => &["resource_type", "created_at", "created_by", "resource_subtype", "text", "type"],
        Kind::CustomField => &["resource_type", "name", "resource_subtype", "type", "enum_options"],
        Kind::ProjectStatus => &["resource_type", "title"],
        Kind::Webhook => &["resource_type", "active", "resource", "target"],
        _ => &["resource_type", "name"],
    }
}

/// The fields of a full record, besides `gid`.
pub(super) fn full(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Workspace => &["resource_type", "name", "email_domains", "is_organization"],
        Kind::User => &["resource_type", "name", "email", "photo", "workspaces"],
        Kind::Team => &["resource_type", "name", "description", "html_description", "organization", "permalink_url"],
        Kind::Tag => {
            &["resource_type", "name", "color", "created_at", "followers", "notes", "permalink_url", "workspace"]
        }
        Kind::CustomField => CUSTOM_FIELD,
        Kind::Project => PROJECT,
        Kind::ProjectStatus => &[
            "resource_type",
            "title",
            "author",
            "color",
            "created_at",
            "created_by",
            "html_text",
            "modified_at",
            "text",
        ],
        Kind::Section => &["resource_type", "name", "created_at", "project", "projects"],
        Kind::Task => task_fields::FULL,
        Kind::Story => STORY,
        Kind::Webhook => hook_fields::FULL,
    }
}

const CUSTOM_FIELD: &[&str] = &[
    "resource_type",
    "name",
    "resource_subtype",
    "type",
    "description",
    "enum_options",
    "is_formula_field",
    "is_global_to_workspace",
    "precision",
];

const PROJECT: &[&str] = &[
    "resource_type",
    "name",
    "archived",
    "color",
    "completed",
    "completed_at",
    "created_at",
    "current_status",
    "current_status_update",
    "custom_fields",
    "default_view",
    "due_date",
    "due_on",
    "followers",
    "icon",
    "members",
    "modified_at",
    "notes",
    "owner",
    "permalink_url",
    "public",
    "start_on",
    "team",
    "workspace",
];

const STATUS_UPDATE: &[&str] =
    &["resource_subtype", "title", "status_type", "color", "author", "created_at", "created_by", "html_text", "text"];

const STORY: &[&str] = &[
    "resource_type",
    "created_at",
    "created_by",
    "hearted",
    "hearts",
    "is_edited",
    "is_pinned",
    "liked",
    "likes",
    "num_hearts",
    "num_likes",
    "resource_subtype",
    "source",
    "target",
    "text",
    "type",
];

/// The value of a field; `None` when there is no such field (Asana leaves unknown `opt_fields` out).
pub(super) fn field(world: &World, of: Ref, name: &str) -> Option<Node> {
    match name {
        "gid" => return Some(Node::gid(of.gid)),
        "resource_type" => return Some(Node::value(of.kind.name())),
        _ => {}
    }
    match of.kind {
        Kind::Workspace => world.workspaces.get(&of.gid).and_then(|space| workspace(space, name)),
        Kind::User => world.users.get(&of.gid).and_then(|person| user(world, of.gid, person, name)),
        Kind::Team => world.teams.get(&of.gid).and_then(|record| team(of.gid, record, name)),
        Kind::Tag => world.tags.get(&of.gid).and_then(|record| tag(of.gid, record, name)),
        Kind::CustomField => world.custom_fields.get(&of.gid).and_then(|record| custom_field(record, name)),
        Kind::Project => world.projects.get(&of.gid).and_then(|record| project(world, of.gid, record, name)),
        Kind::ProjectStatus => world.statuses.get(&of.gid).and_then(|record| status(record, name)),
        Kind::Section => world.sections.get(&of.gid).and_then(|record| section(record, name)),
        Kind::Task => world.tasks.get(&of.gid).and_then(|record| task_fields::task(world, of.gid, record, name)),
        Kind::Story => world.stories.get(&of.gid).and_then(|record| story(world, record, name)),
        Kind::Webhook => world.hooks.get(&of.gid).and_then(|hook| hook_fields::field(world, hook, name)),
    }
}

fn workspace(of: &Workspace, name: &str) -> Option<Node> {
    Some(match name {
        "name" => Node::value(of.name.as_str()),
        "is_organization" => Node::flag(of.is_organization),
        "email_domains" => Node::value(of.email_domains.clone()),
        _ => return None,
    })
}

fn user(world: &World, gid: Gid, of: &User, name: &str) -> Option<Node> {
    Some(match name {
        "name" => Node::value(of.name.as_str()),
        "email" => Node::value(of.email.as_str()),
        // As in real workspaces, some have no picture.
        "photo" if gid.is_multiple_of(3) => Node::null(),
        "photo" => Node::Group(
            [("image_21x21", 21), ("image_36x36", 36), ("image_60x60", 60), ("image_128x128", 128)]
                .map(|(key, size)| {
                    (key, Node::value(format!("https://profile-photos.example/{gid}_{size}x{size}.png")))
                })
                .into(),
        ),
        "workspaces" => Node::many(Kind::Workspace, &world.workspaces_of(gid)),
        _ => return None,
    })
}

fn team(gid: Gid, of: &Team, name: &str) -> Option<Node> {
    Some(match name {
        "name" => Node::value(of.name.as_str()),
        "description" => Node::value(""),
        "html_description" => Node::value(rich("")),
        "organization" => Node::one(Kind::Workspace, of.workspace),
        "permalink_url" => Node::value(format!("https://app.asana.com/1/{}/team/{gid}", of.workspace)),
        "visibility" => Node::value("public"),
        _ => return None,
    })
}

fn tag(gid: Gid, of: &Tag, name: &str) -> Option<Node> {
    Some(match name {
        "name" => Node::value(of.name.as_str()),
        "color" => Node::value(of.color),
        "created_at" => Node::null(),
        "followers" => Node::empty_list(),
        "notes" => Node::value(""),
        "permalink_url" => Node::value(format!("https://app.asana.com/0/{gid}/list")),
        "workspace" => Node::one(Kind::Workspace, of.workspace),
        _ => return None,
    })
}

fn custom_field(of: &CustomField, name: &str) -> Option<Node> {
    Some(match name {
        "name" => Node::value(of.name.as_str()),
        "resource_subtype" | "type" => Node::value(of.subtype),
        "description" => Node::value(""),
        "enum_options" if of.subtype == "enum" => Node::Groups(of.options.iter().map(task_fields::option).collect()),
        "is_formula_field" => Node::flag(false),
        "is_global_to_workspace" => Node::flag(true),
        "precision" if of.subtype == "number" => Node::value(0),
        "workspace" => Node::one(Kind::Workspace, of.workspace),
        _ => return None,
    })
}

fn project(world: &World, gid: Gid, of: &Project, name: &str) -> Option<Node> {
    Some(match name {
        "name" => Node::value(of.name.as_str()),
        "archived" => Node::flag(of.archived),
        "color" => Node::value(of.color),
        "completed" => Node::flag(false),
        "completed_at" | "completed_by" => Node::null(),
        "created_at" => Node::at(of.created_at),
        "modified_at" => Node::at(of.modified_at),
        "current_status" => current_status(world, of, full(Kind::ProjectStatus), "project_status"),
        "current_status_update" => current_status(world, of, STATUS_UPDATE, "status_update"),
        "custom_fields" => Node::many(Kind::CustomField, &of.custom_fields),
        "custom_field_settings" => Node::Groups(of.custom_fields.iter().map(|field| setting(gid, *field)).collect()),
        "default_view" => Node::value("board"),
        "due_on" | "due_date" => Node::day(of.due_on),
        "start_on" => Node::day(of.start_on),
        "members" | "followers" => Node::many(Kind::User, &of.members),
        "icon" => Node::value("list"),
        "notes" => Node::value(of.notes.as_str()),
        "html_notes" => Node::value(rich(&of.notes)),
        "owner" => Node::maybe(Kind::User, of.owner),
        "permalink_url" => Node::value(format!("https://app.asana.com/1/{}/project/{gid}", of.workspace)),
        "public" => Node::flag(true),
        "privacy_setting" => Node::value("public_to_workspace"),
        "team" => Node::maybe(Kind::Team, of.team),
        "workspace" => Node::one(Kind::Workspace, of.workspace),
        _ => return None,
    })
}

fn setting(project: Gid, field: Gid) -> Group {
    vec![
        ("resource_type", Node::value("custom_field_setting")),
        ("project", Node::one(Kind::Project, project)),
        ("custom_field", Node::one(Kind::CustomField, field)),
        ("is_important", Node::flag(true)),
    ]
}

/// A project shows its newest status whole, under its old name and under its new one.
fn current_status(world: &World, of: &Project, shown: &[&'static str], resource_type: &'static str) -> Node {
    let newest = of.statuses.first().and_then(|gid| Some((*gid, world.statuses.get(gid)?)));
    let Some((gid, newest)) = newest else { return Node::null() };
    let mut group = vec![("gid", Node::gid(gid)), ("resource_type", Node::value(resource_type))];
    group.extend(shown.iter().filter_map(|name| Some((*name, status(newest, name)?))));
    Node::Group(group)
}

fn status(of: &ProjectStatus, name: &str) -> Option<Node> {
    Some(match name {
        "title" => Node::value(of.title.as_str()),
        "text" => Node::value(of.text.as_str()),
        "html_text" => Node::value(rich(&of.text)),
        "color" => Node::value(of.color),
        "resource_subtype" => Node::value("project_status_update"),
        // The newer name of the color.
        "status_type" => Node::value(match of.color {
            "green" => "on_track",
            "yellow" => "at_risk",
            _ => "off_track",
        }),
        "author" | "created_by" => Node::one(Kind::User, of.author),
        "created_at" | "modified_at" => Node::at(of.created_at),
        "parent" => Node::one(Kind::Project, of.project),
        _ => return None,
    })
}

fn section(of: &Section, name: &str) -> Option<Node> {
    Some(match name {
        "name" => Node::value(of.name.as_str()),
        "created_at" => Node::at(of.created_at),
        "project" => Node::one(Kind::Project, of.project),
        "projects" => Node::many(Kind::Project, &[of.project]),
        _ => return None,
    })
}

fn story(world: &World, of: &Story, name: &str) -> Option<Node> {
    Some(match name {
        "created_at" => Node::at(of.created_at),
        "created_by" => Node::one(Kind::User, of.author),
        "resource_subtype" => Node::value(of.subtype),
        "type" => Node::value(of.kind()),
        "text" => Node::value(of.text.as_str()),
        "html_text" => Node::value(rich(&of.text)),
        "target" | "task" => Node::one(Kind::Task, of.task),
        "source" => Node::value("web"),
        "is_editable" => Node::flag(of.kind() == "comment" && of.author == world.me),
        "hearted" | "liked" | "is_edited" | "is_pinned" => Node::flag(false),
        "hearts" | "likes" | "previews" | "reaction_summary" => Node::empty_list(),
        "num_hearts" | "num_likes" => Node::count(0),
        _ => return None,
    })
}
