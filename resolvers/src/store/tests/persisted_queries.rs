//! Persisted queries: found by tenant and hash, limited for each tenant, forgotten when nobody uses them.

use chrono::Duration;

use super::{bench::Bench, on_both_databases};
use crate::{clock::Clock, store::persisted_query::PersistedLimits};

on_both_databases!(
    a_document_is_found_by_its_tenant_and_hash,
    of_too_many_documents_those_that_were_used_last_stay,
    documents_that_nobody_uses_are_forgotten,
);

const LIMITS: PersistedLimits = PersistedLimits { documents: 3, bytes: 100 };

async fn text(bench: &Bench, hash: &str) -> Option<String> {
    bench.db.persisted_query(&bench.tenant, hash).await.unwrap().map(|found| found.text)
}

async fn persist(bench: &Bench, hash: &str, text: &str) {
    bench.clock.advance(Duration::seconds(1));
    bench.db.persist_query(&bench.tenant, hash, text, LIMITS).await.unwrap();
}

async fn a_document_is_found_by_its_tenant_and_hash(bench: Bench) {
    assert_eq!(text(&bench, "a").await, None);
    persist(&bench, "a", "{ a } # \0").await;
    persist(&bench, "a", "{ a } # \0").await;
    assert_eq!(text(&bench, "a").await.as_deref(), Some("{ a } # \0"));
    assert_eq!(bench.db.persisted_query(&"another".into(), "a").await.unwrap(), None);
}

async fn of_too_many_documents_those_that_were_used_last_stay(bench: Bench) {
    let other = "another".into();
    bench.db.persist_query(&other, "x", "{ x }", LIMITS).await.unwrap();
    for hash in ["a", "b", "c"] {
        persist(&bench, hash, "{ short }").await;
    }
    bench.clock.advance(Duration::seconds(1));
    bench.db.note_persisted_query(&bench.tenant, "a").await.unwrap();
    persist(&bench, "d", "{ short }").await;
    for (hash, kept) in [("a", true), ("b", false), ("c", true), ("d", true)] {
        assert_eq!(text(&bench, hash).await.is_some(), kept, "{hash}");
    }
    persist(&bench, "long", &"x".repeat(90)).await;
    for (hash, kept) in [("a", false), ("c", false), ("d", true), ("long", true)] {
        assert_eq!(text(&bench, hash).await.is_some(), kept, "{hash}");
    }
    persist(&bench, "too long", &"x".repeat(101)).await;
    assert_eq!(text(&bench, "too long").await, None);
    assert!(text(&bench, "long").await.is_some(), "a text that does not fit displaces nothing");
    assert!(bench.db.persisted_query(&other, "x").await.unwrap().is_some(), "each tenant has its own");
}

async fn documents_that_nobody_uses_are_forgotten(bench: Bench) {
    persist(&bench, "a", "{ a }").await;
    persist(&bench, "b", "{ b }").await;
    assert!(!bench.db.persisted_query(&bench.tenant, "a").await.unwrap().unwrap().is_due);
    bench.clock.advance(Duration::days(2));
    assert!(bench.db.persisted_query(&bench.tenant, "a").await.unwrap().unwrap().is_due);
    bench.db.note_persisted_query(&bench.tenant, "a").await.unwrap();
    assert!(!bench.db.persisted_query(&bench.tenant, "a").await.unwrap().unwrap().is_due);
    let before = bench.clock.now() - Duration::days(1);
    assert_eq!(bench.db.forget_persisted_queries(before).await.unwrap(), 1);
    assert!(text(&bench, "a").await.is_some() && text(&bench, "b").await.is_none());
}
