//! Answers that are larger than an answer may be.

use std::{fmt::Write as _, time::Duration};

use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::stage::{Process, Stage, operation};
use crate::{
    execution::Executed,
    live::{Frames, Item},
};

const LIMIT: usize = 1 << 20;
/// The longest text that the provider takes.
const BODY: usize = 65_536;

/// The text so many times, by aliases, below several places that each take a fragment.
fn repeated(id: &str, places: usize, texts: usize) -> String {
    let mut text = String::from("query {");
    for place in 0..places {
        let _ = write!(text, " p{place}: node(id: \"{id}\") {{ ...Texts }}");
    }
    text.push_str(" } fragment Texts on GithubIssue {");
    for number in 0..texts {
        let _ = write!(text, " t{number}: bodyText");
    }
    text + " }"
}

async fn process() -> (Process, String) {
    let stage = Stage::new().await;
    stage.fill("I1").await;
    let process = Process::over(stage.world);
    process.rewrite("I1", &"x".repeat(BODY)).await;
    let id = process.global("GithubIssue", "I1");
    (process, id)
}

fn told(executed: Executed) -> Value {
    let Executed::Answer { bytes, .. } = executed else { panic!("{executed:?}") };
    assert!(bytes.len() <= LIMIT, "{}", bytes.len());
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn an_answer_is_given_up_where_it_grows_over_its_limit() {
    let (process, id) = process().await;
    for (places, texts, fits) in [(1, 15, true), (1, 16, false), (15, 1, true), (20, 20, false)] {
        let text = repeated(&id, places, texts);
        let answer = told(process.executor.query(&process.caller, operation(&text, json!({}))).await);
        let error = &answer["errors"][0];
        assert_eq!(error.is_null(), fits, "{places} × {texts}: {error}");
        if fits {
            assert_eq!(answer["data"]["p0"]["t0"].as_str().map(str::len), Some(BODY));
        } else {
            assert_eq!(
                (&answer["data"], &error["extensions"]["code"]),
                (&Value::Null, &"OPERATION_TOO_COMPLEX".into())
            );
            assert!(
                error["path"][1].as_str().is_some_and(|field| field.starts_with('t')),
                "the field is named: {error}"
            );
        }
    }
}

/// A widget's items, each with more text than an answer may have.
fn texts() -> String {
    (0..20).fold(String::from("... on WorkItemsWidget { items { nodes {"), |text, number| {
        text + &format!(" t{number}: bodyText")
    }) + " } } }"
}

#[tokio::test]
async fn a_mutation_whose_answer_is_too_large_was_carried_out() {
    let stage = Stage::new().await;
    stage.fill("I1").await;
    let dashboard = stage.dashboard.clone();
    let process = Process::over(stage.world);
    process.rewrite("I1", &"x".repeat(BODY)).await;
    let text =
        format!("mutation ($input: AddWidgetInput!) {{ addWidget(input: $input) {{ widget {{ {} }} }} }}", texts());
    let containers = [process.global("GithubRepository", "R1")];
    let source = json!({ "workItems": { "filter": { "containerIds": containers } } });
    let input = json!({ "dashboardId": dashboard, "title": "Large", "source": source });
    let run = process.executor.mutation(&process.caller, operation(&text, json!({ "input": input }))).await;
    assert_eq!(told(run)["errors"][0]["extensions"]["code"], "OPERATION_TOO_COMPLEX");
    let found = operation("query ($id: ID) { dashboard(id: $id) { widgets { title } } }", json!({ "id": dashboard }));
    let found = told(process.executor.query(&process.caller, found).await);
    assert_eq!(found["data"]["dashboard"]["widgets"], json!([{ "title": "Large" }]));
}

#[tokio::test]
async fn a_live_operation_tells_that_its_answer_is_too_large_and_goes_on() {
    let stage = Stage::new().await;
    stage.fill("I1").await;
    let dashboard = stage.dashboard.clone();
    let process = Process::over(stage.world);
    let widget = process.add_widget(&dashboard, "Large").await;
    process.rewrite("I1", &"x".repeat(BODY)).await;
    let text =
        format!("subscription ($id: ID!) {{ widgetUpdated(id: $id, throttleMs: 0) {{ widget {{ {} }} }} }}", texts());
    let watched = process.executor.subscribe(&process.caller, operation(&text, json!({ "id": widget })), None).await;
    let mut frames = watched.unwrap();
    let refused = next(&mut frames, "OPERATION_TOO_COMPLEX").await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "OPERATION_TOO_COMPLEX");
    assert!(refused["extensions"]["cursor"].is_string(), "{refused}");
    process.rewrite("I1", "short").await;
    let answer = next(&mut frames, "short").await;
    assert_eq!(answer["data"]["widgetUpdated"]["widget"]["items"]["nodes"][0]["t19"], "short", "{answer}");
}

/// The next answer with this text in it.
async fn next(frames: &mut Frames, of: &str) -> Value {
    let told = async {
        while let Some(item) = frames.next().await {
            let Ok(Item::Frame(frame)) = item else { continue };
            assert!(frame.payload.len() <= LIMIT, "{}", frame.payload.len());
            if String::from_utf8_lossy(&frame.payload).contains(of) {
                return serde_json::from_slice(&frame.payload).unwrap();
            }
        }
        panic!("it ended");
    };
    timeout(Duration::from_secs(20), told).await.expect(of)
}
