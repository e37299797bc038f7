//! Reads the inputs of acts: things are named by gid or by name, people by e-mail address too.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::gentle;
use super::records::{Due, Gid, Kind};
use super::world::World;
use crate::sandbox::ActError;

/// An act's input, in the world that it speaks of.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) world: &'a World,
    given: &'a Value,
}

impl<'a> Input<'a> {
    pub(super) fn new(world: &'a World, given: &'a Value) -> Self {
        Self { world, given }
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.given.get(name).and_then(Value::as_str)
    }

    pub(super) fn needed(&self, name: &str) -> Result<&'a str, ActError> {
        self.text(name).ok_or_else(|| ActError::BadInput(format!("{name}: is missing")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ActError> {
        match self.given.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(ActError::BadInput(format!("{name}: is true or false"))),
        }
    }

    fn by_gid(&self, kind: Kind, text: &str) -> Option<Gid> {
        text.parse().ok().and_then(|gid| self.world.find(gid)).filter(|of| of.kind == kind).map(|of| of.gid)
    }

    /// The task (one in the trash when `deleted`); the first open one of a project when none is named.
    pub(super) fn task(&self, deleted: bool) -> Result<Gid, ActError> {
        if self.text("task").is_some() {
            return self.task_named("task", deleted);
        }
        let mut trash = self.world.tasks.iter().filter(|(_, task)| task.deleted);
        let found =
            if deleted { trash.next().map(|(gid, _)| *gid) } else { gentle::open_tasks(self.world).first().copied() };
        found.ok_or_else(|| ActError::NotFound("such a task".to_owned()))
    }

    pub(super) fn task_named(&self, name: &str, deleted: bool) -> Result<Gid, ActError> {
        let text = self.needed(name)?;
        let gid: Option<Gid> = text.parse().ok();
        let mut tasks = self.world.tasks.iter().filter(|(_, task)| task.deleted == deleted);
        let found = tasks.find(|(of, task)| Some(**of) == gid || task.name == text);
        found.map(|(gid, _)| *gid).ok_or_else(|| ActError::NotFound(format!("task {text}")))
    }

    /// The project; the first when none is named.
    pub(super) fn project(&self) -> Result<Gid, ActError> {
        let Some(text) = self.text("project") else {
            let first = self.world.projects.keys().next().copied();
            return first.ok_or_else(|| ActError::NotFound("a project".to_owned()));
        };
        let named = || self.world.projects.iter().find(|(_, project)| project.name == text).map(|(gid, _)| *gid);
        self.by_gid(Kind::Project, text).or_else(named).ok_or_else(|| ActError::NotFound(format!("project {text}")))
    }

    /// The section, by its name only within the project; `None` when none is named.
    pub(super) fn section(&self, project: Option<Gid>) -> Result<Option<Gid>, ActError> {
        let Some(text) = self.text("section") else { return Ok(None) };
        let fits = |of: Gid| project.is_none_or(|project| project == of);
        let mut sections = self.world.sections.iter().filter(|(_, section)| fits(section.project));
        let gid: Option<Gid> = text.parse().ok();
        let found = sections.find(|(of, section)| Some(**of) == gid || section.name.eq_ignore_ascii_case(text));
        found.map(|(gid, _)| Some(*gid)).ok_or_else(|| ActError::NotFound(format!("section {text}")))
    }

    /// The person, by gid, name or e-mail address; `None` when nobody is named.
    pub(super) fn person(&self, name: &str) -> Result<Option<Gid>, ActError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let gid: Option<Gid> = if text == "me" { Some(self.world.me) } else { text.parse().ok() };
        let mut users = self.world.users.iter();
        let found = users.find(|(of, user)| Some(**of) == gid || user.name == text || user.email == text);
        found.map(|(gid, _)| Some(*gid)).ok_or_else(|| ActError::NotFound(format!("person {text}")))
    }

    pub(super) fn workspace(&self) -> Result<Gid, ActError> {
        let Some(text) = self.text("workspace") else {
            let first = self.world.workspaces.keys().next().copied();
            return first.ok_or_else(|| ActError::NotFound("a workspace".to_owned()));
        };
        let named = || self.world.workspaces.iter().find(|(_, of)| of.name == text).map(|(gid, _)| *gid);
        self.by_gid(Kind::Workspace, text).or_else(named).ok_or_else(|| ActError::NotFound(format!("workspace {text}")))
    }

    /// `due_on` or `due_at`, if one is given.
    pub(super) fn given_due(&self) -> Result<Option<Due>, ActError> {
        if let Some(at) = self.text("due_at") {
            let at = DateTime::parse_from_rfc3339(at);
            return at
                .map(|at| Some(Due::At(at.to_utc())))
                .map_err(|_| bad("due_at", "a time as in 2030-01-31T09:00:00Z"));
        }
        let day =
            self.text("due_on").map(str::parse).transpose().map_err(|_| bad("due_on", "a day as in 2030-01-31"))?;
        Ok(day.map(Due::On))
    }

    /// The new due date: null removes it; in a week when nothing is said.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Result<Option<Due>, ActError> {
        if ["due_on", "due_at"].iter().any(|name| self.given.get(*name).is_some_and(Value::is_null)) {
            return Ok(None);
        }
        Ok(self.given_due()?.or_else(|| Some(Due::On((now + TimeDelta::days(7)).date_naive()))))
    }
}

fn bad(name: &str, like: &str) -> ActError {
    ActError::BadInput(format!("{name}: is {like}"))
}
