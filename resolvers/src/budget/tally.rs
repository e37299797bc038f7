//! The amount of one kind that each tenant holds, up to a limit.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use mullion_schema::id::TenantId;
use parking_lot::Mutex;

/// Counts what each tenant holds. It knows only the tenants that hold something.
#[derive(Debug)]
pub struct Tally {
    most: usize,
    held: Mutex<HashMap<TenantId, usize, RandomState>>,
}

/// A part of what a tenant holds, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    tally: Arc<Tally>,
    tenant: TenantId,
    amount: usize,
}

impl Tally {
    /// Each tenant may hold `most`.
    pub fn new(most: usize) -> Self {
        Self { most, held: Mutex::default() }
    }

    /// A share, unless the tenant would hold more than it may.
    pub fn take(self: &Arc<Self>, tenant: &TenantId, amount: usize) -> Option<Share> {
        self.add(tenant, amount, self.most).then(|| self.share(tenant, amount))
    }

    /// A share, whatever the tenant holds: for what is in memory already, and cannot be refused.
    pub fn force(self: &Arc<Self>, tenant: &TenantId, amount: usize) -> Share {
        self.add(tenant, amount, usize::MAX);
        self.share(tenant, amount)
    }

    /// Whether the tenant holds less than it may.
    pub fn has_room(&self, tenant: &TenantId) -> bool {
        self.held(tenant) < self.most
    }

    /// The amount that a tenant holds.
    pub fn held(&self, tenant: &TenantId) -> usize {
        self.held.lock().get(tenant).copied().unwrap_or_default()
    }

    /// The amount that all tenants hold.
    pub fn all(&self) -> usize {
        self.held.lock().values().sum()
    }

    fn add(&self, tenant: &TenantId, amount: usize, most: usize) -> bool {
        let mut held = self.held.lock();
        let before = held.get(tenant).copied().unwrap_or_default();
        let after = before.saturating_add(amount);
        if after > most {
            return false;
        }
        match held.get_mut(tenant) {
            Some(known) => *known = after,
            None => drop(held.insert(tenant.clone(), after)),
        }
        true
    }

    fn share(self: &Arc<Self>, tenant: &TenantId, amount: usize) -> Share {
        Share { tally: Arc::clone(self), tenant: tenant.clone(), amount }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.tally.held.lock();
        let Some(known) = held.get_mut(&self.tenant) else { return };
        *known = known.saturating_sub(self.amount);
        if *known == 0 {
            held.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::Arc,
    };

    use bytes::Bytes;

    use super::Tally;
    use crate::budget::held;

    #[test]
    fn a_tenant_holds_no_more_than_it_may_and_another_has_as_much() {
        let tally = Arc::new(Tally::new(10));
        let (one, other) = ("one".into(), "other".into());
        let first = tally.take(&one, 6).unwrap();
        assert!(tally.take(&one, 5).is_none(), "it would hold 11");
        assert!(tally.has_room(&one));
        let second = tally.take(&one, 4).unwrap();
        assert!(!tally.has_room(&one) && tally.has_room(&other));
        assert!(tally.take(&other, 10).is_some());
        drop(first);
        assert_eq!(tally.held(&one), 4);
        drop(second);
        assert!(tally.held.lock().is_empty(), "nothing is known of tenants that hold nothing");
    }

    #[test]
    fn what_cannot_be_refused_counts_and_leaves_no_room_for_more() {
        let (tally, tenant) = (Arc::new(Tally::new(10)), "one".into());
        let forced = tally.force(&tenant, 25);
        assert!(tally.take(&tenant, 1).is_none() && !tally.has_room(&tenant));
        assert_eq!((tally.held(&tenant), tally.all()), (25, 25));
        drop(forced);
        assert!(tally.take(&tenant, 10).is_some());
    }

    #[test]
    fn a_share_is_given_back_by_a_panic_and_by_the_last_who_holds_its_bytes() {
        let (tally, tenant) = (Arc::new(Tally::new(10)), "one".into());
        let panics = catch_unwind(AssertUnwindSafe(|| {
            let _share = tally.take(&tenant, 10).unwrap();
            panic!("as it happens");
        }));
        assert!(panics.is_err());
        assert_eq!(tally.held(&tenant), 0);
        let bytes = held(Bytes::from_static(b"0123456789"), Arc::new(tally.take(&tenant, 10).unwrap()));
        let part = bytes.slice(3..5);
        drop(bytes);
        assert_eq!((&part[..], tally.held(&tenant)), (&b"34"[..], 10), "a part of them holds them all");
        drop(part);
        assert_eq!(tally.held(&tenant), 0);
    }
}
