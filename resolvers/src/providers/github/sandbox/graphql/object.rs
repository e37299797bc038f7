//! Objects and field values while a document is executed.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::errors::FieldError;
use crate::providers::github::sandbox::world::{Key, World, model::ActorKind};

/// A page of a connection.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) nodes: Vec<Object>,
    /// As many as nodes.
    pub(crate) cursors: Vec<String>,
    pub(crate) total: usize,
    pub(crate) has_next: bool,
    pub(crate) has_previous: bool,
}

/// An object whose fields can be asked for.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    Query,
    Key(Key),
    Page(Rc<Page>),
    /// The page and the position in it.
    Edge(Rc<Page>, usize),
    PageInfo(Rc<Page>),
    /// A small object without an id: its type and its fields.
    Plain(&'static str, Rc<Map<String, Value>>),
    /// An object of this type that the world does not have, all of whose fields are empty.
    Unknown(String),
}

/// The value of a field.
#[derive(Debug)]
pub(crate) enum Out {
    Leaf(Value),
    Object(Object),
    List(Vec<Out>),
    /// All nodes; the page is cut out of them.
    Connection(Vec<Object>),
    Error(FieldError),
    Default,
}

impl Out {
    pub(crate) fn leaf(value: impl serde::Serialize) -> Self {
        Self::Leaf(serde_json::to_value(value).unwrap_or_default())
    }

    pub(crate) fn key(key: Key) -> Self {
        Self::Object(Object::Key(key))
    }

    /// Null when there is none.
    pub(crate) fn maybe(key: Option<Key>) -> Self {
        key.map_or(Self::Leaf(Value::Null), Self::key)
    }

    pub(crate) fn keys(keys: impl IntoIterator<Item = Key>) -> Self {
        Self::Connection(keys.into_iter().map(Object::Key).collect())
    }

    pub(crate) fn html(text: &str) -> Self {
        Self::leaf(format!("<p dir=\"auto\">{text}</p>"))
    }

    /// A body in one of its three forms.
    pub(crate) fn text(name: &str, body: &str) -> Self {
        match name {
            "bodyText" => Self::leaf(body.replace("**", "").replace("## ", "").replace('`', "")),
            "bodyHTML" => Self::html(body),
            _ => Self::leaf(body),
        }
    }
}

impl Object {
    pub(crate) fn id(&self, world: &World) -> Option<String> {
        match self {
            Self::Key(key) => world.node_id(key),
            _ => None,
        }
    }

    /// The concrete type, for fields that are declared as an interface or a union.
    pub(crate) fn type_name(&self, world: &World) -> &str {
        match self {
            Self::Query => "Query",
            Self::Key(key) => key_type(world, key),
            Self::Plain(name, _) => name,
            Self::Unknown(name) => name,
            Self::Page(_) | Self::Edge(..) | Self::PageInfo(_) => "PageInfo",
        }
    }
}

fn key_type(world: &World, key: &Key) -> &'static str {
    match key {
        Key::Actor(at) => match world.actor(*at).kind {
            ActorKind::User => "User",
            ActorKind::Organization => "Organization",
            ActorKind::Bot => "Bot",
            ActorKind::Mannequin => "Mannequin",
        },
        Key::Team(_) => "Team",
        Key::Repo(_) => "Repository",
        Key::Item(repo, number) => {
            let is_pull = world.item(*repo, *number).is_some_and(|(_, item)| item.pull.is_some());
            if is_pull { "PullRequest" } else { "Issue" }
        }
        Key::Comment(..) => "IssueComment",
        Key::Review(..) => "PullRequestReview",
        Key::ReviewRequest(..) => "ReviewRequest",
        Key::PullCommit(..) => "PullRequestCommit",
        Key::Label(..) => "Label",
        Key::Milestone(..) => "Milestone",
        Key::Release(..) => "Release",
        Key::Workflow(..) => "Workflow",
        Key::Run(..) => "WorkflowRun",
        Key::Commit(..) => "Commit",
        Key::Rollup(..) => "StatusCheckRollup",
        Key::Check(..) => "CheckRun",
        Key::Suite(..) => "CheckSuite",
        Key::Status(..) => "StatusContext",
        Key::Ref(..) => "Ref",
        Key::Language(_) => "Language",
    }
}
