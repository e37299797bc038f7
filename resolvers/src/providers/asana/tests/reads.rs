//! Numbers of calls, and what they bring.

use std::time::Duration;

use mullion_schema::ports::Lookup;
use serde_json::Value;

use super::world::{World, list, node, page, world};
use crate::{
    provider::{
        FetchWant, Fetched, FetchedPage, ListRef, NodeRef, PageWant, Provider as _,
        change::{NodeWrite, Version},
    },
    providers::asana::{Asana, keys::kind, names},
    sandbox::Rejection,
    upstream::UpstreamErrorKind,
};

fn fields<'f>(fetched: &'f Fetched, id: &str) -> &'f mullion_schema::view::Body {
    let write = fetched.writes.iter().find(|write| write.node.native_id.as_ref() == id).expect("a write");
    &write.aspects[0].fields
}

fn the_page(fetched: &Fetched) -> &FetchedPage {
    assert_eq!(fetched.pages.len(), 1);
    &fetched.pages[0]
}

fn tasks_of(project: &str) -> ListRef {
    list(Some((names::PROJECT, project)), names::TASKS)
}

#[test]
fn a_project_s_tasks_are_one_call_that_brings_all_of_them() {
    let world = world();
    let (project, tasks) = world.project();
    let fetched = world.fetch(vec![page(tasks_of(&project), &[])]).remove(0).expect("a page");
    assert_eq!(world.calls(), ["GET /tasks"]);
    let found = the_page(&fetched);
    assert_eq!((found.items.len(), found.next.as_deref()), (tasks.len(), None));
    assert_eq!(found.total, i64::try_from(tasks.len()).ok());
    // In the order of the window, each item a member of it.
    let body = |write: &NodeWrite| write.aspects[0].fields.clone();
    let written = |item: &NodeRef| fetched.writes.iter().find(|write| write.node == *item).map(body).expect("a write");
    let sorts: Vec<String> = found
        .items
        .iter()
        .map(|item| {
            let places = Asana.memberships(item, &written(item));
            places.into_iter().find(|(of, _)| *of == found.want.list).expect("a member").1
        })
        .collect();
    assert!(sorts.is_sorted());
    // Nothing of the whole type is missing, and whom a task names comes along.
    let task = written(&found.items[0]);
    for ty in mullion_schema::providers::asana::TYPES {
        let rows = fetched.writes.iter().filter(|write| write.node.type_name == ty.name);
        let count = rows.count();
        assert_eq!(
            count > 0,
            matches!(ty.name, "AsanaTask" | "AsanaProject" | "AsanaSection" | "AsanaUser"),
            "{}",
            ty.name
        );
    }
    let assignee = found.items.iter().find_map(|item| written(item)["assignee"].as_str().map(str::to_owned));
    let assignee = assignee.expect("an assignee");
    assert!(!fields(&fetched, assignee.trim_start_matches("AsanaUser:"))["displayName"].is_null());
    assert!(task["section"].is_string() && task["sectionName"].is_string() && task["commentCount"].is_null());
}

#[test]
fn all_filters_of_a_list_in_one_tick_share_its_call() {
    let world = world();
    let (project, tasks) = world.project();
    let filters = [&[][..], &[("completed", "true")], &[("completed", "false")], &[]];
    let wants = filters.iter().map(|filter| page(tasks_of(&project), filter)).collect();
    let fetched = world.fetch(wants);
    assert_eq!(world.calls(), ["GET /tasks"]);
    let counts: Vec<usize> =
        fetched.iter().map(|fetched| the_page(fetched.as_ref().expect("a page")).items.len()).collect();
    assert_eq!((counts[0], counts[3], counts[1] + counts[2]), (tasks.len(), tasks.len(), tasks.len()));
    assert!(counts[1] > 0 && counts[2] > 0);
    assert_eq!(fetched.iter().filter(|fetched| !fetched.as_ref().expect("a page").writes.is_empty()).count(), 1);
    // Alone, Asana leaves the completed ones out.
    let open = world.fetch(vec![page(tasks_of(&project), &[("completed", "false")])]).remove(0).expect("a page");
    assert_eq!(the_page(&open).items.len(), counts[2]);
    assert!(world.whole_calls()[0].contains("completed_since=now"));
}

#[test]
fn a_dashboard_of_projects_is_one_call_for_each() {
    let world = world();
    let projects = world.sandbox.projects();
    let wants = projects.iter().map(|(project, _)| page(tasks_of(project), &[])).collect();
    assert!(world.fetch(wants).iter().all(Result::is_ok));
    assert_eq!(world.calls(), vec!["GET /tasks"; projects.len()]);
}

#[test]
fn nodes_are_read_once_and_together() {
    let world = world();
    let (project, tasks) = world.project();
    let one = world.fetch(vec![node(names::TASK, &tasks[0], &["title"])]).remove(0).expect("a task");
    assert_eq!(one.found.expect("found").native_id.as_ref(), tasks[0]);
    assert_eq!(world.calls(), [format!("GET /tasks/{}", tasks[0])]);
    let mut wants: Vec<FetchWant> = tasks.iter().take(9).map(|gid| node(names::TASK, gid, &["title"])).collect();
    wants.push(node(names::TASK, &tasks[0], &["bodyText"]));
    wants.push(node(names::PROJECT, &project, &["name", "taskTotal", "taskCompleted", "taskIncomplete"]));
    wants.push(node(names::TASK, "1", &["title"]));
    wants.push(node(names::TASK, "../users/me", &["title"]));
    let fetched = world.fetch(wants);
    // Nine tasks, a project, its numbers, and a task that is not there: twelve reads.
    assert_eq!(world.calls(), ["POST /batch", "POST /batch"]);
    let found: Vec<bool> = fetched.iter().map(|fetched| fetched.as_ref().expect("read").found.is_some()).collect();
    assert_eq!(found, [[true; 11].as_slice(), &[false, false]].concat());
    let first = fields(fetched[0].as_ref().expect("a task"), &tasks[0]);
    assert!(first.contains_key("title") && first.contains_key("bodyText") && !first.contains_key("url"));
    let project = fetched[10].as_ref().expect("a project");
    let counts = project.writes.iter().flat_map(|write| &write.aspects).find(|aspect| aspect.name == names::COUNTS);
    let total = counts.expect("numbers").fields["taskTotal"].as_u64();
    assert_eq!(total, u64::try_from(tasks.len()).ok());
}

#[test]
fn numbers_of_tasks_alone_are_one_call() {
    let world = world();
    let (project, _) = world.project();
    let fetched = world.fetch(vec![node(names::PROJECT, &project, &["taskTotal"])]).remove(0).expect("numbers");
    assert_eq!(world.calls(), [format!("GET /projects/{project}/task_counts")]);
    assert_eq!((fetched.found.is_some(), fetched.writes.len()), (true, 1));
}

#[test]
fn many_people_are_read_as_a_list() {
    let world = world().connected();
    let workspace = world.gids("/workspaces").remove(0);
    let people = world.gids(&format!("/users?workspace={workspace}"));
    let wants = |count| people.iter().take(count).map(|gid| node(names::USER, gid, &["email"])).collect();
    assert!(world.fetch(wants(10)).iter().all(|fetched| fetched.as_ref().expect("a user").found.is_some()));
    assert_eq!(world.calls(), ["POST /batch"]);
    assert!(world.fetch(wants(11)).iter().all(|fetched| fetched.as_ref().expect("a user").found.is_some()));
    assert_eq!(world.calls(), ["GET /users"]);
}

#[test]
fn the_account_s_lists_come_by_name() {
    let world = world();
    let projects = page(list(None, names::PROJECTS), &[]);
    let fetched = world.fetch(vec![projects.clone(), page(list(None, names::WORKSPACES), &[])]);
    let found = the_page(fetched[0].as_ref().expect("projects"));
    assert_eq!(found.items.len(), world.sandbox.projects().len());
    assert_eq!(the_page(fetched[1].as_ref().expect("workspaces")).items.len(), 2);
    assert_eq!(world.calls().len(), 4, "the workspaces twice, then the projects of both");
    let world = world.connected();
    let workspace = world.gids("/workspaces").remove(0);
    let some = page(list(None, names::PROJECTS), &[("workspace", &workspace)]);
    let fetched = world.fetch(vec![projects, some]);
    assert_eq!(world.calls(), vec!["GET /projects"; 3]);
    let count = |at: usize| the_page(fetched[at].as_ref().expect("projects")).items.len();
    assert!(count(1) > 0 && count(1) < count(0));
    let names: Vec<String> = the_page(fetched[0].as_ref().expect("projects"))
        .items
        .iter()
        .map(|item| fields(fetched[0].as_ref().expect("projects"), &item.native_id)["name"].to_string().to_lowercase())
        .collect();
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn sections_keep_their_order_and_comments_are_only_what_people_said() {
    let world = world();
    let (project, tasks) = world.project();
    let sections = list(Some((names::PROJECT, &project)), names::SECTIONS);
    world.act("comment_task", &serde_json::json!({"task": tasks[0], "text": "Done."}));
    let comments = list(Some((names::TASK, &tasks[0])), names::COMMENTS);
    let first = world.gids(&format!("/projects/{project}/sections")).remove(0);
    let in_section = list(Some((names::SECTION, &first)), names::TASKS);
    let fetched = world.fetch(vec![page(sections, &[]), page(comments, &[]), page(in_section, &[])]);
    assert_eq!(world.calls().len(), 3);
    let items = |at: usize| -> Vec<&str> {
        let found = the_page(fetched[at].as_ref().expect("a page"));
        found.items.iter().map(|item| item.native_id.as_ref()).collect()
    };
    assert_eq!(items(0), world.gids(&format!("/projects/{project}/sections")));
    let stories = world.ask(&format!("/tasks/{}/stories", tasks[0]));
    let said = stories.as_array().expect("stories").iter().filter(|story| story["type"] == "comment").count();
    assert!(said > 0 && said < stories.as_array().expect("stories").len());
    assert_eq!(items(1).len(), said);
    let last = fields(fetched[1].as_ref().expect("comments"), items(1).last().expect("a comment"));
    assert_eq!(
        (&last["text"], &last["task"]),
        (&Value::from("Done."), &Value::from(format!("AsanaTask:{}", tasks[0])))
    );
    assert_eq!(items(2).len(), world.gids(&format!("/sections/{first}/tasks")).len());
}

#[test]
fn a_long_list_is_read_page_after_page() {
    let world = world();
    let (project, tasks) = world.project();
    for n in 0..100 {
        world.act("create_task", &serde_json::json!({"project": project, "name": format!("Task {n}")}));
    }
    let fetched = world.fetch(vec![page(tasks_of(&project), &[])]).remove(0).expect("a page");
    assert_eq!(the_page(&fetched).items.len(), tasks.len() + 100);
    assert_eq!(world.calls(), ["GET /tasks", "GET /tasks"]);
}

#[test]
fn what_a_read_brings_answers_every_field_of_the_type() {
    let world = world();
    let (project, tasks) = world.project();
    let story = world.act("comment_task", &serde_json::json!({"task": tasks[0], "text": "x"}));
    assert!(story.is_empty(), "nobody subscribed");
    let comments = world.ask(&format!("/tasks/{}/stories", tasks[0]));
    let comment =
        comments.as_array().expect("stories").last().expect("a story")["gid"].as_str().expect("a gid").to_owned();
    let section = world.gids(&format!("/projects/{project}/sections")).remove(0);
    let (user, workspace) = (world.gids("/users").remove(0), world.gids("/workspaces").remove(0));
    for (type_name, id) in [
        (names::TASK, &tasks[0]),
        (names::PROJECT, &project),
        (names::SECTION, &section),
        (names::COMMENT, &comment),
        (names::USER, &user),
        (names::WORKSPACE, &workspace),
    ] {
        let ty = mullion_schema::providers::node_type(type_name).expect("a type");
        let everything = ty.keys();
        let want = FetchWant::Node { node: NodeRef::new(type_name, id.as_str()), asks: everything.clone() };
        let fetched = world.fetch(vec![want]).remove(0).expect("a node");
        let write = fetched.writes.iter().filter(|write| write.node.native_id.as_ref() == id);
        let known: Vec<&String> =
            write.flat_map(|write| &write.aspects).flat_map(|aspect| aspect.fields.keys()).collect();
        for key in everything {
            assert!(known.iter().any(|known| *known == key), "{type_name} lacks {key}: {known:?}");
        }
        assert!(kind(type_name).is_some());
    }
}

#[test]
fn versions_are_asana_s_where_it_has_some() {
    let world = world();
    let (_, tasks) = world.project();
    let fetched = world.fetch(vec![node(names::TASK, &tasks[0], &["title", "assignee"])]).remove(0).expect("a task");
    let modified = world.ask(&format!("/tasks/{}", tasks[0]))["modified_at"].as_str().expect("a time").parse();
    let at = Version::at(modified.expect("a time"));
    let task = fetched.writes.iter().find(|write| write.node.type_name == names::TASK).expect("the task");
    assert_eq!(task.aspects[0].version, at);
}

#[test]
fn the_viewer_is_whose_token_it_is() {
    let world = world();
    let account = futures::executor::block_on(Asana.identify(&world.api)).expect("an account");
    let me = account.user.clone().expect("a user");
    assert_eq!(account.facts[names::WORKSPACES_FACT].as_array().map(Vec::len), Some(2));
    assert!(!account.name.is_empty());
    let lookup = |name| Lookup {
        integration: world.api.integration.clone(),
        name,
        type_name: names::USER,
        arguments: [].into(),
    };
    let want = |name| FetchWant::Lookup { lookup: lookup(name), asks: ["email"].into(), lists: Vec::new() };
    let fetched = world.fetch(vec![want("viewer"), want("viewer"), want("channel")]);
    assert_eq!(fetched[0].as_ref().expect("a user").found, Some(me.clone()));
    assert_eq!(fetched[1].as_ref().expect("a user").found, Some(me));
    assert_eq!(fetched[2].as_ref().map_err(|error| error.kind), Err(UpstreamErrorKind::Rejected));
    assert_eq!(world.calls(), ["GET /users/me", "GET /users/me"], "once to identify, once for both");
}

#[test]
fn failures_are_told_apart() {
    let world = world();
    let (project, tasks) = world.project();
    let wants =
        || vec![page(tasks_of(&project), &[]), node(names::TASK, &tasks[0], &[]), node(names::TASK, &tasks[1], &[])];
    let kinds = |world: &World| -> Vec<_> {
        world.fetch(wants()).into_iter().map(|fetched| fetched.expect_err("a failure").kind).collect()
    };
    *world.transport.refuse.lock() = Some(Rejection::Unauthorized);
    assert_eq!(kinds(&world), [UpstreamErrorKind::AuthExpired; 3]);
    *world.transport.refuse.lock() = Some(Rejection::RateLimited { retry_after: 7 });
    let error = world.fetch(wants()).remove(0).expect_err("a failure");
    assert_eq!((error.kind, error.retry_after), (UpstreamErrorKind::RateLimited, Some(Duration::from_secs(7))));
    assert!(world.transport.quotas.lock().iter().all(|quota| quota.remaining == Some(0) && quota.resets_at.is_some()));
    *world.transport.refuse.lock() = None;
    let unknown = world.fetch(vec![page(tasks_of("1"), &[]), page(tasks_of("x"), &[]), page(list(None, "tasks"), &[])]);
    let unknown: Vec<_> = unknown.into_iter().map(|fetched| fetched.expect_err("a failure").kind).collect();
    assert_eq!(unknown, [UpstreamErrorKind::NotFound, UpstreamErrorKind::NotFound, UpstreamErrorKind::Rejected]);
    let forged = PageWant { list: tasks_of(&project), filter: [].into(), cursor: Some("forged".into()) };
    let error = world.fetch(vec![FetchWant::Page(forged)]).remove(0).expect_err("a failure");
    assert_eq!(error.kind, UpstreamErrorKind::CursorExpired);
}
