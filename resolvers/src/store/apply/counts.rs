//! Numbers that a provider told: how many items a list has, how many issues of a repository are open. They are moved by what is
//! heard of the items since, and asked for again where that does not say how.
//!
//! A number is as of the moment at which it was asked for. From then on it follows the store: an item that was counted and is not
//! any more takes one away, once, however often and in whichever order its events come. But a delivery may report something
//! that happened before the number was asked for and is in it already: a move counts only where it is known to have come after.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mullion_entities::list_window;
use mullion_schema::ports::Filter;

use super::{
    ApplyContext,
    effect::{Step, Turn},
    nodes::Work,
    pages::Windows,
};
use crate::{
    provider::{Count, ListRef, NodeRef},
    store::{
        StoreError,
        merge::{NodeState, Source},
        session::Session,
        text::{index_text, list_text},
    },
};

/// How far a provider's clock and ours may be apart, in microseconds.
const SKEW: i64 = 10_000_000;
/// The body key of the time at which an item came to be.
const CREATED: &str = "createdAt";
/// The body key of the time by which lists may be ordered.
const UPDATED: &str = "updatedAt";

/// A number as the provider gave it.
struct Reported<'a> {
    list: &'a ListRef,
    filter: &'a Filter,
    /// When it was asked for, in microseconds.
    as_of: i64,
    /// How far the items were read with it, where they were.
    window: Option<&'a list_window::Model>,
}

/// Moves the numbers of windows, in place, and those in the bodies of the nodes that lists hang on. Gives the windows that moved.
pub(super) async fn recount(
    connection: &impl Session,
    context: &ApplyContext<'_>,
    work: &mut Work,
    windows: &mut Windows,
) -> Result<BTreeSet<(String, String)>, StoreError> {
    let mut moved = BTreeSet::new();
    let mut counts: Vec<(NodeRef, &'static Count, NodeRef)> = Vec::new();
    for (node, turn) in work.turns() {
        let Some(after) = work.state(node) else { continue };
        for list in lists(context, node, turn, after) {
            for window in windows.of(&list_text(&list)) {
                if let Some(step) = in_window(context, (node, turn, after), &list, window) {
                    shift(context, window, step);
                    moved.insert((window.list.clone(), window.filter.clone()));
                }
            }
            let Some(parent) = &list.parent else { continue };
            let here = context.rules.counts().iter().filter(|count| count.is_of(&list));
            counts.extend(here.map(|count| (parent.clone(), count, node.clone())));
        }
    }
    let parents: BTreeSet<NodeRef> = counts.iter().map(|(parent, ..)| parent.clone()).collect();
    work.add(connection, context, parents.into_iter().collect()).await?;
    for (parent, count, node) in counts {
        let Some((change, step)) = in_body(context, work, &parent, count, &node) else { continue };
        work.count(context, change, (&parent, count.key), step);
    }
    doubt_overtaken(context, work);
    Ok(moved)
}

/// Where a node stood or stands.
fn lists(context: &ApplyContext<'_>, node: &NodeRef, turn: &Turn, after: &NodeState) -> BTreeSet<ListRef> {
    let bodies = turn.before.iter().map(|before| &before.body).chain([&after.body]);
    bodies.flat_map(|body| context.rules.memberships(node, body)).map(|(list, _)| list).collect()
}

fn in_window(
    context: &ApplyContext<'_>,
    turn: (&NodeRef, &Turn, &NodeState),
    list: &ListRef,
    window: &list_window::Model,
) -> Option<Step> {
    window.total?;
    let step = match filter_of(context, &window.filter) {
        Some(filter) => {
            step(context, turn, &Reported { list, filter: &filter, as_of: window.fetched_at, window: Some(window) })
        }
        None => Step::Unknown,
    };
    // In a list that was read to its end, all items are known and counted one by one.
    (step != Step::By(0) && !(step == Step::Unknown && window.exhausted)).then_some(step)
}

fn in_body(
    context: &ApplyContext<'_>,
    work: &Work,
    parent: &NodeRef,
    count: &Count,
    node: &NodeRef,
) -> Option<(usize, Step)> {
    let (turn, after) = (work.turn(node)?, work.state(node)?);
    let stamp = work.state(parent)?.stamps.get(count.key).filter(|stamp| !stamp.tied)?;
    let list = ListRef { parent: Some(parent.clone()), name: count.list };
    let filter = Filter::from([(count.filter.0, vec![count.filter.1.to_owned()])]);
    let reported = Reported { list: &list, filter: &filter, as_of: stamp.fetched, window: None };
    Some((turn.change, step(context, (node, turn, after), &reported))).filter(|(_, step)| *step != Step::By(0))
}

fn step(
    context: &ApplyContext<'_>,
    (node, turn, after): (&NodeRef, &Turn, &NodeState),
    reported: &Reported<'_>,
) -> Step {
    let is = i64::from(is_counted(context, node, after, reported));
    let fetched = context.origin.source == Source::Provider;
    // A number that was told with the fetch, or after it, holds what it shows.
    if fetched && reported.as_of >= context.origin.at.timestamp_micros() {
        return Step::By(0);
    }
    // Which of two contents that came last is right: what lost a tie, or what was there and has lost it.
    let contenders = turn.rival.iter().chain(turn.before.as_ref().filter(|_| is_tied(after)));
    if !fetched && contenders.into_iter().any(|rival| i64::from(is_counted(context, node, rival, reported)) != is) {
        return Step::Unknown;
    }
    let Some(before) = &turn.before else {
        return match counted_unheard(context, node, after, reported) {
            Some(was) => Step::By(is - i64::from(was)),
            // That a fetch comes to know of a thing does not mean that anything happened to it.
            None if fetched => Step::By(0),
            None => Step::Unknown,
        };
    };
    let was = i64::from(is_counted(context, node, before, reported));
    let seen_since = before.stamps.values().any(|stamp| stamp.fetched >= reported.as_of);
    let later = turn.at > reported.as_of.saturating_add(SKEW) && !before.is_stale();
    if was == is || seen_since || later { Step::By(is - was) } else { Step::Unknown }
}

/// Whether a node that nobody had heard of was in a number all the same; `None`: that cannot be reported.
fn counted_unheard(
    context: &ApplyContext<'_>,
    node: &NodeRef,
    after: &NodeState,
    reported: &Reported<'_>,
) -> Option<bool> {
    if context.origin.source == Source::Provider {
        return None;
    }
    let created = after.body.get(CREATED)?;
    if let Some(window) = reported.window {
        // An item stands no further down than where it came in. So it would have come along, had it been there.
        let mut body = after.body.clone();
        body.insert(UPDATED.to_owned(), created.clone());
        let places = context.rules.memberships(node, &body);
        let sort = places.into_iter().find(|(list, _)| list == reported.list).map(|(_, sort)| index_text(&sort));
        if window.exhausted || (sort.is_some() && sort < window.boundary) {
            return Some(false);
        }
    }
    let created = created.as_str()?.parse::<DateTime<Utc>>().ok()?.timestamp_micros();
    if created > reported.as_of.saturating_add(SKEW) {
        return Some(false);
    }
    (reported.filter.is_empty() && created < reported.as_of.saturating_sub(SKEW)).then_some(true)
}

fn is_counted(context: &ApplyContext<'_>, node: &NodeRef, state: &NodeState, reported: &Reported<'_>) -> bool {
    !state.is_deleted()
        && state.unknown_at.is_none()
        && context.rules.memberships(node, &state.body).iter().any(|(list, _)| list == reported.list)
        && (reported.filter.is_empty() || context.rules.matches(reported.list, reported.filter, &state.body))
}

fn is_tied(state: &NodeState) -> bool {
    state.stamps.values().any(|stamp| stamp.tied)
}

fn shift(context: &ApplyContext<'_>, window: &mut list_window::Model, step: Step) {
    match step {
        Step::By(by) => window.total = window.total.map(|total| total.saturating_add(by).max(0)),
        Step::Unknown => window.stale_at = window.stale_at.max(Some(context.origin.at.timestamp_micros())),
    }
}

/// A number that came while deliveries did may or may not hold what they told: where it is the first, it is asked for again.
fn doubt_overtaken(context: &ApplyContext<'_>, work: &mut Work) {
    if context.origin.source != Source::Provider {
        return;
    }
    let mut doubtful = Vec::new();
    for (node, turn) in work.turns() {
        let Some(before) = turn.before.as_ref().filter(|before| before.is_heard_since(context.origin.at)) else {
            continue;
        };
        let counts = context.rules.counts().iter().filter(|count| count.parent == node.type_name);
        let first = counts.filter(|count| before.stamps.get(count.key).is_none_or(|stamp| stamp.tied));
        doubtful.extend(first.map(|count| (node.clone(), turn.change, count.key)));
    }
    for (node, change, key) in doubtful {
        work.count(context, change, (&node, key), Step::Unknown);
    }
}

/// A filter as it stands in a row; `None` where it is not readable (any more).
fn filter_of(context: &ApplyContext<'_>, text: &str) -> Option<Filter> {
    if text.is_empty() {
        return Some(Filter::new());
    }
    let read: BTreeMap<String, Vec<String>> = serde_json::from_str(text).ok()?;
    read.into_iter().map(|(name, values)| Some((context.rules.filter_name(&name)?, values))).collect()
}

impl Count {
    fn is_of(&self, list: &ListRef) -> bool {
        self.list == list.name && list.parent.as_ref().is_some_and(|parent| parent.type_name == self.parent)
    }
}
