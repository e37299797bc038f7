//! Workflow runs, checks, statuses, commits and releases in GitHub's REST form.

use serde_json::Value;

use super::{WEB, actor, pulls, repository, shape};
use crate::providers::github::sandbox::{
    ids,
    world::{
        World,
        model::{CheckRun, Commit, Release, Repo, Run, Status, Workflow},
    },
};

pub(crate) fn workflow(world: &World, repo: &Repo, workflow: &Workflow) -> Value {
    let page = repository::page(world, repo);
    shape! {
        "id": workflow.id,
        "node_id": ids::owned("W", repo.id, workflow.id),
        "name": workflow.name,
        "path": format!(".github/workflows/{}", workflow.file),
        "state": "active",
        "created_at": repo.created,
        "updated_at": repo.created,
        "url": format!("{}/actions/workflows/{}", repository::url(world, repo), workflow.id),
        "html_url": format!("{page}/blob/main/.github/workflows/{}", workflow.file),
        "badge_url": format!("{page}/workflows/{}/badge.svg", workflow.name),
    }
}

pub(crate) fn run(world: &World, repo: &Repo, run: &Run) -> Value {
    let url = format!("{}/actions/runs/{}", repository::url(world, repo), run.id);
    let known = repo.workflows.get(run.workflow);
    let workflow_id = known.map_or(0, |one| one.id);
    let file = known.map_or("", |one| one.file.as_str());
    let commit = repo.commits.get(&run.sha);
    shape! {
        "id": run.id,
        "name": known.map(|one| one.name.as_str()),
        "node_id": ids::owned("WFR", repo.id, run.id),
        "head_branch": run.branch,
        "head_sha": run.sha,
        "path": format!(".github/workflows/{file}"),
        "display_title": run.title,
        "run_number": run.number,
        "event": run.event,
        "status": run.status,
        "conclusion": run.conclusion,
        "workflow_id": workflow_id,
        "check_suite_id": run.suite,
        "check_suite_node_id": ids::owned("CS", repo.id, run.suite),
        "url": url,
        "html_url": format!("{}/actions/runs/{}", repository::page(world, repo), run.id),
        "pull_requests": pulls::of_commit(world, repo, &run.sha),
        "created_at": run.created,
        "updated_at": run.updated,
        "actor": actor(world, run.actor),
        "run_attempt": 1,
        "referenced_workflows": Value::Array(Vec::new()),
        "run_started_at": run.started,
        "triggering_actor": actor(world, run.actor),
        "jobs_url": format!("{url}/jobs"),
        "logs_url": format!("{url}/logs"),
        "check_suite_url": format!("{}/check-suites/{}", repository::url(world, repo), run.suite),
        "artifacts_url": format!("{url}/artifacts"),
        "cancel_url": format!("{url}/cancel"),
        "rerun_url": format!("{url}/rerun"),
        "previous_attempt_url": Value::Null,
        "workflow_url": format!("{}/actions/workflows/{workflow_id}", repository::url(world, repo)),
        "head_commit": commit.map(|commit| head_commit(world, &run.sha, commit)),
        "repository": repository::minimal(world, repo),
        "head_repository": repository::minimal(world, repo),
    }
}

fn person(world: &World, index: usize) -> Value {
    let actor = world.actor(index);
    shape! { "name": actor.name, "email": noreply(world, index) }
}

/// The address that GitHub gives to those who hide theirs.
pub(crate) fn noreply(world: &World, index: usize) -> String {
    let actor = world.actor(index);
    format!("{}+{}@users.noreply.github.com", actor.id, actor.login)
}

fn head_commit(world: &World, oid: &str, commit: &Commit) -> Value {
    shape! {
        "id": oid,
        "tree_id": oid.chars().rev().collect::<String>(),
        "message": commit.message,
        "timestamp": commit.at,
        "author": person(world, commit.author),
        "committer": person(world, commit.author),
    }
}

/// As `push` payloads carry it.
pub(crate) fn pushed_commit(world: &World, repo: &Repo, oid: &str) -> Value {
    let Some(commit) = repo.commits.get(oid) else { return Value::Null };
    let mut author = person(world, commit.author);
    super::extend(&mut author, shape! { "username": world.actor(commit.author).login });
    shape! {
        "id": oid,
        "tree_id": oid.chars().rev().collect::<String>(),
        "distinct": true,
        "message": commit.message,
        "timestamp": commit.at,
        "url": format!("{}/commit/{oid}", repository::page(world, repo)),
        "author": author,
        "committer": author,
        "added": Value::Array(Vec::new()),
        "removed": Value::Array(Vec::new()),
        "modified": ["src/main.txt"],
    }
}

pub(crate) fn commit(world: &World, repo: &Repo, oid: &str) -> Value {
    let Some(commit) = repo.commits.get(oid) else { return Value::Null };
    let url = format!("{}/commits/{oid}", repository::url(world, repo));
    let mut signature = person(world, commit.author);
    super::extend(&mut signature, shape! { "date": commit.at });
    let tree = oid.chars().rev().collect::<String>();
    shape! {
        "sha": oid,
        "node_id": ids::named("C", repo.id, oid),
        "commit": shape! {
            "author": signature,
            "committer": signature,
            "message": commit.message,
            "tree": shape! { "sha": tree, "url": format!("{}/git/trees/{tree}", repository::url(world, repo)) },
            "url": format!("{}/git/commits/{oid}", repository::url(world, repo)),
            "comment_count": 0,
            "verification": shape! { "verified": false, "reason": "unsigned", "signature": Value::Null, "payload": Value::Null },
        },
        "url": url,
        "html_url": format!("{}/commit/{oid}", repository::page(world, repo)),
        "comments_url": format!("{url}/comments"),
        "author": actor(world, commit.author),
        "committer": actor(world, commit.author),
        "parents": Value::Array(Vec::new()),
    }
}

/// The GitHub App that runs the checks.
fn app(world: &World, repo: &Repo) -> Value {
    shape! {
        "id": 15368,
        "slug": "github-actions",
        "node_id": "MDM6QXBwMTUzNjg=",
        "owner": actor(world, world.org),
        "name": "GitHub Actions",
        "description": "Automate your workflow from idea to production",
        "external_url": "https://help.github.com/en/actions",
        "html_url": format!("{WEB}/apps/github-actions"),
        "created_at": repo.created,
        "updated_at": repo.created,
        "permissions": shape! { "checks": "write", "contents": "read", "metadata": "read" },
        "events": ["check_run", "check_suite"],
    }
}

/// The state of a suite from its runs: still going, failed, or fine.
pub(crate) fn suite_state(commit: &Commit, suite: u64) -> (&'static str, Option<&'static str>) {
    let mut conclusion = Some("success");
    for check in commit.checks.iter().filter(|check| check.suite == suite) {
        if check.status != "completed" {
            return ("in_progress", None);
        }
        if check.conclusion != Some("success") && check.conclusion != Some("skipped") && conclusion == Some("success") {
            conclusion = check.conclusion;
        }
    }
    ("completed", conclusion)
}

pub(crate) fn check_suite(world: &World, repo: &Repo, (oid, suite): (&str, u64)) -> Value {
    let mut object = short_suite(world, repo, (oid, suite));
    let Some(commit) = repo.commits.get(oid) else { return object };
    let url = format!("{}/check-suites/{suite}", repository::url(world, repo));
    super::extend(
        &mut object,
        shape! {
            "latest_check_runs_count": commit.checks.iter().filter(|check| check.suite == suite).count(),
            "check_runs_url": format!("{url}/check-runs"),
            "head_commit": head_commit(world, oid, commit),
        },
    );
    object
}

/// As a check run carries its suite.
fn short_suite(world: &World, repo: &Repo, (oid, suite): (&str, u64)) -> Value {
    let Some(commit) = repo.commits.get(oid) else { return Value::Null };
    let (status, conclusion) = suite_state(commit, suite);
    let url = format!("{}/check-suites/{suite}", repository::url(world, repo));
    let branch = repo.branches.iter().find(|(_, head)| head.as_str() == oid).map(|(name, _)| name);
    shape! {
        "id": suite,
        "node_id": ids::owned("CS", repo.id, suite),
        "head_branch": branch,
        "head_sha": oid,
        "status": status,
        "conclusion": conclusion,
        "url": url,
        "before": Value::Null,
        "after": oid,
        "pull_requests": pulls::of_commit(world, repo, oid),
        "app": app(world, repo),
        "created_at": commit.at,
        "updated_at": commit.checks.iter().filter_map(|check| check.completed).max().unwrap_or(commit.at),
    }
}

pub(crate) fn check_run(world: &World, repo: &Repo, (oid, check): (&str, &CheckRun)) -> Value {
    let url = format!("{}/check-runs/{}", repository::url(world, repo), check.id);
    let html = format!("{}/runs/{}", repository::page(world, repo), check.id);
    shape! {
        "id": check.id,
        "name": check.name,
        "node_id": ids::owned("CR", repo.id, check.id),
        "head_sha": oid,
        "external_id": "",
        "url": url,
        "html_url": html,
        "details_url": html,
        "status": check.status,
        "conclusion": check.conclusion,
        "started_at": check.started,
        "completed_at": check.completed,
        "output": shape! {
            "title": Value::Null, "summary": Value::Null, "text": Value::Null,
            "annotations_count": 0, "annotations_url": format!("{url}/annotations"),
        },
        "check_suite": short_suite(world, repo, (oid, check.suite)),
        "app": app(world, repo),
        "pull_requests": pulls::of_commit(world, repo, oid),
    }
}

pub(crate) fn status(world: &World, repo: &Repo, (oid, status): (&str, &Status)) -> Value {
    shape! {
        "url": format!("{}/statuses/{oid}", repository::url(world, repo)),
        "avatar_url": super::avatar(world.actor(status.creator)),
        "id": status.id,
        "node_id": ids::owned("SC", repo.id, status.id),
        "state": status.state,
        "description": status.description,
        "target_url": "https://preview.acme.example/",
        "context": status.context,
        "created_at": status.at,
        "updated_at": status.at,
    }
}

pub(crate) fn release(world: &World, repo: &Repo, release: &Release) -> Value {
    let url = format!("{}/releases/{}", repository::url(world, repo), release.id);
    shape! {
        "url": url,
        "assets_url": format!("{url}/assets"),
        "upload_url": format!("{url}/assets{{?name,label}}"),
        "html_url": format!("{}/releases/tag/{}", repository::page(world, repo), release.tag),
        "id": release.id,
        "author": actor(world, release.author),
        "node_id": ids::owned("RE", repo.id, release.id),
        "tag_name": release.tag,
        "target_commitish": "main",
        "name": release.name,
        "draft": release.draft,
        "prerelease": release.prerelease,
        "created_at": release.created,
        "published_at": release.published,
        "assets": Value::Array(Vec::new()),
        "tarball_url": format!("{}/tarball/{}", repository::url(world, repo), release.tag),
        "zipball_url": format!("{}/zipball/{}", repository::url(world, repo), release.tag),
        "body": release.body,
    }
}
