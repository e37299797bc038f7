//! The gentle traffic: what a team does all day, one believable act after the other, for ever without filling up a project.

use serde_json::{Value, json};

use super::dice::Dice;
use super::records::Gid;
use super::words;
use super::world::World;

/// A project keeps below a page of tasks.
const MOST_IN_PROJECT: usize = 90;

/// The tasks in projects that are open.
pub(super) fn open_tasks(world: &World) -> Vec<Gid> {
    let open =
        world.tasks.iter().filter(|(_, task)| !task.deleted && task.completed.is_none() && task.parent.is_none());
    open.filter(|(_, task)| !task.memberships.is_empty()).map(|(gid, _)| *gid).collect()
}

/// The `n`th act.
pub(super) fn act(world: &World, n: u64) -> (&'static str, Value) {
    let mut dice = Dice::new(world.seed.rotate_left(17) ^ n);
    let open = open_tasks(world);
    let done: Vec<Gid> =
        world.tasks.iter().filter(|(_, task)| !task.deleted && task.completed.is_some()).map(|(gid, _)| *gid).collect();
    let workspace = world.workspaces.iter().next().map(|(gid, _)| *gid);
    let people =
        workspace.and_then(|gid| world.workspaces.get(&gid)).map(|of| of.members.as_slice()).unwrap_or_default();
    let by = dice.pick(people).copied().unwrap_or(world.me).to_string();
    let other = dice.pick(people).copied().unwrap_or(world.me).to_string();
    let task = dice.pick(&open).map(Gid::to_string);
    let finished = dice.pick(&done).map(Gid::to_string);
    match (n % 8, task, finished) {
        (0 | 4, Some(task), _) => {
            let text = dice.pick(&words::COMMENTS).copied().unwrap_or_default();
            ("comment_task", json!({ "task": task, "text": text, "by": by }))
        }
        (1, Some(task), _) => ("move_task", json!({ "task": task, "by": by })),
        (2, Some(task), _) => ("complete_task", json!({ "task": task, "by": by })),
        (3, Some(task), _) => ("assign_task", json!({ "task": task, "assignee": other, "by": by })),
        (5, Some(task), _) => ("set_due", json!({ "task": task, "by": by })),
        // Keeps the number of open tasks level: as many are opened as completed.
        (7, _, Some(task)) => ("reopen_task", json!({ "task": task, "by": by })),
        _ => create(world, &mut dice, &by),
    }
}

fn create(world: &World, dice: &mut Dice, by: &str) -> (&'static str, Value) {
    let sizes = world.projects.iter().filter(|(_, project)| !project.archived);
    let smallest =
        sizes.map(|(gid, _)| (world.tasks_of_project(*gid), *gid)).min_by_key(|(tasks, gid)| (tasks.len(), *gid));
    match smallest {
        Some((tasks, _)) if tasks.len() >= MOST_IN_PROJECT => {
            let task = tasks.first().copied().unwrap_or_default().to_string();
            ("delete_task", json!({ "task": task, "by": by }))
        }
        smallest => {
            let project = smallest.map(|(_, gid)| gid).unwrap_or_default().to_string();
            let verb = dice.pick(&words::VERBS).copied().unwrap_or_default();
            let thing = dice.pick(&words::THINGS).copied().unwrap_or_default();
            ("create_task", json!({ "project": project, "name": format!("{verb} {thing}"), "by": by }))
        }
    }
}
