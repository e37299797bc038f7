//! The engine over a store that cannot be written.

use std::sync::atomic::Ordering;

use mullion_schema::{
    error::ErrorCode,
    id::NodeKey,
    ports::{Lookup, Nodes as _},
};
use serde_json::json;

use super::{
    bench::{World, repository},
    failures::{PAGE, card, want, written},
};
use crate::{
    provider::{FetchWant, Fetched},
    reading::Sink as _,
    store::{faults::Which, integration::IntegrationStatus},
    upstream::UpstreamErrorKind,
};

#[tokio::test]
async fn a_fetch_that_cannot_be_stored_is_no_fault_of_the_provider() {
    let world = World::new().await;
    let (integration, sent_at) = (world.integration().await, world.store.tick());
    world.store.db.faults().fail(Which::Touching("BEGIN"), 1);
    let error = world.services.applier.take_in(&integration, sent_at, Vec::new()).await.unwrap_err();
    assert_eq!(error.kind, UpstreamErrorKind::Internal);
    world.services.applier.take_in(&integration, sent_at, Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_refused_token_that_could_not_be_noted_is_noted_with_the_next_answer() {
    let world = World::new().await;
    let status = async || {
        let row = world.store.db.integration(&world.tenant, &world.account).await.unwrap().unwrap();
        row.draft.status
    };
    let integration = world.integration().await;
    world.store.db.faults().fail(Which::Touching("BEGIN"), 1);
    for expected in [IntegrationStatus::Connected, IntegrationStatus::NeedsReconnect] {
        // As the fetcher does at each answer.
        if !integration.refused.swap(true, Ordering::Relaxed) {
            world.services.applier.credential(std::sync::Arc::clone(&integration), true).await;
        }
        assert_eq!(status().await, expected);
    }
    let row = world.store.db.integration(&world.tenant, &world.account).await.unwrap().unwrap();
    let (why, _) = row.last_error.unwrap();
    assert!(why.contains("updateIntegration"), "{why}");
}

/// Nothing is written any more.
fn disk_is_full(world: &World) {
    world.store.db.faults().fail(Which::Touching("BEGIN"), u64::MAX);
}

#[tokio::test]
async fn what_the_provider_answered_is_shown_although_it_cannot_be_stored() {
    let world = World::new().await;
    let write = written(&world, "R1", card("web"));
    world.upstream.answer(move |want| {
        let found = matches!(want, FetchWant::Node { .. }).then(|| repository("R1"));
        Ok(Fetched { found, writes: vec![write.clone()], ..Fetched::default() })
    });
    disk_is_full(&world);
    let session = world.session();
    let key = NodeKey::new(&world.account, "GithubRepository", "R1");
    for asked in 1..=2 {
        let view = session.node(key.clone(), want(&["name"])).await.unwrap().unwrap();
        assert_eq!(view.body["name"], "web");
        assert_eq!((view.failure.is_none(), view.freshness.stale_because), (true, None));
        assert_eq!(world.upstream.batches().len(), 1, "time {asked}: one execution asks once");
    }
    assert!(session.scope().is_stale(), "the answer is not kept");
    world.store.db.faults().stop();
    assert!(world.node(&repository("R1"), &["name"]).await.unwrap().is_some());
    assert_eq!(world.upstream.batches().len(), 2, "it was not stored");
}

#[tokio::test]
async fn what_is_known_of_a_node_and_what_came_are_shown_together() {
    let world = World::new().await;
    world.fetched(vec![written(&world, "R1", card("web"))], Vec::new()).await;
    let write = written(&world, "R1", json!({ "openIssueCount": 7 }));
    world.upstream.answer(move |_| {
        Ok(Fetched { found: Some(repository("R1")), writes: vec![write.clone()], ..Fetched::default() })
    });
    disk_is_full(&world);
    let view = world.node(&repository("R1"), &["name", "openIssueCount"]).await.unwrap().unwrap();
    assert_eq!((&view.body["name"], &view.body["openIssueCount"]), (&json!("web"), &json!(7)));
}

#[tokio::test]
async fn the_page_of_a_list_that_the_provider_gave_is_shown_although_it_cannot_be_stored() {
    let world = World::new().await;
    world.lists_issues(250, |place| place.to_string());
    disk_is_full(&world);
    let session = world.session();
    let page = session.list(world.issues(50, None)).await.unwrap();
    assert_eq!((page.items.len(), page.has_next, page.total, page.failure.is_none()), (50, true, Some(250), true));
    assert_eq!(page.items[0].1.key.native_id.as_ref(), "I0000");
    let after = page.items.last().map(|(position, _)| position.clone());
    let rest = session.list(world.issues(100, after)).await.unwrap();
    assert_eq!((rest.items.len(), rest.has_next), (50, true));
    let failure = rest.failure.unwrap();
    assert_eq!((failure.code, failure.provider), (ErrorCode::InternalServerError, None), "the provider is not blamed");
    assert_eq!(world.upstream.batches().len(), 1);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_on_for_want_of_the_store_does_not_blame_the_provider() {
    let world = World::new().await;
    world.lists_issues(250, |place| place.to_string());
    let end = world.end_of(PAGE).await;
    disk_is_full(&world);
    let error = world.session().list(world.issues(PAGE, end)).await.unwrap_err();
    assert_eq!((error.code, error.provider), (ErrorCode::InternalServerError, None));
    assert_eq!(world.upstream.batches().len(), 2, "the same page is not asked for again and again");
}

#[tokio::test]
async fn a_name_that_was_looked_up_leads_to_its_node_although_nothing_can_be_stored() {
    let world = World::new().await;
    let write = written(&world, "R1", card("web"));
    world.upstream.answer(move |_| {
        Ok(Fetched { found: Some(repository("R1")), writes: vec![write.clone()], ..Fetched::default() })
    });
    disk_is_full(&world);
    let arguments = [("owner", "acme".to_owned()), ("name", "web".to_owned())].into_iter().collect();
    let integration = world.account.clone();
    let lookup = Lookup { integration, type_name: "GithubRepository", name: "repository", arguments };
    let view = world.session().find(lookup, want(&["name"])).await.unwrap().unwrap();
    assert_eq!(view.body["name"], "web");
}
