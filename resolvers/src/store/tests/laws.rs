//! The laws of the version guard, over random writes in random orders.

use chrono::{DateTime, Duration, Utc};
use proptest::{prelude::*, sample::Index};
use serde_json::json;

use super::bench::{body, issue_ref, start};
use crate::{
    provider::change::{NodeWrite, Version},
    store::merge::{NodeState, Origin, Source, merge},
};

/// A write and its origin.
#[derive(Debug, Clone)]
struct Event(NodeWrite, Origin);

fn origin(source: Source, at: i64) -> Origin {
    let at: DateTime<Utc> = start() + Duration::seconds(at);
    Origin { source, at }
}

fn write() -> impl Strategy<Value = NodeWrite> {
    let version = (0_i64..5, 0_i32..2).prop_map(|(at, rank)| Version { at, rank });
    let fields = proptest::collection::btree_map("[abc]", 0_u8..3, 0..4);
    let second = proptest::collection::btree_map("[xy]", 0_u8..3, 0..3);
    (version.clone(), fields, version, second, 0_u8..8).prop_map(|(core, fields, checks, second, kind)| {
        if kind == 0 {
            return NodeWrite::tombstone(issue_ref("1"), core);
        }
        let write = NodeWrite::core(issue_ref("1"), core, body(json!(fields)));
        if kind > 4 { write.with("checks", checks, body(json!(second))) } else { write }
    })
}

fn events(fetches: bool) -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec((write(), any::<bool>()), 1..7).prop_map(move |writes| {
        let events = writes.into_iter().enumerate().map(|(index, (write, fetched))| {
            let source = if fetches && fetched { Source::Provider } else { Source::Webhook };
            Event(write, origin(source, i64::try_from(index).unwrap()))
        });
        events.collect()
    })
}

fn shuffled(events: &[Event], order: &[Index]) -> Vec<Event> {
    let mut left = events.to_vec();
    order.iter().take(events.len()).map(|index| left.remove(index.index(left.len()))).collect()
}

fn run(events: &[Event]) -> NodeState {
    let mut state = None;
    for Event(write, origin) in events {
        state = Some(merge(state.as_ref(), write, *origin).state);
    }
    state.unwrap()
}

fn order() -> impl Strategy<Value = Vec<Index>> {
    proptest::collection::vec(any::<Index>(), 8)
}

proptest! {
    #[test]
    fn webhooks_in_any_order_end_in_the_same_state(events in events(false), order in order()) {
        let (one, other) = (run(&events), run(&shuffled(&events, &order)));
        prop_assert_eq!(&one.body, &other.body);
        prop_assert_eq!(one.deleted, other.deleted);
        prop_assert_eq!(one.is_stale(), other.is_stale());
        prop_assert_eq!(&one.stamps, &other.stamps);
        prop_assert_eq!(one.fetched_at, other.fetched_at);
    }

    #[test]
    fn webhooks_and_fetches_in_any_order_end_in_the_same_body(events in events(true), order in order()) {
        let (one, other) = (run(&events), run(&shuffled(&events, &order)));
        prop_assert_eq!(&one.body, &other.body);
        prop_assert_eq!(one.is_deleted(), other.is_deleted());
    }

    #[test]
    fn a_write_that_comes_twice_changes_nothing(events in events(true), again in any::<Index>()) {
        let state = run(&events);
        let Event(write, origin) = &events[again.index(events.len())];
        let merged = merge(Some(&state), write, *origin);
        prop_assert_eq!(&merged.state.body, &state.body);
        prop_assert_eq!(merged.state.is_deleted(), state.is_deleted());
    }

    #[test]
    fn the_newest_write_of_a_field_is_what_is_read(events in events(false)) {
        let state = run(&events);
        let deleted = events.iter().filter_map(|Event(write, _)| write.deleted).map(|version| version.at).max();
        for key in ["a", "b", "c", "x", "y"] {
            let aspects = events.iter().flat_map(|Event(write, _)| &write.aspects);
            let newest = aspects
                .filter(|aspect| aspect.fields.contains_key(key))
                .filter(|aspect| deleted.is_none_or(|deleted| aspect.version.at > deleted))
                .map(|aspect| aspect.version)
                .max();
            prop_assert_eq!(state.stamps.get(key).map(|stamp| stamp.version), newest);
            prop_assert_eq!(state.body.contains_key(key), newest.is_some());
        }
    }
}

#[test]
fn a_fetch_settles_what_two_webhooks_left_open() {
    let closed = |state: &str| {
        NodeWrite::core(issue_ref("1"), Version { at: 9, rank: 0 }, body(json!({ "state": state, "closedAt": state })))
    };
    for fetched in ["A", "B", "C"] {
        let one = merge(None, &closed("A"), origin(Source::Webhook, 1));
        let two = merge(Some(&one.state), &closed("B"), origin(Source::Webhook, 2));
        assert!(two.became_stale && two.state.is_stale());
        assert_eq!(two.state.body["state"], two.state.body["closedAt"], "one write wins whole");
        let asked = merge(Some(&two.state), &closed(fetched), origin(Source::Provider, 3));
        assert_eq!((asked.state.body["state"].as_str(), asked.state.is_stale()), (Some(fetched), false));
        let late = merge(Some(&asked.state), &closed("A"), origin(Source::Webhook, 1));
        assert_eq!((late.state.body["state"].as_str(), late.state.is_stale()), (Some(fetched), false));
        let newer = merge(Some(&asked.state), &closed("D"), origin(Source::Webhook, 4));
        assert!(newer.state.is_stale(), "came after the fetch and differs");
    }
}

#[test]
fn a_version_of_the_far_future_loses_to_whatever_is_told_later() {
    let future = (start() + Duration::days(36_500)).timestamp_micros();
    let titled =
        |at, title: &str| NodeWrite::core(issue_ref("1"), Version { at, rank: 0 }, body(json!({ "title": title })));
    for first in [Source::Provider, Source::Webhook] {
        for second in [Source::Provider, Source::Webhook] {
            let known = merge(None, &titled(5, "known"), origin(Source::Provider, 1));
            let ahead = merge(Some(&known.state), &titled(future, "ahead"), origin(first, 2));
            assert_eq!(ahead.state.body["title"], "ahead", "it was told later");
            for at in [3, 5, 9, future] {
                let later = merge(Some(&ahead.state), &titled(at, "later"), origin(second, 3));
                assert_eq!(later.state.body["title"], "later", "{first:?} {second:?} {at}");
                let late = merge(Some(&later.state), &titled(future, "ahead"), origin(first, 2));
                assert_eq!(late.state.body["title"], "later", "{first:?} {second:?} {at}");
            }
        }
    }
}

#[test]
fn values_without_a_version_are_never_tied() {
    let user = |avatar: &str| NodeWrite::core(issue_ref("1"), Version::default(), body(json!({ "avatarUrl": avatar })));
    let one = merge(None, &user("a"), origin(Source::Webhook, 1));
    let two = merge(Some(&one.state), &user("b"), origin(Source::Webhook, 2));
    assert!(!two.state.is_stale());
    let asked = merge(Some(&two.state), &user("c"), origin(Source::Provider, 3));
    assert_eq!(asked.state.body["avatarUrl"], "c");
}

#[test]
fn a_higher_rank_wins_at_the_same_time() {
    let run = |rank, status: &str| {
        NodeWrite::core(issue_ref("1"), Version { at: 9, rank }, body(json!({ "status": status })))
    };
    let done = merge(None, &run(3, "completed"), origin(Source::Webhook, 1));
    let late = merge(Some(&done.state), &run(1, "queued"), origin(Source::Webhook, 2));
    assert_eq!((late.state.body["status"].as_str(), late.state.is_stale()), (Some("completed"), false));
}
