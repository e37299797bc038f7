//! Fills a repository of the seeded world: issues and pull requests in the order of their time, commits with their checks,
//! releases, workflow runs.

use chrono::Duration;

use super::{
    World,
    dice::Dice,
    model::{
        CheckRun, Comment, Commit, Item, Label, Milestone, Pull, Release, Repo, Review, Run, Status, Time, Workflow,
        days, minutes,
    },
    texts::{self, RepoPlan},
};

const PEOPLE: usize = texts::PEOPLE.len();
/// The bot that opens pull requests of its own.
const BOT: usize = PEOPLE;

pub(super) fn repo(world: &mut World, plan: &RepoPlan, dice: &mut Dice, base: Time) -> Repo {
    let created = base - days(dice.between(900, 1500));
    let mut repo = empty(world, plan, dice, (created, base));
    for (number, title) in [(1_u64, "Foundations"), (2, "Public beta"), (3, "Next quarter")] {
        repo.milestones.push(Milestone {
            id: world.next_id(),
            number,
            title: title.to_owned(),
            open: number > 1,
            due: (number > 1).then(|| base + days(number * 20)),
            created: created + days(number),
        });
    }
    history(world, &mut repo, dice, base);
    let total = plan.issues + plan.pulls;
    // The oldest is about 400 days old; towards now they become denser, as in a repository that lives.
    for position in 0..total {
        let left = u64::try_from(total - position).unwrap_or(1);
        let of = u64::try_from(total).unwrap_or(1);
        let age = 400 * 24 * 60 * left * left / (of * of);
        let created = base - minutes(age) - minutes(dice.between(3, 40));
        let pulls_due = plan.pulls * (position + 1) / total > plan.pulls * position / total;
        let item = item(world, &mut repo, dice, (created, base, pulls_due));
        repo.updated = repo.updated.max(item.updated);
        repo.items.insert(item.number, item);
    }
    releases(world, &mut repo, dice, base);
    runs(world, &mut repo, dice, base);
    repo
}

fn empty(world: &mut World, plan: &RepoPlan, dice: &mut Dice, (created, base): (Time, Time)) -> Repo {
    let labels = texts::LABELS.map(|(name, color, description)| Label {
        id: world.next_id(),
        name: name.to_owned(),
        color: color.to_owned(),
        description: description.to_owned(),
    });
    let workflows = texts::WORKFLOWS.map(|(name, file)| Workflow {
        id: world.next_id(),
        name: name.to_owned(),
        file: file.to_owned(),
    });
    Repo {
        id: world.next_id() / 3,
        owner: world.org,
        name: plan.name.to_owned(),
        former_names: Vec::new(),
        description: plan.description.to_owned(),
        language: plan.language,
        color: plan.color,
        topics: vec!["acme", plan.name],
        private: plan.private,
        archived: plan.name.starts_with("legacy"),
        protected: plan.protected,
        stargazers: dice.between(4, 900),
        forks: dice.between(0, 60),
        created,
        updated: base - days(2),
        pushed: base - minutes(dice.between(20, 900)),
        labels: labels.to_vec(),
        milestones: Vec::new(),
        items: std::collections::BTreeMap::new(),
        commits: std::collections::BTreeMap::new(),
        branches: std::collections::BTreeMap::new(),
        releases: Vec::new(),
        workflows: workflows.to_vec(),
        runs: Vec::new(),
    }
}

/// Commits of the default branch.
fn history(world: &mut World, repo: &mut Repo, dice: &mut Dice, base: Time) {
    for back in (0..20_u64).rev() {
        let at = base - days(back * 3) - minutes(dice.between(30, 600));
        let author = dice.below(PEOPLE);
        let message = title(dice);
        let oid = commit(world, repo, dice, (message, author, at));
        repo.branches.insert("main".to_owned(), oid);
    }
}

fn title(dice: &mut Dice) -> String {
    let start = format!("{} {}", dice.pick(&texts::VERBS, "Fix"), dice.pick(&texts::SUBJECTS, "it"));
    if dice.chance(45) { format!("{start} {}", dice.pick(&texts::TAILS, "")) } else { start }
}

fn commit(world: &mut World, repo: &mut Repo, dice: &mut Dice, of: (String, usize, Time)) -> String {
    let (message, author, at) = of;
    let oid = dice.sha();
    let suite = world.next_id();
    let fails = dice.chance(14);
    let mut checks = Vec::new();
    for name in ["build", "test", "lint"] {
        let failed = fails && name == "test";
        checks.push(CheckRun {
            id: world.next_id(),
            suite,
            name: name.to_owned(),
            status: "completed",
            conclusion: Some(if failed { "failure" } else { "success" }),
            started: at + minutes(1),
            completed: Some(at + minutes(dice.between(3, 12))),
        });
    }
    let mut statuses = Vec::new();
    if dice.chance(40) {
        statuses.push(Status {
            id: world.next_id(),
            context: "preview/deploy".to_owned(),
            state: "success",
            description: "The preview is ready".to_owned(),
            creator: BOT + 1,
            at: at + minutes(6),
        });
    }
    // Documentation-only commits run nothing: their rollup is null, which is not the same as pending.
    if dice.chance(6) {
        checks.clear();
        statuses.clear();
    }
    repo.commits.insert(oid.clone(), Commit { message, author, at, checks, statuses });
    oid
}

fn item(world: &mut World, repo: &mut Repo, dice: &mut Dice, of: (Time, Time, bool)) -> Item {
    let (created, base, is_pull) = of;
    let age = u64::try_from((base - created).num_minutes()).unwrap_or(0);
    let author = if is_pull && dice.chance(12) { BOT } else { dice.below(PEOPLE) };
    let mut labels = Vec::new();
    for label in &repo.labels {
        if dice.chance(16) {
            labels.push(label.id);
        }
    }
    let mut item = Item {
        id: world.next_id(),
        number: repo.next_number(),
        title: title(dice),
        body: dice.pick(&texts::BODIES, "").to_owned(),
        author,
        created,
        updated: created,
        closed: None,
        state_reason: None,
        labels,
        assignees: assignees(dice),
        milestone: dice.chance(35).then(|| dice.between(1, 3)),
        comments: Vec::new(),
        pull: None,
    };
    for _ in 0..dice.below(5) {
        let at = created + minutes(dice.between(1, age.clamp(1, 20_000)));
        let at = at.min(base - Duration::minutes(2));
        item.comments.push(Comment {
            id: world.next_id(),
            author: dice.below(PEOPLE),
            body: dice.pick(&texts::REMARKS, "").to_owned(),
            created: at,
            updated: at,
        });
    }
    item.comments.sort_by_key(|comment| comment.created);
    if is_pull {
        item.pull = Some(pull(world, repo, dice, &item));
    }
    finish(repo, &mut item, dice, base);
    item
}

fn assignees(dice: &mut Dice) -> Vec<usize> {
    let mut chosen = Vec::new();
    while chosen.len() < 3 && dice.chance(45) {
        let one = dice.below(PEOPLE);
        if !chosen.contains(&one) {
            chosen.push(one);
        }
    }
    chosen
}

fn pull(world: &mut World, repo: &mut Repo, dice: &mut Dice, item: &Item) -> Pull {
    let slug: String =
        item.title.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(28).collect();
    let head_ref = format!("{}/{}-{}", world.actor(item.author).login, slug.trim_matches('-'), item.number);
    let mut commits = Vec::new();
    for step in 0..dice.between(1, 3) {
        let at = item.created + minutes(step * 30);
        let message = title(dice);
        commits.push(commit(world, repo, dice, (message, item.author, at)));
    }
    let head = commits.last().cloned().unwrap_or_default();
    let mut reviews = Vec::new();
    for _ in 0..dice.below(4) {
        reviews.push(Review {
            id: world.next_id(),
            author: (item.author + 1 + dice.below(PEOPLE - 1)) % PEOPLE,
            state: dice.pick(&["APPROVED", "APPROVED", "COMMENTED", "CHANGES_REQUESTED"], "COMMENTED"),
            body: dice.pick(&texts::REMARKS, "").to_owned(),
            sha: head.clone(),
            at: item.created + minutes(dice.between(20, 3000)),
        });
    }
    reviews.sort_by_key(|review| review.at);
    let mut reviewers = assignees(dice);
    reviewers.retain(|who| *who != item.author && !reviews.iter().any(|review| review.author == *who));
    let team = dice.below(3);
    Pull {
        id: world.next_id(),
        draft: dice.chance(12),
        merged: None,
        merge_sha: None,
        head_ref,
        base_ref: "main".to_owned(),
        base_sha: repo.tip(),
        commits,
        additions: dice.between(1, 600),
        deletions: dice.between(0, 240),
        changed_files: dice.between(1, 24),
        reviewers,
        team_reviewers: if dice.chance(25) { vec![team] } else { Vec::new() },
        reviews,
    }
}

/// Closes or merges what is old enough, and sets the time of the last change.
fn finish(repo: &mut Repo, item: &mut Item, dice: &mut Dice, base: Time) {
    let reviewed = item.pull.as_ref().and_then(|pull| pull.reviews.last()).map(|review| review.at);
    let said = item.comments.last().map(|comment| comment.created);
    let last = item.created.max(said.unwrap_or(item.created)).max(reviewed.unwrap_or(item.created));
    item.updated = last.min(base - Duration::minutes(1));
    let closer = item.assignees.first().copied().unwrap_or_else(|| dice.below(PEOPLE));
    let close = dice.chance(if item.pull.is_some() { 48 } else { 58 });
    let end = last + minutes(dice.between(5, 4000));
    if close && end < base {
        item.closed = Some((end, closer));
        item.updated = end;
        item.state_reason = Some(if dice.chance(85) { "completed" } else { "not_planned" });
    }
    let Some(pull) = &mut item.pull else { return };
    item.state_reason = None;
    if item.closed.is_some() {
        pull.draft = false;
        if dice.chance(85) {
            pull.merged = Some((item.updated, closer));
            pull.merge_sha = Some(pull.head_sha().to_owned());
        }
    } else {
        repo.branches.insert(pull.head_ref.clone(), pull.head_sha().to_owned());
        if dice.chance(15) {
            pending(repo, pull.head_sha());
        }
    }
}

fn pending(repo: &mut Repo, oid: &str) {
    if let Some(check) = repo.commits.get_mut(oid).and_then(|commit| commit.checks.last_mut()) {
        check.status = "in_progress";
        check.conclusion = None;
        check.completed = None;
    }
}

fn releases(world: &mut World, repo: &mut Repo, dice: &mut Dice, base: Time) {
    for minor in 0..6_u64 {
        let at = base - days((6 - minor) * 25) - minutes(dice.between(1, 600));
        let prerelease = minor == 4;
        let tag = if prerelease { format!("v1.{minor}.0-rc.1") } else { format!("v1.{minor}.0") };
        repo.releases.insert(
            0,
            Release {
                id: world.next_id(),
                name: format!("{} {tag}", repo.name),
                body: "## What's Changed\n* Fixes and small improvements".to_owned(),
                tag,
                draft: false,
                prerelease,
                author: BOT + 1,
                sha: repo.tip(),
                created: at,
                published: Some(at + minutes(4)),
            },
        );
    }
}

fn runs(world: &mut World, repo: &mut Repo, dice: &mut Dice, base: Time) {
    let mut heads: Vec<(String, String, &'static str)> =
        repo.branches.iter().map(|(name, oid)| (name.clone(), oid.clone(), "pull_request")).collect();
    heads.retain(|(name, ..)| name != "main");
    heads.truncate(10);
    for (oid, _) in repo.commits.iter().filter(|(_, commit)| !commit.checks.is_empty()).take(14) {
        heads.push(("main".to_owned(), oid.clone(), "push"));
    }
    heads.push(("main".to_owned(), repo.tip(), "schedule"));
    let mut runs: Vec<Run> = Vec::new();
    for (branch, sha, event) in heads {
        let Some(commit) = repo.commits.get(&sha) else { continue };
        let workflow = if event == "schedule" { 2 } else { usize::from(event == "push" && dice.chance(30)) };
        let created = base - minutes(dice.between(5, 40_000));
        let failed = commit.checks.iter().any(|check| check.conclusion == Some("failure"));
        let ended = created + minutes(dice.between(3, 14));
        let done = ended < base;
        let conclusion = if dice.chance(8) { "cancelled" } else { "success" };
        runs.push(Run {
            id: world.next_run_id(),
            suite: commit.checks.first().map_or_else(|| world.next_id(), |check| check.suite),
            workflow,
            number: 0,
            event,
            status: if done { "completed" } else { "in_progress" },
            conclusion: done.then_some(if failed { "failure" } else { conclusion }),
            branch,
            sha,
            title: commit.message.clone(),
            actor: commit.author,
            created,
            started: created + Duration::seconds(20),
            updated: if done { ended } else { created + Duration::seconds(40) },
        });
    }
    runs.sort_by_key(|run| (run.created, run.id));
    for (run, number) in runs.iter_mut().zip(101..) {
        run.number = number;
    }
    runs.reverse();
    repo.runs = runs;
}
