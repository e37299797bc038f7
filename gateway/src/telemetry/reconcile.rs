//! Metrics of reconciliation: rounds, what had not come, webhooks that were repaired.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

const ROUNDS: [&str; 3] = ["complete", "partial", "failed"];
const REPAIRS: [&str; 2] = ["repaired", "failed"];

/// The labels of a count: provider and result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    provider: String,
    result: String,
}

/// Counted by provider.
#[derive(Debug, Default)]
pub struct ReconcileMetrics {
    rounds: Family<ResultLabels, Counter>,
    recovered: Family<ResultLabels, Counter>,
    repairs: Family<ResultLabels, Counter>,
}

impl ReconcileMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let rounds = "Looks at integrations for what webhooks did not tell, by result";
        registry.register("reconcile_rounds", rounds, self.rounds.clone());
        let recovered = "Deliveries that did not come and were asked for";
        registry.register("reconcile_recovered", recovered, self.recovered.clone());
        let repairs = "Webhooks that the provider had disabled or deleted, by what came of their repair";
        registry.register("webhook_repairs", repairs, self.repairs.clone());
    }

    /// The series of a provider are there from the start.
    pub(super) fn begin(&self, provider: &str) {
        for result in ROUNDS {
            drop(self.rounds.get_or_create(&labels(provider, result)));
        }
        for result in REPAIRS {
            drop(self.repairs.get_or_create(&labels(provider, result)));
        }
        drop(self.recovered.get_or_create(&labels(provider, "recovered")));
    }

    /// Counts a round.
    pub fn round(&self, provider: &str, result: &str) {
        self.rounds.get_or_create(&labels(provider, result)).inc();
    }

    /// Counts what had not come.
    pub fn recovered(&self, provider: &str, deliveries: usize) {
        self.recovered.get_or_create(&labels(provider, "recovered")).inc_by(deliveries as u64);
    }

    /// Counts a webhook that was not in order.
    pub fn repaired(&self, provider: &str, result: &str) {
        self.repairs.get_or_create(&labels(provider, result)).inc();
    }
}

fn labels(provider: &str, result: &str) -> ResultLabels {
    ResultLabels { provider: provider.to_owned(), result: result.to_owned() }
}
