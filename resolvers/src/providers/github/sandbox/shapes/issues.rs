//! Issues (and pull requests in their issue form) and comments in GitHub's REST form.

use serde_json::Value;

use super::{actor, label, milestone, repository, shape};
use crate::providers::github::sandbox::{
    ids,
    world::{
        World,
        model::{Comment, Item, Repo},
    },
};

/// Its address on the web.
pub(crate) fn page(world: &World, repo: &Repo, item: &Item) -> String {
    let kind = if item.pull.is_some() { "pull" } else { "issues" };
    format!("{}/{kind}/{}", repository::page(world, repo), item.number)
}

pub(crate) fn labels(world: &World, repo: &Repo, item: &Item) -> Vec<Value> {
    item.labels.iter().filter_map(|id| repo.label(*id)).map(|one| label(world, repo, one)).collect()
}

pub(crate) fn people(world: &World, indexes: &[usize]) -> Vec<Value> {
    indexes.iter().map(|index| actor(world, *index)).collect()
}

pub(crate) fn milestone_of(world: &World, repo: &Repo, item: &Item) -> Value {
    item.milestone.and_then(|number| repo.milestone(number)).map_or(Value::Null, |found| milestone(world, repo, found))
}

/// The author's relation to the repository.
pub(crate) fn association(world: &World, author: usize) -> &'static str {
    if world.teams.iter().any(|team| team.members.contains(&author)) { "MEMBER" } else { "CONTRIBUTOR" }
}

fn reactions(url: &str) -> Value {
    shape! {
        "url": format!("{url}/reactions"),
        "total_count": 0, "+1": 0, "-1": 0, "laugh": 0, "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
    }
}

/// As payloads carry it.
pub(crate) fn issue(world: &World, repo: &Repo, item: &Item) -> Value {
    let repository_url = repository::url(world, repo);
    let url = format!("{repository_url}/issues/{}", item.number);
    let mut object = shape! {
        "url": url,
        "repository_url": repository_url,
        "labels_url": format!("{url}/labels{{/name}}"),
        "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"),
        "html_url": page(world, repo, item),
        "id": item.id,
        "node_id": item.node_id(repo.id),
        "number": item.number,
        "title": item.title,
        "user": actor(world, item.author),
        "labels": labels(world, repo, item),
        "state": if item.is_open() { "open" } else { "closed" },
        "locked": false,
        "assignee": item.assignees.first().map(|index| actor(world, *index)),
        "assignees": people(world, &item.assignees),
        "milestone": milestone_of(world, repo, item),
        "comments": item.comments.len(),
        "created_at": item.created,
        "updated_at": item.updated,
        "closed_at": item.closed.map(|(at, _)| at),
        "author_association": association(world, item.author),
        "active_lock_reason": Value::Null,
        "body": item.body,
        "reactions": reactions(&url),
        "timeline_url": format!("{url}/timeline"),
        "performed_via_github_app": Value::Null,
        "state_reason": item.state_reason,
    };
    if let Some(pull) = &item.pull {
        let page = page(world, repo, item);
        super::extend(
            &mut object,
            shape! {
                "draft": pull.draft,
                "pull_request": shape! {
                    "url": format!("{repository_url}/pulls/{}", item.number),
                    "html_url": page,
                    "diff_url": format!("{page}.diff"),
                    "patch_url": format!("{page}.patch"),
                    "merged_at": pull.merged.map(|(at, _)| at),
                },
            },
        );
    }
    object
}

/// As the API gives it; payloads do not say who closed it.
pub(crate) fn whole(world: &World, repo: &Repo, item: &Item) -> Value {
    let mut object = issue(world, repo, item);
    super::extend(&mut object, shape! { "closed_by": item.closed.map(|(_, who)| actor(world, who)) });
    object
}

pub(crate) fn comment(world: &World, repo: &Repo, item: &Item, comment: &Comment) -> Value {
    let repository_url = repository::url(world, repo);
    let url = format!("{repository_url}/issues/comments/{}", comment.id);
    shape! {
        "url": url,
        "html_url": format!("{}#issuecomment-{}", page(world, repo, item), comment.id),
        "issue_url": format!("{repository_url}/issues/{}", item.number),
        "id": comment.id,
        "node_id": ids::owned("IC", repo.id, comment.id),
        "user": actor(world, comment.author),
        "created_at": comment.created,
        "updated_at": comment.updated,
        "author_association": association(world, comment.author),
        "body": comment.body,
        "reactions": reactions(&url),
        "performed_via_github_app": Value::Null,
    }
}
