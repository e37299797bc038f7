//! The limits of documents: each at its edge, and the attacks that they are for.

mod work;

use std::{
    fmt::Write,
    sync::{Arc, atomic::Ordering},
};

use async_graphql::{
    Value, Variables,
    parser::types::{OperationType, Selection},
};
use mullion_resolvers::{
    budget::{ExecutionBudgets, Executions},
    execution::Operation,
};
use mullion_schema::error::ErrorCode;
use tokio_util::task::TaskTracker;

use super::{Document, Documents, ProcessorTime, SHORT, Surroundings, reader::hash};
use crate::{
    config::Limits,
    fake::{StandIn, admin},
    operation::errors::RequestError,
};

fn documents() -> Documents {
    documents_of(Arc::default())
}

fn documents_of(rules: Arc<StandIn>) -> Documents {
    documents_within(rules, Arc::new(Executions::new(ExecutionBudgets::UNLIMITED)))
}

/// Documents of tenants with these budgets.
fn documents_within(rules: Arc<StandIn>, budgets: Arc<Executions>) -> Documents {
    let time = ProcessorTime::new(budgets, Arc::default());
    let surroundings = Surroundings { rules, time, metrics: Arc::default(), tasks: TaskTracker::new() };
    Documents::new(Limits::default(), 1_000_000, surroundings)
}

/// Reads a text here, however long it is.
fn parse(documents: &Documents, text: &str) -> Result<Arc<Document>, RequestError> {
    let parsed = documents.parse_at_once(&admin(), text);
    parsed.unwrap_or_else(|| documents.reader.read(&admin(), text, hash(text)))
}

fn select(documents: &Documents, document: &Document, name: Option<&str>) -> Result<OperationType, RequestError> {
    let selected = documents.select(&admin(), document, name.map(str::to_owned), Variables::default());
    selected.as_ref().map(Operation::kind).map_err(Clone::clone)
}

/// The code of a document's refusal, or nothing.
fn code(text: &str) -> Option<ErrorCode> {
    selected(&documents(), text, "{}")
}

const COMPLEX: Option<ErrorCode> = Some(ErrorCode::OperationTooComplex);
const BROKEN: Option<ErrorCode> = Some(ErrorCode::GraphqlParseFailed);

fn nested(levels: usize) -> String {
    format!("{}a{}", "{a".repeat(levels - 1) + "{", "}".repeat(levels))
}

#[test]
fn what_is_no_document_does_not_parse() {
    for text in [
        "{",
        "}",
        "{a",
        "{a)}",
        "{a(b:[1}]}",
        "{a(b:\"open)}",
        "{a(b:\"\"\"open\"\")}",
        "{a ; b}",
        "\u{0}",
        "{a é}",
        "query",
    ] {
        assert_eq!(code(text), BROKEN, "{text}");
    }
}

#[test]
fn a_parse_error_says_where() {
    let error = parse(&documents(), "{\n  a(b: \"x)\n}").unwrap_err();
    let location = error.errors[0].locations[0];
    assert_eq!((location.line, location.column), (2, 8));
    let error = parse(&documents(), "{ a(b:) }").unwrap_err();
    assert_eq!(error.code, ErrorCode::GraphqlParseFailed);
    assert_eq!(error.errors[0].locations[0].line, 1);
    assert!(!error.errors[0].message.contains('\n'), "{}", error.errors[0].message);
}

#[test]
fn strings_and_comments_hide_nothing_and_count_as_one() {
    for text in [
        "{a(b: \"{{{{ \\\" }\")}",
        "{a(b: \"\"\"{{ \\\"\"\" \" }\"\"\")}",
        "{a # {{{{{{\n}",
        "\u{feff}{a(b: -1.5e+3, c: $x)}",
        "query($x: [Int!] = [1, 2]) {a ...f ... @include(if: true) {c: d}} fragment f on T {b}",
    ] {
        assert_eq!(code(text), None, "{text}");
    }
}

#[test]
fn limits_hold_at_their_edge() {
    let repeated = |what: &str, times: usize| format!("{{{}}}", what.repeat(times));
    assert_eq!(code(&repeated("a ", 9_998)), None);
    assert_eq!(code(&repeated("a ", 9_999)), COMPLEX);
    let aliases = |count: usize| {
        (0..count).fold(String::from("query($v: I = {k: 1}) {f(x: {k: 1}) "), |mut text, number| {
            let _ = write!(text, "a{number}:a ");
            text
        }) + "}"
    };
    assert_eq!(code(&aliases(100)), None);
    assert_eq!(code(&aliases(101)), COMPLEX);
    assert_eq!(code(&nested(15)), None);
    assert_eq!(code(&nested(16)), COMPLEX);
    let lists = |levels: usize| format!("{{a(b:{}{})}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(code(&lists(30)), None);
    assert_eq!(code(&lists(31)), COMPLEX);
    assert_eq!(code(&lists(100_000)), COMPLEX);
    assert_eq!(code(&nested(100_000)), COMPLEX);
}

#[test]
fn fragments_are_expanded_but_not_by_walking_them() {
    let mut bomb = String::from("{...f0}");
    for number in 0..30 {
        let next = number + 1;
        let _ = write!(bomb, "fragment f{number} on T {{...f{next} ...f{next}}}");
    }
    assert_eq!(code(&format!("{bomb} fragment f30 on T {{a}}")), COMPLEX);
    // The same with a fragment that is not there, and with fragments that nobody uses.
    assert_eq!(code(&bomb), COMPLEX);
    assert_eq!(code(&bomb.replacen("{...f0}", "{a}", 1)), COMPLEX);
}

#[test]
fn a_fragment_must_not_spread_itself() {
    for text in [
        "{...a} fragment a on T {...a}",
        "{...a} fragment a on T {b {...c}} fragment c on T {...a}",
        "{x} fragment a on T {...b} fragment b on T {...a}",
    ] {
        assert_eq!(code(text), Some(ErrorCode::GraphqlValidationFailed), "{text}");
    }
}

#[test]
fn a_long_chain_of_fragments_is_refused_before_it_is_walked() {
    let mut chain = String::from("{...f0}");
    for number in 0..1_000 {
        let _ = write!(chain, "fragment f{number} on T {{...f{}}}", number + 1);
    }
    assert_eq!(code(&format!("{chain} fragment f1000 on T {{a}}")), COMPLEX);
}

#[test]
fn depth_is_counted_through_fragments() {
    let deep =
        |levels: usize| format!("{{{}...f{}}} fragment f on T {}", "a{".repeat(8), "}".repeat(8), nested(levels));
    assert_eq!(code(&deep(7)), None);
    assert_eq!(code(&deep(8)), COMPLEX);
}

/// Parses, then selects the only operation, with the stand-in's costs.
fn selected(documents: &Documents, text: &str, variables: &str) -> Option<ErrorCode> {
    let variables: Variables = serde_json::from_str(variables).unwrap();
    let selected = parse(documents, text).and_then(|document| documents.select(&admin(), &document, None, variables));
    selected.err().map(|error| error.code)
}

#[test]
fn cost_is_measured_once_where_no_variable_can_take_it_over_the_limit() {
    let stand_in = Arc::new(StandIn::default());
    let documents = documents_of(Arc::clone(&stand_in));
    for _ in 0..3 {
        assert_eq!(selected(&documents, "query($n: Int) {a(first: $n)}", "{}"), None);
    }
    assert_eq!(stand_in.measured.load(Ordering::Relaxed), 1);
    let varying = "query($cost: Int) {a(first: $cost)}";
    for (variables, expected) in
        [(r#"{"cost": 200000}"#, None), (r#"{"cost": 200001}"#, COMPLEX), (r#"{"cost": 1}"#, None), ("{}", COMPLEX)]
    {
        assert_eq!(selected(&documents, varying, variables), expected, "{variables}");
    }
    assert_eq!(stand_in.measured.load(Ordering::Relaxed), 6, "once for the text, then with each request");
}

#[test]
fn introspection_of_clients_passes_and_bombs_do_not() {
    let of_type = (0..9).fold("kind name".to_owned(), |inner, _| format!("kind name ofType {{{inner}}}"));
    let text = format!(
        "query IntrospectionQuery {{__schema {{queryType {{name}} types {{...FullType}} directives {{name args {{...V}}}}}}}}
         fragment FullType on __Type {{kind name fields(includeDeprecated: true) {{name args {{...V}} type {{...R}}}}
           inputFields {{...V}} interfaces {{...R}} enumValues {{name}} possibleTypes {{...R}}}}
         fragment V on __InputValue {{name type {{...R}} defaultValue}}
         fragment R on __Type {{{of_type}}}"
    );
    assert_eq!(code(&text), None);
    assert_eq!(code("{__type(name: \"A\") {fields {type {fields {name}}}}}"), None);
    assert_eq!(code("{__type(name: \"A\") {fields {type {fields {type {fields {name}}}}}}}"), COMPLEX);
}

#[test]
fn the_operation_is_selected_by_its_name() {
    let documents = documents();
    let text = "query A {a} mutation B {b} subscription C {c}";
    let document = parse(&documents, text).unwrap();
    for (name, expected) in
        [("A", OperationType::Query), ("B", OperationType::Mutation), ("C", OperationType::Subscription)]
    {
        assert_eq!(select(&documents, &document, Some(name)).unwrap(), expected);
    }
    for name in [Some("D"), None] {
        assert_eq!(select(&documents, &document, name).unwrap_err().code, ErrorCode::BadUserInput);
    }
    let single = parse(&documents, "query A {a}").unwrap();
    assert_eq!(select(&documents, &single, None).unwrap(), OperationType::Query);
    assert!(select(&documents, &single, Some("B")).is_err());
}

#[test]
fn the_same_text_is_parsed_once() {
    let documents = documents();
    let first = parse(&documents, "{a}").unwrap();
    assert!(Arc::ptr_eq(&first, &parse(&documents, "{a}").unwrap()));
    assert_ne!(first.hash, parse(&documents, "{b}").unwrap().hash);
}

#[test]
fn conditions_on_typename_stand_around_it_where_validation_sees_them() {
    let validator = mullion_schema::validate::Validator::default();
    for (text, valid) in [
        ("query($a: Boolean!) { __typename @skip(if: $a) }", true),
        ("query($a: Boolean!) { b: __typename @include(if: $a) @skip(if: false) eventCursor }", true),
        ("query($a: Boolean!) { ...F } fragment F on Query { __typename @skip(if: $a) }", true),
        ("query($a: Boolean!) { ... on Query { nodes(ids: []) { __typename @skip(if: $a) } } }", true),
        ("query A($a: Boolean!) { __typename @skip(if: $a) } query B { eventCursor }", true),
        ("{ __typename @skip(if: $nothing) }", false),
        ("{ __typename @nothing }", false),
        ("query($a: Boolean!) { __typename }", false),
    ] {
        let checked = validator.check(&parse(&documents(), text).unwrap().parsed);
        assert_eq!(checked.is_ok(), valid, "{text}: {checked:?}");
    }
}

/// The texts that the parser makes of strings in a document.
fn strings(text: &str) -> Vec<String> {
    let parsed = parse(&documents(), text).unwrap().parsed.clone();
    let (_, operation) = parsed.operations.iter().next().unwrap();
    let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else { panic!("{text}") };
    let string = |value: Option<Value>| match value {
        Some(Value::String(text)) => text,
        other => panic!("{other:?}"),
    };
    field.node.arguments.iter().map(|(_, value)| string(value.node.clone().into_const())).collect()
}

#[test]
fn escapes_stand_for_every_character() {
    for (literal, expected) in [
        (r#""\ud83c\udf89 party""#, "\u{1f389} party"),
        (r#""\u{1F389} party""#, "\u{1f389} party"),
        (r#""\u{0000001f389}""#, "\u{1f389}"),
        (r#""\uD83C\uDF89\uD83C\uDF89""#, "\u{1f389}\u{1f389}"),
        (r#""caf\u00e9 \u{e9}""#, "caf\u{e9} \u{e9}"),
        (r#""\u{22}\u{5C}\u{a}\u{D}\u{9}\u{2028}""#, "\"\\\n\r\t\u{2028}"),
        (r#""\\ud83c \\u{1}""#, "\\ud83c \\u{1}"),
        (r#""""\ud83c \u{1F389}""""#, "\\ud83c \\u{1F389}"),
        ("\"\u{1f389}\"", "\u{1f389}"),
        (r#""\u{10FFFF}\u{0}""#, "\u{10ffff}\0"),
    ] {
        assert_eq!(strings(&format!("{{a(b: {literal}, c: {literal})}}")), [expected, expected], "{literal}");
    }
}

#[test]
fn half_of_a_pair_is_no_character() {
    for odd in [
        r"\ud83c",
        r"\ud83c\u0041",
        r"\ud83c\ud83c",
        r"\udf89\ud83c",
        r"\udf89",
        r"\u{D83C}",
        r"\u{D83C}\u{DF89}",
        r"\u{110000}",
        r"\u{FFFFFFFFF}",
        r"\u{}",
        r"\u{12",
        r"\u{ 1}",
        r"\u12",
        r"\u12g4",
        r"\u+123",
        r"\x",
    ] {
        assert_eq!(code(&format!("{{a(b: \"{odd}\")}}")), BROKEN, "{odd}");
        let error = parse(&documents(), &format!("{{a(\n  b: \"x{odd}\")}}")).unwrap_err();
        assert_eq!(error.errors[0].locations[0].line, 2, "{odd}");
    }
}

#[test]
fn a_field_behind_an_escape_keeps_its_place() {
    let text = "{a(b: \"\\u{1F389}\\ud83c\\udf89\\u{22}\", c: 1) d\n e}";
    let document = parse(&documents(), text).unwrap();
    assert_eq!(&*document.text, text, "the text is as it was sent");
    let (_, operation) = document.parsed.operations.iter().next().unwrap();
    let places: Vec<_> =
        operation.node.selection_set.node.items.iter().map(|item| (item.pos.line, item.pos.column)).collect();
    let column = text.find("d\n").unwrap() + 1;
    assert_eq!(places, [(1, 2), (1, column), (2, 2)]);
}

#[test]
fn a_field_of_an_object_comes_once() {
    for (text, valid) in [
        ("{a(b: {c: 1, d: 2}) e(b: {c: 1})}", true),
        ("{a(b: {c: {c: 1}, d: [{c: 1}, {c: 2}]})}", true),
        ("{a(b: {c: 1, c: 2})}", false),
        ("{a(b: {c: {d: 1}, c: 2})}", false),
        ("query($v: I = {k: 1, k: 1}) {a}", false),
        ("{b: a c: a b: a}", true),
    ] {
        let expected = (!valid).then_some(ErrorCode::GraphqlValidationFailed);
        assert_eq!(code(text), expected, "{text}");
    }
    let error = parse(&documents(), "{a(b: {c: 1,\n c: 2})}").unwrap_err();
    assert_eq!((error.errors[0].locations[0].line, error.errors[0].locations[0].column), (2, 2));
}

#[test]
fn a_mutation_with_strings_is_not_stored() {
    for (text, expected) in [
        ("{a(b: \"c\")}", true),
        ("mutation($b: I!) {a(b: $b)}", true),
        ("mutation {a(token: \"c\")}", false),
        ("query A {b} mutation B {a(token: \"\"\"c\"\"\")}", false),
    ] {
        assert_eq!(parse(&documents(), text).unwrap().may_be_stored, expected, "{text}");
    }
}
