//! The work that documents make: bounded before it is done, charged to their tenant, and not done again for the same refusal.

use std::{
    fmt::Write,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_graphql::Variables;
use mullion_schema::error::ErrorCode;
use tokio::time::Instant;

use super::{COMPLEX, ExecutionBudgets, Executions, SHORT, code, documents, documents_of, documents_within, parse};
use crate::{
    config::Limits,
    fake::{StandIn, admin},
};

/// A document of many operations that share what `operation` and `fragment` say.
fn shared(operations: usize, operation: &str, fragment: &str) -> String {
    let mut text = format!("fragment f on Query {{ {fragment} }}");
    for number in 0..operations {
        let _ = write!(text, " query q{number} {operation}");
    }
    text
}

#[test]
fn a_document_is_refused_whose_operations_come_to_too_much_in_all() {
    for (name, text, expected) in [
        ("a few operations", shared(20, "{...f}", &"viewer {id} ".repeat(100)), None),
        ("one fragment of all", shared(800, "{...f}", &"viewer {id} ".repeat(450)), COMPLEX),
        ("variables", shared(200, "($a: Int) {...f}", &"dashboards(first: $a) {totalCount} ".repeat(300)), COMPLEX),
        ("values", shared(800, "{...f}", &format!("nodes(ids: [{}]) {{id}}", "1 ".repeat(400))), COMPLEX),
        ("values in objects", shared(800, "{...f}", &format!("a(b: {{c: [{}]}})", "1 ".repeat(400))), COMPLEX),
        ("directives", shared(800, "{...f}", &format!("id {}", "@include(if: true) ".repeat(200))), COMPLEX),
        ("inline fragments", shared(800, "{...f}", &"... {id} ".repeat(300)), COMPLEX),
        ("chains", shared(1_000, "{...c0}", "id") + &chain(100), COMPLEX),
        ("fragments", "{id} ".to_owned() + &spreading(900, 450), COMPLEX),
    ] {
        let stand_in = Arc::new(StandIn::default());
        let read = parse(&documents_of(Arc::clone(&stand_in)), &text);
        assert_eq!(read.err().map(|error| error.code), expected, "{name}");
        assert_eq!(stand_in.validated.load(Ordering::Relaxed), usize::from(expected.is_none()), "{name}");
    }
}

/// Fragments that spread each the next.
fn chain(length: usize) -> String {
    (0..length).fold(format!(" fragment c{length} on Query {{id}}"), |mut text, number| {
        let _ = write!(text, " fragment c{number} on Query {{...c{}}}", number + 1);
        text
    })
}

/// Fragments that all spread the same one.
fn spreading(fragments: usize, fields: usize) -> String {
    (0..fragments).fold(format!("fragment f on Query {{ {} }}", "id ".repeat(fields)), |mut text, number| {
        let _ = write!(text, " fragment s{number} on Query {{...f}}");
        text
    })
}

#[test]
fn a_name_is_not_longer_than_a_path_can_carry() {
    for place in
        ["{NAME: a}", "{NAME}", "{a(NAME: 1)}", "query NAME {a}", "query($NAME: Int) {a(b: $NAME)}", "{a @NAME}"]
    {
        let text = |length| place.replace("NAME", &"n".repeat(length));
        assert_eq!(code(&text(255)), None, "{place}");
        assert_eq!(code(&text(256)), COMPLEX, "{place}");
        assert_eq!(code(&text(100_000)), COMPLEX, "{place}");
    }
    let error = parse(&documents(), &format!("{{\n {}: a}}", "n".repeat(256))).unwrap_err();
    assert_eq!((error.errors[0].locations[0].line, error.errors[0].locations[0].column), (2, 2));
}

/// Budgets with a minute of processor time in each minute.
fn a_minute() -> Arc<Executions> {
    Arc::new(Executions::new(ExecutionBudgets { time: Some(Duration::from_mins(1)), ..ExecutionBudgets::UNLIMITED }))
}

#[test]
fn reading_is_charged_and_a_refusal_is_not_made_twice() {
    let (stand_in, budgets) = (Arc::new(StandIn::default()), a_minute());
    let documents = documents_within(Arc::clone(&stand_in), Arc::clone(&budgets));
    // As it was when something was charged last.
    let charged = || budgets.time().used(admin().tenant());
    for (text, refused) in
        [("{hello}", false), ("{invalid}", true), ("{", true), ("{a b c d} fragment a on T {...a}", true)]
    {
        let before = charged();
        let first = parse(&documents, text);
        let behind = charged();
        assert_eq!((first.is_err(), behind != before), (refused, true), "{text}");
        let again = parse(&documents, text);
        assert_eq!((again.is_err(), charged()), (refused, behind), "{text}: it is remembered");
        if let (Err(first), Err(again)) = (first, again) {
            assert_eq!(first.to_body(), again.to_body(), "{text}");
        }
    }
    assert_eq!(stand_in.validated.load(Ordering::Relaxed), 2);
    let (long, limits) = ("{a a a}", Limits { max_tokens: 4, ..Limits::default() });
    documents.set_limits(limits);
    assert!(parse(&documents, long).is_err());
    documents.set_limits(Limits::default());
    assert!(parse(&documents, long).is_ok(), "it was refused by other limits");
}

#[test]
fn a_tenant_without_time_is_given_what_was_read_and_has_nothing_read() {
    let budgets = a_minute();
    let documents = documents_within(Arc::default(), Arc::clone(&budgets));
    assert!(parse(&documents, "{hello}").is_ok());
    let charge = |used, at| budgets.time().charge(admin().tenant(), used, at);
    charge(Duration::from_millis(68_500), Instant::now());
    assert!(parse(&documents, "{hello}").is_ok());
    let refused = parse(&documents, "{pause}").unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (ErrorCode::RateLimited, Some(9)));
    // An hour gives everything back.
    charge(Duration::ZERO, Instant::now() + Duration::from_hours(1));
    assert!(parse(&documents, "{pause}").is_ok(), "that was no fault of the document");
}

#[tokio::test]
async fn a_long_document_is_read_on_another_thread() {
    let documents = documents();
    let (short, long) = ("{a}".to_owned(), format!("{{a}} # {}", "x".repeat(SHORT)));
    assert!(documents.parse_at_once(&admin(), &short).is_some());
    assert!(documents.parse_at_once(&admin(), &long).is_none());
    assert!(documents.parse(&admin(), &long).await.is_ok());
    assert!(documents.parse_at_once(&admin(), &long).is_some_and(|read| read.is_ok()), "it is remembered");
    let broken = long.replace('}', "");
    assert!(documents.parse(&admin(), &broken).await.is_err());
    assert!(documents.parse_at_once(&admin(), &broken).is_some_and(|read| read.is_err()), "so is its refusal");
}

#[test]
fn variables_that_the_operation_does_not_declare_are_dropped() {
    let documents = documents();
    let document = parse(&documents, "query A($a: Int, $b: Int) {c(a: $a, b: $b)} query B {c}").unwrap();
    for (name, kept) in [("A", vec!["a"]), ("B", vec![])] {
        let variables: Variables = serde_json::from_str(r#"{"a": 1, "c": "unused"}"#).unwrap();
        let selected = documents.select(&admin(), &document, Some(name.to_owned()), variables).unwrap();
        let names: Vec<_> = selected.variables.keys().map(async_graphql::Name::as_str).collect();
        assert_eq!(names, kept, "{name}");
    }
}
