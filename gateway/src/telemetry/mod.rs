//! The log's lines, the metrics, and traces, for operators.

pub mod counters;
#[cfg(test)]
mod documented;
mod json;
pub mod labels;
pub mod live;
pub mod metrics;
#[cfg(test)]
mod monitoring;
mod process;
pub mod quota;
pub mod reconcile;
mod repeats;
pub mod tasks;
mod traces;
mod writer;

use std::{io::IsTerminal, panic::PanicHookInfo, sync::Arc, time::Duration};

use anyhow::Context;
use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _};

use self::{
    json::{JsonLines, JsonSpans},
    writer::LineWriter,
};
pub use self::{repeats::Repeats, traces::Traces};
use crate::config::{Telemetry, telemetry::LogFormat};

/// Changes what is logged while the process runs.
#[derive(Clone)]
pub struct LogLevel(Arc<dyn Fn(EnvFilter) -> bool + Send + Sync>);

impl LogLevel {
    /// Logs by this filter from now on; whether that was possible.
    pub fn set(&self, filter: EnvFilter) -> bool {
        (self.0)(filter)
    }
}

/// How long the end of the process waits for the log's last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log, from its start to the end of the process. Dropped, it gives its last lines a moment to be written.
pub struct Log {
    writer: LineWriter,
    repeats: Repeats,
    level: LogLevel,
    traces: Option<Traces>,
}

impl Log {
    /// How many lines were dropped because standard error did not take them.
    pub fn dropped_lines(&self) -> Counter {
        self.writer.dropped()
    }

    /// Failures that repeat, to be told of from time to time.
    pub fn repeats(&self) -> Repeats {
        self.repeats.clone()
    }

    /// The traces, where they are exported.
    pub fn traces(&self) -> Option<&Traces> {
        self.traces.as_ref()
    }

    /// Sends the last spans.
    pub async fn finish(&self) {
        if let Some(traces) = &self.traces {
            traces.finish().await;
        }
    }

    /// Changes what is logged while the process runs.
    pub fn level(&self) -> LogLevel {
        self.level.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.writer.flush_within(LAST_LINES);
    }
}

/// Starts the log, on standard error: human on a terminal, JSON otherwise. Nothing that is logged ever waits or fails.
pub fn start(settings: &Telemetry) -> anyhow::Result<Log> {
    let (filter, handle) = reload::Layer::new(with_lines_about_the_log(settings.filter()?));
    let level = LogLevel(Arc::new(move |filter| handle.reload(with_lines_about_the_log(filter)).is_ok()));
    let is_terminal = std::io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let writer = LineWriter::to_standard_error().context("the log cannot be started")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer.clone()).log_internal_errors(false);
    let lines = if json {
        lines.fmt_fields(JsonSpans).event_format(JsonLines).boxed()
    } else {
        let lines = lines.with_target(false);
        // On a terminal `NO_COLOR` decides.
        if is_terminal { lines.boxed() } else { lines.with_ansi(false).boxed() }
    };
    let repeats = Repeats::default();
    let (traces, spans) = Traces::start(settings)?.unzip();
    let layers: Vec<_> = std::iter::once(lines).chain(spans).collect();
    let started = tracing_subscriber::registry().with(filter).with(repeats.clone()).with(layers).try_init();
    started.map_err(|error| anyhow::anyhow!("the log was started twice: {error}"))?;
    // The standard hook writes to standard error itself, and waits for whoever reads there.
    std::panic::set_hook(Box::new(log_panic));
    Ok(Log { writer, repeats, level, traces })
}

/// The same filter, with the lines that tell what the log does not have: however little is logged, a gap in it is seen.
fn with_lines_about_the_log(filter: EnvFilter) -> EnvFilter {
    let always =
        [(writer::TARGET, "warn"), (repeats::TARGET, "error")].map(|(target, level)| format!("{target}={level}"));
    always.iter().filter_map(|line| line.parse().ok()).fold(filter, EnvFilter::add_directive)
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(panic = text, place, thread = thread.name().unwrap_or_default(), "a panic");
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tracing::{Event, Subscriber};
    use tracing_subscriber::{
        EnvFilter, Layer,
        layer::{Context, SubscriberExt as _},
    };

    use super::{repeats, with_lines_about_the_log, writer};

    #[derive(Clone, Default)]
    struct Counted(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Counted {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whatever_is_logged_what_the_log_lacks_is_logged_too() {
        for (filter, others) in
            [("info", 1), ("error,mullion_gateway::http=debug", 0), ("mullion_resolvers", 0), ("off", 0)]
        {
            let counted = Counted::default();
            let filter_layer = with_lines_about_the_log(EnvFilter::new(filter));
            let subscriber = tracing_subscriber::registry().with(filter_layer).with(counted.clone());
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: writer::TARGET, "lines of the log were dropped");
                tracing::error!(target: repeats::TARGET, "again");
                tracing::warn!("another line");
            });
            assert_eq!(counted.0.load(Ordering::Relaxed), 2 + others, "{filter}");
        }
    }
}
