//! The way in: groups, back-pressure, and endpoints that are remembered only while they are true.

#![expect(clippy::disallowed_methods, reason = "a test waits for its tasks")]

use std::{sync::Arc, time::Duration};

use chrono::Duration as Span;

use super::{
    endpoints::Endpoints,
    intake::{Intake, IntakeError, Room},
    worker::tests::Counted,
};
use crate::bus::Wake;
use crate::store::{
    endpoint::{Endpoint, EndpointDraft},
    inbox::Inserted,
    tests::{
        bench::Bench,
        inbox::{TestDelivery, delivery},
        on_both_databases,
    },
};

on_both_databases!(
    what_comes_together_shares_a_flush_and_each_gets_its_own_answer,
    whoever_hangs_up_does_not_keep_a_delivery_from_being_stored,
    what_does_not_fit_is_refused_at_once_and_there_is_room_again_afterwards,
    a_group_that_cannot_be_stored_is_refused_and_the_next_is_not,
    a_writer_that_panicked_goes_on_when_it_is_started_again,
    an_endpoint_is_remembered_until_it_changes_here_or_a_second_passes,
);

fn intake(bench: &Bench, deliveries: usize, bytes: usize) -> (Arc<Intake>, super::intake::Writer, Arc<Counted>) {
    let counted = Arc::new(Counted::default());
    let room = Room { deliveries, bytes, log_bytes: 0 };
    let (intake, writer) = Intake::new(bench.db.clone(), room, Wake::default(), Arc::clone(&counted) as _);
    (Arc::new(intake), writer, counted)
}

/// Hands in without a writer: the delivery waits.
fn hand_in(intake: &Arc<Intake>, delivery: TestDelivery) -> tokio::task::JoinHandle<Result<Inserted, IntakeError>> {
    let intake = Arc::clone(intake);
    tokio::spawn(async move { intake.store(delivery.row()).await })
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

async fn what_comes_together_shares_a_flush_and_each_gets_its_own_answer(bench: Bench) {
    let (intake, writer, counted) = intake(&bench, 100, 1_000_000);
    let mut waiting = Vec::new();
    for id in ["a", "b", "a", "c"] {
        waiting.push(hand_in(&intake, delivery(&bench, Some(id), b"{}").await));
        until(|| intake.waiting() == waiting.len()).await;
    }
    let task = tokio::spawn(writer.run());
    let mut told = Vec::new();
    for waiting in waiting {
        told.push(matches!(waiting.await.unwrap().unwrap(), Inserted::New(_)));
    }
    assert_eq!(told, [true, true, false, true], "of two with one key the first is new");
    assert_eq!((counted.of("flushes"), counted.of("flushed")), (1, 4));
    intake.close();
    task.await.unwrap();
    assert!(matches!(intake.store(delivery(&bench, Some("d"), b"{}").await.row()).await, Err(IntakeError::Closed)));
}

async fn whoever_hangs_up_does_not_keep_a_delivery_from_being_stored(bench: Bench) {
    let (intake, writer, counted) = intake(&bench, 100, 1_000_000);
    let caller = hand_in(&intake, delivery(&bench, Some("a"), b"{}").await);
    until(|| intake.waiting() == 1).await;
    caller.abort();
    let task = tokio::spawn(writer.run());
    until(|| counted.of("flushed") == 1).await;
    assert_eq!(bench.due().await.len(), 1);
    drop(intake);
    task.await.unwrap();
}

async fn what_does_not_fit_is_refused_at_once_and_there_is_room_again_afterwards(bench: Bench) {
    // Nothing that could be packed.
    let large: Vec<u8> = (0..313_u32).flat_map(|index| *blake3::hash(&index.to_le_bytes()).as_bytes()).collect();
    for (deliveries, bytes) in [(2, 1_000_000), (100, 200_000)] {
        let (intake, writer, _) = intake(&bench, deliveries, bytes);
        let id = |index: usize| format!("{deliveries} {index}");
        let mut waiting = Vec::new();
        for index in 0..2 {
            waiting.push(hand_in(&intake, delivery(&bench, Some(&id(index)), &large).await));
            until(|| intake.waiting() == waiting.len()).await;
        }
        let refused = intake.store(delivery(&bench, Some(&id(2)), &large).await.row()).await;
        assert!(matches!(refused, Err(IntakeError::Overloaded)), "{deliveries} {bytes}: {refused:?}");
        let task = tokio::spawn(writer.run());
        for waiting in waiting {
            assert!(waiting.await.unwrap().is_ok());
        }
        assert!(matches!(intake.store(delivery(&bench, Some(&id(2)), &large).await.row()).await, Ok(Inserted::New(_))));
        drop(intake);
        task.await.unwrap();
    }
    // A quarter of the room, so there is some for others.
    let (intake, _writer, _) = super::tests::intake(&bench, 100, 200_000);
    let (first, other) = (delivery(&bench, Some("first"), &large).await, delivery(&bench, Some("other"), &large).await);
    let mut waiting = vec![hand_in(&intake, first.clone())];
    until(|| intake.waiting() == 1).await;
    waiting.push(hand_in(&intake, TestDelivery { verified: other.verified.clone(), ..first.clone() }));
    until(|| intake.waiting() == 2).await;
    assert!(matches!(intake.store(first.row()).await, Err(IntakeError::Overloaded)));
    waiting.push(hand_in(
        &intake,
        TestDelivery { endpoint: Endpoint { integration: "another".into(), ..first.endpoint.clone() }, ..first },
    ));
    until(|| intake.waiting() == 3).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    let (intake, writer, _) = super::tests::intake(&bench, 1, 1_000);
    let task = tokio::spawn(writer.run());
    let stored = intake.store(delivery(&bench, Some("alone"), &large).await.row()).await;
    assert!(matches!(stored, Ok(Inserted::New(_))), "one that is larger than the room is taken alone");
    drop(intake);
    task.await.unwrap();
}

async fn a_group_that_cannot_be_stored_is_refused_and_the_next_is_not(bench: Bench) {
    let (intake, writer, _) = intake(&bench, 10, 1_000_000);
    let task = tokio::spawn(writer.run());
    let (one, two) = (delivery(&bench, Some("a"), b"{}").await, delivery(&bench, Some("b"), b"{}").await);
    bench.behind_its_back("ALTER TABLE delivery RENAME TO gone").await;
    assert!(matches!(intake.store(one.row()).await, Err(IntakeError::Store(_))));
    bench.behind_its_back("ALTER TABLE gone RENAME TO delivery").await;
    assert!(matches!(intake.store(two.row()).await, Ok(Inserted::New(_))));
    drop(intake);
    task.await.unwrap();
}

async fn a_writer_that_panicked_goes_on_when_it_is_started_again(bench: Bench) {
    let (intake, writer, counted) = intake(&bench, 10, 1_000_000);
    counted.panic_once();
    let task = tokio::spawn(writer.clone().run());
    let lost = intake.store(delivery(&bench, Some("a"), b"{}").await.row()).await;
    assert!(matches!(lost, Err(IntakeError::Closed)), "the provider sends it again: {lost:?}");
    assert!(task.await.unwrap_err().is_panic());
    let task = tokio::spawn(writer.run());
    assert!(matches!(intake.store(delivery(&bench, Some("a"), b"{}").await.row()).await, Ok(Inserted::Duplicate)));
    assert!(matches!(intake.store(delivery(&bench, Some("b"), b"{}").await.row()).await, Ok(Inserted::New(_))));
    intake.close();
    task.await.unwrap();
}

async fn an_endpoint_is_remembered_until_it_changes_here_or_a_second_passes(bench: Bench) {
    let draft = EndpointDraft { external_id: Some("1".into()), ..EndpointDraft::default() };
    let made = bench.db.create_endpoint(&bench.tenant, &bench.integration, None, draft).await.unwrap();
    let endpoints = Endpoints::new(bench.db.clone(), Arc::new(bench.clock.clone()));
    let id = async || {
        let found = endpoints.at("fake", &made.path).await.unwrap();
        found.map(|endpoint| endpoint.draft.external_id.clone().unwrap())
    };
    assert_eq!(id().await.as_deref(), Some("1"));
    // As another replica would: past this process's knowledge.
    let elsewhere = format!("UPDATE endpoint SET external_id = '2' WHERE id = '{}'", made.id);
    bench.behind_its_back(&elsewhere).await;
    assert_eq!(id().await.as_deref(), Some("1"), "read from memory");
    bench.clock.advance(Span::from_std(Duration::from_secs(1)).unwrap());
    assert_eq!(id().await.as_deref(), Some("2"), "a second later");
    let change = |draft: &mut EndpointDraft| {
        draft.external_id = Some("3".into());
        true
    };
    bench.db.update_endpoint(&bench.tenant, &made.id, change).await.unwrap();
    assert_eq!(id().await.as_deref(), Some("3"), "at once");
    bench.db.delete_integration(&bench.tenant, &bench.integration).await.unwrap();
    assert_eq!(id().await, None, "at once");
}
