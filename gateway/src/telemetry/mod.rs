//! What operators see: the log's lines and the metrics.

#[cfg(test)]
mod documented;
pub mod live;
pub mod metrics;
pub mod reconcile;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{Telemetry, telemetry::LogFormat};

/// Starts the log, on standard error: human on a terminal, JSON otherwise.
pub fn start(settings: &Telemetry) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log).with_context(|| {
        format!("telemetry.log: {:?} is no filter; write it like info,mullion_resolvers=debug", settings.log)
    })?;
    let json = match settings.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("the log was started twice: {error}"))
}
