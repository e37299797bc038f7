//! Documents that are valid, and such that are not: the rules that are our own, and that all others run.

use std::{sync::Arc, time::Instant};

use async_graphql::{ServerError, parser::parse_query};
use mullion_schema::validate::Validator;

fn check(validator: &Validator, document: &str) -> Result<(), Vec<ServerError>> {
    validator.check(&Arc::new(parse_query(document).expect("a document")))
}

/// Selections of a query, and whether they are valid; named by what they have in common.
const OVERLAPS: &[(&str, &str, bool)] = &[
    ("a field twice", "dashboard(slug: \"a\") { name name }", true),
    ("a field twice, with an alias", "dashboard(slug: \"a\") { x: name x: name }", true),
    ("two fields, one alias", "dashboard(slug: \"a\") { x: name x: slug }", false),
    ("an alias that is another field", "dashboard(slug: \"a\") { name: slug name }", false),
    ("__typename and a field", "dashboard(slug: \"a\") { x: __typename x: name }", false),
    ("__typename twice", "dashboard(slug: \"a\") { __typename __typename }", true),
    ("other arguments", "nodes(ids: [\"a\"]) { id } nodes(ids: [\"b\"]) { id }", false),
    ("a longer list", "nodes(ids: [\"a\"]) { id } nodes(ids: [\"a\", \"b\"]) { id }", false),
    ("a list in another order", "nodes(ids: [\"a\", \"b\"]) { id } nodes(ids: [\"b\", \"a\"]) { id }", false),
    ("an argument more", "workItems { totalCount } workItems(first: 1) { totalCount }", false),
    (
        "arguments in another order",
        "workItems(first: 1, after: null) { totalCount } workItems(after: null, first: 1) { totalCount }",
        true,
    ),
    (
        "an object with its fields in another order",
        "workItems(orderBy: {field: DUE_ON, direction: ASC}) { totalCount } workItems(orderBy: {direction: ASC, field: DUE_ON}) { totalCount }",
        true,
    ),
    (
        "an object with another value",
        "workItems(orderBy: {field: DUE_ON, direction: ASC}) { totalCount } workItems(orderBy: {direction: DESC, field: DUE_ON}) { totalCount }",
        false,
    ),
    ("below a field that comes twice", "dashboard(slug: \"a\") { x: name } dashboard(slug: \"a\") { x: slug }", false),
    (
        "three levels down",
        "github { repository(owner: \"a\", name: \"b\") { issues { nodes { x: title } } } } \
         github { repository(owner: \"a\", name: \"b\") { issues { nodes { x: url } } } }",
        false,
    ),
    ("in fragments", "dashboard(slug: \"a\") { ... { x: name } ... on Dashboard { x: slug } }", false),
    ("on an interface and its type", "workItems { nodes { x: title ... on AsanaTask { x: key } } }", false),
    ("the same on an interface and its type", "workItems { nodes { title ... on AsanaTask { title } } }", true),
    ("on two types", "workItems { nodes { ... on GithubIssue { x: title } ... on AsanaTask { x: key } } }", true),
    (
        "on two types behind conditions",
        "workItems { nodes { ... on GithubIssue { ... @include(if: true) { x: title } } ... on AsanaTask { ... @include(if: true) { x: key } } } }",
        true,
    ),
    (
        "on one type behind conditions",
        "workItems { nodes { ... on AsanaTask { ... @include(if: true) { x: title } } ... on AsanaTask { ... @skip(if: true) { x: key } } } }",
        false,
    ),
    (
        "on two types, other arguments",
        "workItems { nodes { ... on GithubIssue { comments(first: 1) { totalCount } } ... on AsanaTask { comments(first: 2) { totalCount } } } }",
        true,
    ),
    (
        "on two types, other shapes",
        "workItems { nodes { ... on GithubIssue { x: title } ... on AsanaTask { x: completed } } }",
        false,
    ),
    (
        "on two types, null and not null",
        "workItems { nodes { ... on GithubIssue { x: title } ... on AsanaTask { x: bodyText } } }",
        false,
    ),
    (
        "on two types, a list and none",
        "workItems { nodes { ... on GithubIssue { x: assignees { id } } ... on AsanaTask { x: section { id } } } }",
        false,
    ),
    (
        "on two types, other shapes below",
        "workItems { nodes { ... on GithubIssue { x: comments { y: totalCount } } ... on AsanaTask { x: comments { y: nodes { id } } } } }",
        false,
    ),
    ("in introspection", "__schema { types { x: name } types { x: kind } }", false),
    ("in introspection, the same", "__schema { types { name } types { name kind } }", true),
    (
        "of entities",
        "_entities(representations: []) { ... on Dashboard { x: name } ... on Dashboard { x: slug } }",
        false,
    ),
];

#[test]
fn fields_of_one_name_are_one_field_on_every_level() {
    let validator = Validator::default();
    for (name, selections, valid) in OVERLAPS {
        let direct = check(&validator, &format!("{{ {selections} }}"));
        let spread = check(&validator, &format!("query {{ ...F }} fragment F on Query {{ {selections} }}"));
        for checked in [direct, spread] {
            assert_eq!(checked.is_ok(), *valid, "{name}: {checked:?}");
            for error in checked.err().into_iter().flatten() {
                assert!(error.message.contains("cannot both be"), "{name}: {}", error.message);
                assert_eq!(error.locations.len(), 2, "{name}: {error:?}");
            }
        }
    }
}

#[test]
fn a_conflict_tells_its_places_and_no_values() {
    let text = "{ a: nodes(ids: [\"SECRET\"]) { id }\n  a: nodes(ids: [\"OTHER\"]) { id } }";
    let errors = check(&Validator::default(), text).expect_err("a conflict");
    let [error] = &errors[..] else { panic!("{errors:?}") };
    let places: Vec<_> = error.locations.iter().map(|pos| (pos.line, pos.column)).collect();
    assert_eq!(places, [(1, 3), (2, 3)]);
    assert!(!error.message.contains("SECRET") && !error.message.contains("OTHER"), "{}", error.message);
}

#[test]
fn the_other_rules_run_too() {
    let validator = Validator::default();
    for (text, valid) in [
        ("{ eventCursor }", true),
        ("{ nothing }", false),
        ("{ dashboard(slug: \"a\", nothing: 1) { id } }", false),
        ("{ dashboard(slug: \"a\") }", false),
        ("{ node { id } }", false),
        ("{ node(id: \"a\", id: \"b\") { id } }", false),
        ("{ eventCursor { id } }", false),
        ("query($a: Int) { eventCursor }", false),
        ("query($a: Int, $a: Int) { dashboards(first: $a) { totalCount } }", false),
        ("{ dashboards(first: $a) { totalCount } }", false),
        ("query($a: String) { dashboards(first: $a) { totalCount } }", false),
        ("query($a: Int) { workItems(filter: {types: [$a]}) { totalCount } }", false),
        ("query($a: Int) { dashboards(first: $a) { totalCount } }", true),
        ("query($a: ID) { node(id: $a) { id } }", false),
        ("query($a: ID = \"a\") { node(id: $a) { id } }", true),
        ("query($a: ID = null) { node(id: $a) { id } }", false),
        ("query($a: Int = null) { dashboards(first: $a) { totalCount } }", true),
        ("query($a: [WorkItemState!]!) { workItems(filter: {states: $a}) { totalCount } }", true),
        ("query($a: [WorkItemState!]) { workItems(filter: {states: $a}) { totalCount } }", true),
        ("query($a: [WorkItemState]) { workItems(filter: {states: $a}) { totalCount } }", false),
        ("query($a: [ID!]!) { nodes(ids: $a) { id } }", true),
        ("query($a: [ID!]) { nodes(ids: $a) { id } }", false),
        ("query($a: [ID!]! = [\"a\"]) { nodes(ids: $a) { id } }", true),
        ("query($a: Boolean) { eventCursor @skip(if: $a) }", false),
        ("query($a: Boolean) { ...F @skip(if: $a) } fragment F on Query { eventCursor }", false),
        ("query($a: Boolean = false) { eventCursor @skip(if: $a) }", true),
        ("query($a: String!) { ...F } fragment F on Query { ... { dashboards(first: $a) { totalCount } } }", false),
        ("query($a: WorkItemFilter!) { workItems(filter: $a) { totalCount } }", true),
        ("{ ...F }", false),
        ("{ eventCursor } fragment F on Query { eventCursor }", false),
        ("{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }", false),
        ("{ ...F } fragment F on Dashboard { id }", false),
        ("{ ...F } fragment F on Nothing { id }", false),
        ("{ ... on Int { id } }", false),
        ("{ eventCursor @nothing }", false),
        ("query @skip(if: true) { eventCursor }", false),
        ("{ eventCursor @skip }", false),
        ("{ eventCursor @skip(if: true) @skip(if: false) }", false),
        ("{ workItems(filter: {states: [\"TODO\"]}) { totalCount } }", false),
        ("subscription { activity { id } }", true),
        ("subscription { ...F } fragment F on Subscription { activity { id } }", true),
        ("subscription { activity { id } activity { summary } }", true),
        ("subscription { activity { id } other: activity { id } }", false),
        ("subscription { ...F activity { id } } fragment F on Subscription { other: activity { id } }", false),
        ("subscription { __typename }", false),
        ("subscription { viewer { id } }", false),
    ] {
        let checked = check(&validator, text);
        assert_eq!(checked.is_ok(), valid, "{text}: {checked:?}");
    }
}

#[test]
fn only_the_first_error_of_each_kind_is_told() {
    let validator = Validator::default();
    let directives = "@aa".repeat(10);
    for (text, expected) in [
        (format!("{{ eventCursor {directives} }}"), vec!["aa"]),
        ("{ nothing nowhere dashboard(slug: \"a\") { never } }".to_owned(), vec!["nothing"]),
        ("{ nothing eventCursor @aa }".to_owned(), vec!["nothing", "aa"]),
        ("{ workItems(filter: {states: [\"TODO\"]}) { totalCount } b: workItems(filter: {states: [1]}) { totalCount } }".to_owned(), vec!["states"]),
        ("{ dashboards(first: \"a\") { totalCount } b: dashboard(slug: 1) { id } c: dashboard(slug: 2) { id } }".to_owned(), vec!["first", "slug"]),
    ] {
        let errors = check(&validator, &text).expect_err(&text);
        assert_eq!(errors.len(), expected.len(), "{text}: {errors:?}");
        for word in expected {
            assert!(errors.iter().any(|error| error.message.contains(word)), "{word}: {errors:?}");
        }
    }
}

#[test]
fn a_misspelled_name_gets_a_suggestion() {
    let validator = Validator::default();
    for (text, expected) in [
        ("{ dashboad(slug: \"a\") { id } }", Some("\"dashboard\", \"dashboards\"?")),
        ("{ dashboard(slag: \"a\") { id } }", Some("\"slug\"?")),
        ("{ dashboard(slug: \"a\") { Name } }", Some("\"name\"?")),
        ("{ nothingLikeIt }", None),
    ] {
        let errors = check(&validator, text).expect_err(text);
        let suggested =
            errors.first().and_then(|error| error.message.split_once("Did you mean ")).map(|(_, names)| names);
        assert_eq!(suggested, expected, "{errors:?}");
    }
}

/// A way down over one type.
fn chain(on: &str) -> String {
    (0..4).fold("id".to_owned(), |below, _| format!("widgets {{ ... on {on} {{ dashboard {{ {below} }} }} }}"))
}

/// Documents at the limits of tokens (10,000), fields (10,000) and depth (15), made to be compared for as long as possible.
fn adversaries() -> Vec<(&'static str, String)> {
    let many = "name ".repeat(9_900);
    let pairs = (0..1_200).fold(String::new(), |text, _| text + "dashboard(slug: \"a\") { id } ");
    // Selections on an interface and on each of its types, on every level: each level multiplies the groups.
    let types = ["WorkItemsWidget", "PullRequestsWidget", "BuildsWidget", "MessagesWidget"];
    let mut deep = "widgets { id }".to_owned();
    for _ in 0..5 {
        let on_types = types
            .iter()
            .fold(String::new(), |text, on| text + &format!("... on {on} {{ dashboard {{ {} }} }} ", chain(on)));
        deep = format!("widgets {{ dashboard {{ {deep} }} {on_types} }}");
    }
    let fragments =
        (0..900).fold(String::new(), |text, number| text + &format!("fragment F{number} on Dashboard {{ id name }} "));
    let spreads = (0..900).fold(String::new(), |text, number| text + &format!("...F{number} "));
    vec![
        ("one field many times", format!("{{ dashboard(slug: \"a\") {{ {many} }} }}")),
        ("one object many times", format!("{{ {pairs} }}")),
        ("interfaces and types on every level", format!("{{ dashboard(slug: \"a\") {{ {deep} }} }}")),
        ("many fragments", format!("{{ dashboard(slug: \"a\") {{ {spreads} }} }} {fragments}")),
        (
            "conflicts without end",
            format!(
                "{{ {} }}",
                (0..2_000).fold(String::new(), |text, number| text + &format!("x: nodes(ids: {number}) {{ id }} "))
            ),
        ),
        (
            "names that are not there",
            format!(
                "{{ node(id: \"a\") {{ ... on GithubPullRequest {{ {} }} }} }}",
                (0..9_000).fold(String::new(), |text, number| text + &format!("{}{number} ", "name".repeat(20)))
            ),
        ),
    ]
}

#[test]
fn no_document_takes_long_and_errors_are_few() {
    let validator = Validator::default();
    for (name, text) in adversaries() {
        let document = Arc::new(parse_query(&text).expect(name));
        let started = Instant::now();
        let checked = validator.check(&document);
        let took = started.elapsed();
        // A build without optimisations on a busy machine; with them it is a tenth.
        assert!(took.as_secs_f64() < 2.0, "{name}: {took:?}");
        let invalid = ["conflicts without end", "names that are not there"];
        assert_eq!(checked.is_err(), invalid.contains(&name), "{name}");
        assert!(checked.err().is_none_or(|errors| errors.len() <= 20), "{name}");
    }
}
