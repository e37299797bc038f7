//! Takes a GraphQL answer apart again: each want gets its nodes, its pages, or its own error.

use chrono::{DateTime, Utc};
use mullion_schema::ports::Filter;
use serde_json::Value;

use super::{
    error,
    keys::keys,
    names::{COMMENT, ISSUE, PULL_REQUEST, RELEASE, SEARCH, WORKFLOW_RUN, WORKFLOW_RUNS, of_typename},
    normalize::Collector,
    plan::{At, Part, PartKind},
    values::{object, reference, text, time},
    wire::{Answer, PageInfo, Problem},
};
use crate::{
    provider::{Fetched, FetchedPage, ListRef, NodeRef, PageWant, change::NodeWrite},
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

/// The outcome of a part of the piece under `alias`.
pub(super) fn fetched(answer: &Answer, alias: &str, part: &Part, reading: Reading) -> Result<Fetched, UpstreamError> {
    let Some(whole) = answer.data.get(alias) else {
        return Err(broken("GitHub's answer lacks this part"));
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
            let found = found_by_id(value.clone(), node, reading)?;
            let failure = problems.inside(|_| true).or_else(|| unreadable(value, node.type_name));
            Ok(Fetched { failure, refused: problems.refused(), ..found })
        }
        PartKind::Lookup { lists, .. } => found_by_name(value, lists, &problems, reading),
        PartKind::Page(want) => page(value, want.clone(), &problems, reading),
    }
}

/// The failure of a node whose answer has something else in the place of a field than GitHub's schema allows.
fn unreadable(value: &Value, type_name: &str) -> Option<UpstreamError> {
    let is_broken = keys(type_name).any(|key| key.is_broken_in(value));
    is_broken.then(|| broken("GitHub's answer has a field that is not what its schema says"))
}

/// A failure of a piece that answers no want of its own.
pub(super) fn failure(answer: &Answer, alias: &str) -> Option<UpstreamError> {
    Problems::at(&answer.errors, alias, At::Whole).any()
}

/// Whether GitHub says of an item of a piece that there is no such thing.
pub(super) fn is_absent(answer: &Answer, alias: &str, item: usize) -> bool {
    Problems::at(&answer.errors, alias, At::Item(item)).is_absent
}

/// The errors at a part of an answer.
struct Problems<'a> {
    /// Each with its path below the part.
    errors: Vec<(&'a [Value], UpstreamError)>,
    /// Whether GitHub says of the part itself that there is no such thing. Null alone does not say that.
    is_absent: bool,
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
        let depth = if matches!(at, At::Item(_)) { 2 } else { 1 };
        let is_absent = all.iter().any(|problem| {
            let is_at_part = problem.path.len() >= depth && below(problem).is_some_and(<[Value]>::is_empty);
            is_at_part && error::of_problem(problem).is_none()
        });
        Self { errors: errors.collect(), is_absent }
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

    /// The failure of a list, or of items of it, so that the page would pass for whole without being it.
    fn of_list(&self, name: &str) -> Option<UpstreamError> {
        self.inside(|path| goes_through(path, name))
    }

    /// Why items of a list are missing for good: the token may not read them. GitHub protects resources of organizations with SAML so,
    /// each with an error of its own: <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>.
    fn withheld(&self, list: &str) -> Option<UpstreamError> {
        let is_item = |path: &[Value]| match path {
            [nodes, item] => list == "list" && nodes == "nodes" && item.is_u64(),
            [name, nodes, item] => name == list && nodes == "nodes" && item.is_u64(),
            _ => false,
        };
        let mut refused = self.errors.iter().filter(|(_, error)| error.kind == UpstreamErrorKind::Forbidden);
        refused.find(|(path, _)| is_item(path)).map(|(_, error)| error.clone())
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
        PartKind::Lookup { null_is_absent: true, .. } => Ok(Fetched::default()),
        _ if !problems.is_absent => Err(broken("GitHub's answer lacks a part without saying why")),
        PartKind::Page(_) => {
            Err(UpstreamError::new(UpstreamErrorKind::NotFound, "GitHub does not know the list's owner"))
        }
        _ => Ok(Fetched::default()),
    }
}

/// An answer that is not what GitHub's API promises: it tells nothing, least of all that something is not there.
fn broken(why: &str) -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::Down, why)
}

/// Whether an object is the node that was asked for. An id in GitHub's older format, which has no prefix, may be answered with the newer
/// one.
fn is_the_one(value: &Value, node: &NodeRef) -> bool {
    let is_newer = node.native_id.contains('_');
    reference(value)
        .is_some_and(|found| found.type_name == node.type_name && (found.native_id == node.native_id || !is_newer))
}

fn found_by_id(mut value: Value, node: &NodeRef, reading: Reading) -> Result<Fetched, UpstreamError> {
    if !is_the_one(&value, node) {
        return Err(broken("GitHub answered with another thing than was asked for"));
    }
    // The thing that was asked for keeps its name.
    if let Some(id) = value.get_mut("id") {
        *id = node.native_id.as_ref().into();
    }
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(&value);
    Ok(Fetched { found: Some(node.clone()), writes: collector.writes, ..Fetched::default() })
}

fn found_by_name(
    value: &Value,
    lists: &[(&'static str, Filter)],
    problems: &Problems<'_>,
    reading: Reading,
) -> Result<Fetched, UpstreamError> {
    let Some(found) = reference(value) else {
        return Err(broken("GitHub's answer does not say what it found"));
    };
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(value);
    let mut pages = Vec::new();
    for (index, (name, filter)) in lists.iter().enumerate() {
        let field = format!("list{index}");
        // A list that failed is asked for again on its own, and then the failure is told.
        let is_whole = problems.of_list(&field).is_none() && problems.withheld(&field).is_none();
        let Some(connected) = value.get(&field).filter(|_| is_whole) else { continue };
        let list = ListRef { parent: Some(found.clone()), name };
        let want = PageWant { list, filter: filter.clone(), cursor: None };
        pages.extend(connection(connected, want, false).ok());
    }
    let in_a_list = |path: &[Value]| (0..lists.len()).any(|index| goes_through(path, &format!("list{index}")));
    let failure = problems.inside(|path| !in_a_list(path)).or_else(|| unreadable(value, found.type_name));
    Ok(Fetched { found: Some(found), writes: collector.writes, pages, failure, refused: problems.refused() })
}

fn page(value: &Value, want: PageWant, problems: &Problems<'_>, reading: Reading) -> Result<Fetched, UpstreamError> {
    let connected = if value.get("pageInfo").is_some() { Some(value) } else { value.get("list") };
    let Some(connected) = connected.filter(|list| list.is_object()) else {
        return Err(problems.any().unwrap_or_else(|| broken("GitHub's answer lacks this list")));
    };
    if want.list.parent.as_ref().is_some_and(|parent| !is_the_one(value, parent)) {
        return Err(broken("GitHub answered with the list of another thing than was asked for"));
    }
    let (failure, withheld) = (problems.of_list("list"), problems.withheld("list"));
    let page = connection(connected, want, failure.is_some() || withheld.is_some());
    let pages = match (page, &failure) {
        (Ok(page), None) => vec![page],
        (_, Some(_)) => Vec::new(),
        // The errors say why a list is not there at all.
        (Err(error), None) if connected.get("nodes").is_none_or(Value::is_null) => {
            return Err(problems.any().unwrap_or(error));
        }
        (Err(error), None) => return Err(error),
    };
    let mut collector = Collector::new(reading.asked_at, reading.emails);
    collector.absorb(value);
    Ok(Fetched { writes: collector.writes, pages, failure, refused: withheld, ..Fetched::default() })
}

/// A page. One that does not say whether there is more, or what is in it, is broken: it must not pass for the last one. `with_gaps`:
/// errors say why items of it are null.
fn connection(value: &Value, want: PageWant, with_gaps: bool) -> Result<FetchedPage, UpstreamError> {
    let broken = || broken("GitHub's answer has a broken list");
    let info: PageInfo =
        value.get("pageInfo").and_then(|info| serde_json::from_value(info.clone()).ok()).ok_or_else(broken)?;
    let nodes = value.get("nodes").and_then(Value::as_array).ok_or_else(broken)?;
    let mut items = Vec::with_capacity(nodes.len());
    for node in nodes {
        match item(node, want.list.name) {
            Item::Node(node) => items.push(node),
            Item::OfNoType => {}
            Item::Null if with_gaps => {}
            Item::Null | Item::Broken => return Err(broken()),
        }
    }
    let next = info.next().map_err(|()| broken())?;
    if next.is_some() && next == want.cursor {
        return Err(broken()); // it would go on forever
    }
    // A number that cannot be right is none.
    let least = i64::try_from(nodes.len()).unwrap_or(i64::MAX);
    let total = value.get("totalCount").and_then(Value::as_i64).filter(|total| *total >= least);
    Ok(FetchedPage { want, items, next, total })
}

/// The kinds of items of a page.
enum Item {
    Node(NodeRef),
    /// Something that the graph has no type for: searches find other things too.
    OfNoType,
    Null,
    /// Without what it takes to know it again, or to place it in the list.
    Broken,
}

fn item(value: &Value, list: &str) -> Item {
    let Some(members) = value.as_object() else { return if value.is_null() { Item::Null } else { Item::Broken } };
    match text(value, "__typename") {
        None if list == SEARCH && members.is_empty() => return Item::OfNoType,
        Some(typename) if of_typename(typename).is_none() => return Item::OfNoType,
        _ => {}
    }
    let Some(node) = reference(value) else { return Item::Broken };
    let of = |owner: &str| object(value, owner).is_some_and(|owner| text(owner, "id").is_some());
    let is_placed = list == SEARCH
        || match node.type_name {
            ISSUE | PULL_REQUEST => time(value, "updatedAt").is_some() && of("repository"),
            RELEASE => time(value, "createdAt").is_some() && of("repository"),
            COMMENT => time(value, "createdAt").is_some() && (of("issue") || of("pullRequest")),
            _ => true,
        };
    if is_placed { Item::Node(node) } else { Item::Broken }
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
