//! How a live operation runs: woken by changes, each dirty slot for itself. A slot that takes long keeps no other one waiting.
//!
//! A slot whose answer failed here stays dirty and is run again after a pause. The operation's position stays where it was while a
//! slot runs or waits. A read that fails for too long ends the operation: its subscribers come again with their cursors.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use mullion_schema::enums::UpdateReason;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    End, Unreadable,
    hub::LiveHub,
    operation::{Operation, STRUCTURE, Watched},
    pace::Pace,
    runs::Begun,
    slot::{Origin, Ran, Slot, Subject},
};
use crate::tag::Tag;

impl Operation {
    /// Runs the operation until its last subscriber left.
    pub(super) async fn drive(self: Arc<Self>, hub: Arc<LiveHub>) {
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
                    let ran = Self::with_others(ran, &mut runs, &mut pace, hub.rules.together).await;
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
    async fn with_others<F>(ran: Ran, runs: &mut FuturesUnordered<F>, pace: &mut Pace, together: Duration) -> Vec<Ran>
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
        let mut is_gone = false;
        let subjects: Option<Vec<Subject>> = match &self.watched {
            Watched::Widget(id) => first.then(|| vec![Subject::Widget(id.clone())]),
            Watched::Nodes(ids) => first.then(|| ids.iter().cloned().map(Subject::Node).collect()),
            Watched::Dashboard(id) => {
                let tags = HashSet::from([Tag::own(self.run.tenant(), "Dashboard", id.as_str())]);
                let before = std::mem::replace(&mut self.state.lock().structure, tags.clone());
                hub.register(self, STRUCTURE, &before, &tags);
                let widgets = self.run.widgets(id).await?;
                // A dashboard that is gone has no widgets.
                is_gone = widgets.is_none();
                Some(widgets.unwrap_or_default().into_iter().map(Subject::Widget).collect())
            }
        };
        let mut state = self.state.lock();
        state.is_gone |= is_gone;
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
        if state.is_over() {
            // It had no widgets: nothing runs that would tell.
            state.ended = Some(End::Completed);
            drop(state);
            self.news.tell();
        }
        Ok(())
    }

    /// Marks the slots that show values of integrations without webhooks, values that could not be read, or values that change as time
    /// passes: they are run again.
    async fn mark_silent(&self) -> Result<(), Unreadable> {
        for (number, tags) in self.live_slots() {
            let silent = self.run.is_silent(&tags).await?;
            let mut state = self.state.lock();
            if let Some(slot) = state.slot(number).filter(|slot| silent || slot.stale || slot.changes_with_time) {
                slot.dirt.get_or_insert_default().reread |= silent;
            }
        }
        Ok(())
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
}
