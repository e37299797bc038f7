//! Things that the provider did not know when it was asked, which is not the last word on them.

use mullion_schema::{id::NodeKey, ports::Nodes as _};

use super::{
    bench::{World, repository},
    failures::{card, want, written},
};
use crate::{
    provider::{FetchWant, Fetched, change::Change},
    upstream::{UpstreamError, UpstreamErrorKind as Kind},
};

impl World {
    /// From now on the provider knows this repository again.
    fn knows(&self, id: &'static str) {
        let write = written(self, id, card("web"));
        self.upstream.answer(move |_| {
            Ok(Fetched { found: Some(repository(id)), writes: vec![write.clone()], ..Fetched::default() })
        });
    }

    /// From now on the provider knows nothing.
    fn knows_nothing(&self) {
        self.upstream.answer(|want| match want {
            FetchWant::Node { .. } => Ok(Fetched::default()),
            _ => Err(UpstreamError::new(Kind::NotFound, "as the case says")),
        });
    }

    async fn shows(&self, id: &str) -> bool {
        self.node(&repository(id), &["name"]).await.unwrap().is_some()
    }

    async fn once_unknown() -> Self {
        let world = Self::new().await;
        world.fetched(vec![written(&world, "R1", card("web"))], Vec::new()).await;
        world.told(stale("R1")).await;
        world.knows_nothing();
        assert!(!world.shows("R1").await);
        world.knows("R1");
        assert!(!world.shows("R1").await, "it is not asked for again at once");
        world
    }
}

fn stale(id: &str) -> Change {
    Change { stale: vec![repository(id)], ..Change::default() }
}

#[tokio::test]
async fn a_thing_that_was_not_known_is_asked_for_again_after_news_of_it() {
    let world = World::once_unknown().await;
    world.told(stale("R1")).await;
    assert!(world.shows("R1").await);
}

#[tokio::test]
async fn a_thing_that_was_not_known_is_asked_for_again_when_values_would_be() {
    let world = World::once_unknown().await;
    world.grow_old();
    assert!(world.shows("R1").await);
}

#[tokio::test]
async fn news_of_a_thing_that_come_while_the_provider_says_that_it_does_not_know_it_count() {
    let world = World::new().await;
    world.fetched(vec![written(&world, "R1", card("web"))], Vec::new()).await;
    world.told(stale("R1")).await;
    let gate = tokio::sync::watch::channel(false).0;
    world.upstream.hang(&gate, |_| Ok(Fetched::default()));
    let session = world.session();
    let key = NodeKey::new(&world.account, "GithubRepository", "R1");
    let asking = tokio::spawn(async move { session.node(key, want(&["name"])).await.map(|_| ()) });
    while world.upstream.batches().is_empty() {
        tokio::task::yield_now().await;
    }
    world.told(stale("R1")).await;
    gate.send_replace(true);
    asking.await.unwrap().unwrap();
    world.knows("R1");
    assert!(world.shows("R1").await);
}
