//! Acts on pull requests, and pushes.

use serde_json::Value;

use super::{Act, Result, input::Wanted, issues::new_item};
use crate::{
    providers::github::sandbox::{
        shapes::{builds as build_form, extend, pulls as form, repository, shape},
        world::{
            dice::Dice,
            model::{Commit, Pull, Review},
        },
    },
    sandbox::ActError,
};

impl Act<'_> {
    /// Adds a commit without checks.
    pub(super) fn commit(&mut self, message: &str) -> Result<String> {
        let oid = Dice::new(self.world.seed ^ self.world.next_id()).sha();
        let (at, author) = (self.now, self.sender);
        let repo = self.repo_mut()?;
        repo.pushed = at;
        repo.updated = at;
        let commit = Commit { message: message.to_owned(), author, at, checks: Vec::new(), statuses: Vec::new() };
        repo.commits.insert(oid.clone(), commit);
        Ok(oid)
    }

    /// Moves a branch and sends `push`.
    fn move_branch(&mut self, branch: &str, oid: &str) -> Result<()> {
        let before = self.repo_mut()?.branches.insert(branch.to_owned(), oid.to_owned());
        let repo = self.repo()?;
        let old = before.clone().unwrap_or_else(|| "0".repeat(40));
        let short = |oid: &str| oid.chars().take(12).collect::<String>();
        let commit = build_form::pushed_commit(self.world, repo, oid);
        let sender = self.world.actor(self.sender);
        let about = shape! {
            "ref": format!("refs/heads/{branch}"),
            "before": old,
            "after": oid,
            "created": before.is_none(),
            "deleted": false,
            "forced": false,
            "base_ref": Value::Null,
            "compare": format!("{}/compare/{}...{}", repository::page(self.world, repo), short(&old), short(oid)),
            "commits": [&commit],
            "head_commit": commit,
            "pusher": shape! { "name": sender.login, "email": build_form::noreply(self.world, self.sender) },
        };
        self.emit("push", None, about)
    }

    pub(super) fn pull_mut(&mut self, number: u64) -> Result<&mut Pull> {
        let missing = || ActError::NotFound(format!("number: pull request {number}"));
        self.item_mut(number)?.pull.as_mut().ok_or_else(missing)
    }
}

pub(super) fn open(act: &mut Act<'_>) -> Result<Value> {
    let mut item = new_item(act)?;
    let number = item.number;
    let ask = act.ask();
    let draft = ask.flag("draft")?;
    let reviewers = ask.people("reviewers")?.unwrap_or_default();
    let base_ref = ask.text("base")?.unwrap_or("main").to_owned();
    let login = &act.world.actor(act.sender).login;
    let head_ref = ask.text("head")?.map_or_else(|| format!("{login}/change-{number}"), str::to_owned);
    if ask.text("title")?.is_none() {
        item.title = format!("Change {number}");
    }
    let Some(base_sha) = act.repo()?.branches.get(&base_ref).cloned() else {
        return Err(ActError::NotFound(format!("base: the branch {base_ref}")));
    };
    let id = act.world.next_id();
    let title = item.title.clone();
    let oid = act.commit(&title)?;
    act.move_branch(&head_ref, &oid)?;
    item.pull = Some(Pull {
        id,
        draft,
        merged: None,
        merge_sha: None,
        head_ref,
        base_ref,
        base_sha,
        commits: vec![oid],
        additions: 10 + number % 90,
        deletions: number % 40,
        changed_files: 1 + number % 9,
        reviewers,
        team_reviewers: Vec::new(),
        reviews: Vec::new(),
    });
    act.repo_mut()?.items.insert(number, item);
    act.emit_item(number, "opened", shape! {})?;
    act.told(number)
}

pub(super) fn close(act: &mut Act<'_>) -> Result<Value> {
    let number = act.ask().item(act.repo, Wanted::Pull)?.number;
    let (now, sender) = (act.now, act.sender);
    let item = act.item_mut(number)?;
    if item.is_open() {
        item.closed = Some((now, sender));
        item.updated = now;
        act.emit_item(number, "closed", shape! {})?;
    }
    act.told(number)
}

pub(super) fn merge(act: &mut Act<'_>) -> Result<Value> {
    let wanted = act.ask().item(act.repo, Wanted::Pull)?;
    let number = wanted.number;
    if !wanted.is_open() {
        return Err(ActError::BadInput(format!("number: pull request {number} is not open")));
    }
    let message = format!("{} (#{number})", wanted.title);
    let oid = act.commit(&message)?;
    let (now, sender) = (act.now, act.sender);
    let item = act.item_mut(number)?;
    item.closed = Some((now, sender));
    item.updated = now;
    let pull = act.pull_mut(number)?;
    pull.merged = Some((now, sender));
    pull.merge_sha = Some(oid.clone());
    pull.draft = false;
    let (head, base) = (pull.head_ref.clone(), pull.base_ref.clone());
    act.repo_mut()?.branches.remove(&head);
    act.emit_item(number, "closed", shape! {})?;
    act.move_branch(&base, &oid)?;
    act.told(number)
}

pub(super) fn review(act: &mut Act<'_>) -> Result<Value> {
    let ask = act.ask();
    let number = ask.item(act.repo, Wanted::Pull)?.number;
    let state = ask.word("state", &["APPROVED", "CHANGES_REQUESTED", "COMMENTED"])?;
    let body = ask.text("body")?.unwrap_or("").to_owned();
    let id = act.world.next_id();
    let (now, sender) = (act.now, act.sender);
    act.item_mut(number)?.updated = now;
    let pull = act.pull_mut(number)?;
    pull.reviewers.retain(|who| *who != sender);
    let sha = pull.head_sha().to_owned();
    pull.reviews.push(Review { id, author: sender, state, body, sha, at: now });
    let (repo, item) = (act.repo()?, act.item(number)?);
    let review = item.pull.as_ref().and_then(|pull| pull.reviews.last());
    let mut review = review.map(|review| form::review(act.world, repo, item, review)).unwrap_or_default();
    let mut told = act.told(number)?;
    extend(&mut told, shape! { "review": review });
    // Payloads write the state in small letters.
    extend(&mut review, shape! { "state": state.to_lowercase() });
    let pull = form::listed(act.world, repo, item);
    act.emit("pull_request_review", Some("submitted"), shape! { "review": review, "pull_request": pull })?;
    Ok(told)
}

/// A push to a branch (the default one when none is named; a pull request's when `number` is given). The head of an open pull
/// request moves with its branch.
pub(super) fn push(act: &mut Act<'_>) -> Result<Value> {
    let ask = act.ask();
    let message = ask.text("message")?.unwrap_or("Correct a typo").to_owned();
    let branch = match (ask.text("branch")?, ask.number("number")?) {
        (Some(branch), _) => branch.strip_prefix("refs/heads/").unwrap_or(branch).to_owned(),
        (None, Some(_)) => {
            let item = ask.item(act.repo, Wanted::Pull)?;
            item.pull.as_ref().map(|pull| pull.head_ref.clone()).unwrap_or_default()
        }
        (None, None) => "main".to_owned(),
    };
    let oid = act.commit(&message)?;
    act.move_branch(&branch, &oid)?;
    let is_head = |item: &&super::super::world::model::Item| {
        item.is_open() && item.pull.as_ref().is_some_and(|pull| pull.head_ref == branch)
    };
    let number = act.repo()?.items.values().find(is_head).map(|item| item.number);
    let mut told = shape! {
        "ref": format!("refs/heads/{branch}"),
        "sha": oid,
        "repository": act.repo()?.full_name(act.world),
        "repository_node_id": act.repo()?.node_id(),
        "id": oid,
        "node_id": super::super::ids::named("C", act.repo()?.id, &oid),
        "number": number,
    };
    if let Some(number) = number {
        let now = act.now;
        act.item_mut(number)?.updated = now;
        let pull = act.pull_mut(number)?;
        let before = pull.head_sha().to_owned();
        pull.commits.push(oid.clone());
        pull.additions += 7;
        act.emit_item(number, "synchronize", shape! { "before": before, "after": oid })?;
        extend(&mut told, shape! { "pull_request": act.told(number)? });
    }
    Ok(told)
}
