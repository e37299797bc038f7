//! Everything that is counted, in one registry, in the OpenMetrics text format.

use std::{sync::atomic::AtomicU64, time::Duration};

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::text::{encode, encode_registry},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::{
    labels::{
        CacheLabels, CallLabels, DeliveryLabels, ExecutionLabels, IntegrationLabels, RequestLabels, TransportLabels,
        WordLabels,
    },
    live::LiveMetrics,
    process::{self, ProcessMetrics},
    quota::QuotaMetrics,
    reconcile::ReconcileMetrics,
    tasks::TaskMetrics,
};

/// The results of a delivery: before its body was read, when it was received, and when it was processed.
const DELIVERY_RESULTS: [&str; 23] = [
    "too_large",
    "busy",
    "slow",
    "broken",
    "unknown",
    "accepted",
    "duplicate",
    "answered",
    "handshake",
    "bad_signature",
    "bad_timestamp",
    "not_json",
    "missing_event",
    "unsupported_type",
    "no_handshake",
    "failed",
    "applied",
    "ignored",
    "repeated",
    "retried",
    "lost",
    "parked",
    "overloaded",
];

/// The results of a call: an answer, or the kind of a failure.
const CALL_RESULTS: [&str; 13] = [
    "ok",
    "not_modified",
    "refused",
    "rate_limited",
    "auth_expired",
    "forbidden",
    "not_found",
    "rejected",
    "down",
    "timeout",
    "circuit_open",
    "address_refused",
    "internal",
];

/// A gauge of fractions: seconds.
pub type Seconds = Gauge<f64, AtomicU64>;

/// The metrics. Count on the fields; they are cheap to clone.
#[derive(Debug)]
pub struct Metrics {
    /// Webhook deliveries by result.
    pub deliveries: Family<DeliveryLabels, Counter>,
    /// Age of the oldest delivery that is not processed yet.
    pub inbox_lag: Seconds,
    /// Deliveries that share a transaction when they are stored.
    pub inbox_group: Histogram,
    /// How long it takes until such a transaction is on disk.
    pub inbox_flush: Histogram,
    /// Deliveries that wait to be applied.
    pub inbox_waiting: Gauge,
    /// Deliveries that were given up and wait for somebody to look at them.
    pub inbox_parked: Gauge,
    /// Bytes of acknowledged deliveries that lie in the log before the inbox.
    pub inbox_log: Gauge,
    /// Lanes of the inbox that this process works.
    pub inbox_lanes: Gauge,
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
    /// The rest of providers' quotas.
    pub quota: QuotaMetrics,
    /// 0 closed, 1 half open, 2 open.
    pub circuit_state: Family<IntegrationLabels, Gauge>,
    /// Cache look-ups by result.
    pub cache: Family<CacheLabels, Counter>,
    /// Words of providers that this version does not know, each time one is shown.
    pub unknown_words: Family<WordLabels, Counter>,
    /// How often the connection to NATS had to be made anew because its listener had ended.
    pub bus_restarts: Counter,
    /// How long requests take.
    pub request_latency: Family<RequestLabels, Histogram>,
    /// Sockets, subscriptions and their limits.
    pub live: LiveMetrics,
    /// Rounds of reconciliation, deliveries they recovered, and webhooks they repaired.
    pub reconcile: ReconcileMetrics,
    /// Background tasks and readiness.
    pub tasks: TaskMetrics,
    registry: Registry,
    process: ProcessMetrics,
}

fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            deliveries: Family::default(),
            inbox_lag: Seconds::default(),
            inbox_group: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            inbox_flush: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            inbox_waiting: Gauge::default(),
            inbox_parked: Gauge::default(),
            inbox_log: Gauge::default(),
            inbox_lanes: Gauge::default(),
            live_operations: Gauge::default(),
            executions: Family::default(),
            frames: Family::default(),
            open_sockets: Family::default(),
            provider_calls: Family::default(),
            provider_latency: Family::new_with_constructor(latency),
            quota: QuotaMetrics::default(),
            circuit_state: Family::default(),
            cache: Family::default(),
            unknown_words: Family::default(),
            bus_restarts: Counter::default(),
            request_latency: Family::new_with_constructor(latency),
            live: LiveMetrics::default(),
            reconcile: ReconcileMetrics::default(),
            tasks: TaskMetrics::default(),
            registry: Registry::with_prefix("mullion"),
            process: ProcessMetrics::default(),
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
        self.register_inbox();
        let registry = &mut self.registry;
        registry.register("live_operations", "Distinct live operations", self.live_operations.clone());
        let executions = "Executions by kind; an answer that was in memory or is shared is none, and a subscription's runs are `live`";
        registry.register("executions", executions, self.executions.clone());
        registry.register("frames", "Frames sent to subscribers", self.frames.clone());
        registry.register("open_sockets", "Open WebSockets and event streams", self.open_sockets.clone());
        registry.register("provider_calls", "Calls to providers by result", self.provider_calls.clone());
        let calls = "How long calls to providers take";
        registry.register_with_unit("provider_call", calls, Unit::Seconds, self.provider_latency.clone());
        self.quota.register(registry);
        let circuit = "Circuit breaker: 0 closed, 1 half open, 2 open";
        registry.register("circuit_state", circuit, self.circuit_state.clone());
        registry.register("cache_lookups", "Cache look-ups by result", self.cache.clone());
        let words = "Words of providers that this version does not know and that were shown as UNKNOWN";
        registry.register("unknown_words", words, self.unknown_words.clone());
        let restarts = "Connections to NATS that were made anew because the listener had ended";
        registry.register("bus_restarts", restarts, self.bus_restarts.clone());
        process::register_build(registry);
        let requests = "How long requests take";
        registry.register_with_unit("request", requests, Unit::Seconds, self.request_latency.clone());
        self.live.register(registry);
        self.reconcile.register(registry);
        self.tasks.register(registry);
    }

    /// Metrics whose series are there from the start, at zero: a counter that appears with its first event hides that event from
    /// rates and alerts. Series of integrations come with the integrations.
    pub fn with_providers<'a>(providers: impl IntoIterator<Item = &'a str>) -> Self {
        let metrics = Self::default();
        for provider in providers {
            for result in DELIVERY_RESULTS {
                let labels = DeliveryLabels { provider: provider.to_owned(), result: result.to_owned() };
                drop(metrics.deliveries.get_or_create(&labels));
            }
            metrics.reconcile.begin(provider);
            for result in CALL_RESULTS {
                let labels = CallLabels { provider: provider.to_owned(), result: result.to_owned() };
                drop(metrics.provider_calls.get_or_create(&labels));
                drop(metrics.provider_latency.get_or_create(&labels));
            }
        }
        for table in mullion_schema::providers::node_types() {
            for field in table.words() {
                drop(metrics.unknown_words.get_or_create(&WordLabels { type_name: table.name, field }));
            }
        }
        for transport in ["websocket", "event_stream", "multipart"] {
            drop(metrics.frames.get_or_create(&TransportLabels { transport }));
            drop(metrics.open_sockets.get_or_create(&TransportLabels { transport }));
        }
        for kind in ["query", "mutation", "subscription", "live"] {
            drop(metrics.executions.get_or_create(&ExecutionLabels { kind }));
        }
        for cache in ["document", "response"] {
            for result in ["hit", "miss"] {
                drop(metrics.cache.get_or_create(&CacheLabels { cache, result }));
            }
        }
        for route in ["/graphql", "/graphql/stream", "/webhooks/{provider}/{endpoint}"] {
            drop(metrics.request_latency.get_or_create(&RequestLabels { route: route.to_owned(), status: 200 }));
        }
        metrics
    }

    /// Shows how many lines of the log were dropped.
    pub fn show_dropped_lines(&mut self, dropped: Counter) {
        let help = "Lines of the log that were dropped because standard error did not take them";
        self.registry.register("log_lines_dropped", help, dropped);
    }

    /// Shows how many spans of traces were dropped.
    pub fn show_dropped_spans(&mut self, dropped: Counter) {
        let help = "Spans of traces that were dropped because the collector did not take them";
        self.registry.register("trace_spans_dropped", help, dropped);
    }

    fn register_inbox(&mut self) {
        let registry = &mut self.registry;
        let group = "Deliveries that were stored in one transaction";
        registry.register("inbox_group", group, self.inbox_group.clone());
        let flush = "How long it took until such a transaction was on disk";
        registry.register_with_unit("inbox_flush", flush, Unit::Seconds, self.inbox_flush.clone());
        registry.register("inbox_waiting", "Deliveries that wait to be applied", self.inbox_waiting.clone());
        let parked = "Deliveries that were given up: see `mullion webhooks list --state parked`";
        registry.register("inbox_parked", parked, self.inbox_parked.clone());
        let log = "Acknowledged deliveries, packed, that the database has not taken yet";
        registry.register_with_unit("inbox_log", log, Unit::Bytes, self.inbox_log.clone());
        registry.register("inbox_lanes", "Lanes of the inbox that this process works", self.inbox_lanes.clone());
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

    /// Counts a word of a provider that is not known.
    pub fn unknown_word(&self, type_name: &'static str, field: &'static str) {
        self.unknown_words.get_or_create(&WordLabels { type_name, field }).inc();
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

    /// Notes when the process started.
    pub fn process_started(&self, at: DateTime<Utc>) {
        let since = Duration::from_millis(u64::try_from(at.timestamp_millis()).unwrap_or(0));
        self.process.started.set(since.as_secs_f64());
    }

    /// Everything, as text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // The last one writes the end of the text, too.
        let written =
            encode_registry(&mut text, &self.process.registry).and_then(|()| encode(&mut text, &self.registry));
        if written.is_err() {
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
    fn every_series_that_is_known_is_there_from_the_start() {
        let text = Metrics::with_providers(["github", "slack"]).encode();
        for expected in [
            "mullion_deliveries_total{provider=\"github\",result=\"accepted\"} 0",
            "mullion_deliveries_total{provider=\"slack\",result=\"bad_signature\"} 0",
            "mullion_deliveries_total{provider=\"slack\",result=\"applied\"} 0",
            "mullion_inbox_lag_seconds 0",
            "mullion_live_operations 0",
            "mullion_executions_total{kind=\"live\"} 0",
            "mullion_frames_total{transport=\"event_stream\"} 0",
            "mullion_open_sockets{transport=\"websocket\"} 0",
            "mullion_provider_calls_total{provider=\"slack\",result=\"timeout\"} 0",
            "mullion_provider_call_seconds_count{provider=\"github\",result=\"ok\"} 0",
            "mullion_cache_lookups_total{cache=\"response\",result=\"hit\"} 0",
            "mullion_unknown_words_total{type_name=\"GithubWorkflowRun\",field=\"status\"} 0",
            "mullion_unknown_words_total{type_name=\"GithubIssue\",field=\"state\"} 0",
            "mullion_request_seconds_count{route=\"/graphql\",status=\"200\"} 0",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn every_result_of_a_call_has_its_series() {
        use mullion_resolvers::upstream::UpstreamErrorKind::{
            AddressRefused, AuthExpired, CircuitOpen, Down, Forbidden, Internal, NotFound, RateLimited, Rejected,
            Timeout,
        };
        for kind in [
            RateLimited,
            AuthExpired,
            Forbidden,
            NotFound,
            Rejected,
            Down,
            Timeout,
            CircuitOpen,
            AddressRefused,
            Internal,
        ] {
            assert!(super::CALL_RESULTS.contains(&<&'static str>::from(kind)), "{kind:?}");
        }
    }

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
