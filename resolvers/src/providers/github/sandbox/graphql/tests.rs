//! Documents asked of the sandboxed GraphQL API.

use serde_json::{Value, json};

use super::{
    Api,
    definitions::{Definition, named},
};
use crate::providers::github::sandbox::{
    limits::{Limits, Resource},
    world::World,
};

fn world() -> World {
    let base = chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap();
    World::seeded(7, base, "http://127.0.0.1:4001/github".to_owned())
}

fn ask(world: &World, query: &str, variables: &Value) -> Value {
    let api = Api::new();
    let body = json!({ "query": query, "variables": variables }).to_string();
    match api.prepare(body.as_bytes(), |_| {}) {
        Ok(request) => {
            let now = chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap();
            let quota = Limits::default().take(now, Resource::Graphql, request.cost);
            api.answer(world, &request, quota)
        }
        Err(answer) => answer,
    }
}

const CONTRACT: &str = r#"
query All($owner: String!, $name: String!, $first: Int = 20) {
  viewer { ...person }
  user(login: "benokafor") { ...person }
  organization(login: "acme") { id login name avatarUrl url createdAt email teams(first: 5) { nodes { ...team } } }
  rateLimit { limit cost remaining used resetAt nodeCount }
  repository(owner: $owner, name: $name) {
    ...repo
    issues(first: $first, states: [OPEN], orderBy: {field: UPDATED_AT, direction: DESC}, filterBy: {assignee: "*"}) {
      totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      edges { cursor node { ...issue } }
    }
    pullRequests(first: 100, states: OPEN, orderBy: {field: UPDATED_AT, direction: DESC}) { totalCount nodes { ...pull } }
    releases(first: 5, orderBy: {field: CREATED_AT, direction: DESC}) { nodes { ...release } }
    latestRelease { ...release }
    issue(number: 3) { ...issue }
  }
  search(query: "repo:acme/web is:pr is:open sort:updated-desc", type: ISSUE, first: 10) {
    issueCount nodes { __typename ...hit }
  }
  repos: search(query: "org:acme", type: REPOSITORY, first: 10) { repositoryCount nodes { ... on Repository { ...repo } } }
}
fragment hit on SearchResultItem { ... on PullRequest { ...pull } ... on Issue { ...issue } }
fragment actor on Actor {
  __typename login avatarUrl url resourcePath
  ... on Node { id } ... on User { id name email createdAt } ... on Bot { id databaseId } ... on Organization { id name }
  ... on Mannequin { id email }
}
fragment person on User { id databaseId login name email avatarUrl url createdAt updatedAt bio company }
fragment team on Team { id name slug url description createdAt updatedAt organization { login } }
fragment labels on Labelable { labels(first: 20) { nodes { name color } } }
fragment repo on Repository {
  id databaseId name nameWithOwner isPrivate isArchived owner { __typename login id avatarUrl }
  defaultBranchRef { name target { oid } } primaryLanguage { name color } stargazerCount forkCount
  openIssues: issues(states: OPEN) { totalCount } openPulls: pullRequests(states: OPEN) { totalCount }
  pushedAt updatedAt createdAt description url
}
fragment issue on Issue {
  id number title body bodyText url state stateReason closed closedAt createdAt updatedAt author { ...actor }
  ...labels assignees(first: 10) { nodes { ...person } } milestone { title dueOn }
  comments(first: 10) { totalCount nodes { id body bodyText url createdAt updatedAt lastEditedAt author { ...actor } } }
  repository { id nameWithOwner }
}
fragment pull on PullRequest {
  id number title body bodyText url state isDraft createdAt updatedAt closedAt mergedAt author { ...actor }
  headRefName baseRefName headRefOid additions deletions changedFiles reviewDecision mergeable mergeStateStatus
  comments { totalCount } ...labels assignees(first: 10) { nodes { ...person } } milestone { title dueOn }
  reviewRequests(first: 10) { nodes { requestedReviewer { __typename ... on User { ...person } ... on Team { ...team } } } }
  reviews(first: 10) { totalCount nodes { id state submittedAt author { ...actor } } }
  latestReviews(first: 10) { nodes { state author { login } } }
  statusCheckRollup { state contexts(first: 5) { nodes { ... on CheckRun { name status conclusion } ... on StatusContext { context state } } } }
  commits(last: 1) { nodes { commit { oid message statusCheckRollup { state } } } }
  repository { id nameWithOwner }
}
fragment release on Release { id name tagName isPrerelease isDraft createdAt publishedAt updatedAt url author { ...actor } }
"#;

#[test]
fn every_field_of_the_contract_is_answered_without_an_error() {
    let world = world();
    let answer = ask(&world, CONTRACT, &json!({ "owner": "acme", "name": "web" }));
    assert_eq!(answer.get("errors"), None, "{answer}");
    let repository = answer.pointer("/data/repository").unwrap();
    assert_eq!(repository["nameWithOwner"], "acme/web");
    let open = repository.pointer("/pullRequests/nodes").unwrap().as_array().unwrap();
    assert!(open.len() > 40, "{}", open.len());
    assert!(open.iter().any(|pull| pull["statusCheckRollup"].is_null()), "some commits run no checks");
    assert!(repository.pointer("/issues/edges/0/node/id").unwrap().as_str().unwrap().starts_with("I_kwDO"));
    assert_eq!(answer.pointer("/data/search/nodes/0/__typename").unwrap(), "PullRequest");
    assert_eq!(answer.pointer("/data/rateLimit/limit").unwrap(), 5000);
}

#[test]
fn every_leaf_field_of_every_type_can_be_asked_for() {
    let world = world();
    let api = Api::new();
    assert!(api.definitions.all().len() > 150, "the definitions could not be read");
    let mut samples = vec![];
    let answer = ask(
        &world,
        "{ repository(owner: \"acme\", name: \"web\") { id owner { id } latestRelease { id } labels(first: 1) { nodes { id } } milestones(first: 1) { nodes { id } } \
        issues(first: 9) { nodes { id comments(first: 1) { nodes { id } } } } pullRequests(last: 9) { nodes { id reviews(first: 1) { nodes { id } } reviewRequests(first: 1) { nodes { id } } commits(first: 1) { nodes { id commit { id statusCheckRollup { id contexts(first: 9) { nodes { ... on Node { id } } } } } } } } } \
        defaultBranchRef { id target { id } } primaryLanguage { id } } viewer { id } organization(login: \"acme\") { teams(first: 1) { nodes { id } } } }",
        &Value::Null,
    );
    collect_ids(&answer, &mut samples);
    samples.push(world.node_id(&super::super::world::Key::Run(0, 0)).unwrap());
    let mut seen = std::collections::BTreeSet::new();
    for id in samples {
        let named_type = ask(&world, &format!("{{ node(id: {id:?}) {{ __typename id }} }}"), &Value::Null);
        let kind = named_type.pointer("/data/node/__typename").unwrap_or_else(|| panic!("{id}: {named_type}"));
        let kind = kind.as_str().unwrap().to_owned();
        assert_eq!(named_type.pointer("/data/node/id").unwrap(), &id);
        if !seen.insert(kind.clone()) {
            continue;
        }
        let Some(Definition::Composite(fields)) = api.definitions.get(&kind) else { panic!("{kind}") };
        let leaves: Vec<&str> = fields
            .iter()
            .filter(|(_, field)| !api.definitions.is_composite(named(&field.ty)))
            .filter(|(_, field)| !field.arguments.iter().any(super::definitions::Argument::is_required))
            .map(|(name, _)| name.as_str())
            .collect();
        let query = format!("{{ node(id: {id:?}) {{ ... on {kind} {{ {} }} }} }}", leaves.join(" "));
        let answer = ask(&world, &query, &Value::Null);
        assert_eq!(answer.get("errors"), None, "{kind}: {answer}");
        assert_eq!(answer.pointer("/data/node").unwrap().as_object().unwrap().len(), leaves.len(), "{kind}");
    }
    assert!(seen.len() >= 20, "{seen:?}");
}

fn collect_ids(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("id").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_ids(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_ids(item, into)),
        _ => {}
    }
}

#[test]
fn unknown_nodes_are_null_with_an_error_at_their_place() {
    let world = world();
    let id = world.repos[0].node_id();
    let answer =
        ask(&world, "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", &json!({ "ids": [id, "I_nope"] }));
    assert_eq!(
        answer,
        json!({
            "data": { "nodes": [{ "__typename": "Repository", "id": id }, null] },
            "errors": [{
                "type": "NOT_FOUND",
                "path": ["nodes", 1],
                "locations": [{ "line": 1, "column": 23 }],
                "message": "Could not resolve to a node with the global id of 'I_nope'",
            }],
        })
    );
}

#[test]
fn refusals_have_githubs_types() {
    let world = world();
    let ids: Vec<String> = (0..101).map(|_| world.repos[0].node_id()).collect();
    for (query, variables, pointer, expected) in [
        ("{ repository(owner: \"acme\", name: \"nope\") { id } }", json!({}), "/errors/0/type", "NOT_FOUND"),
        ("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({ "ids": ids }), "/errors/0/type", "ARGUMENT_LIMIT"),
        ("{ viewer { issues { nodes { id } } } }", json!({}), "/errors/0/type", "MISSING_PAGINATION_BOUNDARIES"),
        ("{ viewer { issues(first: 101) { nodes { id } } } }", json!({}), "/errors/0/type", "EXCESSIVE_PAGINATION"),
        ("{ viewer { nope } }", json!({}), "/errors/0/extensions/code", "undefinedField"),
        ("{ viewer { login { id } } }", json!({}), "/errors/0/extensions/code", "selectionMismatch"),
        ("{ viewer }", json!({}), "/errors/0/extensions/code", "selectionMismatch"),
        ("{ user { id } }", json!({}), "/errors/0/extensions/code", "missingRequiredArguments"),
        ("{ user(login: 1) { id } }", json!({}), "/errors/0/extensions/code", "argumentLiteralsIncompatible"),
        ("{ user(login: $x) { id } }", json!({}), "/errors/0/extensions/code", "variableNotDefined"),
        ("{ viewer { ...a } } fragment a on User { ...a }", json!({}), "/errors/0/extensions/code", "infiniteLoop"),
        (
            "{ organization(login: \"acme\") { repositories(first: 100) { nodes { issues(first: 100) { nodes { comments(first: 100) { nodes { id } } } } } } } }",
            json!({}),
            "/errors/0/type",
            "MAX_NODE_LIMIT_EXCEEDED",
        ),
    ] {
        let answer = ask(&world, query, &variables);
        assert_eq!(answer.pointer(pointer).and_then(Value::as_str), Some(expected), "{query}: {answer}");
    }
}

#[test]
fn pages_follow_each_other_without_gaps() {
    let world = world();
    let query = "query($after: String) { repository(owner: \"acme\", name: \"web\") { pullRequests(first: 50, after: $after) { totalCount nodes { number } pageInfo { hasNextPage endCursor } } } }";
    let (mut after, mut numbers, mut calls) = (Value::Null, Vec::new(), 0);
    loop {
        let answer = ask(&world, query, &json!({ "after": after }));
        let page = answer.pointer("/data/repository/pullRequests").unwrap();
        assert_eq!(page["totalCount"], 132);
        numbers.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["number"].as_u64().unwrap()));
        after = page["pageInfo"]["endCursor"].clone();
        calls += 1;
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!((calls, numbers.len()), (3, 132));
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
}
