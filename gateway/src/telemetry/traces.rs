//! Traces: the spans of the log, sent to an OpenTelemetry collector (OTLP over HTTP) where the settings name one. A span that has
//! ended is handed to a bounded queue, which one background task empties: a collector that is slow or away costs spans, which are
//! counted, and nothing else. (The library's own batches are sent by a thread that cannot use our HTTP client, and what they drop is
//! not counted.)

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use mullion_resolvers::upstream;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, TracerProvider as _},
};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::EnvResourceDetector,
    trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor},
};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::config::Telemetry;

/// Spans that may wait to be sent.
const WAITING: usize = 4_096;
/// Spans that are sent together.
const TOGETHER: usize = 512;
/// How long the first of them waits for others.
const GATHERING: Duration = Duration::from_secs(1);
/// How long the collector may take to answer, with all tries.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// Spans that last as long as the process, a socket or a subscription. A trace begins within them, and would otherwise never end.
const LASTING: [&str; 3] = ["task", "live_operation", "socket"];

/// Makes spans of traces from those of the log.
type SpanLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Sends spans to the collector.
#[derive(Clone)]
pub struct Traces(Arc<Inner>);

struct Inner {
    exporter: opentelemetry_otlp::SpanExporter,
    ended: Mutex<mpsc::Receiver<SpanData>>,
    dropped: Counter,
}

impl Traces {
    /// Traces as the settings say, with the layer that makes them; `None` where the settings name no collector.
    pub(super) fn start<S>(settings: &Telemetry) -> anyhow::Result<Option<(Self, SpanLayer<S>)>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        let client = upstream::client_of_operator(PATIENCE).context("no HTTP client can be made")?;
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')));
        let mut exporter =
            exporter.with_http_client(client).with_timeout(PATIENCE).build().context("traces cannot be exported")?;
        let resource = resource();
        exporter.set_resource(&resource);
        let (sender, ended) = mpsc::channel(WAITING);
        let dropped = Counter::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Queue { sender, dropped: dropped.clone() })
            .with_sampler(Sampler::ParentBased(Box::new(sampler(settings.otlp_percent))))
            .with_resource(resource)
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("mullion"))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(is_traced));
        let traces = Self(Arc::new(Inner { exporter, ended: Mutex::new(ended), dropped }));
        Ok(Some((traces, layer.boxed())))
    }

    /// How many spans were not sent, for the metrics.
    pub fn dropped(&self) -> Counter {
        self.0.dropped.clone()
    }

    /// Sends what has ended, from time to time, until `stop` fires.
    pub async fn export_often(&self, stop: CancellationToken) {
        let mut ended = self.0.ended.lock().await;
        loop {
            let mut spans = Vec::with_capacity(TOGETHER);
            tokio::select! {
                count = ended.recv_many(&mut spans, TOGETHER) => if count == 0 { return },
                () = stop.cancelled() => return,
            }
            let gather = async {
                while spans.len() < TOGETHER {
                    let Some(span) = ended.recv().await else { return };
                    spans.push(span);
                }
            };
            tokio::select! {
                _ = timeout(GATHERING, gather) => {}
                () = stop.cancelled() => {}
            }
            let late = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_SPANS).await;
            };
            tokio::select! {
                () = self.export(spans) => {}
                () = late => return,
            }
        }
    }

    /// Sends the last spans, and gives up where the collector takes too long.
    pub async fn finish(&self) {
        let last = async {
            let mut ended = self.0.ended.lock().await;
            let mut spans = Vec::new();
            while let Ok(span) = ended.try_recv() {
                spans.push(span);
            }
            if !spans.is_empty() {
                self.export(spans).await;
            }
        };
        let _ = timeout(LAST_SPANS, last).await;
    }

    async fn export(&self, spans: Vec<SpanData>) {
        let count = spans.len() as u64;
        let exported = timeout(PATIENCE, self.0.exporter.export(spans)).await;
        let error = match exported {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} seconds", PATIENCE.as_secs()),
        };
        self.0.dropped.inc_by(count);
        tracing::warn!(error, "traces could not be exported: check telemetry.otlp_endpoint and the collector");
    }
}

fn resource() -> Resource {
    Resource::builder_empty()
        .with_service_name("mullion")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        // `OTEL_RESOURCE_ATTRIBUTES`.
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build()
}

/// Traces that begin here; a caller decides for its own.
fn sampler(percent: u64) -> Sampler {
    match u32::try_from(percent) {
        Ok(percent) if percent < 100 => Sampler::TraceIdRatioBased(f64::from(percent) / 100.0),
        _ => Sampler::AlwaysOn,
    }
}

/// Our own spans, and what was logged in them; not those of libraries, among them the one that sends the spans.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("mullion_") && !(metadata.is_span() && LASTING.contains(&metadata.name()))
}

/// Takes spans that have ended without ever waiting.
#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<SpanData>,
    dropped: Counter,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        span.span_kind = kind(&span.name);
        if self.sender.try_send(span).is_err() {
            self.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Which side of a call a span is, by its name: said here, and not on each line of the log.
fn kind(name: &str) -> SpanKind {
    match name {
        "request" => SpanKind::Server,
        "provider_call" => SpanKind::Client,
        _ => SpanKind::Internal,
    }
}
