//! A panic in a provider's adapter ends the fetches of its batch and nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use mullion_schema::{ports::Filter, view::Body};
use tokio_util::task::TaskTracker;
use url::Url;

use super::bench::World;
use crate::{
    change::{Interpretation, ListRef, NodeRef},
    engine::{
        Claims,
        claims::name_of,
        fetcher::{Absorbed, Fetcher, Sink},
        integrations::{Integration, PulseRules},
    },
    provider::{
        Account, ContainerLists, Demo, Descriptor, EndpointSecrets, FetchWant, Fetched, Provider, Reception,
        RegisteredWebhook, StoredDelivery, WebhookRequest,
    },
    secret::Secret,
    upstream::{Connection, UpstreamError, UpstreamErrorKind},
};

/// A provider whose first fetch panics.
#[derive(Debug, Default)]
struct Panicking(AtomicUsize);

#[async_trait]
impl Provider for Panicking {
    fn descriptor(&self) -> &'static Descriptor {
        not_asked()
    }

    async fn fetch(&self, _: &Connection, wants: Vec<FetchWant>) -> Vec<Result<Fetched, UpstreamError>> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "a field that nobody thought of");
        wants.iter().map(|_| Ok(Fetched::default())).collect()
    }

    async fn identify(&self, _: &Connection) -> Result<Account, UpstreamError> {
        not_asked()
    }

    fn memberships(&self, _: &NodeRef, _: &Body) -> Vec<(ListRef, String)> {
        not_asked()
    }

    fn matches(&self, _: &ListRef, _: &Filter, _: &Body) -> bool {
        not_asked()
    }

    fn receive(&self, _: &WebhookRequest, _: &EndpointSecrets) -> Reception {
        not_asked()
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        not_asked()
    }

    fn interpret(&self, _: &StoredDelivery) -> Interpretation {
        not_asked()
    }

    async fn register_webhook(
        &self,
        _: &Connection,
        _: &NodeRef,
        _: &Url,
        _: &Secret,
    ) -> Option<Result<RegisteredWebhook, UpstreamError>> {
        not_asked()
    }

    async fn unregister_webhook(&self, _: &Connection, _: &str) -> Result<(), UpstreamError> {
        not_asked()
    }

    fn secret_by_handshake(&self) -> bool {
        not_asked()
    }

    fn containers(&self) -> &'static [ContainerLists] {
        not_asked()
    }

    fn sandbox(&self, _: u64, _: DateTime<Utc>, _: String) -> Arc<dyn crate::sandbox::Sandbox> {
        not_asked()
    }

    fn demo(&self) -> Demo {
        not_asked()
    }
}

fn not_asked() -> ! {
    panic!("only fetches are asked for")
}

/// Stores what came; or panics, the first time.
struct Store {
    panics: AtomicUsize,
}

impl Sink for Store {
    fn absorb(&self, _: Arc<Integration>, _: Absorbed) -> BoxFuture<'_, Result<(), UpstreamError>> {
        async {
            let left = self.panics.load(Ordering::SeqCst);
            self.panics.store(left.saturating_sub(1), Ordering::SeqCst);
            assert_eq!(left, 0, "a body that nobody thought of");
            Ok(())
        }
        .boxed()
    }

    fn doubt(&self, _: &Integration, _: &[FetchWant]) {}

    fn credential(&self, _: Arc<Integration>, _: bool) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

async fn integration(world: &World) -> Arc<Integration> {
    let real = world.integration().await;
    Arc::new(Integration {
        tenant: real.tenant.clone(),
        id: real.id.clone(),
        provider: Arc::new(Panicking::default()),
        connection: real.connection.clone(),
        user: None,
        refused: false.into(),
        pulse: Default::default(),
        rules: PulseRules::default(),
    })
}

fn wants() -> Vec<FetchWant> {
    let node = |id| FetchWant::Node { node: NodeRef::new("GithubIssue", id), asks: ["title"].into() };
    vec![node("1"), node("1"), node("2")]
}

async fn fetch(fetcher: &Arc<Fetcher>, integration: &Arc<Integration>) -> Vec<Result<(), UpstreamErrorKind>> {
    let noted = fetcher.moment(&integration.id);
    let fetches: Vec<_> = wants().into_iter().map(|want| fetcher.fetch(integration, want, noted)).collect();
    join_all(fetches).await.into_iter().map(|outcome| outcome.map(drop).map_err(|error| error.kind)).collect()
}

#[tokio::test]
async fn after_a_panic_those_who_wait_get_an_error_the_claims_are_given_back_and_the_next_call_works() {
    // Of the adapter; then of what stores.
    for panics_of_store in [0, 1] {
        let world = World::new().await;
        let integration = integration(&world).await;
        let sink = Arc::new(Store { panics: panics_of_store.into() });
        let claims = Claims::shared(world.store.db.clone()).unwrap();
        let fetcher = Fetcher::new(sink, claims, TaskTracker::new());
        let broken = vec![Err(UpstreamErrorKind::Internal); 3];
        assert_eq!(fetch(&fetcher, &integration).await, broken);
        assert_eq!(held(&world).await, [false, false], "other replicas need not wait");
        if panics_of_store > 0 {
            assert_eq!(fetch(&fetcher, &integration).await, broken);
        }
        assert_eq!(fetch(&fetcher, &integration).await, vec![Ok(()); 3]);
    }
}

/// Whether the claims of these wants are held, as other replicas see it.
async fn held(world: &World) -> Vec<bool> {
    let names: Vec<String> = wants().iter().map(name_of).collect();
    let claims = world.store.db.claims(&world.account, &names).await.unwrap();
    claims.iter().map(|claim| !claim.done).collect()
}
