//! Reads below `/repos/{owner}/{repo}`.

use serde_json::Value;

use super::{Call, actions, hooks, issues, people, reply::Reply};
use crate::providers::github::sandbox::{
    shapes::{self, builds, repository as shape, shape},
    world::{World, model::Repo},
};

pub(super) fn read(world: &World, call: &Call, at: usize, rest: &[&str]) -> Reply {
    let Some(repo) = world.repos.get(at) else { return Reply::not_found() };
    match rest {
        [] => Reply::ok(shape::whole(world, repo)),
        ["issues" | "pulls", ..] => issues::read(world, call, repo, rest),
        ["actions" | "check-runs" | "check-suites", ..] => actions::read(world, call, repo, rest),
        ["commits", ..] => commits(world, call, repo, rest),
        ["releases", rest @ ..] => releases(world, call, repo, rest),
        ["hooks", rest @ ..] => hooks::read(world, call, at, rest),
        ["labels"] => Reply::list(world, call, repo.labels.iter().collect(), |label| shapes::label(world, repo, label)),
        ["labels", name] => {
            let found = repo.labels.iter().find(|label| label.name.eq_ignore_ascii_case(name));
            Reply::maybe(found.map(|label| shapes::label(world, repo, label)))
        }
        ["milestones"] => {
            let state = call.param("state").unwrap_or("open");
            let passes = |open: bool| state == "all" || open == (state == "open");
            let found = repo.milestones.iter().filter(|one| passes(one.open)).collect();
            Reply::list(world, call, found, |one| shapes::milestone(world, repo, one))
        }
        ["milestones", number] => {
            let found = number.parse().ok().and_then(|number| repo.milestone(number));
            Reply::maybe(found.map(|one| shapes::milestone(world, repo, one)))
        }
        ["branches"] => {
            let found = repo.branches.iter().collect();
            Reply::list(world, call, found, |(name, oid)| shape::branch(world, repo, name, oid))
        }
        ["branches", name] => Reply::maybe(repo.branches.get(*name).map(|oid| {
            let mut branch = shape::branch(world, repo, name, oid);
            shapes::extend(&mut branch, shape! { "commit": builds::commit(world, repo, oid) });
            branch
        })),
        ["collaborators" | "assignees" | "stargazers" | "subscribers"] => {
            Reply::list(world, call, people::members(world), |who| {
                let mut person = shapes::actor(world, who);
                if rest == ["collaborators"] {
                    shapes::extend(&mut person, shape! { "role_name": "write" });
                }
                person
            })
        }
        ["contributors"] => contributors(world, call, repo),
        ["teams"] => Reply::list(world, call, world.teams.iter().collect(), |team| shapes::team(world, team)),
        ["languages"] => Reply::ok(Value::Object([(repo.language.to_owned(), 123_456.into())].into_iter().collect())),
        ["topics"] => Reply::ok(shape! { "names": repo.topics }),
        _ => Reply::not_found(),
    }
}

fn contributors(world: &World, call: &Call, repo: &Repo) -> Reply {
    let mut counts = std::collections::BTreeMap::new();
    for commit in repo.commits.values() {
        *counts.entry(commit.author).or_insert(0_u64) += 1;
    }
    let mut found: Vec<(usize, u64)> = counts.into_iter().collect();
    found.sort_by_key(|(who, count)| (std::cmp::Reverse(*count), *who));
    Reply::list(world, call, found, |(who, count)| {
        let mut person = shapes::actor(world, who);
        shapes::extend(&mut person, shape! { "contributions": count });
        person
    })
}

fn commits(world: &World, call: &Call, repo: &Repo, rest: &[&str]) -> Reply {
    let [_, reference, rest @ ..] = rest else {
        let mut found: Vec<_> = repo.commits.iter().collect();
        found.sort_by_key(|(_, commit)| std::cmp::Reverse(commit.at));
        return Reply::list(world, call, found, |(oid, _)| builds::commit(world, repo, oid));
    };
    // A branch may stand for its last commit.
    let oid = repo.branches.get(*reference).map_or(*reference, String::as_str);
    let Some(commit) = repo.commits.get(oid) else {
        return Reply::problem(
            http::StatusCode::UNPROCESSABLE_ENTITY,
            &format!("No commit found for SHA: {reference}"),
        );
    };
    match rest {
        [] => Reply::ok(builds::commit(world, repo, oid)),
        ["check-runs"] => {
            let wanted = call.param("check_name");
            let found = commit.checks.iter().filter(|check| wanted.is_none_or(|name| check.name == name)).collect();
            Reply::counted(world, call, "check_runs", found, |check| builds::check_run(world, repo, (oid, check)))
        }
        ["check-suites"] => {
            let mut suites: Vec<u64> = commit.checks.iter().map(|check| check.suite).collect();
            suites.dedup();
            Reply::counted(world, call, "check_suites", suites, |suite| builds::check_suite(world, repo, (oid, suite)))
        }
        ["statuses"] => {
            let found = commit.statuses.iter().collect();
            Reply::list(world, call, found, |status| builds::status(world, repo, (oid, status)))
        }
        ["status"] => {
            let has = |state: &str| commit.statuses.iter().any(|status| status.state == state);
            let state = if has("failure") || has("error") {
                "failure"
            } else if has("pending") || commit.statuses.is_empty() {
                "pending"
            } else {
                "success"
            };
            let statuses: Vec<Value> =
                commit.statuses.iter().map(|status| builds::status(world, repo, (oid, status))).collect();
            Reply::ok(shape! {
                "state": state,
                "statuses": statuses,
                "sha": oid,
                "total_count": commit.statuses.len(),
                "repository": shape::minimal(world, repo),
                "commit_url": format!("{}/commits/{oid}", shape::url(world, repo)),
                "url": format!("{}/commits/{oid}/status", shape::url(world, repo)),
            })
        }
        ["pulls"] => {
            let has = |item: &&crate::providers::github::sandbox::world::model::Item| {
                item.pull.as_ref().is_some_and(|pull| pull.commits.iter().any(|own| own == oid))
            };
            let found = repo.items.values().filter(has).collect();
            Reply::list(world, call, found, |item| shapes::pulls::listed(world, repo, item))
        }
        _ => Reply::not_found(),
    }
}

fn releases(world: &World, call: &Call, repo: &Repo, rest: &[&str]) -> Reply {
    let form = |release| builds::release(world, repo, release);
    let mut all = repo.releases.iter();
    match rest {
        [] => Reply::list(world, call, all.collect(), form),
        ["latest"] => Reply::maybe(all.find(|release| !release.draft && !release.prerelease).map(form)),
        ["tags", tag] => Reply::maybe(all.find(|release| release.tag == *tag).map(form)),
        [id] => Reply::maybe(all.find(|release| release.id.to_string() == *id).map(form)),
        _ => Reply::not_found(),
    }
}
