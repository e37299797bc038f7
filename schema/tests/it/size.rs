//! The bytes of answers, counted while they are built: never more than there are, and nearly all where there are many.

use std::{fmt::Write as _, sync::Arc};

use async_graphql::{Request, Response};
use mullion_schema::{answer_size::AnswerSize, build, ports::Role};
use serde_json::json;

use crate::fake::{Fake, node_id, ports};

fn run(fake: &Arc<Fake>, document: &str, limit: usize) -> Response {
    let size = AnswerSize::new(limit);
    let request = Request::new(document).data(ports(fake, Role::Admin)).data(size.clone());
    futures::executor::block_on(size.bound(build::build().execute(request)))
}

fn with_text(length: usize) -> Arc<Fake> {
    let mut fake = Fake::new();
    let issue = fake.nodes.get_mut("GithubIssue:I1").expect("an issue");
    issue["bodyText"] = json!("x".repeat(length));
    Arc::new(fake)
}

/// The selection so many times, under aliases.
fn aliased(count: usize, selection: &str) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = write!(text, " a{number}: {selection}");
        text
    })
}

#[test]
fn an_answer_ends_where_its_values_are_too_many_bytes() {
    let id = node_id("GithubIssue:I1");
    let documents = [
        (
            "texts of one node",
            format!("{{ node(id: \"{id}\") {{ ... on GithubIssue {{ {} }} }} }}", aliased(50, "bodyText")),
        ),
        (
            "texts of many nodes",
            format!("{{ {} }}", aliased(50, &format!("node(id: \"{id}\") {{ ... on GithubIssue {{ bodyText }} }}"))),
        ),
        ("ids in a list", format!("{{ nodes(ids: {:?}) {{ ... on GithubIssue {{ bodyText }} }} }}", [id.as_str(); 50])),
    ];
    let fake = with_text(2_000);
    for (name, document) in documents {
        let whole = run(&fake, &document, usize::MAX);
        assert!(whole.errors.is_empty(), "{name}: {:?}", whole.errors);
        let bytes = serde_json::to_string(&whole).expect("JSON").len();
        assert!(bytes > 100_000, "{name}: {bytes}");
        assert_eq!(run(&fake, &document, bytes).data, whole.data, "{name}: what fits is answered");
        let cut = run(&fake, &document, bytes * 9 / 10);
        assert_eq!(cut.data, async_graphql::Value::Null, "{name}");
        let error = cut.errors.first().expect(name);
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        assert_eq!(code, Some(&"OPERATION_TOO_COMPLEX".into()), "{name}");
        assert!(!error.path.is_empty(), "{name}: the field is told");
        assert!(error.locations.is_empty(), "{name}: lines begin at 1");
    }
}

#[test]
fn objects_of_our_own_and_values_in_nodes_count_once() {
    let fake = with_text(10);
    for document in [
        "{ activity { nodes { id kind summary } edges { cursor node { id kind summary } } } }",
        "{ dashboards { nodes { id name slug widgets { id title } } } }",
        "{ github { repositories { nodes { id name } edges { cursor node { name } } } } }",
        "{ integrations { nodes { id name scopes quota { name usedToday } } } providers { key name nodeTypes } }",
    ] {
        let whole = run(&fake, document, usize::MAX);
        let bytes = serde_json::to_string(&whole).expect("JSON").len();
        assert_eq!(run(&fake, document, bytes).data, whole.data, "{document}");
    }
}

#[test]
fn errors_count_too() {
    let fake = Arc::new(Fake::new().failing("GithubUser:U1"));
    let id = node_id("GithubIssue:I1");
    let document = format!("{{ node(id: \"{id}\") {{ ... on GithubIssue {{ {} }} }} }}", aliased(50, "author { id }"));
    let whole = run(&fake, &document, usize::MAX);
    assert_eq!(whole.errors.len(), 50);
    let bytes = serde_json::to_string(&whole).expect("JSON").len();
    assert_eq!(run(&fake, &document, bytes).errors.len(), 50);
    assert_eq!(run(&fake, &document, 4_000).errors.len(), 1);
}

#[test]
fn an_error_counts_with_its_path_whoever_adds_it() {
    let (id, alias) = (node_id("GithubIssue:I1"), "a".repeat(255));
    let authors =
        format!("{{ {alias}: node(id: \"{id}\") {{ ... on GithubIssue {{ {} }} }} }}", aliased(50, "author { id }"));
    let subjects = format!("{{ {alias}: activity {{ nodes {{ {} }} }} }}", aliased(50, "subject { id }"));
    for (name, document, failing) in [("ours", authors, "GithubUser:U1"), ("the library's", subjects, "GithubIssue:I1")]
    {
        let fake = Arc::new(Fake::new().failing(failing));
        let whole = run(&fake, &document, usize::MAX);
        assert!(whole.errors.len() >= 50, "{name}: {:?}", whole.errors.first());
        let bytes = serde_json::to_string(&whole).expect("JSON").len();
        assert_eq!(run(&fake, &document, bytes).errors.len(), whole.errors.len(), "{name}");
        let cut = run(&fake, &document, bytes / 2);
        let codes: Vec<_> =
            cut.errors.iter().map(|error| error.extensions.as_ref().and_then(|all| all.get("code"))).collect();
        assert_eq!(codes, [Some(&"OPERATION_TOO_COMPLEX".into())], "{name}");
    }
}
