//! Notes that deliveries could not be taken: what was not taken is to be asked for.

use std::collections::HashSet;

use mullion_schema::id::{IntegrationId, TenantId};
use parking_lot::Mutex;

/// What was refused since the last time that somebody looked.
#[derive(Debug, Default)]
pub struct Gaps(Mutex<Noted>);

/// Whose deliveries were refused.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// It could not be told whose.
    pub(super) any: bool,
    /// These.
    pub(super) of: HashSet<(TenantId, IntegrationId)>,
}

impl Gaps {
    /// A delivery was refused; `None`: it could not be told whose.
    pub fn note(&self, whose: Option<(&TenantId, &IntegrationId)>) {
        let mut noted = self.0.lock();
        match whose {
            Some((tenant, id)) => drop(noted.of.insert((tenant.clone(), id.clone()))),
            None => noted.any = true,
        }
    }

    /// Takes what was noted.
    pub(super) fn take(&self) -> Noted {
        std::mem::take(&mut *self.0.lock())
    }

    /// Puts back what nothing could be done about.
    pub(super) fn put_back(&self, noted: Noted) {
        let mut now = self.0.lock();
        now.any |= noted.any;
        now.of.extend(noted.of);
    }
}
