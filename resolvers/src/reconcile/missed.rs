//! Makes up for what a socket missed while it was closed: once it is open again, the logs of all containers whose events come
//! over it are read from then on, also of those that nobody watches, because followers of activities are told of all of them.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};

use super::{
    Reconciler,
    subjects::{NEVER, Subject},
};
use crate::{
    error_chain::chain,
    provider::{NodeRef, recovery::CaughtUp},
    reading::integrations::Integration,
    store::catch_up::Pulse,
};

/// Events that could not be read for so long stay missing.
const GIVEN_UP: Duration = Duration::hours(1);

/// Events that happened so long before the last one came may have been on their way when the socket was closed.
const MARGIN: Duration = Duration::minutes(1);

/// A time without a socket that is to be made up for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missed {
    pub(super) since: DateTime<Utc>,
    /// When the socket was open again.
    pub(super) until: DateTime<Utc>,
    /// Whether it is too late to try again what fails.
    pub(super) late: bool,
}

impl Missed {
    /// The time that a pulse says is to be made up for, if any.
    pub(super) fn of(pulse: &Pulse, now: DateTime<Utc>) -> Option<Self> {
        let (since, until) = (pulse.missed_since?, pulse.missed_until?);
        Some(Self { since, until, late: now - until > GIVEN_UP })
    }

    /// Whether a container is done with after this came of it, and is not to be looked at again.
    pub(super) fn is_done(&self, caught: &CaughtUp) -> bool {
        // Without a mark there is no log that could be read.
        self.late || caught.complete || caught.mark.is_none()
    }
}

/// Since when something of an integration may be missing.
pub(super) fn begin(pulse: &Pulse) -> Option<DateTime<Utc>> {
    pulse.missed_since.map(|since| since - MARGIN)
}

impl Reconciler {
    /// Adds the containers that may miss something to those that are looked at anyway, in the order of their turns. Whether they are
    /// all there; else they could not be told, and what is missed stays open. Besides, how many calls that took.
    pub(super) async fn add_missed(
        &self,
        integration: &Integration,
        missed: Missed,
        subjects: &mut Vec<Subject>,
    ) -> (bool, usize) {
        let Some(listener) = integration.provider.listener() else { return (true, 0) };
        let containers = match listener.containers(&integration.connection).await {
            Ok(containers) => containers,
            Err(error) => {
                tracing::warn!(error = %chain(&error), integration = %integration.id, "it could not be told whose events a closed socket missed");
                return (missed.late || error.kind.is_lasting_refusal(), 1);
            }
        };
        let known: BTreeSet<NodeRef> = subjects.iter().map(|subject| subject.container.clone()).collect();
        subjects.retain(|subject| !subject.missed || subject.looked_at() < Some(missed.until));
        let others = containers.into_iter().filter(|container| !known.contains(container));
        let new = |container| Subject { container, webhook: None, mark: None, wanted: false, missed: true };
        subjects.extend(others.map(new));
        // Containers that were looked at before the gap come first, and then those that miss something since it began.
        subjects.sort_by_key(|subject| subject.looked_at().or(subject.missed.then_some(missed.since)));
        (true, 1)
    }
}

/// When it was last wanted that is looked at only for what it missed.
pub(super) fn wanted_at(subject: &Subject, now: DateTime<Utc>) -> DateTime<Utc> {
    let before = subject.mark.as_ref().filter(|_| !subject.wanted).map(|known| known.wanted_at);
    before.unwrap_or(if subject.missed { NEVER } else { now })
}
