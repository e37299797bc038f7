//! Reads of users, organisations and teams, and the searches.

use super::{Call, reply::Reply};
use crate::providers::github::sandbox::{
    search::{self, Kind},
    shapes::{self, issues, repository},
    world::{
        Key, World,
        model::{ActorKind, Repo},
    },
};

pub(super) fn read(world: &World, call: &Call, segments: &[&str]) -> Reply {
    let is_org = |login: &str| world.actor_named(login) == Some(world.org);
    match segments {
        ["user"] => Reply::ok(shapes::profile(world, world.viewer)),
        ["user", "repos"] => repositories(world, call, |_| true),
        ["user", "orgs"] => Reply::list(world, call, vec![()], |()| shapes::organization(world, false)),
        ["users", login] => Reply::maybe(world.actor_named(login).map(|at| shapes::profile(world, at))),
        ["users", login, "repos"] => match world.actor_named(login) {
            Some(at) => repositories(world, call, |repo| repo.owner == at && !repo.private),
            None => Reply::not_found(),
        },
        ["orgs", org, ..] if !is_org(org) => Reply::not_found(),
        ["orgs", _] => Reply::ok(shapes::organization(world, true)),
        ["orgs", _, "repos"] => {
            let kind = call.param("type").unwrap_or("all");
            repositories(world, call, |repo| match kind {
                "public" => !repo.private,
                "private" => repo.private,
                _ => true,
            })
        }
        ["orgs", _, "members"] => Reply::list(world, call, members(world), |at| shapes::actor(world, at)),
        ["orgs", _, "teams"] => {
            Reply::list(world, call, world.teams.iter().collect(), |team| shapes::team(world, team))
        }
        ["orgs", _, "teams", slug] => {
            Reply::maybe(world.teams.iter().find(|team| team.slug == *slug).map(|team| shapes::team(world, team)))
        }
        _ => Reply::not_found(),
    }
}

/// All people.
pub(super) fn members(world: &World) -> Vec<usize> {
    (0..world.actors.len()).filter(|at| world.actor(*at).kind == ActorKind::User).collect()
}

fn repositories(world: &World, call: &Call, keep: impl Fn(&Repo) -> bool) -> Reply {
    let mut found: Vec<&Repo> = world.repos.iter().filter(|repo| keep(repo)).collect();
    let sort = call.param("sort").unwrap_or("full_name");
    match sort {
        "created" => found.sort_by_key(|repo| repo.created),
        "updated" => found.sort_by_key(|repo| repo.updated),
        "pushed" => found.sort_by_key(|repo| repo.pushed),
        _ => found.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    // Names ascend by themselves, times descend.
    if call.param("direction").unwrap_or(if sort == "full_name" { "asc" } else { "desc" }) == "desc" {
        found.reverse();
    }
    Reply::list(world, call, found, |repo| repository::repository(world, repo))
}

pub(super) fn search(world: &World, call: &Call, what: &str) -> Reply {
    let kind = match what {
        "issues" => Kind::Issues,
        "repositories" => Kind::Repositories,
        "users" => Kind::Users,
        _ => return Reply::not_found(),
    };
    let Some(query) = call.param("q") else { return Reply::invalid("Search", "q", "missing") };
    let mut query = query.to_owned();
    if let Some(sort) = call.param("sort") {
        query = format!("{query} sort:{sort}-{}", call.param("order").unwrap_or("desc"));
    }
    Reply::counted(world, call, "items", search::find(world, kind, &query), |key| {
        let mut item = match key {
            Key::Item(at, number) => {
                world.item(at, number).map(|(repo, item)| issues::whole(world, repo, item)).unwrap_or_default()
            }
            Key::Repo(at) => world.repos.get(at).map(|repo| repository::repository(world, repo)).unwrap_or_default(),
            Key::Actor(at) => shapes::actor(world, at),
            _ => serde_json::Value::Null,
        };
        shapes::extend(&mut item, shapes::shape! { "score": 1.0 });
        item
    })
}
