//! How a live operation runs: woken by changes, its dirty slots side by side, and what comes of a run taken in all at once.
//!
//! A slot whose answer failed here stays dirty and is run again after a pause; until then the operation's position stays where it
//! was. A read that fails for too long ends the operation: its subscribers come again with their cursors.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt as _, future::join_all};
use mullion_schema::{enums::UpdateReason, ports::WatchedId};
use tokio::time::{Instant, sleep_until};

use tracing::Instrument as _;

use super::{Operation, STRUCTURE, Watched};
use crate::{
    engine::Late,
    live::{
        End, Unreadable,
        hub::LiveHub,
        slot::{Answered, Cause, Dirt, Ran, Slot, Subject},
        unfinished,
    },
    tag::Tag,
};

/// How far a run brings the position.
struct Reach {
    /// Where everything is told once all that is dirty was run.
    noted: i64,
    /// Where it was before.
    before: i64,
    /// Whether something that is dirty is not run yet.
    waits: bool,
}

impl Operation {
    /// Runs the operation until its last subscriber left.
    pub(in crate::live) async fn drive(self: Arc<Self>, hub: Arc<LiveHub>) {
        let why = match AssertUnwindSafe(self.run_on(&hub)).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(Unreadable)) => "the store could not be read",
            Err(_) => "it panicked",
        };
        tracing::error!(why, "a live operation ends: its subscribers come again");
        hub.retire(&self);
        self.interrupt();
    }

    async fn run_on(&self, hub: &LiveHub) -> Result<(), Unreadable> {
        // The head first: where nothing was published after it was read, nothing up to it is to come.
        let head = hub.rules.retry.read(|| self.run.head()).await?;
        self.state.lock().through = hub.published(self.run.tenant()).unwrap_or(head);
        hub.rules.retry.read(|| self.restructure(hub, true)).await?;
        loop {
            self.run_slots(hub, None, true).await?;
            let waits = self.state.lock().slots.iter().filter_map(|slot| slot.retry_at).min();
            let Some(at) = waits else { break };
            sleep_until(at).await;
        }
        self.ready.send_replace(true);
        let mut reread_at = Instant::now() + hub.rules.reread;
        loop {
            let next = self.next_retry().map_or(reread_at, |at| at.min(reread_at));
            let forgetting = self.next_forgetting(hub.rules.snapshot);
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(next) => {}
                () = sleep_until(forgetting.unwrap_or(next)), if forgetting.is_some() => {
                    self.forget_snapshots(hub.rules.snapshot);
                    continue;
                }
                () = self.stopped.cancelled() => return Ok(()),
            }
            // However busy it is kept by others: what comes without webhooks has a time of its own.
            let ticks = Instant::now() >= reread_at;
            if ticks {
                hub.rules.retry.read(|| self.mark_silent()).await?;
                reread_at = Instant::now() + hub.rules.reread;
            }
            // Before the dirt is looked at: what is published afterwards makes some.
            let noted = hub.published(self.run.tenant());
            let dirty = self.begin_run();
            if dirty {
                hub.rules.retry.read(|| self.restructure(hub, false)).await?;
            }
            let ran = self.run_slots(hub, noted, false).await?;
            if ticks {
                self.announce();
            }
            if ran && !self.throttle.is_zero() {
                // The first change was sent at once; what comes within the window is told together at its end.
                tokio::select! {
                    () = tokio::time::sleep(self.throttle) => {}
                    () = self.stopped.cancelled() => return Ok(()),
                }
            }
        }
    }

    /// From here to the end of the run dirt may be taken and not be in the answers. Whether the set of slots may have changed.
    fn begin_run(&self) -> bool {
        let mut state = self.state.lock();
        state.settled = false;
        std::mem::take(&mut state.structure_dirty)
    }

    /// When the next slot that failed is to be run again, before it is told or after.
    fn next_retry(&self) -> Option<Instant> {
        self.state.lock().slots.iter().flat_map(|slot| [slot.retry_at, slot.mend_at]).flatten().min()
    }

    /// Brings the slots in line with what is watched. Where that cannot be read, they stay as they are.
    async fn restructure(&self, hub: &LiveHub, first: bool) -> Result<(), Unreadable> {
        let subjects: Option<Vec<Subject>> = match &self.watched {
            Watched::Widget(id) => first.then(|| vec![Subject::Widget(id.clone())]),
            Watched::Nodes(ids) => first.then(|| ids.iter().cloned().map(Subject::Node).collect()),
            Watched::Dashboard(id) => {
                let tags = HashSet::from([Tag::own(self.run.tenant(), "Dashboard", id.as_str())]);
                let before = std::mem::replace(&mut self.state.lock().structure, tags.clone());
                hub.register(self, STRUCTURE, &before, &tags);
                // A dashboard that is gone has no widgets.
                Some(self.run.widgets(id).await?.unwrap_or_default().into_iter().map(Subject::Widget).collect())
            }
        };
        let Some(subjects) = subjects else { return Ok(()) };
        let mut state = self.state.lock();
        for slot in &mut state.slots {
            if !slot.removed && !subjects.contains(&slot.subject) {
                slot.dirt.get_or_insert_default().add(UpdateReason::Removed, None);
            }
        }
        for subject in subjects {
            if !state.slots.iter().any(|slot| slot.subject == subject && !slot.removed) {
                let number = u32::try_from(state.slots.len()).unwrap_or(STRUCTURE - 1);
                let mut slot = Slot::new(number, subject);
                slot.dirt.get_or_insert_default().add(UpdateReason::Configured, None);
                state.slots.push(slot);
            }
        }
        Ok(())
    }

    /// Marks what comes from integrations without webhooks, to be read again, and what could not be read, to be tried again.
    async fn mark_silent(&self) -> Result<(), Unreadable> {
        for (number, tags) in self.live_slots() {
            let silent = self.run.is_silent(&tags).await?;
            let mut state = self.state.lock();
            if let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == number && (silent || slot.stale)) {
                slot.dirt.get_or_insert_default().reread |= silent;
            }
        }
        Ok(())
    }

    /// Runs a slot again when the fetches have ended that its answer was not waiting for. They may bring what was
    /// shown, so that no change tells of it, and yet the answer is no longer stale.
    pub(super) fn run_after(&self, hub: &LiveHub, number: u32, late: Late) {
        let Some(operation) = hub.operation(self.number) else { return };
        let wait = async move {
            tokio::select! {
                () = late => operation.mark(number, UpdateReason::Changed, None),
                () = operation.stopped.cancelled() => {}
            }
        };
        hub.tasks.spawn(wait.in_current_span());
    }

    /// Runs every slot that is dirty, side by side, after what was published up to `noted`. Whether anything ran.
    async fn run_slots(&self, hub: &LiveHub, noted: Option<i64>, first: bool) -> Result<bool, Unreadable> {
        let (dirty, reach) = self.take_dirt(noted);
        // Who has seen the last of them has seen all; the others' positions are those before the run.
        let last = dirty.len();
        let runs = dirty.into_iter().zip(1..).map(|(run, count)| {
            let at = match (first, count == last && !reach.waits) {
                (true, _) => unfinished(reach.noted),
                (false, true) => reach.noted,
                (false, false) => reach.before,
            };
            self.run_slot(hub, run, at, first)
        });
        let ran = join_all(runs).await;
        let any = !ran.is_empty();
        self.check_failures(hub, &ran).await?;
        self.take_in(hub, ran, &reach, first);
        if any {
            self.news.tell();
        }
        Ok(any)
    }

    /// Takes what is to be run now.
    fn take_dirt(&self, noted: Option<i64>) -> (Vec<(u32, Subject, Dirt)>, Reach) {
        let (now, mut waits, mut dirty) = (Instant::now(), false, Vec::new());
        let mut state = self.state.lock();
        for slot in &mut state.slots {
            if slot.mend_at.take_if(|at| *at <= now).is_some() {
                slot.dirt.get_or_insert_default();
            }
            slot.retry_at.take_if(|at| *at <= now);
            if slot.retry_at.is_some() {
                waits = true;
            } else if let Some(dirt) = slot.dirt.take() {
                dirty.push((slot.number, slot.subject.clone(), dirt));
            }
        }
        let before = state.through;
        (dirty, Reach { noted: before.max(noted.unwrap_or_default()), before, waits })
    }

    /// An answer that failed too often is told as it is, marked by its errors, if the store can be reached. Otherwise nothing true
    /// can be told.
    async fn check_failures(&self, hub: &LiveHub, ran: &[Ran]) -> Result<(), Unreadable> {
        let given_up = |ran: &&Ran| ran.failed() && hub.rules.retry.pause(ran.failures + 1).is_none();
        let mut given_up = ran.iter().filter(given_up).peekable();
        if given_up.peek().is_some() {
            self.run.reach_store().await?;
        }
        if given_up.any(|ran| ran.answer.is_err()) { Err(Unreadable) } else { Ok(()) }
    }

    async fn run_slot(
        &self,
        hub: &LiveHub,
        (number, subject, dirt): (u32, Subject, Dirt),
        at: i64,
        first: bool,
    ) -> Ran {
        let before = self.state.lock().slots.iter().find(|slot| slot.number == number).map(|slot| slot.failures);
        let answer = self.answer(hub, (number, &subject, &dirt), at, first).await;
        Ran { number, dirt, failures: before.unwrap_or_default(), answer }
    }

    async fn answer(
        &self,
        hub: &LiveHub,
        (number, subject, dirt): (u32, &Subject, &Dirt),
        at: i64,
        first: bool,
    ) -> Result<Answered, Unreadable> {
        let gone = match subject {
            Subject::Widget(id) => {
                let id = WatchedId::Own { type_name: "Widget".into(), id: id.as_str().into() };
                self.run.is_deleted(&id).await?
            }
            Subject::Node(_) => false,
        };
        let reason = match (first, gone) {
            (_, true) => UpdateReason::Removed,
            (true, false) => UpdateReason::Snapshot,
            (false, false) => dirt.reason.unwrap_or(UpdateReason::Changed),
        };
        let max_age = dirt.reread.then(|| chrono::Duration::from_std(hub.rules.reread).unwrap_or_default());
        let cause = Cause { reason, causes: dirt.causes.clone(), max_age };
        let (frame, mut rendered) = self.render(subject, cause, at).await?;
        let before = self.tags_of(number);
        if rendered.failed {
            // It did not come to all that it shows: what it was read from before still counts.
            rendered.tags.extend(before.iter().cloned());
        }
        let registered = hub.register(self, number, &before, &rendered.tags);
        if let Some(slot) = self.state.lock().slots.iter_mut().find(|slot| slot.number == number) {
            slot.tags.clone_from(&rendered.tags);
            slot.stale = rendered.stale;
        }
        if let Some(late) = rendered.late.clone() {
            self.run_after(hub, number, late);
        }
        Ok(Answered { reason, gone, registered, frame, rendered })
    }

    /// Takes in what ran, all at once: who takes news sees all of a run or nothing of it.
    fn take_in(&self, hub: &LiveHub, ran: Vec<Ran>, reach: &Reach, first: bool) {
        let mut state = self.state.lock();
        state.runs += 1;
        let (run, subscribers) = (state.runs, state.subscribers);
        let fails = |ran: &Ran| ran.failed() && hub.rules.retry.pause(ran.failures + 1).is_some();
        let complete = !reach.waits && !ran.iter().any(fails);
        for ran in ran {
            let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == ran.number) else { continue };
            let failures = if ran.failed() { ran.failures + 1 } else { 0 };
            slot.failures = failures;
            let pause = (failures > 0).then(|| hub.rules.retry.pause(failures)).flatten();
            let answered = match (ran.answer, pause) {
                (Ok(answered), None) => answered,
                (_, pause) => {
                    slot.retry_at = Some(Instant::now() + pause.unwrap_or_default());
                    slot.dirt = Some(ran.dirt.then(slot.dirt.take()));
                    continue;
                }
            };
            let Answered { reason, gone, registered, mut frame, rendered } = answered;
            if !complete && frame.through == Some(reach.noted) && reach.noted > reach.before {
                // Another slot of the run is not told yet.
                frame = frame.retold(&*self.run, self.run.cursor(reach.before), Some(reach.before));
            }
            slot.take_in((run, subscribers), frame, first, (reason, gone, &rendered));
            let later = hub.rules.retry.later(failures).min(hub.rules.reread);
            slot.mend_at = rendered.failed.then(|| Instant::now() + later);
            if registered && !self.run.is_current(rendered.noted, &rendered.tags) {
                // It changed between the execution and the registration: the hub could not tell us.
                slot.dirt.get_or_insert_default().add(UpdateReason::Changed, None);
                self.wake.notify_one();
            }
            if gone && matches!(self.watched, Watched::Widget(_)) {
                state.ended = Some(End::Completed);
            }
        }
        if complete {
            state.through = state.through.max(reach.noted);
        }
        state.settled = true;
    }
}
