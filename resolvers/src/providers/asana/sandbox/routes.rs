//! The routes of the API: the reading calls that need no more than a line are answered here.

use http::Method;

use super::answer::{ApiError, Reply};
use super::batch;
use super::events::{self, Since};
use super::records::{Gid, Kind};
use super::registration;
use super::render::{self, Shape};
use super::session::Session;
use super::task_calls;

type Answer = Result<Reply, ApiError>;

/// Answers the call.
pub(super) fn answer(session: &mut Session<'_>) -> Answer {
    let segments = session.call.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if session.call.method == Method::GET { read(session, &segments) } else { write(session, &segments) }
}

fn write(session: &mut Session<'_>, segments: &[&str]) -> Answer {
    match (session.call.method.as_str(), segments) {
        ("POST", ["batch"]) => batch::run(session, answer),
        ("POST", ["tasks"]) => task_calls::create(session, None),
        ("PUT", ["tasks", gid]) => task_calls::update(session, gid),
        ("DELETE", ["tasks", gid]) => task_calls::delete(session, gid),
        ("POST", ["tasks", gid, "stories"]) => task_calls::comment(session, gid),
        ("POST", ["tasks", gid, "subtasks"]) => task_calls::create(session, Some(gid)),
        ("POST", ["tasks", gid, "addProject"]) => task_calls::add_project(session, gid),
        ("POST", ["sections", gid, "addTask"]) => task_calls::add_to_section(session, gid),
        ("POST", ["webhooks"]) => registration::create(session),
        ("PUT", ["webhooks", gid]) => registration::update(session, gid),
        ("DELETE", ["webhooks", gid]) => registration::delete(session, gid),
        _ => Err(ApiError::no_route()),
    }
}

fn read(session: &Session<'_>, segments: &[&str]) -> Answer {
    match segments {
        ["projects" | "sections", ..] => read_project(session, segments),
        ["tasks", ..] => read_task(session, segments),
        ["workspaces" | "organizations" | "teams" | "users", ..] => read_workspace(session, segments),
        ["tags"] => {
            let workspace = session.parameter(Kind::Workspace, "workspace")?;
            session.list(Kind::Tag, &tags(session, workspace))
        }
        ["tags", gid] => session.one(Kind::Tag, session.find(Kind::Tag, "tag", gid)),
        ["tags", gid, "tasks"] => task_calls::list_of_tag(session, gid),
        ["stories", gid] => session.one(Kind::Story, session.find(Kind::Story, "story", gid)),
        ["custom_fields", gid] => session.one(Kind::CustomField, session.find(Kind::CustomField, "custom_field", gid)),
        ["project_statuses", gid] => {
            session.one(Kind::ProjectStatus, session.find(Kind::ProjectStatus, "project_status", gid))
        }
        ["events"] => {
            let gid = session.call.parameter("resource").ok_or_else(|| ApiError::missing("resource"))?;
            read_events(session, gid)
        }
        ["webhooks"] => registration::list(session),
        ["webhooks", gid] => session.one(Kind::Webhook, session.find(Kind::Webhook, "webhook", gid)),
        _ => Err(ApiError::no_route()),
    }
}

fn read_workspace(session: &Session<'_>, segments: &[&str]) -> Answer {
    let world = &*session.world;
    let workspace = |gid: &str| session.find(Kind::Workspace, "workspace", gid);
    let team = |gid: &str| session.find(Kind::Team, "team", gid);
    let user = |gid: &str| session.find(Kind::User, "user", gid);
    match segments {
        ["workspaces"] => session.list(Kind::Workspace, &world.workspaces_of(world.me)),
        ["workspaces", gid] => session.one(Kind::Workspace, workspace(gid)),
        ["workspaces", gid, "users"] => session.list(Kind::User, &members(session, Some(workspace(gid)?))),
        ["workspaces", gid, "projects"] => projects(session, Some(workspace(gid)?), None),
        ["workspaces", gid, "tags"] => session.list(Kind::Tag, &tags(session, Some(workspace(gid)?))),
        ["workspaces", gid, "events"] => read_events(session, gid),
        ["workspaces", gid, "custom_fields"] => {
            let of = workspace(gid)?;
            let fields = world.custom_fields.iter().filter(|(_, field)| field.workspace == of);
            session.list(Kind::CustomField, &fields.map(|(gid, _)| *gid).collect::<Vec<_>>())
        }
        ["workspaces" | "organizations", gid, "teams"] => {
            let of = workspace(gid)?;
            let teams = world.teams.iter().filter(|(_, team)| team.workspace == of);
            session.list(Kind::Team, &teams.map(|(gid, _)| *gid).collect::<Vec<_>>())
        }
        ["teams", gid] => session.one(Kind::Team, team(gid)),
        ["teams", gid, "users"] => {
            let of = team(gid)?;
            session.list(Kind::User, world.teams.get(&of).map(|team| team.members.as_slice()).unwrap_or_default())
        }
        ["teams", gid, "projects"] => projects(session, None, Some(team(gid)?)),
        ["users"] => {
            let in_workspace = session.parameter(Kind::Workspace, "workspace")?;
            let in_team = session.parameter(Kind::Team, "team")?;
            let in_team = in_team.and_then(|gid| world.teams.get(&gid)).map(|team| &team.members);
            let mut all = members(session, in_workspace);
            all.retain(|gid| in_team.is_none_or(|members| members.contains(gid)));
            session.list(Kind::User, &all)
        }
        ["users", gid] => session.one(Kind::User, user(gid)),
        ["users", gid, "teams"] => {
            let of = user(gid)?;
            let teams = world.teams.iter().filter(|(_, team)| team.members.contains(&of));
            session.list(Kind::Team, &teams.map(|(gid, _)| *gid).collect::<Vec<_>>())
        }
        _ => Err(ApiError::no_route()),
    }
}

fn read_project(session: &Session<'_>, segments: &[&str]) -> Answer {
    let world = &*session.world;
    let project = |gid: &str| session.find(Kind::Project, "project", gid);
    match segments {
        ["projects"] => {
            let workspace = session.parameter(Kind::Workspace, "workspace")?;
            projects(session, workspace, session.parameter(Kind::Team, "team")?)
        }
        ["projects", gid] => session.one(Kind::Project, project(gid)),
        ["projects", gid, "sections"] => {
            let of = world.projects.get(&project(gid)?);
            session.list(Kind::Section, of.map(|project| project.sections.as_slice()).unwrap_or_default())
        }
        ["projects", gid, "tasks"] => task_calls::list(session, world.tasks_of_project(project(gid)?)),
        ["projects", gid, "task_counts"] => Ok(task_counts(session, project(gid)?)),
        ["projects", gid, "project_statuses"] => {
            let of = world.projects.get(&project(gid)?);
            session.list(Kind::ProjectStatus, of.map(|project| project.statuses.as_slice()).unwrap_or_default())
        }
        ["sections", gid] => session.one(Kind::Section, session.find(Kind::Section, "section", gid)),
        ["sections", gid, "tasks"] => {
            let of = session.find(Kind::Section, "section", gid)?;
            task_calls::list(session, world.tasks_of_section(of))
        }
        _ => Err(ApiError::no_route()),
    }
}

fn read_task(session: &Session<'_>, segments: &[&str]) -> Answer {
    let world = &*session.world;
    let [_, rest @ ..] = segments else { return Err(ApiError::no_route()) };
    let [gid, rest @ ..] = rest else { return task_calls::list_by_parameters(session) };
    let gid = session.find(Kind::Task, "task", gid)?;
    let Some(task) = world.tasks.get(&gid) else { return Err(ApiError::no_route()) };
    match rest {
        [] => session.one(Kind::Task, Ok(gid)),
        ["stories"] => session.list(Kind::Story, &task.stories),
        ["subtasks"] => task_calls::list(session, task.subtasks.clone()),
        ["projects"] => session.list(Kind::Project, &super::task_fields::projects(task)),
        ["tags"] => session.list(Kind::Tag, &task.tags),
        _ => Err(ApiError::no_route()),
    }
}

fn members(session: &Session<'_>, workspace: Option<Gid>) -> Vec<Gid> {
    match workspace.and_then(|gid| session.world.workspaces.get(&gid)) {
        Some(workspace) => workspace.members.clone(),
        None => session.world.users.keys().copied().collect(),
    }
}

fn tags(session: &Session<'_>, workspace: Option<Gid>) -> Vec<Gid> {
    let fits = |of: Gid| workspace.is_none_or(|workspace| workspace == of);
    session.world.tags.iter().filter(|(_, tag)| fits(tag.workspace)).map(|(gid, _)| *gid).collect()
}

fn projects(session: &Session<'_>, workspace: Option<Gid>, team: Option<Gid>) -> Answer {
    let archived = session.call.flag("archived")?;
    let found = session.world.projects.iter().filter(|(_, project)| {
        workspace.is_none_or(|gid| gid == project.workspace)
            && team.is_none_or(|gid| project.team == Some(gid))
            && archived.is_none_or(|archived| archived == project.archived)
    });
    session.list(Kind::Project, &found.map(|(gid, _)| *gid).collect::<Vec<_>>())
}

/// Counts come only when they are asked for by `opt_fields`.
fn task_counts(session: &Session<'_>, project: Gid) -> Reply {
    let world = &*session.world;
    let tasks = world.tasks_of_project(project);
    let done = tasks.iter().filter(|gid| world.tasks.get(gid).is_some_and(|task| task.completed.is_some())).count();
    let counts = [
        ("num_tasks", tasks.len()),
        ("num_incomplete_tasks", tasks.len() - done),
        ("num_completed_tasks", done),
        ("num_milestones", 0),
        ("num_incomplete_milestones", 0),
        ("num_completed_milestones", 0),
    ];
    let nothing = render::Selection::default();
    let selection = session.call.selection.as_ref().unwrap_or(&nothing);
    let group = counts.map(|(name, count)| (name, super::node::Node::count(count))).into();
    Reply::ok(render::group(world, group, Shape::Fields(selection)))
}

fn read_events(session: &Session<'_>, gid: &str) -> Answer {
    let found = gid.parse().ok().and_then(|gid| session.world.find(gid));
    let resource = found.ok_or_else(|| ApiError::unknown("resource", gid))?;
    let token = session.call.parameter("sync");
    match events::since(session.world, resource.gid, token, session.now) {
        Since::Fresh(sync) => Err(ApiError::fresh_sync(&sync)),
        Since::Events(found, sync, has_more) => {
            let shape = session.call.selection.as_ref().map_or(Shape::Compact, Shape::Fields);
            let shown = found.iter().map(|event| render::group(session.world, events::shown(event), shape));
            let mut reply = Reply::ok(shown.collect());
            if let Some(body) = reply.body.as_object_mut() {
                body.insert("sync".to_owned(), sync.into());
                body.insert("has_more".to_owned(), has_more.into());
            }
            Ok(reply)
        }
    }
}
