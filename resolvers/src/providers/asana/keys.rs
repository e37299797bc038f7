//! Our body keys at Asana: which `opt_fields` ask for them, and how they are read from a record.

use std::collections::BTreeSet;

use mullion_schema::view::Body;
use serde_json::Value;

use super::{
    names::{COMMENT, PROJECT, SECTION, TASK, USER, WORKSPACE},
    values::{custom_fields, labels, list, non_empty, reference, stamp},
};

/// How a value is read. A member that is missing is unknown.
enum Read {
    /// As it is.
    Same(&'static str),
    /// True or false, never null.
    Flag(&'static str),
    /// Empty texts are null.
    Text(&'static str),
    Time(&'static str),
    /// A record of this type.
    Node(&'static str, &'static str),
    /// Asana has no such thing: known to be null.
    Never,
    /// From a member, otherwise.
    From(&'static str, fn(&Value) -> Value),
}

/// A body key.
pub(super) struct Key {
    name: &'static str,
    /// The `opt_fields`.
    fields: &'static [&'static str],
    read: Read,
}

/// A type of nodes at Asana.
pub(super) struct Kind {
    pub(super) type_name: &'static str,
    /// The path's first segment, also the operation's name in metrics.
    pub(super) path: &'static str,
    /// Asked for whenever a node is read: what its version and its lists need.
    base: &'static [&'static str],
    keys: &'static [Key],
}

const fn key(name: &'static str, fields: &'static [&'static str], read: Read) -> Key {
    Key { name, fields, read }
}

static WORKSPACES: Kind = Kind {
    type_name: WORKSPACE,
    path: "workspaces",
    base: &["name"],
    keys: &[
        key("name", &["name"], Read::Same("name")),
        key("isOrganization", &["is_organization"], Read::Flag("is_organization")),
        key("url", &[], Read::Never),
        key("createdAt", &[], Read::Never),
        key("updatedAt", &[], Read::Never),
    ],
};

static PROJECTS: Kind = Kind {
    type_name: PROJECT,
    path: "projects",
    base: &["name", "workspace", "updatedAt"],
    keys: &[
        key("name", &["name"], Read::Same("name")),
        key("description", &["notes"], Read::Text("notes")),
        key("color", &["color"], Read::Text("color")),
        key("isArchived", &["archived"], Read::Flag("archived")),
        key("dueOn", &["due_on"], Read::Same("due_on")),
        key("statusText", STATUS, Read::From("current_status_update", status_text)),
        key("statusColor", STATUS, Read::From("current_status_update", status_color)),
        key("owner", &["owner.name", "owner.email", "owner.photo.image_128x128"], Read::Node("owner", USER)),
        key("workspace", &["workspace.name", "workspace.is_organization"], Read::Node("workspace", WORKSPACE)),
        key("url", &["permalink_url"], Read::Text("permalink_url")),
        key("createdAt", &["created_at"], Read::Time("created_at")),
        key("updatedAt", &["modified_at"], Read::Time("modified_at")),
    ],
};

const STATUS: &[&str] =
    &["current_status_update.title", "current_status_update.text", "current_status_update.status_type"];

static SECTIONS: Kind = Kind {
    type_name: SECTION,
    path: "sections",
    base: &["name", "project"],
    keys: &[
        key("name", &["name"], Read::Same("name")),
        key("project", &["project.name", "project.modified_at"], Read::Node("project", PROJECT)),
        key("createdAt", &["created_at"], Read::Time("created_at")),
    ],
};

static TASKS: Kind = Kind {
    type_name: TASK,
    path: "tasks",
    base: &["completed", "section", "sectionName", "sections", "projects", "createdAt", "updatedAt"],
    keys: &[
        key("title", &["name"], Read::Same("name")),
        key("bodyText", &["notes"], Read::Text("notes")),
        key("completed", &["completed"], Read::Flag("completed")),
        key("closedAt", &["completed_at"], Read::Time("completed_at")),
        key("dueOn", &["due_on"], Read::Same("due_on")),
        key("dueAt", &["due_at"], Read::Time("due_at")),
        key("startOn", &["start_on"], Read::Same("start_on")),
        key(
            "assignee",
            &["assignee.name", "assignee.email", "assignee.photo.image_128x128"],
            Read::Node("assignee", USER),
        ),
        key("section", MEMBERSHIPS, Read::From("memberships", section)),
        key("sectionName", MEMBERSHIPS, Read::From("memberships", section_name)),
        key("sections", MEMBERSHIPS, Read::From("memberships", |places| places_of(places, "section", SECTION))),
        key("projects", MEMBERSHIPS, Read::From("memberships", |places| places_of(places, "project", PROJECT))),
        key("parent", &["parent"], Read::Node("parent", TASK)),
        key("subtaskCount", &["num_subtasks"], Read::Same("num_subtasks")),
        key(
            "customFields",
            &["custom_fields.name", "custom_fields.display_value", "custom_fields.type"],
            Read::From("custom_fields", |fields| custom_fields(items(fields))),
        ),
        key("labels", &["tags.name", "tags.color"], Read::From("tags", |tags| labels(items(tags)))),
        key("url", &["permalink_url"], Read::Text("permalink_url")),
        key("createdAt", &["created_at"], Read::Time("created_at")),
        key("updatedAt", &["modified_at"], Read::Time("modified_at")),
        key("commentCount", &[], Read::Never),
    ],
};

const MEMBERSHIPS: &[&str] =
    &["memberships.project.name", "memberships.project.modified_at", "memberships.section.name"];

static COMMENTS: Kind = Kind {
    type_name: COMMENT,
    path: "stories",
    base: &["text", "sentAt", "task"],
    keys: &[
        key("text", &["text", "type"], Read::Same("text")),
        key(
            "author",
            &["created_by.name", "created_by.email", "created_by.photo.image_128x128"],
            Read::Node("created_by", USER),
        ),
        key("sentAt", &["created_at"], Read::Time("created_at")),
        key("createdAt", &["created_at"], Read::Time("created_at")),
        key("task", &["target.resource_type"], Read::From("target", task)),
        key("editedAt", &[], Read::Never),
        key("updatedAt", &[], Read::Never),
        key("replyCount", &[], Read::Never),
        key("url", &[], Read::Never),
    ],
};

static USERS: Kind = Kind {
    type_name: USER,
    path: "users",
    base: &["displayName"],
    keys: &[
        key("displayName", &["name"], Read::Same("name")),
        key("email", &["email"], Read::Text("email")),
        key("avatarUrl", &["photo.image_128x128"], Read::From("photo", photo)),
        key("url", &[], Read::Never),
        key("createdAt", &[], Read::Never),
        key("updatedAt", &[], Read::Never),
    ],
};

/// A project's numbers of tasks have a call of their own.
pub(super) const COUNT_KEYS: [(&str, &str); 3] =
    [("taskTotal", "num_tasks"), ("taskCompleted", "num_completed_tasks"), ("taskIncomplete", "num_incomplete_tasks")];

/// The type at Asana of one of our types.
pub(super) fn kind(type_name: &str) -> Option<&'static Kind> {
    [&TASKS, &USERS, &PROJECTS, &SECTIONS, &COMMENTS, &WORKSPACES].into_iter().find(|kind| kind.type_name == type_name)
}

impl Kind {
    /// The `opt_fields` that ask for these keys, always in the same order.
    pub(super) fn fields(&self, asks: &BTreeSet<&'static str>) -> Vec<&'static str> {
        self.fields_of(|key| asks.contains(key.name) || self.base.contains(&key.name))
    }

    /// The `opt_fields` that ask for all keys.
    pub(super) fn card(&self) -> Vec<&'static str> {
        self.fields_of(|_| true)
    }

    fn fields_of(&self, wanted: impl Fn(&Key) -> bool) -> Vec<&'static str> {
        let mut fields: Vec<&'static str> = Vec::new();
        for field in self.keys.iter().filter(|key| wanted(key)).flat_map(|key| key.fields) {
            if !fields.contains(field) {
                fields.push(field);
            }
        }
        fields
    }

    /// Whether one of these keys is of the record itself.
    pub(super) fn has_one_of(&self, asks: &BTreeSet<&'static str>) -> bool {
        self.keys.iter().any(|key| asks.contains(key.name))
    }

    /// Whether a record has something that Asana's reference does not allow in the place of a value.
    pub(super) fn is_broken(&self, record: &Value) -> bool {
        self.keys.iter().any(|key| key.read.is_broken(record))
    }

    /// The body that a record gives; empty where it has nothing but its gid.
    pub(super) fn body(&self, record: &Value) -> Body {
        let mut told = false;
        let mut body = Body::new();
        for key in self.keys {
            let Some(value) = key.read.value(record) else { continue };
            told |= !matches!(key.read, Read::Never);
            body.insert(key.name.to_owned(), value);
        }
        if told { body } else { Body::new() }
    }
}

impl Read {
    fn is_broken(&self, record: &Value) -> bool {
        let told = |field: &str| record.get(field);
        match self {
            Self::Same(field) => told(field).is_some_and(|value| value.is_object() || value.is_array()),
            Self::Flag(field) => told(field).is_some_and(|value| !value.is_boolean()),
            Self::Text(field) | Self::Time(field) => {
                told(field).is_some_and(|value| !value.is_null() && !value.is_string())
            }
            Self::Node(field, type_name) => {
                told(field).is_some_and(|value| !value.is_null() && reference(type_name, value).is_null())
            }
            Self::From(..) | Self::Never => false,
        }
    }

    /// The value; `None`: the record does not have it, or has something else there.
    fn value(&self, record: &Value) -> Option<Value> {
        if self.is_broken(record) {
            return None;
        }
        Some(match self {
            Self::Same(field) | Self::Flag(field) => record.get(*field)?.clone(),
            Self::Text(field) => non_empty(record.get(*field)?),
            Self::Time(field) => stamp(record.get(*field)?),
            Self::Node(field, type_name) => reference(type_name, record.get(*field)?),
            Self::From(field, read) => read(record.get(*field)?),
            Self::Never => Value::Null,
        })
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The section of a task's first project.
fn first_section(places: &Value) -> &Value {
    places.get(0).and_then(|place| place.get("section")).unwrap_or(&Value::Null)
}

fn section(places: &Value) -> Value {
    reference(SECTION, first_section(places))
}

fn section_name(places: &Value) -> Value {
    non_empty(first_section(places).get("name").unwrap_or(&Value::Null))
}

fn places_of(places: &Value, part: &str, type_name: &'static str) -> Value {
    let parts = items(places).iter().filter_map(|place| place.get(part));
    parts.map(|part| reference(type_name, part)).filter(|reference| !reference.is_null()).collect()
}

fn task(target: &Value) -> Value {
    let is_task = target.get("resource_type").is_none_or(|kind| kind == "task");
    if is_task { reference(TASK, target) } else { Value::Null }
}

fn photo(photo: &Value) -> Value {
    non_empty(photo.get("image_128x128").unwrap_or(&Value::Null))
}

fn status_text(status: &Value) -> Value {
    let text = non_empty(status.get("text").unwrap_or(&Value::Null));
    if text.is_null() { non_empty(status.get("title").unwrap_or(&Value::Null)) } else { text }
}

/// Status updates have a type where statuses once had a color.
fn status_color(status: &Value) -> Value {
    match status.get("status_type").and_then(Value::as_str) {
        Some("on_track") => "green".into(),
        Some("at_risk") => "yellow".into(),
        Some("off_track") => "red".into(),
        Some("on_hold") => "blue".into(),
        Some("complete") => "complete".into(),
        _ => Value::Null,
    }
}

/// The records inside a record that are nodes too: their types, and the record.
pub(super) fn embedded<'a>(type_name: &str, record: &'a Value) -> Vec<(&'static str, &'a Value)> {
    let part = |name: &str, type_name: &'static str| record.get(name).map(|part| (type_name, part));
    match type_name {
        TASK => {
            let projects =
                list(record, "memberships").iter().filter_map(|place| Some((PROJECT, place.get("project")?)));
            part("assignee", USER).into_iter().chain(projects).collect()
        }
        PROJECT => part("owner", USER).into_iter().chain(part("workspace", WORKSPACE)).collect(),
        SECTION => part("project", PROJECT).into_iter().collect(),
        COMMENT => part("created_by", USER).into_iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::kind;

    #[test]
    fn asked_keys_become_opt_fields_in_one_order() {
        let asks = |keys: &[&'static str]| {
            let keys: BTreeSet<&'static str> = keys.iter().copied().collect();
            kind("AsanaTask").expect("a type").fields(&keys).join(",")
        };
        let base = "completed,memberships.project.name,memberships.project.modified_at,memberships.section.name,\
                    created_at,modified_at";
        assert_eq!(asks(&[]), base);
        assert_eq!(asks(&["commentCount", "nonsense"]), base);
        assert_eq!(asks(&["url", "title"]), asks(&["title", "url"]));
        assert!(asks(&["assignee"]).contains("assignee.name"));
        assert!(!asks(&["title"]).contains("assignee"));
    }

    #[test]
    fn records_are_read_key_by_key_and_what_is_missing_stays_unknown() {
        let task = json!({"gid": "1", "name": "", "notes": "", "custom_fields": null, "completed_at": "2026-01-01T00:00:00.000Z",
            "tags": [{"gid": "2", "name": "z", "color": null}, {"gid": "3", "name": "a", "color": "red"}],
            "memberships": [{"project": {"gid": "5"}, "section": {"gid": "6", "name": "Doing"}}, {"project": {"gid": "7"}, "section": null}]});
        let body = kind("AsanaTask").expect("a type").body(&task);
        assert_eq!(
            serde_json::Value::Object(body),
            json!({
                "title": "", "bodyText": null, "customFields": [], "closedAt": "2026-01-01T00:00:00Z", "commentCount": null,
                "labels": [{"name": "a", "color": "red"}, {"name": "z", "color": null}], "section": "AsanaSection:6",
                "sectionName": "Doing", "sections": ["AsanaSection:6"], "projects": ["AsanaProject:5", "AsanaProject:7"],
            })
        );
        assert!(kind("AsanaUser").expect("a type").body(&json!({"gid": "1", "resource_type": "user"})).is_empty());
        let odd = json!({"name": 1, "photo": [], "email": {}});
        assert_eq!(kind("AsanaUser").expect("a type").body(&odd).len(), 5, "a name that is no text is unknown");
    }
}
