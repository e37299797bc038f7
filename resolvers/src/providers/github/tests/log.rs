//! A webhook's log, read through a transport that answers from a table: pages, failures half-way, lines that cannot be believed.

use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use serde_json::{Value, json};

use super::fake::Fake;
use crate::{
    provider::{
        NodeRef, Provider as _,
        recovery::{CaughtUp, Since, fake::KnownIds},
    },
    providers::github::Github,
    upstream::{UpstreamError, UpstreamErrorKind},
};

const WEBHOOK: &str = "acme/web/1";
/// Where the pages begin, and what leads there.
const PAGES: &[(&str, &str)] = &[
    ("", ""),
    ("v1_1", "<https://api.github.com/x?cursor=v1_1>; rel=\"next\""),
    ("v1_2", "<https://api.github.com/x?cursor=v1_2>; rel=\"next\""),
    ("v1_3", "<https://api.github.com/x?cursor=v1_3>; rel=\"next\""),
];

fn minutes_ago(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time") - TimeDelta::minutes(minutes)
}

/// A line: its id, which is its GUID too, and its age in minutes.
fn line(id: u64, minutes: i64) -> Value {
    json!({ "id": id, "guid": id.to_string(), "delivered_at": minutes_ago(minutes), "event": "issues" })
}

/// A log of these pages, with these statuses in place of some answers: by the end of the path, or the cursor.
fn log(
    pages: Vec<Vec<Value>>,
    faults: &'static [(&'static str, u16)],
) -> (std::sync::Arc<Fake>, crate::upstream::Connection) {
    Fake::answering(move |request, _| {
        let path = request.url.path();
        let cursor = request.url.query_pairs().find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned());
        let fault = faults.iter().find(|(what, _)| path.ends_with(what) || cursor.as_deref() == Some(what));
        if let Some((_, status)) = fault {
            return (*status, vec![("retry-after", "60")], json!({ "message": "no" }));
        }
        if !path.ends_with("/deliveries") {
            return (200, Vec::new(), json!({ "request": { "payload": { "action": "opened" } } }));
        }
        let cursor = cursor.unwrap_or_default();
        let Some(number) = PAGES.iter().position(|(known, _)| *known == cursor) else {
            return (422, Vec::new(), json!({ "message": "Invalid cursor" }));
        };
        let links = PAGES.get(number + 1).filter(|_| number + 1 < pages.len()).map(|(_, link)| ("link", *link));
        (200, links.into_iter().collect(), Value::Array(pages[number].clone()))
    })
}

fn look(
    (_, api): &(std::sync::Arc<Fake>, crate::upstream::Connection),
    (mark, calls): (Option<&Value>, usize),
    known: &[&str],
) -> Result<CaughtUp, UpstreamError> {
    let container = NodeRef::new("GitHubRepository", "R_1");
    let since = Since { container: &container, webhook: Some(WEBHOOK), mark, from: None, calls };
    block_on(Github::default().catch_up(api, since, &KnownIds::of(known)))
}

fn ids(caught: &CaughtUp) -> Vec<&str> {
    caught.deliveries.iter().filter_map(|delivery| delivery.verified.delivery_id.as_deref()).collect()
}

fn up_to(caught: &CaughtUp) -> Option<DateTime<Utc>> {
    caught.mark.as_ref()?.get("upTo")?.as_str()?.parse().ok()
}

#[test]
fn what_never_came_in_is_fetched_over_all_pages_and_the_mark_is_the_newest_settled_line() {
    let pages = vec![vec![line(9, 1), line(8, 11)], vec![line(7, 20), line(6, 30)], vec![line(5, 40), line(4, 6_000)]];
    let log = log(pages, &[]);
    let caught = look(&log, (None, 20), &["8", "6"]).expect("an answer");
    assert_eq!(ids(&caught), ["5", "7", "9"], "oldest first");
    assert!(caught.complete);
    assert_eq!((caught.calls, up_to(&caught)), (6, Some(minutes_ago(11))));
    let again = look(&log, (caught.mark.as_ref(), 20), &["5", "6", "7", "8", "9"]).expect("an answer");
    assert_eq!((ids(&again), again.complete, again.calls), (vec![], true, 1), "it goes no further back than that");
    assert_eq!(up_to(&again), up_to(&caught));
}

#[test]
fn lines_that_cannot_be_believed_do_not_stop_it() {
    let years = -60 * 24 * 365 * 50;
    let absurd = |line: &mut Value, id: &str| line["id"] = serde_json::from_str(id).expect("a number");
    let mut negative = line(2, 20);
    absurd(&mut negative, "-1");
    let mut huge = line(3, 20);
    absurd(&mut huge, "1e30");
    let page = vec![line(u64::MAX, 15), line(7, years), negative, huge, json!(null), json!({}), line(5, 20)];
    let first = log(vec![page.clone()], &[]);
    let caught = look(&first, (None, 20), &[]).expect("an answer");
    assert_eq!(ids(&caught), ["5", &u64::MAX.to_string(), "7"]);
    assert!(!caught.complete, "some lines say nothing");
    assert_eq!(up_to(&caught), Some(minutes_ago(15)));
    // A delivery that comes after it is found, and those that were fetched are not fetched again.
    let page = [vec![line(8, 11)], page].concat();
    let next = log(vec![page], &[]);
    let caught = look(&next, (caught.mark.as_ref(), 20), &["5", "7", &u64::MAX.to_string()]).expect("an answer");
    assert_eq!(ids(&caught), ["8"]);
    assert_eq!(up_to(&caught), Some(minutes_ago(11)));
}

#[test]
fn a_mark_that_cannot_be_believed_is_none() {
    let log = log(vec![vec![line(9, 20)]], &[]);
    for mark in [
        json!({ "webhook": WEBHOOK, "upTo": minutes_ago(-60 * 24 * 365) }),
        json!({ "webhook": WEBHOOK, "upTo": u64::MAX }),
        json!({ "webhook": "acme/web/2", "upTo": minutes_ago(1) }),
        json!({ "webhook": WEBHOOK, "upTo": null, "reading": { "cursor": "v1_gone", "to": null } }),
        json!("nonsense"),
    ] {
        let caught = look(&log, (Some(&mark), 20), &[]).expect("an answer");
        assert_eq!(ids(&caught), ["9"], "{mark}");
    }
}

#[test]
fn a_log_that_takes_more_calls_than_a_look_has_is_read_to_its_end_by_several() {
    let pages = vec![vec![line(9, 11), line(8, 12)], vec![line(7, 20), line(6, 30)], vec![line(5, 40)]];
    let log = log(pages, &[]);
    let (mut mark, mut known, mut looks) = (None, vec![], 0);
    loop {
        let caught =
            look(&log, (mark.as_ref(), 2), &known.iter().map(String::as_str).collect::<Vec<_>>()).expect("an answer");
        assert!(caught.calls <= 2, "{} calls", caught.calls);
        known.extend(ids(&caught).into_iter().map(str::to_owned));
        looks += 1;
        mark = caught.mark.clone();
        if caught.complete {
            break assert_eq!(up_to(&caught), Some(minutes_ago(11)));
        }
        assert!(looks < 20, "it gets nowhere: {mark:?}");
    }
    known.sort_unstable();
    assert_eq!(known, ["5", "6", "7", "8", "9"]);
}

#[test]
fn what_was_fetched_before_the_quota_ran_out_counts_and_the_rest_is_fetched_later() {
    let pages = || vec![vec![line(9, 11), line(8, 12), line(7, 13)]];
    let limited = log(pages(), &[("/8", 429)]);
    let caught = look(&limited, (None, 20), &[]).expect("an answer");
    assert_eq!((ids(&caught), caught.complete, up_to(&caught)), (vec!["7"], false, None));
    let caught = look(&log(pages(), &[]), (caught.mark.as_ref(), 20), &["7"]).expect("an answer");
    assert_eq!((ids(&caught), caught.complete, up_to(&caught)), (vec!["8", "9"], true, Some(minutes_ago(11))));
    let error = look(&log(pages(), &[("/7", 429)]), (None, 20), &[]).expect_err("nothing was fetched");
    assert_eq!(error.kind, UpstreamErrorKind::RateLimited);
    let paging = log(vec![vec![line(9, 11)], vec![line(8, 12)]], &[("v1_1", 429)]);
    let caught = look(&paging, (None, 20), &[]).expect("an answer");
    assert_eq!((ids(&caught), caught.complete, up_to(&caught)), (vec!["9"], false, None));
}

#[test]
fn a_delivery_that_cannot_be_had_now_is_asked_for_again_and_one_that_is_gone_is_not() {
    let pages = || vec![vec![line(9, 11), line(8, 12), line(7, 13)]];
    let caught = look(&log(pages(), &[("/8", 500)]), (None, 20), &[]).expect("an answer");
    assert_eq!((ids(&caught), caught.complete), (vec!["7", "9"], false));
    assert!(up_to(&caught) < Some(minutes_ago(12)));
    let caught = look(&log(pages(), &[]), (caught.mark.as_ref(), 20), &["7", "9"]).expect("an answer");
    assert_eq!((ids(&caught), caught.complete), (vec!["8"], true));
    let caught = look(&log(pages(), &[("/8", 404)]), (None, 20), &[]).expect("an answer");
    assert_eq!((ids(&caught), caught.complete, up_to(&caught)), (vec!["7", "9"], false, Some(minutes_ago(11))));
}

#[test]
fn the_next_page_is_where_the_link_says() {
    for (link, cursor) in [
        (
            "<https://api.github.com/repos/a/b/hooks/1/deliveries?per_page=100&cursor=v1_12>; rel=\"next\"",
            Some("v1_12"),
        ),
        ("<https://x/?cursor=a>; rel=\"prev\", <https://x/?cursor=b%2Bc>; rel=\"next\"", Some("b+c")),
        ("<https://x/?cursor=a>; rel=\"prev\"", None),
        ("<https://x/?page=2>; rel=\"next\"", None),
    ] {
        let headers = http::HeaderMap::from_iter([(http::header::LINK, http::HeaderValue::from_static(link))]);
        assert_eq!(crate::providers::github::client::next(&headers, "cursor").as_deref(), cursor, "{link}");
    }
}
