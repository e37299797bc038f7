//! The records of the sandbox's world, as Asana keeps them. Plain data: `edit` changes them, `fields` shows
//! them.

use chrono::{DateTime, NaiveDate, Utc};

/// Asana's id of a thing; written as a string of 16 digits.
pub(super) type Gid = u64;

/// The kinds of things that have a gid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Kind {
    Workspace,
    User,
    Team,
    Tag,
    CustomField,
    Project,
    ProjectStatus,
    Section,
    Task,
    Story,
    Webhook,
}

impl Kind {
    /// Its `resource_type`.
    pub(super) fn name(self) -> &'static str {
        self.into()
    }
}

/// Points to a thing in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ref {
    pub(super) kind: Kind,
    pub(super) gid: Gid,
}

#[derive(Debug, Clone)]
pub(super) struct Workspace {
    pub(super) name: String,
    pub(super) is_organization: bool,
    pub(super) email_domains: Vec<String>,
    pub(super) members: Vec<Gid>,
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) email: String,
}

#[derive(Debug, Clone)]
pub(super) struct Team {
    pub(super) name: String,
    pub(super) workspace: Gid,
    pub(super) members: Vec<Gid>,
}

#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) color: &'static str,
    pub(super) workspace: Gid,
}

#[derive(Debug, Clone)]
pub(super) struct CustomField {
    pub(super) name: String,
    /// `enum`, `number` or `text`.
    pub(super) subtype: &'static str,
    pub(super) workspace: Gid,
    pub(super) options: Vec<EnumOption>,
}

#[derive(Debug, Clone)]
pub(super) struct EnumOption {
    pub(super) gid: Gid,
    pub(super) name: &'static str,
    pub(super) color: &'static str,
}

/// The value of a task's custom field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum CustomValue {
    Option(Gid),
    Number(f64),
    Text(String),
}

#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) notes: String,
    pub(super) color: &'static str,
    pub(super) archived: bool,
    pub(super) workspace: Gid,
    pub(super) team: Option<Gid>,
    pub(super) owner: Option<Gid>,
    pub(super) members: Vec<Gid>,
    pub(super) start_on: Option<NaiveDate>,
    pub(super) due_on: Option<NaiveDate>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) modified_at: DateTime<Utc>,
    pub(super) sections: Vec<Gid>,
    pub(super) custom_fields: Vec<Gid>,
    /// Newest first.
    pub(super) statuses: Vec<Gid>,
}

#[derive(Debug, Clone)]
pub(super) struct ProjectStatus {
    pub(super) title: String,
    pub(super) text: String,
    /// `green`, `yellow` or `red`.
    pub(super) color: &'static str,
    pub(super) author: Gid,
    pub(super) project: Gid,
    pub(super) created_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) project: Gid,
    pub(super) created_at: DateTime<Utc>,
    /// In the order of the board.
    pub(super) tasks: Vec<Gid>,
}

/// When a task is due: Asana knows a day or a moment, never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    On(NaiveDate),
    At(DateTime<Utc>),
}

#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) notes: String,
    pub(super) subtype: &'static str,
    pub(super) workspace: Gid,
    pub(super) assignee: Option<Gid>,
    pub(super) created_by: Gid,
    pub(super) created_at: DateTime<Utc>,
    pub(super) modified_at: DateTime<Utc>,
    pub(super) completed: Option<(DateTime<Utc>, Gid)>,
    pub(super) due: Option<Due>,
    pub(super) start_on: Option<NaiveDate>,
    pub(super) parent: Option<Gid>,
    pub(super) subtasks: Vec<Gid>,
    pub(super) memberships: Vec<Membership>,
    pub(super) tags: Vec<Gid>,
    pub(super) followers: Vec<Gid>,
    pub(super) custom: Vec<(Gid, CustomValue)>,
    pub(super) stories: Vec<Gid>,
    pub(super) likes: Vec<Gid>,
    /// Deleted tasks stay in the trash, from where they may come back.
    pub(super) deleted: bool,
}

/// A task's place in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) project: Gid,
    pub(super) section: Gid,
}

#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) task: Gid,
    pub(super) text: String,
    /// `comment_added`, `marked_complete`, `section_changed`…
    pub(super) subtype: &'static str,
    pub(super) author: Gid,
    pub(super) created_at: DateTime<Utc>,
}

impl Story {
    /// `comment` or `system`.
    pub(super) fn kind(&self) -> &'static str {
        if self.subtype == "comment_added" { "comment" } else { "system" }
    }
}

/// A webhook: a subscription.
#[derive(Debug, Clone)]
pub(super) struct Hook {
    /// `None`: everything in the world (set up for development; the API does not list it).
    pub(super) resource: Option<Ref>,
    pub(super) target: String,
    pub(super) secret: String,
    pub(super) filters: Vec<Filter>,
    /// Whether Asana sends to it.
    pub(super) active: bool,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) last_success_at: Option<DateTime<Utc>>,
}

/// A limit of a subscription. An event that passes one filter is sent.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(super) struct Filter {
    pub(super) resource_type: Option<String>,
    pub(super) resource_subtype: Option<String>,
    pub(super) action: Option<String>,
    #[serde(default)]
    pub(super) fields: Vec<String>,
}
