//! Takes a GraphQL answer apart again: each want gets its nodes, its pages, or its own error.

use chrono::{DateTime, Utc};
use mullion_schema::ports::Filter;
use serde_json::Value;

use super::{
    error,
    names::{WORKFLOW_RUN, WORKFLOW_RUNS},
    normalize::{Collector, reference},
    plan::{At, Part, PartKind},
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
    let Some(whole) = answer.data.get(alias) else {
        return Err(UpstreamError::new(UpstreamErrorKind::Down, "GitHub's answer lacks this part"));
    };
    let value = match part.at {
        At::Whole => Some(whole),
        At::Item(index) => whole.get(index),
        At::Inner => whole.get("item"),
    };
    let problems = Problems::at(&answer.errors, alias, part.at);
    let Some(value) = value.filter(|value| !value.is_null()) else { return missing(&problems, part) };
    match &part.kind {
        PartKind::Node(node) => {
            let found = found_by_id(value.clone(), node, reading);
            let failure = problems.inside(|_| true).filter(|_| found.found.is_some());
            Ok(Fetched { failure, refused: problems.refused(), ..found })
        }
        PartKind::Lookup { lists, .. } => found_by_name(value, lists, &problems, reading),
        PartKind::Page(want) => page(value, want.clone(), &problems, reading),
    }
}

/// A failure of a piece that answers no want of its own.
pub(super) fn failure(answer: &Answer, alias: &str) -> Option<UpstreamError> {
    Problems::at(&answer.errors, alias, At::Whole).any()
}

/// The errors at a part of an answer.
struct Problems<'a> {
    /// Each with its path below the part.
    errors: Vec<(&'a [Value], UpstreamError)>,
}

impl<'a> Problems<'a> {
    /// Those that say more than that something is not there. An error without a path is about every part.
    fn at(all: &'a [Problem], alias: &str, at: At) -> Self {
        let below = |problem: &'a Problem| {
            let Some((first, path)) = problem.path.split_first() else { return Some(&[][..]) };
            let step = path.split_first();
            match (at, step) {
                _ if first != alias => None,
                (At::Item(index), Some((step, path))) => (step.as_u64() == u64::try_from(index).ok()).then_some(path),
                (At::Inner, Some((step, path))) => (step == "item").then_some(path),
                _ => Some(path),
            }
        };
        let errors = all.iter().filter_map(|problem| Some((below(problem)?, error::of_problem(problem)?)));
        Self { errors: errors.collect() }
    }

    fn any(&self) -> Option<UpstreamError> {
        self.errors.first().map(|(_, error)| error.clone())
    }

    /// Why a field inside the part is missing for good: the token may not read it.
    fn refused(&self) -> Option<UpstreamError> {
        let refused = self.errors.iter().find(|(_, error)| error.kind == UpstreamErrorKind::Forbidden);
        refused.map(|(_, error)| error.clone())
    }

    /// A failure of something inside the part that passes. A field that the token may not read is refused with every reading, and
    /// must not make everything else that is known of the node old.
    fn inside(&self, concerns: impl Fn(&[Value]) -> bool) -> Option<UpstreamError> {
        let mut passing = self.errors.iter().filter(|(_, error)| error.kind != UpstreamErrorKind::Forbidden);
        passing.find(|(path, _)| concerns(path)).map(|(_, error)| error.clone())
    }

    /// The failure of a list, or of items of it, so that the page would pass for whole without being it. Items that the token may not
    /// read are left out, as GitHub leaves out what it hides.
    fn of_list(&self, name: &str) -> Option<UpstreamError> {
        self.inside(|path| goes_through(path, name))
    }
}

/// Whether a path leads to a list or into one. One that stands for the whole part has its items below it.
fn goes_through(path: &[Value], list: &str) -> bool {
    path.iter().any(|step| step == list || (list == "list" && step == "nodes"))
}

/// The writes of a piece that answers no want of its own.
pub(super) fn writes(answer: &Answer, alias: &str, reading: Reading) -> Vec<NodeWrite> {
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(answer.data.get(alias).unwrap_or(&Value::Null));
    collector.writes
}

fn missing(problems: &Problems<'_>, part: &Part) -> Result<Fetched, UpstreamError> {
    if let Some(failure) = problems.any() {
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
    Fetched { found: Some(node.clone()), writes: collector.writes, ..Fetched::default() }
}

fn found_by_name(
    value: &Value,
    lists: &[(&'static str, Filter)],
    problems: &Problems<'_>,
    reading: Reading,
) -> Result<Fetched, UpstreamError> {
    let Some(found) = reference(value) else {
        return Err(UpstreamError::new(UpstreamErrorKind::Down, "GitHub's answer does not say what it found"));
    };
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(value);
    let mut pages = Vec::new();
    for (index, (name, filter)) in lists.iter().enumerate() {
        let field = format!("list{index}");
        // A list that failed is asked for again on its own, and then the failure is told.
        let Some(connected) = value.get(&field).filter(|_| problems.of_list(&field).is_none()) else { continue };
        let list = ListRef { parent: Some(found.clone()), name };
        pages.extend(connection(connected, PageWant { list, filter: filter.clone(), cursor: None }).ok());
    }
    let in_a_list = |path: &[Value]| (0..lists.len()).any(|index| goes_through(path, &format!("list{index}")));
    let failure = problems.inside(|path| !in_a_list(path));
    Ok(Fetched { found: Some(found), writes: collector.writes, pages, failure, refused: problems.refused() })
}

fn page(value: &Value, want: PageWant, problems: &Problems<'_>, reading: Reading) -> Result<Fetched, UpstreamError> {
    let connected = if value.get("pageInfo").is_some() { Some(value) } else { value.get("list") };
    let Some(connected) = connected.filter(|list| list.is_object()) else {
        let refused = || UpstreamError::new(UpstreamErrorKind::Rejected, "GitHub's answer lacks this list");
        return Err(problems.any().unwrap_or_else(refused));
    };
    let page = connection(connected, want)?;
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(value);
    let failure = problems.of_list("list");
    let pages = if failure.is_some() { Vec::new() } else { vec![page] };
    Ok(Fetched { writes: collector.writes, pages, failure, ..Fetched::default() })
}

/// A page. One that does not say whether there is more, or what is in it, is broken: it must not pass for the last one.
fn connection(value: &Value, want: PageWant) -> Result<FetchedPage, UpstreamError> {
    let broken = || UpstreamError::new(UpstreamErrorKind::Down, "GitHub's answer has a broken list");
    let info: PageInfo =
        value.get("pageInfo").and_then(|info| serde_json::from_value(info.clone()).ok()).ok_or_else(broken)?;
    let nodes = value.get("nodes").and_then(Value::as_array).ok_or_else(broken)?;
    Ok(FetchedPage {
        want,
        items: nodes.iter().filter_map(reference).collect(),
        next: info.next().map_err(|()| broken())?,
        total: value.get("totalCount").and_then(Value::as_i64),
    })
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
