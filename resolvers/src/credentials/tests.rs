//! Keys in memory, at two processes over one database.

use std::sync::Arc;

use chrono::Duration;

use super::{Credential, Credentials, LAST_USED_EVERY, TRUST};
use crate::{
    answers::Services,
    clock::Clock as _,
    reading::tests::bench::{World, services},
    secret::Secret,
    store::{
        faults::Which,
        stream::AppliedChange,
        tests::{bench::Bench, on_both_databases},
    },
};

on_both_databases!(
    a_known_key_costs_no_read,
    a_revoked_key_is_refused_at_once_here_and_at_a_replica_as_soon_as_it_hears_of_it,
    without_a_hint_a_revoked_key_is_refused_after_the_next_look,
    a_key_that_cannot_be_looked_up_is_read_again_before_it_is_accepted,
    a_changed_role_counts_after_the_next_look,
    who_was_let_in_is_told_even_where_the_key_is_no_longer_kept,
    keys_that_are_not_accepted_fill_no_memory,
    when_a_key_was_last_used_is_written_now_and_then,
    a_key_is_accepted_while_nothing_can_be_written,
    a_look_up_waits_for_nobody_who_writes,
    what_waits_to_be_written_is_bounded,
);

/// One process, and one more over the same database.
struct Pair {
    world: World,
    other: Arc<Services>,
    here: Credentials,
    there: Credentials,
    key: String,
    secret: Secret,
}

impl Pair {
    async fn over(store: Bench) -> Self {
        let world = World::over(store).await;
        let other = services(&world.store, Arc::new(crate::providers::all()));
        let (key, secret) = world.store.db.create_api_key(&world.tenant, "ci", "viewer").await.unwrap();
        let (here, there) = (Credentials::new(&world.services), Credentials::new(&other));
        let pair = Self { world, other, here, there, key: key.id, secret };
        assert!(pair.here().await.is_some() && pair.there().await.is_some());
        pair
    }

    async fn here(&self) -> Option<Arc<Credential>> {
        self.here.authenticate(&self.secret).await.unwrap()
    }

    async fn there(&self) -> Option<Arc<Credential>> {
        self.there.authenticate(&self.secret).await.unwrap()
    }

    async fn revoke(&self) -> AppliedChange {
        self.world.store.db.revoke_api_key(&self.world.tenant, &self.key).await.unwrap().unwrap().change
    }

    async fn last_used_at(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.world.store.db.api_keys(&self.world.tenant).await.unwrap().remove(0).last_used_at
    }
}

async fn a_known_key_costs_no_read(store: Bench) {
    let pair = Pair::over(store).await;
    let before = pair.world.reads();
    for _ in 0..100 {
        let known = pair.here().await.unwrap();
        assert_eq!((known.viewer.name.as_str(), known.viewer.tenant_name.as_str()), ("ci", "A tenant"));
    }
    assert_eq!(pair.world.reads(), before);
    // Another change of the tenant's is none of the key.
    let world = &pair.world;
    let other = world.store.db.update_integration(&world.tenant, &world.account, None, |_| ()).await.unwrap();
    world.services.applier.announce(&world.tenant, &[other.change]).await;
    let before = pair.world.reads();
    assert!(pair.here().await.is_some());
    assert_eq!(pair.world.reads(), before);
}

async fn a_revoked_key_is_refused_at_once_here_and_at_a_replica_as_soon_as_it_hears_of_it(store: Bench) {
    let pair = Pair::over(store).await;
    let change = pair.revoke().await;
    pair.world.services.applier.announce(&pair.world.tenant, std::slice::from_ref(&change)).await;
    assert!(pair.here().await.is_none());
    assert!(pair.there().await.is_some(), "it has not heard of it");
    pair.other.applier.announce(&pair.world.tenant, &[change]).await;
    assert!(pair.there().await.is_none());
}

async fn without_a_hint_a_revoked_key_is_refused_after_the_next_look(store: Bench) {
    let pair = Pair::over(store).await;
    let socket = pair.there().await.unwrap();
    pair.revoke().await;
    assert!(pair.there().await.is_some());
    pair.there.look().await.unwrap();
    assert!(socket.revoked.is_cancelled(), "its sockets are closed");
    assert!(pair.there().await.is_none());
}

async fn a_key_that_cannot_be_looked_up_is_read_again_before_it_is_accepted(store: Bench) {
    let pair = Pair::over(store).await;
    pair.revoke().await;
    let nearly = Duration::from_std(TRUST).unwrap() - Duration::milliseconds(1);
    pair.world.store.clock.advance(nearly);
    assert!(pair.there().await.is_some());
    pair.world.store.clock.advance(Duration::milliseconds(1));
    assert!(pair.there().await.is_none());
    // A clock that is set back does not make anything older look young.
    pair.world.store.clock.advance(-Duration::hours(1));
    assert!(pair.here().await.is_none());
}

async fn a_changed_role_counts_after_the_next_look(store: Bench) {
    let pair = Pair::over(store).await;
    pair.world.store.behind_its_back("UPDATE api_key SET role = 'admin'").await;
    pair.there.look().await.unwrap();
    let known = pair.there().await.unwrap();
    assert_eq!(known.viewer.role, mullion_schema::ports::Role::Admin);
    assert!(!known.revoked.is_cancelled());
}

async fn who_was_let_in_is_told_even_where_the_key_is_no_longer_kept(store: Bench) {
    let pair = Pair::over(store).await;
    let socket = pair.here().await.unwrap();
    pair.here.known.invalidate_all();
    let again = pair.here().await.unwrap();
    assert!(!Arc::ptr_eq(&socket, &again));
    pair.revoke().await;
    pair.here.look().await.unwrap();
    assert!(socket.revoked.is_cancelled() && again.revoked.is_cancelled());
    drop((socket, again));
    assert!(pair.here().await.is_none());
    // The cache lets go of what it gave up a little later.
    for _ in 0..1_000 {
        pair.here.known.run_pending_tasks();
        pair.here.look().await.unwrap();
    }
    assert!(pair.here.held.lock().is_empty(), "nothing is left of it");
}

async fn keys_that_are_not_accepted_fill_no_memory(store: Bench) {
    let pair = Pair::over(store).await;
    for guess in 0..200 {
        assert!(pair.here.authenticate(&Secret::from(format!("mln_{guess}"))).await.unwrap().is_none());
    }
    pair.here.known.run_pending_tasks();
    assert_eq!((pair.here.known.entry_count(), pair.here.held.lock().len()), (1, 1));
}

async fn when_a_key_was_last_used_is_written_now_and_then(store: Bench) {
    let pair = Pair::over(store).await;
    assert_eq!(pair.last_used_at().await, None, "not while somebody waits");
    pair.here.write_uses().await.unwrap();
    let first = pair.last_used_at().await;
    assert_eq!(first, Some(pair.world.store.clock.now()));
    let span = Duration::from_std(LAST_USED_EVERY).unwrap();
    for (passed, expected) in [(Duration::minutes(1), first), (span - Duration::minutes(1), None)] {
        pair.world.store.clock.advance(passed);
        pair.here().await.unwrap();
        pair.here.write_uses().await.unwrap();
        assert_eq!(pair.last_used_at().await, expected.or(Some(pair.world.store.clock.now())));
    }
}

async fn a_key_is_accepted_while_nothing_can_be_written(store: Bench) {
    let pair = Pair::over(store).await;
    let faults = pair.world.store.db.faults();
    faults.fail(Which::Touching("BEGIN"), u64::MAX);
    for _ in 0..5 {
        // After these, every use would be noted if it could be.
        pair.world.store.clock.advance(Duration::minutes(6));
        assert!(pair.here().await.is_some() && pair.there().await.is_some());
        pair.here.look().await.unwrap();
        pair.here.write_uses().await.unwrap_err();
    }
    assert!(faults.stop() >= 5);
    pair.here.write_uses().await.unwrap();
    assert_eq!(pair.last_used_at().await, Some(pair.world.store.clock.now()), "it was kept for later");
}

async fn a_look_up_waits_for_nobody_who_writes(store: Bench) {
    let pair = Pair::over(store).await;
    let socket = pair.here().await.unwrap();
    pair.revoke().await;
    let writes = pair.world.store.open_transaction().await;
    pair.here.look().await.unwrap();
    assert!(socket.revoked.is_cancelled());
    drop(writes);
}

async fn what_waits_to_be_written_is_bounded(store: Bench) {
    let pair = Pair::over(store).await;
    *pair.here.used.lock() = (0..super::MOST_USES).map(|number| number.to_string()).collect();
    pair.world.store.clock.advance(Duration::minutes(6));
    assert!(pair.here().await.is_some());
    assert_eq!(pair.here.used.lock().len(), super::MOST_USES);
}
