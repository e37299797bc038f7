//! Acts of builds: workflow runs, checks, statuses.

use serde_json::Value;

use super::{Act, Result, input::Wanted};
use crate::{
    providers::github::sandbox::{
        ids,
        shapes::{self, builds as form, repository, shape},
        world::model::{CheckRun, Commit, Run, Status},
    },
    sandbox::ActError,
};

const CONCLUSIONS: [&str; 9] = [
    "success",
    "failure",
    "cancelled",
    "skipped",
    "timed_out",
    "neutral",
    "action_required",
    "stale",
    "startup_failure",
];

impl Act<'_> {
    /// The commit that is meant: `sha`, the head of pull request `number`, or of `branch`, or of the default branch.
    fn subject(&self) -> Result<(String, String)> {
        let ask = self.ask();
        let repo = self.repo()?;
        if let Some(sha) = ask.text("sha")? {
            if !repo.commits.contains_key(sha) {
                return Err(ActError::NotFound(format!("sha: the commit {sha}")));
            }
            let branch = repo.branches.iter().find(|(_, head)| head.as_str() == sha).map(|(name, _)| name.clone());
            return Ok((branch.unwrap_or_else(|| "main".to_owned()), sha.to_owned()));
        }
        if ask.number("number")?.is_some() {
            let pull = ask.item(self.repo, Wanted::Pull)?.pull.as_ref();
            return Ok(pull.map(|pull| (pull.head_ref.clone(), pull.head_sha().to_owned())).unwrap_or_default());
        }
        let branch = ask.text("branch")?.unwrap_or("main");
        let head = repo.branches.get(branch).cloned();
        Ok((branch.to_owned(), head.ok_or_else(|| ActError::NotFound(format!("branch: the branch {branch}")))?))
    }

    fn commit_mut(&mut self, oid: &str) -> Result<&mut Commit> {
        self.repo_mut()?.commits.get_mut(oid).ok_or_else(|| ActError::NotFound(format!("the commit {oid}")))
    }

    fn run_mut(&mut self, id: u64) -> Result<&mut Run> {
        let found = self.repo_mut()?.runs.iter_mut().find(|run| run.id == id);
        found.ok_or_else(|| ActError::NotFound(format!("id: the workflow run {id}")))
    }
}

/// A run from its request to its end. `status` ends earlier ("requested", `in_progress`); `id` goes on with such a run.
pub(super) fn workflow_run(act: &mut Act<'_>) -> Result<Value> {
    let ask = act.ask();
    let until = ask.word("status", &["completed", "in_progress", "requested"])?;
    let conclusion = ask.word("conclusion", &CONCLUSIONS)?;
    let known = ask.number("id")?;
    let id = if let Some(id) = known {
        act.run_mut(id)?;
        id
    } else {
        let id = new_run(act)?;
        emit_run(act, id, "requested")?;
        id
    };
    let now = act.now;
    let run = act.run_mut(id)?;
    if until != "requested" && run.status == "queued" {
        (run.status, run.started, run.updated) = ("in_progress", now, now);
        emit_run(act, id, "in_progress")?;
    }
    if until == "completed" {
        let run = act.run_mut(id)?;
        (run.status, run.conclusion, run.updated) = ("completed", Some(conclusion), now);
        emit_run(act, id, "completed")?;
    }
    let repo = act.repo()?;
    let run = repo.runs.iter().find(|run| run.id == id);
    Ok(shape! {
        "id": id,
        "node_id": ids::owned("WFR", repo.id, id),
        "number": run.map(|run| run.number),
        "repository": repo.full_name(act.world),
        "repository_node_id": repo.node_id(),
        "status": run.map(|run| run.status),
        "conclusion": run.and_then(|run| run.conclusion),
        "sha": run.map(|run| run.sha.as_str()),
    })
}

fn new_run(act: &mut Act<'_>) -> Result<u64> {
    let (branch, sha) = act.subject()?;
    let ask = act.ask();
    let repo = act.repo()?;
    let workflow = match ask.text("workflow")? {
        None => 0,
        Some(name) => {
            let found = repo.workflows.iter().position(|one| one.name == name || one.file == name);
            found.ok_or_else(|| ActError::NotFound(format!("workflow: the workflow {name}")))?
        }
    };
    let event = if branch == "main" { "push" } else { "pull_request" };
    let number = repo.runs.iter().map(|run| run.number).max().unwrap_or(0) + 1;
    let title = repo.commits.get(&sha).map(|commit| commit.message.clone()).unwrap_or_default();
    let suite = act.world.next_id();
    let id = act.world.next_run_id();
    let (now, actor) = (act.now, act.sender);
    let run = Run {
        id,
        suite,
        workflow,
        number,
        event,
        status: "queued",
        conclusion: None,
        branch,
        sha,
        title,
        actor,
        created: now,
        started: now,
        updated: now,
    };
    act.repo_mut()?.runs.insert(0, run);
    Ok(id)
}

fn emit_run(act: &mut Act<'_>, id: u64, action: &str) -> Result<()> {
    let repo = act.repo()?;
    let Some(run) = repo.runs.iter().find(|run| run.id == id) else { return Ok(()) };
    let workflow = repo.workflows.get(run.workflow).map(|one| form::workflow(act.world, repo, one));
    let about = shape! { "workflow_run": form::run(act.world, repo, run), "workflow": workflow };
    act.emit("workflow_run", Some(action), about)
}

/// A check of a commit, new or again; `created` while it runs, `completed` at its end.
pub(super) fn check_run(act: &mut Act<'_>) -> Result<Value> {
    let (_, oid) = act.subject()?;
    let ask = act.ask();
    let name = ask.text("name")?.unwrap_or("test").to_owned();
    let status = ask.word("status", &["completed", "in_progress", "queued"])?;
    let conclusion = ask.word("conclusion", &CONCLUSIONS)?;
    let (id, suite) = (act.world.next_id(), act.world.next_id());
    let now = act.now;
    let commit = act.commit_mut(&oid)?;
    let done = status == "completed";
    let suite = commit.checks.first().map_or(suite, |check| check.suite);
    if !commit.checks.iter().any(|check| check.name == name) {
        let new = CheckRun {
            id,
            suite,
            name: name.clone(),
            status: "queued",
            conclusion: None,
            started: now,
            completed: None,
        };
        commit.checks.push(new);
    }
    if let Some(check) = commit.checks.iter_mut().find(|check| check.name == name) {
        check.status = status;
        check.conclusion = done.then_some(conclusion);
        check.completed = done.then_some(now);
    }
    let repo = act.repo()?;
    let found = repo.commits.get(&oid).and_then(|commit| commit.checks.iter().find(|check| check.name == name));
    let Some(check) = found else { return Err(ActError::NotFound(format!("name: the check {name}"))) };
    let told = shape! {
        "id": check.id, "node_id": ids::owned("CR", repo.id, check.id), "sha": oid, "number": ask_number(act)?,
        "repository": repo.full_name(act.world), "status": status, "conclusion": check.conclusion,
    };
    let about = shape! { "check_run": form::check_run(act.world, repo, (&oid, check)) };
    act.emit("check_run", Some(if done { "completed" } else { "created" }), about)?;
    Ok(told)
}

fn ask_number(act: &Act<'_>) -> Result<Option<u64>> {
    act.ask().number("number")
}

/// Ends all checks of a commit that still run (all get the conclusion when it is not success).
pub(super) fn check_suite(act: &mut Act<'_>) -> Result<Value> {
    let (_, oid) = act.subject()?;
    let conclusion = act.ask().word("conclusion", &CONCLUSIONS)?;
    let (id, new_suite) = (act.world.next_id(), act.world.next_id());
    let now = act.now;
    let commit = act.commit_mut(&oid)?;
    if commit.checks.is_empty() {
        let name = "build".to_owned();
        let check =
            CheckRun { id, suite: new_suite, name, status: "queued", conclusion: None, started: now, completed: None };
        commit.checks.push(check);
    }
    for check in &mut commit.checks {
        if check.status != "completed" || check.conclusion != Some(conclusion) {
            (check.status, check.conclusion, check.completed) = ("completed", Some(conclusion), Some(now));
        }
    }
    let suite = commit.checks.first().map_or(new_suite, |check| check.suite);
    let repo = act.repo()?;
    let told = shape! {
        "id": suite, "node_id": ids::owned("CS", repo.id, suite), "sha": oid, "number": ask_number(act)?,
        "repository": repo.full_name(act.world), "conclusion": conclusion,
    };
    let about = shape! { "check_suite": form::check_suite(act.world, repo, (&oid, suite)) };
    act.emit("check_suite", Some("completed"), about)?;
    Ok(told)
}

pub(super) fn status(act: &mut Act<'_>) -> Result<Value> {
    let (_, oid) = act.subject()?;
    let ask = act.ask();
    let context = ask.text("context")?.unwrap_or("preview/deploy").to_owned();
    let state = ask.word("state", &["success", "failure", "pending", "error"])?;
    let description = ask.text("description")?.unwrap_or("").to_owned();
    let id = act.world.next_id();
    let (at, creator) = (act.now, act.sender);
    let commit = act.commit_mut(&oid)?;
    commit.statuses.retain(|status| status.context != context);
    commit.statuses.insert(0, Status { id, context, state, description, creator, at });
    let repo = act.repo()?;
    let branches: Vec<Value> = repo
        .branches
        .iter()
        .filter(|(_, head)| **head == oid)
        .map(|(name, oid)| repository::branch(act.world, repo, name, oid))
        .collect();
    let status = repo.commits.get(&oid).and_then(|commit| commit.statuses.first());
    let mut about = status.map(|status| form::status(act.world, repo, (&oid, status))).unwrap_or_default();
    if let Value::Object(fields) = &mut about {
        fields.shift_remove("url");
        fields.shift_remove("node_id");
    }
    shapes::extend(
        &mut about,
        shape! {
            "sha": oid,
            "name": repo.full_name(act.world),
            "commit": form::commit(act.world, repo, &oid),
            "branches": branches,
        },
    );
    let told = shape! {
        "id": id, "node_id": ids::owned("SC", repo.id, id), "sha": oid, "number": ask_number(act)?,
        "repository": repo.full_name(act.world), "state": state,
    };
    act.emit("status", None, about)?;
    Ok(told)
}
