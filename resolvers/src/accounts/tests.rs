//! Answers to the graph about integrations: from memory, and when the database fails.

use std::sync::Arc;

use mullion_schema::{
    error::ErrorCode,
    ports::{Accounts as _, ActivitySource, Source},
};

use super::AccountsAnswer;
use crate::{
    reading::{Scope, tests::bench::World},
    store::endpoint::EndpointDraft,
};

fn answer(world: &World) -> AccountsAnswer {
    let scope = Arc::new(Scope::new(world.tenant.clone(), world.services.clock.now(), None));
    AccountsAnswer { services: Arc::clone(&world.services), scope }
}

async fn feeding(world: &World) -> Vec<(String, bool)> {
    let found = answer(world).feeding(&Source::Activity(ActivitySource::default())).await.unwrap();
    found.iter().map(|view| (view.name.clone(), view.webhook_url.is_some())).collect()
}

#[tokio::test]
async fn integrations_are_kept_in_memory_where_nobody_knows_the_address_of_this_server() {
    let world = World::new().await;
    assert!(world.services.webhook_base.is_none());
    let first = feeding(&world).await;
    assert_eq!(first, [("GitHub".to_owned(), false), ("An account".to_owned(), false)]);
    let before = world.reads();
    assert_eq!(feeding(&world).await, first);
    assert_eq!(world.reads(), before, "from memory");
    let renamed = world.store.db.update_integration(&world.tenant, &world.account, None, |row| row.name = "Hub".into());
    world.services.applier.announce(&world.tenant, &[renamed.await.unwrap().change]).await;
    assert_eq!(feeding(&world).await[0].0, "Hub");
}

#[tokio::test]
async fn an_integration_stays_when_it_cannot_be_read_what_is_registered_for_it() {
    let world = World::new().await;
    let (db, tenant, id) = (&world.store.db, &world.tenant, &world.account);
    let registered = EndpointDraft { external_id: Some("hook".into()), ..EndpointDraft::default() };
    db.create_endpoint(tenant, id, None, registered).await.unwrap();
    world.integration().await;
    world.store.behind_its_back("ALTER TABLE endpoint RENAME TO endpoint_elsewhere").await;
    let refused = answer(&world).disconnect(id).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InternalServerError);
    world.store.behind_its_back("ALTER TABLE endpoint_elsewhere RENAME TO endpoint").await;
    assert!(db.integration(tenant, id).await.unwrap().is_some());
    assert_eq!(db.endpoints(tenant, id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_that_is_away_is_told_with_the_code_that_says_so() {
    let world = World::new().await;
    world.services.engine.head(&world.tenant).await.unwrap();
    world.store.db.close().await.unwrap();
    let error = answer(&world).integrations(None, request()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ServiceUnavailable);
    let error = answer(&world).integration(&world.account).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ServiceUnavailable);
}

fn request() -> mullion_schema::ports::PageRequest {
    mullion_schema::ports::PageRequest { first: 10, ..mullion_schema::ports::PageRequest::default() }
}
