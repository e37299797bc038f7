//! The fields that pull requests have beyond those of issues: branches, reviews, the state of their checks.

use crate::providers::github::sandbox::{
    graphql::{object::Out, values::Arguments},
    shapes::issues as shape,
    world::{
        Key, Reviewer, World,
        model::{Item, Pull, Review},
    },
};

pub(super) fn pull(
    world: &World,
    (at, item, pull): (usize, &Item, &Pull),
    (name, arguments): (&str, &Arguments),
) -> Out {
    let number = item.number;
    match name {
        "databaseId" => Out::leaf(pull.id),
        "fullDatabaseId" => Out::leaf(pull.id.to_string()),
        "isDraft" => Out::leaf(pull.draft),
        "merged" => Out::leaf(pull.merged.is_some()),
        "mergedAt" => Out::leaf(pull.merged.map(|(at, _)| at)),
        "mergedBy" => Out::maybe(pull.merged.map(|(_, who)| Key::Actor(who))),
        "mergeCommit" => Out::maybe(commit_key(world, at, pull.merge_sha.as_deref())),
        "headRefName" => Out::leaf(&pull.head_ref),
        "headRefOid" => Out::leaf(pull.head_sha()),
        "headRef" => Out::maybe(branch(world, at, &pull.head_ref)),
        "baseRefName" => Out::leaf(&pull.base_ref),
        "baseRefOid" => Out::leaf(&pull.base_sha),
        "baseRef" => Out::maybe(branch(world, at, &pull.base_ref)),
        "headRepository" | "baseRepository" => Out::key(Key::Repo(at)),
        "headRepositoryOwner" => Out::maybe(world.repos.get(at).map(|repo| Key::Actor(repo.owner))),
        "additions" => Out::leaf(pull.additions),
        "deletions" => Out::leaf(pull.deletions),
        "changedFiles" => Out::leaf(pull.changed_files),
        "mergeable" => Out::leaf(if item.is_open() { "MERGEABLE" } else { "UNKNOWN" }),
        "mergeStateStatus" => Out::leaf(merge_state(item, pull)),
        "reviewDecision" => Out::leaf(decision(world, at, pull)),
        "statusCheckRollup" => rollup(world, at, pull.head_sha()),
        "commits" => Out::keys(pull.commits.iter().map(|oid| Key::PullCommit(at, number, oid.clone()))),
        "reviews" => {
            let (states, author) = (arguments.texts("states"), arguments.text("author"));
            let keeps = |review: &Review| {
                states.as_ref().is_none_or(|states| states.contains(&review.state))
                    && author.is_none_or(|login| world.actor(review.author).login == login)
            };
            Out::keys(positions(pull, keeps).map(|index| Key::Review(at, number, index)))
        }
        "latestReviews" => Out::keys(latest(pull, |_| true).into_iter().map(|index| Key::Review(at, number, index))),
        "latestOpinionatedReviews" => {
            let opinions = latest(pull, |review| review.state != "COMMENTED");
            Out::keys(opinions.into_iter().map(|index| Key::Review(at, number, index)))
        }
        "reviewRequests" => {
            let people = pull.reviewers.iter().map(|who| Reviewer::Actor(*who));
            let teams = pull.team_reviewers.iter().map(|team| Reviewer::Team(*team));
            Out::keys(people.chain(teams).map(|who| Key::ReviewRequest(at, number, who)))
        }
        "checksUrl" => page_with(world, at, item, "/checks"),
        "revertUrl" => page_with(world, at, item, "/revert"),
        _ => Out::Default,
    }
}

fn merge_state(item: &Item, pull: &Pull) -> &'static str {
    match (item.is_open(), pull.draft) {
        (false, _) => "UNKNOWN",
        (true, true) => "DRAFT",
        (true, false) => "CLEAN",
    }
}

fn branch(world: &World, at: usize, name: &str) -> Option<Key> {
    let repo = world.repos.get(at)?;
    repo.branches.contains_key(name).then(|| Key::Ref(at, name.to_owned()))
}

fn commit_key(world: &World, at: usize, oid: Option<&str>) -> Option<Key> {
    let oid = oid?;
    world.commit(at, oid).map(|_| Key::Commit(at, oid.to_owned()))
}

/// The rollup of a commit; null when nothing ran for it.
pub(super) fn rollup(world: &World, at: usize, oid: &str) -> Out {
    let ran = world.commit(at, oid).is_some_and(|commit| !(commit.checks.is_empty() && commit.statuses.is_empty()));
    Out::maybe(ran.then(|| Key::Rollup(at, oid.to_owned())))
}

fn positions(pull: &Pull, keeps: impl Fn(&Review) -> bool) -> impl Iterator<Item = usize> {
    pull.reviews.iter().enumerate().filter(move |(_, review)| keeps(review)).map(|(index, _)| index)
}

/// The last review of each reviewer.
fn latest(pull: &Pull, keeps: impl Fn(&Review) -> bool) -> Vec<usize> {
    let kept: Vec<usize> = positions(pull, keeps).collect();
    let author = |index: usize| pull.reviews.get(index).map(|review| review.author);
    kept.iter()
        .enumerate()
        .filter(|(at, index)| !kept.iter().skip(at + 1).any(|later| author(*later) == author(**index)))
        .map(|(_, index)| *index)
        .collect()
}

/// The result of the reviews; null where the branch asks for none.
pub(crate) fn decision(world: &World, at: usize, pull: &Pull) -> Option<&'static str> {
    if !world.repos.get(at)?.protected {
        return None;
    }
    let opinions = latest(pull, |review| review.state != "COMMENTED");
    let has = |state: &str| opinions.iter().any(|index| pull.reviews.get(*index).is_some_and(|one| one.state == state));
    Some(if has("CHANGES_REQUESTED") {
        "CHANGES_REQUESTED"
    } else if has("APPROVED") {
        "APPROVED"
    } else {
        "REVIEW_REQUIRED"
    })
}

pub(super) fn review(world: &World, (at, number, index): (usize, u64, usize), name: &str) -> Out {
    let found =
        world.item(at, number).and_then(|(repo, item)| Some((repo, item, item.pull.as_ref()?.reviews.get(index)?)));
    let Some((repo, item, review)) = found else { return Out::Default };
    match name {
        "databaseId" => Out::leaf(review.id),
        "fullDatabaseId" => Out::leaf(review.id.to_string()),
        "body" | "bodyText" | "bodyHTML" => Out::text(name, &review.body),
        "author" => Out::key(Key::Actor(review.author)),
        "authorAssociation" => Out::leaf(shape::association(world, review.author)),
        "state" => Out::leaf(review.state),
        "createdAt" | "submittedAt" | "publishedAt" | "updatedAt" => Out::leaf(review.at),
        "commit" => Out::maybe(commit_key(world, at, Some(&review.sha))),
        "pullRequest" => Out::key(Key::Item(at, number)),
        "repository" => Out::key(Key::Repo(at)),
        "url" => Out::leaf(format!("{}#pullrequestreview-{}", shape::page(world, repo, item), review.id)),
        _ => Out::Default,
    }
}

pub(super) fn request(at: usize, number: u64, who: Reviewer, name: &str) -> Out {
    match (name, who) {
        ("pullRequest", _) => Out::key(Key::Item(at, number)),
        ("requestedReviewer", Reviewer::Actor(who)) => Out::key(Key::Actor(who)),
        ("requestedReviewer", Reviewer::Team(team)) => Out::key(Key::Team(team)),
        _ => Out::Default,
    }
}

pub(super) fn commit(at: usize, number: u64, oid: &str, name: &str) -> Out {
    match name {
        "commit" => Out::key(Key::Commit(at, oid.to_owned())),
        "pullRequest" => Out::key(Key::Item(at, number)),
        _ => Out::Default,
    }
}

fn page_with(world: &World, at: usize, item: &Item, suffix: &str) -> Out {
    match world.repos.get(at) {
        Some(repo) => Out::leaf(format!("{}{suffix}", shape::page(world, repo, item))),
        None => Out::Default,
    }
}
