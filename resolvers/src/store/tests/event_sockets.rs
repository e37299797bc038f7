//! Sockets that events come over: tokens, states, and who may note them.

use mullion_entities::sealed::Sealed;

use super::{bench::Bench, on_both_databases};
use crate::store::{
    StoreError,
    event_socket::{EventSocket, SocketState},
};

on_both_databases!(
    a_token_that_is_given_again_is_another_one,
    a_token_belongs_to_its_tenant_and_goes_with_the_integration,
    only_who_holds_the_socket_notes_how_it_stands,
);

async fn given(bench: &Bench, token: &[u8]) -> EventSocket {
    let sealed = Sealed::new(token.to_vec());
    bench.db.set_socket_token(&bench.tenant, &bench.integration, sealed).await.unwrap();
    bench.db.event_socket(&bench.tenant, &bench.integration).await.unwrap().unwrap()
}

async fn token(bench: &Bench) -> Option<Vec<u8>> {
    let sealed = bench.db.socket_token(&bench.tenant, &bench.integration).await.unwrap();
    sealed.map(|sealed| sealed.as_bytes().to_vec())
}

async fn a_token_that_is_given_again_is_another_one(bench: Bench) {
    let first = given(&bench, b"one").await;
    assert_eq!((first.state, first.is_live()), (SocketState::Connecting, false));
    let lease = bench.db.hold_socket(&bench.integration, "a").await.unwrap().unwrap();
    assert!(bench.db.note_socket(&lease, &first, SocketState::Failed, Some("no")).await.unwrap().is_some());
    let second = given(&bench, b"two").await;
    assert!(second.revision > first.revision, "although no time has passed");
    assert_eq!((second.state, second.message.clone()), (SocketState::Connecting, None));
    assert_eq!(token(&bench).await.as_deref(), Some(&b"two"[..]));
    assert!(bench.db.note_socket(&lease, &first, SocketState::Open, None).await.unwrap().is_none(), "of the old one");
    assert_eq!(bench.db.event_sockets().await.unwrap(), [second]);
}

async fn a_token_belongs_to_its_tenant_and_goes_with_the_integration(bench: Bench) {
    let socket = given(&bench, b"one").await;
    assert_eq!(bench.db.event_socket(&bench.other_tenant, &bench.integration).await.unwrap(), None);
    assert_eq!(bench.db.socket_token(&bench.other_tenant, &bench.integration).await.unwrap(), None);
    let sealed = Sealed::new(b"theirs".to_vec());
    let refused = bench.db.set_socket_token(&bench.other_tenant, &bench.integration, sealed).await;
    assert!(matches!(refused, Err(StoreError::NotFound)));
    bench.db.remove_socket_token(&bench.other_tenant, &bench.integration).await.unwrap();
    assert_eq!(bench.db.event_sockets().await.unwrap(), [socket]);
    bench.db.remove_socket_token(&bench.tenant, &bench.integration).await.unwrap();
    assert_eq!((token(&bench).await, bench.db.event_sockets().await.unwrap()), (None, vec![]));
    given(&bench, b"again").await;
    bench.db.delete_integration(&bench.tenant, &bench.integration).await.unwrap();
    assert_eq!((token(&bench).await, bench.db.event_sockets().await.unwrap()), (None, vec![]));
}

async fn only_who_holds_the_socket_notes_how_it_stands(bench: Bench) {
    let socket = given(&bench, b"one").await;
    let paused = bench.db.hold_socket(&bench.integration, "paused").await.unwrap().unwrap();
    assert_eq!(bench.db.hold_socket(&bench.integration, "heir").await.unwrap(), None);
    assert_eq!(bench.db.hold_socket(&bench.integration, "paused").await.unwrap().as_ref(), Some(&paused), "renewed");
    bench.clock.advance(chrono::Duration::seconds(5));
    let heir = bench.db.hold_socket(&bench.integration, "heir").await.unwrap().unwrap();
    let late = bench.db.note_socket(&paused, &socket, SocketState::Open, None).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)));
    let noted = bench.db.note_socket(&heir, &socket, SocketState::Open, Some("said")).await.unwrap();
    assert!(noted.is_some_and(|noted| noted.change.tags.iter().any(|tag| tag.to_string().contains("Integration"))));
    let now = bench.db.event_socket(&bench.tenant, &bench.integration).await.unwrap().unwrap();
    assert!(now.is_live() && now.message.as_deref() == Some("said"));
    bench.db.leave("heir").await.unwrap();
    assert!(bench.db.hold_socket(&bench.integration, "paused").await.unwrap().is_some(), "free at once");
}
