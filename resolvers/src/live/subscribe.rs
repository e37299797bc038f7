//! Starts subscriptions: finds or begins the live operation, or the feed of activities, that all who ask the same share.

use std::sync::Arc;

use futures::StreamExt as _;
use mullion_schema::ports::LivePlan;

use tracing::Instrument as _;

use super::{
    Frames, Subscribe,
    activity_subscriber::ActivitySubscriber,
    hub::{Entered, LiveHub},
    operation::{Operation, Watched},
    position_of,
    subscription::Subscriber,
};
use crate::budget::{Budget, Share};

impl LiveHub {
    /// Starts a subscription, unless its tenant has as many as it may.
    pub fn subscribe(self: &Arc<Self>, subscribe: Subscribe) -> Result<Frames, Budget> {
        let Subscribe { run, plan, after } = subscribe;
        let share = self.subscribed.take(run.tenant(), 1).ok_or(Budget::Subscriptions)?;
        let (watched, throttle_ms) = match plan {
            LivePlan::Activity { filter, .. } => {
                let feed = self.feed(&run, filter)?;
                let subscriber = ActivitySubscriber::new(Arc::clone(self), feed, after.map(position_of), share);
                return Ok(subscriber.into_stream().boxed());
            }
            LivePlan::Widget { id, throttle_ms, .. } => (Watched::Widget(id), throttle_ms),
            LivePlan::Dashboard { id, throttle_ms, .. } => (Watched::Dashboard(id), throttle_ms),
            LivePlan::Nodes { ids, .. } => (Watched::Nodes(ids), 0),
        };
        let Entered { operation, running } = self.enter(&run, (throttle_ms, run.sharing_key()), watched)?;
        if let Some(running) = running {
            self.drive(Arc::clone(&operation), running);
        }
        Ok(Subscriber::new(Arc::clone(self), operation, after, share).into_stream().boxed())
    }

    /// Drives a new operation, in a task of its own.
    fn drive(self: &Arc<Self>, operation: Arc<Operation>, running: Share) {
        // The operation belongs to no request: it goes on when the subscriber that began it has left.
        let span = tracing::error_span!(parent: None, "live_operation", tenant = %operation.run.tenant());
        let hub = Arc::clone(self);
        let drive = async move {
            // An operation counts until its task has ended, however that ends: a subscriber that leaves does not stop a run.
            let _running = running;
            operation.drive(hub).await;
        };
        self.tasks.spawn(drive.instrument(span));
    }
}
