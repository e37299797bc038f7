//! Tells this process what is in the streams: epochs first, then live operations, each change once and in order.
//!
//! Changes reach it from this process's own writes, which may come out of order, and from the log, where other processes write
//! too. A change is announced only when all before it were: else a reader could note a head whose changes are not known here yet,
//! and keep a stale value as current. Changes missing in between are read from the log, where they are committed already.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use mullion_schema::id::TenantId;
use parking_lot::Mutex;

use crate::{
    bus::{Bus, Hint},
    cache::epochs::Epochs,
    error_chain::chain,
    live::LiveHub,
    store::{Database, StoreError, stream::AppliedChange},
    tag::Tag,
};

/// Changes that are read from the log in one go.
const CHUNK: u64 = 500;

/// Announces changes to this process, and that there are some to the others.
pub struct Announcer {
    database: Database,
    epochs: Arc<Epochs>,
    hub: Arc<LiveHub>,
    bus: Arc<dyn Bus>,
    /// Changes that came before those in front of them, by tenant and position.
    early: Mutex<HashMap<TenantId, BTreeMap<i64, AppliedChange>>>,
}

impl Announcer {
    /// An announcer.
    pub fn new(database: Database, epochs: Arc<Epochs>, hub: Arc<LiveHub>, bus: Arc<dyn Bus>) -> Self {
        Self { database, epochs, hub, bus, early: Mutex::default() }
    }

    /// Makes the tenant's head known here, so that no change from now on is missed.
    pub async fn start(&self, tenant: &TenantId) -> Result<(), StoreError> {
        if self.epochs.head(tenant).is_none() {
            self.epochs.start(tenant, self.database.head(tenant).await?);
        }
        Ok(())
    }

    /// Announces changes that this process committed. When it returns, every reader here knows of them.
    pub async fn announce(&self, tenant: &TenantId, changes: &[AppliedChange]) {
        let Some(last) = changes.last().map(|change| change.position) else { return };
        self.bus.tell(Hint::Head { tenant: tenant.clone(), head: last });
        self.take_in(tenant, changes.iter().cloned());
        if let Err(error) = self.follow(tenant, last).await {
            // The changes in front of these are committed, and nobody knows what they outdate: so everything is looked at again.
            // Otherwise whoever wrote these would read what was there before.
            tracing::warn!(
                error = %chain(&error),
                "the stream could not be read: nothing in memory counts"
            );
            self.lose_track(tenant, last);
        }
    }

    /// Brings this process up to `head`, from the log. A tenant that nobody asked for here is not followed. On an error the caller
    /// tries again: what is in memory may be outdated until then.
    pub async fn follow(&self, tenant: &TenantId, head: i64) -> Result<(), StoreError> {
        while let Some(known) = self.epochs.head(tenant).filter(|known| *known < head) {
            if !self.read_on(tenant, known).await? {
                break;
            }
        }
        Ok(())
    }

    /// Reads what comes after `known`; false when there is nothing.
    async fn read_on(&self, tenant: &TenantId, known: i64) -> Result<bool, StoreError> {
        let changes = self.database.changes_since(tenant, known, CHUNK).await?;
        let next = changes.first().map(|change| change.position);
        if next != Some(known + 1) {
            let floor = self.database.oldest_position(tenant).await?;
            if floor <= known {
                return Ok(false);
            }
            // This process was away for longer than the stream is kept: nothing that it holds can be trusted.
            self.lose_track(tenant, floor);
        }
        self.take_in(tenant, changes);
        Ok(true)
    }

    fn take_in(&self, tenant: &TenantId, changes: impl IntoIterator<Item = AppliedChange>) {
        let mut early = self.early.lock();
        let Some(mut head) = self.epochs.head(tenant) else { return };
        let known = head;
        let waiting = early.entry(tenant.clone()).or_default();
        waiting.extend(changes.into_iter().map(|change| (change.position, change)));
        waiting.retain(|position, _| *position > head);
        let mut ready = Vec::new();
        while let Some(change) = waiting.remove(&(head + 1)) {
            head = change.position;
            ready.push(change);
        }
        if waiting.is_empty() {
            early.remove(tenant);
        }
        if !ready.is_empty() {
            self.hub.begin(tenant, known);
        }
        for change in &ready {
            self.epochs.advance(tenant, change.position, change.tags.iter().chain([&Tag::head(tenant)]));
        }
        if !ready.is_empty() {
            self.hub.publish(tenant, &ready);
        }
    }

    fn lose_track(&self, tenant: &TenantId, head: i64) {
        let mut early = self.early.lock();
        if let Some(waiting) = early.get_mut(tenant) {
            waiting.retain(|position, _| *position > head);
            if waiting.is_empty() {
                early.remove(tenant);
            }
        }
        self.epochs.forget(tenant, head);
        self.hub.lose_track(tenant, head);
    }
}

#[cfg(test)]
mod tests;
