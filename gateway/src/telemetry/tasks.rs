//! Metrics of background tasks and of readiness: how often a task ended unexpectedly, and which checks fail.

use mullion_resolvers::supervisor::TaskObserver;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// By task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: &'static str,
}

/// By check.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    check: &'static str,
}

/// Counted by task and check.
#[derive(Debug, Clone, Default)]
pub struct TaskMetrics {
    restarts: Family<TaskLabels, Counter>,
    checks: Family<CheckLabels, Gauge>,
}

impl TaskMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let restarts = "Background tasks that panicked or ended unexpectedly and were started again";
        registry.register("task_restarts", restarts, self.restarts.clone());
        let checks = "Checks of readiness: 1 is well, 0 fails";
        registry.register("readiness_check", checks, self.checks.clone());
    }

    /// Shows how a check does.
    pub fn check(&self, check: &'static str, is_well: bool) {
        self.checks.get_or_create(&CheckLabels { check }).set(i64::from(is_well));
    }
}

impl TaskObserver for TaskMetrics {
    fn begun(&self, task: &'static str) {
        drop(self.restarts.get_or_create(&TaskLabels { task }));
    }

    fn ended(&self, task: &'static str) {
        self.restarts.get_or_create(&TaskLabels { task }).inc();
    }
}
