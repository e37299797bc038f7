//! Answers that succeed: what is asked of the ports for them, and what becomes of it.

use std::sync::Arc;

use mullion_schema::ports::Role;
use serde_json::json;

use crate::fake::{Fake, error, node_id, own_id, run, run_as};

#[test]
fn one_query_over_all_providers_sees_concrete_types() {
    let fake = Arc::new(Fake::new());
    let document =
        "{ workItems { nodes { __typename ...W ... on AsanaTask { completed } } totalCount problems { code } } }
        fragment W on WorkItem { state stateName ... on ProviderNode { provider { key } } labels { name } dueOn }";
    let answer = run(&fake, document);
    let expected = concat!(
        r#"{"workItems":{"nodes":["#,
        r#"{"__typename":"GithubIssue","state":"TODO","stateName":"open","provider":{"key":"github"},"labels":[{"name":"bug"}],"dueOn":"2026-12-01"},"#,
        r#"{"__typename":"AsanaTask","state":"IN_PROGRESS","stateName":"Doing","provider":{"key":"asana"},"labels":[],"dueOn":null,"completed":false}"#,
        r#"],"totalCount":2,"problems":[]}}"#
    );
    assert_eq!(answer, expected);
}

#[test]
fn a_lookup_hands_down_the_lists_below_it_with_the_filters_that_they_ask_for_themselves() {
    let fake = Arc::new(Fake::new());
    let document = "query($states: [GithubIssueState!]) { github { repository(owner: \"acme\", name: \"web\") {
        issues(first: 5, states: $states, labels: [\"b\", \"a\", \"b\"]) { nodes { title } pageInfo { hasNextPage } } } } }";
    let response = run_as(&fake, Role::Viewer, document, json!({"states": ["OPEN", "CLOSED"]}));
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let filter = r#"{"labels": ["a", "b"], "states": ["CLOSED", "OPEN"]}"#;
    assert_eq!(
        fake.asked(),
        [
            format!(r#"find repository {{"name": "web", "owner": "acme"}} lists [("issues", {filter})]"#),
            format!(r#"list issues of Some(("GithubRepository", "R1")) filter {filter}"#),
        ]
    );
}

#[test]
fn a_widget_s_state_and_data_come_from_one_load() {
    let fake = Arc::new(Fake::new());
    let document = "{ dashboard(slug: \"team\") { widgets { state refreshedAt problems { message } __typename
        ... on WorkItemsWidget { items(first: 50) { nodes { title key } } countsByState { state count } } } } }";
    run(&fake, document);
    let loads: Vec<_> = fake.asked().into_iter().filter(|asked| asked.contains(" first ")).collect();
    assert_eq!(loads, [r#"work first 50 of ["key", "title"]"#, "builds first 20 of []"]);
}

#[test]
fn a_union_is_asked_through_a_fragment_on_itself() {
    let mut fake = Fake::new();
    fake.lists.insert("search", vec!["GithubIssue:I1"]);
    let document = "{ github { search(query: \"x\", type: ISSUE) { nodes { ...Hit } edges { node { __typename } } } } }
        fragment Hit on GithubSearchHit { __typename ... on GithubIssue { number } ... on Node { id } }";
    let answer = run(&Arc::new(fake), document);
    let id = node_id("GithubIssue:I1");
    let expected = format!(
        r#"{{"github":{{"search":{{"nodes":[{{"__typename":"GithubIssue","number":12,"id":"{id}"}}],"edges":[{{"node":{{"__typename":"GithubIssue"}}}}]}}}}}}"#
    );
    assert_eq!(answer, expected);
}

#[test]
fn an_omitted_integration_is_the_only_one() {
    for (integrations, data, message) in [
        (vec![("gh", "github")], r#"{"github":{"integration":{"name":"My github"}}}"#, None),
        (vec![], r#"{"github":null}"#, None),
        (vec![("g1", "github"), ("g2", "github")], r#"{"github":null}"#, Some("integrationId: there are several")),
    ] {
        let fake = Arc::new(Fake { integrations, ..Fake::new() });
        let response = run_as(&fake, Role::Viewer, "{ github { integration { name } } }", json!({}));
        assert_eq!(serde_json::to_string(&response.data).expect("JSON"), data);
        let first = response.errors.first().map(|error| error.message.clone());
        assert_eq!(first.is_some(), message.is_some());
        assert!(first.unwrap_or_default().starts_with(message.unwrap_or_default()));
    }
}

#[test]
fn another_provider_s_integration_is_as_if_unknown() {
    let fake = Arc::new(Fake::new());
    let id = crate::fake::own_id("Integration", "as");
    assert_eq!(run(&fake, &format!("{{ github(integrationId: \"{id}\") {{ id }} }}")), r#"{"github":null}"#);
}

#[test]
fn possible_types_are_told_by_introspection() {
    let fake = Arc::new(Fake::new());
    for (interface, expected) in [
        ("WorkItem", vec!["AsanaTask", "GithubIssue", "GithubPullRequest"]),
        ("PullRequest", vec!["GithubPullRequest"]),
        ("Build", vec!["GithubWorkflowRun"]),
        ("Person", vec!["AsanaUser", "GithubUser", "SlackUser"]),
        ("Message", vec!["AsanaComment", "GithubComment", "SlackMessage"]),
        ("Container", vec!["AsanaProject", "GithubRepository", "SlackChannel"]),
        (
            "Widget",
            vec![
                "ActivityWidget",
                "BuildsWidget",
                "MessagesWidget",
                "MetricWidget",
                "PullRequestsWidget",
                "WorkItemsWidget",
            ],
        ),
    ] {
        let response = run_as(
            &fake,
            Role::Viewer,
            "query($name: String!) { __type(name: $name) { kind possibleTypes { name } } }",
            json!({"name": interface}),
        );
        let data = response.data.into_json().expect("JSON");
        let mut names: Vec<_> = data["__type"]["possibleTypes"]
            .as_array()
            .expect("possible types")
            .iter()
            .filter_map(|ty| ty["name"].as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{interface}");
    }
}

#[test]
fn webhook_deliveries_are_for_administrators() {
    let fake = Arc::new(Fake::new());
    let document =
        "query($filter: WebhookDeliveryFilter) { webhookDeliveries(filter: $filter, first: 1) { nodes { id state error
        attempts deliveryId source size event provider { key } integration { name } } pageInfo { hasNextPage } } }";
    let filter = json!({"filter": {"states": ["PARKED"], "providers": ["github"], "events": ["issues"]}});
    let response = run_as(&fake, Role::Admin, document, filter.clone());
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let id = own_id("WebhookDelivery", "d1");
    let answer = response.data.into_json().expect("JSON");
    let first = &answer["webhookDeliveries"]["nodes"][0];
    assert_eq!((first["id"].as_str(), first["state"].as_str()), (Some(id.as_str()), Some("PARKED")));
    assert_eq!(first["source"], "LOG");
    assert!(fake.asked().iter().any(|asked| asked.contains("states: Some([Parked])")), "{:?}", fake.asked());
    let replay = "mutation($id: ID!) { replayWebhookDelivery(id: $id) { delivery { id state } } }";
    let response = run_as(&fake, Role::Admin, replay, json!({"id": id}));
    let answer = response.data.into_json().expect("JSON");
    assert_eq!(answer["replayWebhookDelivery"]["delivery"]["state"], "RECEIVED");
    let response = run_as(&fake, Role::Admin, replay, json!({"id": "01KATM8Q1V3N9XJ5G7R2ZB4C6D"}));
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    assert!(fake.asked().contains(&"replay 01KATM8Q1V3N9XJ5G7R2ZB4C6D".to_owned()), "{:?}", fake.asked());
    let (code, message) = error(&fake, Role::Admin, document, json!({"filter": {"providers": ["github", "gihub"]}}));
    assert_eq!(code, "BAD_USER_INPUT");
    assert!(message.starts_with("filter.providers[1]: there is no such provider; there are "), "{message}");
    for role in [Role::Viewer, Role::Editor] {
        for (document, variables) in [(document, filter.clone()), (replay, json!({"id": id}))] {
            let (code, message) = error(&fake, role, document, variables);
            assert_eq!((code.as_str(), message.as_str()), ("FORBIDDEN", "this needs the role admin"));
        }
    }
    let one = "query($id: ID!) { webhookDelivery(id: $id) { state activities { kind } changes { cursor outdates }
        liveOperations { operationName subscribers } } }";
    let response = run_as(&fake, Role::Admin, one, json!({"id": id}));
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let answer = response.data.into_json().expect("JSON");
    let shown = &answer["webhookDelivery"];
    assert_eq!(shown["activities"].as_array().map(Vec::len), Some(1));
    assert_eq!(shown["changes"], json!([{"cursor": "c1", "outdates": ["GithubIssue:I_1"]}]));
    assert_eq!(shown["liveOperations"], json!([{"operationName": "Board", "subscribers": 2}]));
    for id in ["d2", "no id"] {
        let response = run_as(&fake, Role::Admin, one, json!({"id": own_id("WebhookDelivery", id)}));
        assert_eq!(response.data.into_json().expect("JSON"), json!({"webhookDelivery": null}));
    }
    assert_eq!(error(&fake, Role::Editor, one, json!({"id": id})).0, "FORBIDDEN");
    let foreign = own_id("Widget", "d1");
    assert_eq!(error(&fake, Role::Admin, replay, json!({"id": foreign})).0, "NOT_FOUND");
}
