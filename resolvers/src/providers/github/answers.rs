//! Takes a GraphQL answer apart again: each want gets its nodes, its pages, or its own error.

use chrono::{DateTime, Utc};
use mullion_schema::ports::Filter;
use serde_json::Value;

use super::{
    error,
    names::{WORKFLOW_RUN, WORKFLOW_RUNS},
    normalize::{Collector, reference},
    plan::{At, Part, PartKind},
    values::list,
    wire::{Answer, PageInfo, Problem},
};
use crate::{
    change::{ListRef, NodeRef, NodeWrite},
    provider::{Fetched, FetchedPage, PageWant},
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// How to read: when the query was sent, and whether addresses may be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) asked_at: DateTime<Utc>,
    pub(super) emails: bool,
}

/// An answer whose failed fields are gone, so that they are unknown and not known to be empty.
pub(super) fn pruned(mut answer: Answer) -> Answer {
    for problem in &answer.errors {
        if let Some((last, path)) = problem.path.split_last() {
            let parent = path.iter().try_fold(&mut answer.data, |value, step| match step {
                Value::String(name) => value.get_mut(name),
                step => value.get_mut(usize::try_from(step.as_u64()?).ok()?),
            });
            if let (Some(Value::Object(members)), Some(name)) = (parent, last.as_str())
                && path.len() > 1
                && members.get(name).is_some_and(Value::is_null)
            {
                members.remove(name);
            }
        }
    }
    answer
}

/// What came of a part of the piece under `alias`.
pub(super) fn fetched(answer: &Answer, alias: &str, part: &Part, reading: Reading) -> Result<Fetched, UpstreamError> {
    let whole = answer.data.get(alias).unwrap_or(&Value::Null);
    let value = match part.at {
        At::Whole => whole,
        At::Item(index) => whole.get(index).unwrap_or(&Value::Null),
        At::Inner => whole.get("item").unwrap_or(&Value::Null),
    };
    if value.is_null() {
        return missing(&answer.errors, alias, part);
    }
    match &part.kind {
        PartKind::Node(node) => Ok(found_by_id(value.clone(), node, reading)),
        PartKind::Lookup { lists, .. } => Ok(found_by_name(value, lists, reading)),
        PartKind::Page(want) => page(value, want.clone(), reading),
    }
}

/// The writes of a piece that answers no want of its own.
pub(super) fn writes(answer: &Answer, alias: &str, reading: Reading) -> Vec<NodeWrite> {
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(answer.data.get(alias).unwrap_or(&Value::Null));
    collector.writes
}

fn missing(problems: &[Problem], alias: &str, part: &Part) -> Result<Fetched, UpstreamError> {
    let concerns = |problem: &&Problem| {
        let mut path = problem.path.iter();
        let same_alias = path.next().and_then(Value::as_str).is_none_or(|name| name == alias);
        let same_item = match (part.at, path.next().and_then(Value::as_u64)) {
            (At::Item(index), Some(item)) => usize::try_from(item) == Ok(index),
            _ => true,
        };
        same_alias && same_item
    };
    if let Some(failure) = problems.iter().filter(concerns).find_map(error::of_problem) {
        return Err(failure);
    }
    match part.kind {
        PartKind::Page(_) => {
            Err(UpstreamError::new(UpstreamErrorKind::NotFound, "GitHub does not know the list's owner"))
        }
        _ => Ok(Fetched::default()),
    }
}

fn found_by_id(mut value: Value, node: &NodeRef, reading: Reading) -> Fetched {
    // An id in GitHub's older format may be answered with the newer one: what was asked for keeps its name.
    if let Some(id) = value.get_mut("id") {
        *id = node.native_id.as_ref().into();
    }
    if reference(&value).as_ref() != Some(node) {
        return Fetched::default();
    }
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(&value);
    Fetched { found: Some(node.clone()), writes: collector.writes, pages: Vec::new() }
}

fn found_by_name(value: &Value, lists: &[(&'static str, Filter)], reading: Reading) -> Fetched {
    let Some(found) = reference(value) else { return Fetched::default() };
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(value);
    let pages = lists.iter().enumerate().filter_map(|(index, (name, filter))| {
        let list = ListRef { parent: Some(found.clone()), name };
        let want = PageWant { list, filter: filter.clone(), cursor: None };
        Some(connection(value.get(format!("list{index}"))?, want))
    });
    let pages = pages.collect();
    Fetched { found: Some(found), writes: collector.writes, pages }
}

fn page(value: &Value, want: PageWant, reading: Reading) -> Result<Fetched, UpstreamError> {
    let connected = if value.get("pageInfo").is_some() { Some(value) } else { value.get("list") };
    let Some(connected) = connected.filter(|list| list.is_object()) else {
        return Err(UpstreamError::new(UpstreamErrorKind::Forbidden, "the token may not read this list at GitHub"));
    };
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(value);
    Ok(Fetched { found: None, writes: collector.writes, pages: vec![connection(connected, want)] })
}

fn connection(value: &Value, want: PageWant) -> FetchedPage {
    let info: PageInfo =
        value.get("pageInfo").and_then(|info| serde_json::from_value(info.clone()).ok()).unwrap_or_default();
    FetchedPage {
        want,
        items: list(value, "nodes").iter().filter_map(reference).collect(),
        next: info.next(),
        total: value.get("totalCount").and_then(Value::as_i64),
    }
}

/// `owner/name` and number of the workflow runs in an answer, by native id.
pub(super) fn runs(answer: &Answer, alias: &str) -> Vec<(NodeRef, String, i64)> {
    let items = answer.data.get(alias).and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|run| {
            let name = run.pointer("/checkSuite/repository/nameWithOwner")?.as_str()?;
            let number = run.get("databaseId")?.as_i64()?;
            Some((NodeRef::new(WORKFLOW_RUN, run.get("id")?.as_str()?), name.to_owned(), number))
        })
        .collect()
}

/// Whether a list is REST's.
pub(super) fn is_over_rest(list: &str) -> bool {
    list == WORKFLOW_RUNS
}
