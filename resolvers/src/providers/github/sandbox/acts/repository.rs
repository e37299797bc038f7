//! Acts on a repository itself: releases, stars, its description.

use serde_json::Value;

use super::{Act, Result};
use crate::{
    providers::github::sandbox::{
        ids,
        shapes::{builds as form, extend, shape},
        world::model::Release,
    },
    sandbox::ActError,
};

pub(super) fn publish_release(act: &mut Act<'_>) -> Result<Value> {
    let id = act.world.next_id();
    let (now, author) = (act.now, act.sender);
    let ask = act.ask();
    let count = act.repo()?.releases.len();
    let tag = ask.text("tag")?.map_or_else(|| format!("v1.{count}.0"), str::to_owned);
    if act.repo()?.releases.iter().any(|release| release.tag == tag) {
        return Err(ActError::BadInput(format!("tag: the release {tag} exists already")));
    }
    let release = Release {
        id,
        name: ask.text("name")?.unwrap_or(&tag).to_owned(),
        body: ask.text("body")?.unwrap_or("## What's Changed").to_owned(),
        tag,
        draft: false,
        prerelease: ask.flag("prerelease")?,
        author,
        sha: act.repo()?.tip(),
        created: now,
        published: Some(now),
    };
    let repo = act.repo_mut()?;
    repo.releases.insert(0, release);
    repo.updated = now;
    let repo = act.repo()?;
    let whole = repo.releases.first().map(|release| form::release(act.world, repo, release));
    let told = shape! {
        "id": id,
        "node_id": ids::owned("RE", repo.id, id),
        "tag_name": repo.releases.first().map(|release| release.tag.as_str()),
        "repository": repo.full_name(act.world),
        "repository_node_id": repo.node_id(),
    };
    act.emit("release", Some("published"), shape! { "release": whole })?;
    Ok(told)
}

pub(super) fn star(act: &mut Act<'_>) -> Result<Value> {
    let action = act.ask().word("action", &["created", "deleted"])?;
    let now = act.now;
    let repo = act.repo_mut()?;
    let added = action == "created";
    repo.stargazers = if added { repo.stargazers + 1 } else { repo.stargazers.saturating_sub(1) };
    repo.updated = now;
    act.emit("star", Some(action), shape! { "starred_at": added.then_some(now) })?;
    told(act)
}

fn told(act: &Act<'_>) -> Result<Value> {
    let repo = act.repo()?;
    Ok(shape! {
        "id": repo.id,
        "node_id": repo.node_id(),
        "repository": repo.full_name(act.world),
        "stargazers_count": repo.stargazers,
        "description": repo.description,
    })
}

pub(super) fn edit(act: &mut Act<'_>) -> Result<Value> {
    let description = act.ask().text("description")?.map(str::to_owned);
    let now = act.now;
    let repo = act.repo_mut()?;
    let mut changes = shape! {};
    if let Some(new) = description.filter(|new| *new != repo.description) {
        let from = std::mem::replace(&mut repo.description, new);
        repo.updated = now;
        extend(&mut changes, shape! { "description": shape! { "from": from } });
        act.emit("repository", Some("edited"), shape! { "changes": changes })?;
    }
    told(act)
}

/// The old name leads to the repository until another one takes it.
pub(super) fn rename(act: &mut Act<'_>) -> Result<Value> {
    let name = match act.ask().text("name")? {
        Some(name) if name.is_empty() || name.contains('/') => {
            return Err(ActError::BadInput("name: expected the new name, without the owner".to_owned()));
        }
        Some(name) => name.to_owned(),
        None => format!("{}-renamed", act.repo()?.name),
    };
    let owner = act.world.actor(act.repo()?.owner).login.clone();
    if act.world.repo_named(&owner, &name).is_some() {
        return Err(ActError::BadInput(format!("name: the repository {owner}/{name} exists already")));
    }
    let (now, before) = (act.now, act.repo()?.full_name(act.world));
    let repo = act.repo_mut()?;
    let from = std::mem::replace(&mut repo.name, name);
    repo.former_names.push(before);
    repo.updated = now;
    let changes = shape! { "repository": shape! { "name": shape! { "from": from } } };
    act.emit("repository", Some("renamed"), shape! { "changes": changes })?;
    told(act)
}

/// GitHub gives up webhooks of the repository, or somebody deletes them: all, or those whose address has `url` in it.
pub(super) fn lose_webhooks(act: &mut Act<'_>, delete: bool) -> Result<Value> {
    let url = act.ask().text("url")?.unwrap_or_default().to_owned();
    let (repo, now) = (act.repo, act.now);
    let mut lost = Vec::new();
    for hook in act.world.hooks.iter_mut().filter(|hook| hook.repo == Some(repo) && hook.url.contains(&url)) {
        hook.active = false;
        hook.updated = now;
        lost.push(hook.id);
    }
    if delete {
        act.world.hooks.retain(|hook| !lost.contains(&hook.id));
    }
    Ok(shape! { "id": act.repo()?.id, "webhooks": lost })
}
