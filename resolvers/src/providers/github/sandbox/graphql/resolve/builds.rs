//! Commits, checks, statuses, and workflow runs.

use serde_json::Value;

use super::pulls;
use crate::providers::github::sandbox::{
    graphql::object::{Object, Out},
    shapes::{
        self,
        builds::{noreply, suite_state},
        repository as shape,
    },
    world::{
        Key, World,
        model::{Commit, Repo},
    },
};

fn found<'a>(world: &'a World, at: usize, oid: &str) -> Option<(&'a Repo, &'a Commit)> {
    let repo = world.repos.get(at)?;
    Some((repo, repo.commits.get(oid)?))
}

fn upper(text: Option<&str>) -> Out {
    Out::leaf(text.map(str::to_uppercase))
}

pub(super) fn commit(world: &World, at: usize, oid: &str, name: &str) -> Out {
    let Some((repo, commit)) = found(world, at, oid) else { return Out::Default };
    match name {
        "oid" => Out::leaf(oid),
        "abbreviatedOid" => Out::leaf(oid.chars().take(7).collect::<String>()),
        "message" | "messageHeadline" | "messageHeadlineHTML" => Out::leaf(&commit.message),
        "authoredDate" | "committedDate" | "pushedDate" => Out::leaf(commit.at),
        "author" | "committer" => Out::Object(git_actor(world, commit)),
        "authors" => Out::Connection(vec![git_actor(world, commit)]),
        "repository" => Out::key(Key::Repo(at)),
        "statusCheckRollup" => pulls::rollup(world, at, oid),
        "url" | "commitUrl" => Out::leaf(format!("{}/commit/{oid}", shape::page(world, repo))),
        "treeUrl" => Out::leaf(format!("{}/tree/{oid}", shape::page(world, repo))),
        "checkSuites" => {
            let mut suites: Vec<u64> = commit.checks.iter().map(|check| check.suite).collect();
            suites.dedup();
            Out::keys(suites.into_iter().map(|suite| Key::Suite(at, oid.to_owned(), suite)))
        }
        "associatedPullRequests" => {
            let has = |commits: &[String]| commits.iter().any(|own| own == oid);
            let of = repo.items.values().filter(|item| item.pull.as_ref().is_some_and(|pull| has(&pull.commits)));
            Out::keys(of.map(|item| Key::Item(at, item.number)))
        }
        "history" => {
            let mut all: Vec<(&String, &Commit)> = repo.commits.iter().filter(|(_, one)| one.at <= commit.at).collect();
            all.sort_by_key(|(_, one)| std::cmp::Reverse(one.at));
            Out::keys(all.into_iter().map(|(oid, _)| Key::Commit(at, oid.clone())))
        }
        _ => Out::Default,
    }
}

fn git_actor(world: &World, commit: &Commit) -> Object {
    let actor = world.actor(commit.author);
    let fields = shapes::shape! {
        "name": actor.name,
        "email": noreply(world, commit.author),
        "avatarUrl": shapes::avatar(actor),
        "date": commit.at,
        "user": shapes::shape! { "node": actor.node_id() },
    };
    match fields {
        Value::Object(fields) => Object::Plain("GitActor", fields.into()),
        _ => Object::Unknown("GitActor".to_owned()),
    }
}

/// The result of all checks and statuses of a commit.
pub(crate) fn rollup_state(commit: &Commit) -> &'static str {
    let failed = |conclusion: Option<&str>| {
        matches!(conclusion, Some("failure" | "timed_out" | "cancelled" | "action_required" | "startup_failure"))
    };
    if commit.statuses.iter().any(|status| status.state == "error") {
        return "ERROR";
    }
    if commit.checks.iter().any(|check| failed(check.conclusion))
        || commit.statuses.iter().any(|status| status.state == "failure")
    {
        return "FAILURE";
    }
    let waits = commit.checks.iter().any(|check| check.status != "completed");
    if waits || commit.statuses.iter().any(|status| status.state == "pending") { "PENDING" } else { "SUCCESS" }
}

pub(super) fn rollup(world: &World, at: usize, oid: &str, name: &str) -> Out {
    let Some((_, commit)) = found(world, at, oid) else { return Out::Default };
    match name {
        "state" => Out::leaf(rollup_state(commit)),
        "commit" => Out::key(Key::Commit(at, oid.to_owned())),
        "contexts" => {
            let checks = (0..commit.checks.len()).map(|index| Key::Check(at, oid.to_owned(), index));
            let statuses = (0..commit.statuses.len()).map(|index| Key::Status(at, oid.to_owned(), index));
            Out::keys(checks.chain(statuses))
        }
        _ => Out::Default,
    }
}

pub(super) fn check(world: &World, (at, oid, index): (usize, &str, usize), name: &str) -> Out {
    let found = found(world, at, oid).and_then(|(repo, commit)| Some((repo, commit.checks.get(index)?)));
    let Some((repo, check)) = found else { return Out::Default };
    match name {
        "databaseId" => Out::leaf(check.id),
        "name" => Out::leaf(&check.name),
        "status" => upper(Some(check.status)),
        "conclusion" => upper(check.conclusion),
        "startedAt" => Out::leaf(check.started),
        "completedAt" => Out::leaf(check.completed),
        "url" | "detailsUrl" => Out::leaf(format!("{}/runs/{}", shape::page(world, repo), check.id)),
        "repository" => Out::key(Key::Repo(at)),
        "checkSuite" => Out::key(Key::Suite(at, oid.to_owned(), check.suite)),
        _ => Out::Default,
    }
}

pub(super) fn suite(world: &World, (at, oid, suite): (usize, &str, u64), name: &str) -> Out {
    let Some((repo, commit)) = found(world, at, oid) else { return Out::Default };
    let (status, conclusion) = suite_state(commit, suite);
    match name {
        "databaseId" => Out::leaf(suite),
        "status" => upper(Some(status)),
        "conclusion" => upper(conclusion),
        "createdAt" | "updatedAt" => Out::leaf(commit.at),
        "commit" => Out::key(Key::Commit(at, oid.to_owned())),
        "repository" => Out::key(Key::Repo(at)),
        "url" => Out::leaf(format!("{}/commit/{oid}/checks?check_suite_id={suite}", shape::page(world, repo))),
        "checkRuns" => {
            let own = commit.checks.iter().enumerate().filter(|(_, check)| check.suite == suite);
            Out::keys(own.map(|(index, _)| Key::Check(at, oid.to_owned(), index)))
        }
        "workflowRun" => Out::maybe(repo.runs.iter().position(|run| run.suite == suite).map(|run| Key::Run(at, run))),
        "branch" => {
            let head = repo.branches.iter().find(|(_, head)| head.as_str() == oid);
            Out::maybe(head.map(|(name, _)| Key::Ref(at, name.clone())))
        }
        _ => Out::Default,
    }
}

pub(super) fn status(world: &World, (at, oid, index): (usize, &str, usize), name: &str) -> Out {
    let found = found(world, at, oid).and_then(|(_, commit)| commit.statuses.get(index));
    let Some(status) = found else { return Out::Default };
    match name {
        "context" => Out::leaf(&status.context),
        "state" => upper(Some(status.state)),
        "description" => Out::leaf(&status.description),
        "targetUrl" => Out::leaf("https://preview.acme.example/"),
        "createdAt" => Out::leaf(status.at),
        "creator" => Out::key(Key::Actor(status.creator)),
        "commit" => Out::key(Key::Commit(at, oid.to_owned())),
        _ => Out::Default,
    }
}

pub(super) fn workflow(world: &World, at: usize, index: usize, name: &str) -> Out {
    let found = world.repos.get(at).and_then(|repo| Some((repo, repo.workflows.get(index)?)));
    let Some((repo, workflow)) = found else { return Out::Default };
    match name {
        "databaseId" => Out::leaf(workflow.id),
        "name" => Out::leaf(&workflow.name),
        "state" => Out::leaf("ACTIVE"),
        "createdAt" | "updatedAt" => Out::leaf(repo.created),
        "url" => Out::leaf(format!("{}/actions/workflows/{}", shape::page(world, repo), workflow.file)),
        "runs" => {
            let own = repo.runs.iter().enumerate().filter(|(_, run)| run.workflow == index);
            Out::keys(own.map(|(run, _)| Key::Run(at, run)))
        }
        _ => Out::Default,
    }
}

pub(super) fn run(world: &World, at: usize, index: usize, name: &str) -> Out {
    let found = world.repos.get(at).and_then(|repo| Some((repo, repo.runs.get(index)?)));
    let Some((repo, run)) = found else { return Out::Default };
    match name {
        "databaseId" => Out::leaf(run.id),
        "runNumber" => Out::leaf(run.number),
        "event" => Out::leaf(run.event),
        "createdAt" => Out::leaf(run.created),
        "updatedAt" => Out::leaf(run.updated),
        "url" => Out::leaf(format!("{}/actions/runs/{}", shape::page(world, repo), run.id)),
        "workflow" => Out::key(Key::Workflow(at, run.workflow)),
        "checkSuite" => Out::key(Key::Suite(at, run.sha.clone(), run.suite)),
        _ => Out::Default,
    }
}
