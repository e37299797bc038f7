//! The seeded world: a real team's size, the same for the same seed and base time. Its history is played with the changes that
//! later acts make too, so that stories, times and places fit together.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::dice::Dice;
use super::edit::{Edit, NewTask};
use super::records::{
    CustomField, CustomValue, Due, EnumOption, Gid, Membership, ProjectStatus, Tag, Team, User, Workspace,
};
use super::words;
use super::world::{Origin, World};

/// Makes the world.
pub(super) fn seed(seed: u64, base: DateTime<Utc>) -> World {
    let mut seeding = Seeding { world: World::empty(seed), dice: Dice::new(seed), base, people: Vec::new() };
    seeding.people();
    let organization = seeding.workspace("Northwind Studio", true, seeding.people.len());
    let personal = seeding.workspace("Side projects", false, 3);
    let teams: Vec<Gid> = words::TEAMS.iter().map(|name| seeding.team(name, organization)).collect();
    for (name, color) in words::TAGS {
        let gid = seeding.world.mint(Origin::Seed);
        seeding.world.tags.insert(gid, Tag { name: name.to_owned(), color, workspace: organization });
    }
    seeding.custom_fields(organization);
    let mut projects = Vec::new();
    for (name, team, color) in words::PROJECTS {
        projects.push(seeding.project(name, organization, teams.get(team).copied(), color));
    }
    projects.push(seeding.project("Garden", personal, None, "light-green"));
    for project in &projects {
        seeding.tasks(*project);
    }
    seeding.second_homes(&projects);
    seeding.world
}

struct Seeding {
    world: World,
    dice: Dice,
    base: DateTime<Utc>,
    people: Vec<Gid>,
}

impl Seeding {
    fn people(&mut self) {
        for name in words::PEOPLE {
            let gid = self.world.mint(Origin::Seed);
            let email = format!("{}@northwind.example", name.to_lowercase().replace(' ', "."));
            self.world.users.insert(gid, User { name: name.to_owned(), email });
            self.people.push(gid);
        }
        self.world.me = self.people.first().copied().unwrap_or_default();
    }

    fn workspace(&mut self, name: &str, is_organization: bool, members: usize) -> Gid {
        let gid = self.world.mint(Origin::Seed);
        let email_domains = if is_organization { vec!["northwind.example".to_owned()] } else { Vec::new() };
        let members = self.people.iter().copied().take(members).collect();
        self.world.workspaces.insert(gid, Workspace { name: name.to_owned(), is_organization, email_domains, members });
        gid
    }

    fn team(&mut self, name: &str, workspace: Gid) -> Gid {
        let gid = self.world.mint(Origin::Seed);
        let mut members: Vec<Gid> = self.people.iter().copied().take(1).collect();
        for person in self.people.iter().skip(1) {
            if self.dice.chance(40) {
                members.push(*person);
            }
        }
        self.world.teams.insert(gid, Team { name: name.to_owned(), workspace, members });
        gid
    }

    fn custom_fields(&mut self, workspace: Gid) {
        let levels = [("High", "red"), ("Medium", "yellow"), ("Low", "green")];
        let options = levels.map(|(name, color)| EnumOption { gid: self.world.mint(Origin::Seed), name, color });
        for (name, subtype, options) in [
            ("Priority", "enum", options.to_vec()),
            ("Estimate", "number", Vec::new()),
            ("Customer", "text", Vec::new()),
        ] {
            let gid = self.world.mint(Origin::Seed);
            let field = CustomField { name: name.to_owned(), subtype, workspace, options };
            self.world.custom_fields.insert(gid, field);
        }
    }

    fn days_ago(&mut self, from: i64, to: i64) -> DateTime<Utc> {
        let minutes = self.dice.between(from * 24 * 60, to * 24 * 60);
        // Whole milliseconds would look made up; so would all at the full minute.
        self.base - TimeDelta::minutes(minutes) - TimeDelta::milliseconds(self.dice.between(1, 59_999))
    }

    fn day(&mut self, from: i64, to: i64) -> NaiveDate {
        (self.base + TimeDelta::days(self.dice.between(from, to))).date_naive()
    }

    fn person_of(&mut self, workspace: Gid) -> Gid {
        let members = self.world.workspaces.get(&workspace).map(|space| space.members.as_slice()).unwrap_or_default();
        self.dice.pick(members).copied().unwrap_or(self.world.me)
    }

    fn edit(&mut self, at: DateTime<Utc>, by: Gid) -> Edit<'_> {
        // Dropped without `finish`: the past is not told to anybody.
        Edit::new(&mut self.world, at, by, Origin::Seed)
    }

    fn project(&mut self, name: &str, workspace: Gid, team: Option<Gid>, color: &'static str) -> Gid {
        let at = self.days_ago(120, 160);
        let owner = self.person_of(workspace);
        let gid = self.edit(at, owner).create_project(name, workspace, team);
        let (start_on, due_on) = (self.day(-110, -90), self.day(10, 120));
        let mut members = vec![owner];
        for _ in 0..6 {
            members.push(self.person_of(workspace));
        }
        members.sort_unstable();
        members.dedup();
        let statuses = vec![self.status(gid, owner, 2), self.status(gid, owner, 16)];
        if let Some(record) = self.world.projects.get_mut(&gid) {
            record.notes = format!("{name}: goals, owners and dates. Kept up to date every week.");
            record.color = color;
            record.members = members;
            record.start_on = Some(start_on);
            record.due_on = Some(due_on);
            record.statuses = statuses;
        }
        gid
    }

    fn status(&mut self, project: Gid, author: Gid, days: i64) -> Gid {
        let gid = self.world.mint(Origin::Seed);
        let created_at = self.days_ago(days, days + 5);
        let (title, text, color) = *self.dice.pick(&words::STATUSES).unwrap_or(&("On track", "", "green"));
        let status =
            ProjectStatus { title: title.to_owned(), text: text.to_owned(), color, author, project, created_at };
        self.world.statuses.insert(gid, status);
        gid
    }

    fn tasks(&mut self, project: Gid) {
        let Some(record) = self.world.projects.get(&project) else { return };
        let (workspace, sections) = (record.workspace, record.sections.clone());
        for _ in 0..self.dice.between(50, 58) {
            // Index of the column: half of the work is done.
            let column = *self.dice.pick(&[0, 0, 0, 1, 1, 2, 3, 3, 3, 3]).unwrap_or(&0);
            let Some(section) = sections.get(column).copied() else { continue };
            let task = self.task(workspace, vec![Membership { project, section }], column == 3);
            if self.dice.chance(12) {
                for _ in 0..self.dice.between(1, 4) {
                    self.subtask(workspace, task);
                }
            }
        }
    }

    fn name(&mut self) -> String {
        let verb = self.dice.pick(&words::VERBS).copied().unwrap_or_default();
        let thing = self.dice.pick(&words::THINGS).copied().unwrap_or_default();
        let context = self.dice.pick(&words::CONTEXTS).copied().unwrap_or_default();
        format!("{verb} {thing}{context}")
    }

    fn due(&mut self) -> Option<Due> {
        match self.dice.between(0, 9) {
            0..=3 => None,
            4..=7 => Some(Due::On(self.day(-20, 45))),
            _ => {
                let day = self.day(-20, 45).and_hms_opt(9, 0, 0)?.and_utc();
                Some(Due::At(day + TimeDelta::minutes(30 * self.dice.between(0, 18))))
            }
        }
    }

    fn task(&mut self, workspace: Gid, places: Vec<Membership>, done: bool) -> Gid {
        let (at, by) = (self.days_ago(31, 100), self.person_of(workspace));
        let assignee = if self.dice.chance(85) { Some(self.person_of(workspace)) } else { None };
        let new = NewTask {
            workspace,
            name: self.name(),
            notes: self.dice.pick(&words::NOTES).copied().unwrap_or_default().to_owned(),
            assignee,
            due: self.due(),
            start_on: None,
            parent: None,
            places,
            tags: self.some_tags(workspace),
        };
        let gid = self.edit(at, by).create_task(new);
        self.fill_custom(workspace, gid);
        self.comments(workspace, gid);
        if done || self.dice.chance(4) {
            let (at, by) = (self.days_ago(0, 12), assignee.unwrap_or(by));
            self.edit(at, by).set_completed(gid, true);
        }
        gid
    }

    fn subtask(&mut self, workspace: Gid, parent: Gid) {
        let (at, by) = (self.days_ago(14, 30), self.person_of(workspace));
        let assignee = if self.dice.chance(60) { Some(self.person_of(workspace)) } else { None };
        let name = self.name();
        let new = NewTask { workspace, name, assignee, parent: Some(parent), ..NewTask::default() };
        let gid = self.edit(at, by).create_task(new);
        if self.dice.chance(50) {
            let at = self.days_ago(0, 12);
            self.edit(at, by).set_completed(gid, true);
        }
    }

    fn some_tags(&mut self, workspace: Gid) -> Vec<Gid> {
        let all: Vec<Gid> =
            self.world.tags.iter().filter(|(_, tag)| tag.workspace == workspace).map(|(gid, _)| *gid).collect();
        if self.dice.chance(35) { self.dice.pick(&all).copied().into_iter().collect() } else { Vec::new() }
    }

    fn fill_custom(&mut self, workspace: Gid, task: Gid) {
        let mut values = Vec::new();
        for (gid, field) in self.world.custom_fields.iter().filter(|(_, field)| field.workspace == workspace) {
            let filled = self.dice.chance(75);
            let value = match field.subtype {
                "enum" => self.dice.pick(&field.options).map(|option| CustomValue::Option(option.gid)),
                "number" => self.dice.pick(&[1.0, 2.0, 3.0, 5.0, 8.0]).copied().map(CustomValue::Number),
                _ => self.dice.pick(&words::CUSTOMERS).map(|name| CustomValue::Text((*name).to_owned())),
            };
            values.extend(value.filter(|_| filled).map(|value| (*gid, value)));
        }
        if let Some(record) = self.world.tasks.get_mut(&task) {
            record.custom = values;
        }
    }

    fn comments(&mut self, workspace: Gid, task: Gid) {
        let mut at = self.days_ago(20, 30);
        for _ in 0..self.dice.between(0, 3) {
            at += TimeDelta::minutes(self.dice.between(5, 60 * 24));
            let by = self.person_of(workspace);
            let text = self.dice.pick(&words::COMMENTS).copied().unwrap_or_default();
            self.edit(at, by).comment(task, text);
        }
    }

    /// A few tasks are in two projects.
    fn second_homes(&mut self, projects: &[Gid]) {
        for pair in projects.windows(2).take(projects.len().saturating_sub(2)) {
            let &[from, to] = pair else { continue };
            let section = self.world.projects.get(&to).and_then(|project| project.sections.first().copied());
            let tasks = self.world.tasks_of_project(from);
            for task in tasks.into_iter().step_by(17).take(2) {
                let (at, by) = (self.days_ago(0, 0), self.world.me);
                if let Some(section) = section {
                    self.edit(at, by).place(task, Membership { project: to, section });
                }
            }
        }
    }
}
