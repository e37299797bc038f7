//! How a live operation runs: woken by changes, its dirty slots side by side, and what comes of a run taken in all at once.

use std::{collections::HashSet, sync::Arc};

use futures::future::join_all;
use mullion_schema::{enums::UpdateReason, ports::WatchedId};
use tokio::time::Instant;

use super::{Operation, STRUCTURE, Watched};
use crate::{
    engine::Late,
    live::{
        hub::LiveHub,
        slot::{Cause, Dirt, Ran, Slot, Subject},
        unfinished,
    },
    tag::Tag,
};

impl Operation {
    /// Runs the operation until its last subscriber left.
    pub(in crate::live) async fn drive(self: Arc<Self>, hub: Arc<LiveHub>) {
        // The head first: where nothing was published after it was read, nothing up to it is to come.
        let head = self.run.head().await;
        self.state.lock().through = hub.published(self.run.tenant()).unwrap_or(head);
        self.restructure(&hub, true).await;
        self.run_slots(&hub, None, true).await;
        self.ready.send_replace(true);
        let mut reread_at = Instant::now() + hub.reread;
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(reread_at) => {}
                () = self.stopped.cancelled() => return,
            }
            // However busy it is kept by others: what comes without webhooks has a time of its own.
            let ticks = Instant::now() >= reread_at;
            if ticks {
                self.mark_silent().await;
                reread_at = Instant::now() + hub.reread;
            }
            // Before the dirt is looked at: what is published afterwards makes some.
            let noted = hub.published(self.run.tenant());
            let dirty = self.begin_run();
            if dirty {
                self.restructure(&hub, false).await;
            }
            let ran = self.run_slots(&hub, noted, false).await;
            if ticks {
                self.announce();
            }
            if ran && !self.throttle.is_zero() {
                // The first change was sent at once; what comes within the window is told together at its end.
                tokio::select! {
                    () = tokio::time::sleep(self.throttle) => {}
                    () = self.stopped.cancelled() => return,
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

    /// Brings the slots in line with what is watched.
    async fn restructure(&self, hub: &LiveHub, first: bool) {
        let subjects: Option<Vec<Subject>> = match &self.watched {
            Watched::Widget(id) => first.then(|| vec![Subject::Widget(id.clone())]),
            Watched::Nodes(ids) => first.then(|| ids.iter().cloned().map(Subject::Node).collect()),
            Watched::Dashboard(id) => {
                let tags = HashSet::from([Tag::own(self.run.tenant(), "Dashboard", id.as_str())]);
                let before = std::mem::replace(&mut self.state.lock().structure, tags.clone());
                hub.register(self, STRUCTURE, &before, &tags);
                Some(self.run.widgets(id).await.unwrap_or_default().into_iter().map(Subject::Widget).collect())
            }
        };
        let Some(subjects) = subjects else { return };
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
    }

    /// Marks what comes from integrations without webhooks, to be read again, and what could not be read, to be tried again.
    async fn mark_silent(&self) {
        for (number, tags) in self.live_slots() {
            let silent = self.run.is_silent(&tags).await;
            let mut state = self.state.lock();
            if let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == number && (silent || slot.stale)) {
                slot.dirt.get_or_insert_default().reread |= silent;
            }
        }
    }

    /// Runs a slot again when the fetches have ended that its answer was not waiting for. What they bring may be what was shown, so
    /// that no change tells of it, and yet the answer is no longer stale.
    fn run_after(self: &Arc<Self>, hub: &LiveHub, number: u32, late: Late) {
        let operation = Arc::clone(self);
        hub.tasks.spawn(async move {
            tokio::select! {
                () = late => operation.mark(number, UpdateReason::Changed, None),
                () = operation.stopped.cancelled() => {}
            }
        });
    }

    /// Runs every slot that is dirty, side by side, after what was published up to `noted`. Whether anything ran.
    async fn run_slots(self: &Arc<Self>, hub: &LiveHub, noted: Option<i64>, first: bool) -> bool {
        let (dirty, noted, before) = {
            let mut state = self.state.lock();
            let slots = state.slots.iter_mut();
            let dirty = slots.filter_map(|slot| Some((slot.number, slot.subject.clone(), slot.dirt.take()?)));
            let dirty: Vec<(u32, Subject, Dirt)> = dirty.collect();
            (dirty, state.through.max(noted.unwrap_or_default()), state.through)
        };
        // Who has seen the last of them has seen all; the others' positions are those before the run.
        let last = dirty.len();
        let runs = dirty.into_iter().zip(1..).map(|(run, count)| async move {
            let at = match (first, count == last) {
                (true, _) => unfinished(noted),
                (false, true) => noted,
                (false, false) => before,
            };
            self.run_slot(hub, run, at, first).await
        });
        let ran = join_all(runs).await;
        let any = !ran.is_empty();
        self.take_in(ran, noted, first);
        if any {
            self.news.tell();
        }
        any
    }

    async fn run_slot(
        self: &Arc<Self>,
        hub: &LiveHub,
        (number, subject, dirt): (u32, Subject, Dirt),
        at: i64,
        first: bool,
    ) -> Ran {
        let gone = match &subject {
            Subject::Widget(id) => {
                let id = WatchedId::Own { type_name: "Widget".into(), id: id.as_str().into() };
                self.run.is_deleted(&id).await
            }
            Subject::Node(_) => false,
        };
        let reason = match (first, gone) {
            (_, true) => UpdateReason::Removed,
            (true, false) => UpdateReason::Snapshot,
            (false, false) => dirt.reason.unwrap_or(UpdateReason::Changed),
        };
        let max_age = dirt.reread.then(|| chrono::Duration::from_std(hub.reread).unwrap_or_default());
        let cause = Cause { reason, causes: dirt.causes, max_age };
        let (frame, rendered) = self.render(&subject, cause, at).await;
        let before = self.tags_of(number);
        let registered = hub.register(self, number, &before, &rendered.tags);
        if let Some(slot) = self.state.lock().slots.iter_mut().find(|slot| slot.number == number) {
            slot.tags.clone_from(&rendered.tags);
            slot.stale = rendered.stale;
        }
        if let Some(late) = rendered.late.clone() {
            self.run_after(hub, number, late);
        }
        Ran { number, reason, gone, registered, frame, rendered }
    }

    /// Takes in what ran, all at once: who takes news sees all of a run or nothing of it.
    fn take_in(&self, ran: Vec<Ran>, through: i64, first: bool) {
        let mut state = self.state.lock();
        state.runs += 1;
        let run = state.runs;
        for Ran { number, reason, gone, registered, frame, rendered } in ran {
            let Some(slot) = state.slots.iter_mut().find(|slot| slot.number == number) else { continue };
            // What somebody did to the widget itself is told even where nothing that was selected differs.
            let told = matches!(reason, UpdateReason::Configured | UpdateReason::Refreshed) || (gone && !slot.removed);
            if slot.digest != Some(rendered.digest) || told {
                slot.version += 1;
                slot.run = run;
                slot.digest = Some(rendered.digest);
                slot.snapshot = first.then(|| (slot.version, frame.clone()));
                slot.frame = (!first).then_some(frame);
                slot.told = told;
            }
            slot.removed = gone;
            if registered && !self.run.is_current(rendered.noted, &rendered.tags) {
                // It changed between the execution and the registration: the hub could not tell us.
                slot.dirt.get_or_insert_default().add(UpdateReason::Changed, None);
                self.wake.notify_one();
            }
            state.ended |= gone && matches!(self.watched, Watched::Widget(_));
        }
        state.through = state.through.max(through);
        state.settled = true;
    }
}
