//! Activities that wait for names: safe, joined where they are of one act, and released once and in order.

use chrono::Duration;
use mullion_schema::{ports::Filter, view::Body};

use super::{
    bench::{Bench, FakeRules, issue_ref, saying},
    on_both_databases,
};
use crate::{
    provider::{
        CopiedFields, Count, Keeping, ListRef, NodeRef,
        change::{Act, ActivityDraft, Change},
        sentence::{Detail, SentenceParts},
    },
    store::{
        activity::{Activity, ActivityFilter},
        apply::{Applied, Batch, Rules, Source},
        stream::AppliedChange,
    },
};

on_both_databases!(
    what_waits_is_in_no_list_and_has_its_place_only_when_it_is_released,
    what_waits_is_released_in_order_and_once_whoever_tries,
    events_of_one_act_are_one_activity_wherever_the_cut_between_deliveries_is,
    events_that_say_different_things_are_not_joined,
    what_waits_is_known_when_it_is_told_a_second_time,
    what_was_settled_when_it_was_released_stays,
);

/// A provider whose events bring ids only.
struct IdsOnly;

impl Rules for IdsOnly {
    fn memberships(&self, node: &NodeRef, body: &Body) -> Vec<(ListRef, String)> {
        FakeRules.memberships(node, body)
    }

    fn matches(&self, list: &ListRef, filter: &Filter, body: &Body) -> bool {
        FakeRules.matches(list, filter, body)
    }

    fn keeping(&self, list: &ListRef) -> Keeping {
        FakeRules.keeping(list)
    }

    fn type_name(&self, name: &str) -> Option<&'static str> {
        FakeRules.type_name(name)
    }

    fn filter_name(&self, name: &str) -> Option<&'static str> {
        FakeRules.filter_name(name)
    }

    fn counts(&self) -> &'static [Count] {
        FakeRules.counts()
    }

    fn copied(&self) -> &'static [CopiedFields] {
        FakeRules.copied()
    }

    fn is_container(&self, type_name: &str) -> bool {
        FakeRules.is_container(type_name)
    }

    fn sentence(&self, parts: &SentenceParts<'_>) -> String {
        FakeRules.sentence(parts)
    }

    fn names_come_later(&self) -> bool {
        true
    }
}

/// An event of an act, that tells one part of it.
fn event(kind: &str, (act, partial): (&str, bool), part: (&str, &str)) -> Change {
    let mut details = saying("said");
    details.insert(part.0.to_owned(), part.1.into());
    let activity = ActivityDraft {
        kind: kind.into(),
        subject: Some(issue_ref("1")),
        details,
        key: Some(format!("{kind} {part:?}")),
        act: Act { names: vec![act.to_owned()], partial },
        ..ActivityDraft::default()
    };
    Change { stale: vec![issue_ref("1")], activity: Some(activity), ..Change::default() }
}

fn plain(kind: &str) -> Change {
    event(kind, (kind, false), ("of", kind))
}

impl Bench {
    async fn deliver_ids(&self, changes: Vec<Change>) -> Applied {
        let mut batch = Batch::of_fetch(self.tick());
        batch.source = Source::Webhook;
        batch.changes = changes;
        self.db.apply(&self.tenant, &self.integration, &IdsOnly, batch).await.unwrap()
    }

    async fn release(&self, through: i64) -> Vec<AppliedChange> {
        self.db.release_activities(&self.tenant, through, |_| {}).await.unwrap()
    }

    /// The kinds of all activities that are told, oldest first.
    async fn kinds(&self) -> Vec<String> {
        let all = self.db.activities(&self.tenant, &ActivityFilter::default(), None, 100).await.unwrap();
        all.into_iter().rev().map(|activity| activity.kind).collect()
    }

    /// The activities that wait: kinds and parts.
    async fn waiting(&self) -> Vec<(String, String)> {
        let waiting = self.db.pending_activities(&self.tenant).await.unwrap();
        waiting.into_iter().map(|pending| shown(&pending.activity)).collect()
    }
}

/// An activity's kind, and its parts without the text.
fn shown(activity: &Activity) -> (String, String) {
    let parts = activity.details.iter().flatten().filter(|(name, _)| *name != "text");
    let parts = parts.map(|(name, detail)| match detail {
        Detail::Text(text) => format!("{name}={text}"),
        Detail::Node { node, .. } => format!("{name}={node}"),
    });
    (activity.kind.clone(), parts.collect::<Vec<_>>().join(" "))
}

async fn what_waits_is_in_no_list_and_has_its_place_only_when_it_is_released(bench: Bench) {
    let before = bench.head().await;
    let applied = bench.deliver_ids(vec![plain("moved")]).await;
    let [change] = applied.changes.as_slice() else { panic!("one change") };
    assert!(change.activity.as_ref().unwrap().pending, "a reader that it wakes learns the cause");
    assert!(bench.kinds().await.is_empty());
    let read = bench.db.changes_since(&bench.tenant, before, 10).await.unwrap();
    assert_eq!(&read, &applied.changes, "other replicas learn it too");
    let waiting = bench.db.pending_activities(&bench.tenant).await.unwrap();
    assert_eq!(waiting[0].due_at, crate::clock::Clock::now(&bench.clock) + Duration::seconds(2));
    bench.deliver(vec![super::stream::told("pushed", "R1")]).await;
    assert_eq!(bench.kinds().await, ["pushed"], "others are not held up");
    let released = bench.release(waiting[0].position).await;
    let [released] = released.as_slice() else { panic!("one activity") };
    let activity = released.activity.clone().unwrap();
    assert_eq!(activity.id, change.activity.as_ref().unwrap().id);
    assert_eq!((released.position, activity.position), (bench.head().await, released.position));
    assert!(!activity.pending);
    assert_eq!(bench.kinds().await, ["pushed", "moved"]);
    let resumed = bench.db.changes_since(&bench.tenant, released.position - 1, 10).await.unwrap();
    assert_eq!(resumed.into_iter().filter_map(|change| change.activity).collect::<Vec<_>>(), [activity]);
}

async fn what_waits_is_released_in_order_and_once_whoever_tries(bench: Bench) {
    for kind in ["a", "b", "c"] {
        bench.deliver_ids(vec![plain(kind)]).await;
    }
    assert_eq!(bench.db.tenants_with_pending_activities().await.unwrap(), std::slice::from_ref(&bench.tenant));
    let second = bench.db.pending_activities(&bench.tenant).await.unwrap()[1].position;
    let (one, other) = tokio::join!(bench.release(second), bench.release(second));
    assert_eq!(one.len() + other.len(), 2);
    assert_eq!(bench.kinds().await, ["a", "b"]);
    assert!(bench.db.release_activities(&bench.other_tenant, i64::MAX, |_| {}).await.unwrap().is_empty());
    bench.release(i64::MAX).await;
    assert_eq!(bench.kinds().await, ["a", "b", "c"]);
    assert!(bench.release(i64::MAX).await.is_empty());
    assert!(bench.db.tenants_with_pending_activities().await.unwrap().is_empty());
}

async fn events_of_one_act_are_one_activity_wherever_the_cut_between_deliveries_is(bench: Bench) {
    let left = || event("removed", ("placed", true), ("from", "To do"));
    let came = || event("added", ("placed", false), ("to", "Doing"));
    let expected = vec![("added".to_owned(), "from=To do to=Doing".to_owned())];
    for deliveries in [
        vec![vec![left(), came()]],
        vec![vec![came(), left()]],
        vec![vec![left()], vec![came()]],
        vec![vec![came()], vec![left()]],
    ] {
        let bench = Bench::like(&bench).await;
        for (index, delivery) in deliveries.into_iter().enumerate() {
            bench.deliver_ids(delivery).await;
            let partial = bench.db.pending_activities(&bench.tenant).await.unwrap()[0].partial;
            assert!(!partial || index == 0, "the other half came");
        }
        assert_eq!(bench.waiting().await, expected);
        bench.release(i64::MAX).await;
        bench.deliver_ids(vec![left(), came()]).await;
        assert!(bench.waiting().await.is_empty(), "each half was told");
    }
}

async fn events_that_say_different_things_are_not_joined(bench: Bench) {
    bench.deliver_ids(vec![event("added", ("placed", false), ("to", "Doing"))]).await;
    bench.deliver_ids(vec![event("added", ("placed", false), ("to", "Done"))]).await;
    bench.deliver_ids(vec![event("added", ("another task's", false), ("from", "To do"))]).await;
    assert_eq!(bench.waiting().await.len(), 3);
}

async fn what_waits_is_known_when_it_is_told_a_second_time(bench: Bench) {
    bench.deliver_ids(vec![plain("a")]).await;
    let keys = ["a (\"of\", \"a\")".to_owned(), "b".to_owned()];
    let untold = bench.db.untold(&bench.tenant, &bench.integration, &keys).await.unwrap();
    assert_eq!(untold.into_iter().collect::<Vec<_>>(), ["b"]);
    bench.deliver_ids(vec![plain("a")]).await;
    assert_eq!(bench.waiting().await.len(), 1);
}

async fn what_was_settled_when_it_was_released_stays(bench: Bench) {
    bench.deliver_ids(vec![plain("a")]).await;
    let settle = |activity: &mut Activity| {
        activity.details.get_or_insert_default().insert("state".to_owned(), "completed".into());
    };
    bench.db.release_activities(&bench.tenant, i64::MAX, settle).await.unwrap();
    let all = bench.db.activities(&bench.tenant, &ActivityFilter::default(), None, 10).await.unwrap();
    assert_eq!(shown(&all[0]).1, "of=a state=completed");
}
