//! Repositories and what only they have: labels, milestones, releases, branches, their language.

use super::{accounts, issues};
use crate::providers::github::sandbox::{
    graphql::{errors::FieldError, object::Out, values::Arguments},
    shapes::{self, repository as shape},
    world::{
        Key, World,
        model::{Item, Repo},
    },
};

/// The repositories that pass, in the order that `orderBy` asks for.
pub(super) fn list(world: &World, arguments: &Arguments, keep: impl Fn(&Repo) -> bool) -> Out {
    let privacy = arguments.text("privacy").or_else(|| arguments.text("visibility"));
    let archived = arguments.get("isArchived").and_then(serde_json::Value::as_bool);
    let mut found: Vec<(usize, &Repo)> = world
        .repos
        .iter()
        .enumerate()
        .filter(|(_, repo)| keep(repo))
        .filter(|(_, repo)| privacy.is_none_or(|privacy| (privacy == "PRIVATE") == repo.private))
        .filter(|(_, repo)| archived.is_none_or(|archived| archived == repo.archived))
        .collect();
    let order = arguments.object("orderBy");
    match order.text("field") {
        Some("NAME") => found.sort_by(|a, b| a.1.name.cmp(&b.1.name)),
        Some("CREATED_AT") => found.sort_by_key(|(_, repo)| repo.created),
        Some("UPDATED_AT") => found.sort_by_key(|(_, repo)| repo.updated),
        Some("PUSHED_AT") => found.sort_by_key(|(_, repo)| repo.pushed),
        Some("STARGAZERS") => found.sort_by_key(|(_, repo)| repo.stargazers),
        _ => {}
    }
    if order.text("direction") == Some("DESC") {
        found.reverse();
    }
    Out::keys(found.into_iter().map(|(at, _)| Key::Repo(at)))
}

pub(super) fn repository(world: &World, at: usize, (name, arguments): (&str, &Arguments)) -> Out {
    let Some(repo) = world.repos.get(at) else { return Out::Default };
    match name {
        "databaseId" => Out::leaf(repo.id),
        "name" => Out::leaf(&repo.name),
        "nameWithOwner" => Out::leaf(repo.full_name(world)),
        "description" => Out::leaf(&repo.description),
        "descriptionHTML" | "shortDescriptionHTML" => Out::html(&repo.description),
        "isPrivate" => Out::leaf(repo.private),
        "visibility" => Out::leaf(if repo.private { "PRIVATE" } else { "PUBLIC" }),
        "isArchived" => Out::leaf(repo.archived),
        "archivedAt" => Out::leaf(repo.archived.then_some(repo.updated)),
        "isInOrganization"
        | "hasIssuesEnabled"
        | "hasProjectsEnabled"
        | "forkingAllowed"
        | "viewerCanAdminister"
        | "mergeCommitAllowed"
        | "squashMergeAllowed"
        | "rebaseMergeAllowed"
        | "deleteBranchOnMerge" => Out::leaf(true),
        "viewerPermission" => Out::leaf("ADMIN"),
        "owner" => Out::key(Key::Actor(repo.owner)),
        "url" => Out::leaf(shape::page(world, repo)),
        "sshUrl" => Out::leaf(format!("git@github.com:{}.git", repo.full_name(world))),
        "createdAt" => Out::leaf(repo.created),
        "updatedAt" => Out::leaf(repo.updated),
        "pushedAt" => Out::leaf(repo.pushed),
        "stargazerCount" => Out::leaf(repo.stargazers),
        "forkCount" => Out::leaf(repo.forks),
        "diskUsage" => Out::leaf(4096),
        "primaryLanguage" => Out::key(Key::Language(at)),
        "languages" => Out::keys([Key::Language(at)]),
        "assignableUsers" | "mentionableUsers" | "collaborators" | "watchers" => Out::keys(accounts::users(world)),
        _ => contents(world, (at, repo), (name, arguments)),
    }
}

fn contents(world: &World, (at, repo): (usize, &Repo), (name, arguments): (&str, &Arguments)) -> Out {
    match name {
        "issues" | "pullRequests" => {
            let pulls = name == "pullRequests";
            let keys = repo.items.values().filter(|item| item.pull.is_some() == pulls);
            issues::list(world, keys.map(|item| Key::Item(at, item.number)).collect(), arguments)
        }
        "issue" | "pullRequest" | "issueOrPullRequest" => numbered((at, repo), name, arguments),
        "labels" => Out::keys((0..repo.labels.len()).map(|label| Key::Label(at, label))),
        "label" => {
            let wanted = arguments.text("name").unwrap_or("");
            Out::maybe(repo.labels.iter().position(|label| label.name == wanted).map(|label| Key::Label(at, label)))
        }
        "milestones" => {
            let states = arguments.texts("states");
            let passes = |open: bool| states.as_ref().is_none_or(|s| s.contains(&if open { "OPEN" } else { "CLOSED" }));
            let found = repo.milestones.iter().enumerate().filter(|(_, one)| passes(one.open));
            Out::keys(found.map(|(index, _)| Key::Milestone(at, index)))
        }
        "milestone" => {
            let number = arguments.number("number");
            let found = repo.milestones.iter().position(|one| Some(one.number) == number);
            Out::maybe(found.map(|index| Key::Milestone(at, index)))
        }
        "releases" => {
            let mut order: Vec<usize> = (0..repo.releases.len()).collect();
            if arguments.object("orderBy").text("direction") == Some("ASC") {
                order.reverse();
            }
            Out::keys(order.into_iter().map(|index| Key::Release(at, index)))
        }
        "latestRelease" => Out::maybe(latest(repo).map(|index| Key::Release(at, index))),
        "release" => {
            let tag = arguments.text("tagName").unwrap_or("");
            Out::maybe(repo.releases.iter().position(|one| one.tag == tag).map(|index| Key::Release(at, index)))
        }
        "defaultBranchRef" => Out::key(Key::Ref(at, "main".to_owned())),
        "ref" => {
            let name = arguments.text("qualifiedName").unwrap_or("");
            let name = name.strip_prefix("refs/heads/").unwrap_or(name);
            Out::maybe(repo.branches.contains_key(name).then(|| Key::Ref(at, name.to_owned())))
        }
        "refs" => match arguments.text("refPrefix") {
            Some("refs/heads/") => Out::keys(repo.branches.keys().map(|name| Key::Ref(at, name.clone()))),
            _ => Out::Connection(Vec::new()),
        },
        "object" => {
            let wanted = arguments.text("oid").or_else(|| arguments.text("expression")).unwrap_or("");
            let oid = repo.branches.get(wanted).map_or(wanted, String::as_str);
            Out::maybe(repo.commits.contains_key(oid).then(|| Key::Commit(at, oid.to_owned())))
        }
        _ => Out::Default,
    }
}

/// The newest release that is neither a draft nor a pre-release.
pub(crate) fn latest(repo: &Repo) -> Option<usize> {
    repo.releases.iter().position(|release| !release.draft && !release.prerelease)
}

fn numbered((at, repo): (usize, &Repo), name: &str, arguments: &Arguments) -> Out {
    let number = arguments.number("number").unwrap_or(0);
    let found = repo.items.get(&number).filter(|item| match name {
        "issue" => item.pull.is_none(),
        "pullRequest" => item.pull.is_some(),
        _ => true,
    });
    if found.is_some() {
        return Out::key(Key::Item(at, number));
    }
    let what = match name {
        "issue" => "an Issue",
        "pullRequest" => "a PullRequest",
        _ => "an issue or pull request",
    };
    Out::Error(FieldError::not_found(format!("Could not resolve to {what} with the number of {number}.")))
}

pub(super) fn label(world: &World, at: usize, index: usize, (name, arguments): (&str, &Arguments)) -> Out {
    let Some((repo, label)) = world.repos.get(at).and_then(|repo| Some((repo, repo.labels.get(index)?))) else {
        return Out::Default;
    };
    match name {
        "name" => Out::leaf(&label.name),
        "color" => Out::leaf(&label.color),
        "description" => Out::leaf(&label.description),
        "isDefault" => Out::leaf(index < 4),
        "createdAt" | "updatedAt" => Out::leaf(repo.created),
        "repository" => Out::key(Key::Repo(at)),
        "url" => Out::leaf(format!("{}/labels/{}", shape::page(world, repo), shapes::encoded(&label.name))),
        "issues" | "pullRequests" => {
            let pulls = name == "pullRequests";
            let has =
                repo.items.values().filter(|item| item.labels.contains(&label.id) && item.pull.is_some() == pulls);
            issues::list(world, has.map(|item| Key::Item(at, item.number)).collect(), arguments)
        }
        _ => Out::Default,
    }
}

pub(super) fn milestone(world: &World, at: usize, index: usize, (name, arguments): (&str, &Arguments)) -> Out {
    let Some((repo, milestone)) = world.repos.get(at).and_then(|repo| Some((repo, repo.milestones.get(index)?))) else {
        return Out::Default;
    };
    let inside = |open: Option<bool>| {
        let all = repo.items.values().filter(|item| item.milestone == Some(milestone.number));
        all.filter(move |item| open.is_none_or(|open| item.is_open() == open))
    };
    match name {
        "number" => Out::leaf(milestone.number),
        "title" => Out::leaf(&milestone.title),
        "description" => Out::leaf(""),
        "state" => Out::leaf(if milestone.open { "OPEN" } else { "CLOSED" }),
        "closed" => Out::leaf(!milestone.open),
        "dueOn" => Out::leaf(milestone.due),
        "createdAt" | "updatedAt" => Out::leaf(milestone.created),
        "creator" => Out::key(Key::Actor(0)),
        "repository" => Out::key(Key::Repo(at)),
        "url" => Out::leaf(format!("{}/milestone/{}", shape::page(world, repo), milestone.number)),
        "openIssueCount" => Out::leaf(inside(Some(true)).count()),
        "closedIssueCount" => Out::leaf(inside(Some(false)).count()),
        "issues" | "pullRequests" => {
            let pulls = name == "pullRequests";
            let found = inside(None).filter(|item| item.pull.is_some() == pulls);
            issues::list(world, found.map(|item| Key::Item(at, item.number)).collect(), arguments)
        }
        _ => Out::Default,
    }
}

pub(super) fn release(world: &World, at: usize, index: usize, name: &str) -> Out {
    let Some((repo, release)) = world.repos.get(at).and_then(|repo| Some((repo, repo.releases.get(index)?))) else {
        return Out::Default;
    };
    match name {
        "databaseId" => Out::leaf(release.id),
        "name" => Out::leaf(&release.name),
        "tagName" => Out::leaf(&release.tag),
        "description" => Out::leaf(&release.body),
        "descriptionHTML" | "shortDescriptionHTML" => Out::html(&release.body),
        "isDraft" => Out::leaf(release.draft),
        "isPrerelease" => Out::leaf(release.prerelease),
        "isLatest" => Out::leaf(latest(repo) == Some(index)),
        "createdAt" | "updatedAt" => Out::leaf(release.created),
        "publishedAt" => Out::leaf(release.published),
        "author" => accounts::user(world, release.author),
        "repository" => Out::key(Key::Repo(at)),
        "tagCommit" => {
            Out::maybe(repo.commits.contains_key(&release.sha).then(|| Key::Commit(at, release.sha.clone())))
        }
        "url" => Out::leaf(format!("{}/releases/tag/{}", shape::page(world, repo), release.tag)),
        _ => Out::Default,
    }
}

pub(super) fn branch(world: &World, at: usize, branch: &str, (name, arguments): (&str, &Arguments)) -> Out {
    let Some(repo) = world.repos.get(at) else { return Out::Default };
    match name {
        "name" => Out::leaf(branch),
        "prefix" => Out::leaf("refs/heads/"),
        "repository" => Out::key(Key::Repo(at)),
        "target" => Out::maybe(repo.branches.get(branch).map(|oid| Key::Commit(at, oid.clone()))),
        "associatedPullRequests" => {
            let of = |item: &&Item| item.pull.as_ref().is_some_and(|pull| pull.head_ref == branch);
            let found = repo.items.values().filter(of).map(|item| Key::Item(at, item.number));
            issues::list(world, found.collect(), arguments)
        }
        _ => Out::Default,
    }
}

pub(super) fn language(world: &World, at: usize, name: &str) -> Out {
    let Some(repo) = world.repos.get(at) else { return Out::Default };
    match name {
        "name" => Out::leaf(repo.language),
        "color" => Out::leaf(repo.color),
        _ => Out::Default,
    }
}
