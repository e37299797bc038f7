//! The values of the fields of GitHub's types, one file for each family of types. A field that no file knows gets the emptiest
//! value of its type (see `Execution::default`): the world has no reactions, and yet they can be asked for.

mod accounts;
mod builds;
mod issues;
mod people;
mod pulls;
mod repository;
mod root;

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{
    object::{Object, Out, Page},
    values::Arguments,
};
use crate::providers::github::sandbox::{
    limits::Quota,
    shapes::WEB,
    world::{Key, World},
};

/// The value of a field of an object.
pub(crate) fn field(
    (world, quota): (&World, &Quota),
    type_name: &str,
    object: &Object,
    (name, arguments): (&str, &Arguments),
) -> Out {
    match object {
        Object::Query => root::query(world, quota, (name, arguments)),
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
