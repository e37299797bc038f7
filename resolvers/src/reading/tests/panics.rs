//! A panic in a provider's adapter, or in what stores its answers, ends the fetches of its batch and nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use tokio_util::task::TaskTracker;

use super::bench::World;
use crate::{
    provider::{FetchWant, Fetched, NodeRef},
    reading::{
        Claims,
        fetches::{
            claims::name_of,
            fetcher::Fetcher,
            sink::{Absorbed, Sink},
        },
        integrations::Integration,
        unstored::Unstored,
    },
    upstream::UpstreamErrorKind,
};

/// Panics so many times.
struct Panics(AtomicUsize);

impl Panics {
    fn once(where_it_is: bool) -> Self {
        Self(AtomicUsize::new(usize::from(where_it_is)))
    }

    fn or_go_on(&self) {
        let left = self.0.swap(0, Ordering::SeqCst);
        assert_eq!(left, 0, "something that nobody thought of");
    }
}

/// Stores what came.
struct Store(Panics);

impl Sink for Store {
    fn absorb(&self, _: Arc<Integration>, _: Absorbed) -> BoxFuture<'_, Result<(), Unstored>> {
        async {
            self.0.or_go_on();
            Ok(())
        }
        .boxed()
    }

    fn doubt(&self, _: &Integration, _: &[FetchWant]) {}

    fn credential(&self, _: Arc<Integration>, _: bool) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

fn wants() -> Vec<FetchWant> {
    let node = |id| FetchWant::Node { node: NodeRef::new("GithubIssue", id), asks: ["title"].into() };
    vec![node("1"), node("1"), node("2")]
}

async fn fetch(fetcher: &Arc<Fetcher>, integration: &Arc<Integration>) -> Vec<Result<(), UpstreamErrorKind>> {
    let noted = fetcher.moment(&integration.id);
    let asked: Vec<_> = wants().into_iter().map(|want| fetcher.fetch(integration, want, noted).end).collect();
    join_all(asked).await.into_iter().map(|outcome| outcome.map(drop).map_err(|error| error.kind)).collect()
}

/// Whether the claims of these wants are held, as other replicas see it.
async fn held(world: &World) -> Vec<bool> {
    let names: Vec<String> = wants().iter().map(name_of).collect();
    let claims = world.store.db.claims(&world.account, &names).await.unwrap();
    claims.iter().map(|claim| !claim.done).collect()
}

#[tokio::test]
async fn after_a_panic_those_who_wait_get_an_error_the_claims_are_given_back_and_the_next_call_works() {
    for in_adapter in [true, false] {
        let world = World::new().await;
        let integration = world.integration().await;
        let adapter = Panics::once(in_adapter);
        world.upstream.answer(move |_| {
            adapter.or_go_on();
            Ok(Fetched::default())
        });
        let claims = Claims::shared(world.store.db.clone()).unwrap();
        let store = Arc::new(Store(Panics::once(!in_adapter)));
        let fetcher = Fetcher::new(store, claims, TaskTracker::new());
        assert_eq!(fetch(&fetcher, &integration).await, vec![Err(UpstreamErrorKind::Internal); 3]);
        assert_eq!(held(&world).await, [false, false], "other replicas need not wait");
        assert_eq!(fetch(&fetcher, &integration).await, vec![Ok(()); 3]);
    }
}
