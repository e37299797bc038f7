//! Releases activities that wait for the names in their sentences: when what they caused to be read has brought the names, or when they
//! have waited long enough. Every replica that sees one tries; the store lets one of them succeed.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use mullion_schema::id::{IntegrationId, NodeKey, TenantId};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{
    Activities, named_nodes,
    settling::{self, is_such, unsettled},
};
use crate::{
    changes::Applier,
    error_chain::chain,
    live::LiveHub,
    provider::Providers,
    reading::Scope,
    store::{StoreError, activity::Activity, node::StoredNode, pending::PendingActivity},
};

/// How often it is looked for activities that a process left behind which is no longer there.
const LOOK: Duration = Duration::from_secs(5);
/// How long until the store is tried again after it failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Releases the activities of all tenants.
pub struct Releaser {
    activities: Arc<Activities>,
    applier: Arc<Applier>,
    hub: Arc<LiveHub>,
    tasks: TaskTracker,
    /// The tenants that a task is at work for, and whether it is to look again before it ends.
    busy: Mutex<HashMap<TenantId, bool>>,
}

impl Releaser {
    /// A releaser.
    pub fn new(activities: Arc<Activities>, applier: Arc<Applier>, hub: Arc<LiveHub>, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self { activities, applier, hub, tasks, busy: Mutex::default() })
    }

    /// Runs until it is stopped. The next process releases the activities that wait then.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let pending = self.hub.pending();
        loop {
            match self.activities.database.tenants_with_pending_activities().await {
                Ok(tenants) => tenants.into_iter().for_each(|tenant| self.begin(tenant, &stop)),
                Err(error) => tracing::warn!(error = %chain(&error), "activities that wait could not be looked for"),
            }
            let look = tokio::time::sleep(LOOK);
            tokio::pin!(look);
            loop {
                tokio::select! {
                    tenants = pending.take() => tenants.into_iter().for_each(|tenant| self.begin(tenant, &stop)),
                    () = &mut look => break,
                    () = stop.cancelled() => return,
                }
            }
        }
    }

    /// Starts a task for a tenant, or has the one that runs look again.
    fn begin(self: &Arc<Self>, tenant: TenantId, stop: &CancellationToken) {
        if let Some(again) = self.busy.lock().get_mut(&tenant) {
            *again = true;
            return;
        }
        self.busy.lock().insert(tenant.clone(), false);
        let (releaser, stop) = (Arc::clone(self), stop.clone());
        let span = tracing::error_span!("release", %tenant);
        let run = async move {
            let work =
                async { while releaser.release_all(&tenant).await.is_err() || releaser.is_to_look_again(&tenant) {} };
            let ended = tokio::select! {
                ended = AssertUnwindSafe(work).catch_unwind() => ended,
                () = stop.cancelled() => Ok(()),
            };
            if ended.is_err() {
                tracing::error!("releasing activities panicked; it is tried again");
                releaser.busy.lock().remove(&tenant);
            }
        };
        self.tasks.spawn(run.instrument(span));
    }

    /// Whether more was seen since the last look. If not, the task is over.
    fn is_to_look_again(&self, tenant: &TenantId) -> bool {
        let mut busy = self.busy.lock();
        let again = busy.get_mut(tenant).is_some_and(std::mem::take);
        if !again {
            busy.remove(tenant);
        }
        again
    }

    /// Releases what waits of a tenant, in order, until nothing does.
    async fn release_all(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let done = self.release_each(tenant).await;
        if let Err(error) = &done {
            tracing::warn!(error = %chain(error), "activities wait longer: the store failed");
            tokio::time::sleep(AGAIN).await;
        }
        done
    }

    async fn release_each(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let activities = &self.activities;
        loop {
            let waiting = activities.database.pending_activities(tenant).await?;
            let Some(first) = waiting.first() else { return Ok(()) };
            // An overdue activity has no time left.
            let left = (first.due_at - activities.clock.now()).to_std().unwrap_or_default();
            let named = tokio::time::timeout(left, self.read_names(tenant, &waiting)).await.is_ok();
            let mut through = named.then(|| named_through(&waiting)).flatten();
            if through.is_none() {
                let left = (first.due_at - activities.clock.now()).to_std().unwrap_or_default();
                tokio::time::sleep(left).await;
                let now = activities.clock.now();
                let due = waiting.iter().take_while(|activity| activity.due_at <= now);
                through = due.last().map(|activity| activity.position);
            }
            let Some(through) = through else { continue };
            self.applier.start(tenant).await?;
            let nodes = self.known_nodes(tenant, &waiting).await;
            let settle = |activity: &mut Activity| settle(&activities.providers, activity, (&waiting, &nodes));
            let released = activities.database.release_activities(tenant, through, settle).await?;
            self.applier.announce(tenant, &released).await;
        }
    }

    /// Reads the nodes that the sentences name, as far as they are known.
    async fn known_nodes(&self, tenant: &TenantId, waiting: &[PendingActivity]) -> KnownNodes {
        let keys: Vec<NodeKey> = waiting.iter().flat_map(|pending| named_nodes(&pending.activity)).collect();
        // Without them the sentences say less.
        let nodes = self.activities.engine.cached_store.nodes(tenant, &keys).await.unwrap_or_default();
        nodes.into_iter().flatten().map(|node| (reference(&node.key), node)).collect()
    }

    /// Has the nodes read that the sentences name, together with what others want of the same integration now.
    async fn read_names(&self, tenant: &TenantId, waiting: &[PendingActivity]) {
        let activities = &self.activities;
        let scope = Scope::new(tenant.clone(), activities.clock.now(), None);
        let wants = activities.name_wants(waiting.iter().map(|pending| &pending.activity));
        // A name that cannot be read is left out of the sentence.
        activities.engine.load_nodes(&scope, wants).await;
    }
}

/// Nodes by their integration and reference.
type KnownNodes = HashMap<(IntegrationId, String), Arc<StoredNode>>;

fn reference(key: &NodeKey) -> (IntegrationId, String) {
    (key.integration.clone(), format!("{}:{}", key.type_name, key.native_id))
}

/// Adds what the event did not tell, as far as it was read since then.
fn settle(providers: &Providers, activity: &mut Activity, (waiting, nodes): (&[PendingActivity], &KnownNodes)) {
    let Some(provider) = providers.get(activity.provider.as_str()) else { return };
    let Some((open, node)) = unsettled(&**provider, activity) else { return };
    let Some(node) = nodes.get(&(activity.integration.clone(), node.to_owned())) else { return };
    let mut later = waiting.iter().filter(|pending| pending.position > activity.position);
    let next = later.find(|pending| is_such(&open, activity, &pending.activity)).map(|pending| &pending.activity);
    settling::settle(&**provider, activity, node, next);
}

/// Up to where everything is told whole, so that nothing is worth waiting for.
fn named_through(waiting: &[PendingActivity]) -> Option<i64> {
    waiting.iter().take_while(|activity| !activity.partial).last().map(|activity| activity.position)
}
