//! What tasks are in: projects, sections, workspaces; and people.

use super::{
    super::names::{PROJECT, PROJECTS, SECTION, SECTIONS, TASKS, USER, WORKSPACE, WORKSPACES},
    event::{Event, list_of},
};
use crate::change::{Change, ListRef};

pub(super) fn project(event: &Event<'_>) -> Option<Change> {
    let project = event.resource(PROJECT)?;
    let mut change = Change { stale: vec![project.clone()], ..Change::default() };
    match event.action {
        "deleted" => change.writes.push(event.gone(&project)),
        "undeleted" => change.writes.push(event.back(&project)),
        _ => {}
    }
    // The account's list is sorted by what the projects themselves tell; only their coming and going outdates it.
    if !event.is(&["changed"]) {
        change.stale_lists.push(ListRef { parent: None, name: PROJECTS });
    }
    Some(event.told(change, project, "A project"))
}

pub(super) fn section(event: &Event<'_>) -> Option<Change> {
    let section = event.resource(SECTION)?;
    let mut change = Change { stale: vec![section.clone()], ..Change::default() };
    change.stale_lists.extend(event.parent_of(PROJECT).map(|project| list_of(project, SECTIONS)));
    if event.is(&["deleted"]) {
        change.writes.push(event.gone(&section));
    } else if event.is(&["changed", "undeleted"]) {
        // Tasks tell the name of the section that they stand in.
        change.stale_lists.push(list_of(section.clone(), TASKS));
    }
    Some(event.told(change, section, "A section"))
}

pub(super) fn workspace(event: &Event<'_>) -> Option<Change> {
    let workspace = event.resource(WORKSPACE)?;
    let stale_lists = vec![ListRef { parent: None, name: WORKSPACES }];
    let change = Change { stale: vec![workspace.clone()], stale_lists, ..Change::default() };
    Some(event.told(change, workspace, "A workspace"))
}

pub(super) fn user(event: &Event<'_>) -> Option<Change> {
    let user = event.resource(USER)?;
    Some(event.told(Change { stale: vec![user.clone()], ..Change::default() }, user, "A user"))
}

/// A project shows its latest status.
pub(super) fn status(event: &Event<'_>) -> Option<Change> {
    let project = event.parent_of(PROJECT)?;
    Some(event.told(Change { stale: vec![project.clone()], ..Change::default() }, project, "A status update"))
}
