//! GitHub's search language, as far as the REST and GraphQL searches of the sandbox need it: qualifiers and free text.

use std::cmp::Reverse;

use super::world::{
    Key, World,
    model::{ActorKind, Item, Repo},
};

/// The kind of things to search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Issues and pull requests.
    Issues,
    Repositories,
    Users,
}

/// The matches, best (that is, newest) first; at most 1,000, like GitHub.
pub(crate) fn find(world: &World, kind: Kind, query: &str) -> Vec<Key> {
    let terms = split(query);
    let mut found = match kind {
        Kind::Issues => issues(world, &terms),
        Kind::Repositories => repositories(world, &terms),
        Kind::Users => users(world, &terms),
    };
    found.truncate(1000);
    found
}

/// A qualifier with its value, or a word; negated or not.
struct Term {
    negated: bool,
    key: String,
    value: String,
}

/// Splits at spaces outside quotes.
fn split(query: &str) -> Vec<Term> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in query.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(String::new()),
            c => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    let term = |word: String| {
        let (negated, rest) = match word.strip_prefix('-') {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, word.as_str()),
        };
        let (key, value) = rest.split_once(':').unwrap_or(("", rest));
        Term { negated, key: key.to_lowercase(), value: value.to_lowercase() }
    };
    words.into_iter().map(term).collect()
}

fn issues(world: &World, terms: &[Term]) -> Vec<Key> {
    let mut found: Vec<(usize, &Item)> = Vec::new();
    for (at, repo) in world.repos.iter().enumerate() {
        let all = repo.items.values();
        found
            .extend(all.filter(|item| terms.iter().all(|term| fits(world, (repo, item), term))).map(|item| (at, item)));
    }
    let sort = terms.iter().find(|term| term.key == "sort").map_or("", |term| term.value.as_str());
    match sort.split_once('-').unwrap_or((sort, "desc")) {
        ("updated", "asc") => found.sort_by_key(|(_, item)| item.updated),
        ("updated", _) => found.sort_by_key(|(_, item)| Reverse(item.updated)),
        ("comments", _) => found.sort_by_key(|(_, item)| Reverse(item.comments.len())),
        ("created", "asc") => found.sort_by_key(|(_, item)| item.created),
        _ => found.sort_by_key(|(_, item)| Reverse(item.created)),
    }
    found.into_iter().map(|(at, item)| Key::Item(at, item.number)).collect()
}

fn fits(world: &World, (repo, item): (&Repo, &Item), term: &Term) -> bool {
    let value = term.value.as_str();
    let is_actor = |at: usize| {
        let value = if value == "@me" { world.actor(world.viewer).login.as_str() } else { value };
        world.actor_named(value) == Some(at)
    };
    let pull = item.pull.as_ref();
    let fits = match term.key.as_str() {
        "is" | "type" | "state" => match value {
            "issue" => pull.is_none(),
            "pr" | "pull-request" => pull.is_some(),
            "open" => item.is_open(),
            "closed" => !item.is_open(),
            "merged" => item.state() == "MERGED",
            "unmerged" => pull.is_some() && item.state() != "MERGED",
            "draft" => pull.is_some_and(|pull| pull.draft),
            "private" => repo.private,
            "public" => !repo.private,
            _ => true,
        },
        "repo" => repo.full_name(world).to_lowercase() == value,
        "org" | "user" => world.actor(repo.owner).login == value,
        "author" => is_actor(item.author),
        "assignee" => item.assignees.iter().any(|at| is_actor(*at)),
        "review-requested" => pull.is_some_and(|pull| pull.reviewers.iter().any(|at| is_actor(*at))),
        "involves" => is_actor(item.author) || item.assignees.iter().any(|at| is_actor(*at)),
        "label" => value.split(',').any(|wanted| has_label(repo, item, wanted)),
        "milestone" => item
            .milestone
            .and_then(|number| repo.milestone(number))
            .is_some_and(|one| one.title.to_lowercase() == value),
        "no" => match value {
            "label" => item.labels.is_empty(),
            "assignee" => item.assignees.is_empty(),
            "milestone" => item.milestone.is_none(),
            _ => true,
        },
        "draft" => pull.is_some_and(|pull| pull.draft.to_string() == value),
        "archived" => repo.archived.to_string() == value,
        "head" => pull.is_some_and(|pull| pull.head_ref.to_lowercase() == value),
        "base" => pull.is_some_and(|pull| pull.base_ref == value),
        "created" => compare(&item.created.to_rfc3339(), value),
        "updated" => compare(&item.updated.to_rfc3339(), value),
        "closed" => item.closed.is_some_and(|(at, _)| compare(&at.to_rfc3339(), value)),
        "" => item.title.to_lowercase().contains(value) || item.body.to_lowercase().contains(value),
        _ => true,
    };
    fits != term.negated
}

fn has_label(repo: &Repo, item: &Item, wanted: &str) -> bool {
    item.labels.iter().filter_map(|id| repo.label(*id)).any(|label| label.name.to_lowercase() == wanted)
}

/// `>=2026-01-01`, `2026-01-01..2026-02-01`, `2026-01-01`: texts of ISO times compare as times do.
fn compare(at: &str, range: &str) -> bool {
    let at = at.to_lowercase();
    if let Some((from, to)) = range.split_once("..") {
        return (from == "*" || at.as_str() >= from) && (to == "*" || at.get(..to.len()).is_none_or(|at| at <= to));
    }
    let cut = |value: &str| at.get(..value.len()).unwrap_or(&at).to_owned();
    if let Some(value) = range.strip_prefix(">=") {
        cut(value).as_str() >= value
    } else if let Some(value) = range.strip_prefix("<=") {
        cut(value).as_str() <= value
    } else if let Some(value) = range.strip_prefix('>') {
        cut(value).as_str() > value
    } else if let Some(value) = range.strip_prefix('<') {
        cut(value).as_str() < value
    } else {
        at.starts_with(range)
    }
}

fn repositories(world: &World, terms: &[Term]) -> Vec<Key> {
    let fits = |repo: &Repo| {
        terms.iter().all(|term| {
            let value = term.value.as_str();
            let fits = match term.key.as_str() {
                "org" | "user" => world.actor(repo.owner).login == value,
                "repo" => repo.full_name(world).to_lowercase() == value,
                "language" => repo.language.to_lowercase() == value,
                "topic" => repo.topics.contains(&value),
                "archived" => repo.archived.to_string() == value,
                "is" if value == "private" => repo.private,
                "is" if value == "public" => !repo.private,
                "" => repo.name.contains(value) || repo.description.to_lowercase().contains(value),
                _ => true,
            };
            fits != term.negated
        })
    };
    let mut found: Vec<usize> = (0..world.repos.len()).filter(|at| world.repos.get(*at).is_some_and(fits)).collect();
    found.sort_by_key(|at| Reverse(world.repos.get(*at).map(|repo| repo.stargazers)));
    found.into_iter().map(Key::Repo).collect()
}

fn users(world: &World, terms: &[Term]) -> Vec<Key> {
    let fits = |at: &usize| {
        let actor = world.actor(*at);
        let person = matches!(actor.kind, ActorKind::User | ActorKind::Organization);
        let text = format!("{} {}", actor.login, actor.name.to_lowercase());
        person && terms.iter().filter(|term| term.key.is_empty()).all(|term| text.contains(&term.value))
    };
    (0..world.actors.len()).filter(fits).map(Key::Actor).collect()
}
