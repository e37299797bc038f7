//! The sandbox's world: all records by gid, look-ups, and the minting of ids. No behaviour of the API is here.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::event_log::EventLog;
use super::records::{
    CustomField, Gid, Hook, Kind, Project, ProjectStatus, Ref, Section, Story, Tag, Task, Team, User, Workspace,
};

/// The maker of a new thing. Each has ids of its own, so that the ids of acts do not depend on what was written through the API:
/// a journal of acts alone replays to the same ids.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Origin {
    #[default]
    Seed,
    Act,
    Call,
    Hook,
}

/// Everything there is.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) me: Gid,
    pub(super) workspaces: BTreeMap<Gid, Workspace>,
    pub(super) users: BTreeMap<Gid, User>,
    pub(super) teams: BTreeMap<Gid, Team>,
    pub(super) tags: BTreeMap<Gid, Tag>,
    pub(super) custom_fields: BTreeMap<Gid, CustomField>,
    pub(super) projects: BTreeMap<Gid, Project>,
    pub(super) statuses: BTreeMap<Gid, ProjectStatus>,
    pub(super) sections: BTreeMap<Gid, Section>,
    pub(super) tasks: BTreeMap<Gid, Task>,
    pub(super) stories: BTreeMap<Gid, Story>,
    pub(super) hooks: BTreeMap<Gid, Hook>,
    pub(super) handshakes: u64,
    pub(super) log: EventLog,
    minted: [u64; 4],
}

impl World {
    /// A world with nothing in it.
    pub(super) fn empty(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// A new gid: 16 digits, growing, with gaps as real ones have.
    pub(super) fn mint(&mut self, origin: Origin) -> Gid {
        let (slot, base) = match origin {
            Origin::Seed => (0, 1_204_600_000_000_000),
            Origin::Act => (1, 1_207_300_000_000_000),
            Origin::Call => (2, 1_208_400_000_000_000),
            Origin::Hook => (3, 1_209_100_000_000_000),
        };
        let number = match self.minted.get_mut(slot) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => 0,
        };
        let jitter = Dice::new(self.seed ^ (base + number)).bits() % 90_000;
        base + number * 100_003 + jitter
    }

    /// The thing with that gid, if it is there (a task in the trash is not).
    pub(super) fn find(&self, gid: Gid) -> Option<Ref> {
        let kind = if self.tasks.get(&gid).is_some_and(|task| !task.deleted) {
            Kind::Task
        } else if self.stories.contains_key(&gid) {
            Kind::Story
        } else if self.projects.contains_key(&gid) {
            Kind::Project
        } else if self.sections.contains_key(&gid) {
            Kind::Section
        } else if self.users.contains_key(&gid) {
            Kind::User
        } else if self.workspaces.contains_key(&gid) {
            Kind::Workspace
        } else if self.teams.contains_key(&gid) {
            Kind::Team
        } else if self.tags.contains_key(&gid) {
            Kind::Tag
        } else if self.custom_fields.contains_key(&gid) {
            Kind::CustomField
        } else if self.statuses.contains_key(&gid) {
            Kind::ProjectStatus
        } else if self.hooks.get(&gid).is_some_and(|hook| hook.resource.is_some()) {
            Kind::Webhook
        } else {
            return None;
        };
        Some(Ref { kind, gid })
    }

    /// The tasks of a section that are not in the trash, in the board's order.
    pub(super) fn tasks_of_section(&self, section: Gid) -> Vec<Gid> {
        let listed = self.sections.get(&section).map(|section| section.tasks.as_slice()).unwrap_or_default();
        listed.iter().copied().filter(|gid| self.is_live(*gid)).collect()
    }

    /// The tasks of a project that are not in the trash, section by section.
    pub(super) fn tasks_of_project(&self, project: Gid) -> Vec<Gid> {
        let sections = self.projects.get(&project).map(|project| project.sections.as_slice()).unwrap_or_default();
        sections.iter().flat_map(|section| self.tasks_of_section(*section)).collect()
    }

    /// Whether the task is there and not in the trash.
    pub(super) fn is_live(&self, task: Gid) -> bool {
        self.tasks.get(&task).is_some_and(|task| !task.deleted)
    }

    /// The workspaces that a person is in.
    pub(super) fn workspaces_of(&self, user: Gid) -> Vec<Gid> {
        self.workspaces.iter().filter(|(_, space)| space.members.contains(&user)).map(|(gid, _)| *gid).collect()
    }

    /// Everything that an event on a task bubbles up to: the task, the tasks above it, and the sections and projects of all of them.
    pub(super) fn above_task(&self, task: Gid) -> Vec<Gid> {
        let mut above = Vec::new();
        let mut next = Some(task);
        while let Some(gid) = next.filter(|gid| !above.contains(gid)) {
            above.push(gid);
            let record = self.tasks.get(&gid);
            for place in record.map(|task| task.memberships.as_slice()).unwrap_or_default() {
                above.extend([place.section, place.project]);
            }
            next = record.and_then(|task| task.parent);
        }
        above
    }
}
