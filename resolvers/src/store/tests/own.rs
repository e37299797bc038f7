//! Rows of ours: tenants, keys, integrations, endpoints, dashboards, widgets, settings.

use std::collections::BTreeMap;

use mullion_schema::id::TenantId;
use serde_json::json;

use super::{
    bench::{Bench, draft, issue, written},
    on_both_databases,
};
use crate::{
    clock::Clock as _,
    secret::Secret,
    store::{
        Database, StoreError,
        api_key::key_hash,
        dashboard::DashboardDraft,
        endpoint::EndpointDraft,
        stream::Written,
        widget::{Grid, Layout, Widget, WidgetDraft},
    },
    tag::Tag,
    vault::{Place, Vault},
};

on_both_databases!(
    migrations_go_down_and_up_again,
    keys_are_accepted_until_they_are_revoked,
    a_free_slug_is_found_however_many_are_taken,
    dashboards_and_widgets_are_written_with_conflicts_told,
    widgets_that_come_at_once_are_placed_below_each_other_until_there_is_no_room,
    a_tenant_has_no_more_dashboards_than_it_may_and_another_has_its_own,
    integrations_and_endpoints_are_written_and_go_together,
    a_planted_token_is_not_in_the_database,
    settings_are_kept,
);

async fn migrations_go_down_and_up_again(bench: Bench) {
    mullion_migrations::revert(bench.db.migration_connection(), None).await.unwrap();
    mullion_migrations::apply(bench.db.migration_connection()).await.unwrap();
    assert_eq!(bench.db.tenants().await.unwrap(), []);
    bench.db.ping().await.unwrap();
    bench.db.close().await.unwrap();
}

async fn keys_are_accepted_until_they_are_revoked(bench: Bench) {
    let (key, secret) = bench.db.create_api_key(&bench.tenant, "ci", "VIEWER").await.unwrap();
    assert!(secret.expose_text().unwrap().starts_with(&key.prefix));
    let hash = key_hash(&secret);
    let accepted = bench.db.accepted_key(&hash).await.unwrap().unwrap();
    assert_eq!((&accepted.key, accepted.tenant_name.as_str(), accepted.head), (&key, "A tenant", bench.head().await));
    assert_eq!(bench.db.accepted_keys([key.id.as_str(), "other"]).await.unwrap(), [accepted]);
    bench.db.note_keys_used([key.id.as_str()]).await.unwrap();
    let used = bench.db.api_keys(&bench.tenant).await.unwrap().remove(0).last_used_at;
    assert_eq!(used, Some(bench.clock.now()));
    assert!(bench.db.accepted_key(&key_hash(&Secret::from("mln_guess"))).await.unwrap().is_none());
    let again = bench.db.insert_api_key(&bench.other_tenant, "stolen", "OWNER", &secret).await;
    assert!(matches!(again, Err(StoreError::Taken(_))));
    assert!(bench.db.revoke_api_key(&bench.other_tenant, &key.id).await.unwrap().is_none());
    let revoked = bench.db.revoke_api_key(&bench.tenant, &key.id).await.unwrap().unwrap();
    assert_eq!(revoked.change.tags, [Tag::own(&bench.tenant, "ApiKey", &key.id)]);
    assert_eq!(bench.db.accepted_key(&hash).await.unwrap(), None);
    assert_eq!(bench.db.accepted_keys([key.id.as_str()]).await.unwrap(), []);
    assert!(bench.db.revoke_api_key(&bench.tenant, &key.id).await.unwrap().is_none(), "once");
}

fn dashboard(slug: &str) -> DashboardDraft {
    DashboardDraft { slug: slug.into(), name: "Team".into(), description: None, columns: 12 }
}

fn widget(title: &str, y: i32) -> WidgetDraft {
    let layout = Layout { x: 0, y, width: 4, height: 3 };
    WidgetDraft { title: title.into(), layout, kind: "messages".into(), source: json!({ "containerIds": ["x"] }) }
}

async fn a_free_slug_is_found_however_many_are_taken(bench: Bench) {
    let (db, tenant, other) = (&bench.db, &bench.tenant, &bench.other_tenant);
    db.create_dashboard(tenant, dashboard("team")).await.unwrap();
    db.create_dashboard(other, dashboard("team")).await.unwrap();
    for number in 2..=58 {
        let slug = db.free_slug(tenant, "team").await.unwrap();
        assert_eq!(slug, format!("team-{number}"));
        db.create_dashboard(tenant, dashboard(&slug)).await.unwrap();
    }
    assert_eq!(db.free_slug(tenant, "tea").await.unwrap(), "tea");
    assert_eq!(db.free_slug(other, "team").await.unwrap(), "team-2");
}

async fn dashboards_and_widgets_are_written_with_conflicts_told(bench: Bench) {
    let (db, tenant, other) = (&bench.db, &bench.tenant, &bench.other_tenant);
    let made = db.create_dashboard(tenant, dashboard("team")).await.unwrap();
    assert_eq!(made.change.position, bench.head().await);
    assert!(made.change.tags.contains(&Tag::own_list(tenant, "dashboards")));
    assert!(matches!(db.create_dashboard(tenant, dashboard("team")).await, Err(StoreError::Taken("slug"))));
    db.create_dashboard(other, dashboard("team")).await.unwrap();
    let id = made.value.id.as_str();
    let read = db.dashboard(tenant, id).await.unwrap().unwrap();
    assert_eq!(read, made.value);
    assert_eq!(db.dashboard(other, id).await.unwrap(), None);
    assert_eq!(db.dashboard_by_slug(tenant, "team").await.unwrap(), Some(read.clone()));
    let renamed =
        db.update_dashboard(tenant, id, Some(read.updated_at), |draft| draft.name = "Us".into()).await.unwrap();
    assert!(renamed.value.updated_at > read.updated_at, "also when the clock stands still");
    let late = db.update_dashboard(tenant, id, Some(read.updated_at), |draft| draft.name = "Them".into()).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    assert!(matches!(db.update_dashboard(other, id, None, |_| ()).await, Err(StoreError::NotFound)));

    let low = put(db, tenant, id, widget("low", 5)).await.unwrap().value;
    let high = put(db, tenant, id, widget("high", 1)).await.unwrap().value;
    assert!(matches!(put(db, other, id, widget("foreign", 1)).await, Err(StoreError::NotFound)));
    assert_eq!(db.widgets(tenant, id).await.unwrap(), [high.clone(), low.clone()]);
    let down = BTreeMap::from([(high.id.clone(), Layout { y: 9, ..high.draft.layout })]);
    let moved = db.move_widgets(tenant, id, &down).await.unwrap();
    assert!(moved.change.tags.contains(&Tag::own(tenant, "Widget", &high.id)));
    assert_eq!(db.widgets(tenant, id).await.unwrap()[0].id, low.id);
    let unknown = BTreeMap::from([("nowhere".to_owned(), high.draft.layout)]);
    assert!(matches!(db.move_widgets(tenant, id, &unknown).await, Err(StoreError::NotFound)));
    let titled = db.update_widget(tenant, &low.id, Some(low.updated_at), |draft| draft.title = "new".into()).await;
    assert_eq!(titled.unwrap().value.draft.title, "new");
    let late = db.update_widget(tenant, &low.id, Some(low.updated_at), |_| ()).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    db.note_widget_refreshed(tenant, &low.id).await.unwrap();
    db.delete_widget(tenant, &low.id).await.unwrap();
    assert_eq!(db.widget(tenant, &low.id).await.unwrap(), None);
    let gone = db.delete_dashboard(tenant, id).await.unwrap();
    assert!(gone.change.tags.contains(&Tag::own(tenant, "Widget", &high.id)));
    assert_eq!(db.widget(tenant, &high.id).await.unwrap(), None);
    assert_eq!(db.dashboards(tenant, None, 10).await.unwrap(), []);
    assert_eq!(db.dashboards(other, None, 10).await.unwrap().len(), 1);
    assert_eq!((db.count_dashboards(tenant).await.unwrap(), db.count_dashboards(other).await.unwrap()), (0, 1));
}

async fn put(
    db: &Database,
    tenant: &TenantId,
    dashboard: &str,
    draft: WidgetDraft,
) -> Result<Written<Widget>, StoreError> {
    let layout = draft.layout;
    db.create_widget(tenant, dashboard, draft, |_| layout).await
}

async fn widgets_that_come_at_once_are_placed_below_each_other_until_there_is_no_room(bench: Bench) {
    let (db, tenant) = (&bench.db, &bench.tenant);
    let id = db.create_dashboard(tenant, dashboard("full")).await.unwrap().value.id;
    let below = |grid: Grid| Layout { x: 0, y: grid.below, width: grid.columns, height: 2 };
    let all = (0..100).map(|_| db.create_widget(tenant, &id, widget("one of many", 0), below));
    for written in futures::future::join_all(all).await {
        written.unwrap();
    }
    let rows: Vec<i32> = db.widgets(tenant, &id).await.unwrap().iter().map(|widget| widget.draft.layout.y).collect();
    assert_eq!(rows, (0..100).map(|row| row * 2).collect::<Vec<_>>());
    let more = db.create_widget(tenant, &id, widget("one too many", 0), below).await;
    assert!(matches!(more, Err(StoreError::Full(_))));
    assert_eq!(db.widgets(tenant, &id).await.unwrap().len(), 100);
}

async fn integrations_and_endpoints_are_written_and_go_together(bench: Bench) {
    let (db, tenant, id) = (&bench.db, &bench.tenant, &bench.integration);
    let read = db.integration(tenant, id).await.unwrap().unwrap();
    assert_eq!((read.draft.clone(), read.provider.as_str()), (draft("An account"), "fake"));
    let changed = db.update_integration(tenant, id, Some(read.updated_at), |draft| draft.name = "New".into()).await;
    assert!(changed.unwrap().change.tags.contains(&Tag::own(tenant, "Integration", id.as_str())));
    let late = db.update_integration(tenant, id, Some(read.updated_at), |_| ()).await;
    assert!(matches!(late, Err(StoreError::Conflict)));
    db.note_integration_error(tenant, id, "it failed").await.unwrap();
    assert_eq!(db.integrations(tenant).await.unwrap()[0].last_error.as_ref().unwrap().0, "it failed");

    let pending = EndpointDraft { handshake_pending: true, ..EndpointDraft::default() };
    let endpoint = db.create_endpoint(tenant, id, None, pending).await.unwrap();
    assert_eq!(db.endpoint_at("fake", &endpoint.path).await.unwrap(), Some(endpoint.clone()));
    assert_eq!(db.endpoint_at("else", &endpoint.path).await.unwrap(), None);
    assert!(matches!(
        db.create_endpoint(&bench.other_tenant, id, None, EndpointDraft::default()).await,
        Err(StoreError::NotFound)
    ));
    let shake = || db.update_endpoint(tenant, &endpoint.id, |draft| std::mem::take(&mut draft.handshake_pending));
    assert!(!shake().await.unwrap().draft.handshake_pending);
    assert!(matches!(shake().await, Err(StoreError::Conflict)));

    bench.deliver(written(vec![issue("1", 1, "a", "OPEN")])).await;
    db.delete_integration(tenant, id).await.unwrap();
    assert_eq!(db.endpoint_at("fake", &endpoint.path).await.unwrap(), None);
    assert!(db.integration(tenant, id).await.unwrap().is_none());
    let mut removal = db.removals().await.unwrap().remove(0).without_lingering();
    while db.remove_some(&mut removal).await.unwrap() {}
    assert_eq!(bench.members(&bench.issues()).await, Vec::<String>::new());
    assert!(!db.delete_endpoint(tenant, &endpoint.id).await.unwrap());
}

async fn a_planted_token_is_not_in_the_database(bench: Bench) {
    const PLANTED: &str = "ghp_planted0123456789planted";
    let vault = Vault::new(["000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"]).unwrap();
    let place = Place { tenant: &bench.tenant, integration: &bench.integration, column: "token" };
    let sealed = vault.seal(place, &Secret::from(PLANTED)).unwrap();
    bench
        .db
        .update_integration(&bench.tenant, &bench.integration, None, |draft| draft.token = Some(sealed))
        .await
        .unwrap();
    let (_, key) = bench.db.create_api_key(&bench.tenant, "ci", "OWNER").await.unwrap();
    let read = bench.db.integration(&bench.tenant, &bench.integration).await.unwrap().unwrap();
    assert_eq!(vault.open(place, &read.draft.token.clone().unwrap()), Ok(Secret::from(PLANTED)));
    assert!(!format!("{read:?}").contains(PLANTED));
    let Some(file) = &bench.file else { return };
    for name in [file.clone(), file.with_extension("db-wal")] {
        let bytes = std::fs::read(&name).unwrap();
        assert!(!bytes.is_empty());
        for secret in [PLANTED.as_bytes(), key.expose()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", name.display());
        }
    }
}

async fn settings_are_kept(bench: Bench) {
    assert_eq!(bench.db.setting("seed").await.unwrap(), None);
    bench.db.set_setting("seed", "7").await.unwrap();
    bench.db.set_setting("seed", "8").await.unwrap();
    assert_eq!(bench.db.setting("seed").await.unwrap().as_deref(), Some("8"));
}

async fn a_tenant_has_no_more_dashboards_than_it_may_and_another_has_its_own(bench: Bench) {
    let (db, tenant, other) = (&bench.db, &bench.tenant, &bench.other_tenant);
    let made =
        futures::future::join_all((0..62).map(|number| db.create_dashboard(tenant, dashboard(&format!("d{number}")))))
            .await;
    let refused = made.iter().filter(|made| matches!(made, Err(StoreError::Full(_)))).count();
    assert_eq!((refused, made.iter().filter(|made| made.is_ok()).count()), (2, 60));
    db.create_dashboard(other, dashboard("d1")).await.unwrap();
    let first = made.into_iter().find_map(Result::ok).unwrap().value.id;
    db.delete_dashboard(tenant, &first).await.unwrap();
    db.create_dashboard(tenant, dashboard("again")).await.unwrap();
}
