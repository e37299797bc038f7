//! The bytes of answers, counted while anybody holds them.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use mullion_schema::id::TenantId;
use parking_lot::Mutex;

use super::{Share, Tally};

/// Bytes that count as their tenant's until nobody holds them any more: no live operation, no outbox, no connection.
struct Held {
    bytes: Bytes,
    _share: Arc<Share>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that count as held while they or a part of them are in memory.
pub(crate) fn held(bytes: Bytes, share: Arc<Share>) -> Bytes {
    Bytes::from_owner(Held { bytes, _share: share })
}

/// An answer that many may be sent at a time: it is in memory once and counts once, from the first who is sent it to the last. While
/// it lies in the response cache only, it counts as the cache's.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedAnswer {
    bytes: Bytes,
    share: Arc<Mutex<Weak<Share>>>,
}

impl SharedAnswer {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, share: Arc::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes for one who is sent them; `None`: the tenant would hold more than it may.
    pub(crate) fn to_send(&self, tenant: &TenantId, tally: &Arc<Tally>) -> Option<Bytes> {
        self.counted(|| tally.take(tenant, self.bytes.len()))
    }

    /// The bytes for one who is sent them, whatever the tenant holds: they are in memory anyway.
    pub(crate) fn to_send_anyway(&self, tenant: &TenantId, tally: &Arc<Tally>) -> Bytes {
        self.counted(|| Some(tally.force(tenant, self.bytes.len()))).unwrap_or_default()
    }

    fn counted(&self, count: impl FnOnce() -> Option<Share>) -> Option<Bytes> {
        let mut known = self.share.lock();
        let share = if let Some(share) = known.upgrade() {
            share
        } else {
            let share = Arc::new(count()?);
            *known = Arc::downgrade(&share);
            share
        };
        drop(known);
        Some(held(self.bytes.clone(), share))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::SharedAnswer;
    use crate::budget::Tally;

    #[test]
    fn an_answer_counts_once_however_many_are_sent_it_and_no_longer_than_they_hold_it() {
        let (tally, tenant) = (Arc::new(Tally::new(10)), "one".into());
        let answer = SharedAnswer::new("0123456".into());
        let sent: Vec<_> = (0..50).map(|_| answer.to_send(&tenant, &tally).unwrap()).collect();
        assert!(sent.iter().all(|bytes| bytes == "0123456"));
        assert_eq!(tally.held(&tenant), 7);
        let another = SharedAnswer::new("7654".into());
        assert!(another.to_send(&tenant, &tally).is_none(), "it would hold 11");
        assert_eq!(another.to_send_anyway(&tenant, &tally), "7654");
        drop(sent);
        assert_eq!(tally.held(&tenant), 0, "it is only kept");
        assert!(answer.to_send(&tenant, &tally).is_some() && another.to_send(&tenant, &tally).is_some());
    }
}
