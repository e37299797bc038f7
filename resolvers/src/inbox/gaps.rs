//! Notes that deliveries could not be taken: what was not taken is to be asked for.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use mullion_schema::id::{IntegrationId, TenantId};
use parking_lot::Mutex;

/// The gaps since somebody last looked: refused deliveries, and whether a process has gone.
#[derive(Debug, Default)]
pub struct Gaps {
    refused: Mutex<Noted>,
    departed: AtomicBool,
}

/// The integrations whose deliveries were refused.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// Whether there was one of which the integration could not be told.
    pub(crate) any: bool,
    /// These.
    pub(crate) of: HashSet<(TenantId, IntegrationId)>,
}

impl Gaps {
    /// A delivery was refused; `None`: it could not be told whose.
    pub fn note(&self, whose: Option<(&TenantId, &IntegrationId)>) {
        let mut noted = self.refused.lock();
        match whose {
            Some((tenant, id)) => drop(noted.of.insert((tenant.clone(), id.clone()))),
            None => noted.any = true,
        }
    }

    /// Another process that took deliveries has gone. Those on their way to it may be lost: proxies do not send a POST again.
    pub fn note_departure(&self) {
        self.departed.store(true, Ordering::Release);
    }

    /// Whether another process has gone since the last call.
    pub(crate) fn take_departure(&self) -> bool {
        self.departed.swap(false, Ordering::AcqRel)
    }

    /// Takes what was noted.
    pub(crate) fn take(&self) -> Noted {
        std::mem::take(&mut *self.refused.lock())
    }

    /// Puts back what nothing could be done about.
    pub(crate) fn put_back(&self, noted: Noted) {
        let mut now = self.refused.lock();
        now.any |= noted.any;
        now.of.extend(noted.of);
    }
}
