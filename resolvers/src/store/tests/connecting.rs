//! Connecting and changing an integration: a failure at any step leaves all as it was.

use mullion_entities::sealed::Sealed;
use mullion_schema::{id::IntegrationId, ports::Change};

use super::{
    bench::{Bench, draft},
    on_both_databases,
};
use crate::{
    store::{
        connect::{Connected, ConnectionChanges, NewConnection},
        integration::IntegrationDraft,
    },
    tag::Tag,
};

on_both_databases!(
    a_connection_that_breaks_off_leaves_nothing,
    a_change_that_breaks_off_leaves_all_as_it_was,
    an_integration_without_an_endpoint_gets_one_with_its_next_change,
);

/// Every table that is written, in the order in which it is.
const STEPS: [&str; 5] = ["integration", "endpoint", "event_socket", "stream_head", "change"];

impl Bench {
    /// From now on, nothing can be written into a table.
    async fn break_writes(&self, table: &str) {
        if self.file.is_some() {
            for verb in ["INSERT", "UPDATE", "DELETE"] {
                let fails = format!("CREATE TRIGGER broken_{verb} BEFORE {verb} ON {table}");
                self.behind_its_back(&format!("{fails} BEGIN SELECT RAISE(ABORT, 'broken'); END")).await;
            }
            return;
        }
        self.behind_its_back(
            "CREATE OR REPLACE FUNCTION broken() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''broken''; END' LANGUAGE plpgsql",
        )
        .await;
        let fails = format!("CREATE TRIGGER broken BEFORE INSERT OR UPDATE OR DELETE ON {table}");
        self.behind_its_back(&format!("{fails} FOR EACH ROW EXECUTE FUNCTION broken()")).await;
    }

    async fn mend_writes(&self, table: &str) {
        if self.file.is_some() {
            for verb in ["INSERT", "UPDATE", "DELETE"] {
                self.behind_its_back(&format!("DROP TRIGGER broken_{verb}")).await;
            }
        } else {
            self.behind_its_back(&format!("DROP TRIGGER broken ON {table}")).await;
        }
    }
}

fn sealed(text: &str) -> Sealed {
    Sealed::new(text.as_bytes().to_vec())
}

fn new() -> NewConnection {
    NewConnection {
        draft: draft("New"),
        path: None,
        secret: Some(sealed("secret")),
        socket_token: Some(sealed("socket")),
    }
}

async fn a_connection_that_breaks_off_leaves_nothing(bench: Bench) {
    let (db, tenant, id) = (&bench.db, &bench.tenant, IntegrationId::from("i-new"));
    let head = bench.head().await;
    for step in STEPS {
        bench.break_writes(step).await;
        let broken = db.connect_integration(tenant, &id, "fake", new()).await;
        bench.mend_writes(step).await;
        assert!(broken.is_err(), "{step}");
        assert_eq!(db.integration(tenant, &id).await.unwrap(), None, "{step}");
        assert_eq!(db.event_socket(tenant, &id).await.unwrap(), None, "{step}");
        assert_eq!(bench.count("endpoint").await, 0, "{step}");
        assert_eq!(bench.head().await, head, "{step}");
    }
    let made = db.connect_integration(tenant, &id, "fake", new()).await.unwrap();
    let Connected { integration, endpoint } = made.value;
    assert_eq!(db.integration(tenant, &id).await.unwrap(), Some(integration));
    assert_eq!(db.endpoints(tenant, &id).await.unwrap(), std::slice::from_ref(&endpoint));
    assert_eq!(endpoint.draft.secrets, Some(sealed("secret")));
    assert_eq!(db.socket_token(tenant, &id).await.unwrap(), Some(sealed("socket")));
    assert_eq!((made.change.position, bench.head().await), (head + 1, head + 1), "one change tells all of it");
    for tag in [Tag::own(tenant, "Integration", id.as_str()), Tag::own_list(tenant, "integrations")] {
        assert!(made.change.tags.contains(&tag));
    }
}

async fn a_change_that_breaks_off_leaves_all_as_it_was(bench: Bench) {
    let (db, tenant, id) = (&bench.db, &bench.tenant, IntegrationId::from("i-new"));
    db.connect_integration(tenant, &id, "fake", new()).await.unwrap();
    let renamed = |draft: &mut IntegrationDraft| draft.name = "Renamed".into();
    let set =
        |text: &str| ConnectionChanges { secret: Change::Set(sealed(text)), socket_token: Change::Set(sealed(text)) };
    let clear = || ConnectionChanges { secret: Change::Clear, socket_token: Change::Clear };
    let state = async || {
        let sockets = (db.socket_token(tenant, &id).await.unwrap(), db.event_socket(tenant, &id).await.unwrap());
        (
            db.integration(tenant, &id).await.unwrap(),
            db.endpoints(tenant, &id).await.unwrap(),
            sockets,
            bench.head().await,
        )
    };
    let before = state().await;
    for step in STEPS {
        for others in [set("other"), clear()] {
            bench.break_writes(step).await;
            let broken = db.change_connection(tenant, &id, None, (renamed, others)).await;
            bench.mend_writes(step).await;
            assert!(broken.is_err(), "{step}");
            assert_eq!(state().await, before, "{step}");
        }
    }
    let changed = db.change_connection(tenant, &id, None, (renamed, set("other"))).await.unwrap().value;
    assert_eq!(changed.integration.draft.name, "Renamed");
    assert_eq!(db.endpoints(tenant, &id).await.unwrap(), std::slice::from_ref(&changed.endpoint));
    assert_eq!(changed.endpoint.draft.secrets, Some(sealed("other")));
    assert_eq!(db.socket_token(tenant, &id).await.unwrap(), Some(sealed("other")));
    let keep = ConnectionChanges { secret: Change::Keep, socket_token: Change::Keep };
    let kept = db.change_connection(tenant, &id, None, (|_: &mut IntegrationDraft| (), keep)).await.unwrap().value;
    assert_eq!((kept.endpoint, db.socket_token(tenant, &id).await.unwrap()), (changed.endpoint, Some(sealed("other"))));
    let cleared = db.change_connection(tenant, &id, None, (renamed, clear())).await.unwrap().value;
    assert_eq!((cleared.endpoint.draft.secrets, db.socket_token(tenant, &id).await.unwrap()), (None, None));
}

async fn an_integration_without_an_endpoint_gets_one_with_its_next_change(bench: Bench) {
    let (db, tenant, id) = (&bench.db, &bench.tenant, &bench.integration);
    assert_eq!(db.endpoints(tenant, id).await.unwrap(), []);
    let keep = ConnectionChanges { secret: Change::Keep, socket_token: Change::Keep };
    let healed = db.change_connection(tenant, id, None, (|_: &mut IntegrationDraft| (), keep)).await.unwrap().value;
    assert_eq!(db.endpoints(tenant, id).await.unwrap(), [healed.endpoint]);
}
