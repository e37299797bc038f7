//! The fields of `Query`.

use serde_json::Value;

use crate::providers::github::sandbox::{
    graphql::{
        errors::FieldError,
        object::{Object, Out},
        values::Arguments,
    },
    limits::Quota,
    search::{self, Kind},
    shapes::{WEB, shape},
    world::{Key, World, model::ActorKind},
};

pub(super) fn query(world: &World, quota: &Quota, (name, arguments): (&str, &Arguments)) -> Out {
    match name {
        "id" => Out::leaf("Q_root"),
        "relay" => Out::Object(Object::Query),
        "viewer" => Out::key(Key::Actor(world.viewer)),
        "user" => login(world, arguments, ("User", &[ActorKind::User])),
        "organization" => login(world, arguments, ("Organization", &[ActorKind::Organization])),
        "repositoryOwner" => {
            let found = arguments.text("login").and_then(|login| world.actor_named(login));
            Out::maybe(
                found
                    .filter(|at| matches!(world.actor(*at).kind, ActorKind::User | ActorKind::Organization))
                    .map(Key::Actor),
            )
        }
        "repository" => {
            let (owner, name) = (arguments.text("owner").unwrap_or(""), arguments.text("name").unwrap_or(""));
            // `followRenames` is on unless a query says otherwise.
            match world.repo_named(owner, name).or_else(|| world.repo_formerly_named(owner, name)) {
                Some(at) => Out::key(Key::Repo(at)),
                None => Out::Error(FieldError::not_found(format!(
                    "Could not resolve to a Repository with the name '{owner}/{name}'."
                ))),
            }
        }
        "node" => node(world, arguments.text("id").unwrap_or("")),
        "nodes" => nodes(world, arguments),
        "resource" => resource(world, arguments.text("url").unwrap_or("")),
        "search" => search(world, arguments),
        "rateLimit" => rate_limit(quota),
        _ => Out::Default,
    }
}

fn login(world: &World, arguments: &Arguments, (name, kinds): (&str, &[ActorKind])) -> Out {
    let login = arguments.text("login").unwrap_or("");
    if let Some(at) = world.actor_named(login).filter(|at| kinds.contains(&world.actor(*at).kind)) {
        return Out::key(Key::Actor(at));
    }
    let kind = if name == "User" { "a User" } else { "an Organization" };
    Out::Error(FieldError::not_found(format!("Could not resolve to {kind} with the login of '{login}'.")))
}

fn node(world: &World, id: &str) -> Out {
    match world.node(id) {
        Some(key) => Out::key(key),
        None => Out::Error(FieldError::not_found(format!("Could not resolve to a node with the global id of '{id}'"))),
    }
}

fn nodes(world: &World, arguments: &Arguments) -> Out {
    let ids = arguments.texts("ids").unwrap_or_default();
    if ids.len() > 100 {
        return Out::Error(FieldError {
            kind: "ARGUMENT_LIMIT",
            message: format!("You may not provide more than 100 node ids; you provided {}.", ids.len()),
        });
    }
    Out::List(ids.into_iter().map(|id| node(world, id)).collect())
}

fn resource(world: &World, url: &str) -> Out {
    let path = url.strip_prefix(WEB).unwrap_or(url);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    Out::maybe(match parts.as_slice() {
        [login] => world.actor_named(login).map(Key::Actor),
        [owner, name] => world.repo_named(owner, name).map(Key::Repo),
        [owner, name, "issues" | "pull", number] => world.repo_named(owner, name).and_then(|at| {
            let number = number.parse().ok()?;
            world.item(at, number).map(|_| Key::Item(at, number))
        }),
        _ => None,
    })
}

fn search(world: &World, arguments: &Arguments) -> Out {
    let kind = match arguments.text("type") {
        Some("ISSUE" | "ISSUE_ADVANCED") => Kind::Issues,
        Some("REPOSITORY") => Kind::Repositories,
        Some("USER") => Kind::Users,
        _ => return Out::Connection(Vec::new()),
    };
    Out::keys(search::find(world, kind, arguments.text("query").unwrap_or("")))
}

fn rate_limit(quota: &Quota) -> Out {
    let fields = shape! {
        "limit": quota.limit,
        "cost": quota.cost,
        "remaining": quota.remaining,
        "used": quota.used,
        "resetAt": quota.reset,
        "nodeCount": quota.nodes,
    };
    match fields {
        Value::Object(fields) => Out::Object(Object::Plain("RateLimit", fields.into())),
        _ => Out::Default,
    }
}
