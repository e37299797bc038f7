//! What the fields of GitHub's types hold, one file for each family of types. A field that no file knows gets the emptiest
//! value of its type (see `Execution::default`): the world has no reactions, and yet they can be asked for.

mod builds;
mod issues;
mod people;
mod pulls;
mod repository;
mod root;

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{connection::Page, errors::FieldError, execute::Execution, values::Arguments};
use crate::providers::github::sandbox::{
    shapes::WEB,
    world::{Key, World, model::ActorKind},
};

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

/// What a field holds.
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

    fn key(key: Key) -> Self {
        Self::Object(Object::Key(key))
    }

    /// Null when there is none.
    fn maybe(key: Option<Key>) -> Self {
        key.map_or(Self::Leaf(Value::Null), Self::key)
    }

    fn keys(keys: impl IntoIterator<Item = Key>) -> Self {
        Self::Connection(keys.into_iter().map(Object::Key).collect())
    }

    fn html(text: &str) -> Self {
        Self::leaf(format!("<p dir=\"auto\">{text}</p>"))
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

/// The value of a field of an object.
pub(crate) fn field(
    execution: &Execution<'_>,
    type_name: &str,
    object: &Object,
    (name, arguments): (&str, &Arguments),
) -> Out {
    let world = execution.world;
    match object {
        Object::Query => root::query(execution, name, arguments),
        Object::Key(key) if name == "id" => world.node_id(key).map_or(Out::Default, Out::leaf),
        Object::Key(key) => {
            let out = key_field(world, key, (name, arguments));
            if matches!(out, Out::Default) { path_of(world, key, name, arguments) } else { out }
        }
        Object::Page(page) => page_field(page, name),
        Object::Edge(page, at) => match name {
            "node" => page.nodes.get(*at).map_or(Out::Default, |node| Out::Object(node.clone())),
            "cursor" => Out::leaf(page.cursors.get(*at)),
            _ => Out::Default,
        },
        Object::PageInfo(page) => Out::leaf(match name {
            "hasNextPage" => Value::Bool(page.has_next),
            "hasPreviousPage" => Value::Bool(page.has_previous),
            "startCursor" => serde_json::json!(page.cursors.first()),
            "endCursor" => serde_json::json!(page.cursors.last()),
            _ => Value::Null,
        }),
        Object::Plain(_, fields) => plain_field(world, fields, name),
        Object::Unknown(_) if name == "id" => Out::leaf(format!("X_{type_name}")),
        Object::Unknown(_) => Out::Default,
    }
}

fn key_field(world: &World, key: &Key, of: (&str, &Arguments)) -> Out {
    match key {
        Key::Actor(at) => people::actor(world, *at, of),
        Key::Team(at) => people::team(world, *at, of),
        Key::Repo(at) => repository::repository(world, *at, of),
        Key::Item(repo, number) => issues::item(world, (*repo, *number), of),
        Key::Comment(repo, number, at) => issues::comment(world, (*repo, *number, *at), of.0),
        Key::Review(repo, number, at) => pulls::review(world, (*repo, *number, *at), of.0),
        Key::ReviewRequest(repo, number, who) => pulls::request(*repo, *number, *who, of.0),
        Key::PullCommit(repo, number, oid) => pulls::commit(*repo, *number, oid, of.0),
        Key::Label(repo, at) => repository::label(world, *repo, *at, of),
        Key::Milestone(repo, at) => repository::milestone(world, *repo, *at, of),
        Key::Release(repo, at) => repository::release(world, *repo, *at, of.0),
        Key::Ref(repo, branch) => repository::branch(world, *repo, branch, of),
        Key::Language(repo) => repository::language(world, *repo, of.0),
        Key::Workflow(repo, at) => builds::workflow(world, *repo, *at, of.0),
        Key::Run(repo, at) => builds::run(world, *repo, *at, of.0),
        Key::Commit(repo, oid) => builds::commit(world, *repo, oid, of.0),
        Key::Rollup(repo, oid) => builds::rollup(world, *repo, oid, of.0),
        Key::Check(repo, oid, at) => builds::check(world, (*repo, oid, *at), of.0),
        Key::Suite(repo, oid, suite) => builds::suite(world, (*repo, oid, *suite), of.0),
        Key::Status(repo, oid, at) => builds::status(world, (*repo, oid, *at), of.0),
    }
}

/// Addresses and their paths, alike for all types: `resourcePath` is `url` without its host.
fn path_of(world: &World, key: &Key, name: &str, arguments: &Arguments) -> Out {
    if !(name == "permalink" || name.ends_with("Path")) {
        return Out::Default;
    }
    let Out::Leaf(Value::String(url)) = key_field(world, key, ("url", arguments)) else { return Out::Default };
    if name.ends_with("Path") { Out::leaf(url.strip_prefix(WEB).unwrap_or(&url)) } else { Out::leaf(url) }
}

fn page_field(page: &Rc<Page>, name: &str) -> Out {
    match name {
        "nodes" => Out::List(page.nodes.iter().map(|node| Out::Object(node.clone())).collect()),
        "edges" => Out::List((0..page.nodes.len()).map(|at| Out::Object(Object::Edge(Rc::clone(page), at))).collect()),
        "pageInfo" => Out::Object(Object::PageInfo(Rc::clone(page))),
        "totalCount" | "issueCount" | "repositoryCount" => Out::leaf(page.total),
        _ => Out::Default,
    }
}

fn plain_field(world: &World, fields: &Map<String, Value>, name: &str) -> Out {
    match fields.get(name) {
        // A field whose value is a node is kept as the node's id.
        Some(Value::Object(reference)) => {
            let id = reference.get("node").and_then(Value::as_str).unwrap_or_default();
            Out::maybe(world.node(id))
        }
        Some(value) => Out::Leaf(value.clone()),
        None => Out::Default,
    }
}
