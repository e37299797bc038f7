//! A provider that hangs: what is known is served after a short while, and what comes later is not lost.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use mullion_schema::{
    error::ErrorCode,
    id::NodeKey,
    ports::Nodes as _,
    view::{FreshnessSource, StaleReason},
};
use tokio::{sync::watch, time::timeout};

use super::{
    bench::{World, repository},
    failures::{card, want, written},
};
use crate::{
    clock::Clock as _,
    provider::{FetchWant, Fetched, change::NodeWrite},
    reading::{Scope, session::Session},
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// How long a fetch is waited for where an older value is known.
const PATIENCE: Duration = Duration::from_millis(20);
/// Longer than any of these reads takes, and than the patience of one.
const LONG: Duration = Duration::from_secs(20);

impl World {
    /// The provider hangs until the gate is opened, and knows the repository by another name then.
    fn hangs(&self) -> watch::Sender<bool> {
        let gate = watch::channel(false).0;
        let renamed: NodeWrite = written(self, "R1", card("renamed"));
        self.upstream.hang(&gate, move |want| match want {
            FetchWant::Node { node, .. } => {
                Ok(Fetched { found: Some(node.clone()), writes: vec![renamed.clone()], ..Fetched::default() })
            }
            _ => Err(UpstreamError::new(UpstreamErrorKind::Down, "as the case says")),
        });
        gate
    }

    async fn with_old_repository() -> Self {
        let world = Self::new().await.with_patience(PATIENCE);
        world.fetched(vec![written(&world, "R1", card("web"))], Vec::new()).await;
        world.grow_old();
        world
    }
}

#[tokio::test]
async fn a_known_value_is_served_after_a_short_while_and_replaced_when_the_fetch_ends() {
    let world = World::with_old_repository().await;
    let gate = world.hangs();
    let session = world.session();
    let key = NodeKey::new(&world.account, "GithubRepository", "R1");
    let old = timeout(LONG, session.node(key, want(&["name"]))).await.unwrap().unwrap().unwrap();
    assert_eq!(old.text("name").as_deref(), Some("web"));
    assert_eq!(old.freshness.source, FreshnessSource::Stale);
    assert_eq!(old.freshness.stale_because, Some(StaleReason::Timeout));
    assert!(session.scope().is_stale(), "the answer is not kept");
    let late = session.scope().background_fetches().expect("a fetch that was not waited for");
    assert!(late.clone().now_or_never().is_none(), "it still runs");
    gate.send_replace(true);
    timeout(LONG, late).await.expect("it ends when the provider answers");
    let new = world.node(&repository("R1"), &["name"]).await.unwrap().unwrap();
    assert_eq!((new.text("name").as_deref(), new.freshness.stale_because), (Some("renamed"), None));
    assert_eq!(world.upstream.batches().len(), 1, "and nobody asks again");
}

#[tokio::test]
async fn what_is_slow_here_is_not_the_lateness_of_a_provider_that_was_not_asked_yet() {
    let world = World::with_old_repository().await;
    world.upstream.fail(UpstreamErrorKind::AuthExpired);
    // Somebody else looks into the store for long, and the batch waits for what they want.
    let other = world.session();
    let looking = world.services.engine.reading(other.scope(), &world.account);
    let node = repository("R1");
    let mut read = world.node(&node, &["name"]).boxed();
    assert!(timeout(PATIENCE * 3, &mut read).await.is_err());
    assert!(world.upstream.batches().is_empty());
    drop(looking);
    let old = timeout(LONG, read).await.unwrap().unwrap().unwrap();
    assert_eq!(old.freshness.stale_because, Some(StaleReason::AuthExpired));
}

#[tokio::test]
async fn a_value_that_is_not_known_is_waited_for() {
    let world = World::with_old_repository().await;
    let gate = world.hangs();
    for (node, field) in [("R1", "openIssueCount"), ("R2", "name")] {
        let node = repository(node);
        let fields = [field];
        let mut read = world.node(&node, &fields).boxed();
        assert!(timeout(PATIENCE * 3, &mut read).await.is_err(), "{field}: there is nothing to show instead");
    }
    gate.send_replace(true);
    assert!(timeout(LONG, world.node(&repository("R1"), &["name"])).await.is_ok());
}

#[tokio::test]
async fn a_first_reading_that_fails_in_the_end_is_an_error() {
    let world = World::new().await;
    world.upstream.fail(UpstreamErrorKind::Timeout);
    let error = world.node(&repository("R1"), &["name"]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderUnavailable);
}

#[tokio::test]
async fn an_execution_that_waits_sees_what_the_provider_says() {
    let world = World::with_old_repository().await;
    let gate = world.hangs();
    let scope = Arc::new(Scope::new(world.tenant.clone(), world.store.clock.now(), None).waiting());
    let session = Session::new(Arc::clone(&world.services.engine), scope);
    let key = NodeKey::new(&world.account, "GithubRepository", "R1");
    let mut read = session.node(key, want(&["name"])).boxed();
    assert!(timeout(PATIENCE * 3, &mut read).await.is_err());
    gate.send_replace(true);
    let view = timeout(LONG, read).await.unwrap().unwrap().unwrap();
    assert_eq!(view.text("name").as_deref(), Some("renamed"));
    assert!(session.scope().background_fetches().is_none() && !session.scope().is_stale());
}
