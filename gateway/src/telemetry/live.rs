//! Metrics of sockets and subscriptions: how much is open, what the limits are, and how often they were met.

use mullion_resolvers::budget::Budget;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::config::{Limits, Live};

/// A limit of live operations, as its setting is called without `max_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `max_sockets`
    Sockets,
    /// `max_sockets_per_tenant`
    TenantSockets,
    /// `max_operations_per_socket`
    Operations,
    /// `max_queued_bytes`
    QueuedBytes,
    /// No byte was taken from one ping to the next.
    Stalled,
    /// `max_messages_per_second`
    Messages,
    /// `max_message_bytes`
    MessageBytes,
    /// `init_timeout_milliseconds`
    InitTimeout,
    /// A budget of a tenant that executions or subscriptions have used up.
    Budget(Budget),
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::TenantSockets => "sockets_per_tenant",
            Self::Operations => "operations_per_socket",
            Self::QueuedBytes => "queued_bytes",
            Self::Stalled => "stalled",
            Self::Messages => "messages_per_second",
            Self::MessageBytes => "message_bytes",
            Self::InitTimeout => "init_timeout_milliseconds",
            Self::Budget(budget) => budget.name(),
        }
    }
}

/// By limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LimitLabels {
    /// As the setting is called, without `max_`.
    pub limit: &'static str,
}

/// By close code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CloseLabels {
    /// The code.
    pub code: u16,
}

/// The metrics of sockets and subscriptions.
#[derive(Debug, Default)]
pub struct LiveMetrics {
    /// Running operations of all WebSockets.
    pub socket_operations: Gauge,
    /// Bytes that clients of WebSockets have not taken yet.
    pub queued_bytes: Gauge,
    /// WebSockets that were closed by us.
    pub closes: Family<CloseLabels, Counter>,
    limits: Family<LimitLabels, Gauge>,
    hits: Family<LimitLabels, Counter>,
}

impl LiveMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let operations = "Running operations of all WebSockets";
        registry.register("socket_operations", operations, self.socket_operations.clone());
        let queued = "Bytes that clients of WebSockets have not taken yet";
        registry.register("socket_queued_bytes", queued, self.queued_bytes.clone());
        registry.register("socket_closes", "WebSockets that were closed by us", self.closes.clone());
        registry.register("live_limit", "Limits of live operations, as they are set", self.limits.clone());
        registry.register("live_limit_hits", "How often a limit was met", self.hits.clone());
    }

    /// Shows the limits beside what they limit.
    pub fn show_limits(&self, live: &Live, limits: &Limits) {
        let known = [
            (Limit::Sockets, live.max_sockets as u64),
            (Limit::TenantSockets, live.max_sockets_per_tenant as u64),
            (Limit::Operations, live.max_operations_per_socket as u64),
            (Limit::QueuedBytes, live.max_queued_bytes as u64),
            (Limit::Messages, u64::from(live.max_messages_per_second)),
            (Limit::MessageBytes, live.max_message_bytes as u64),
            (Limit::InitTimeout, live.init_timeout_milliseconds),
            (Limit::Budget(Budget::Operations), live.max_operations_per_tenant as u64),
            (Limit::Budget(Budget::Subscriptions), live.max_subscriptions_per_tenant as u64),
            (Limit::Budget(Budget::HeldBytes), limits.max_held_bytes_per_tenant as u64),
            (Limit::Budget(Budget::Time), limits.max_processor_seconds_per_minute),
        ];
        for (limit, value) in known {
            let gauge = self.limits.get_or_create(&LimitLabels { limit: limit.name() }).clone();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// Counts a limit that was met.
    pub fn hit(&self, limit: Limit) {
        self.hits.get_or_create(&LimitLabels { limit: limit.name() }).inc();
    }

    /// Counts a close.
    pub fn closed(&self, code: u16) {
        self.closes.get_or_create(&CloseLabels { code }).inc();
    }
}
