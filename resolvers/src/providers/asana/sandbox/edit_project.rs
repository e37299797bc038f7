//! Changes of projects and sections (see `edit`).

use super::edit::Edit;
use super::records::{Gid, Kind, Project, Ref, Section};

/// The sections that a new board starts with.
pub(super) const SECTIONS: [&str; 4] = ["To do", "Doing", "In review", "Done"];

fn project_ref(gid: Gid) -> Ref {
    Ref { kind: Kind::Project, gid }
}

impl Edit<'_> {
    fn project_scopes(&self, project: Gid) -> Vec<Gid> {
        let mut scopes = vec![project];
        if let Some(record) = self.world.projects.get(&project) {
            scopes.push(record.workspace);
            scopes.extend(record.team);
        }
        scopes
    }

    /// Makes a project with the sections of a new board.
    pub(super) fn create_project(&mut self, name: &str, workspace: Gid, team: Option<Gid>) -> Gid {
        let gid = self.world.mint(self.origin);
        let fields = self.world.custom_fields.iter().filter(|(_, field)| field.workspace == workspace);
        let record = Project {
            name: name.to_owned(),
            notes: String::new(),
            color: "light-green",
            archived: false,
            workspace,
            team,
            owner: Some(self.by),
            members: vec![self.by],
            start_on: None,
            due_on: None,
            created_at: self.now,
            modified_at: self.now,
            sections: Vec::new(),
            custom_fields: fields.map(|(gid, _)| *gid).collect(),
            statuses: Vec::new(),
        };
        self.world.projects.insert(gid, record);
        let parent = match team {
            Some(gid) => Ref { kind: Kind::Team, gid },
            None => Ref { kind: Kind::Workspace, gid: workspace },
        };
        let scopes = self.project_scopes(gid);
        self.tell("added", project_ref(gid), Some(parent), scopes);
        for section in SECTIONS {
            self.create_section(gid, section);
        }
        gid
    }

    /// Changes a project and tells which field.
    fn change_project(&mut self, project: Gid, field: &'static str, how: impl FnOnce(&mut Project)) {
        let now = self.now;
        if let Some(record) = self.world.projects.get_mut(&project) {
            how(record);
            record.modified_at = now;
        }
        let scopes = self.project_scopes(project);
        self.tell_changed(project_ref(project), field, None, scopes);
    }

    pub(super) fn rename_project(&mut self, project: Gid, name: &str) {
        self.change_project(project, "name", |record| name.clone_into(&mut record.name));
    }

    pub(super) fn set_archived(&mut self, project: Gid, archived: bool) {
        self.change_project(project, "archived", |record| record.archived = archived);
    }

    /// Adds a section at the end of a project.
    pub(super) fn create_section(&mut self, project: Gid, name: &str) -> Gid {
        let gid = self.world.mint(self.origin);
        let record = Section { name: name.to_owned(), project, created_at: self.now, tasks: Vec::new() };
        self.world.sections.insert(gid, record);
        let now = self.now;
        if let Some(record) = self.world.projects.get_mut(&project) {
            record.sections.push(gid);
            record.modified_at = now;
        }
        let mut scopes = self.project_scopes(project);
        scopes.push(gid);
        self.tell("added", Ref { kind: Kind::Section, gid }, Some(project_ref(project)), scopes);
        gid
    }

    pub(super) fn rename_section(&mut self, section: Gid, name: &str) {
        let Some(record) = self.world.sections.get_mut(&section) else { return };
        name.clone_into(&mut record.name);
        let project = record.project;
        let mut scopes = vec![section];
        scopes.extend(self.project_scopes(project));
        self.tell_changed(Ref { kind: Kind::Section, gid: section }, "name", None, scopes);
    }
}
