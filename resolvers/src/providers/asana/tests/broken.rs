//! Answers that are not what Asana's API promises: none of them passes for absence, or for a list that is whole.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::world::{World, list, node, page, world};
use crate::{
    provider::{FetchWant, Fetched},
    providers::asana::names,
    upstream::{UpstreamError, UpstreamErrorKind as Kind},
};

fn found(outcome: &Result<Fetched, UpstreamError>) -> Result<bool, Kind> {
    outcome.as_ref().map(|fetched| fetched.found.is_some()).map_err(|error| error.kind)
}

#[test]
fn only_asana_s_own_word_on_a_record_means_that_there_is_none() {
    let no_such_task = json!({ "errors": [{ "message": "task: Unknown object: 1" }] });
    let task = |gid: &str| json!({ "data": { "gid": gid, "name": "t", "modified_at": "2026-03-02T09:00:00Z" } });
    let part = |status: u16, body: &Value| json!({ "status_code": status, "body": body });
    let two = |one: Value| json!({ "data": [one.clone(), one] });
    for (status, alone, batch, expected) in [
        (404, no_such_task.clone(), (200, two(part(404, &no_such_task))), Ok(false)),
        (404, json!({}), (200, two(part(404, &json!({})))), Err(Kind::Down)),
        (410, json!("gone"), (410, json!("gone")), Err(Kind::Down)),
        (404, json!("not found"), (404, no_such_task.clone()), Err(Kind::Down)),
        (200, json!({ "data": {} }), (200, two(part(200, &json!({ "data": {} })))), Err(Kind::Down)),
        (200, json!({ "data": null }), (200, two(part(200, &json!({ "data": null })))), Err(Kind::Down)),
        (200, json!({}), (200, two(part(200, &json!({})))), Err(Kind::Down)),
        (200, task("9"), (200, two(part(200, &task("9")))), Err(Kind::Down)),
        (200, task("1"), (200, two(part(200, &task("1")))), Ok(true)),
    ] {
        let world = world();
        let told = alone.clone();
        world.answering(move |_| Some((status, told.clone())));
        let outcome = world.fetch(vec![node(names::TASK, "1", &["title"])]).remove(0);
        assert_eq!(found(&outcome), expected, "{status} {alone}");
        let (of_all, told) = batch.clone();
        world.answering(move |_| Some((of_all, told.clone())));
        let outcomes = world.fetch(vec![node(names::TASK, "1", &["title"]), node(names::TASK, "2", &["title"])]);
        assert_eq!(found(&outcomes[0]), expected, "{batch:?}");
    }
}

#[test]
fn an_item_without_what_places_it_breaks_the_page() {
    let task = json!({ "gid": "1", "name": "t", "created_at": "2026-03-02T09:00:00Z", "completed": false,
        "memberships": [{ "project": { "gid": "5", "name": "p" } }] });
    for (key, value, is_good) in [
        ("notes", Value::Null, true),
        ("gid", Value::Null, false),
        ("gid", json!(7), false),
        ("created_at", Value::Null, false),
        ("memberships", json!([]), false),
        ("memberships", Value::Null, false),
    ] {
        let mut broken = task.clone();
        broken[key] = value.clone();
        let world = world();
        let second = json!({ "gid": "2", "name": "t", "created_at": "2026-03-02T09:00:00Z", "completed": false,
            "memberships": [{ "project": { "gid": "5", "name": "p" } }] });
        world.answering(move |_| Some((200, json!({ "data": [second, broken], "next_page": null }))));
        let outcome = world.fetch(vec![page(list(Some((names::PROJECT, "5")), names::TASKS), &[])]).remove(0);
        let count = outcome.map(|fetched| fetched.pages[0].items.len()).map_err(|error| error.kind);
        assert_eq!(count, if is_good { Ok(2) } else { Err(Kind::Down) }, "{key} {value}");
    }
}

#[test]
fn a_field_that_is_not_what_the_reference_says_is_unknown_and_told() {
    for (asks, field, value, is_good) in [
        ("owner", "owner", Value::Null, true),
        ("owner", "owner", json!({ "gid": "9", "name": "Ann" }), true),
        ("owner", "owner", json!({}), false),
        ("owner", "owner", json!("Ann"), false),
        ("isArchived", "archived", Value::Null, false),
        ("dueOn", "due_on", json!({}), false),
    ] {
        let mut project = json!({ "gid": "5", "name": "p", "modified_at": "2026-03-02T09:00:00Z" });
        project[field] = value.clone();
        let world = world();
        world.answering(move |_| Some((200, json!({ "data": project }))));
        let fetched = world.fetch(vec![node(names::PROJECT, "5", &[asks])]).remove(0).expect("the rest");
        assert_eq!(fetched.failure.map(|error| error.kind), (!is_good).then_some(Kind::Down), "{field} {value}");
        let known =
            fetched.writes.iter().flat_map(|write| &write.aspects).any(|aspect| aspect.fields.contains_key(asks));
        assert_eq!(known, is_good, "{field} {value}");
    }
    for (counts, is_good) in [
        (json!({ "num_tasks": 3, "num_completed_tasks": 1, "num_incomplete_tasks": 2 }), true),
        (json!({ "num_tasks": 3, "num_completed_tasks": 1 }), false),
        (json!({ "num_tasks": 3, "num_completed_tasks": 1, "num_incomplete_tasks": -2 }), false),
    ] {
        let world = world();
        let told = counts.clone();
        world.answering(move |_| Some((200, json!({ "data": told }))));
        let fetched = world.fetch(vec![node(names::PROJECT, "5", &["taskTotal"])]).remove(0).expect("the rest");
        assert_eq!(fetched.failure.is_none(), is_good, "{counts}");
    }
}

/// Reads the tasks of a project to their end, or until it fails; the number of calls.
fn read_on(world: &World) -> (usize, Result<(), Kind>) {
    let mut cursor = None;
    for _ in 0..30 {
        let mut want = page(list(Some((names::PROJECT, "5")), names::TASKS), &[]);
        if let FetchWant::Page(page) = &mut want {
            page.cursor = cursor;
        }
        match world.fetch(vec![want]).remove(0) {
            Ok(fetched) => cursor = fetched.pages[0].next.clone(),
            Err(error) => return (world.calls().len(), Err(error.kind)),
        }
        if cursor.is_none() {
            break;
        }
    }
    (world.calls().len(), Ok(()))
}

#[test]
fn pages_that_do_not_end_are_not_read_without_end() {
    for (next, calls, expected) in [
        (json!(null), 1, Ok(())),
        (json!("x"), 1, Err(Kind::Down)),
        (json!([]), 1, Err(Kind::Down)),
        (json!({}), 1, Err(Kind::Down)),
        (json!({ "offset": 7 }), 1, Err(Kind::Down)),
        (json!({ "offset": "same" }), 2, Err(Kind::Down)),
    ] {
        let world = world();
        let told = next.clone();
        world.answering(move |_| Some((200, json!({ "data": [], "next_page": told }))));
        assert_eq!(read_on(&world), (calls, expected), "{next}");
    }
    let world = world();
    let number = AtomicUsize::new(0);
    world.answering(move |_| {
        let offset = number.fetch_add(1, Ordering::Relaxed).to_string();
        Some((200, json!({ "data": [], "next_page": { "offset": offset } })))
    });
    assert_eq!(read_on(&world), (68, Ok(())), "ten calls, and two each time that it is read on");
}
