//! Things that the provider did not know when it was asked, which is not the last word on them.

use std::sync::Arc;

use mullion_schema::{
    enums::{MetricKind, WidgetState},
    error::ErrorCode,
    id::{NodeKey, NodeReference},
    ports::{
        Filter, List, ListQuery, MetricSource, Nodes as _, PageRequest, Work as _, WorkItemFilter, WorkItemOrder,
        WorkItemsSource,
    },
};

use super::{
    bench::{World, all_of, repository},
    failures::{card, want, written},
};
use crate::{
    provider::{FetchWant, Fetched, ListRef, change::Change},
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
    pub(super) fn knows_nothing(&self) {
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
    let asking = world.services.tasks.spawn(async move { session.node(key, want(&["name"])).await.map(|_| ()) });
    while world.upstream.batches().is_empty() {
        tokio::task::yield_now().await;
    }
    world.told(stale("R1")).await;
    gate.send_replace(true);
    asking.await.unwrap().unwrap();
    world.knows("R1");
    assert!(world.shows("R1").await);
}

#[tokio::test]
async fn a_list_that_the_provider_does_not_know_any_more_is_an_error_and_not_empty() {
    let world = World::new().await;
    world.lists_issues(3, |place| place.to_string());
    world.end_of(50).await;
    let all = all_of(ListRef { parent: None, name: "repositories" }, Filter::new(), vec![repository("R1")]);
    world.fetched(vec![written(&world, "R1", card("web"))], vec![all]).await;
    world.knows_nothing();
    world.grow_old();
    let world = world.restarted();
    let list = List { integration: world.account.clone(), parent: None, name: "repositories", filter: Filter::new() };
    let repositories = ListQuery { list, first: 9, after: None, fields: ["name"].into_iter().collect() };
    for reading in ["first", "second"] {
        for query in [world.issues(50, None), repositories.clone()] {
            let error = world.session().list(query).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::NotFound, "{reading}");
        }
    }
    world.lists_issues(3, |place| place.to_string());
    let page = world.session().list(world.issues(50, None)).await.unwrap();
    assert_eq!((page.items.len(), page.total, page.failure.is_none()), (3, Some(3), true), "it recovers");
}

#[tokio::test]
async fn a_widget_over_a_list_that_the_provider_does_not_know_any_more_says_that_it_failed() {
    let world = World::new().await;
    world.lists_issues(3, |place| place.to_string());
    world.end_of(50).await;
    world.knows_nothing();
    world.grow_old();
    let world = world.restarted();
    let source = of_repository(&world);
    for _ in 0..2 {
        let page = PageRequest { first: 1, total: true, ..PageRequest::default() };
        let load = world.session().work_items(&source, page).await.unwrap();
        assert_eq!((load.state, load.value.total, load.value.has_next), (WidgetState::Failed, None, true));
        assert_eq!(load.missing.map(|error| error.code), Some(ErrorCode::NotFound));
        let metric = MetricKind::OpenWorkItems;
        let metric = MetricSource { metric, containers: source.filter.containers.clone(), window_seconds: 86_400 };
        let load = world.session().metric(&metric).await.unwrap();
        assert_eq!((load.state, load.value.value, load.value.previous), (WidgetState::Failed, None, None));
        assert!(load.value.series.is_empty());
    }
}

/// The work items of the repository.
pub(super) fn of_repository(world: &World) -> WorkItemsSource {
    let container = NodeReference {
        integration: world.account.clone(),
        type_name: "GithubRepository".into(),
        native_id: Arc::from("R1"),
    };
    let filter = WorkItemFilter { containers: Some(vec![container]), ..WorkItemFilter::default() };
    WorkItemsSource { filter, order: WorkItemOrder::default() }
}
