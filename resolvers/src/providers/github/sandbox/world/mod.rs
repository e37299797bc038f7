//! The world of the sandboxed GitHub: what is in it and how it is found. Pure data without I/O or a clock: the same seed,
//! time and acts always give the same world.

pub(crate) mod dice;
pub(crate) mod hook;
pub(crate) mod model;
mod seed;
mod seed_repo;
mod texts;

use self::{
    hook::Hook,
    model::{Actor, ActorKind, Commit, Item, Repo, Team, Time},
};
use super::ids::{self, NodeId};

/// Everything that a node id can name, by position. Valid for the world that it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Actor(usize),
    Team(usize),
    Repo(usize),
    /// Repository, number.
    Item(usize, u64),
    /// Repository, number, position.
    Comment(usize, u64, usize),
    Review(usize, u64, usize),
    ReviewRequest(usize, u64, Reviewer),
    PullCommit(usize, u64, String),
    Label(usize, usize),
    Milestone(usize, usize),
    Release(usize, usize),
    Workflow(usize, usize),
    Run(usize, usize),
    Commit(usize, String),
    Rollup(usize, String),
    Check(usize, String, usize),
    Suite(usize, String, u64),
    Status(usize, String, usize),
    Ref(usize, String),
    Language(usize),
}

/// The one that is asked for a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reviewer {
    Actor(usize),
    Team(usize),
}

/// The whole world.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) api_root: String,
    pub(crate) actors: Vec<Actor>,
    pub(crate) teams: Vec<Team>,
    pub(crate) repos: Vec<Repo>,
    pub(crate) hooks: Vec<Hook>,
    /// The owner of the token that every caller is taken to have.
    pub(crate) viewer: usize,
    pub(crate) org: usize,
    /// Stands for a deleted account.
    ghost: Actor,
    last_id: u64,
}

impl World {
    pub(crate) fn seeded(seed: u64, base: Time, api_root: String) -> Self {
        let ghost = Actor {
            id: 10_137,
            kind: ActorKind::User,
            login: "ghost".to_owned(),
            name: "Deleted user".to_owned(),
            email: None,
            bio: None,
            created: base,
            updated: base,
        };
        let mut world = Self {
            seed,
            api_root,
            actors: Vec::new(),
            teams: Vec::new(),
            repos: Vec::new(),
            hooks: Vec::new(),
            viewer: 0,
            org: 0,
            ghost,
            last_id: 1_150_000_000,
        };
        seed::fill(&mut world, base);
        world
    }

    /// The next number for any kind of thing. All of them fit GraphQL's `Int`.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 37;
        self.last_id
    }

    /// Workflow runs have larger numbers.
    pub(crate) fn next_run_id(&mut self) -> u64 {
        self.next_id() + 17_000_000_000
    }

    pub(crate) fn actor(&self, index: usize) -> &Actor {
        self.actors.get(index).unwrap_or(&self.ghost)
    }

    pub(crate) fn actor_named(&self, login: &str) -> Option<usize> {
        let login = login.strip_suffix("[bot]").unwrap_or(login);
        self.actors.iter().position(|actor| actor.login.eq_ignore_ascii_case(login))
    }

    pub(crate) fn repo_named(&self, owner: &str, name: &str) -> Option<usize> {
        self.repos.iter().position(|repo| {
            repo.name.eq_ignore_ascii_case(name) && self.actor(repo.owner).login.eq_ignore_ascii_case(owner)
        })
    }

    /// The repository that had this name before it was renamed.
    pub(crate) fn repo_formerly_named(&self, owner: &str, name: &str) -> Option<usize> {
        let full_name = format!("{owner}/{name}");
        let had = |repo: &Repo| repo.former_names.iter().any(|former| former.eq_ignore_ascii_case(&full_name));
        self.repos.iter().position(had)
    }

    pub(crate) fn item(&self, repo: usize, number: u64) -> Option<(&Repo, &Item)> {
        let repo = self.repos.get(repo)?;
        Some((repo, repo.items.get(&number)?))
    }

    pub(crate) fn commit(&self, repo: usize, oid: &str) -> Option<&Commit> {
        self.repos.get(repo)?.commits.get(oid)
    }

    /// The thing that a node id names, if it is (still) in the world.
    pub(crate) fn node(&self, id: &str) -> Option<Key> {
        let read = ids::parse(id)?;
        let key = match (read.prefix.as_str(), read.numbers.as_slice()) {
            ("U" | "O" | "BOT" | "M", [own]) => Key::Actor(self.actors.iter().position(|actor| actor.id == *own)?),
            ("R", [own]) => Key::Repo(self.repos.iter().position(|repo| repo.id == *own)?),
            ("T", [_, own]) => Key::Team(self.teams.iter().position(|team| team.id == *own)?),
            (_, [parent, ..]) => {
                let index = self.repos.iter().position(|repo| repo.id == *parent)?;
                self.inner_node(index, &read)?
            }
            _ => return None,
        };
        (self.node_id(&key).as_deref() == Some(id)).then_some(key)
    }

    fn inner_node(&self, index: usize, read: &NodeId) -> Option<Key> {
        let repo = self.repos.get(index)?;
        let own = read.numbers.get(1).copied();
        let in_items = |find: &dyn Fn(&Item) -> Option<usize>| {
            repo.items.values().find_map(|item| Some((item.number, find(item)?)))
        };
        Some(match read.prefix.as_str() {
            "I" => Key::Item(index, repo.items.values().find(|item| Some(item.id) == own)?.number),
            "PR" => {
                let found = repo.items.values().find(|item| item.pull.as_ref().map(|pull| pull.id) == own);
                Key::Item(index, found?.number)
            }
            "IC" => {
                let (number, at) = in_items(&|item| item.comments.iter().position(|comment| Some(comment.id) == own))?;
                Key::Comment(index, number, at)
            }
            "PRR" => {
                let (number, at) =
                    in_items(&|item| item.pull.as_ref()?.reviews.iter().position(|review| Some(review.id) == own))?;
                Key::Review(index, number, at)
            }
            "LA" => Key::Label(index, repo.labels.iter().position(|label| Some(label.id) == own)?),
            "MI" => Key::Milestone(index, repo.milestones.iter().position(|milestone| Some(milestone.id) == own)?),
            "RE" => Key::Release(index, repo.releases.iter().position(|release| Some(release.id) == own)?),
            "W" => Key::Workflow(index, repo.workflows.iter().position(|workflow| Some(workflow.id) == own)?),
            "WFR" => Key::Run(index, repo.runs.iter().position(|run| Some(run.id) == own)?),
            "LN" => Key::Language(index),
            "C" => {
                let oid = read.text.clone()?;
                repo.commits.contains_key(&oid).then_some(Key::Commit(index, oid))?
            }
            "SCR" => {
                let oid = read.text.clone()?;
                repo.commits.contains_key(&oid).then_some(Key::Rollup(index, oid))?
            }
            "REF" => {
                let name = read.text.clone()?;
                repo.branches.contains_key(&name).then_some(Key::Ref(index, name))?
            }
            "PURC" | "RR" => self.pull_node(index, repo, read)?,
            "CR" | "CS" | "SC" => Self::check_node(index, repo, read)?,
            _ => return None,
        })
    }

    fn pull_node(&self, index: usize, repo: &Repo, read: &NodeId) -> Option<Key> {
        let own = *read.numbers.get(1)?;
        repo.items.values().find_map(|item| {
            let pull = item.pull.as_ref()?;
            if let Some(oid) = &read.text {
                let known = pull.id == own && pull.commits.contains(oid);
                return known.then(|| Key::PullCommit(index, item.number, oid.clone()));
            }
            let people = pull.reviewers.iter().map(|at| (Reviewer::Actor(*at), self.actor(*at).id));
            let team = |at: &usize| Some((Reviewer::Team(*at), self.teams.get(*at)?.id));
            let mut asked = people.chain(pull.team_reviewers.iter().filter_map(team));
            let (who, _) = asked.find(|(_, id)| item.id ^ id == own)?;
            Some(Key::ReviewRequest(index, item.number, who))
        })
    }

    fn check_node(index: usize, repo: &Repo, read: &NodeId) -> Option<Key> {
        let own = *read.numbers.get(1)?;
        repo.commits.iter().find_map(|(oid, commit)| match read.prefix.as_str() {
            "CR" => {
                let at = commit.checks.iter().position(|check| check.id == own)?;
                Some(Key::Check(index, oid.clone(), at))
            }
            "CS" => {
                let known = commit.checks.iter().any(|check| check.suite == own);
                known.then(|| Key::Suite(index, oid.clone(), own))
            }
            _ => {
                let at = commit.statuses.iter().position(|status| status.id == own)?;
                Some(Key::Status(index, oid.clone(), at))
            }
        })
    }

    /// The node id of what a key names.
    pub(crate) fn node_id(&self, key: &Key) -> Option<String> {
        let repo_id = |repo: &usize| self.repos.get(*repo).map(|repo| repo.id);
        Some(match key {
            Key::Actor(at) => self.actor(*at).node_id(),
            Key::Team(at) => ids::owned("T", self.actor(self.org).id, self.teams.get(*at)?.id),
            Key::Repo(at) => self.repos.get(*at)?.node_id(),
            Key::Item(repo, number) => {
                let (repo, item) = self.item(*repo, *number)?;
                item.node_id(repo.id)
            }
            Key::Comment(repo, number, at) => {
                let (repo, item) = self.item(*repo, *number)?;
                ids::owned("IC", repo.id, item.comments.get(*at)?.id)
            }
            Key::Review(repo, number, at) => {
                let (repo, item) = self.item(*repo, *number)?;
                ids::owned("PRR", repo.id, item.pull.as_ref()?.reviews.get(*at)?.id)
            }
            Key::ReviewRequest(repo, number, who) => {
                let (repo, item) = self.item(*repo, *number)?;
                let who = match who {
                    Reviewer::Actor(at) => self.actor(*at).id,
                    Reviewer::Team(at) => self.teams.get(*at)?.id,
                };
                ids::owned("RR", repo.id, item.id ^ who)
            }
            Key::PullCommit(repo, number, oid) => {
                let (repo, item) = self.item(*repo, *number)?;
                ids::named_within("PURC", repo.id, item.pull.as_ref()?.id, oid)
            }
            Key::Label(repo, at) => ids::owned("LA", repo_id(repo)?, self.repos.get(*repo)?.labels.get(*at)?.id),
            Key::Milestone(repo, at) => {
                ids::owned("MI", repo_id(repo)?, self.repos.get(*repo)?.milestones.get(*at)?.id)
            }
            Key::Release(repo, at) => ids::owned("RE", repo_id(repo)?, self.repos.get(*repo)?.releases.get(*at)?.id),
            Key::Workflow(repo, at) => ids::owned("W", repo_id(repo)?, self.repos.get(*repo)?.workflows.get(*at)?.id),
            Key::Run(repo, at) => ids::owned("WFR", repo_id(repo)?, self.repos.get(*repo)?.runs.get(*at)?.id),
            Key::Language(repo) => ids::owned("LN", repo_id(repo)?, 1),
            Key::Commit(repo, oid) => ids::named("C", repo_id(repo)?, oid),
            Key::Rollup(repo, oid) => ids::named("SCR", repo_id(repo)?, oid),
            Key::Ref(repo, name) => ids::named("REF", repo_id(repo)?, name),
            Key::Check(repo, oid, at) => ids::owned("CR", repo_id(repo)?, self.commit(*repo, oid)?.checks.get(*at)?.id),
            Key::Suite(repo, _, suite) => ids::owned("CS", repo_id(repo)?, *suite),
            Key::Status(repo, oid, at) => {
                ids::owned("SC", repo_id(repo)?, self.commit(*repo, oid)?.statuses.get(*at)?.id)
            }
        })
    }
}
