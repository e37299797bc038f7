//! Mutations: roles, checks with the field's name, and what reaches the port.

use std::sync::Arc;

use mullion_schema::ports::Role;
use serde_json::{Value, json};

use crate::fake::{Fake, error, node_id, own_id, run_as};

const CREATE: &str = "mutation($input: CreateDashboardInput!) { createDashboard(input: $input) { dashboard { id } } }";
const UPDATE: &str = "mutation($input: UpdateDashboardInput!) { updateDashboard(input: $input) { dashboard { id } } }";
const ADD: &str = "mutation($input: AddWidgetInput!) { addWidget(input: $input) { widget { id } } }";
const CHANGE: &str = "mutation($input: UpdateWidgetInput!) { updateWidget(input: $input) { widget { id } } }";
const CONNECT: &str =
    "mutation($input: ConnectIntegrationInput!) { connectIntegration(input: $input) { webhookSecret } }";

fn source(source: &Value) -> Value {
    json!({"dashboardId": own_id("Dashboard", "d1"), "title": "T", "source": source})
}

#[test]
fn bad_inputs_are_refused_by_name() {
    let fake = Arc::new(Fake::new());
    let (repository, user) = (node_id("GithubRepository:R1"), node_id("GithubUser:U1"));
    let many: Vec<&str> = vec![&repository; 101];
    for (document, input, code, named) in [
        (CREATE, json!({"name": " "}), "BAD_USER_INPUT", "input.name: "),
        (CREATE, json!({"name": "x".repeat(201)}), "BAD_USER_INPUT", "input.name: "),
        (CREATE, json!({"name": "n", "slug": "No Slug"}), "BAD_USER_INPUT", "input.slug: "),
        (CREATE, json!({"name": "n", "columns": 25}), "BAD_USER_INPUT", "input.columns: "),
        (UPDATE, json!({"id": own_id("Dashboard", "d1"), "name": null}), "BAD_USER_INPUT", "input.name: "),
        (UPDATE, json!({"id": own_id("Dashboard", "d1"), "columns": 4}), "BAD_USER_INPUT", "input.columns: "),
        (UPDATE, json!({"id": own_id("Widget", "0")}), "NOT_FOUND", "input.id "),
        (UPDATE, json!({"id": "junk"}), "BAD_USER_INPUT", "input.id: "),
        (ADD, source(&json!({"builds": {"containerIds": []}})), "BAD_USER_INPUT", "input.source.builds.containerIds: "),
        (
            ADD,
            source(&json!({"builds": {"containerIds": many}})),
            "BAD_USER_INPUT",
            "input.source.builds.containerIds: ",
        ),
        (
            ADD,
            source(&json!({"builds": {"containerIds": ["?"]}})),
            "BAD_USER_INPUT",
            "input.source.builds.containerIds[0]: ",
        ),
        (
            ADD,
            source(&json!({"builds": {"containerIds": [user]}})),
            "NOT_FOUND",
            "input.source.builds.containerIds[0] ",
        ),
        (
            ADD,
            source(&json!({"metric": {"metric": "MESSAGES", "window": "PT1M"}})),
            "BAD_USER_INPUT",
            "input.source.metric.window: ",
        ),
        (
            ADD,
            source(&json!({"metric": {"metric": "MESSAGES", "window": "P91D"}})),
            "BAD_USER_INPUT",
            "input.source.metric.window: ",
        ),
        (
            ADD,
            source(&json!({"workItems": {"filter": {"labels": [""]}}})),
            "BAD_USER_INPUT",
            "input.source.workItems.filter.labels[0]: ",
        ),
        (
            ADD,
            json!({"dashboardId": own_id("Dashboard", "d1"), "title": "T", "layout": {"x": 6, "y": 0, "width": 7, "height": 1},
                "source": {"messages": {"containerIds": [repository]}}}),
            "BAD_USER_INPUT",
            "input.layout.width: ",
        ),
        (
            CHANGE,
            json!({"id": own_id("Widget", "0"), "source": {"messages": {"containerIds": [repository]}}}),
            "BAD_USER_INPUT",
            "input.source: ",
        ),
        (CHANGE, json!({"id": own_id("Widget", "9"), "source": {"activity": {}}}), "NOT_FOUND", "input.id "),
    ] {
        refuses(&fake, document, &input, code, named);
    }
    assert!(
        !fake
            .asked()
            .iter()
            .any(|asked| ["create", "add", "update", "connect"].iter().any(|verb| asked.starts_with(verb)))
    );
}

fn refuses(fake: &Arc<Fake>, document: &str, input: &Value, code: &str, named: &str) {
    let (found, message) = error(fake, Role::Admin, document, json!({"input": input}));
    assert_eq!(found, code, "{input}: {message}");
    assert!(message.starts_with(named), "{input}: {message}");
}

#[test]
fn bad_accounts_are_refused_by_name() {
    let fake = Arc::new(Fake::new());
    for (document, input, code, named) in [
        (CONNECT, json!({"provider": "gitlab", "name": "n", "token": "t"}), "BAD_USER_INPUT", "input.provider: "),
        (CONNECT, json!({"provider": "github", "name": "n", "token": "a b"}), "BAD_USER_INPUT", "input.token: "),
        (
            CONNECT,
            json!({"provider": "github", "name": "n", "token": "t", "baseUrl": "file:///etc"}),
            "BAD_USER_INPUT",
            "input.baseUrl: ",
        ),
    ] {
        refuses(&fake, document, &input, code, named);
    }
    assert!(fake.asked().is_empty());
}

#[test]
fn roles_are_enforced() {
    let fake = Arc::new(Fake::new());
    let dashboard = json!({"input": {"name": "n"}});
    let account = json!({"input": {"provider": "github", "name": "n", "token": "t"}});
    for (role, document, variables, allowed) in [
        (Role::Viewer, CREATE, &dashboard, false),
        (Role::Editor, CREATE, &dashboard, true),
        (Role::Editor, CONNECT, &account, false),
        (Role::Admin, CONNECT, &account, true),
    ] {
        let response = run_as(&fake, role, document, variables.clone());
        assert_eq!(response.errors.is_empty(), allowed, "{role}: {:?}", response.errors);
        if !allowed {
            assert_eq!(error(&fake, role, document, variables.clone()).0, "FORBIDDEN");
        }
    }
}

#[test]
fn absent_keeps_and_null_clears() {
    for (description, expected) in [
        (json!({}), "description: Keep"),
        (json!({"description": null}), "description: Clear"),
        (json!({"description": "  "}), "description: Clear"),
        (json!({"description": " d "}), "description: Set(\"d\")"),
    ] {
        let fake = Arc::new(Fake::new());
        let mut input = description;
        input["id"] = json!(own_id("Dashboard", "d1"));
        let response = run_as(&fake, Role::Editor, UPDATE, json!({"input": input}));
        assert!(response.errors.is_empty(), "{:?}", response.errors);
        let asked = fake.asked();
        let update = asked.iter().find(|asked| asked.starts_with("update")).expect("an update");
        assert!(update.contains(expected) && update.contains("name: None"), "{update}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let fake = Arc::new(Fake::new());
    let input = json!({"provider": "github", "name": "n", "token": "ghp_planted", "webhookSecret": "planted"});
    let response = run_as(&fake, Role::Admin, CONNECT, json!({"input": input}));
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    assert!(!format!("{:?}", fake.asked()).contains("planted"));
}

#[test]
fn moves_are_checked_together() {
    let fake = Arc::new(Fake::new());
    let document =
        "mutation($d: ID!, $m: [MoveWidgetInput!]!) { moveWidgets(dashboardId: $d, moves: $m) { dashboard { id } } }";
    let to = |x: i32| json!({"widgetId": own_id("Widget", "0"), "layout": {"x": x, "y": 0, "width": 2, "height": 2}});
    for (moves, message) in [
        (json!([to(0)]), None),
        (json!([to(11)]), Some("moves[0].layout.width: ")),
        (json!([to(0), to(1)]), Some("moves[1].widgetId: ")),
    ] {
        let variables = json!({"d": own_id("Dashboard", "d1"), "m": moves});
        let response = run_as(&fake, Role::Editor, document, variables);
        let first = response.errors.first().map(|error| error.message.clone());
        assert_eq!(first.is_some(), message.is_some(), "{first:?}");
        assert!(first.unwrap_or_default().starts_with(message.unwrap_or_default()));
    }
}
