//! Admission: open sockets and streams of the process and of each tenant, counted while they are open.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use axum::response::Response;
use mullion_schema::id::TenantId;
use parking_lot::Mutex;

use super::negotiate::Media;
use crate::{
    config::Live,
    operation::errors::RequestError,
    telemetry::{
        live::Limit,
        metrics::{Metrics, OpenSocket},
    },
};

/// When a client that found no place may ask again.
const RETRY_AFTER: u32 = 5;
/// However few clients there are, they come back over this time.
const SHORTEST_SPREAD: u64 = 500;

/// The places for sockets and streams.
pub struct Admission {
    max: usize,
    max_of_tenant: usize,
    reconnects_per_second: u64,
    /// Milliseconds over which clients are asked to come back; decided once, when the first is told.
    spread: OnceLock<u64>,
    metrics: Arc<Metrics>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// A place; free again when it is dropped.
pub struct Place {
    admission: Arc<Admission>,
    tenant: Option<TenantId>,
    _open: OpenSocket,
}

impl Admission {
    /// As many places as the settings say.
    pub fn new(live: &Live, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            max: live.max_sockets,
            max_of_tenant: live.max_sockets_per_tenant,
            reconnects_per_second: live.reconnects_per_second.into(),
            spread: OnceLock::new(),
            metrics,
            taken: Mutex::default(),
        })
    }

    /// A place for a socket whose tenant is not known yet; `None` when all are taken.
    pub fn enter(self: &Arc<Self>, transport: &'static str) -> Option<Place> {
        let mut taken = self.taken.lock();
        if taken.all >= self.max {
            self.metrics.live.hit(Limit::Sockets);
            return None;
        }
        taken.all += 1;
        Some(Place { admission: Arc::clone(self), tenant: None, _open: self.metrics.socket(transport) })
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.taken.lock().all
    }

    /// When a client may come back after the process has ended: at random, so that not all come at once.
    pub fn retry_after_milliseconds(&self) -> u64 {
        let spread = self.spread.get_or_init(|| self.spread_now());
        rand::random_range(0..=*spread)
    }

    /// When a client whose subscription is interrupted may come again, while the process goes on: at random, too.
    pub fn come_again_milliseconds(&self) -> u64 {
        rand::random_range(0..=self.spread_now())
    }

    fn spread_now(&self) -> u64 {
        let open = u64::try_from(self.open()).unwrap_or(u64::MAX);
        (open.saturating_mul(1_000) / self.reconnects_per_second.max(1)).max(SHORTEST_SPREAD)
    }
}

impl Place {
    /// Counts the place among its tenant's; false when the tenant has no more.
    pub fn belongs_to(&mut self, tenant: &TenantId) -> bool {
        let mut taken = self.admission.taken.lock();
        let of_tenant = taken.by_tenant.entry(tenant.clone()).or_default();
        if *of_tenant >= self.admission.max_of_tenant {
            self.admission.metrics.live.hit(Limit::TenantSockets);
            return false;
        }
        *of_tenant += 1;
        self.tenant = Some(tenant.clone());
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.admission.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        let Some(tenant) = &self.tenant else { return };
        if let Some(of_tenant) = taken.by_tenant.get_mut(tenant) {
            *of_tenant = of_tenant.saturating_sub(1);
            if *of_tenant == 0 {
                taken.by_tenant.remove(tenant);
            }
        }
    }
}

/// The answer to a request that finds no place, whatever it asked for.
pub fn full(request_id: &str) -> Response {
    let error = RequestError::unavailable("too many open sockets: try again later", RETRY_AFTER);
    Media::Json.refused(&error.of_request(request_id))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Admission;
    use crate::{config::Live, telemetry::metrics::Metrics};

    #[test]
    fn places_are_counted_in_all_and_for_each_tenant_and_are_free_again() {
        let metrics = Arc::new(Metrics::default());
        let live = Live { max_sockets: 3, max_sockets_per_tenant: 2, ..Live::default() };
        let admission = Admission::new(&live, Arc::clone(&metrics));
        let enter = || admission.enter("websocket");
        let (mut a, mut b, mut c) = (enter().unwrap(), enter().unwrap(), enter().unwrap());
        assert!(enter().is_none());
        assert!(a.belongs_to(&"one".into()) && b.belongs_to(&"one".into()));
        assert!(!c.belongs_to(&"one".into()), "the third of the same tenant");
        drop(a);
        assert!(c.belongs_to(&"one".into()) && enter().is_some());
        drop((b, c));
        assert_eq!(admission.open(), 0);
        assert!(admission.taken.lock().by_tenant.is_empty());
        let text = metrics.encode();
        for expected in ["{limit=\"sockets\"} 1", "{limit=\"sockets_per_tenant\"} 1"] {
            assert!(text.contains(&format!("mullion_live_limit_hits_total{expected}")), "{text}");
        }
    }
}
