//! The contents of the sandboxed GitHub: plain data. Things name each other by position (people, labels, milestones) or by
//! number and sha, as GitHub does; node ids are computed from the numbers.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use super::super::ids;

pub(crate) type Time = DateTime<Utc>;

pub(super) fn days(count: u64) -> Duration {
    Duration::days(i64::try_from(count).unwrap_or(0))
}

pub(super) fn minutes(count: u64) -> Duration {
    Duration::minutes(i64::try_from(count).unwrap_or(0))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActorKind {
    User,
    Organization,
    Bot,
    Mannequin,
}

/// A login of any kind.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) id: u64,
    pub(crate) kind: ActorKind,
    pub(crate) login: String,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) bio: Option<String>,
    pub(crate) created: Time,
    pub(crate) updated: Time,
}

impl Actor {
    pub(crate) fn node_id(&self) -> String {
        ids::single(
            match self.kind {
                ActorKind::User => "U",
                ActorKind::Organization => "O",
                ActorKind::Bot => "BOT",
                ActorKind::Mannequin => "M",
            },
            self.id,
        )
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Team {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) description: String,
    pub(crate) members: Vec<usize>,
    pub(crate) created: Time,
}

#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) color: String,
    pub(crate) description: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Milestone {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) open: bool,
    pub(crate) due: Option<Time>,
    pub(crate) created: Time,
}

#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: usize,
    pub(crate) body: String,
    pub(crate) created: Time,
    pub(crate) updated: Time,
}

#[derive(Debug, Clone)]
pub(crate) struct Review {
    pub(crate) id: u64,
    pub(crate) author: usize,
    /// APPROVED, `CHANGES_REQUESTED`, COMMENTED, DISMISSED.
    pub(crate) state: &'static str,
    pub(crate) body: String,
    pub(crate) sha: String,
    pub(crate) at: Time,
}

/// The parts of a pull request that an issue lacks.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    /// The pull request's own number; the issue form of it has another, and both share the node id of this one.
    pub(crate) id: u64,
    pub(crate) draft: bool,
    pub(crate) merged: Option<(Time, usize)>,
    pub(crate) merge_sha: Option<String>,
    pub(crate) head_ref: String,
    pub(crate) base_ref: String,
    pub(crate) base_sha: String,
    /// Oldest first; the last is the head.
    pub(crate) commits: Vec<String>,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
    pub(crate) changed_files: u64,
    pub(crate) reviewers: Vec<usize>,
    pub(crate) team_reviewers: Vec<usize>,
    pub(crate) reviews: Vec<Review>,
}

impl Pull {
    pub(crate) fn head_sha(&self) -> &str {
        self.commits.last().map_or("", String::as_str)
    }
}

/// An issue or a pull request: they share their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) author: usize,
    pub(crate) created: Time,
    pub(crate) updated: Time,
    pub(crate) closed: Option<(Time, usize)>,
    /// completed, `not_planned`, duplicate, reopened.
    pub(crate) state_reason: Option<&'static str>,
    pub(crate) labels: Vec<u64>,
    pub(crate) assignees: Vec<usize>,
    pub(crate) milestone: Option<u64>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) pull: Option<Pull>,
}

impl Item {
    pub(crate) fn node_id(&self, repo: u64) -> String {
        match &self.pull {
            Some(pull) => ids::owned("PR", repo, pull.id),
            None => ids::owned("I", repo, self.id),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// OPEN, CLOSED or MERGED.
    pub(crate) fn state(&self) -> &'static str {
        match (&self.closed, self.pull.as_ref().and_then(|pull| pull.merged)) {
            (None, _) => "OPEN",
            (Some(_), Some(_)) => "MERGED",
            (Some(_), None) => "CLOSED",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct CheckRun {
    pub(crate) id: u64,
    pub(crate) suite: u64,
    pub(crate) name: String,
    pub(crate) status: &'static str,
    pub(crate) conclusion: Option<&'static str>,
    pub(crate) started: Time,
    pub(crate) completed: Option<Time>,
}

/// A commit status (the older kind of check).
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) id: u64,
    pub(crate) context: String,
    pub(crate) state: &'static str,
    pub(crate) description: String,
    pub(crate) creator: usize,
    pub(crate) at: Time,
}

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) message: String,
    pub(crate) author: usize,
    pub(crate) at: Time,
    pub(crate) checks: Vec<CheckRun>,
    pub(crate) statuses: Vec<Status>,
}

#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) id: u64,
    pub(crate) tag: String,
    pub(crate) name: String,
    pub(crate) body: String,
    pub(crate) draft: bool,
    pub(crate) prerelease: bool,
    pub(crate) author: usize,
    pub(crate) sha: String,
    pub(crate) created: Time,
    pub(crate) published: Option<Time>,
}

#[derive(Debug, Clone)]
pub(crate) struct Workflow {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) file: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) suite: u64,
    pub(crate) workflow: usize,
    pub(crate) number: u64,
    pub(crate) event: &'static str,
    pub(crate) status: &'static str,
    pub(crate) conclusion: Option<&'static str>,
    pub(crate) branch: String,
    pub(crate) sha: String,
    pub(crate) title: String,
    pub(crate) actor: usize,
    pub(crate) created: Time,
    pub(crate) started: Time,
    pub(crate) updated: Time,
}

#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) id: u64,
    pub(crate) owner: usize,
    pub(crate) name: String,
    /// Names that it had before, in full: they still lead to it.
    pub(crate) former_names: Vec<String>,
    pub(crate) description: String,
    pub(crate) language: &'static str,
    pub(crate) color: &'static str,
    pub(crate) topics: Vec<&'static str>,
    pub(crate) private: bool,
    pub(crate) archived: bool,
    /// Whether a pull request needs an approving review.
    pub(crate) protected: bool,
    pub(crate) stargazers: u64,
    pub(crate) forks: u64,
    pub(crate) created: Time,
    pub(crate) updated: Time,
    pub(crate) pushed: Time,
    pub(crate) labels: Vec<Label>,
    pub(crate) milestones: Vec<Milestone>,
    pub(crate) items: BTreeMap<u64, Item>,
    pub(crate) commits: BTreeMap<String, Commit>,
    pub(crate) branches: BTreeMap<String, String>,
    /// Newest first, as GitHub lists them.
    pub(crate) releases: Vec<Release>,
    pub(crate) workflows: Vec<Workflow>,
    /// Newest first.
    pub(crate) runs: Vec<Run>,
}

impl Repo {
    pub(crate) fn node_id(&self) -> String {
        ids::single("R", self.id)
    }

    pub(crate) fn full_name(&self, world: &super::World) -> String {
        format!("{}/{}", world.actor(self.owner).login, self.name)
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.items.last_key_value().map_or(1, |(number, _)| number + 1)
    }

    pub(crate) fn label(&self, id: u64) -> Option<&Label> {
        self.labels.iter().find(|label| label.id == id)
    }

    pub(crate) fn milestone(&self, number: u64) -> Option<&Milestone> {
        self.milestones.iter().find(|milestone| milestone.number == number)
    }

    /// The last commit of the default branch.
    pub(crate) fn tip(&self) -> String {
        self.branches.get("main").cloned().unwrap_or_default()
    }
}
