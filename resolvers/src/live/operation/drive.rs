//! How a live operation runs: woken by changes, each dirty slot for itself. A slot that takes long keeps no other one waiting.
//!
//! A slot whose answer failed here stays dirty and is run again after a pause. The operation's position stays where it was while a
//! slot runs or waits. A read that fails for too long ends the operation: its subscribers come again with their cursors.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use mullion_schema::{enums::UpdateReason, ports::WatchedId};
use tokio::time::{Instant, sleep_until, timeout_at};

use tracing::Instrument as _;

use super::{Operation, STRUCTURE, State, Watched};
use crate::{
    live::{
        End, Unreadable,
        hub::LiveHub,
        slot::{Answered, Cause, Dirt, Origin, Ran, Slot, Subject},
        span_of, unfinished,
    },
    reading::BackgroundFetches,
    tag::Tag,
};

/// A slot that is to be run now.
struct Begun {
    number: u32,
    subject: Subject,
    dirt: Dirt,
    /// It is the state that subscribers begin with.
    first: bool,
    look: u64,
    /// Every change up to this position has happened.
    noted: i64,
    /// The position that its answer tells.
    at: i64,
    /// How often it had failed in a row before.
    failures: u32,
}

/// When an operation looks at what is dirty.
struct Pace {
    /// There may be something to look at.
    due: bool,
    /// Not before this: something was sent a moment ago.
    rests_until: Option<Instant>,
    /// When what is silent is read again.
    reread_at: Instant,
    /// How far everything was told is to be told.
    announces: bool,
    /// The newest look, when it was, and how many slots that it began still run.
    look: u64,
    looked_at: Instant,
    outstanding: usize,
}

impl Pace {
    fn new(reread: Duration) -> Self {
        let now = Instant::now();
        Self {
            due: true,
            rests_until: None,
            reread_at: now + reread,
            announces: false,
            look: 0,
            looked_at: now,
            outstanding: 0,
        }
    }

    /// Whether it is time to look.
    fn looks(&mut self) -> bool {
        self.rests_until.take_if(|at| *at <= Instant::now());
        self.due && self.rests_until.is_none()
    }

    /// Nothing new is begun for a while.
    fn rest(&mut self, throttle: Duration) {
        if !throttle.is_zero() {
            self.rests_until = Some(Instant::now() + throttle);
        }
    }

    /// When to look, if nothing happens before.
    fn next(&self, retry: Option<Instant>) -> Instant {
        match self.rests_until {
            Some(rests_until) if self.due => rests_until,
            _ => retry.map_or(self.reread_at, |at| at.min(self.reread_at)),
        }
    }

    /// Takes in that a slot has been run.
    fn count(&mut self, ran: &Ran) {
        self.outstanding -= usize::from(ran.look == self.look && self.outstanding > 0);
    }
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
        self.state.lock().noted = hub.published(self.run.tenant()).unwrap_or(head);
        hub.rules.retry.read(|| self.restructure(hub, true)).await?;
        self.answers.send_replace(true);
        let (mut pace, mut runs) = (Pace::new(hub.rules.reread), FuturesUnordered::new());
        loop {
            if pace.looks() {
                runs.extend(self.look(hub, &mut pace).await?.into_iter().map(|begun| self.run_slot(hub, begun)));
            }
            let next = pace.next(self.next_retry());
            let forgetting = self.next_forgetting(hub.rules.snapshot);
            tokio::select! {
                () = self.wake.notified() => pace.due = true,
                () = sleep_until(next) => pace.due = true,
                Some(ran) = runs.next(), if !runs.is_empty() => {
                    let ran = Self::with_others(ran, &mut runs, (&mut pace, hub.rules.together)).await;
                    self.finish(hub, ran, &mut pace).await?;
                }
                () = sleep_until(forgetting.unwrap_or(next)), if forgetting.is_some() => {
                    self.forget_snapshots(hub.rules.snapshot);
                }
                () = self.stopped.cancelled() => break,
            }
        }
        // Until then it counts as one of its tenant's.
        while runs.next().await.is_some() {}
        Ok(())
    }

    /// Looks at what is dirty; gives the slots that are to be run now.
    async fn look(&self, hub: &LiveHub, pace: &mut Pace) -> Result<Vec<Begun>, Unreadable> {
        pace.due = false;
        // However busy it is kept by others: what comes without webhooks has a time of its own.
        if Instant::now() >= pace.reread_at {
            hub.rules.retry.read(|| self.mark_silent()).await?;
            pace.reread_at = Instant::now() + hub.rules.reread;
            pace.announces = true;
        }
        // Before the dirt is looked at: what is published afterwards makes some.
        let published = hub.published(self.run.tenant());
        if self.begin_structure() {
            hub.rules.retry.read(|| self.restructure(hub, false)).await?;
        }
        let begun = self.begin_runs(published);
        if let Some(Begun { look, .. }) = begun.first() {
            (pace.look, pace.looked_at, pace.outstanding) = (*look, Instant::now(), begun.len());
        }
        if begun.iter().any(|begun| !begun.first) {
            // The first change is sent at once; what comes within the window is sent together at its end.
            pace.rest(self.throttle);
        }
        self.announce_if_due(pace);
        Ok(begun)
    }

    /// A slot that was run, with those that were begun with it and are done, too.
    async fn with_others<F>(
        ran: Ran,
        runs: &mut FuturesUnordered<F>,
        (pace, together): (&mut Pace, Duration),
    ) -> Vec<Ran>
    where
        F: Future<Output = Ran> + Send,
    {
        pace.count(&ran);
        let mut all = vec![ran];
        while pace.outstanding > 0 {
            let Ok(Some(ran)) = timeout_at(pace.looked_at + together, runs.next()).await else { break };
            pace.count(&ran);
            all.push(ran);
        }
        while let Some(Some(ran)) = runs.next().now_or_never() {
            pace.count(&ran);
            all.push(ran);
        }
        all
    }

    /// Takes in what ran, and tells it.
    async fn finish(&self, hub: &LiveHub, ran: Vec<Ran>, pace: &mut Pace) -> Result<(), Unreadable> {
        self.check_failures(hub, &ran).await?;
        let changes = ran.iter().any(|ran| !ran.first);
        if self.take_in(hub, ran) {
            self.answers.send_replace(true);
        }
        self.news.tell();
        if changes {
            pace.rest(self.throttle);
        }
        // A slot that became dirty while it ran waits for nothing else.
        pace.due |= self.is_dirty();
        self.announce_if_due(pace);
        Ok(())
    }

    /// At its time, tells how far everything was told; again when what runs then is done.
    fn announce_if_due(&self, pace: &mut Pace) {
        if pace.announces {
            self.announce();
            pace.announces = self.state.lock().slots.iter().any(|slot| slot.running.is_some());
        }
    }

    /// Whether the set of slots may have changed. Until it is read, the position stays where it was.
    fn begin_structure(&self) -> bool {
        let mut state = self.state.lock();
        let noted = state.noted;
        let dirty = std::mem::take(&mut state.structure_dirty);
        if dirty {
            state.structure_floor.get_or_insert(noted);
        }
        dirty
    }

    /// Whether a slot could be run now.
    fn is_dirty(&self) -> bool {
        let state = self.state.lock();
        let is_dirty = |slot: &Slot| slot.dirt.is_some() && slot.running.is_none() && slot.retry_at.is_none();
        state.structure_dirty || state.slots.iter().any(is_dirty)
    }

    /// When the next slot that failed is to be run again, before it is told or after.
    fn next_retry(&self) -> Option<Instant> {
        let state = self.state.lock();
        let idle = state.slots.iter().filter(|slot| slot.running.is_none());
        idle.flat_map(|slot| [slot.retry_at, slot.mend_at]).flatten().min()
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
        let mut state = self.state.lock();
        let floor = Some(state.structure_floor.take().unwrap_or(state.noted));
        let Some(subjects) = subjects else { return Ok(()) };
        for slot in &mut state.slots {
            if !slot.removed && !subjects.contains(&slot.subject) {
                let dirt = slot.dirt.get_or_insert_default();
                dirt.add(UpdateReason::Removed, None);
                dirt.lower(floor);
            }
        }
        let origin = Origin { initial: first, requested: !matches!(self.watched, Watched::Dashboard(_)) };
        for subject in subjects {
            if !state.slots.iter().any(|slot| slot.subject == subject && !slot.removed) {
                let mut slot = Slot::new(state.numbered, subject, origin);
                let dirt = slot.dirt.get_or_insert_default();
                dirt.add(UpdateReason::Configured, None);
                dirt.lower(floor);
                state.numbered = state.numbered.saturating_add(1);
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
            if let Some(slot) = state.slot(number).filter(|slot| silent || slot.stale) {
                slot.dirt.get_or_insert_default().reread |= silent;
            }
        }
        Ok(())
    }

    /// Runs a slot again when the fetches have ended that its answer was not waiting for. They may bring what was
    /// shown, so that no change tells of it, and yet the answer is no longer stale.
    pub(super) fn run_after(&self, hub: &LiveHub, number: u32, late: BackgroundFetches) {
        let Some(operation) = hub.operation(self.number) else { return };
        let wait = async move {
            tokio::select! {
                () = late => operation.mark(number, UpdateReason::Changed, None, None),
                () = operation.stopped.cancelled() => {}
            }
        };
        hub.tasks.spawn(wait.in_current_span());
    }

    /// Takes what is to be run now: every slot that is dirty, does not run, and does not wait for another attempt.
    fn begin_runs(&self, published: Option<i64>) -> Vec<Begun> {
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
        let (look, noted, before) = (state.looks, state.noted, state.through());
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

    async fn run_slot(&self, hub: &LiveHub, begun: Begun) -> Ran {
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
        }
        if let Some(late) = rendered.background_fetches.clone() {
            self.run_after(hub, *number, late);
        }
        Ok(Answered { reason, gone, registered, frame, rendered })
    }

    /// Takes in what ran, all at once: who takes news sees all of it or nothing. Whether a slot has its first answer.
    fn take_in(&self, hub: &LiveHub, mut ran: Vec<Ran>) -> bool {
        let mut state = self.state.lock();
        let before = state.through();
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
        let (run, subscribers, through) = (state.runs, state.subscribers, state.through());
        let (mut first_answers, last) = (false, answers.len());
        for ((number, _, first, answered), count) in answers.into_iter().zip(1..) {
            let Answered { reason, gone, mut frame, rendered, .. } = answered;
            // Those who take it take the others after it, too: the last one tells what all of them tell.
            let most = if count == last { through } else { before };
            if frame.through.is_some_and(|told| told > most) {
                frame = frame.retold(&*self.run, self.run.cursor(most), Some(most));
            }
            let Some(slot) = state.slot(number) else { continue };
            first_answers |= slot.version == 0;
            slot.take_in((run, subscribers), frame, first, (reason, gone, &rendered));
            if gone && matches!(self.watched, Watched::Widget(_)) {
                state.ended = Some(End::Completed);
            }
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
}
