//! Claims, quotas and presence: what replicas tell each other through the database.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;

use super::{bench::Bench, on_both_databases};
use crate::{
    clock::Clock as _,
    store::{presence::PRESENT, quota::Use},
    upstream::QuotaReading,
};

on_both_databases!(
    of_those_who_claim_a_fetch_one_gets_it,
    who_comes_just_after_a_fetch_is_told_of_it_and_later_fetches_anew,
    the_claim_of_a_dead_owner_runs_out,
    what_a_quota_was_told_to_be_is_known_to_all,
    what_was_used_of_a_quota_is_added_up_for_the_newest_day,
    presence_counts_while_it_is_repeated,
);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Bench {
    /// Claims these; answers which of them another has, and whether each is done.
    async fn claim(&self, owner: &str, subjects: &[&str]) -> Vec<(String, bool)> {
        let others = self.db.claim(&self.integration, owner, &names(subjects)).await.unwrap();
        others.into_iter().map(|claim| (claim.subject, claim.done)).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

async fn of_those_who_claim_a_fetch_one_gets_it(bench: Bench) {
    let subjects = ["0a", "0b", "0c"];
    let (a, b) = tokio::join!(bench.claim("a", &subjects), bench.claim("b", &["0c", "0b", "0d"]));
    let shared: usize = [&a, &b].iter().map(|others| others.len()).sum();
    assert_eq!(shared, 2, "each of the two that both want is one's: {a:?} {b:?}");
    assert!(a.iter().chain(&b).all(|(_, done)| !done));
    assert_eq!(bench.claim("a", &["0a"]).await, [], "its owner may claim it again");
    let of_another = bench.db.claim(&bench.other_integration, "b", &names(&["0a"])).await.unwrap();
    assert_eq!(of_another, [], "another integration's are others");
}

async fn who_comes_just_after_a_fetch_is_told_of_it_and_later_fetches_anew(bench: Bench) {
    let since = bench.clock.now();
    bench.claim("a", &["0a", "0b"]).await;
    bench.clock.advance(Duration::milliseconds(700));
    bench.db.finish_claims(&bench.integration, "b", &names(&["0b"])).await.unwrap();
    bench.db.finish_claims(&bench.integration, "a", &names(&["0a"])).await.unwrap();
    assert_eq!(bench.claim("b", &["0a", "0b"]).await, [("0a".to_owned(), true), ("0b".to_owned(), false)]);
    let told = bench.db.claims(&bench.integration, &names(&["0a"])).await.unwrap();
    assert_eq!(told[0].since, since, "what it brings was asked for after it was claimed");
    bench.clock.advance(Duration::seconds(1));
    assert_eq!(bench.claim("b", &["0a"]).await, []);
}

async fn the_claim_of_a_dead_owner_runs_out(bench: Bench) {
    bench.claim("dead", &["0a"]).await;
    bench.clock.advance(Duration::seconds(2));
    bench.db.forget_claims().await.unwrap();
    assert_eq!(bench.claim("b", &["0a"]).await.len(), 1);
    bench.clock.advance(Duration::seconds(1));
    bench.db.forget_claims().await.unwrap();
    assert!(bench.db.claims(&bench.integration, &names(&["0a"])).await.unwrap().is_empty());
    assert_eq!(bench.claim("b", &["0a"]).await, []);
}

async fn what_a_quota_was_told_to_be_is_known_to_all(bench: Bench) {
    let told = |remaining| QuotaReading {
        bucket: "core",
        limit: Some(5000),
        remaining: Some(remaining),
        resets_at: Some(bench.clock.now() + Duration::minutes(5)),
    };
    assert_eq!(bench.db.quota(&bench.integration, "core").await.unwrap(), None);
    for remaining in [7, 0] {
        bench.db.note_quota(&bench.integration, &told(remaining)).await.unwrap();
        assert_eq!(bench.db.quota(&bench.integration, "core").await.unwrap(), Some(told(remaining)));
    }
    assert_eq!(bench.db.quota(&bench.integration, "graphql").await.unwrap(), None);
    assert_eq!(bench.db.quota(&bench.other_integration, "core").await.unwrap(), None);
}

async fn what_was_used_of_a_quota_is_added_up_for_the_newest_day(bench: Bench) {
    let used = |bucket, day, units| Use { integration: bench.integration.clone(), bucket, day, units };
    let map = |entries: &[(&str, i64)]| -> BTreeMap<String, i64> {
        entries.iter().map(|(bucket, units)| ((*bucket).to_owned(), *units)).collect()
    };
    bench.db.add_quota_use(&[used("core", 7, 2), used("graphql", 7, 5)]).await.unwrap();
    bench.db.add_quota_use(&[used("core", 7, 3), used("core", 6, 90)]).await.unwrap();
    assert_eq!(bench.db.quota_use(&bench.integration, 7).await.unwrap(), map(&[("core", 5), ("graphql", 5)]));
    bench.db.add_quota_use(&[used("core", 8, 1)]).await.unwrap();
    assert_eq!(bench.db.quota_use(&bench.integration, 8).await.unwrap(), map(&[("core", 1)]));
    assert_eq!(bench.db.quota_use(&bench.other_integration, 8).await.unwrap(), map(&[]));
}

async fn presence_counts_while_it_is_repeated(bench: Bench) {
    let here = |replica: &'static str| bench.db.note_presence(replica, std::slice::from_ref(&bench.integration));
    here("a").await.unwrap();
    here("b").await.unwrap();
    assert_eq!(bench.db.present().await.unwrap(), std::slice::from_ref(&bench.integration));
    let half = Duration::from_std(PRESENT / 2).unwrap();
    bench.clock.advance(half);
    here("b").await.unwrap();
    bench.clock.advance(half);
    assert_eq!(bench.db.present().await.unwrap(), std::slice::from_ref(&bench.integration), "at one of them");
    bench.clock.advance(half);
    assert_eq!(bench.db.present().await.unwrap(), []);
}
