//! Numbers that a provider told: how many items a list has, how many issues of a repository are open. They are moved by what is
//! heard of the items since, and asked for again where that does not say how.
//!
//! A number is as of the moment at which it was asked for. From then on it follows the store: an item that was counted and is not
//! any more takes one away, once, however often and in whichever order its events come. What a delivery tells may have happened
//! before the number was asked for, though, and is then in it already: a move counts only where it is known to have come after.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mullion_entities::list_window;
use mullion_schema::ports::Filter;
use serde_json::Value;

use super::{Place, nodes::Work, pages::Windows};
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

/// What a batch did to a node.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// What was known of it before.
    pub(super) before: Option<NodeState>,
    /// What it may be instead: events of one instant contradict each other, and nobody has asked the provider yet.
    pub(super) rival: Option<NodeState>,
    /// The oldest version that changed something, in microseconds.
    pub(super) at: i64,
    /// Which change of the batch did it.
    pub(super) change: usize,
}

/// How a number moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// By so much.
    By(i64),
    /// The number is to be asked for again.
    Unknown,
}

/// A number that was told.
struct Told<'a> {
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
    place: &Place<'_>,
    work: &mut Work,
    windows: &mut Windows,
) -> Result<BTreeSet<(String, String)>, StoreError> {
    let mut moved = BTreeSet::new();
    let mut counts: Vec<(NodeRef, &'static Count, NodeRef)> = Vec::new();
    for (node, turn) in work.turns() {
        let Some(after) = work.state(node) else { continue };
        for list in lists(place, node, turn, after) {
            for window in windows.of(&list_text(&list)) {
                if let Some(step) = in_window(place, (node, turn, after), &list, window) {
                    shift(place, window, step);
                    moved.insert((window.list.clone(), window.filter.clone()));
                }
            }
            let Some(parent) = &list.parent else { continue };
            let here = place.rules.counts().iter().filter(|count| count.is_of(&list));
            counts.extend(here.map(|count| (parent.clone(), count, node.clone())));
        }
    }
    let parents: BTreeSet<NodeRef> = counts.iter().map(|(parent, ..)| parent.clone()).collect();
    work.add(connection, place, parents.into_iter().collect()).await?;
    for (parent, count, node) in counts {
        let Some((change, step)) = in_body(place, work, (&parent, count), &node) else { continue };
        work.count(place, change, (&parent, count.key), step);
    }
    doubt_overtaken(place, work);
    Ok(moved)
}

/// Where a node stood or stands.
fn lists(place: &Place<'_>, node: &NodeRef, turn: &Turn, after: &NodeState) -> BTreeSet<ListRef> {
    let bodies = turn.before.iter().map(|before| &before.body).chain([&after.body]);
    bodies.flat_map(|body| place.rules.memberships(node, body)).map(|(list, _)| list).collect()
}

fn in_window(
    place: &Place<'_>,
    turn: (&NodeRef, &Turn, &NodeState),
    list: &ListRef,
    window: &list_window::Model,
) -> Option<Step> {
    window.total?;
    let step = match filter_of(place, &window.filter) {
        Some(filter) => {
            step(place, turn, &Told { list, filter: &filter, as_of: window.fetched_at, window: Some(window) })
        }
        None => Step::Unknown,
    };
    // Of what was read to its end, all are known and counted one by one.
    (step != Step::By(0) && !(step == Step::Unknown && window.exhausted)).then_some(step)
}

fn in_body(
    place: &Place<'_>,
    work: &Work,
    (parent, count): (&NodeRef, &Count),
    node: &NodeRef,
) -> Option<(usize, Step)> {
    let (turn, after) = (work.turn(node)?, work.state(node)?);
    let stamp = work.state(parent)?.stamps.get(count.key).filter(|stamp| !stamp.tied)?;
    let list = ListRef { parent: Some(parent.clone()), name: count.list };
    let filter = Filter::from([(count.filter.0, vec![count.filter.1.to_owned()])]);
    let told = Told { list: &list, filter: &filter, as_of: stamp.fetched, window: None };
    Some((turn.change, step(place, (node, turn, after), &told))).filter(|(_, step)| *step != Step::By(0))
}

fn step(place: &Place<'_>, (node, turn, after): (&NodeRef, &Turn, &NodeState), told: &Told<'_>) -> Step {
    let is = i64::from(is_counted(place, node, after, told));
    let fetched = place.origin.source == Source::Provider;
    // A number that was told with the fetch, or after it, holds what it shows.
    if fetched && told.as_of >= place.origin.at.timestamp_micros() {
        return Step::By(0);
    }
    // Which of two contents that came last is right: what lost a tie, or what was there and has lost it.
    let contenders = turn.rival.iter().chain(turn.before.as_ref().filter(|_| is_tied(after)));
    if !fetched && contenders.into_iter().any(|rival| i64::from(is_counted(place, node, rival, told)) != is) {
        return Step::Unknown;
    }
    let Some(before) = &turn.before else {
        return match counted_unheard(place, node, after, told) {
            Some(was) => Step::By(is - i64::from(was)),
            // That a fetch comes to know of a thing does not mean that anything happened to it.
            None if fetched => Step::By(0),
            None => Step::Unknown,
        };
    };
    let was = i64::from(is_counted(place, node, before, told));
    let seen_since = before.stamps.values().any(|stamp| stamp.fetched >= told.as_of);
    let later = turn.at > told.as_of.saturating_add(SKEW) && !before.is_stale();
    if was == is || seen_since || later { Step::By(is - was) } else { Step::Unknown }
}

/// Whether a node that nobody had heard of was in a number all the same; `None`: that cannot be told.
fn counted_unheard(place: &Place<'_>, node: &NodeRef, after: &NodeState, told: &Told<'_>) -> Option<bool> {
    if place.origin.source == Source::Provider {
        return None;
    }
    let created = after.body.get(CREATED)?;
    if let Some(window) = told.window {
        // An item stands no further down than where it came in. So it would have come along, had it been there.
        let mut body = after.body.clone();
        body.insert(UPDATED.to_owned(), created.clone());
        let places = place.rules.memberships(node, &body);
        let sort = places.into_iter().find(|(list, _)| list == told.list).map(|(_, sort)| index_text(&sort));
        if window.exhausted || (sort.is_some() && sort < window.boundary) {
            return Some(false);
        }
    }
    let created = created.as_str()?.parse::<DateTime<Utc>>().ok()?.timestamp_micros();
    if created > told.as_of.saturating_add(SKEW) {
        return Some(false);
    }
    (told.filter.is_empty() && created < told.as_of.saturating_sub(SKEW)).then_some(true)
}

fn is_counted(place: &Place<'_>, node: &NodeRef, state: &NodeState, told: &Told<'_>) -> bool {
    !state.is_deleted()
        && state.unknown_at.is_none()
        && place.rules.memberships(node, &state.body).iter().any(|(list, _)| list == told.list)
        && (told.filter.is_empty() || place.rules.matches(told.list, told.filter, &state.body))
}

fn is_tied(state: &NodeState) -> bool {
    state.stamps.values().any(|stamp| stamp.tied)
}

fn shift(place: &Place<'_>, window: &mut list_window::Model, step: Step) {
    match step {
        Step::By(by) => window.total = window.total.map(|total| total.saturating_add(by).max(0)),
        Step::Unknown => window.stale_at = window.stale_at.max(Some(place.origin.at.timestamp_micros())),
    }
}

/// A number that came while deliveries did may or may not hold what they told: where it is the first, it is asked for again.
fn doubt_overtaken(place: &Place<'_>, work: &mut Work) {
    if place.origin.source != Source::Provider {
        return;
    }
    let mut doubtful = Vec::new();
    for (node, turn) in work.turns() {
        let Some(before) = turn.before.as_ref().filter(|before| is_heard_since(before, place.origin.at)) else {
            continue;
        };
        let counts = place.rules.counts().iter().filter(|count| count.parent == node.type_name);
        let first = counts.filter(|count| before.stamps.get(count.key).is_none_or(|stamp| stamp.tied));
        doubtful.extend(first.map(|count| (node.clone(), turn.change, count.key)));
    }
    for (node, change, key) in doubtful {
        work.count(place, change, (&node, key), Step::Unknown);
    }
}

/// Whether a delivery told of a node after a fetch was sent.
pub(super) fn is_heard_since(state: &NodeState, sent_at: DateTime<Utc>) -> bool {
    state.source == Source::Webhook && state.fetched_at > sent_at.timestamp_micros()
}

/// A filter as it stands in a row; `None` where it is not readable (any more).
fn filter_of(place: &Place<'_>, text: &str) -> Option<Filter> {
    if text.is_empty() {
        return Some(Filter::new());
    }
    let read: BTreeMap<String, Vec<String>> = serde_json::from_str(text).ok()?;
    read.into_iter().map(|(name, values)| Some((place.rules.filter_name(&name)?, values))).collect()
}

impl Count {
    fn is_of(&self, list: &ListRef) -> bool {
        self.list == list.name && list.parent.as_ref().is_some_and(|parent| parent.type_name == self.parent)
    }
}

/// A number of a body after a step; `None`: there is none.
pub(super) fn moved(value: &Value, by: i64) -> Option<Value> {
    Some(value.as_i64()?.saturating_add(by).max(0).into())
}
