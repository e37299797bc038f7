//! Sockets that events come over: tokens, states, and who may note them.

use mullion_entities::sealed::Sealed;

use super::{bench::Bench, inbox::delivery, on_both_databases};
use crate::store::{
    StoreError,
    catch_up::Pulse,
    event_socket::{EventSocket, SocketState},
};

on_both_databases!(
    a_token_that_is_given_again_is_another_one,
    a_token_belongs_to_its_tenant_and_goes_with_the_integration,
    only_who_holds_the_socket_notes_how_it_stands,
    a_time_without_a_socket_is_noted_until_it_is_made_up_for,
    what_came_over_a_socket_that_was_taken_away_is_no_sign_of_life,
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

async fn pulse(bench: &Bench) -> Pulse {
    let pulses = bench.db.pulses(std::slice::from_ref(&bench.integration)).await.unwrap();
    pulses.get(&bench.integration).copied().unwrap()
}

async fn a_time_without_a_socket_is_noted_until_it_is_made_up_for(bench: Bench) {
    let socket = given(&bench, b"one").await;
    let lease = bench.db.hold_socket(&bench.integration, "a").await.unwrap().unwrap();
    let note = async |socket: &EventSocket, state| {
        bench.db.note_socket(&lease, socket, state, None).await.unwrap();
        let Pulse { missed_since, missed_until, .. } = pulse(&bench).await;
        (missed_since, missed_until)
    };
    assert_eq!(note(&socket, SocketState::Connecting).await, (None, None), "it was never open");
    let opened = bench.tick();
    assert_eq!(note(&socket, SocketState::Open).await, (None, None));
    bench.tick();
    assert_eq!(note(&socket, SocketState::Connecting).await, (Some(opened), None));
    bench.tick();
    assert_eq!(note(&socket, SocketState::Failed).await, (Some(opened), None));
    let reopened = bench.tick();
    assert_eq!(note(&socket, SocketState::Open).await, (Some(opened), Some(reopened)));
    // Another token closes the socket of the first.
    bench.tick();
    let second = given(&bench, b"two").await;
    assert_eq!(note(&second, SocketState::Connecting).await, (Some(opened), None), "it was not made up for");
    let reopened = bench.tick();
    assert_eq!(note(&second, SocketState::Open).await, (Some(opened), Some(reopened)));
    bench.db.close_gap(&bench.integration, opened).await.unwrap();
    assert_eq!(pulse(&bench).await.missed_until, Some(reopened), "another gap than the one that was made up for");
    bench.db.close_gap(&bench.integration, reopened).await.unwrap();
    assert_eq!(pulse(&bench).await.missed_since, None);
    // All came that came before the last event.
    bench.db.insert_delivery(delivery(&bench, Some("d1"), b"{}").await).await.unwrap();
    bench.tick();
    bench.db.remove_socket_token(&bench.tenant, &bench.integration).await.unwrap();
    let Pulse { missed_since, last_delivery_at, .. } = pulse(&bench).await;
    assert!(missed_since.is_some());
    assert_eq!(missed_since, last_delivery_at);
}

async fn what_came_over_a_socket_that_was_taken_away_is_no_sign_of_life(bench: Bench) {
    let socket = given(&bench, b"one").await;
    let lease = bench.db.hold_socket(&bench.integration, "a").await.unwrap().unwrap();
    bench.db.note_socket(&lease, &socket, SocketState::Open, None).await.unwrap();
    bench.tick();
    bench.db.insert_delivery(delivery(&bench, Some("d1"), b"{}").await).await.unwrap();
    bench.db.socket_left(&bench.integration).await.unwrap();
    assert!(pulse(&bench).await.listening, "another replica takes it over");
    bench.db.remove_socket_token(&bench.tenant, &bench.integration).await.unwrap();
    assert!(pulse(&bench).await.deaf);
    // The last one, which was on its way.
    bench.clock.advance(chrono::Duration::seconds(2));
    bench.db.insert_delivery(delivery(&bench, Some("d2"), b"{}").await).await.unwrap();
    assert!(!pulse(&bench).await.deaf);
    bench.db.socket_left(&bench.integration).await.unwrap();
    assert!(pulse(&bench).await.deaf);
    // A webhook, entered by hand.
    bench.clock.advance(chrono::Duration::seconds(2));
    bench.db.insert_delivery(delivery(&bench, Some("d3"), b"{}").await).await.unwrap();
    assert!(!pulse(&bench).await.deaf);
}
