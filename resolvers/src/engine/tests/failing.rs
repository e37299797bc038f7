//! The engine over a store that cannot be written.

use std::sync::atomic::Ordering;

use super::bench::World;
use crate::{
    engine::fetcher::Sink as _,
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
