//! The runs of a live operation's slots: which are begun, what they answer, and how their answers are taken in.

use mullion_schema::{enums::UpdateReason, ports::WatchedId};
use tokio::time::Instant;

use tracing::Instrument as _;

use super::{
    End, Unreadable,
    hub::LiveHub,
    operation::{Operation, State, Watched},
    slot::{Answered, Cause, Dirt, Ran, Subject},
    span_of, unfinished,
};
use crate::reading::BackgroundFetches;

/// A slot that is to be run now.
pub(super) struct Begun {
    pub(super) number: u32,
    pub(super) subject: Subject,
    pub(super) dirt: Dirt,
    /// It is the state that subscribers begin with.
    pub(super) first: bool,
    pub(super) look: u64,
    /// Every change up to this position has happened.
    pub(super) noted: i64,
    /// The position that its answer tells.
    pub(super) at: i64,
    /// How often it had failed in a row before.
    pub(super) failures: u32,
}

impl Operation {
    /// Takes what is to be run now: every slot that is dirty, does not run, and does not wait for another attempt.
    pub(super) fn begin_runs(&self, published: Option<i64>) -> Vec<Begun> {
        let now = Instant::now();
        let mut state = self.state.lock();
        for slot in &mut state.slots {
            if slot.mend_at.take_if(|at| *at <= now).is_some() {
                slot.dirt.get_or_insert_default();
            }
            slot.retry_at.take_if(|at| *at <= now);
        }
        state.note(published);
        state.looks += 1;
        let (look, noted, before) = (state.looks, state.noted, state.watermark());
        let (mut begun, mut waits) = (Vec::new(), state.structure_floor.is_some());
        for slot in &mut state.slots {
            if slot.running.is_some() || slot.retry_at.is_some() {
                waits = true;
            } else if let Some(dirt) = slot.dirt.take() {
                slot.running = Some(dirt.floor.unwrap_or(before));
                let (number, subject, first) = (slot.number, slot.subject.clone(), slot.begins());
                let failures = slot.failures;
                begun.push(Begun { number, subject, dirt, first, look, noted, at: before, failures });
            }
        }
        let last = begun.len();
        for (begun, count) in begun.iter_mut().zip(1..) {
            // A subscriber that has seen the last of them has seen all; the others' positions are those before the run.
            begun.at = match (begun.first, count == last && !waits) {
                (true, _) => unfinished(noted),
                (false, true) => noted,
                (false, false) => before,
            };
        }
        begun
    }

    /// Runs a slot.
    pub(super) async fn run_slot(&self, hub: &LiveHub, begun: Begun) -> Ran {
        let answer = self.answer(hub, &begun).await;
        let Begun { number, look, noted, dirt, first, failures, .. } = begun;
        Ran { number, look, noted, first, dirt, failures, answer }
    }

    async fn answer(&self, hub: &LiveHub, begun: &Begun) -> Result<Answered, Unreadable> {
        let Begun { number, subject, dirt, first, at, .. } = begun;
        let gone = match subject {
            Subject::Widget(id) => {
                let id = WatchedId::Own { type_name: "Widget".into(), id: id.as_str().into() };
                self.run.is_deleted(&id).await?
            }
            Subject::Node(_) => false,
        };
        let reason = match (*first, gone) {
            (_, true) => UpdateReason::Removed,
            (true, false) => UpdateReason::Snapshot,
            (false, false) => dirt.reason.unwrap_or(UpdateReason::Changed),
        };
        let max_age = dirt.reread.then(|| chrono::Duration::from_std(hub.rules.reread).unwrap_or_default());
        let cause = Cause { reason, causes: dirt.causes.clone(), max_age };
        let (frame, mut rendered) = self.render(subject, cause, *at).instrument(span_of(dirt.trace)).await?;
        let before = self.tags_of(*number);
        if gone {
            // Nothing of it changes any more.
            rendered.tags.clear();
        } else if rendered.failed {
            // It did not come to all that it shows: what it was read from before still counts.
            rendered.tags.extend(before.iter().cloned());
        }
        let registered = hub.register(self, *number, &before, &rendered.tags);
        if let Some(slot) = self.state.lock().slot(*number) {
            slot.tags.clone_from(&rendered.tags);
            slot.stale = rendered.stale;
            slot.changes_with_time = rendered.changes_with_time;
        }
        if let Some(fetches) = rendered.background_fetches.clone() {
            self.run_after(hub, *number, fetches);
        }
        Ok(Answered { reason, gone, registered, frame, rendered })
    }

    /// Takes in what ran, all at once: who takes news sees all of it or nothing. Whether a slot has its first answer.
    pub(super) fn take_in(&self, hub: &LiveHub, mut ran: Vec<Ran>) -> bool {
        let mut state = self.state.lock();
        let before = state.watermark();
        state.runs += 1;
        ran.sort_by_key(|ran| ran.number);
        let answers: Vec<_> = ran.into_iter().filter_map(|ran| Self::settle(&mut state, hub, ran)).collect();
        let mut changed = false;
        for (number, noted, _, Answered { gone, registered, rendered, .. }) in &answers {
            let current = *gone || !registered || self.run.is_current(rendered.noted, &rendered.tags);
            if let Some(slot) = state.slot(*number).filter(|_| !current) {
                // It changed between the execution and the registration: the hub could not tell us.
                let dirt = slot.dirt.get_or_insert_default();
                dirt.add(UpdateReason::Changed, None);
                dirt.lower(Some(*noted));
                changed = true;
            }
        }
        let (run, subscribers, watermark) = (state.runs, state.subscribers, state.watermark());
        let (mut first_answers, last) = (false, answers.len());
        for ((number, _, first, answered), count) in answers.into_iter().zip(1..) {
            let Answered { reason, gone, mut frame, rendered, .. } = answered;
            // Those who take it take the others after it, too: the last one tells what all of them tell.
            let most = if count == last { watermark } else { before };
            if frame.watermark.is_some_and(|told| told > most) {
                frame = frame.retold(&*self.run, self.run.cursor(most), Some(most));
            }
            let Some(slot) = state.slot(number) else { continue };
            first_answers |= slot.version == 0;
            slot.take_in((run, subscribers), frame, first, (reason, gone, &rendered));
            if gone && matches!(self.watched, Watched::Widget(_)) {
                state.ended = Some(End::Completed);
            }
        }
        if state.is_over() {
            state.ended = Some(End::Completed);
        }
        state.free();
        drop(state);
        if changed {
            self.wake.notify_one();
        }
        first_answers
    }

    /// Ends a slot's run. Where it is to be repeated, what made it dirty stays; otherwise gives the answer to be told.
    fn settle(state: &mut State, hub: &LiveHub, ran: Ran) -> Option<(u32, i64, bool, Answered)> {
        let failed = ran.failed();
        let slot = state.slot(ran.number)?;
        slot.running = None;
        slot.failures = if failed { ran.failures + 1 } else { 0 };
        let failures = slot.failures;
        let pause = (failures > 0).then(|| hub.rules.retry.pause(failures)).flatten();
        match (ran.answer, pause) {
            (Ok(answered), None) => {
                let later = hub.rules.retry.later(failures).min(hub.rules.reread);
                slot.mend_at = answered.rendered.failed.then(|| Instant::now() + later);
                Some((ran.number, ran.noted, ran.first, answered))
            }
            (_, pause) => {
                slot.retry_at = Some(Instant::now() + pause.unwrap_or_default());
                slot.dirt = Some(ran.dirt.then(slot.dirt.take()));
                None
            }
        }
    }

    /// Runs a slot again when the fetches have ended that its answer was not waiting for. They may bring what was
    /// shown, so that no change tells of it, and yet the answer is no longer stale.
    pub(super) fn run_after(&self, hub: &LiveHub, number: u32, fetches: BackgroundFetches) {
        let Some(operation) = hub.operation(self.number) else { return };
        let wait = async move {
            tokio::select! {
                () = fetches => operation.mark_dirty(number, UpdateReason::Changed, None, None),
                () = operation.stopped.cancelled() => {}
            }
        };
        hub.tasks.spawn(wait.in_current_span());
    }
}
