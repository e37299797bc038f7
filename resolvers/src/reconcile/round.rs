//! One look at an integration: its webhooks first, then what happened in its containers and was not delivered.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mullion_schema::enums::WebhookState;

use super::{
    LEASE, LONGEST, NEW, Reconciler, Whose,
    missed::{self, Missed},
    schedule::{Seen, span},
    subjects::Subject,
};
use crate::{
    accounts::Webhooks,
    error_chain::chain,
    provider::{
        NodeRef,
        recovery::{CaughtUp, Known, Recovered, Since, WebhookCondition},
    },
    reading::{Sink as _, integrations::Integration},
    store::{
        Database, StoreError,
        catch_up::{Mark, Round},
        endpoint::Endpoint,
        inbox::{mark_recovered, row::DeliveryRow},
    },
    upstream::{UpstreamError, UpstreamErrorKind},
};

/// A container is no longer looked after when nobody wanted that for so long.
const REMEMBERED: chrono::Duration = chrono::Duration::days(1);

/// How long one container may take: one that is slow does not keep the others from being looked at.
const EACH: Duration = Duration::from_secs(15);

/// Why a round broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the provider could not be asked")]
    Provider(#[from] UpstreamError),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("it took too long")]
    TooLong,
}

impl Broken {
    /// Whether it says nothing of the integration's other containers.
    fn is_of_one(&self) -> bool {
        use UpstreamErrorKind::{AddressRefused, AuthExpired, CircuitOpen, Internal, RateLimited};
        match self {
            Self::Provider(error) => {
                !matches!(error.kind, RateLimited | AuthExpired | CircuitOpen | AddressRefused | Internal)
            }
            Self::Store(_) => false,
            Self::TooLong => true,
        }
    }
}

/// The findings of a round so far.
#[derive(Debug, Default)]
struct Findings {
    /// Calls that are left.
    calls: usize,
    recovered: usize,
    /// Containers with a webhook, and how many of these were found in order, with nothing missing.
    registered: usize,
    in_order: usize,
    repaired: bool,
    incomplete: bool,
    looked_at: usize,
    /// Whether something is left of what a closed socket missed.
    left: bool,
}

impl Findings {
    /// A container is passed over; `late`: for good, as far as it concerns what a closed socket missed.
    fn leave_out(&mut self, subject: &Subject, late: bool) {
        // One with a mark of its own is read from there on, whenever that is.
        let has_mark = subject.mark.as_ref().is_some_and(|mark| mark.mark.is_some());
        self.left |= !late && (subject.missed || !has_mark);
        self.incomplete |= !subject.missed;
    }
}

impl Reconciler {
    /// Looks at an integration, if no other replica does; `only_new`: at those containers that were never looked at.
    pub(super) async fn look_at(&self, integration: &Arc<Integration>, only_new: bool) {
        let whose: Whose = (integration.tenant.clone(), integration.id.clone());
        let tried_at = integration.pulse.lock().caught_up_at;
        if !self.take_lease(integration).await {
            self.put_off(&whose, span(NEW));
            // The replica that has it may not know what is watched here.
            return self.note(&whose, |seen, _| seen.tags = if only_new { 0 } else { seen.tags });
        }
        self.take_pulses().await;
        if !only_new && integration.pulse.lock().caught_up_at > tried_at {
            // Another replica did while this one asked for the lease.
            return;
        }
        let looked = tokio::time::timeout(LONGEST, self.round(integration, only_new)).await;
        let provider = integration.provider.descriptor().key;
        match looked.unwrap_or(Err(Broken::TooLong)) {
            Ok(found) => {
                if found.looked_at > 0 {
                    self.note_credential(integration, false).await;
                }
                let result = if found.incomplete { "partial" } else { "complete" };
                self.around.observer.round(provider, result);
                if found.recovered > 0 {
                    tracing::info!(integration = %integration.id, deliveries = found.recovered, "deliveries had not come");
                    self.around.observer.recovered(provider, found.recovered);
                }
                self.note(&whose, |seen, now| {
                    seen.not_before = None;
                    if !only_new {
                        seen.tried_at = Some(now);
                        seen.found_gap = found.recovered > 0 || found.repaired;
                    }
                });
            }
            Err(error) => {
                if matches!(&error, Broken::Provider(error) if error.kind == UpstreamErrorKind::AuthExpired) {
                    self.note_credential(integration, true).await;
                }
                self.failed(integration, &whose, &error).await;
            }
        }
        self.take_pulses().await;
    }

    /// Takes or renews the right to look at an integration; false: another replica has it, or it cannot be told.
    async fn take_lease(&self, integration: &Integration) -> bool {
        let name = format!("reconcile/{}", integration.id);
        let taken = self.parts.database.take_lease(&name, &self.name, LEASE).await;
        taken
            .inspect_err(|error| tracing::debug!(error = %chain(&error), "no lease"))
            .is_ok_and(|lease| lease.is_some())
    }

    /// Notes whether the provider accepts the token, as the readings of queries do.
    async fn note_credential(&self, integration: &Arc<Integration>, refused: bool) {
        if integration.refused.swap(refused, Ordering::Relaxed) != refused {
            self.parts.applier.credential(Arc::clone(integration), refused).await;
        }
    }

    async fn failed(&self, integration: &Integration, whose: &Whose, error: &Broken) {
        tracing::warn!(error = %chain(error), integration = %integration.id, "an integration could not be caught up");
        self.around.observer.round(integration.provider.descriptor().key, "failed");
        if let Broken::Provider(error) = error
            && let Some(after) = error.retry_after
        {
            self.put_off(whose, span(after));
        }
        self.note(whose, |seen, now| seen.tried_at = Some(now));
        if let Broken::Provider(error) = error {
            let noted = self.parts.database.note_integration_error(&whose.0, &whose.1, &error.to_string()).await;
            if let Err(error) = noted {
                tracing::debug!(error = %chain(&error), "why an integration fails could not be noted");
            }
        }
        if let Err(error) = self.parts.database.finish_round(&integration.id, None).await {
            tracing::debug!(error = %chain(&error), "what came of a round could not be noted");
        }
    }

    fn put_off(&self, whose: &Whose, by: chrono::Duration) {
        self.note(whose, |seen, now| seen.not_before = Some(now + by));
    }

    fn note(&self, whose: &Whose, change: impl FnOnce(&mut Seen, DateTime<Utc>)) {
        let now = self.parts.clock.now();
        self.schedule.lock().note(whose, |seen| change(seen, now));
    }

    async fn round(&self, integration: &Arc<Integration>, only_new: bool) -> Result<Findings, Broken> {
        let database = &self.parts.database;
        let now = self.parts.clock.now();
        let pulse = *integration.pulse.lock();
        let state = integration.rules.state(&pulse, now);
        let endpoints = database.endpoints(&integration.tenant, &integration.id).await?;
        let watched = self.around.watch.tags_of(&integration.tenant, &integration.id);
        let marks = database.marks(&integration.id).await?;
        let mut subjects = super::subjects::subjects(integration, (&endpoints, marks), &watched);
        if only_new {
            subjects.retain(|subject| subject.mark.is_none());
        }
        let mut found = Findings { calls: self.rules.calls.max(1), ..Findings::default() };
        let missed = Missed::of(&pulse, now).filter(|_| !only_new);
        if let Some(missed) = missed {
            let (all, calls) = self.add_missed(integration, missed, &mut subjects).await;
            found.left = !all;
            found.calls = found.calls.saturating_sub(calls);
        } else {
            // Nothing is missing there any more.
            subjects.retain(|subject| !subject.missed);
        }
        let mut failure = None;
        let mut over = false;
        for subject in &subjects {
            over = over || found.calls == 0 || !self.take_lease(integration).await;
            if over {
                found.leave_out(subject, false);
                continue;
            }
            let looked = tokio::time::timeout(EACH, self.look_at_one(integration, (&endpoints, subject), &mut found));
            match looked.await.unwrap_or(Err(Broken::TooLong)) {
                Ok(()) => {}
                Err(error) if error.is_of_one() => {
                    tracing::debug!(error = %chain(&error), integration = %integration.id, container = %subject.container, "passed over");
                    let late = missed.is_some_and(|missed| missed.late);
                    found.leave_out(subject, late);
                    found.calls = found.calls.saturating_sub(1);
                    if late || !subject.missed {
                        self.keep_mark(integration, subject, (None, now)).await?;
                    }
                    if !subject.missed {
                        failure = Some(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = failure.filter(|_| found.looked_at == 0) {
            return Err(error);
        }
        if only_new {
            return Ok(found);
        }
        if let Some(missed) = missed.filter(|_| !found.left) {
            database.close_gap(&integration.id, missed.until).await?;
        }
        let covered = found.looked_at > 0 && !found.incomplete;
        let proven = found.registered > 0 && found.in_order == found.registered;
        // Where nothing was listened to, values are not trusted for long anyway.
        let suspect = !covered && (state == WebhookState::Live || found.repaired);
        database.finish_round(&integration.id, Some(Round { covered, proven, suspect })).await?;
        if !found.left {
            database.forget_marks(&integration.id, now - REMEMBERED).await?;
        }
        Ok(found)
    }

    async fn look_at_one(
        &self,
        integration: &Arc<Integration>,
        (endpoints, subject): (&[Endpoint], &Subject),
        found: &mut Findings,
    ) -> Result<(), Broken> {
        let name = subject.container.to_string();
        let pulse = *integration.pulse.lock();
        let Some(endpoint) = Webhooks::endpoint_for(integration, endpoints, &name) else { return Ok(()) };
        let in_order = match &subject.webhook {
            Some(id) => {
                found.registered += 1;
                self.inspect(integration, (endpoint, id), &subject.container, found).await?
            }
            None => false,
        };
        let known = KnownHere { database: &self.parts.database, integration, endpoint: &endpoint.id };
        let since = Since {
            container: &subject.container,
            webhook: subject.webhook.as_deref().filter(|_| in_order),
            mark: subject.mark.as_ref().and_then(|mark| mark.mark.as_ref()),
            from: missed::begin(&pulse),
            calls: found.calls,
        };
        let sent_at = self.parts.clock.now();
        let caught = match integration.provider.catch_up(&integration.connection, since, &known).await {
            Err(error) if error.kind.is_lasting_refusal() => CaughtUp { calls: 1, ..CaughtUp::default() },
            caught => caught?,
        };
        found.calls = found.calls.saturating_sub(caught.calls);
        let mut looked_at = sent_at;
        match Missed::of(&pulse, sent_at).filter(|_| subject.missed) {
            Some(missed) if !missed.is_done(&caught) => {
                found.left = true;
                // It has its turn again, after the others.
                looked_at = missed.since;
            }
            Some(_) => {}
            None => {
                found.looked_at += 1;
                found.incomplete |= !caught.complete;
            }
        }
        found.in_order += usize::from(in_order && caught.complete && caught.deliveries.is_empty());
        found.recovered += self.hand_in(endpoint, &subject.container, caught.deliveries).await?;
        if !caught.fetched.is_empty() {
            self.parts.applier.take_in(integration, sent_at, caught.fetched).await?;
        }
        // After what it brought is on disk: what is cut off before that is asked for again.
        self.keep_mark(integration, subject, (caught.mark, looked_at)).await?;
        Ok(())
    }

    /// Keeps where a container was read up to, or without an answer that it was looked at: the others come first the next time.
    async fn keep_mark(
        &self,
        integration: &Integration,
        subject: &Subject,
        (mark, at): (Option<serde_json::Value>, DateTime<Utc>),
    ) -> Result<(), StoreError> {
        let wanted_at = missed::wanted_at(subject, self.parts.clock.now());
        let mark = mark.or_else(|| subject.mark.as_ref().and_then(|known| known.mark.clone()));
        let mark = Mark { subject: subject.container.to_string(), mark, caught_up_at: Some(at), wanted_at };
        self.parts.database.keep_mark(&integration.id, &mark).await
    }

    /// Looks at a webhook, and registers it anew where it is not in order. Whether it was.
    async fn inspect(
        &self,
        integration: &Integration,
        (endpoint, external_id): (&Endpoint, &str),
        container: &NodeRef,
        found: &mut Findings,
    ) -> Result<bool, Broken> {
        let Some(target) = self.parts.webhooks.target(endpoint) else { return Ok(false) };
        let provider = &integration.provider;
        let condition = match provider.inspect_webhook(&integration.connection, external_id, &target).await {
            None => return Ok(false),
            Some(Err(error)) if error.kind.is_lasting_refusal() => return Ok(false),
            Some(condition) => condition?,
        };
        found.calls = found.calls.saturating_sub(1);
        if condition == WebhookCondition::InOrder {
            return Ok(true);
        }
        found.repaired = true;
        let repaired = self.parts.webhooks.repair(integration, container.clone()).await;
        let result = if repaired.is_ok() { "repaired" } else { "failed" };
        self.around.observer.repaired(provider.descriptor().key, result);
        match repaired {
            Ok(()) => {
                tracing::warn!(integration = %integration.id, %container, ?condition, "a webhook was registered anew");
            }
            Err(error) => {
                tracing::warn!(integration = %integration.id, %container, ?condition, error = error.message, "a webhook could not be repaired");
            }
        }
        Ok(false)
    }

    /// Puts what was asked for into the inbox, as if it had come. How many did not come after all.
    async fn hand_in(
        &self,
        endpoint: &Endpoint,
        container: &NodeRef,
        recovered: Vec<Recovered>,
    ) -> Result<usize, StoreError> {
        if recovered.is_empty() {
            return Ok(0);
        }
        let received_at = self.parts.clock.now();
        let row = |Recovered { mut verified, mut headers }: Recovered| {
            mark_recovered(&mut headers);
            // In order with what comes in where its webhook sends to.
            let sent_for = endpoint.draft.container.as_ref().map(|_| container.to_string());
            verified.subject = verified.subject.or(sent_for);
            DeliveryRow::of(endpoint, &verified, &headers, received_at)
        };
        let rows: Result<Vec<_>, _> = recovered.into_iter().map(row).collect();
        let inserted = self.parts.database.insert_rows(rows?).await?;
        self.parts.wake.wake();
        Ok(inserted.iter().filter(|inserted| matches!(inserted, crate::store::inbox::Inserted::New(_))).count())
    }
}

/// Tells a provider what is known here.
struct KnownHere<'a> {
    database: &'a Database,
    integration: &'a Integration,
    endpoint: &'a str,
}

fn failed(error: &StoreError) -> UpstreamError {
    tracing::warn!(error = %chain(error), "what is known could not be read");
    UpstreamError::new(UpstreamErrorKind::Internal, "what is known could not be read")
}

#[async_trait]
impl Known for KnownHere<'_> {
    async fn unknown(&self, ids: &[String]) -> Result<HashSet<String>, UpstreamError> {
        self.database.unknown_deliveries(self.endpoint, ids).await.map_err(|error| failed(&error))
    }

    async fn untold(&self, keys: &[String]) -> Result<HashSet<String>, UpstreamError> {
        let Integration { tenant, id, .. } = self.integration;
        self.database.untold(tenant, id, keys).await.map_err(|error| failed(&error))
    }
}
