//! Counts everything that the resolvers report.

use std::{sync::Arc, time::Duration};

use mullion_resolvers::{
    budget::Budget,
    execution::Observe,
    inbox::InboxObserver,
    listen::SocketObserver,
    reconcile::ReconcileObserver,
    upstream::{CallReport, CircuitState, Observer, QuotaReading},
};
use mullion_schema::{id::IntegrationId, ports::UnknownWords};

use super::{labels::IntegrationLabels, live::Limit, metrics::Metrics};

/// Everything that the resolvers report, counted.
pub struct Counters {
    metrics: Arc<Metrics>,
}

impl Counters {
    /// Counters over the metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Observe for Counters {
    fn executed(&self, kind: &'static str) {
        self.metrics.execution(kind);
    }

    fn looked_up(&self, result: &'static str) {
        self.metrics.cache_lookup("response", result);
    }

    fn over_budget(&self, budget: Budget) {
        self.metrics.live.hit(Limit::Budget(budget));
    }
}

impl InboxObserver for Counters {
    fn settled(&self, provider: &str, result: &'static str) {
        self.metrics.delivery(provider, result);
    }

    fn flushed(&self, deliveries: usize, took: Duration) {
        self.metrics.inbox_group.observe(u32::try_from(deliveries).map_or(f64::MAX, f64::from));
        self.metrics.inbox_flush.observe(took.as_secs_f64());
    }

    fn held(&self, lanes: usize) {
        self.metrics.inbox_lanes.set(i64::try_from(lanes).unwrap_or(i64::MAX));
    }
}

impl SocketObserver for Counters {
    fn heard(&self, provider: &'static str, result: &'static str) {
        self.metrics.delivery(provider, result);
    }
}

impl Observer for Counters {
    fn call(&self, call: &CallReport<'_>) {
        self.metrics.provider_call(call.provider, call.result, call.took);
    }

    fn quota(&self, provider: &'static str, integration: &IntegrationId, quota: &QuotaReading) {
        if let Some(remaining) = quota.remaining {
            self.metrics.quota.told(&labels(provider, quota.bucket, integration), remaining, quota.resets_at);
        }
    }

    fn circuit(&self, provider: &'static str, integration: &IntegrationId, state: CircuitState) {
        let value = match state {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen => 1,
            CircuitState::Open => 2,
        };
        self.metrics.circuit_state.get_or_create(&labels(provider, "", integration)).set(value);
    }
}

impl UnknownWords for Counters {
    fn shown(&self, type_name: &'static str, field: &'static str) {
        self.metrics.unknown_word(type_name, field);
    }
}

impl ReconcileObserver for Counters {
    fn round(&self, provider: &str, result: &'static str) {
        self.metrics.reconcile.round(provider, result);
    }

    fn recovered(&self, provider: &str, deliveries: usize) {
        self.metrics.reconcile.recovered(provider, deliveries);
    }

    fn repaired(&self, provider: &str, result: &'static str) {
        self.metrics.reconcile.repaired(provider, result);
    }
}

fn labels(provider: &str, bucket: &str, integration: &IntegrationId) -> IntegrationLabels {
    IntegrationLabels {
        provider: provider.to_owned(),
        integration: integration.as_str().to_owned(),
        bucket: bucket.to_owned(),
    }
}
