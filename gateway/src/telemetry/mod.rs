//! What operators see: the log's lines and the metrics.

#[cfg(test)]
mod documented;
mod json;
pub mod live;
pub mod metrics;
pub mod reconcile;
mod repeats;
pub mod tasks;
mod writer;

use std::{io::IsTerminal, panic::PanicHookInfo, time::Duration};

use anyhow::Context;
use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

pub use self::repeats::Repeats;
use self::{
    json::{JsonLines, JsonSpans},
    writer::LineWriter,
};
use crate::config::{Telemetry, telemetry::LogFormat};

/// How long the end of the process waits for the log's last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log, from its start to the end of the process. Dropped, it gives its last lines a moment to be written.
#[derive(Debug)]
pub struct Log {
    writer: LineWriter,
    repeats: Repeats,
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
}

impl Drop for Log {
    fn drop(&mut self) {
        self.writer.flush_within(LAST_LINES);
    }
}

/// Starts the log, on standard error: human on a terminal, JSON otherwise. Nothing that is logged ever waits or fails.
pub fn start(settings: &Telemetry) -> anyhow::Result<Log> {
    let filter = EnvFilter::try_new(&settings.log).with_context(|| {
        format!("telemetry.log: {:?} is no filter; write it like info,mullion_resolvers=debug", settings.log)
    })?;
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
    let started = tracing_subscriber::registry().with(filter).with(repeats.clone()).with(lines).try_init();
    started.map_err(|error| anyhow::anyhow!("the log was started twice: {error}"))?;
    // The standard hook writes to standard error itself, and waits for whoever reads there.
    std::panic::set_hook(Box::new(log_panic));
    Ok(Log { writer, repeats })
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(panic = text, place, thread = thread.name().unwrap_or_default(), "a panic");
}
