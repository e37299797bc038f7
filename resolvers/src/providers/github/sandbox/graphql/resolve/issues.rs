//! Issues, the fields that pull requests share with them, and comments; lists of both with their filters and orders.

use std::cmp::Ordering;

use super::pulls;
use crate::providers::github::sandbox::{
    graphql::{
        object::{Object, Out},
        values::Arguments,
    },
    shapes::issues as shape,
    world::{
        Key, World,
        model::{ActorKind, Item, Repo},
    },
};

/// The items that pass the filters of `issues` or `pullRequests`, in the order that is asked for (else by number).
pub(super) fn list(world: &World, keys: Vec<Key>, arguments: &Arguments) -> Out {
    let filter = arguments.object("filterBy");
    let mut found: Vec<(Key, &Item)> = Vec::new();
    for key in keys {
        let Key::Item(at, number) = &key else { continue };
        let Some((repo, item)) = world.item(*at, *number) else { continue };
        if passes(world, (repo, item), arguments) && passes(world, (repo, item), &filter) {
            found.push((key, item));
        }
    }
    let order = arguments.object("orderBy");
    let by = order.text("field").unwrap_or("CREATED_AT");
    found.sort_by(|(_, a), (_, b)| compare(by, a, b));
    if order.text("direction") == Some("DESC") {
        found.reverse();
    }
    Out::keys(found.into_iter().map(|(key, _)| key))
}

fn compare(by: &str, a: &Item, b: &Item) -> Ordering {
    let first = match by {
        "UPDATED_AT" => a.updated.cmp(&b.updated),
        "COMMENTS" => a.comments.len().cmp(&b.comments.len()),
        _ => a.created.cmp(&b.created),
    };
    first.then(a.id.cmp(&b.id))
}

fn passes(world: &World, (repo, item): (&Repo, &Item), filter: &Arguments) -> bool {
    let states = filter.texts("states").is_none_or(|states| states.is_empty() || states.contains(&item.state()));
    let labels = filter.texts("labels").is_none_or(|wanted| {
        let has = |name: &&str| item.labels.iter().filter_map(|id| repo.label(*id)).any(|label| label.name == **name);
        wanted.is_empty() || wanted.iter().any(has)
    });
    let assignee = match filter.0.get("assignee") {
        // Null, as a value, means nobody; "*" means anybody.
        Some(serde_json::Value::Null) => item.assignees.is_empty(),
        Some(value) if value == "*" => !item.assignees.is_empty(),
        Some(value) => {
            value.as_str().and_then(|login| world.actor_named(login)).is_some_and(|at| item.assignees.contains(&at))
        }
        None => true,
    };
    let author = filter.text("createdBy").is_none_or(|login| world.actor_named(login) == Some(item.author));
    let milestone = filter.text("milestone").is_none_or(|number| match number {
        "*" => item.milestone.is_some(),
        number => item.milestone.map(|own| own.to_string()).as_deref() == Some(number),
    });
    let since = filter.text("since").and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok());
    let pull = item.pull.as_ref();
    let head = filter.text("headRefName").is_none_or(|name| pull.is_some_and(|pull| pull.head_ref == name));
    let base = filter.text("baseRefName").is_none_or(|name| pull.is_some_and(|pull| pull.base_ref == name));
    states && labels && assignee && author && milestone && head && base && since.is_none_or(|at| item.updated >= at)
}

pub(super) fn item(world: &World, (at, number): (usize, u64), (name, arguments): (&str, &Arguments)) -> Out {
    let Some((repo, item)) = world.item(at, number) else { return Out::Default };
    if let Some(pull) = &item.pull {
        let out = pulls::pull(world, (at, item, pull), (name, arguments));
        if !matches!(out, Out::Default) {
            return out;
        }
    }
    match name {
        "databaseId" => Out::leaf(item.id),
        "fullDatabaseId" => Out::leaf(item.id.to_string()),
        "number" => Out::leaf(item.number),
        "title" | "titleHTML" => Out::leaf(&item.title),
        "body" | "bodyText" | "bodyHTML" => Out::text(name, &item.body),
        "author" => Out::key(Key::Actor(item.author)),
        "authorAssociation" => Out::leaf(shape::association(world, item.author)),
        "state" => Out::leaf(item.state()),
        "stateReason" => Out::leaf(item.state_reason.map(str::to_uppercase)),
        "closed" => Out::leaf(!item.is_open()),
        "closedAt" => Out::leaf(item.closed.map(|(at, _)| at)),
        "createdAt" | "publishedAt" => Out::leaf(item.created),
        "updatedAt" => Out::leaf(item.updated),
        "url" | "bodyUrl" => Out::leaf(shape::page(world, repo, item)),
        "repository" => Out::key(Key::Repo(at)),
        "labels" => {
            let position = |id: &u64| repo.labels.iter().position(|label| label.id == *id);
            Out::keys(item.labels.iter().filter_map(position).map(|label| Key::Label(at, label)))
        }
        "assignedActors" => Out::keys(item.assignees.iter().map(|who| Key::Actor(*who))),
        // People only: a bot that is assigned is not in this connection.
        "assignees" => {
            let people = item.assignees.iter().filter(|who| world.actor(**who).kind == ActorKind::User);
            Out::keys(people.map(|who| Key::Actor(*who)))
        }
        "participants" => {
            let mut who = vec![item.author];
            who.extend(item.comments.iter().map(|comment| comment.author));
            who.sort_unstable();
            who.dedup();
            Out::keys(who.into_iter().map(Key::Actor))
        }
        "milestone" => {
            let found = item.milestone.and_then(|number| repo.milestones.iter().position(|one| one.number == number));
            Out::maybe(found.map(|index| Key::Milestone(at, index)))
        }
        "comments" => {
            let mut keys: Vec<Object> =
                (0..item.comments.len()).map(|index| Object::Key(Key::Comment(at, number, index))).collect();
            if arguments.object("orderBy").text("direction") == Some("DESC") {
                keys.reverse();
            }
            Out::Connection(keys)
        }
        "totalCommentsCount" => Out::leaf(item.comments.len()),
        "viewerDidAuthor" => Out::leaf(item.author == world.viewer),
        "viewerCanUpdate" | "viewerCanClose" | "viewerCanReopen" | "viewerCanLabel" | "viewerCanReact"
        | "viewerCanSubscribe" => Out::leaf(true),
        _ => Out::Default,
    }
}

pub(super) fn comment(world: &World, (at, number, index): (usize, u64, usize), name: &str) -> Out {
    let found = world.item(at, number).and_then(|(repo, item)| Some((repo, item, item.comments.get(index)?)));
    let Some((repo, item, comment)) = found else { return Out::Default };
    match name {
        "databaseId" => Out::leaf(comment.id),
        "fullDatabaseId" => Out::leaf(comment.id.to_string()),
        "body" | "bodyText" | "bodyHTML" => Out::text(name, &comment.body),
        "author" => Out::key(Key::Actor(comment.author)),
        "authorAssociation" => Out::leaf(shape::association(world, comment.author)),
        "createdAt" | "publishedAt" => Out::leaf(comment.created),
        "updatedAt" => Out::leaf(comment.updated),
        "lastEditedAt" => Out::leaf((comment.updated != comment.created).then_some(comment.updated)),
        "url" => Out::leaf(format!("{}#issuecomment-{}", shape::page(world, repo, item), comment.id)),
        "repository" => Out::key(Key::Repo(at)),
        // In GitHub's schema a comment on a pull request names it twice: as its issue and as its pull request.
        "issue" if item.pull.is_none() => Out::key(Key::Item(at, number)),
        "pullRequest" => Out::maybe(item.pull.as_ref().map(|_| Key::Item(at, number))),
        _ => Out::Default,
    }
}
