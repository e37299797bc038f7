//! The containers of tasks: projects, sections, workspaces; and people.

use super::{
    super::names::{PROJECT, PROJECTS, SECTION, SECTIONS, TASKS, USER, WORKSPACE, WORKSPACES},
    event::{Event, act, list_of, part},
};
use crate::provider::{
    ListRef, NodeRef,
    change::{Act, ActivityDraft, Change},
};

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
    let mut change = told(event, change, project.clone(), "project");
    if let Some(activity) = change.activity.as_mut().filter(|_| event.is(&["added"])) {
        activity.act = making(activity, &project);
    }
    Some(change)
}

/// Tells of a thing that may have been edited.
fn told(event: &Event<'_>, change: Change, thing: NodeRef, name: &str) -> Change {
    let (mut parts, act) = event.edited();
    parts.push(part(name, &thing));
    event.told(change, thing, parts, act)
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
    // A project may come with several.
    let name = if event.is(&["added"]) { format!("{SECTION_PART}:{}", section.native_id) } else { SECTION_PART.into() };
    let mut change = told(event, change, section, &name);
    let project = event.parent_of(PROJECT);
    if let Some(activity) = &mut change.activity {
        activity.details.extend(project.as_ref().map(|project| part("project", project)));
        if let Some(project) = project.filter(|_| event.is(&["added"])) {
            activity.act = making(activity, &project);
        }
    }
    Some(change)
}

/// The part that names a section, and the beginning of those of sections that were added.
pub(in super::super) const SECTION_PART: &str = "section";

/// The act of making a project: Asana tells of its first sections in events of their own.
fn making(activity: &ActivityDraft, project: &NodeRef) -> Act {
    let by = activity.actor.as_ref().map_or("", |actor| &actor.native_id);
    let name = format!("made|{}|{by}", project.native_id);
    act(&[name.as_str()])
}

pub(super) fn workspace(event: &Event<'_>) -> Option<Change> {
    let workspace = event.resource(WORKSPACE)?;
    let stale_lists = vec![ListRef { parent: None, name: WORKSPACES }];
    let change = Change { stale: vec![workspace.clone()], stale_lists, ..Change::default() };
    Some(told(event, change, workspace, "workspace"))
}

pub(super) fn user(event: &Event<'_>) -> Option<Change> {
    let user = event.resource(USER)?;
    Some(told(event, Change { stale: vec![user.clone()], ..Change::default() }, user, "user"))
}

/// A project shows its latest status.
pub(super) fn status(event: &Event<'_>) -> Option<Change> {
    let project = event.parent_of(PROJECT)?;
    let change = Change { stale: vec![project.clone()], ..Change::default() };
    let parts = vec![part("project", &project)];
    Some(event.told(change, project, parts, Act::default()))
}
