//! Numbers that a provider told: they follow what is heard of the items, and are asked for again where that does not say how.

use chrono::Duration;
use mullion_schema::ports::{Filter, List};
use serde_json::{Value, json};

use super::{
    bench::{Bench, FakeRules, body, issue, issue_ref, issues_ref, page, written},
    on_both_databases,
};
use crate::{
    provider::{
        FetchedPage, NodeRef,
        change::{Change, NodeWrite, Version},
    },
    store::{
        apply::{Applied, Batch, Source},
        list::Window,
    },
    tag::Tag,
};

on_both_databases!(
    an_issue_that_was_known_open_and_closes_is_taken_off_once,
    any_order_of_events_ends_in_the_same_number,
    a_new_issue_counts_and_an_unheard_one_makes_the_number_be_asked_for_again,
    what_an_earlier_event_tells_may_be_in_the_number_already,
    events_of_one_instant_that_contradict_each_other_leave_the_number_open,
    what_a_fetch_finds_changed_moves_the_number_or_leaves_it_open,
    an_answer_that_a_delivery_overtook_is_not_believed_blindly,
    a_later_page_does_not_bring_the_number_back,
    what_was_read_to_its_end_is_never_asked_for_again,
    who_reads_a_number_is_told_that_it_moved,
);

const SECOND: i64 = 1_000_000;

fn repository() -> NodeRef {
    NodeRef::new("FakeRepo", "R1")
}

fn open() -> Filter {
    Filter::from([("states", vec!["OPEN".to_owned()])])
}

/// The first page of the open issues, the newest first; there are more.
fn open_page(ids: &[&str], total: i64) -> FetchedPage {
    let mut page = page(None, ids, Some("more"));
    page.want.filter = open();
    page.total = Some(total);
    page
}

fn born(id: &str, at: i64, sort: &str, state: &str) -> NodeWrite {
    let created = chrono::DateTime::from_timestamp_micros(at).expect("a time").to_rfc3339();
    let mut write = issue(id, at, sort, state);
    write.aspects[0].fields.insert("createdAt".into(), created.into());
    write
}

impl Bench {
    /// Microseconds from now, as a version.
    fn version(&self, seconds: i64) -> i64 {
        use crate::clock::Clock as _;
        self.clock.now().timestamp_micros() + seconds * SECOND
    }

    /// Counts as they are told now, with a page of open issues: 1 and 2 are on it, 120 are open.
    async fn load(&self) {
        use crate::clock::Clock as _;
        let asked = Version::at(self.clock.now() + Duration::milliseconds(10));
        let counted = NodeWrite {
            node: repository(),
            aspects: vec![crate::provider::change::Aspect {
                name: "open",
                version: asked,
                fields: body(json!({ "openCount": 120 })),
            }],
            deleted: None,
        };
        let old = self.version(-3600);
        let writes = vec![born("1", old, "b", "OPEN"), born("2", old, "c", "OPEN"), counted];
        self.fetch(writes, vec![open_page(&["1", "2"], 120)]).await;
    }

    async fn window(&self) -> Window {
        let list = List { filter: open(), ..self.issues() };
        self.db.windows(&self.tenant, &[list]).await.unwrap().remove(0).unwrap()
    }

    /// The list's number and the repository's; `None`: to be asked for again.
    async fn numbers(&self) -> (Option<i64>, Option<i64>) {
        let window = self.window().await;
        let repository = self.node(&repository()).await.unwrap();
        let fresh = repository.is_fresh(["openCount"]);
        (window.total.filter(|_| !window.stale), repository.body["openCount"].as_i64().filter(|_| fresh))
    }

    async fn apply(&self, sent_at: chrono::DateTime<chrono::Utc>, change: Change, pages: Vec<FetchedPage>) -> Applied {
        let mut batch = Batch::of_fetch(sent_at);
        batch.source = Source::Provider;
        batch.changes = vec![change];
        batch.pages = pages;
        self.db.apply(&self.tenant, &self.integration, &FakeRules, batch).await.unwrap()
    }
}

async fn an_issue_that_was_known_open_and_closes_is_taken_off_once(bench: Bench) {
    bench.load().await;
    let closed = || vec![issue("1", bench.version(0), "a", "CLOSED")];
    let first = closed();
    for delivered in [first.clone(), first, vec![issue("1", bench.version(-60), "b", "OPEN")]] {
        bench.deliver(written(delivered)).await;
        assert_eq!(bench.numbers().await, (Some(119), Some(119)));
    }
    bench.clock.advance(Duration::seconds(60));
    bench.deliver(written(vec![issue("1", bench.version(0), "a", "OPEN")])).await;
    assert_eq!(bench.numbers().await, (Some(120), Some(120)), "reopened");
    bench.clock.advance(Duration::seconds(60));
    let gone = NodeWrite::tombstone(issue_ref("1"), Version { at: bench.version(0), rank: 1 });
    bench.deliver(written(vec![gone])).await;
    assert_eq!(bench.numbers().await, (Some(119), Some(119)), "deleted");
}

async fn any_order_of_events_ends_in_the_same_number(bench: Bench) {
    bench.load().await;
    bench.clock.advance(Duration::seconds(60));
    let (one, two, three) = (bench.version(0), bench.version(1), bench.version(2));
    let events = [
        born("9", one, "a", "OPEN"),
        NodeWrite { ..issue("9", three, "a", "CLOSED") },
        issue("9", two, "a", "OPEN"),
        born("9", one, "a", "OPEN"),
    ];
    let numbers = [121, 120, 120, 120];
    for (event, number) in events.into_iter().zip(numbers) {
        bench.deliver(written(vec![event])).await;
        assert_eq!(bench.numbers().await, (Some(number), Some(number)));
    }
}

async fn a_new_issue_counts_and_an_unheard_one_makes_the_number_be_asked_for_again(bench: Bench) {
    bench.load().await;
    // Its place shows that it was not there when the page was read; of the repository's number only the clock tells.
    bench.deliver(written(vec![born("8", bench.version(0), "a", "OPEN")])).await;
    assert_eq!(bench.numbers().await, (Some(121), None));
    bench.load().await;
    bench.clock.advance(Duration::seconds(60));
    bench.deliver(written(vec![born("9", bench.version(0), "a", "OPEN")])).await;
    assert_eq!(bench.numbers().await, (Some(121), Some(121)));
    // Whether an old one that nobody had heard of was open before, nothing tells.
    let mut unheard = born("10", bench.version(-9000), "z", "CLOSED");
    unheard.aspects[0].version.at = bench.version(0);
    bench.deliver(written(vec![unheard])).await;
    assert_eq!(bench.numbers().await, (None, None));
    bench.load().await;
    assert_eq!(bench.numbers().await, (Some(120), Some(120)));
}

async fn what_an_earlier_event_tells_may_be_in_the_number_already(bench: Bench) {
    bench.deliver(written(vec![born("5", bench.version(-7200), "x", "OPEN")])).await;
    bench.clock.advance(Duration::seconds(60));
    let before = bench.version(0);
    bench.load().await;
    // Closed before the count, told after it.
    bench.deliver(written(vec![issue("5", before, "a", "CLOSED")])).await;
    assert_eq!(bench.numbers().await, (None, None));
    bench.load().await;
    bench.clock.advance(Duration::seconds(60));
    bench.deliver(written(vec![issue("5", bench.version(0), "a", "OPEN")])).await;
    assert_eq!(bench.numbers().await, (Some(121), Some(121)), "clearly after it");
}

async fn events_of_one_instant_that_contradict_each_other_leave_the_number_open(bench: Bench) {
    // Which of the two wins is decided by a hash: both ways round must be seen through.
    for (first, second) in [("OPEN", "CLOSED"), ("CLOSED", "OPEN")] {
        bench.load().await;
        bench.clock.advance(Duration::seconds(60));
        let id = format!("{first} first");
        let at = bench.version(0);
        bench.deliver(written(vec![born(&id, at, "a", first)])).await;
        bench.deliver(written(vec![born(&id, at, "a", second)])).await;
        assert_eq!(bench.numbers().await, (None, None), "{first}, {second}");
    }
}

async fn what_a_fetch_finds_changed_moves_the_number_or_leaves_it_open(bench: Bench) {
    bench.load().await;
    bench.clock.advance(Duration::seconds(60));
    // 1 was on the page that told the number, so it was counted.
    bench.fetch(vec![issue("1", bench.version(-1), "a", "CLOSED")], vec![]).await;
    assert_eq!(bench.numbers().await, (Some(119), Some(119)));
    // Issue 3 came by a delivery before, so it is not known when it closed.
    bench.deliver(written(vec![born("3", bench.version(-90), "a", "OPEN")])).await;
    bench.load().await;
    let same_instant = bench.version(-90);
    bench.fetch(vec![issue("3", same_instant, "a", "CLOSED")], vec![]).await;
    assert_eq!(bench.numbers().await, (None, None));
    bench.load().await;
    assert_eq!(bench.numbers().await, (Some(120), Some(120)), "a number is as new as what comes with it");
}

async fn an_answer_that_a_delivery_overtook_is_not_believed_blindly(bench: Bench) {
    bench.load().await;
    bench.clock.advance(Duration::seconds(60));
    let sent_at = bench.tick();
    let (closed, opened) = (bench.version(1), bench.version(2));
    let repository = NodeWrite::core(repository(), Version { at: closed, rank: 0 }, body(json!({ "name": "web" })));
    bench.deliver(written(vec![issue("1", closed, "a", "CLOSED"), repository])).await;
    bench.deliver(written(vec![born("9", opened, "a", "OPEN")])).await;
    assert_eq!(bench.numbers().await, (Some(120), Some(120)));
    // The provider answers from before both: 1 is on its page and 9 is not.
    let old = vec![issue("1", opened - 9000 * SECOND, "b", "OPEN")];
    let told = NodeWrite {
        aspects: vec![crate::provider::change::Aspect {
            name: "open",
            version: Version::at(sent_at),
            fields: body(json!({ "openCount": 500 })),
        }],
        ..NodeWrite::core(super::counts::repository(), Version::default(), body(json!({})))
    };
    let change = Change { writes: old.into_iter().chain([told]).collect(), ..Change::default() };
    bench.apply(sent_at, change, vec![open_page(&["1", "2"], 120)]).await;
    assert_eq!(bench.numbers().await, (Some(120), Some(120)));
}

async fn a_later_page_does_not_bring_the_number_back(bench: Bench) {
    bench.load().await;
    bench.deliver(written(vec![issue("1", bench.version(0), "a", "CLOSED")])).await;
    let mut next = page(Some("more"), &["3"], Some("still more"));
    next.want.filter = open();
    next.total = Some(120);
    bench.fetch(vec![issue("3", 1, "d", "OPEN")], vec![next]).await;
    assert_eq!(bench.window().await.total, Some(119));
}

async fn what_was_read_to_its_end_is_never_asked_for_again(bench: Bench) {
    let mut whole = open_page(&["1"], 1);
    whole.next = None;
    bench.fetch(vec![issue("1", 1, "b", "OPEN")], vec![whole]).await;
    bench.deliver(written(vec![issue("7", 5, "z", "CLOSED")])).await;
    bench.deliver(written(vec![issue("7", 6, "z", "OPEN")])).await;
    assert!(!bench.window().await.stale);
}

async fn who_reads_a_number_is_told_that_it_moved(bench: Bench) {
    bench.load().await;
    let told = bench.deliver(written(vec![issue("2", bench.version(0), "a", "CLOSED")])).await;
    let tags = &told.changes[0].tags;
    assert!(tags.contains(&Tag::list(&bench.tenant, &bench.issues())));
    assert!(tags.contains(&Tag::of_node(&bench.tenant, &bench.integration, "FakeRepo", "R1")));
    let counted = told.nodes.iter().find(|node| node.key.type_name == "FakeRepo").expect("the repository");
    assert_eq!(counted.body["openCount"], Value::from(119));
    assert_eq!(issues_ref().parent, Some(repository()));
}
