//! Bytes of bodies in memory, over all requests of a kind: without a bound, many small limits add up to the whole memory. And a share of
//! them for each holder, a tenant or an endpoint of webhooks, because otherwise one that sends bodies without an end would take the
//! room of all others.
//!
//! Most bodies are small and there is room: they cost one counter. Those of any holder may take the first half. Beyond it, and for
//! whatever a large body takes, each holder has its share.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

/// Up to so many bytes a body is small.
pub(super) const SMALL: usize = 64 << 10;
/// The parts into which the room is divided: the share of a holder is one of them.
const PARTS: usize = 4;

/// Bytes of bodies that may be in memory at a time.
#[derive(Debug)]
pub struct Budget {
    total: usize,
    left: AtomicUsize,
    /// The bytes of each holder that count toward its share, by the holder's hash.
    held: Mutex<HashMap<u64, usize>>,
    hasher: RandomState,
}

/// A part of the budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    holder: u64,
    /// The most that may count for the holder.
    most: usize,
    bytes: usize,
    /// Those of them that count for the holder.
    counted: usize,
}

impl Budget {
    /// A budget of `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { total: bytes, left: AtomicUsize::new(bytes), held: Mutex::default(), hasher: RandomState::new() }
    }

    /// Takes bytes, if so many are left then.
    fn take(&self, bytes: usize, keep: usize) -> bool {
        let rest = |left: usize| left.checked_sub(bytes).filter(|left| *left >= keep);
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, rest).is_ok()
    }

    /// Counts bytes for a holder, if it has no more than `most` then.
    fn count(&self, holder: u64, bytes: usize, most: usize) -> bool {
        let mut held = self.held.lock();
        let after = held.get(&holder).copied().unwrap_or_default().saturating_add(bytes);
        let fits = after <= most;
        if fits {
            held.insert(holder, after);
        }
        fits
    }

    fn discount(&self, holder: u64, bytes: usize) {
        let mut held = self.held.lock();
        let Some(known) = held.get_mut(&holder) else { return };
        *known = known.saturating_sub(bytes);
        if *known == 0 {
            held.remove(&holder);
        }
    }
}

impl Share {
    /// Nothing yet, for one body of at most `largest` bytes. A holder always has room for one, where there is room at all.
    pub(crate) fn none(budget: &Arc<Budget>, holder: &str, largest: usize) -> Self {
        let most = (budget.total / PARTS).max(largest);
        Self { holder: budget.hasher.hash_one(holder), budget: Arc::clone(budget), most, bytes: 0, counted: 0 }
    }

    /// Grows to `bytes`; `false` when the budget is spent, or the holder's share of it.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if bytes <= SMALL && self.budget.take(more, self.budget.total / 2) {
            self.bytes += more;
            return true;
        }
        if !self.budget.count(self.holder, more, self.most) {
            return false;
        }
        self.counted += more;
        let taken = self.budget.take(more, 0);
        if taken {
            self.bytes += more;
        }
        taken
    }

    /// Gives everything back.
    pub(crate) fn give_back(&mut self) {
        self.budget.left.fetch_add(std::mem::take(&mut self.bytes), Ordering::AcqRel);
        let counted = std::mem::take(&mut self.counted);
        if counted > 0 {
            self.budget.discount(self.holder, counted);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering};

    use super::{Budget, SMALL, Share};

    const TOTAL: usize = 64 * SMALL;

    /// Bodies of one holder, as many as find room.
    fn fill(budget: &Arc<Budget>, holder: &str, size: usize) -> Vec<Share> {
        let share = || {
            let mut share = Share::none(budget, holder, 4 * SMALL);
            share.grow_to(size).then_some(share)
        };
        std::iter::from_fn(share).collect()
    }

    #[test]
    fn a_holder_that_takes_all_it_gets_leaves_room_for_others() {
        for (size, most) in [(SMALL, 48), (2 * SMALL, 8), (1, 48 * SMALL)] {
            let budget = Arc::new(Budget::new(TOTAL));
            let evil = fill(&budget, "evil", size);
            assert_eq!(evil.len(), most, "{size}");
            for other in [SMALL, 4 * SMALL] {
                assert!(Share::none(&budget, "other", 4 * SMALL).grow_to(other), "{size}");
            }
            drop(evil);
            assert_eq!(budget.left.load(Ordering::Acquire), TOTAL);
            assert!(budget.held.lock().is_empty(), "nothing is known of holders that hold nothing");
        }
    }

    #[test]
    fn all_holders_together_have_no_more_than_all_and_each_has_room_for_one_body() {
        let budget = Arc::new(Budget::new(TOTAL));
        let all: Vec<_> = (0..10).flat_map(|holder| fill(&budget, &holder.to_string(), 2 * SMALL)).collect();
        assert_eq!(all.len(), 32);
        assert!(!Share::none(&budget, "late", SMALL).grow_to(1));
        drop(all);
        assert!(Share::none(&budget, "large", TOTAL).grow_to(TOTAL));
    }
}
