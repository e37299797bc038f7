//! The state and the problems of widgets: somebody is missing, or there is nothing to read.

use std::sync::{Arc, atomic::Ordering};

use mullion_schema::{
    enums::WidgetState,
    error::ErrorCode,
    id::NodeReference,
    ports::{Filter, PageRequest, Work as _, WorkItemFilter, WorkItemsSource},
};
use serde_json::json;

use super::{
    bench::{World, all_of, issue, issues_of, repository},
    missing::of_repository,
};
use crate::{
    clock::Clock as _,
    provider::{
        NodeRef,
        change::{Change, NodeWrite, Version},
    },
    reading::{Scope, session::Session},
    upstream::UpstreamErrorKind as Kind,
};

#[tokio::test]
async fn a_widget_that_shows_somebody_who_cannot_be_loaded_says_so() {
    let world = World::new().await;
    let item = NodeRef::new("GithubIssue", "I1");
    let write = issue("R1", "I1", world.store.clock.now(), json!({ "author": "GithubUser:U1" }));
    world.fetched(vec![write], vec![all_of(issues_of("R1"), Filter::new(), vec![item])]).await;
    let page =
        |fields: &[&str]| PageRequest { first: 9, fields: fields.iter().copied().collect(), ..PageRequest::default() };
    let load = async |fields: &[&str]| world.session().work_items(&of_repository(&world), page(fields)).await.unwrap();
    for (kind, code, state, nobody_shown) in [
        (Kind::Down, ErrorCode::ProviderUnavailable, WidgetState::Stale, WidgetState::Ready),
        (Kind::AuthExpired, ErrorCode::ProviderAuthExpired, WidgetState::Reconnect, WidgetState::Reconnect),
    ] {
        world.upstream.fail(kind);
        let shown = load(&["title", "author"]).await;
        assert_eq!((shown.value.items.len(), shown.state), (1, state), "{kind:?}");
        assert_eq!(shown.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [code]);
        assert_eq!(load(&["title"]).await.state, nobody_shown, "{kind:?}");
    }
    world.integration().await.refused.store(false, Ordering::Relaxed);
    // That there is no such person is an answer.
    world.knows_nothing();
    let shown = load(&["title", "author"]).await;
    assert_eq!((shown.state, shown.problems.len()), (WidgetState::Ready, 0));
}

#[tokio::test]
async fn a_widget_of_a_container_that_was_deleted_says_so_and_shows_nothing_of_it() {
    let world = World::new().await;
    let now = world.store.clock.now();
    let write = |repository, id| issue(repository, id, now, json!({}));
    let page = |repository, id| all_of(issues_of(repository), Filter::new(), vec![NodeRef::new("GithubIssue", id)]);
    let pages = vec![page("R1", "I1"), page("R2", "I2")];
    world.fetched(vec![write("R1", "I1"), write("R2", "I2")], pages).await;
    let named = |ids: &[&str]| {
        let containers = ids.iter().map(|id| NodeReference {
            integration: world.account.clone(),
            type_name: "GithubRepository".into(),
            native_id: (*id).into(),
        });
        let filter = WorkItemFilter { containers: Some(containers.collect()), ..WorkItemFilter::default() };
        WorkItemsSource { filter, ..WorkItemsSource::default() }
    };
    let load = async |ids: &[&str]| {
        let page = PageRequest { first: 9, ..PageRequest::default() };
        let load = world.session().work_items(&named(ids), page).await.unwrap();
        let codes: Vec<_> = load.problems.iter().map(|problem| problem.code).collect();
        (load.state, codes, load.value.items.len(), load.value.has_next)
    };
    assert_eq!(load(&["R1", "R2"]).await, (WidgetState::Ready, vec![], 2, false));
    world
        .told(Change { writes: vec![NodeWrite::tombstone(repository("R1"), Version::at(now))], ..Change::default() })
        .await;
    assert_eq!(load(&["R1", "R2"]).await, (WidgetState::Stale, vec![ErrorCode::NotFound], 1, true));
    assert_eq!(load(&["R1"]).await, (WidgetState::Failed, vec![ErrorCode::NotFound], 0, true));
    assert_eq!(load(&["R2"]).await, (WidgetState::Ready, vec![], 1, false));
}

#[tokio::test]
async fn a_widget_of_a_provider_that_refuses_the_token_says_so_although_everything_is_known() {
    let world = World::new().await;
    let item = NodeRef::new("GithubIssue", "I1");
    let write = issue("R1", "I1", world.store.clock.now(), json!({}));
    world.fetched(vec![write], vec![all_of(issues_of("R1"), Filter::new(), vec![item])]).await;
    let load = async || {
        let page = PageRequest { first: 9, ..PageRequest::default() };
        let load = world.session().work_items(&of_repository(&world), page).await.unwrap();
        (load.state, load.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), load.value.items.len())
    };
    assert_eq!(load().await, (WidgetState::Ready, vec![], 1));
    let integration = world.integration().await;
    integration.refused.store(true, Ordering::Relaxed);
    assert_eq!(load().await, (WidgetState::Reconnect, vec![ErrorCode::ProviderAuthExpired], 1));
    integration.refused.store(false, Ordering::Relaxed);
    assert_eq!(load().await, (WidgetState::Ready, vec![], 1));
}

#[tokio::test]
async fn the_hint_of_a_tenant_without_integrations_does_not_say_that_there_never_was_one() {
    let world = World::new().await;
    let scope = Arc::new(Scope::new("nobody".into(), world.store.clock.now(), None));
    let session = Session::new(Arc::clone(&world.services.engine), scope);
    let load = session.work_items(&WorkItemsSource::default(), PageRequest::default()).await.unwrap();
    let messages: Vec<&str> = load.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["no account is connected: an admin connects one with the mutation connectIntegration"]);
}
