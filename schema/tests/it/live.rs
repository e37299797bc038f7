//! The live graph: it says what a subscription asks for, and renders its answers.

use std::sync::Arc;

use async_graphql::{Request, Variables, parser::parse_query};
use futures::executor::block_on;
use mullion_schema::{
    build::{build_live, live_document, plan},
    enums::UpdateReason,
    error::ErrorCode,
    id::{EventCursor, GlobalId, NodeReference},
    ports::{Live, LiveInput, LivePlan, Role, WatchedId},
};
use serde_json::{Value, json};

use crate::fake::{Fake, activity_view, node_id, own_id, ports};

fn request(document: &str, variables: Value) -> Request {
    let mut request = Request::new(document).variables(Variables::from_json(variables));
    request.set_parsed_query(live_document(parse_query(document).expect("a document")));
    request
}

#[test]
fn a_subscription_s_arguments_are_planned() {
    let graph = build_live();
    let document = "subscription($id: ID!) { widgetUpdated(id: $id, throttleMs: 51) { ...U } }
        fragment U on WidgetUpdate { cursor widget { title } }";
    let planned = block_on(plan(&graph, request(document, json!({"id": own_id("Widget", "7")}))));
    assert_eq!(planned.ok(), Some(LivePlan::Widget { id: "7".into(), after: None, throttle_ms: 250 }));

    let document = "subscription { ...S } fragment S on Subscription { activity(after: \"c3\") { summary } }";
    let planned = block_on(plan(&graph, request(document, json!({}))));
    assert_eq!(
        planned.ok(),
        Some(LivePlan::Activity {
            filter: mullion_schema::ports::ActivitySource::default(),
            after: Some(EventCursor::from("c3"))
        })
    );
}

#[test]
fn bad_subscriptions_are_refused() {
    let graph = build_live();
    for (document, message) in [
        ("subscription { widgetUpdated(id: \"x\") { cursor } }", "id: not an id of this graph"),
        ("subscription { nodeChanged(ids: []) { cursor } }", "ids: must have 1 to 100 values"),
        ("subscription { activity(filter: {integrationIds: [\"?\"]}) { id } }", "filter.integrationIds[0]: "),
        ("subscription { a: activity { id } b: activity { id } }", "a subscription has exactly one root field"),
        ("subscription { __typename }", "a subscription has exactly one root field"),
    ] {
        let errors = block_on(plan(&graph, request(document, json!({})))).err().unwrap_or_default();
        let first = errors.first().map(|error| error.message.clone()).unwrap_or_default();
        assert!(first.starts_with(message), "{document}: {first}");
    }
}

#[test]
fn what_is_not_there_cannot_be_watched() {
    let fake = Arc::new(Fake::new());
    let ports = ports(&fake, Role::Viewer);
    let foreign =
        GlobalId::Node { integration: "theirs".into(), type_name: "GithubIssue".into(), native_id: "I1".into() };
    for (field, id, there) in [
        ("dashboardUpdated(id: $id)", own_id("Dashboard", "d1"), true),
        ("dashboardUpdated(id: $id)", own_id("Dashboard", "nope"), false),
        ("widgetUpdated(id: $id)", own_id("Widget", "1"), true),
        ("widgetUpdated(id: $id)", own_id("Widget", "7"), false),
        ("nodeChanged(ids: [$id])", own_id("Widget", "7"), false),
        ("nodeChanged(ids: [$id])", own_id("Dashboard", "nope"), false),
        ("nodeChanged(ids: [$id])", own_id("Integration", "nope"), false),
        ("nodeChanged(ids: [$id])", own_id("Integration", "gh"), true),
        ("nodeChanged(ids: [$id])", node_id("GithubIssue:never-read"), true),
        ("nodeChanged(ids: [$id])", foreign.encode(), false),
        ("nodeChanged(ids: [$id], after: \"c3\")", foreign.encode(), true),
    ] {
        let document = format!("subscription($id: ID!) {{ {field} {{ cursor }} }}");
        let plan = block_on(plan(&build_live(), request(&document, json!({"id": id})))).expect("a plan");
        let checked = block_on(plan.check(&ports));
        assert_eq!(checked.map_err(|error| error.code).err(), (!there).then_some(ErrorCode::NotFound), "{field} {id}");
    }
}

fn render(document: &str, input: LiveInput) -> String {
    let fake = Arc::new(Fake::new());
    let request = request(document, json!({}));
    let request = request.data(ports(&fake, Role::Viewer)).data(Live::Render(Arc::new(input)));
    let response = block_on(build_live().execute(request));
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    serde_json::to_string(&response.data).expect("JSON")
}

fn input() -> LiveInput {
    LiveInput {
        cursor: EventCursor::from("c2"),
        reason: UpdateReason::Changed,
        widget: Some("0".into()),
        node: None,
        deleted: false,
        complete: None,
        activity: None,
        causes: vec![activity_view(); 25],
    }
}

#[test]
fn answers_are_rendered() {
    let id = own_id("Dashboard", "d1");
    let document = format!(
        "subscription {{ u: dashboardUpdated(id: \"{id}\") {{ cursor reason widget {{ title __typename
        ... on WorkItemsWidget {{ items {{ nodes {{ title }} }} }} }} }} }}"
    );
    let expected = r#"{"u":{"cursor":"c2","reason":"CHANGED","widget":{"title":"Widget 0","__typename":"WorkItemsWidget","items":{"nodes":[{"title":"Broken"},{"title":"Write it"}]}}}}"#;
    assert_eq!(render(&document, input()), expected);

    let end = LiveInput { reason: UpdateReason::SnapshotEnd, widget: None, causes: Vec::new(), ..input() };
    let document = format!(
        "subscription {{ dashboardUpdated(id: \"{id}\") {{ widgetId widget {{ id }} reason causes {{ id }} }} }}"
    );
    let expected = r#"{"dashboardUpdated":{"widgetId":null,"widget":null,"reason":"SNAPSHOT_END","causes":[]}}"#;
    assert_eq!(render(&document, end.clone()), expected);
    let document = format!("subscription {{ dashboardUpdated(id: \"{id}\") {{ complete }} }}");
    for (complete, expected) in [(Some(true), "true"), (Some(false), "false"), (None, "null")] {
        let expected = format!(r#"{{"dashboardUpdated":{{"complete":{expected}}}}}"#);
        assert_eq!(render(&document, LiveInput { complete, ..end.clone() }), expected);
    }

    let activity = LiveInput { activity: Some(activity_view()), ..input() };
    let document = "subscription { activity { summary subject { title } actor { displayName } } }";
    let expected = r#"{"activity":{"summary":"Ada closed acme/web#12","subject":{"title":"Broken"},"actor":{"displayName":"Ada"}}}"#;
    assert_eq!(render(document, activity), expected);
}

#[test]
fn at_most_twenty_causes_are_shown() {
    let id = node_id("GithubIssue:I1");
    let document =
        format!("subscription {{ nodeChanged(ids: [\"{id}\"]) {{ causes {{ id }} deleted node {{ id }} }} }}");
    let gone = LiveInput { deleted: true, ..input() };
    let answer: Value = serde_json::from_str(&render(&document, gone)).expect("JSON");
    assert_eq!(answer["nodeChanged"]["causes"].as_array().map(Vec::len), Some(20));
    assert_eq!(answer["nodeChanged"]["node"], Value::Null);
}

#[test]
fn a_change_names_the_thing_also_when_it_is_gone() {
    let issue = NodeReference { integration: "gh".into(), type_name: "GithubIssue".into(), native_id: "I1".into() };
    let own = WatchedId::Own { type_name: "Dashboard".into(), id: "d1".into() };
    for (watched, id) in
        [(WatchedId::Node(issue.clone()), GlobalId::from(&issue).encode()), (own, own_id("Dashboard", "d1"))]
    {
        let document = format!("subscription {{ nodeChanged(ids: [\"{id}\"]) {{ nodeId deleted node {{ id }} }} }}");
        let gone = LiveInput { node: Some(watched), widget: None, deleted: true, ..input() };
        let answer: Value = serde_json::from_str(&render(&document, gone)).expect("JSON");
        assert_eq!(answer["nodeChanged"], json!({ "nodeId": id, "deleted": true, "node": null }));
    }
}
