//! Everything that is counted, in one registry, in the OpenMetrics text format.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::live::LiveMetrics;

/// A delivery, by what came of it: `stored`, `duplicate`, `ignored`, `rejected`, …
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeliveryLabels {
    /// The provider.
    pub provider: String,
    /// What came of it.
    pub result: String,
}

/// A call to a provider, by what came of it: `ok`, `not_modified`, `rate_limited`, `error`, `timeout`, …
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The provider.
    pub provider: String,
    /// What came of it.
    pub result: String,
}

/// An integration: its id is no secret, its name is not told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct IntegrationLabels {
    /// The provider.
    pub provider: String,
    /// The integration's id.
    pub integration: String,
    /// Of a quota: which one; empty otherwise.
    pub bucket: String,
}

/// A cache look-up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CacheLabels {
    /// `document`, `response`, `node`.
    pub cache: &'static str,
    /// `hit`, `miss`, `shared`.
    pub result: &'static str,
}

/// A request over HTTP; the route is its pattern, never its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `/graphql`
    pub route: String,
    /// The status.
    pub status: u16,
}

/// By transport: `websocket`, `event_stream`, `multipart`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransportLabels {
    /// The transport.
    pub transport: &'static str,
}

/// By kind: `query`, `mutation`, `subscription`, `live`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExecutionLabels {
    /// The kind.
    pub kind: &'static str,
}

/// A gauge of fractions: seconds.
pub type Seconds = Gauge<f64, AtomicU64>;

/// The metrics. Count on the fields; they are cheap to clone.
#[derive(Debug)]
pub struct Metrics {
    /// Webhook deliveries by result.
    pub deliveries: Family<DeliveryLabels, Counter>,
    /// Age of the oldest delivery that is not processed yet.
    pub inbox_lag: Seconds,
    /// Distinct live operations.
    pub live_operations: Gauge,
    /// Executions by kind.
    pub executions: Family<ExecutionLabels, Counter>,
    /// Frames sent to subscribers.
    pub frames: Family<TransportLabels, Counter>,
    /// Open WebSockets and event streams.
    pub open_sockets: Family<TransportLabels, Gauge>,
    /// Calls to providers by result.
    pub provider_calls: Family<CallLabels, Counter>,
    /// How long calls to providers take.
    pub provider_latency: Family<CallLabels, Histogram>,
    /// What is left of a provider's quota.
    pub quota_remaining: Family<IntegrationLabels, Gauge>,
    /// 0 closed, 1 half open, 2 open.
    pub circuit_state: Family<IntegrationLabels, Gauge>,
    /// Cache look-ups by result.
    pub cache: Family<CacheLabels, Counter>,
    /// How long requests take.
    pub request_latency: Family<RequestLabels, Histogram>,
    /// Sockets, subscriptions and their limits.
    pub live: LiveMetrics,
    registry: Registry,
}

fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            deliveries: Family::default(),
            inbox_lag: Seconds::default(),
            live_operations: Gauge::default(),
            executions: Family::default(),
            frames: Family::default(),
            open_sockets: Family::default(),
            provider_calls: Family::default(),
            provider_latency: Family::new_with_constructor(latency),
            quota_remaining: Family::default(),
            circuit_state: Family::default(),
            cache: Family::default(),
            request_latency: Family::new_with_constructor(latency),
            live: LiveMetrics::default(),
            registry: Registry::with_prefix("mullion"),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("deliveries", "Webhook deliveries by result", self.deliveries.clone());
        let lag = "Age of the oldest delivery that is not processed yet";
        registry.register_with_unit("inbox_lag", lag, Unit::Seconds, self.inbox_lag.clone());
        registry.register("live_operations", "Distinct live operations", self.live_operations.clone());
        registry.register("executions", "Executions by kind", self.executions.clone());
        registry.register("frames", "Frames sent to subscribers", self.frames.clone());
        registry.register("open_sockets", "Open WebSockets and event streams", self.open_sockets.clone());
        registry.register("provider_calls", "Calls to providers by result", self.provider_calls.clone());
        let calls = "How long calls to providers take";
        registry.register_with_unit("provider_call", calls, Unit::Seconds, self.provider_latency.clone());
        registry.register("quota_remaining", "What is left of a provider's quota", self.quota_remaining.clone());
        let circuit = "Circuit breaker: 0 closed, 1 half open, 2 open";
        registry.register("circuit_state", circuit, self.circuit_state.clone());
        registry.register("cache_lookups", "Cache look-ups by result", self.cache.clone());
        let requests = "How long requests take";
        registry.register_with_unit("request", requests, Unit::Seconds, self.request_latency.clone());
        self.live.register(registry);
    }

    /// Counts a webhook delivery.
    pub fn delivery(&self, provider: &str, result: &str) {
        let labels = DeliveryLabels { provider: provider.to_owned(), result: result.to_owned() };
        self.deliveries.get_or_create(&labels).inc();
    }

    /// Counts a call to a provider.
    pub fn provider_call(&self, provider: &str, result: &str, took: Duration) {
        let labels = CallLabels { provider: provider.to_owned(), result: result.to_owned() };
        self.provider_calls.get_or_create(&labels).inc();
        self.provider_latency.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// The counter of frames to subscribers; a socket keeps it, so that a frame costs one addition.
    pub fn frames(&self, transport: &'static str) -> Counter {
        self.frames.get_or_create(&TransportLabels { transport }).clone()
    }

    /// Counts an execution.
    pub fn execution(&self, kind: &'static str) {
        self.executions.get_or_create(&ExecutionLabels { kind }).inc();
    }

    /// Counts a look-up in a cache.
    pub fn cache_lookup(&self, cache: &'static str, result: &'static str) {
        self.cache.get_or_create(&CacheLabels { cache, result }).inc();
    }

    /// Counts a socket while the guard lives.
    pub fn socket(&self, transport: &'static str) -> OpenSocket {
        let gauge = self.open_sockets.get_or_create(&TransportLabels { transport }).clone();
        gauge.inc();
        OpenSocket(gauge)
    }

    /// Everything, as text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

/// A socket that is open.
#[derive(Debug)]
pub struct OpenSocket(Gauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Metrics;

    #[test]
    fn every_family_has_its_name() {
        let metrics = Metrics::default();
        metrics.delivery("github", "stored");
        metrics.provider_call("github", "ok", Duration::from_millis(3));
        let open = metrics.socket("websocket");
        let text = metrics.encode();
        for expected in [
            "mullion_deliveries_total{provider=\"github\",result=\"stored\"} 1",
            "mullion_provider_call_seconds_count{provider=\"github\",result=\"ok\"} 1",
            "mullion_open_sockets{transport=\"websocket\"} 1",
            "mullion_inbox_lag_seconds 0",
            "# TYPE mullion_provider_call_seconds histogram",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        drop(open);
        assert!(metrics.encode().contains("mullion_open_sockets{transport=\"websocket\"} 0"));
    }
}
