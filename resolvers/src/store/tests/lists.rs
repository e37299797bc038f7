//! Lists: order, windows, what a page covers, and when anyone is told.

use mullion_schema::ports::{Filter, List, Position};

use super::{
    bench::{Bench, issue, issue_ref, issues_ref, page, written},
    on_both_databases,
};
use crate::{
    provider::{FetchedPage, ListRef, PageWant, change::Change},
    tag::Tag,
};

on_both_databases!(
    members_come_in_the_order_of_bytes_and_page_on_without_gaps,
    a_delivery_moves_a_member_and_tells_the_list,
    pages_extend_the_window_and_the_extension_is_not_told,
    a_member_that_did_not_come_along_is_stale,
    a_member_of_another_state_is_not_missed_by_a_filtered_page,
    an_outdated_list_is_read_again_from_its_first_page,
    an_opaque_list_keeps_the_providers_order,
);

async fn members_come_in_the_order_of_bytes_and_page_on_without_gaps(bench: Bench) {
    let sorts = ["b", "B", "ä", "a b", "a-b", "_", "b", "10", "9", "b"];
    let writes = sorts.iter().enumerate().map(|(index, sort)| issue(&format!("n{index}"), 1, sort, "OPEN"));
    bench.deliver(written(writes.collect())).await;
    let mut expected: Vec<(&str, String)> =
        sorts.iter().enumerate().map(|(index, sort)| (*sort, format!("n{index}"))).collect();
    expected.sort();
    let mut seen: Vec<Position> = Vec::new();
    loop {
        let next = bench.db.members(&bench.tenant, &bench.issues(), seen.last(), 3).await.unwrap();
        if next.is_empty() {
            break;
        }
        seen.extend(next.into_iter().map(|member| member.position));
    }
    let seen: Vec<(&str, String)> =
        seen.iter().map(|position| (position.sort.as_str(), position.native_id.clone())).collect();
    assert_eq!(seen, expected);
}

async fn a_delivery_moves_a_member_and_tells_the_list(bench: Bench) {
    bench.deliver(written(vec![issue("1", 1, "b", "OPEN"), issue("2", 1, "c", "OPEN")])).await;
    let moved = bench.deliver(written(vec![issue("2", 2, "a", "OPEN")])).await;
    assert_eq!(bench.members(&bench.issues()).await, ["2", "1"]);
    assert!(moved.changes[0].tags.contains(&Tag::list(&bench.tenant, &bench.issues())));
}

async fn pages_extend_the_window_and_the_extension_is_not_told(bench: Bench) {
    let window = || async { bench.db.windows(&bench.tenant, &[bench.issues()]).await.unwrap().remove(0) };
    assert_eq!(window().await, None);
    let first = vec![issue("1", 1, "a", "OPEN"), issue("2", 1, "b", "OPEN")];
    let applied = bench.fetch(first, vec![page(None, &["1", "2"], Some("c2"))]).await;
    assert_eq!(applied.changes, []);
    let read = window().await.unwrap();
    assert_eq!((read.boundary.as_deref(), read.exhausted, read.next.as_deref()), (Some("b"), false, Some("c2")));

    let foreign = page(Some("not the cursor"), &["9"], None);
    bench.fetch(vec![issue("9", 1, "z", "OPEN")], vec![foreign]).await;
    assert!(!window().await.unwrap().exhausted, "a page that does not continue the window is only written through");

    let applied = bench.fetch(vec![issue("3", 1, "c", "OPEN")], vec![page(Some("c2"), &["3", "9"], None)]).await;
    assert_eq!(applied.changes, [], "nobody was shown what lies behind the window");
    let read = window().await.unwrap();
    assert_eq!((read.boundary.as_deref(), read.exhausted), (Some("z"), true));
    assert_eq!(bench.members(&bench.issues()).await, ["1", "2", "3", "9"]);

    let gained = bench.fetch(vec![issue("4", 1, "bb", "OPEN")], vec![]).await;
    assert_eq!(gained.changes[0].tags, [Tag::list(&bench.tenant, &bench.issues())]);
}

async fn a_member_that_did_not_come_along_is_stale(bench: Bench) {
    let all = ["1", "2", "3", "4"];
    let writes = all.iter().map(|id| issue(id, 1, &format!("s{id}"), "OPEN")).collect();
    bench.fetch(writes, vec![page(None, &all, None)]).await;
    let told = bench.fetch(vec![], vec![page(None, &["1", "3"], Some("more"))]).await;
    assert!(bench.node(&issue_ref("2")).await.unwrap().is_stale(), "between two that came");
    assert!(!bench.node(&issue_ref("4")).await.unwrap().is_stale(), "perhaps on the next page");
    let node = Tag::of_node(&bench.tenant, &bench.integration, "FakeIssue", "2");
    assert!(told.changes[0].tags.contains(&node));
    let again = bench.fetch(vec![], vec![page(None, &["1", "3"], Some("more"))]).await;
    assert_eq!(again.changes, [], "said once");
}

async fn a_member_of_another_state_is_not_missed_by_a_filtered_page(bench: Bench) {
    let writes = vec![issue("1", 1, "a", "OPEN"), issue("2", 1, "b", "CLOSED"), issue("3", 1, "c", "OPEN")];
    bench.deliver(written(writes)).await;
    let mut open = page(None, &["1"], None);
    open.want.filter = Filter::from([("states", vec!["OPEN".to_owned()])]);
    bench.fetch(vec![], vec![open]).await;
    assert!(!bench.node(&issue_ref("2")).await.unwrap().is_stale());
    assert!(bench.node(&issue_ref("3")).await.unwrap().is_stale());
}

async fn an_outdated_list_is_read_again_from_its_first_page(bench: Bench) {
    bench.fetch(vec![issue("1", 1, "a", "OPEN")], vec![page(None, &["1"], None)]).await;
    let stale = Change { stale_lists: vec![issues_ref()], ..Change::default() };
    let told = bench.deliver(vec![stale]).await;
    assert_eq!(told.changes[0].tags, [Tag::list(&bench.tenant, &bench.issues())]);
    let window = || async { bench.db.windows(&bench.tenant, &[bench.issues()]).await.unwrap().remove(0).unwrap() };
    assert!(window().await.stale);
    bench.fetch(vec![], vec![page(None, &["1"], None)]).await;
    assert!(!window().await.stale);
}

async fn an_opaque_list_keeps_the_providers_order(bench: Bench) {
    let filter = Filter::from([("query", vec!["is:open".to_owned()])]);
    let search = List { parent: None, name: "search", filter: filter.clone(), ..bench.issues() };
    let found = |cursor: Option<&str>, ids: &[&str], next: Option<&str>| FetchedPage {
        want: PageWant {
            list: ListRef { parent: None, name: "search" },
            filter: filter.clone(),
            cursor: cursor.map(str::to_owned),
        },
        ..page(None, ids, next)
    };
    bench.fetch(vec![], vec![found(None, &["9", "1"], Some("c2"))]).await;
    bench.fetch(vec![], vec![found(Some("c2"), &["5"], None)]).await;
    let window = bench.db.windows(&bench.tenant, std::slice::from_ref(&search)).await.unwrap().remove(0).unwrap();
    assert_eq!(window.opaque.unwrap(), ["FakeIssue:9", "FakeIssue:1", "FakeIssue:5"]);
    assert_eq!(bench.fetch(vec![], vec![found(None, &["9", "1"], Some("c2"))]).await.changes, []);
    let told = bench.fetch(vec![], vec![found(None, &["1", "9"], Some("c2"))]).await;
    assert_eq!(told.changes[0].tags, [Tag::list(&bench.tenant, &search)]);
}
