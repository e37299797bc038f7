//! The states that a live operation tells to those who come in: made when the first of them does, shared while others may follow.

use std::sync::Arc;

use mullion_schema::{enums::UpdateReason, id::WidgetId, ports::LiveInput};
use tokio::time::Instant;

use super::{
    End, Frame, Retry, Unreadable,
    hub::LiveHub,
    operation::Operation,
    slot::{Cause, SeenSlot, Snapshot},
    unfinished,
};

impl Operation {
    /// Waits until a slot has an answer or is gone, or the operation has ended.
    async fn answered_slot(&self, number: u32) {
        let answered = |_: &bool| {
            let mut state = self.state.lock();
            state.ended.is_some() || state.slot(number).is_none_or(|slot| slot.is_answered())
        };
        let _ = self.answers.subscribe().wait_for(answered).await;
    }

    /// A slot's current state as it is told to those who come in.
    pub(super) async fn snapshot(&self, hub: &LiveHub, number: u32) -> Result<Option<(SeenSlot, Frame)>, Unreadable> {
        self.answered_slot(number).await;
        let Some(making) = self.state.lock().slot(number).map(|slot| Arc::clone(&slot.making)) else { return Ok(None) };
        let _one = making.lock().await;
        let (subject, version, digest, cached, watermark, retry) = {
            let mut state = self.state.lock();
            if state.ended == Some(End::Unavailable) {
                return Err(Unreadable);
            }
            let watermark = state.watermark();
            let Some(slot) = state.slot(number).filter(|slot| !slot.removed) else { return Ok(None) };
            let version = slot.version;
            let cached = slot.snapshot.as_mut().filter(|kept| kept.version == version).map(|kept| {
                kept.told_at = Instant::now();
                kept.frame.clone()
            });
            // The operation itself has given up on this one: it is not tried for longer here.
            let retry = hub.rules.retry;
            let retry = if slot.failed { Retry { attempts: 1, ..retry } } else { retry };
            (slot.subject.clone(), version, slot.digest, cached, watermark, retry)
        };
        if let Some(frame) = cached {
            return Ok(Some((SeenSlot { version, digest }, frame)));
        }
        let cause = Cause { reason: UpdateReason::Snapshot, causes: Vec::new(), max_age: None };
        let input = retry.read(|| self.input(&subject, cause.clone(), unfinished(watermark))).await?;
        let rendered = retry.render(&*self.run, &input).await?;
        let frame = Frame { payload: rendered.payload.clone(), cursor: input.cursor, watermark: None };
        if let Some(slot) = self.state.lock().slot(number) {
            if rendered.stale && slot.digest != Some(rendered.digest) {
                // Others were shown what is current. A subscriber that comes in is told when this is current too.
                slot.stale = true;
                slot.retell = true;
            }
            if rendered.failed && !slot.failed {
                slot.retell = true;
                slot.dirt.get_or_insert_default();
                self.wake.notify_one();
            } else if slot.version == version && slot.digest == Some(rendered.digest) {
                slot.snapshot = Some(Snapshot::new(version, frame.clone()));
            }
        }
        if let Some(fetches) = rendered.background_fetches {
            self.run_after(hub, number, fetches);
        }
        Ok(Some((SeenSlot { version, digest: Some(rendered.digest) }, frame)))
    }

    /// The end of the snapshots: everything up to a position was told with it. `complete`: the snapshots were of everything.
    pub(super) async fn snapshot_end(&self, at: i64, complete: bool, retry: &Retry) -> Result<Frame, Unreadable> {
        let mut known = self.snapshot_end.lock().await;
        if let Some((_, frame)) = known.as_ref().filter(|(known, _)| *known == (at, complete)) {
            return Ok(frame.clone());
        }
        let input = LiveInput { complete: Some(complete), ..self.aside(UpdateReason::SnapshotEnd, at) };
        let frame = self.render_aside(input, at, retry).await?;
        *known = Some(((at, complete), frame.clone()));
        Ok(frame)
    }

    /// Tells that a widget is not here any more.
    pub(super) async fn removed(&self, widget: WidgetId, at: i64, retry: &Retry) -> Result<Frame, Unreadable> {
        let input = LiveInput { widget: Some(widget), ..self.aside(UpdateReason::Removed, at) };
        self.render_aside(input, at, retry).await
    }

    /// An answer that is about no slot.
    fn aside(&self, reason: UpdateReason, at: i64) -> LiveInput {
        LiveInput {
            cursor: self.run.cursor(at),
            reason,
            widget: None,
            node: None,
            deleted: false,
            complete: None,
            activity: None,
            causes: Vec::new(),
        }
    }

    async fn render_aside(&self, input: LiveInput, at: i64, retry: &Retry) -> Result<Frame, Unreadable> {
        let rendered = retry.render(&*self.run, &input).await?;
        Ok(Frame { payload: rendered.payload, cursor: input.cursor, watermark: (at >= 0).then_some(at) })
    }

    /// Up to where every change is in the answers.
    pub(super) fn reached(&self, hub: &LiveHub) -> i64 {
        // Before the dirt is looked at: what is published afterwards makes some.
        let published = hub.published(self.run.tenant());
        let mut state = self.state.lock();
        state.note(published);
        state.watermark()
    }
}
