//! Nodes: what a write leaves behind, what is stale, and who sees it.

use chrono::Duration;
use mullion_schema::id::NodeKey;
use serde_json::json;

use super::{
    bench::{Bench, FakeRules, body, issue, issue_ref, written},
    on_both_databases,
};
use crate::{
    clock::Clock,
    provider::{
        ListRef, NodeRef,
        change::{Change, NodeWrite, Recount, Version},
    },
    store::{StoreError, apply::Batch},
    tag::Tag,
};

on_both_databases!(
    a_written_node_reads_back,
    absent_fields_are_kept_and_older_writes_lose,
    a_deletion_beats_older_writes_and_a_newer_write_revives,
    a_version_of_the_far_future_does_not_freeze_a_node,
    equal_version_with_other_content_is_stale_until_it_is_fetched,
    an_outdated_node_is_fresh_for_the_fields_that_were_fetched_since,
    a_node_that_the_provider_does_not_know_leaves_its_lists_and_comes_back_when_heard_of,
    a_node_that_the_provider_did_not_know_is_back_in_its_lists_and_stale_after_news_of_it,
    a_first_fill_says_nothing_and_a_later_difference_does,
    foreign_tenants_see_and_change_nothing,
    texts_that_postgres_refuses_are_stored,
    a_renamed_repository_renames_what_its_issues_copied,
    the_containers_of_an_item_that_is_to_be_counted_again_are_outdated,
);

async fn a_written_node_reads_back(bench: Bench) {
    let at = bench.clock.now() + Duration::milliseconds(10);
    let applied = bench.deliver(written(vec![issue("1", 5, "a", "OPEN")])).await;
    let stored = bench.node(&issue_ref("1")).await.unwrap();
    assert_eq!(*stored.body, body(json!({ "sort": "a", "state": "OPEN" })));
    assert_eq!(stored.fetched_at(), at);
    assert!(stored.is_fresh(["sort", "state"]) && !stored.knows(["title"]));
    assert_eq!(applied.nodes.len(), 1);
    assert_eq!(applied.nodes[0], stored);
    let tags =
        [Tag::of_node(&bench.tenant, &bench.integration, "FakeIssue", "1"), Tag::list(&bench.tenant, &bench.issues())];
    assert_eq!(applied.changes.len(), 1);
    assert!(tags.iter().all(|tag| applied.changes[0].tags.contains(tag)), "{:?}", applied.changes);
    assert_eq!(bench.node(&issue_ref("2")).await.map(|node| node.key), None);
}

async fn the_containers_of_an_item_that_is_to_be_counted_again_are_outdated(bench: Bench) {
    let repo = |id| NodeRef::new("FakeRepo", id);
    let of = |node, fields| NodeWrite::core(node, Version { at: 1, rank: 0 }, body(fields));
    let item = |id: &str| of(issue_ref(id), json!({ "sort": id, "repos": ["FakeRepo:R1", "FakeUnheard:R2"] }));
    bench.fetch(vec![of(repo("R1"), json!({ "name": "web" })), of(repo("R2"), json!({})), item("1")], vec![]).await;
    let among = ListRef { parent: None, name: "repos" };
    let recounts = vec![Recount { item: issue_ref("1"), key: "repos", among }];
    let applied = bench.deliver(vec![Change { recounts, ..Change::default() }]).await;
    assert!(bench.node(&repo("R1")).await.unwrap().is_stale() && !bench.node(&repo("R2")).await.unwrap().is_stale());
    let tag = Tag::of_node(&bench.tenant, &bench.integration, "FakeRepo", "R1");
    assert!(applied.changes[0].tags.contains(&tag), "{:?}", applied.changes);
}

async fn a_renamed_repository_renames_what_its_issues_copied(bench: Bench) {
    let repo = |at, name: &str| {
        let fields = body(json!({ "name": name }));
        NodeWrite::core(NodeRef::new("FakeRepo", "R1"), Version { at, rank: 0 }, fields)
    };
    let issue = |id: &str, at, name: &str| {
        let fields = json!({ "sort": id, "state": "OPEN", "repo": "FakeRepo:R1", "repoName": name });
        NodeWrite::core(issue_ref(id), Version { at, rank: 0 }, body(fields))
    };
    let name_of = async |id: &str| bench.node(&issue_ref(id)).await.unwrap().body["repoName"].clone();
    bench.deliver(written(vec![repo(1, "web"), issue("1", 1, "web"), issue("2", 1, "web")])).await;
    let renamed = bench.deliver(written(vec![repo(5, "website")])).await;
    assert_eq!((name_of("1").await, name_of("2").await), (json!("website"), json!("website")));
    let told = Tag::of_node(&bench.tenant, &bench.integration, "FakeIssue", "2");
    assert!(renamed.changes[0].tags.contains(&told), "views that show an issue are told: {:?}", renamed.changes);
    // An event from before the rename comes late. It is newer than what is known of the issue, but not of the repository.
    bench.deliver(written(vec![repo(3, "web"), issue("1", 4, "web")])).await;
    assert_eq!(name_of("1").await, json!("website"));
    bench.deliver(written(vec![repo(6, "site"), issue("1", 6, "site")])).await;
    assert_eq!((name_of("1").await, name_of("2").await), (json!("site"), json!("site")));
}

async fn absent_fields_are_kept_and_older_writes_lose(bench: Bench) {
    let write = |at, fields| NodeWrite::core(issue_ref("1"), Version { at, rank: 0 }, body(fields));
    bench.deliver(written(vec![write(2, json!({ "title": "new", "state": "OPEN" }))])).await;
    let head = bench.head().await;
    bench.deliver(written(vec![write(1, json!({ "title": "old", "url": "u" }))])).await;
    bench.deliver(written(vec![write(3, json!({ "state": "CLOSED" }))])).await;
    let stored = bench.node(&issue_ref("1")).await.unwrap();
    assert_eq!(*stored.body, body(json!({ "title": "new", "state": "CLOSED", "url": "u" })));
    assert_eq!(bench.head().await, head + 2);
    bench.deliver(written(vec![write(3, json!({ "state": "CLOSED" }))])).await;
    assert_eq!(bench.head().await, head + 2, "what changes nothing is not told");
}

async fn a_deletion_beats_older_writes_and_a_newer_write_revives(bench: Bench) {
    bench.deliver(written(vec![issue("1", 5, "a", "OPEN")])).await;
    let gone = bench.deliver(written(vec![NodeWrite::tombstone(issue_ref("1"), Version { at: 7, rank: 0 })])).await;
    assert!(gone.nodes[0].is_deleted());
    assert_eq!(gone.changes[0].tags.len(), 2, "the node and the list it stood in");
    assert_eq!(bench.members(&bench.issues()).await, Vec::<String>::new());
    bench.deliver(written(vec![issue("1", 7, "a", "OPEN")])).await;
    assert!(bench.node(&issue_ref("1")).await.unwrap().is_deleted());
    bench.deliver(written(vec![issue("1", 8, "a", "OPEN")])).await;
    assert!(!bench.node(&issue_ref("1")).await.unwrap().is_deleted());
    assert_eq!(bench.members(&bench.issues()).await, ["1"]);
}

async fn a_version_of_the_far_future_does_not_freeze_a_node(bench: Bench) {
    let future = (bench.clock.now() + Duration::days(36_500)).timestamp_micros();
    bench.deliver(written(vec![issue("1", future, "a", "FUTURE")])).await;
    bench.clock.advance(Duration::minutes(11));
    let now = bench.clock.now().timestamp_micros();
    bench.deliver(written(vec![issue("1", now, "a", "OPEN")])).await;
    assert_eq!(bench.node(&issue_ref("1")).await.unwrap().body["state"], "OPEN");
    bench.deliver(written(vec![NodeWrite::tombstone(issue_ref("1"), Version { at: future, rank: 0 })])).await;
    bench.clock.advance(Duration::minutes(11));
    let now = bench.clock.now().timestamp_micros();
    bench.deliver(written(vec![issue("1", now, "a", "OPEN")])).await;
    assert!(!bench.node(&issue_ref("1")).await.unwrap().is_deleted());
}

async fn equal_version_with_other_content_is_stale_until_it_is_fetched(bench: Bench) {
    bench.deliver(written(vec![issue("1", 5, "a", "OPEN")])).await;
    let told = bench.deliver(written(vec![issue("1", 5, "a", "CLOSED")])).await;
    assert!(!told.changes.is_empty());
    let stored = bench.node(&issue_ref("1")).await.unwrap();
    assert!(stored.is_stale() && stored.is_fresh(["sort"]) && !stored.is_fresh(["state"]));
    bench.fetch(vec![issue("1", 5, "a", "CLOSED")], vec![]).await;
    let stored = bench.node(&issue_ref("1")).await.unwrap();
    assert!(!stored.is_stale());
    assert_eq!(stored.body["state"], "CLOSED");
}

async fn an_outdated_node_is_fresh_for_the_fields_that_were_fetched_since(bench: Bench) {
    bench.fetch(vec![issue("1", 5, "a", "OPEN")], vec![]).await;
    let stale = Change { stale: vec![issue_ref("1"), issue_ref("unheard-of")], ..Change::default() };
    let told = bench.deliver(vec![stale]).await;
    assert_eq!(told.changes[0].tags.len(), 3, "{:?}", told.changes);
    assert!(bench.node(&issue_ref("1")).await.unwrap().is_stale());
    let partial = NodeWrite::core(issue_ref("1"), Version { at: 5, rank: 0 }, body(json!({ "state": "OPEN" })));
    bench.fetch(vec![partial], vec![]).await;
    let stored = bench.node(&issue_ref("1")).await.unwrap();
    assert!(stored.is_fresh(["state"]) && !stored.is_fresh(["sort"]));
}

async fn a_node_that_the_provider_does_not_know_leaves_its_lists_and_comes_back_when_heard_of(bench: Bench) {
    bench.deliver(written(vec![issue("1", 5, "a", "OPEN")])).await;
    let mut batch = Batch::of_fetch(bench.tick());
    batch.unknown = vec![issue_ref("1"), issue_ref("2")];
    bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch).await.unwrap();
    let stored = bench.node(&issue_ref("1")).await.unwrap();
    assert!(stored.is_unknown() && !stored.is_deleted());
    assert_eq!(stored.body["state"], "OPEN", "the last known value is kept");
    assert!(bench.node(&issue_ref("2")).await.unwrap().is_unknown());
    assert_eq!(bench.members(&bench.issues()).await, Vec::<String>::new());
    bench.deliver(written(vec![issue("1", 5, "a", "OPEN")])).await;
    assert!(!bench.node(&issue_ref("1")).await.unwrap().is_unknown());
    assert_eq!(bench.members(&bench.issues()).await, ["1"]);
}

async fn a_node_that_the_provider_did_not_know_is_back_in_its_lists_and_stale_after_news_of_it(bench: Bench) {
    bench.deliver(written(vec![issue("1", 5, "a", "OPEN")])).await;
    let mut batch = Batch::of_fetch(bench.tick());
    batch.unknown = vec![issue_ref("1")];
    bench.db.apply(&bench.tenant, &bench.integration, &FakeRules, batch).await.unwrap();
    let news = Change { stale: vec![issue_ref("1")], ..Change::default() };
    let told = bench.deliver(vec![news]).await;
    let stored = bench.node(&issue_ref("1")).await.unwrap();
    assert!(!stored.is_unknown() && stored.is_stale());
    assert_eq!(bench.members(&bench.issues()).await, ["1"]);
    let tags =
        [Tag::of_node(&bench.tenant, &bench.integration, "FakeIssue", "1"), Tag::list(&bench.tenant, &bench.issues())];
    assert!(tags.iter().all(|tag| told.changes[0].tags.contains(tag)), "{:?}", told.changes);
}

async fn a_first_fill_says_nothing_and_a_later_difference_does(bench: Bench) {
    let head = bench.head().await;
    let filled = bench.fetch(vec![issue("1", 5, "a", "OPEN")], vec![]).await;
    assert_eq!((filled.changes.len(), filled.head), (0, head));
    let more = NodeWrite::core(issue_ref("1"), Version { at: 5, rank: 0 }, body(json!({ "title": "t" })));
    assert_eq!(bench.fetch(vec![more], vec![]).await.changes.len(), 0);
    let other = bench.fetch(vec![issue("1", 6, "a", "CLOSED")], vec![]).await;
    assert_eq!(other.changes.len(), 1);
    assert_eq!(other.changes[0].tags, [Tag::of_node(&bench.tenant, &bench.integration, "FakeIssue", "1")]);
}

async fn foreign_tenants_see_and_change_nothing(bench: Bench) {
    bench.deliver(written(vec![issue("1", 5, "a", "OPEN")])).await;
    let (other, mine) = (&bench.other_tenant, &bench.integration);
    let key = NodeKey::new(mine, "FakeIssue", "1");
    assert!(bench.db.nodes(other, std::slice::from_ref(&key)).await.unwrap()[0].is_none());
    assert!(bench.db.members(other, &bench.issues(), None, 10).await.unwrap().is_empty());
    assert!(bench.db.windows(other, &[bench.issues()]).await.unwrap()[0].is_none());
    let mut batch = Batch::of_fetch(bench.tick());
    batch.changes = written(vec![issue("1", 9, "z", "FORGED")]);
    let refused = bench.db.apply(other, mine, &FakeRules, batch.clone()).await;
    assert!(matches!(refused, Err(StoreError::NotFound)));
    bench.db.apply(other, &bench.other_integration, &FakeRules, batch).await.unwrap();
    assert_eq!(bench.node(&issue_ref("1")).await.unwrap().body["state"], "OPEN");
    assert!(bench.db.integration(other, mine).await.unwrap().is_none());
    assert!(bench.db.endpoints(other, mine).await.unwrap().is_empty());
    assert!(matches!(bench.db.delete_integration(other, mine).await, Err(StoreError::NotFound)));
    let own = Tag::of_node(&bench.tenant, mine, "FakeIssue", "1");
    let foreign = bench.db.changes_since(other, 0, 100).await.unwrap();
    assert!(foreign.iter().all(|change| !change.tags.contains(&own)));
}

async fn texts_that_postgres_refuses_are_stored(bench: Bench) {
    let fields = body(json!({ "sort": "a\u{0}b", "state": "nul \u{0} inside" }));
    let write = NodeWrite::core(issue_ref("1"), Version { at: 1, rank: 0 }, fields.clone());
    let forged = issue("with\u{0}nul", 1, "a", "OPEN");
    bench.deliver(written(vec![write, forged])).await;
    assert_eq!(*bench.node(&issue_ref("1")).await.unwrap().body, fields);
    assert_eq!(bench.members(&bench.issues()).await, ["1"]);
}
