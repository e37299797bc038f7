//! Values that do not fit: refused before execution with their place and without the value; and what the executor itself says
//! of them, where it would be asked, has a code and hides the value too.

use std::sync::Arc;

use async_graphql::{Response, ServerError, Value as Const, Variables, parser::parse_query};
use mullion_schema::{coerce::Inputs, error::give_codes, ports::Role};
use serde_json::{Value, json};

use crate::fake::{Fake, run_as};

fn check(document: &str, variables: Value) -> Result<Variables, Vec<ServerError>> {
    let parsed = parse_query(document).expect("a document");
    let inputs = Inputs::default();
    match inputs.literals(&parsed) {
        wrong if wrong.is_empty() => inputs.variables(&parsed, None, &Variables::from_json(variables)),
        wrong => Err(wrong),
    }
}

fn code(error: &ServerError) -> String {
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code")).cloned();
    code.and_then(|code| code.into_json().ok()).and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}

const ITEMS: &str = "query($f: WorkItemFilter) { workItems(filter: $f) { totalCount } }";
const ADD: &str = "mutation($i: AddWidgetInput!) { addWidget(input: $i) { widget { id } } }";
const CONNECT: &str = "mutation($i: ConnectIntegrationInput!) { connectIntegration(input: $i) { integration { id } } }";

/// Documents, their variables, and where the message says that the error is. Each value that does not fit holds "SECRET".
fn wrong_variables() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("query($id: ID!) { node(id: $id) { id } }", json!({}), "$id: "),
        ("query($id: ID!) { node(id: $id) { id } }", json!({"id": null}), "$id: "),
        ("query($id: ID!) { node(id: $id) { id } }", json!({"id": {"SECRET": "SECRET"}}), "$id: "),
        ("query($id: ID!) { node(id: $id) { id } }", json!({"id": ["SECRET"]}), "$id: "),
        ("query($n: Int) { dashboards(first: $n) { totalCount } }", json!({"n": "SECRET"}), "$n: "),
        ("query($n: Int) { dashboards(first: $n) { totalCount } }", json!({"n": 4_294_967_296_i64}), "$n: "),
        ("query($n: Int) { dashboards(first: $n) { totalCount } }", json!({"n": 1.5}), "$n: "),
        (
            "query($n: Int) { a: dashboards(first: $n) @skip(if: true) { totalCount } eventCursor }",
            json!({"n": "SECRET"}),
            "$n: ",
        ),
        ("query($b: Boolean!) { eventCursor @skip(if: $b) __typename }", json!({"b": "SECRET"}), "$b: "),
        ("query($s: String) { dashboard(slug: $s) { id } }", json!({"s": {"a": "SECRET"}}), "$s: "),
        ("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({"ids": ["a", null]}), "$ids[1]: "),
        ("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({"ids": ["a", ["SECRET"]]}), "$ids[1]: "),
        (ITEMS, json!({"f": "SECRET"}), "$f: "),
        (ITEMS, json!({"f": ["SECRET"]}), "$f: "),
        (ITEMS, json!({"f": {"colour": "SECRET"}}), "$f.colour: "),
        (ITEMS, json!({"f": {"states": ["TODO", "SECRET"]}}), "$f.states[1]: "),
        (ITEMS, json!({"f": {"states": 5}}), "$f.states: "),
        (ITEMS, json!({"f": {"dueBefore": "SECRET"}}), "$f.dueBefore: "),
        (
            "query($f: ActivityFilter) { activity(filter: $f) { totalCount } }",
            json!({"f": {"kinds": [{"a": "SECRET"}]}}),
            "$f.kinds[0]: ",
        ),
        (ADD, json!({"i": {"dashboardId": "x", "source": {}, "title": "t"}}), "$i.source: "),
        (
            ADD,
            json!({"i": {"dashboardId": "x", "source": {"activity": {}, "builds": {}}, "title": "t"}}),
            "$i.source: ",
        ),
        (ADD, json!({"i": {"dashboardId": "x", "source": {"activity": null}, "title": "t"}}), "$i.source: "),
        (ADD, json!({"i": {"source": {"activity": {}}, "title": "t"}}), "$i.dashboardId: "),
        (ADD, json!({"i": {"dashboardId": "x", "title": {"a": "SECRET"}, "source": {"activity": {}}}}), "$i.title: "),
        (CONNECT, json!({"i": {"provider": "github", "name": "n", "token": ["SECRET"]}}), "$i.token: "),
        (CONNECT, json!({"i": {"provider": "github", "name": "n", "token": {"t": "SECRET"}}}), "$i.token: "),
        (CONNECT, json!({"i": {"provider": "github", "name": "n", "token": "t", "baseUrl": "SECRET"}}), "$i.baseUrl: "),
        ("subscription($c: EventCursor) { activity(after: $c) { id } }", json!({"c": {"a": "SECRET"}}), "$c: "),
    ]
}

/// Literals that do not fit, and the argument that the message names.
const WRONG_LITERALS: &[(&str, &str)] = &[
    ("{ dashboards(first: \"SECRET\") { totalCount } }", "first: "),
    ("{ dashboards(first: 4294967296) { totalCount } }", "first: "),
    ("{ node(id: {a: \"SECRET\"}) { id } }", "id: "),
    ("{ nodes(ids: [\"a\", null]) { id } }", "ids[1]: "),
    ("{ workItems(filter: \"SECRET\") { totalCount } }", "filter: "),
    ("{ workItems(filter: {states: [SECRET]}) { totalCount } }", "filter.states[0]: "),
    ("{ workItems(filter: {colour: \"SECRET\"}) { totalCount } }", "filter.colour: "),
    ("{ workItems(filter: {dueBefore: \"SECRET\"}) { totalCount } }", "filter.dueBefore: "),
    (
        "query($x: WorkItemState) { workItems(filter: {states: [$x], dueBefore: \"SECRET\"}) { totalCount } }",
        "filter.dueBefore: ",
    ),
    ("query($x: WorkItemState = SECRET) { workItems(filter: {states: [$x]}) { totalCount } }", "the default of $x: "),
    ("{ ...F } fragment F on Query { dashboards(first: true) { totalCount } }", "first: "),
    (
        "{ dashboard(slug: \"team\") { widgets { ... on WorkItemsWidget { items(first: \"SECRET\") { totalCount } } } } }",
        "first: ",
    ),
    ("{ github { repository(owner: 5, name: \"b\") { id } } }", "owner: "),
    ("subscription { activity(after: 5) { id } }", "after: "),
    ("{ workItems(filter: {states: [\"TODO\"]}) { totalCount } }", "filter.states[0]: "),
    ("{ workItems(orderBy: {field: \"DUE_ON\", direction: ASC}) { totalCount } }", "orderBy.field: "),
    ("query($x: WorkItemState = \"TODO\") { workItems(filter: {states: [$x]}) { totalCount } }", "the default of $x: "),
    (
        "query($x: [WorkItemState!] = \"TODO\") { workItems(filter: {states: $x}) { totalCount } }",
        "the default of $x: ",
    ),
    ("{ dashboards(first: 5.0) { totalCount } }", "first: "),
];

#[test]
fn a_variable_that_does_not_fit_refuses_the_request_and_is_not_told() {
    for (document, variables, place) in wrong_variables() {
        let errors = check(document, variables.clone()).expect_err(place);
        assert_eq!(errors.len(), 1, "{document} {variables}: {errors:?}");
        assert!(errors[0].message.starts_with(place), "{document} {variables}: {}", errors[0].message);
        assert_eq!(code(&errors[0]), "BAD_USER_INPUT", "{document}");
        assert!(!errors[0].message.contains("SECRET") && errors[0].path.is_empty(), "{}", errors[0].message);
    }
}

#[test]
fn a_literal_that_does_not_fit_refuses_the_request_and_is_not_told() {
    for (document, place) in WRONG_LITERALS {
        let errors = check(document, json!({})).expect_err(document);
        assert_eq!(errors.len(), 1, "{document}: {errors:?}");
        assert!(errors[0].message.starts_with(place), "{document}: {}", errors[0].message);
        assert_eq!(code(&errors[0]), "GRAPHQL_VALIDATION_FAILED", "{document}");
        assert!(!errors[0].message.contains("SECRET") && errors[0].path.is_empty(), "{}", errors[0].message);
    }
}

#[test]
fn what_fits_is_let_through_with_its_defaults() {
    for (document, variables) in [
        (ITEMS, json!({})),
        (ITEMS, json!({"f": null})),
        (ITEMS, json!({"f": {"states": "TODO", "dueBefore": "2026-11-22", "types": null}})),
        ("query($id: ID!) { node(id: $id) { id } }", json!({"id": 5})),
        ("query($x: Nothing) { node(id: $x, y: 5) { id } nothing(x: {}) }", json!({"x": 1})),
        ("query($r: [_Any!]!) { _entities(representations: $r) { __typename } }", json!({"r": [1, {"a": []}]})),
        (
            "query($x: WorkItemState) { workItems(filter: {states: [$x]}, orderBy: {field: DUE_ON, direction: ASC}) { totalCount } }",
            json!({}),
        ),
        ("{ __type(name: \"Query\") { fields(includeDeprecated: true) { name } } }", json!({})),
    ] {
        let checked = check(document, variables.clone());
        assert!(checked.is_ok(), "{document} {variables}: {checked:?}");
    }
    let defaults = check("query($n: Int = 5, $b: Boolean = true, $c: Int) { eventCursor }", json!({"b": false}));
    let defaults = defaults.expect("they fit");
    assert_eq!(defaults.get("n"), Some(&Const::from(5)));
    assert_eq!(defaults.get("b"), Some(&Const::from(false)));
    assert_eq!(defaults.get("c"), None);
}

#[test]
fn what_the_executor_says_of_values_has_a_code_and_tells_none() {
    let fake = Arc::new(Fake::new());
    let literals = WRONG_LITERALS.iter().map(|(document, place)| (*document, json!({}), *place));
    let mut at_fields = 0;
    for (document, variables, _) in wrong_variables().into_iter().chain(literals) {
        if document.starts_with("subscription") {
            continue;
        }
        let mut response: Response = run_as(&fake, Role::Admin, document, variables.clone());
        let unknown = give_codes(&mut response.errors);
        assert!(unknown.is_empty(), "{document} {variables}: {unknown:?}");
        for error in &response.errors {
            assert!(!error.message.contains("SECRET"), "{document}: {}", error.message);
            let at_field = !error.path.is_empty();
            at_fields += usize::from(at_field);
            assert!(!at_field || code(error) == "BAD_USER_INPUT", "{document}: {error:?}");
        }
    }
    assert!(at_fields > 5, "the executor looks at some values only when a field runs: {at_fields}");
}
