//! Reads of issues, pull requests, their comments and reviews.

use std::cmp::Reverse;

use serde_json::Value;

use super::{Call, reply::Reply};
use crate::providers::github::sandbox::{
    shapes::{self, builds, issues as shape, pulls, shape},
    world::{
        World,
        model::{Item, Pull, Repo},
    },
};

pub(super) fn read(world: &World, call: &Call, repo: &Repo, rest: &[&str]) -> Reply {
    match rest {
        ["issues"] => list(world, call, repo),
        ["pulls"] => pull_list(world, call, repo),
        ["issues", "comments"] => {
            let mut found = Vec::new();
            for item in repo.items.values() {
                found.extend(item.comments.iter().map(|comment| (item, comment)));
            }
            found.sort_by_key(|(_, comment)| comment.created);
            Reply::list(world, call, found, |(item, comment)| shape::comment(world, repo, item, comment))
        }
        ["issues", "comments", id] => {
            let find = |item: &Item| {
                let comment = item.comments.iter().find(|comment| comment.id.to_string() == *id)?;
                Some(shape::comment(world, repo, item, comment))
            };
            Reply::maybe(repo.items.values().find_map(find))
        }
        [kind, number, rest @ ..] => {
            let Some(item) = number.parse::<u64>().ok().and_then(|number| repo.items.get(&number)) else {
                return Reply::not_found();
            };
            match (&item.pull, *kind) {
                (_, "issues") => one_issue(world, call, (repo, item), rest),
                (Some(pull), "pulls") => one_pull(world, call, (repo, item, pull), rest),
                _ => Reply::not_found(),
            }
        }
        _ => Reply::not_found(),
    }
}

fn has_state(call: &Call, item: &Item) -> bool {
    match call.param("state").unwrap_or("open") {
        "all" => true,
        "closed" => !item.is_open(),
        _ => item.is_open(),
    }
}

fn sorted<'a>(call: &Call, mut found: Vec<&'a Item>) -> Vec<&'a Item> {
    match call.param("sort").unwrap_or("created") {
        "updated" => found.sort_by_key(|item| (Reverse(item.updated), Reverse(item.number))),
        "comments" | "popularity" => found.sort_by_key(|item| (Reverse(item.comments.len()), Reverse(item.number))),
        _ => found.sort_by_key(|item| (Reverse(item.created), Reverse(item.number))),
    }
    if call.param("direction") == Some("asc") {
        found.reverse();
    }
    found
}

fn list(world: &World, call: &Call, repo: &Repo) -> Reply {
    let since = call.param("since").and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok());
    let wanted: Vec<&str> =
        call.param("labels").map(|names| names.split(',').map(str::trim).collect()).unwrap_or_default();
    let has = |item: &Item, name: &str| {
        item.labels.iter().filter_map(|id| repo.label(*id)).any(|label| label.name.eq_ignore_ascii_case(name))
    };
    let assignee = |item: &Item| match call.param("assignee") {
        None => true,
        Some("*") => !item.assignees.is_empty(),
        Some("none") => item.assignees.is_empty(),
        Some(login) => world.actor_named(login).is_some_and(|who| item.assignees.contains(&who)),
    };
    let milestone = |item: &Item| match call.param("milestone") {
        None => true,
        Some("*") => item.milestone.is_some(),
        Some("none") => item.milestone.is_none(),
        Some(number) => item.milestone.map(|own| own.to_string()).as_deref() == Some(number),
    };
    let creator = |item: &Item| call.param("creator").is_none_or(|who| world.actor_named(who) == Some(item.author));
    let found = repo.items.values().filter(|item| {
        has_state(call, item)
            && wanted.iter().all(|name| has(item, name))
            && since.is_none_or(|at| item.updated >= at)
            && assignee(item)
            && milestone(item)
            && creator(item)
    });
    Reply::list(world, call, sorted(call, found.collect()), |item| shape::whole(world, repo, item))
}

fn pull_list(world: &World, call: &Call, repo: &Repo) -> Reply {
    let head = call.param("head").map(|head| head.split_once(':').map_or(head, |(_, name)| name));
    let base = call.param("base");
    let found = repo.items.values().filter(|item| {
        let Some(pull) = &item.pull else { return false };
        has_state(call, item)
            && head.is_none_or(|name| pull.head_ref == name)
            && base.is_none_or(|name| pull.base_ref == name)
    });
    Reply::list(world, call, sorted(call, found.collect()), |item| pulls::listed(world, repo, item))
}

fn one_issue(world: &World, call: &Call, (repo, item): (&Repo, &Item), rest: &[&str]) -> Reply {
    match rest {
        [] => Reply::ok(shape::whole(world, repo, item)),
        ["comments"] => {
            let found = item.comments.iter().collect();
            Reply::list(world, call, found, |comment| shape::comment(world, repo, item, comment))
        }
        ["labels"] => Reply::list(world, call, shape::labels(world, repo, item), |label| label),
        ["events" | "timeline" | "reactions" | "sub_issues"] => Reply::ok(Value::Array(Vec::new())),
        _ => Reply::not_found(),
    }
}

fn one_pull(world: &World, call: &Call, (repo, item, pull): (&Repo, &Item, &Pull), rest: &[&str]) -> Reply {
    match rest {
        [] => Reply::ok(pulls::whole(world, repo, item)),
        ["reviews"] => {
            let found = pull.reviews.iter().collect();
            Reply::list(world, call, found, |review| pulls::review(world, repo, item, review))
        }
        ["requested_reviewers"] => {
            let teams = pull.team_reviewers.iter().filter_map(|index| world.teams.get(*index));
            let teams: Vec<Value> = teams.map(|team| shapes::team(world, team)).collect();
            Reply::ok(shape! { "users": shape::people(world, &pull.reviewers), "teams": teams })
        }
        ["commits"] => {
            let found = pull.commits.iter().collect();
            Reply::list(world, call, found, |oid: &String| builds::commit(world, repo, oid))
        }
        ["files" | "comments"] => Reply::ok(Value::Array(Vec::new())),
        ["merge"] if pull.merged.is_some() => Reply::nothing(),
        _ => Reply::not_found(),
    }
}
