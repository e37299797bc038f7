//! Reads of workflows, workflow runs and single checks.

use serde_json::Value;

use super::{Call, reply::Reply};
use crate::providers::github::sandbox::{
    shapes::{builds, shape},
    world::{
        World,
        model::{Repo, Run},
    },
};

pub(super) fn read(world: &World, call: &Call, repo: &Repo, rest: &[&str]) -> Reply {
    match rest {
        ["actions", "runs"] => runs(world, call, repo, None),
        ["actions", "runs", id, rest @ ..] => {
            let Some(run) = repo.runs.iter().find(|run| run.id.to_string() == *id) else { return Reply::not_found() };
            match rest {
                [] => Reply::ok(builds::run(world, repo, run)),
                ["jobs"] => Reply::ok(shape! { "total_count": 0, "jobs": Value::Array(Vec::new()) }),
                _ => Reply::not_found(),
            }
        }
        ["actions", "workflows"] => {
            let found = repo.workflows.iter().collect();
            Reply::counted(world, call, "workflows", found, |one| builds::workflow(world, repo, one))
        }
        ["actions", "workflows", id, rest @ ..] => {
            let is_it = |index: &usize| {
                repo.workflows.get(*index).is_some_and(|one| one.id.to_string() == *id || one.file == *id)
            };
            let Some(index) = (0..repo.workflows.len()).find(is_it) else { return Reply::not_found() };
            match rest {
                [] => Reply::maybe(repo.workflows.get(index).map(|one| builds::workflow(world, repo, one))),
                ["runs"] => runs(world, call, repo, Some(index)),
                _ => Reply::not_found(),
            }
        }
        ["check-runs", id] => Reply::maybe(repo.commits.iter().find_map(|(oid, commit)| {
            let check = commit.checks.iter().find(|check| check.id.to_string() == *id)?;
            Some(builds::check_run(world, repo, (oid, check)))
        })),
        ["check-suites", id] => Reply::maybe(repo.commits.iter().find_map(|(oid, commit)| {
            let suite = commit.checks.iter().find(|check| check.suite.to_string() == *id)?.suite;
            Some(builds::check_suite(world, repo, (oid, suite)))
        })),
        _ => Reply::not_found(),
    }
}

fn runs(world: &World, call: &Call, repo: &Repo, workflow: Option<usize>) -> Reply {
    let keeps = |run: &&Run| {
        workflow.is_none_or(|workflow| run.workflow == workflow)
            && call.param("branch").is_none_or(|branch| run.branch == branch)
            && call.param("event").is_none_or(|event| run.event == event)
            && call.param("head_sha").is_none_or(|sha| run.sha == sha)
            && call.param("actor").is_none_or(|who| world.actor_named(who) == Some(run.actor))
            // `status` takes conclusions too.
            && call.param("status").is_none_or(|word| run.status == word || run.conclusion == Some(word))
    };
    let found = repo.runs.iter().filter(keeps).collect();
    Reply::counted(world, call, "workflow_runs", found, |run| builds::run(world, repo, run))
}
