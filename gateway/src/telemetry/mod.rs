//! What operators see: the log's lines and the metrics.

#[cfg(test)]
mod documented;
pub mod live;
pub mod metrics;
#[cfg(test)]
mod monitoring;
mod process;
pub mod quota;
pub mod reconcile;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, Telemetry, telemetry::LogFormat};

/// Changes what is logged while the process runs.
pub struct LogLevel(Box<dyn Fn(EnvFilter) -> bool + Send + Sync>);

impl LogLevel {
    /// Logs by this filter from now on; whether that was possible.
    pub fn set(&self, filter: EnvFilter) -> bool {
        (self.0)(filter)
    }
}

/// Reads `telemetry.log`.
pub fn filter(text: &str) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(text).map_err(|error| {
        ConfigError(format!(
            "telemetry.log: {text:?} is no filter ({error}); write it like info,mullion_resolvers=debug"
        ))
    })
}

/// Starts the log, on standard error: human on a terminal, JSON otherwise.
pub fn start(settings: &Telemetry) -> anyhow::Result<LogLevel> {
    let filter = filter(&settings.log)?;
    let json = match settings.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let (started, level) = if json {
        let builder = builder.json().flatten_event(true).with_current_span(true).with_span_list(false);
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), LogLevel(Box::new(move |filter| handle.reload(filter).is_ok())))
    } else {
        let builder = builder.with_target(false).with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), LogLevel(Box::new(move |filter| handle.reload(filter).is_ok())))
    };
    started.map_err(|error| anyhow::anyhow!("the log was started twice: {error}"))?;
    Ok(level)
}
