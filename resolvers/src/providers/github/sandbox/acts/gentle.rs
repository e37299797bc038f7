//! The gentle traffic of the dev mode: believable acts, one after the other, each valid in the world as it is.

use serde_json::{Value, json};

use crate::{
    providers::github::sandbox::world::{
        World,
        dice::Dice,
        model::{ActorKind, Item, Repo},
    },
    sandbox::fields,
};

const CYCLE: [&str; 14] = [
    "comment_issue",
    "push",
    "open_issue",
    "workflow_run",
    "review_pull_request",
    "label_issue",
    "open_pull_request",
    "check_run",
    "close_issue",
    "workflow_run",
    "assign_issue",
    "merge_pull_request",
    "status",
    "star",
];

const TITLES: [&str; 8] = [
    "Show a hint when the search finds nothing",
    "Keep the filter after going back",
    "Retry failed uploads once",
    "Shorten the timeout of health checks",
    "Spell out abbreviations in reports",
    "Remember the last workspace",
    "Round totals only once",
    "Explain the error when a token has expired",
];

const REMARKS: [&str; 5] = [
    "Having a look.",
    "This is ready for review.",
    "Works on my machine and in staging.",
    "Could you add a test?",
    "Deployed, let us watch the numbers.",
];

/// The `n`th act.
pub(crate) fn gentle(world: &World, n: u64) -> (&'static str, Value) {
    let mut dice = Dice::new(world.seed ^ n.wrapping_mul(0x9e6d_62d0_6f6a_9a9b));
    let action = usize::try_from(n).ok().and_then(|n| CYCLE.get(n % CYCLE.len())).copied().unwrap_or("star");
    let living: Vec<&Repo> = world.repos.iter().filter(|repo| !repo.archived).collect();
    // The first repositories are the busiest.
    let start = if dice.chance(60) { dice.below(2) } else { dice.below(living.len()) };
    let people: Vec<&str> =
        world.actors.iter().filter(|one| one.kind == ActorKind::User).map(|one| &*one.login).collect();
    let who = dice.pick(&people, "ghost");
    for step in 0..living.len() {
        let Some(repo) = living.get((start + step) % living.len()) else { continue };
        let name = repo.full_name(world);
        if let Some(mut input) = input(action, repo, &people, &mut dice) {
            fields::set(&mut input, "repository", name);
            fields::set(&mut input, "sender", who);
            return (action, input);
        }
    }
    ("star", json!({ "sender": who }))
}

/// The input of an act in this repository; `None` when nothing there fits.
fn input(action: &str, repo: &Repo, people: &[&str], dice: &mut Dice) -> Option<Value> {
    let open = |pull: bool| -> Vec<&Item> {
        repo.items.values().filter(|item| item.is_open() && item.pull.is_some() == pull).collect()
    };
    // Mostly what is new is worked on.
    let some = |items: Vec<&Item>, dice: &mut Dice| -> Option<u64> {
        let recent = items.len().min(20);
        items.get(items.len() - recent + dice.below(recent)).map(|item| item.number)
    };
    Some(match action {
        "open_issue" => json!({ "title": dice.pick(&TITLES, ""), "body": "Seen today.", "labels": ["bug"] }),
        "open_pull_request" => {
            json!({ "title": dice.pick(&TITLES, ""), "reviewers": [dice.pick(people, "ghost")] })
        }
        "comment_issue" => json!({ "number": some(open(dice.chance(40)), dice)?, "body": dice.pick(&REMARKS, "") }),
        "close_issue" => {
            let items = open(false);
            // Never the last ones: the dashboard should not run empty.
            (items.len() > 5).then_some(())?;
            json!({ "number": some(items, dice)? })
        }
        "merge_pull_request" => {
            let items = open(true);
            (items.len() > 3).then_some(())?;
            json!({ "number": some(items, dice)? })
        }
        "label_issue" => {
            json!({ "number": some(open(false), dice)?, "label": dice.pick(&["bug", "enhancement", "performance"], "bug") })
        }
        "assign_issue" => json!({ "number": some(open(false), dice)?, "assignee": dice.pick(people, "ghost") }),
        "review_pull_request" => {
            let state = dice.pick(&["APPROVED", "COMMENTED", "CHANGES_REQUESTED"], "COMMENTED");
            json!({ "number": some(open(true), dice)?, "state": state, "body": dice.pick(&REMARKS, "") })
        }
        "check_run" => {
            let conclusion = dice.pick(&["success", "success", "failure"], "success");
            json!({ "number": some(open(true), dice)?, "name": "test", "conclusion": conclusion })
        }
        "status" => json!({ "number": some(open(true), dice)?, "context": "preview/deploy", "state": "success" }),
        "push" if dice.chance(50) => json!({ "number": some(open(true), dice)?, "message": dice.pick(&TITLES, "") }),
        "push" => json!({ "branch": "main", "message": dice.pick(&TITLES, "") }),
        "workflow_run" => {
            json!({ "workflow": "CI", "branch": "main", "conclusion": dice.pick(&["success", "success", "failure"], "success") })
        }
        _ => json!({}),
    })
}
