//! Queries over a store that fails: whichever of its calls fails, what an answer holds is true or marked as not, and the next answer
//! is whole.

use serde_json::{Value, json};

use super::stage::{ISSUE, OURS, Process, Stage, operation};
use crate::{execution::Executed, store::faults::Which};

/// A query over the rows of our own, and what is made of nodes.
const QUERY: &str = r#"query ($dashboard: ID!, $repository: ID!, $issue: ID!) {
    dashboards(first: 5) { nodes { name } }
    dashboard(id: $dashboard) { name widgets { title state problems { code } ... on WorkItemsWidget { items(first: 5) { nodes { title } } } } }
    bySlug: dashboard(slug: "wall") { name }
    node(id: $issue) { ... on GithubIssue { title } }
    integrations(first: 5) { nodes { name } }
    workItems(filter: { containerIds: [$repository] }, first: 5) { nodes { title } problems { code } }
    activity(first: 5) { nodes { summary } }
    webhookDeliveries(first: 5) { nodes { event } }
    eventCursor
}"#;

/// Whether what differs says of itself that it is not what it should be: by an error at its path, or by its state.
fn differs_only_where_it_says_so(answer: &Value, expected: &Value) -> Result<(), String> {
    let errors = answer["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (field, expected) in expected["data"].as_object().unwrap() {
        let got = &answer["data"][field];
        let nothing = answer["data"].is_null() && !errors.is_empty();
        let told = nothing || errors.iter().any(|error| error["path"][0] == *field);
        let marked = ["FAILED", "STALE"].iter().chain(&OURS).any(|mark| got.to_string().contains(mark));
        if got != expected && !told && !marked {
            return Err(format!("{field} is {got}, not {expected}, without a word: {errors:?}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_read_fails_a_query_answers_what_is_true_or_says_that_it_does_not() {
    let stage = Stage::new().await;
    stage.fill(ISSUE).await;
    let (mut world, dashboard) = (stage.world, stage.dashboard);
    let mut expected = None;
    for first in 0.. {
        let process = Process::over(world.restarted());
        if first == 0 {
            process.add_widget(&dashboard, "stays").await;
            process.happen("something").await;
        }
        let (repository, issue) = (process.global("GithubRepository", "R1"), process.global("GithubIssue", ISSUE));
        let variables = json!({ "dashboard": dashboard, "repository": repository, "issue": issue });
        let ask = async || match process.executor.query(&process.caller, operation(QUERY, variables.clone())).await {
            Executed::Answer { bytes, .. } => serde_json::from_slice::<Value>(&bytes).unwrap(),
            Executed::Refused(errors) => json!({ "errors": [{ "message": format!("{errors:?}"), "path": null }] }),
        };
        if expected.is_none() {
            expected = Some(ask().await);
        }
        let expected = expected.as_ref().unwrap();
        assert!(expected.get("errors").is_none() && expected.to_string().contains("begin"), "{expected}");
        let faults = process.world.store.db.faults();
        faults.fail(Which::Nth(first.max(1)), 1);
        let answer = ask().await;
        let failed = faults.stop();
        differs_only_where_it_says_so(&answer, expected).unwrap_or_else(|why| panic!("call {first}: {why}"));
        assert_eq!(ask().await, *expected, "the failure of call {first} was kept");
        world = process.world;
        if failed == 0 && first > 0 {
            assert!(first > 10, "only {first} calls");
            break;
        }
    }
}
