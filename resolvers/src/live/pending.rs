//! The tenants of which activities wait for the names in their sentences: told by whoever sees such a change, taken by the one task
//! that releases them.

use std::collections::HashSet;

use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A set of tenants that one task waits for.
#[derive(Debug, Default)]
pub struct PendingTenants {
    tenants: Mutex<HashSet<TenantId>>,
    news: Notify,
}

impl PendingTenants {
    /// Adds one.
    pub fn add(&self, tenant: TenantId) {
        self.tenants.lock().insert(tenant);
        self.news.notify_one();
    }

    /// Waits until there are any, and takes them.
    pub async fn take(&self) -> HashSet<TenantId> {
        loop {
            let taken = std::mem::take(&mut *self.tenants.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.news.notified().await;
        }
    }
}
