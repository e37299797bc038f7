//! Pull requests and reviews in GitHub's REST form.

use serde_json::Value;

use super::{
    actor, extend,
    issues::{association, labels, milestone_of, page, people},
    repository, shape, team,
};
use crate::providers::github::sandbox::{
    ids,
    world::{
        World,
        model::{Item, Pull, Repo, Review},
    },
};

/// As lists carry it; null for what is no pull request.
pub(crate) fn listed(world: &World, repo: &Repo, item: &Item) -> Value {
    let Some(pull) = &item.pull else { return Value::Null };
    let url = format!("{}/pulls/{}", repository::url(world, repo), item.number);
    let mut object = identity(world, repo, (item, pull));
    let teams = pull.team_reviewers.iter().filter_map(|index| world.teams.get(*index));
    extend(
        &mut object,
        shape! {
            "assignee": item.assignees.first().map(|index| actor(world, *index)),
            "assignees": people(world, &item.assignees),
            "requested_reviewers": people(world, &pull.reviewers),
            "requested_teams": teams.map(|one| team(world, one)).collect::<Vec<_>>(),
            "labels": labels(world, repo, item),
            "milestone": milestone_of(world, repo, item),
            "draft": pull.draft,
            "commits_url": format!("{url}/commits"),
            "review_comments_url": format!("{url}/comments"),
            "review_comment_url": format!("{}/pulls/comments{{/number}}", repository::url(world, repo)),
            "comments_url": format!("{}/issues/{}/comments", repository::url(world, repo), item.number),
            "statuses_url": format!("{}/statuses/{}", repository::url(world, repo), pull.head_sha()),
            "head": end(world, repo, (&pull.head_ref, pull.head_sha())),
            "base": end(world, repo, (&pull.base_ref, &pull.base_sha)),
            "_links": links(world, repo, (item, pull)),
            "author_association": association(world, item.author),
            "auto_merge": Value::Null,
            "active_lock_reason": Value::Null,
        },
    );
    object
}

fn identity(world: &World, repo: &Repo, (item, pull): (&Item, &Pull)) -> Value {
    let page = page(world, repo, item);
    shape! {
        "url": format!("{}/pulls/{}", repository::url(world, repo), item.number),
        "id": pull.id,
        "node_id": item.node_id(repo.id),
        "html_url": page,
        "diff_url": format!("{page}.diff"),
        "patch_url": format!("{page}.patch"),
        "issue_url": format!("{}/issues/{}", repository::url(world, repo), item.number),
        "number": item.number,
        "state": if item.is_open() { "open" } else { "closed" },
        "locked": false,
        "title": item.title,
        "user": actor(world, item.author),
        "body": item.body,
        "created_at": item.created,
        "updated_at": item.updated,
        "closed_at": item.closed.map(|(at, _)| at),
        "merged_at": pull.merged.map(|(at, _)| at),
        "merge_commit_sha": pull.merge_sha,
    }
}

fn end(world: &World, repo: &Repo, (name, oid): (&str, &str)) -> Value {
    shape! {
        "label": format!("{}:{name}", world.actor(repo.owner).login),
        "ref": name,
        "sha": oid,
        "user": actor(world, repo.owner),
        "repo": repository::repository(world, repo),
    }
}

fn links(world: &World, repo: &Repo, (item, pull): (&Item, &Pull)) -> Value {
    let (root, page, oid) = (repository::url(world, repo), page(world, repo, item), pull.head_sha());
    let url = format!("{root}/pulls/{}", item.number);
    let issue = format!("{root}/issues/{}", item.number);
    let link = |href: String| shape! { "href": href };
    shape! {
        "self": link(url.clone()),
        "html": link(page),
        "issue": link(issue.clone()),
        "comments": link(format!("{issue}/comments")),
        "review_comments": link(format!("{url}/comments")),
        "review_comment": link(format!("{root}/pulls/comments{{/number}}")),
        "commits": link(format!("{url}/commits")),
        "statuses": link(format!("{root}/statuses/{oid}")),
    }
}

/// As `/pulls/{number}` and payloads give it.
pub(crate) fn whole(world: &World, repo: &Repo, item: &Item) -> Value {
    let mut object = listed(world, repo, item);
    let Some(pull) = &item.pull else { return object };
    let open = item.is_open();
    extend(
        &mut object,
        shape! {
            "merged": pull.merged.is_some(),
            "mergeable": open.then_some(true),
            "rebaseable": open.then_some(true),
            "mergeable_state": if !open { "unknown" } else if pull.draft { "draft" } else { "clean" },
            "merged_by": pull.merged.map(|(_, who)| actor(world, who)),
            "comments": item.comments.len(),
            "review_comments": 0,
            "maintainer_can_modify": false,
            "commits": pull.commits.len(),
            "additions": pull.additions,
            "deletions": pull.deletions,
            "changed_files": pull.changed_files,
        },
    );
    object
}

pub(crate) fn review(world: &World, repo: &Repo, item: &Item, review: &Review) -> Value {
    let url = format!("{}/pulls/{}", repository::url(world, repo), item.number);
    let html = format!("{}#pullrequestreview-{}", page(world, repo, item), review.id);
    shape! {
        "id": review.id,
        "node_id": ids::owned("PRR", repo.id, review.id),
        "user": actor(world, review.author),
        "body": review.body,
        "state": review.state,
        "html_url": html,
        "pull_request_url": url,
        "author_association": association(world, review.author),
        "_links": shape! { "html": shape! { "href": html }, "pull_request": shape! { "href": url } },
        "submitted_at": review.at,
        "commit_id": review.sha,
    }
}

/// The short form that runs and checks carry: the open pull requests whose head is this commit.
pub(crate) fn of_commit(world: &World, repo: &Repo, oid: &str) -> Vec<Value> {
    let short = shape! { "id": repo.id, "url": repository::url(world, repo), "name": repo.name };
    let mut found = Vec::new();
    for item in repo.items.values().filter(|item| item.is_open()) {
        let Some(pull) = item.pull.as_ref().filter(|pull| pull.head_sha() == oid) else { continue };
        found.push(shape! {
            "url": format!("{}/pulls/{}", repository::url(world, repo), item.number),
            "id": pull.id,
            "number": item.number,
            "head": shape! { "ref": pull.head_ref, "sha": oid, "repo": short },
            "base": shape! { "ref": pull.base_ref, "sha": pull.base_sha, "repo": short },
        });
    }
    found
}
