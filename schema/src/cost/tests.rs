//! The cost of documents that hide their lists, vary with their variables, or are made to be measured for ever.

use std::{fmt::Write as _, time::Instant};

use async_graphql::{
    Variables,
    parser::{parse_query, types::ExecutableDocument},
    registry::{MetaType, MetaTypeName},
};
use serde_json::json;

use super::{Cost, Costs, Length};
use crate::build;

fn parsed(text: &str) -> ExecutableDocument {
    parse_query(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn measured(text: &str, variables: Option<serde_json::Value>) -> Cost {
    let document = parsed(text);
    let (_, operation) = document.operations.iter().next().unwrap();
    let variables = variables.map(Variables::from_json);
    Costs::default().measure(&document, &operation.node, variables.as_ref())
}

fn cost(text: &str) -> u64 {
    measured(text, Some(json!({}))).total
}

#[test]
fn every_list_has_a_size() {
    let (registry, costs) = (build::executed_registry(), Costs::default());
    let mut without = Vec::new();
    for (name, ty) in
        registry.types.iter().filter(|(_, ty)| matches!(ty, MetaType::Object { .. } | MetaType::Interface { .. }))
    {
        for field in ty.fields().into_iter().flat_map(|fields| fields.values()) {
            let known = costs.field(name, &field.name).unwrap();
            let is_connection = known.of.ends_with("Connection");
            let fits = match known.length {
                Length::One => !MetaTypeName::create(&field.ty).is_list() && !is_connection,
                Length::Own(_) | Length::OfConnection => MetaTypeName::create(&field.ty).is_list(),
                Length::Connection(_) => is_connection,
            };
            if !fits {
                without.push(format!("{name}.{}", field.name));
            }
        }
    }
    assert!(without.is_empty(), "no size: {without:#?}");
}

#[test]
fn an_interface_and_its_types_declare_the_same() {
    let registry = build::executed_registry();
    for (name, ty) in &registry.types {
        let MetaType::Interface { fields, possible_types, .. } = ty else { continue };
        for (field, ty) in fields.iter().flat_map(|field| possible_types.iter().map(move |ty| (field, ty))) {
            let declared = |directives: &[async_graphql::registry::MetaDirectiveInvocation]| {
                directives.iter().map(async_graphql::registry::MetaDirectiveInvocation::sdl).collect::<Vec<_>>()
            };
            let own = registry.types[ty].field_by_name(field.0).unwrap();
            let (own, shared) = (declared(&own.directive_invocations), declared(&field.1.directive_invocations));
            // A type may know better how many there are, but not whether there are several.
            assert_eq!(own.is_empty(), shared.is_empty(), "{ty}.{} and {name}", field.0);
        }
    }
}

#[test]
fn lists_multiply_what_is_below_them() {
    const ISSUES: &str = "{github{repositories(first: 100){nodes{issues(first: 100){nodes{id}}}}}}";
    for (text, expected) in [
        ("{eventCursor}", 1),
        ("{a: eventCursor b: eventCursor __typename}", 3),
        ("{viewer{id name}}", 3),
        ("{integrations{totalCount}}", 2),
        ("{integrations{nodes{id}}}", 2 + 20),
        ("{integrations(first: 3){nodes{id} edges{cursor} totalCount}}", 1 + (1 + 3) + (1 + 3) + 1),
        ("{integrations(first: 0){nodes{id}}}", 2 + 1),
        ("{integrations(first: 5000){nodes{id}}}", 2 + 100),
        ("{integrations(first: null){nodes{id}}}", 2 + 20),
        ("{integrations{nodes{quota{name used}}}}", 2 + 20 * (1 + 5 * 2)),
        ("{dashboard(slug: \"a\"){widgets{id title}}}", 2 + 10 * 2),
        ("{nodes(ids: [\"a\", \"b\", \"c\"]){id}}", 1 + 3),
        ("{nodes(ids: \"a\"){id}}", 1 + 1),
        ("{_entities(representations: [{}, {}]){__typename}}", 1 + 2),
        ("{__schema{types{name}}}", 5_000),
        ("{__type(name: \"A\"){name}}", 5_000),
        ("{_service{sdl}}", 5_000),
        ("{viewer{permissions}}", 1 + (1 + 3)),
        ("{github{viewer{id}}}", 1 + (10 + 1)),
        (ISSUES, 3 + 100 * (2 + 100)),
        ("mutation{refreshWidget(input: {id: \"a\"}){widget{id}}}", 3),
        ("subscription{nodeChanged(ids: [\"a\", \"b\"]){causes{id}}}", 2 + 20),
    ] {
        assert_eq!(cost(text), expected, "{text}");
    }
}

#[test]
fn nothing_hides_a_list() {
    let plain = "{github{repositories(first: 50){nodes{issues(first: 50){nodes{id}}}}}}";
    let expected = cost(plain);
    assert!(expected > 2_500);
    for hidden in [
        "{github{repositories(first: 50){...{nodes{issues(first: 50){...{nodes{id}}}}}}}}",
        "{github{repositories(first: 50){... on GithubRepositoryConnection{nodes{issues(first: 50){nodes{... on GithubIssue{id}}}}}}}}",
        "{...A} fragment A on Query{github{...B}} fragment B on Github{repositories(first: 50){...C}} fragment C on GithubRepositoryConnection{nodes{...D}} fragment D on GithubRepository{issues(first: 50){...E}} fragment E on GithubIssueConnection{nodes{id}}",
        "{a: github{b: repositories(first: 50){c: nodes{d: issues(first: 50){e: nodes{f: id}}}}}}",
        "query($n: Int = 50){github{repositories(first: $n){nodes{issues(first: $n){nodes{id}}}}}}",
        "{github{repositories(first: 50){nodes @skip(if: false){issues(first: 50) @include(if: true){nodes{id}}}}}}",
    ] {
        assert_eq!(cost(hidden), expected, "{hidden}");
    }
    let edges = cost("{github{repositories(first: 50){edges{node{issues(first: 50){edges{node{id}}}}}}}}");
    assert!(edges > expected, "an edge is a field, too: {edges}");
}

#[test]
fn a_skipped_selection_costs_nothing() {
    for (text, variables, expected) in [
        ("{eventCursor @skip(if: true)}", json!({}), 0),
        ("{eventCursor @include(if: false)}", json!({}), 0),
        ("{... @include(if: false){eventCursor}}", json!({}), 0),
        ("{...F @skip(if: true)} fragment F on Query{eventCursor}", json!({}), 0),
        ("query($a: Boolean!){eventCursor @include(if: $a)}", json!({"a": false}), 0),
        ("query($a: Boolean!){eventCursor @include(if: $a)}", json!({"a": true}), 1),
        ("query($a: Boolean = false){eventCursor @include(if: $a)}", json!({}), 0),
        ("query($a: Boolean = false){eventCursor @skip(if: $a)}", json!({"a": true}), 0),
    ] {
        assert_eq!(measured(text, Some(variables.clone())).total, expected, "{text} {variables}");
    }
}

#[test]
fn variables_count_as_they_are_and_without_them_as_the_most() {
    const PAGES: &str =
        "query($n: Int = 1, $m: Int){integrations(first: $n){nodes{id}} dashboards(first: $m){nodes{id}}}";
    for (text, variables, expected) in [
        (PAGES, Some(json!({})), 4 + 1 + 100),
        (PAGES, Some(json!({"n": 4, "m": 5})), 4 + 4 + 5),
        (PAGES, Some(json!({"n": null, "m": null})), 4 + 20 + 20),
        (PAGES, Some(json!({"n": "many", "m": -1})), 4 + 1 + 1),
        (PAGES, None, 4 + 100 + 100),
        ("query($i: [ID!]!){nodes(ids: $i){id}}", Some(json!({"i": ["a", "b"]})), 1 + 2),
        ("query($i: [ID!]! = [\"a\", \"b\", \"c\"]){nodes(ids: $i){id}}", Some(json!({})), 1 + 3),
        ("query($i: [ID!]!){nodes(ids: $i){id}}", None, 1 + 100),
        ("query($a: ID!, $b: ID!){nodes(ids: [$a, $b]){id}}", None, 1 + 2),
        ("query($r: [_Any!]!){_entities(representations: $r){__typename}}", Some(json!({"r": [1, 2, 3]})), 1 + 3),
        ("query($a: Boolean!){eventCursor @skip(if: $a)}", None, 1),
    ] {
        let told = measured(text, variables.clone());
        assert_eq!(told.total, expected, "{text} {variables:?}");
    }
    for (text, varies) in [
        (PAGES, true),
        ("query($a: Boolean!){eventCursor @skip(if: $a)}", true),
        ("query($id: ID!){node(id: $id){id}}", false),
        ("query($a: ID!){nodes(ids: [$a]){id}}", false),
        ("{integrations(first: 5){nodes{id}}}", false),
    ] {
        assert_eq!(measured(text, None).varies, varies, "{text}");
    }
}

#[test]
fn the_most_expensive_of_fragments_on_several_types_counts() {
    const NODE: &str = "{node(id: \"a\"){";
    for (text, expected) in [
        ("... on GithubIssue{title number} ... on AsanaTask{title}}}", 1 + 2),
        ("id ... on GithubIssue{title number} ... on AsanaTask{title}}}", 1 + 1 + 2),
        ("... on GithubIssue{title} ... on GithubIssue{a: number}}}", 1 + 2),
        ("... on WorkItem{title key} ... on AsanaTask{a: title}}}", 1 + 2 + 1),
        ("... on ProviderNode{... on GithubIssue{title number} ... on AsanaTask{title}}}}", 1 + 2),
        ("...{... on GithubIssue{title}}}}", 1 + 1),
    ] {
        let text = format!("{NODE}{text}");
        assert_eq!(cost(&text), expected, "{text}");
    }
}

#[test]
fn no_document_takes_long_to_measure() {
    let chain = |links: usize, spreads: usize| {
        let mut text = String::from("{...f0}");
        for number in 0..links {
            let next = format!("...f{} ", number + 1);
            let _ = write!(text, "fragment f{number} on Query{{{}}}", next.repeat(spreads));
        }
        let _ = write!(text, "fragment f{links} on Query{{integrations(first: 100){{nodes{{id}}}}}}");
        text
    };
    let pages = (0..100).fold(String::from("{github{"), |text, number| {
        text + &format!("a{number}: repositories(first: {number}){{...F}} ")
    }) + "}} fragment F on GithubRepositoryConnection{...G ...G} fragment G on GithubRepositoryConnection{nodes{issues{nodes{id}}}}";
    for text in [chain(60, 2), chain(60, 80), pages] {
        let document = parsed(&text);
        let (_, operation) = document.operations.iter().next().unwrap();
        let costs = Costs::default();
        let begun = Instant::now();
        let told = costs.measure(&document, &operation.node, None);
        let took = begun.elapsed();
        assert!(took.as_millis() < 500, "{took:?}");
        assert!(told.total > 100_000, "{}", told.total);
    }
    assert_eq!(cost(&chain(200, 2)), u64::MAX, "a cost that is too high to count is the highest there is");
    assert!(cost("{...A} fragment A on Query{...B} fragment B on Query{...A eventCursor}") > 0, "a cycle ends");
}
