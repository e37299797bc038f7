//! Changes of the world, each with the events that Asana tells of it. The control API's acts and the writing API calls make the
//! same changes: both go through here.

use chrono::{DateTime, NaiveDate, Utc};

use super::event_log::{Event, FieldChange};
use super::hooks;
use super::records::{CustomValue, Due, Gid, Kind, Membership, Ref, Story, Task};
use super::world::{Origin, World};
use crate::sandbox::OutgoingWebhook;

/// A change in progress: who does it when, and what has happened so far.
#[derive(Debug)]
pub(super) struct Edit<'w> {
    pub(super) world: &'w mut World,
    pub(super) now: DateTime<Utc>,
    pub(super) by: Gid,
    pub(super) origin: Origin,
    pub(super) events: Vec<Event>,
}

/// A task to be made.
#[derive(Debug, Clone, Default)]
pub(super) struct NewTask {
    pub(super) workspace: Gid,
    pub(super) name: String,
    pub(super) notes: String,
    pub(super) assignee: Option<Gid>,
    pub(super) due: Option<Due>,
    pub(super) start_on: Option<NaiveDate>,
    pub(super) parent: Option<Gid>,
    pub(super) places: Vec<Membership>,
    pub(super) tags: Vec<Gid>,
}

/// A reference to a task.
pub(super) fn task_ref(gid: Gid) -> Ref {
    Ref { kind: Kind::Task, gid }
}

impl<'w> Edit<'w> {
    pub(super) fn new(world: &'w mut World, now: DateTime<Utc>, by: Gid, origin: Origin) -> Self {
        Self { world, now, by, origin, events: Vec::new() }
    }

    /// Ends the change: it goes to the log and to the webhooks.
    pub(super) fn finish(self) -> Vec<OutgoingWebhook> {
        let sent = hooks::deliveries(self.world, self.now, &self.events);
        self.world.log.record(self.events);
        sent
    }

    pub(super) fn tell(&mut self, action: &'static str, resource: Ref, parent: Option<Ref>, scopes: Vec<Gid>) {
        let (at, user) = (self.now, self.by);
        self.events.push(Event { at, user, action, resource, parent, change: None, scopes });
    }

    pub(super) fn tell_changed(
        &mut self,
        resource: Ref,
        field: &'static str,
        new_value: Option<Ref>,
        scopes: Vec<Gid>,
    ) {
        let (at, user) = (self.now, self.by);
        let change = Some(FieldChange { field, new_value });
        self.events.push(Event { at, user, action: "changed", resource, parent: None, change, scopes });
    }

    /// The things that an event on the task reaches: everything above it, and its workspace.
    fn scopes(&self, task: Gid) -> Vec<Gid> {
        let mut scopes = self.world.above_task(task);
        scopes.extend(self.world.tasks.get(&task).map(|task| task.workspace));
        scopes
    }

    /// Changes a task and tells which field.
    fn change(&mut self, task: Gid, field: &'static str, new_value: Option<Ref>, how: impl FnOnce(&mut Task)) {
        let now = self.now;
        if let Some(record) = self.world.tasks.get_mut(&task) {
            how(record);
            record.modified_at = now;
        }
        let scopes = self.scopes(task);
        self.tell_changed(task_ref(task), field, new_value, scopes);
    }

    /// Adds a story: a comment, or what Asana notes itself.
    fn note(&mut self, task: Gid, subtype: &'static str, text: String) -> Gid {
        let gid = self.world.mint(self.origin);
        let story = Story { task, text, subtype, author: self.by, created_at: self.now };
        self.world.stories.insert(gid, story);
        let now = self.now;
        if let Some(record) = self.world.tasks.get_mut(&task) {
            record.stories.push(gid);
            record.modified_at = now;
        }
        let mut scopes = self.scopes(task);
        scopes.push(gid);
        self.tell("added", Ref { kind: Kind::Story, gid }, Some(task_ref(task)), scopes);
        gid
    }

    fn user_name(&self, user: Gid) -> String {
        self.world.users.get(&user).map(|user| user.name.clone()).unwrap_or_default()
    }

    /// Makes a task.
    pub(super) fn create_task(&mut self, new: NewTask) -> Gid {
        let gid = self.world.mint(self.origin);
        let record = Task {
            name: new.name,
            notes: new.notes,
            subtype: "default_task",
            workspace: new.workspace,
            assignee: None,
            created_by: self.by,
            created_at: self.now,
            modified_at: self.now,
            completed: None,
            due: new.due,
            start_on: new.start_on,
            parent: new.parent,
            subtasks: Vec::new(),
            memberships: Vec::new(),
            tags: new.tags,
            followers: vec![self.by],
            custom: Vec::new(),
            stories: Vec::new(),
            likes: Vec::new(),
            deleted: false,
        };
        self.world.tasks.insert(gid, record);
        if let Some(parent) = new.parent {
            if let Some(above) = self.world.tasks.get_mut(&parent) {
                above.subtasks.push(gid);
            }
            let scopes = self.scopes(gid);
            self.tell("added", task_ref(gid), Some(task_ref(parent)), scopes);
        }
        for place in new.places {
            self.place(gid, place);
        }
        if new.assignee.is_some() {
            self.assign(gid, new.assignee);
        }
        gid
    }

    /// Puts a task into a section: into a project where it was not yet, or from another section of it.
    pub(super) fn place(&mut self, task: Gid, place: Membership) {
        let Some(record) = self.world.tasks.get_mut(&task) else { return };
        let old = record.memberships.iter_mut().find(|old| old.project == place.project);
        let from = old.map(|old| std::mem::replace(&mut old.section, place.section));
        if from.is_none() {
            record.memberships.push(place);
        }
        if from == Some(place.section) {
            return;
        }
        record.modified_at = self.now;
        if let Some(from) = from.and_then(|from| self.world.sections.get_mut(&from)) {
            from.tasks.retain(|gid| *gid != task);
        }
        if let Some(section) = self.world.sections.get_mut(&place.section) {
            section.tasks.push(task);
        }
        let section = |gid| Some(Ref { kind: Kind::Section, gid });
        let scopes = self.scopes(task);
        if let Some(from) = from {
            let mut left = scopes.clone();
            left.push(from);
            self.tell("removed", task_ref(task), section(from), left);
            self.tell("added", task_ref(task), section(place.section), scopes);
            let text = self.moved_text(from, place);
            self.note(task, "section_changed", text);
        } else {
            let project = Ref { kind: Kind::Project, gid: place.project };
            self.tell("added", task_ref(task), Some(project), scopes.clone());
            self.tell("added", task_ref(task), section(place.section), scopes);
            let name = self.world.projects.get(&place.project).map(|project| project.name.clone());
            self.note(task, "added_to_project", format!("added to {}", name.unwrap_or_default()));
        }
    }

    fn moved_text(&self, from: Gid, place: Membership) -> String {
        let section = |gid| self.world.sections.get(&gid).map(|section| section.name.as_str()).unwrap_or_default();
        let project = self.world.projects.get(&place.project).map(|project| project.name.as_str()).unwrap_or_default();
        format!("moved this Task from \"{}\" to \"{}\" in {project}", section(from), section(place.section))
    }

    /// Completes or reopens a task.
    pub(super) fn set_completed(&mut self, task: Gid, completed: bool) {
        let state = completed.then_some((self.now, self.by));
        if self.world.tasks.get(&task).is_none_or(|record| record.completed.is_some() == completed) {
            return;
        }
        self.change(task, "completed", None, |record| record.completed = state);
        if completed {
            self.note(task, "marked_complete", "marked this task complete".to_owned());
        } else {
            self.note(task, "marked_incomplete", "marked this task incomplete".to_owned());
        }
    }

    pub(super) fn rename_task(&mut self, task: Gid, name: &str) {
        self.change(task, "name", None, |record| name.clone_into(&mut record.name));
        self.note(task, "name_changed", format!("changed the name to \"{name}\""));
    }

    pub(super) fn set_notes(&mut self, task: Gid, notes: &str) {
        self.change(task, "notes", None, |record| notes.clone_into(&mut record.notes));
        self.note(task, "notes_changed", "changed the description".to_owned());
    }

    pub(super) fn assign(&mut self, task: Gid, user: Option<Gid>) {
        let value = user.map(|gid| Ref { kind: Kind::User, gid });
        self.change(task, "assignee", value, |record| {
            record.assignee = user;
            record.followers.extend(user.filter(|user| !record.followers.contains(user)));
        });
        match user {
            Some(user) if user == self.by => self.note(task, "assigned", "assigned to you".to_owned()),
            Some(user) => self.note(task, "assigned", format!("assigned to {}", self.user_name(user))),
            None => self.note(task, "unassigned", "unassigned".to_owned()),
        };
    }

    pub(super) fn set_due(&mut self, task: Gid, due: Option<Due>) {
        let field = if matches!(due, Some(Due::At(_))) { "due_at" } else { "due_on" };
        self.change(task, field, None, |record| record.due = due);
        let text = match due {
            Some(Due::On(day)) => format!("changed the due date to {}", day.format("%B %-d, %Y")),
            Some(Due::At(at)) => format!("changed the due date to {}", at.format("%B %-d, %Y at %H:%M UTC")),
            None => "removed the due date".to_owned(),
        };
        self.note(task, "due_date_changed", text);
    }

    pub(super) fn set_start(&mut self, task: Gid, start_on: Option<NaiveDate>) {
        self.change(task, "start_on", None, |record| record.start_on = start_on);
    }

    pub(super) fn set_custom(&mut self, task: Gid, field: Gid, value: Option<CustomValue>) {
        let of = Ref { kind: Kind::CustomField, gid: field };
        self.change(task, "custom_fields", Some(of), |record| {
            record.custom.retain(|(old, _)| *old != field);
            record.custom.extend(value.map(|value| (field, value)));
        });
    }

    pub(super) fn comment(&mut self, task: Gid, text: &str) -> Gid {
        self.note(task, "comment_added", text.to_owned())
    }

    /// Puts a task into the trash or takes it out again.
    pub(super) fn set_deleted(&mut self, task: Gid, deleted: bool) {
        let Some(record) = self.world.tasks.get_mut(&task).filter(|record| record.deleted != deleted) else { return };
        record.deleted = deleted;
        record.modified_at = self.now;
        let scopes = self.scopes(task);
        self.tell(if deleted { "deleted" } else { "undeleted" }, task_ref(task), None, scopes);
    }
}
