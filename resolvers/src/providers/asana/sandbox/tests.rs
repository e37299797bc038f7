//! The stand-in as its clients see it: worlds, pages, selections, events, webhooks.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{AsanaSandbox, hooks};
use crate::sandbox::{ApiRequest, CallOutcome, HandshakeAnswer, Rejection, Sandbox};

fn base() -> DateTime<Utc> {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

fn sandbox() -> AsanaSandbox {
    AsanaSandbox::seeded(7, base(), "http://127.0.0.1:4001/asana/api/1.0".to_owned())
}

fn request(method: &str, path: &str, body: &Value) -> ApiRequest {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let builder = Request::builder().method(method).uri(path).header("authorization", "Bearer t");
    builder.header("content-type", "application/json").body(body).unwrap()
}

fn call(sandbox: &AsanaSandbox, method: &str, path: &str, body: &Value) -> CallOutcome {
    futures::executor::block_on(sandbox.call(base(), request(method, path, body)))
}

fn read(outcome: &CallOutcome) -> (u16, Value) {
    (outcome.response.status().as_u16(), serde_json::from_slice(outcome.response.body()).unwrap())
}

fn get(sandbox: &AsanaSandbox, path: &str) -> (u16, Value) {
    read(&call(sandbox, "GET", path, &Value::Null))
}

fn data(sandbox: &AsanaSandbox, path: &str) -> Value {
    let (status, mut body) = get(sandbox, path);
    assert_eq!(status, 200, "{path}: {body}");
    body["data"].take()
}

fn first_project(sandbox: &AsanaSandbox) -> String {
    sandbox.projects().remove(0).0
}

fn keys(of: &Value) -> Vec<&str> {
    of.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_world_is_of_a_real_teams_size() {
    let sandbox = sandbox();
    assert_eq!(data(&sandbox, "/workspaces").as_array().unwrap().len(), 2);
    assert!(data(&sandbox, "/users").as_array().unwrap().len() >= 25);
    let projects = sandbox.projects();
    assert!(projects.len() >= 10);
    let mut total = 0;
    for (gid, name) in projects {
        assert_eq!(gid.len(), 16);
        assert_eq!(data(&sandbox, &format!("/projects/{gid}/sections")).as_array().unwrap().len(), 4);
        let tasks = data(&sandbox, &format!("/projects/{gid}/tasks")).as_array().unwrap().len();
        assert!((50..=80).contains(&tasks), "{name} has {tasks}");
        total += tasks;
    }
    assert!(total >= 500);
}

#[test]
fn the_same_seed_and_acts_give_the_same_world() {
    let (one, two) = (sandbox(), sandbox());
    let other = AsanaSandbox::seeded(8, base(), String::new());
    one.add_webhook("http://127.0.0.1/x", "s");
    two.add_webhook("http://127.0.0.1/x", "s");
    for n in 0..400_u32 {
        let now = base() + TimeDelta::seconds(i64::from(n));
        let (action, input) = one.gentle(n.into());
        assert_eq!((action, input.clone()), two.gentle(n.into()));
        let (left, right) = (one.act(now, action, &input).unwrap(), two.act(now, action, &input).unwrap());
        assert_eq!(left.result, right.result);
        let bodies = |webhooks: &[crate::sandbox::OutgoingWebhook]| {
            webhooks.iter().map(|hook| (hook.body.clone(), hook.headers.clone())).collect::<Vec<_>>()
        };
        assert_eq!(bodies(&left.webhooks), bodies(&right.webhooks));
    }
    let all = |sandbox: &AsanaSandbox| {
        let projects = sandbox.projects();
        projects
            .iter()
            .map(|(gid, _)| data(sandbox, &format!("/projects/{gid}/tasks?opt_fields=name,modified_at,stories")))
            .collect::<Vec<_>>()
    };
    assert_eq!(all(&one), all(&two));
    assert_ne!(all(&one), all(&other));
}

#[test]
fn ids_of_acts_do_not_depend_on_what_calls_have_written() {
    let (one, two) = (sandbox(), sandbox());
    let project = first_project(&one);
    let outcome = call(&two, "POST", "/tasks", &json!({ "data": { "name": "x", "projects": [project] } }));
    assert_eq!(outcome.response.status(), StatusCode::CREATED);
    let act = |sandbox: &AsanaSandbox| sandbox.act(base(), "create_task", &json!({})).unwrap().result;
    assert_eq!(act(&one), act(&two));
}

#[test]
fn every_act_works_with_its_example_and_is_told() {
    let sandbox = sandbox();
    sandbox.add_webhook("http://127.0.0.1/x", "s");
    for (action, input) in sandbox.acts() {
        let acted = sandbox.act(base(), action, &input).unwrap_or_else(|error| panic!("{action}: {error}"));
        // Asana tells nobody that it gave up.
        let told = usize::from(!action.ends_with("_webhook"));
        assert_eq!(acted.webhooks.len(), told, "{action}");
        let Some(hook) = acted.webhooks.first() else { continue };
        assert_eq!(hook.headers["x-hook-signature"], hooks::signature("s", &hook.body));
        let body: Value = serde_json::from_slice(&hook.body).unwrap();
        assert_eq!(body["events"].as_array().unwrap().is_empty(), action == "heartbeat", "{action}");
    }
    assert!(sandbox.act(base(), "dance", &json!({})).is_err());
    for (action, _) in sandbox.acts() {
        if !action.starts_with("rename") {
            sandbox
                .act(base(), action, &json!({}))
                .map(drop)
                .or_else(|error| match error {
                    crate::sandbox::ActError::NotFound(_) => Ok(()),
                    other => Err(other),
                })
                .unwrap();
        }
    }
}

#[test]
fn pages_cover_a_list_once_and_end_with_null() {
    let sandbox = sandbox();
    let project = first_project(&sandbox);
    let all = data(&sandbox, &format!("/tasks?project={project}"));
    let mut path = format!("/tasks?project={project}&limit=20");
    let mut paged = Vec::new();
    loop {
        let (_, body) = get(&sandbox, &path);
        paged.extend(body["data"].as_array().unwrap().clone());
        if body["next_page"].is_null() {
            assert!(body.as_object().unwrap().contains_key("next_page"));
            break;
        }
        path = body["next_page"]["path"].as_str().unwrap().to_owned();
        assert_eq!(body["next_page"]["uri"], format!("http://127.0.0.1:4001/asana/api/1.0{path}"));
    }
    assert_eq!(Value::Array(paged), all);
    for bad in ["limit=0", "limit=101", "limit=x", "limit=5&offset=nonsense"] {
        assert_eq!(get(&sandbox, &format!("/tasks?project={project}&{bad}")).0, 400, "{bad}");
    }
}

#[test]
fn opt_fields_reach_through_references() {
    let sandbox = sandbox();
    let project = first_project(&sandbox);
    let fields = "name,memberships.section.name,assignee.name,projects,custom_fields.display_value,nonsense";
    let tasks = data(&sandbox, &format!("/projects/{project}/tasks?opt_fields={fields}"));
    let task = tasks.as_array().unwrap().iter().find(|task| !task["assignee"].is_null()).unwrap();
    assert_eq!(keys(task), ["gid", "name", "memberships", "assignee", "projects", "custom_fields"]);
    assert_eq!(keys(&task["memberships"][0]), ["section"]);
    assert_eq!(keys(&task["memberships"][0]["section"]), ["gid", "name"]);
    assert_eq!(keys(&task["assignee"]), ["gid", "name"]);
    assert_eq!(keys(&task["projects"][0]), ["gid", "resource_type"]);
    assert_eq!(keys(&task["custom_fields"][0]), ["gid", "display_value"]);
    let compact = data(&sandbox, &format!("/projects/{project}/tasks"));
    assert_eq!(keys(&compact[0]), ["gid", "resource_type", "name", "resource_subtype"]);
    let full = data(&sandbox, &format!("/tasks/{}", task["gid"].as_str().unwrap()));
    assert_eq!(full["projects"][0]["gid"], project);
    assert!(full["workspace"]["name"].is_string() && full["permalink_url"].is_string());
    let counts = data(&sandbox, &format!("/projects/{project}/task_counts?opt_fields=num_tasks,num_completed_tasks"));
    assert_eq!(keys(&counts), ["num_tasks", "num_completed_tasks"]);
    let status = data(&sandbox, &format!("/projects/{project}?opt_fields=current_status_update.title"));
    assert!(status["current_status_update"]["title"].is_string());
}

#[test]
fn errors_are_asanas() {
    let sandbox = sandbox();
    let cases = [
        ("/tasks/1299999999999999", 404, "task: Unknown object: 1299999999999999"),
        ("/tasks?project=1", 404, "project: Not a recognized ID: 1"),
        ("/tasks/x", 400, "task: Not a recognized ID: x"),
        ("/nothing", 404, "No matching route for request"),
        (
            "/tasks",
            400,
            "You should specify exactly one of project, tag, section, user task list, or assignee + workspace",
        ),
        ("/webhooks", 400, "workspace: Missing input"),
    ];
    for (path, status, message) in cases {
        let (got, body) = get(&sandbox, path);
        assert_eq!((got, body["errors"][0]["message"].as_str().unwrap()), (status, message), "{path}");
        assert!(body["errors"][0]["help"].is_string());
    }
    let anonymous = Request::builder().uri("/users/me").body(Bytes::new()).unwrap();
    let outcome = futures::executor::block_on(sandbox.call(base(), anonymous));
    assert_eq!(outcome.response.status(), StatusCode::UNAUTHORIZED);
    let limited = sandbox.rejection(
        base(),
        &request("GET", "/users/me", &Value::Null),
        Rejection::RateLimited { retry_after: 7 },
    );
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "7"));
}

#[test]
fn tasks_are_made_changed_moved_and_deleted_by_calls() {
    let sandbox = sandbox();
    let project = first_project(&sandbox);
    let sections = data(&sandbox, &format!("/projects/{project}/sections"));
    let made = call(
        &sandbox,
        "POST",
        "/tasks",
        &json!({ "data": { "name": "x", "projects": [project], "assignee": "me" },
        "options": { "fields": ["name", "assignee.email"] } }),
    );
    let (status, body) = read(&made);
    assert_eq!((status, keys(&body["data"])), (201, vec!["gid", "name", "assignee"]));
    let task = format!("/tasks/{}", body["data"]["gid"].as_str().unwrap());
    let put = |data: Value| read(&call(&sandbox, "PUT", &task, &json!({ "data": data })));
    assert_eq!(put(json!({ "due_on": "2026-04-01", "completed": true })).1["data"]["due_on"], "2026-04-01");
    assert_eq!(put(json!({ "due_on": "2026-04-01", "due_at": "2026-04-01T00:00:00Z" })).0, 400);
    assert_eq!(put(json!({ "due_at": "2026-04-02T10:00:00Z" })).1["data"]["due_on"], "2026-04-02");
    let section = sections[2]["gid"].as_str().unwrap();
    let gid = body["data"]["gid"].as_str().unwrap();
    call(&sandbox, "POST", &format!("/sections/{section}/addTask"), &json!({ "data": { "task": gid } }));
    assert_eq!(data(&sandbox, &task)["memberships"][0]["section"]["gid"], section);
    let comment = call(&sandbox, "POST", &format!("{task}/stories"), &json!({ "data": { "text": "<hi>" } }));
    assert_eq!(read(&comment).1["data"]["type"], "comment");
    let stories = data(&sandbox, &format!("{task}/stories?opt_fields=resource_subtype,html_text"));
    assert_eq!(stories.as_array().unwrap().last().unwrap()["html_text"], "<body>&lt;hi&gt;</body>");
    assert_eq!(read(&call(&sandbox, "DELETE", &task, &Value::Null)), (200, json!({ "data": {} })));
    assert_eq!(get(&sandbox, &task).0, 404);
}

#[test]
fn a_batch_answers_in_order_with_a_status_each() {
    let sandbox = sandbox();
    let project = first_project(&sandbox);
    let actions = json!([
        { "relative_path": "/users/me", "method": "get", "options": { "fields": ["name"] } },
        { "relative_path": "/tasks/1", "method": "get" },
        { "relative_path": "/tasks", "method": "get", "data": { "project": project }, "options": { "limit": 3 } },
    ]);
    let (status, body) = read(&call(&sandbox, "POST", "/batch", &json!({ "data": { "actions": actions } })));
    assert_eq!(status, 200);
    let statuses: Vec<_> =
        body["data"].as_array().unwrap().iter().map(|one| one["status_code"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 404, 200]);
    assert_eq!(keys(&body["data"][0]["body"]["data"]), ["gid", "name"]);
    assert_eq!(body["data"][2]["body"]["data"].as_array().unwrap().len(), 3);
    let many = vec![json!({ "relative_path": "/users/me", "method": "get" }); 11];
    assert_eq!(call(&sandbox, "POST", "/batch", &json!({ "data": { "actions": many } })).response.status(), 400);
}

#[test]
fn sync_tokens_start_fresh_and_then_tell_what_happened_since() {
    let sandbox = sandbox();
    let project = first_project(&sandbox);
    let events = |sync: &str| get(&sandbox, &format!("/events?resource={project}&sync={sync}"));
    let (status, body) = events("");
    assert_eq!(status, 412);
    let sync = body["sync"].as_str().unwrap().to_owned();
    let made = sandbox.act(base(), "create_task", &json!({ "project": project })).unwrap().result;
    let elsewhere = sandbox.projects().remove(3).0;
    sandbox.act(base(), "create_task", &json!({ "project": elsewhere })).unwrap();
    let (status, body) = events(&sync);
    assert_eq!((status, body["has_more"].as_bool()), (200, Some(false)));
    assert_eq!(body["data"][0]["action"], "added");
    assert_eq!(body["data"][0]["resource"]["gid"], made["task"]);
    assert_eq!(body["data"].as_array().unwrap().len(), 3);
    let next = body["sync"].as_str().unwrap().to_owned();
    assert_eq!(events(&next).1["data"], json!([]));
    assert_eq!(events(&sync).1["data"], body["data"]);
    for n in 0..60 {
        sandbox.act(base(), "rename_task", &json!({ "task": made["task"], "name": format!("{n}") })).unwrap();
    }
    let (_, first) = events(&next);
    assert_eq!((first["data"].as_array().unwrap().len(), first["has_more"].as_bool()), (100, Some(true)));
    assert_eq!(events(first["sync"].as_str().unwrap()).1["data"].as_array().unwrap().len(), 20);
    assert_eq!(events("00000000000000000000000000000000").0, 412);
    let later = base() + TimeDelta::hours(25);
    let old = request("GET", &format!("/events?resource={project}&sync={next}"), &Value::Null);
    assert_eq!(futures::executor::block_on(sandbox.call(later, old)).response.status(), 412);
}

fn register(sandbox: &AsanaSandbox, resource: &str, echo: Option<(StatusCode, bool)>) -> CallOutcome {
    let body = json!({ "data": { "resource": resource, "target": "http://127.0.0.1:4000/hook" } });
    let first = call(sandbox, "POST", "/webhooks", &body);
    let Some(sent) = first.handshake else { return first };
    let mut again = request("POST", "/webhooks", &body);
    let answer =
        echo.map(|(status, echoes)| (status, if echoes { sent.headers.clone() } else { http::HeaderMap::new() }));
    again.extensions_mut().insert(HandshakeAnswer { sent, answer });
    futures::executor::block_on(sandbox.call(base(), again))
}

#[test]
fn a_webhook_exists_once_its_target_has_echoed_the_secret() {
    let sandbox = sandbox();
    let project = first_project(&sandbox);
    for refused in [None, Some((StatusCode::OK, false)), Some((StatusCode::NOT_FOUND, true))] {
        assert_eq!(register(&sandbox, &project, refused).response.status(), StatusCode::BAD_REQUEST);
    }
    let outcome = register(&sandbox, &project, Some((StatusCode::NO_CONTENT, true)));
    let (status, body) = read(&outcome);
    assert_eq!((status, body["data"]["active"].as_bool()), (201, Some(true)));
    let secret = body["X-Hook-Secret"].as_str().unwrap();
    assert_eq!((secret.len(), outcome.webhooks.len()), (64, 1));
    let again = register(&sandbox, &project, Some((StatusCode::OK, true)));
    assert_eq!(read(&again).0, 403);
    assert_eq!(read(&again).1["errors"][0]["message"], "Duplicated webhook");

    let acted = sandbox.act(base(), "create_task", &json!({ "project": project })).unwrap();
    assert_eq!(acted.webhooks[0].headers["x-hook-signature"], hooks::signature(secret, &acted.webhooks[0].body));
    let elsewhere = sandbox.projects().remove(3).0;
    assert!(sandbox.act(base(), "create_task", &json!({ "project": elsewhere })).unwrap().webhooks.is_empty());

    let workspace = data(&sandbox, "/workspaces")[0]["gid"].as_str().unwrap().to_owned();
    let listed = data(&sandbox, &format!("/webhooks?workspace={workspace}"));
    let gid = body["data"]["gid"].as_str().unwrap();
    assert_eq!(listed[0]["gid"], gid);
    assert_eq!(register(&sandbox, &workspace, None).response.status(), StatusCode::BAD_REQUEST);
    let filters =
        json!({ "data": { "filters": [{ "resource_type": "task", "action": "changed", "fields": ["completed"] }] } });
    assert_eq!(call(&sandbox, "PUT", &format!("/webhooks/{gid}"), &filters).response.status(), 200);
    let acted = sandbox.act(base(), "complete_task", &json!({ "task": acted.result["task"] })).unwrap();
    let body: Value = serde_json::from_slice(&acted.webhooks[0].body).unwrap();
    assert_eq!(body["events"].as_array().unwrap().len(), 1);
    assert_eq!(body["events"][0]["change"], json!({ "field": "completed", "action": "changed" }));
    assert_eq!(call(&sandbox, "DELETE", &format!("/webhooks/{gid}"), &Value::Null).response.status(), 200);
    assert_eq!(get(&sandbox, &format!("/webhooks/{gid}")).0, 404);
}
